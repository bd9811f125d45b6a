//! `runtime ps` and `runtime status`.

use std::time::Instant;

use rsw_schemas::exit;
use serde_json::{Value as Json, json};

use super::Context;
use crate::cli::StatusArgs;
use crate::control::Client;
use crate::view::error::CliError;
use crate::view::table::{Align, Table, bytes, count, duration_ns, rate};

pub(super) fn ps(context: &Context) -> Result<u8, CliError> {
    let (answer, _) = context.client()?.ask(&json!({"op": "ps"}))?;
    if context.global.json {
        context.print_json(&answer);
    } else {
        context.print(&process_table(&answer).to_string());
    }
    Ok(exit::OK)
}

/// The processes as people read them.
pub(super) fn process_table(answer: &Json) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("PID", Align::Right),
        ("STATE", Align::Left),
        ("ISOLATION", Align::Left),
        ("IN FORCE", Align::Left),
        ("GEN", Align::Right),
        ("RESTARTS", Align::Right),
        ("BEAT", Align::Right),
        ("EVENTS/S", Align::Right),
        ("LAG", Align::Right),
        ("LOST", Align::Right),
        ("CPU", Align::Right),
        ("OF", Align::Right),
        ("RSS", Align::Right),
    ]);
    for row in answer["processes"].as_array().into_iter().flatten() {
        let number =
            |key: &str| row[key].as_u64().map_or("-".to_owned(), |number| number.to_string());
        let in_force: Vec<&str> =
            row["in_force"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        table.row([
            row["name"].as_str().unwrap_or("").to_owned(),
            number("pid"),
            row["state"].as_str().unwrap_or("").to_owned(),
            row["isolation"].as_str().unwrap_or("").to_owned(),
            in_force.join(", "),
            number("generation"),
            number("restarts"),
            beat(row),
            row["events_per_s"].as_f64().map_or("-".into(), rate),
            row["lag_events"].as_u64().map_or("-".into(), count),
            row["lost_events"].as_u64().map_or("-".into(), count),
            number("cpu"),
            row["cpus"].as_str().unwrap_or("-").to_owned(),
            row["rss_bytes"].as_u64().map_or("-".into(), bytes),
        ]);
    }
    table
}

/// Time since the last sign of life; `unwatched` where silence of any length ends nobody.
fn beat(row: &Json) -> String {
    let age = row["beat_age_ms"].as_u64().map(|ms| match ms {
        0..1_000 => format!("{ms} ms"),
        _ => duration_ns(ms.saturating_mul(1_000_000)),
    });
    match (age, row["watched"].as_bool()) {
        (Some(age), Some(true)) => age,
        (Some(age), _) => format!("{age}, unwatched"),
        (None, _) if row["pid"].is_null() => "-".into(),
        (None, _) => "none, unwatched".into(),
    }
}

pub(super) fn status(context: &Context, args: &StatusArgs) -> Result<u8, CliError> {
    let project = context.project()?;
    let deadline = Instant::now() + context.global.timeout();
    let answer = loop {
        let asked = Client::connect(&project, context.global.timeout())
            .and_then(|client| client.ask(&json!({"op": "status"})));
        match asked {
            Ok((answer, _)) if !args.wait || is_up(&answer) => break answer,
            Err(error) if error.code != exit::NOT_RUNNING => return Err(error),
            Err(error) if !args.wait => {
                if context.global.json {
                    context.print_json(&stopped());
                }
                return Err(error);
            }
            _ if Instant::now() >= deadline => {
                return Err(CliError::new(exit::TIMEOUT, "timeout", "the swarm is not up yet")
                    .hint("--timeout gives it longer, runtime logs shows what its processes say"));
            }
            _ => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    if context.global.json {
        context.print_json(&answer);
    } else {
        context.print(&status_lines(&answer));
    }
    Ok(exit::OK)
}

fn is_up(answer: &Json) -> bool {
    matches!(answer["phase"].as_str(), Some("running" | "finishing"))
}

fn stopped() -> Json {
    json!({
        "schema": "rsw.status/1", "state": "stopped", "tick": "0", "generation": 0, "ci": null, "cs": null,
        "published": "0", "events_per_s": null, "recorded": null, "lost": null,
    })
}

fn status_lines(answer: &Json) -> String {
    let text = |key: &str| answer[key].as_str().unwrap_or("-").to_owned();
    let real = |key: &str| answer[key].as_f64().map_or("undefined".into(), |x| format!("{x:.4}"));
    let mut lines = format!(
        "state      {}\ntick       {} (generation {})\nCI         {}\nCS         {}\npublished  {} events, {} a second\nrecorded   {}, lost {}\nagents     {} of {} running, lag at most {} events",
        text("state"),
        text("tick"),
        answer["generation"],
        real("ci"),
        real("cs"),
        text("published"),
        answer["events_per_s"].as_f64().map_or("-".into(), rate),
        text("recorded"),
        text("lost"),
        answer["agents_running"],
        answer["agents"],
        text("lag_events_max"),
    );
    for reason in answer["reasons"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        lines.push_str(&format!("\nbecause    {reason}"));
    }
    lines
}
