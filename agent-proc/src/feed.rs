//! Two ways in, one sample out: rows of a metrics batch, or `AgentMetric` events of the ring.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, PrimitiveArray, RecordBatch};
use rsw_schemas::event::{AgentMetric, EventKind, Slot};

/// The complexity index at one agent's site after one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The tick, counted from 1.
    pub tick: u64,
    /// The agent, counted from 1.
    pub agent_id: u32,
    /// The complexity index.
    pub ci: f64,
}

/// Why a batch has no samples for us.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FeedError {
    /// A column is missing or has another type.
    #[error(
        "metrics batch has no {type_name} column {name:?} without nulls; kernel and agent are of different builds, restart the swarm"
    )]
    Column {
        /// The column.
        name: &'static str,
        /// The type it should have.
        type_name: &'static str,
    },
}

/// The sample in a ring event, if it is one that carries a sample.
pub fn from_slot(slot: &Slot) -> Option<Sample> {
    if slot.kind != EventKind::AgentMetric as u16
        || usize::from(slot.len_bytes) != size_of::<AgentMetric>()
    {
        return None;
    }
    let metric: AgentMetric =
        bytemuck::pod_read_unaligned(&slot.payload[..size_of::<AgentMetric>()]);
    Some(Sample { tick: metric.tick, agent_id: metric.agent_id, ci: metric.ci })
}

/// The samples in a metrics batch, row by row; borrows the columns and copies nothing.
pub fn from_batch(batch: &RecordBatch) -> Result<impl Iterator<Item = Sample>, FeedError> {
    let ticks: &PrimitiveArray<UInt64Type> =
        column(batch, "tick", "u64", |a| a.as_primitive_opt())?;
    let agents: &PrimitiveArray<UInt32Type> =
        column(batch, "agent_id", "u32", |a| a.as_primitive_opt())?;
    let cis: &PrimitiveArray<Float64Type> = column(batch, "ci", "f64", |a| a.as_primitive_opt())?;
    let rows = ticks.values().iter().zip(agents.values()).zip(cis.values());
    Ok(rows.map(|((&tick, &agent_id), &ci)| Sample { tick, agent_id, ci }))
}

fn column<'a, A: Array>(
    batch: &'a RecordBatch,
    name: &'static str,
    type_name: &'static str,
    cast: impl Fn(&'a dyn Array) -> Option<&'a A>,
) -> Result<&'a A, FeedError> {
    let found = batch.column_by_name(name).and_then(|array| cast(array.as_ref()));
    found.filter(|array| array.null_count() == 0).ok_or(FeedError::Column { name, type_name })
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
