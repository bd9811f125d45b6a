//! The same swarm seen through batches and through ring events gives the same bits.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, UInt32Array, UInt64Array};

use super::*;
use crate::sync::{Observer, SyncResult};

const AGENTS: u32 = 5;
const TICKS: u64 = 300;

/// Something irregular, the same on every call.
fn ci(tick: u64, agent: u32) -> f64 {
    let noise = (tick ^ (u64::from(agent) << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
    (tick as f64 * 0.07).sin() + noise as f64 / (1u64 << 53) as f64
}

fn batch(rows: &[Sample]) -> RecordBatch {
    let ticks: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows.iter().map(|s| s.tick)));
    let agents: ArrayRef = Arc::new(UInt32Array::from_iter_values(rows.iter().map(|s| s.agent_id)));
    let cis: ArrayRef = Arc::new(Float64Array::from_iter_values(rows.iter().map(|s| s.ci)));
    RecordBatch::try_from_iter([("tick", ticks), ("agent_id", agents), ("ci", cis)]).unwrap()
}

fn slot(sample: Sample) -> Slot {
    let mut slot: Slot = bytemuck::Zeroable::zeroed();
    let mut metric: AgentMetric = bytemuck::Zeroable::zeroed();
    (metric.tick, metric.agent_id, metric.ci) = (sample.tick, sample.agent_id, sample.ci);
    slot.kind = EventKind::AgentMetric as u16;
    slot.len_bytes = size_of::<AgentMetric>() as u16;
    slot.payload[..size_of::<AgentMetric>()].copy_from_slice(bytemuck::bytes_of(&metric));
    slot
}

fn watch(samples: impl Iterator<Item = Sample>) -> Vec<SyncResult> {
    let mut observer = Observer::new(AGENTS, 64, 25);
    samples.filter_map(|s| observer.observe(s.tick, s.agent_id, s.ci)).collect()
}

#[test]
fn both_ways_agree_to_the_last_bit() {
    let samples: Vec<Sample> = (1..=TICKS)
        .flat_map(|tick| (1..=AGENTS).map(move |a| Sample { tick, agent_id: a, ci: ci(tick, a) }))
        .collect();
    let batches: Vec<RecordBatch> = samples.chunks(7 * AGENTS as usize).map(batch).collect();
    let loaned = watch(batches.iter().flat_map(|batch| from_batch(batch).unwrap()));
    let slots: Vec<Slot> = samples.iter().map(|&sample| slot(sample)).collect();
    let ringed = watch(slots.iter().filter_map(from_slot));
    assert_eq!(loaned.len(), TICKS as usize / 25);
    assert_eq!(loaned, ringed);
    assert!(loaned.iter().all(|result| result.pairs_defined == 10));
}

#[test]
fn other_events_and_short_payloads_carry_no_sample() {
    let sample = Sample { tick: 1, agent_id: 1, ci: 1.0 };
    let mut other = slot(sample);
    assert_eq!(from_slot(&other), Some(sample));
    other.len_bytes -= 1;
    assert_eq!(from_slot(&other), None);
    other = slot(sample);
    other.kind = EventKind::Tick as u16;
    assert_eq!(from_slot(&other), None);
}

#[test]
fn a_batch_of_another_build_is_refused() {
    let ticks: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
    let odd: ArrayRef = Arc::new(Float64Array::from(vec![None]));
    let without = RecordBatch::try_from_iter([("tick", ticks.clone())]).unwrap();
    let expected = FeedError::Column { name: "agent_id", type_name: "u32" };
    assert_eq!(from_batch(&without).err(), Some(expected));
    let swapped =
        RecordBatch::try_from_iter([("tick", ticks.clone()), ("agent_id", odd.clone())]).unwrap();
    assert!(from_batch(&swapped).is_err());
    let agents: ArrayRef = Arc::new(UInt32Array::from(vec![1]));
    let fields = [("tick", ticks, false), ("agent_id", agents, false), ("ci", odd, true)];
    let nulls = RecordBatch::try_from_iter_with_nullable(fields).unwrap();
    assert!(from_batch(&nulls).is_err());
}
