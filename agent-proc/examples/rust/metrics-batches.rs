//! metrics-batches [COUNT]: record batches as Arrow has them; their columns lie in the loan.

#[allow(dead_code, reason = "each example uses a part of it")]
#[path = "example.rs"]
mod example;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use bytemuck::Zeroable;
use example::{Failure, Swarm};
use rsw_loans::{LoanDomain, METRICS};
use rsw_plane::StartAt;
use rsw_schemas::event::Slot;
use rsw_schemas::text;

fn main() -> ExitCode {
    example::end(run())
}

fn run() -> Result<(), Failure> {
    let other = |error: Box<dyn std::error::Error>| Failure::Other(error);
    let mut left = example::number(3)?;
    let mut swarm = Swarm::connect("metrics-batches")?;
    let mut events = swarm.events(StartAt::Latest);
    let mut slots = [Slot::zeroed(); 256];
    let root = text::unpack(&swarm.welcome.loan_root);
    let domain = LoanDomain::new(Path::new(&root), swarm.welcome.incarnation)
        .map_err(|error| other(error.into()))?;
    let mut batches = domain.subscribe_batches(METRICS).map_err(|error| other(error.into()))?;
    let mut out = std::io::stdout().lock();
    while left > 0 {
        if let Some(loan) = batches.receive().map_err(|error| other(error.into()))? {
            let batch = loan.record_batch().map_err(|error| other(error.into()))?;
            let ticks = column::<UInt64Type>(&batch, "tick")?.values();
            let ci = column::<Float64Type>(&batch, "ci")?.values();
            let (first, last) = (ticks.first().unwrap_or(&0), ticks.last().unwrap_or(&0));
            let (rows, mean) = (ci.len(), ci.iter().sum::<f64>() / ci.len() as f64);
            writeln!(out, "ticks {first} to {last}, {rows} rows, mean ci {mean:.6}")?;
            left -= 1;
            continue;
        }
        // Batches wake nobody; the events of their ticks do.
        if !events.wait(&mut swarm, Duration::from_millis(100))? {
            break;
        }
        events.poll(&swarm, &mut slots);
    }
    Ok(())
}

/// A column, by its name.
fn column<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, Failure> {
    let found = batch.column_by_name(name).and_then(|array| array.as_primitive_opt());
    found.ok_or_else(|| Failure::Other(format!("no column {name} of that type").into()))
}
