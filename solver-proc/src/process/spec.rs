//! What the kernel's plane holds: board cells, fields, arena size.

use rsw_config::Topology;
use rsw_plane::{FieldSpec, PlaneSpec};
use rsw_schemas::field::{CHECKPOINT, Dtype};
use solver_proc::engine::Engine;

use super::board::CELLS;
use super::{Args, KernelError};

/// Frames in a field's pool: one that readers copy, one in the making, two of slack for slow copies.
const FRAMES: u32 = 4;
/// Bytes of one agent's row in a batch, all columns and validity bits, rounded up.
const ROW_BYTES: u64 = 80;
/// Batches that the arena holds at once.
const BATCHES_HELD: u64 = 128;

/// The fields in the order in which the publisher fills them; the checkpoint comes last.
pub(super) fn plane_spec(
    args: &Args,
    topology: &Topology,
    engine: &Engine,
    first_sequence: u64,
) -> Result<PlaneSpec, KernelError> {
    let [nx, ny] = topology.config.field.size;
    let mut fields: Vec<FieldSpec> = topology
        .config
        .field
        .publish
        .iter()
        .map(|name| FieldSpec {
            name: name.clone(),
            unit: "",
            dtype: Dtype::F32,
            nx,
            ny,
            frames: FRAMES,
        })
        .collect();
    let bytes = engine.checkpoint_bytes();
    let nx = u32::try_from(bytes).map_err(|_| {
        let words = "is too large: use a smaller field or fewer bands";
        KernelError::Config(format!("a saved state of {bytes} bytes {words}"))
    })?;
    fields.push(FieldSpec {
        name: CHECKPOINT.into(),
        unit: "bytes",
        dtype: Dtype::Bytes,
        nx,
        ny: 1,
        frames: 2,
    });
    let rows = topology.agents.len() as u64 * u64::from(topology.config.metrics.batch_ticks);
    Ok(PlaneSpec {
        run_id: parse_run_id(&args.run_id)?,
        generation: args.generation,
        first_sequence,
        nx,
        ny,
        tick_period_ns: topology.tick_period_ns,
        ring_slots: topology.config.ring.slots,
        cells: CELLS.to_vec(),
        fields,
        arena_bytes: (rows * ROW_BYTES + 4096) * BATCHES_HELD,
    })
}

fn parse_run_id(text: &str) -> Result<[u8; 16], KernelError> {
    let wrong = || KernelError::Config(format!("run id \"{text}\" is not 32 hexadecimal digits"));
    let number = u128::from_str_radix(text, 16).map_err(|_| wrong())?;
    if text.len() == 32 { Ok(number.to_be_bytes()) } else { Err(wrong()) }
}
