//! tail-events [COUNT]: the events from the oldest on, every loss told, and the exact account at the end.

#[allow(dead_code, reason = "each example uses a part of it")]
#[path = "example.rs"]
mod example;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use bytemuck::Zeroable;
use example::{Failure, Swarm, Told};
use rsw_plane::StartAt;
use rsw_schemas::event::Slot;

fn main() -> ExitCode {
    example::end(run())
}

fn run() -> Result<(), Failure> {
    let mut left = example::number(u64::MAX)?;
    let mut swarm = Swarm::connect("tail-events")?;
    let mut events = swarm.events(StartAt::Oldest);
    let mut slots = [Slot::zeroed(); 256];
    let mut out = std::io::stdout().lock();
    while left > 0 && events.wait(&mut swarm, Duration::from_secs(1))? {
        let room = slots.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match events.poll(&swarm, &mut slots[..room]) {
            Told::Nothing => {}
            Told::Lost { from, to } => writeln!(out, "lost {from} to {to}")?,
            Told::Generation(generation) => writeln!(out, "generation {generation}")?,
            Told::Events { first, count } => {
                for (sequence, event) in (first..).zip(&slots[..count]) {
                    let Slot { kind, source, t_ns, .. } = event;
                    writeln!(out, "{sequence} kind {kind} source {source} at {t_ns}")?;
                }
                left -= count as u64;
            }
        }
    }
    writeln!(out, "received {}, lost {}", events.received(), events.lost())?;
    Ok(())
}
