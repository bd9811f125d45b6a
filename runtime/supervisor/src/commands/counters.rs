//! `runtime counters`: the kernel's counters straight from the plane, and its readers as they report themselves.
//!
//! How fast a counter grows is worked out here, from two looks at it: the kernel only counts.

use std::time::{Duration, Instant};

use rsw_os::clock::mono_ns;
use rsw_plane::{CounterValue, PlaneReader};
use rsw_schemas::exit;
use serde_json::{Value as Json, json};

use super::{Context, plane::state};
use crate::cli::Counters;
use crate::view::error::CliError;
use crate::view::table::{Align, Table, count, rate};

/// Longest time between the two looks.
const OVER_S_MAX: f64 = 3600.0;

/// Counters of one plane at two moments.
struct Looks {
    counters: Vec<CounterValue>,
    before: Vec<CounterValue>,
    over: Duration,
}

pub(super) fn run(context: &Context, args: &Counters) -> Result<u8, CliError> {
    if !(0.0..=OVER_S_MAX).contains(&args.over) {
        let words = format!("--over {}: from 0 to {OVER_S_MAX} seconds", args.over);
        return Err(CliError::new(exit::USAGE, "usage", words).hint("runtime counters --over 1"));
    }
    let client = context.client()?;
    let (plane, live) = client.plane()?;
    let looks = Looks::take(&plane, Duration::from_secs_f64(args.over));
    let (ps, _) = client.ask(&json!({"op": "ps"}))?;
    let readers: Vec<Json> = ps["processes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|row| matches!(row["role"].as_str(), Some("agent" | "recorder")))
        .map(reader)
        .collect();
    if context.global.json {
        let age_ns = mono_ns().saturating_sub(plane.heartbeat_mono_ns());
        context.print_json(&json!({
            "schema": "rsw.counters/1",
            "generation": plane.generation(),
            "state": state(&plane, live, age_ns),
            "over_ms": looks.over.as_millis() as u64,
            "counters": looks.json(),
            "readers": readers,
        }));
        return Ok(exit::OK);
    }
    context.print(&format!("{}\n{}", looks.table(), reader_table(&readers)));
    Ok(exit::OK)
}

impl Looks {
    fn take(plane: &PlaneReader, over: Duration) -> Self {
        let (before, start) = (plane.counters(), Instant::now());
        if over.is_zero() {
            return Self { counters: before.clone(), before, over };
        }
        std::thread::sleep(over);
        Self { counters: plane.counters(), before, over: start.elapsed() }
    }

    /// Every counter with how much it grew a second.
    fn each(&self) -> impl Iterator<Item = (&CounterValue, Option<f64>)> {
        self.counters.iter().zip(&self.before).map(|(now, before)| {
            let grown = now.value.wrapping_sub(before.value);
            let per_s = grown as f64 / self.over.as_secs_f64();
            (now, (!self.over.is_zero()).then_some(per_s))
        })
    }

    fn json(&self) -> Vec<Json> {
        let counters = self.each().map(|(counter, per_s)| {
            json!({
                "id": counter.id,
                "name": counter.name,
                "unit": counter.unit,
                "meaning": counter.meaning,
                "value": counter.value.to_string(),
                "per_s": per_s,
            })
        });
        counters.collect()
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("COUNTER", Align::Left),
            ("VALUE", Align::Right),
            ("A SECOND", Align::Right),
            ("UNIT", Align::Left),
            ("MEANING", Align::Left),
        ]);
        for (counter, per_s) in self.each() {
            let cells = [&counter.name, &count(counter.value), &per_s.map_or("-".into(), rate)];
            table.row(cells.into_iter().chain([&counter.unit, &counter.meaning]));
        }
        table
    }
}

/// The part of a row of `ps` that is about reading.
fn reader(row: &Json) -> Json {
    let keys = [
        "name",
        "role",
        "agent_id",
        "generation",
        "cursor",
        "received_events",
        "events_per_s",
        "lag_events",
        "lost_events",
        "missed_loans",
        "beat_age_ms",
    ];
    keys.iter().map(|key| ((*key).to_owned(), row[*key].clone())).collect()
}

fn reader_table(readers: &[Json]) -> Table {
    let mut table = Table::new(&[
        ("READER", Align::Left),
        ("GEN", Align::Right),
        ("NEXT", Align::Right),
        ("RECEIVED", Align::Right),
        ("A SECOND", Align::Right),
        ("LAG", Align::Right),
        ("LOST", Align::Right),
        ("MISSED LOANS", Align::Right),
    ]);
    for row in readers {
        let number = |key: &str| row[key].as_u64().map_or("-".into(), count);
        table.row([
            row["name"].as_str().unwrap_or_default().to_owned(),
            number("generation"),
            row["cursor"].as_str().and_then(|n| n.parse().ok()).map_or("-".into(), count),
            number("received_events"),
            row["events_per_s"].as_f64().map_or("-".into(), rate),
            number("lag_events"),
            number("lost_events"),
            number("missed_loans"),
        ]);
    }
    table
}
