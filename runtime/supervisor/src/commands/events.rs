//! `runtime events tail`: events as they lie in the ring, each loss told.

use std::time::Duration;

use bytemuck::Pod;
use rsw_plane::{PlaneReader, Polled, StartAt, WaitStrategy, Waiter};
use rsw_schemas::event::{
    AgentMetric, Alert, Annotation, BatchReady, EventKind, FieldReady, Gap, Generation, Presence,
    Report, Slot, SourceChanged, ThresholdCrossed, Tick,
};
use rsw_schemas::{exit, text};
use serde_json::{Value as Json, json};

use super::Context;
use crate::cli::Tail;
use crate::swarm::finite;
use crate::view::error::CliError;

/// Events without `-n` and without `--follow`.
const LINES: u64 = 20;
/// How long to wait before looking whether the kernel was replaced.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn tail(context: &Context, args: &Tail) -> Result<u8, CliError> {
    let kinds = kinds(&args.kind)?;
    let (mut plane, mut live) = context.client()?.plane()?;
    let mut left = match (args.lines, args.follow) {
        (Some(lines), _) => lines,
        (None, true) => u64::MAX,
        (None, false) if args.from.is_some() => u64::MAX,
        (None, false) => LINES,
    };
    let mut ring = plane.ring(start(args, &plane, left)?);
    if args.follow {
        context.end_on_interrupt()?;
    }
    let waiter = Waiter::new(WaitStrategy::Block);
    while left > 0 {
        match ring.poll() {
            Polled::Event { sequence, slot } => {
                if kinds.is_empty() || kinds.contains(&slot.kind) {
                    print_event(context, sequence, &slot);
                    left -= 1;
                }
            }
            Polled::Lapped { from, to } => print_lap(context, from, to),
            Polled::Empty if !args.follow => break,
            Polled::Empty => {
                if ring.wait(&waiter, LOOK) {
                    continue;
                }
                // Nothing for a while: perhaps the kernel was replaced, perhaps the swarm is gone.
                let Ok((newest, now_live)) = context.client().and_then(|client| client.plane())
                else {
                    live = false;
                    break;
                };
                if newest.generation() != plane.generation() && !ring.ready() {
                    ring = newest.ring(StartAt::Sequence(ring.next_sequence()));
                    plane = newest;
                }
                live = now_live;
            }
        }
    }
    if !live {
        context.note("the kernel is gone; these were its last events");
    }
    Ok(exit::OK)
}

fn kinds(names: &[String]) -> Result<Vec<u16>, CliError> {
    let known: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
    names
        .iter()
        .map(|name| {
            let kind = EventKind::ALL.iter().find(|kind| kind.name() == name);
            kind.map(|kind| *kind as u16)
                .ok_or_else(|| CliError::unknown("event kind", name, &known))
        })
        .collect()
}

fn start(args: &Tail, plane: &PlaneReader, lines: u64) -> Result<StartAt, CliError> {
    match args.from.as_deref() {
        Some("latest") => Ok(StartAt::Latest),
        Some("oldest") => Ok(StartAt::Oldest),
        Some(word) => {
            let sequence = word.parse().map_err(|_| {
                CliError::new(exit::USAGE, "usage", format!("\"{word}\" is no place in the ring"))
                    .hint("--from takes latest, oldest or a sequence")
            })?;
            let next = plane.ring_cursor();
            if sequence > next {
                let words =
                    format!("no event has sequence {sequence} yet, the next will be {next}");
                return Err(CliError::new(exit::NOT_FOUND, "not-found", words)
                    .hint("--from latest --follow shows what comes"));
            }
            Ok(StartAt::Sequence(sequence))
        }
        None if args.follow && args.lines.is_none() => Ok(StartAt::Latest),
        None => {
            let held = plane.ring_cursor().wrapping_sub(plane.header().first_sequence);
            let back = if args.kind.is_empty() { lines } else { plane.ring_capacity() };
            let back = back.min(held).min(plane.ring_capacity());
            Ok(StartAt::Sequence(plane.ring_cursor().wrapping_sub(back)))
        }
    }
}

fn print_lap(context: &Context, from: u64, to: u64) {
    let lost = to.wrapping_sub(from);
    if context.global.json {
        context.print_json(&json!({
            "lost": {"from": from.to_string(), "to": to.to_string(), "count": lost.to_string()},
        }));
    } else {
        context.print(&format!("{from:>10}  lost         {lost} events up to {to}: overwritten"));
    }
}

fn print_event(context: &Context, sequence: u64, slot: &Slot) {
    let kind = EventKind::from_u16(slot.kind);
    let name = kind.map_or("unknown", EventKind::name);
    let payload = kind.map_or(Json::Null, |kind| payload(kind, slot));
    if context.global.json {
        context.print_json(&json!({
            "sequence": sequence.to_string(),
            "kind": name,
            "source": slot.source,
            "generation": slot.generation,
            "t_ns": slot.t_ns.to_string(),
            "payload": payload,
        }));
        return;
    }
    let words: Vec<String> = payload
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| match value {
            Json::String(text) => format!("{key}={text}"),
            Json::Number(number) if number.is_f64() => {
                format!("{key}={:.4}", number.as_f64().unwrap_or(f64::NAN))
            }
            other => format!("{key}={other}"),
        })
        .collect();
    let source = if slot.source == 0 { String::new() } else { format!(" agent {}", slot.source) };
    context.print(&format!("{sequence:>10}  {name:<12}{source} {}", words.join(" ")));
}

fn body<T: Pod>(slot: &Slot) -> T {
    bytemuck::pod_read_unaligned(&slot.payload[..size_of::<T>()])
}

fn payload(kind: EventKind, slot: &Slot) -> Json {
    match kind {
        EventKind::Tick => tick(&body(slot)),
        EventKind::FieldReady => {
            let e: FieldReady = body(slot);
            json!({"tick": e.tick.to_string(), "field": e.field, "frame": e.frame.to_string(),
                "min": finite(e.range[0].into()), "max": finite(e.range[1].into())})
        }
        EventKind::BatchReady => {
            let e: BatchReady = body(slot);
            json!({"batch": e.batch.to_string(), "first_tick": e.first_tick.to_string(),
                "last_tick": e.last_tick.to_string(), "rows": e.rows, "bytes": e.len_bytes})
        }
        EventKind::AgentMetric => {
            let e: AgentMetric = body(slot);
            json!({"tick": e.tick.to_string(), "agent": e.agent_id, "d": finite(e.d), "c": finite(e.c),
                "g": finite(e.g), "tau": finite(e.tau), "ci": finite(e.ci), "u": finite(e.u),
                "drive": finite(e.drive)})
        }
        EventKind::ThresholdCrossed => {
            let e: ThresholdCrossed = body(slot);
            json!({"tick": e.tick.to_string(), "cell": text::unpack(&e.cell), "value": finite(e.value),
                "threshold": finite(e.threshold), "direction": e.direction})
        }
        EventKind::Report => report(&body(slot)),
        EventKind::Alert => {
            let e: Alert = body(slot);
            json!({"tick": e.tick.to_string(), "code": e.code, "text": text::unpack(&e.text)})
        }
        EventKind::Joined | EventKind::Left => {
            let e: Presence = body(slot);
            json!({"agent": e.agent_id, "name": text::unpack(&e.name), "pid": e.pid})
        }
        EventKind::SourceChanged => {
            let e: SourceChanged = body(slot);
            json!({"tick": e.tick.to_string(), "source": text::unpack(&e.name), "on": e.on == 1, "x": e.x,
                "y": e.y, "amplitude": finite(e.amplitude), "frequency": finite(e.frequency)})
        }
        EventKind::Annotation => {
            let e: Annotation = body(slot);
            json!({"tick": e.tick.to_string(), "name": text::unpack(&e.name), "value": finite(e.value)})
        }
        EventKind::Gap => {
            let e: Gap = body(slot);
            json!({"column": text::unpack(&e.name), "from_tick": e.from_tick.to_string(),
                "to_tick": e.to_tick.to_string(), "cause": e.cause})
        }
        EventKind::Generation => {
            let e: Generation = body(slot);
            json!({"generation": e.generation, "first_sequence": e.first_sequence.to_string(),
                "resumed_tick": e.resumed_tick.to_string(), "pid": e.writer_pid})
        }
    }
}

fn tick(e: &Tick) -> Json {
    json!({"tick": e.tick.to_string(), "ci": finite(e.ci_mean), "d": finite(e.d_global),
        "coherence": finite(e.coherence_mean), "gain": finite(e.gain_mean), "dwell": finite(e.dwell_mean),
        "energy": finite(e.energy), "u_abs_max": finite(e.u_abs_max), "solver_ns": e.solver_ns,
        "metrics_ns": e.metrics_ns, "commit_ns": e.commit_ns, "overruns": e.overruns})
}

fn report(e: &Report) -> Json {
    json!({"tick": e.tick.to_string(), "window": e.window_ticks, "seen": e.seen_ticks,
        "agents": e.agents, "pairs": e.pairs_defined, "cs": finite(e.cs_mean), "cs_self": finite(e.cs_self),
        "r_min": finite(e.r_min), "r_max": finite(e.r_max), "matrix_crc32": e.matrix_crc32,
        "lag_events": e.lag_events.to_string(), "lost_events": e.lost_events.to_string()})
}
