//! my-agent [COUNT]: works out how synchronised the swarm is, with the bits of the built-in agent, and reports it.

#[allow(dead_code, reason = "each example uses a part of it")]
#[path = "example.rs"]
mod example;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use agent_proc::feed;
use agent_proc::report::{Health, report};
use agent_proc::sync::Observer;
use bytemuck::Zeroable;
use example::{Events, Failure, Swarm, Told};
use rsw_os::clock::mono_ns;
use rsw_plane::StartAt;
use rsw_schemas::event::Slot;

fn main() -> ExitCode {
    example::end(run())
}

fn run() -> Result<(), Failure> {
    let mut left = example::number(u64::MAX)?;
    let mut swarm = Swarm::connect("my-agent")?;
    let mut events = swarm.events(StartAt::Latest);
    let said = swarm.welcome;
    let mut observer = Observer::new(said.site_count, said.window_ticks, said.report_ticks);
    let mut slots = [Slot::zeroed(); 256];
    let mut out = std::io::stdout().lock();
    while left > 0 && events.wait(&mut swarm, Duration::from_secs(1))? {
        let Told::Events { count, .. } = events.poll(&swarm, &mut slots) else { continue };
        for sample in slots[..count].iter().filter_map(feed::from_slot) {
            let due = observer.observe(sample.tick, sample.agent_id, sample.ci);
            let Some(result) = due.filter(|_| left > 0) else { continue };
            let sent = swarm.report(report(&result, swarm.welcome.agent_id, health(&events)));
            let cs = result.cs_mean.map_or_else(|| "nan".to_owned(), |mean| format!("{mean:.6}"));
            let (tick, pairs, crc) = (result.last_tick, result.pairs_defined, result.matrix_crc32);
            let refused = if sent { "" } else { ", not sent" };
            writeln!(out, "tick {tick}: cs {cs} over {pairs} pairs, matrix {crc:08x}{refused}")?;
            left -= 1;
        }
    }
    Ok(())
}

/// How we are doing ourselves, which goes along.
fn health(events: &Events) -> Health {
    Health {
        now_mono_ns: mono_ns(),
        lag_events: events.lag(),
        lost_events: events.lost(),
        missed_loans: 0,
    }
}
