//! `runtime peek`: straight from the plane, whatever the processes are doing.

use rsw_os::clock::mono_ns;
use rsw_plane::{CellInfo, CellValue, PlaneReader, Value};
use rsw_schemas::exit;
use serde_json::{Value as Json, json};

use super::Context;
use crate::cli::Peek;
use crate::swarm::finite;
use crate::view::error::CliError;
use crate::view::table::{Align, Table, duration_ns};

/// A kernel whose heart stood still for longer is stale, if its ticks are faster than that.
const STALE_NS: u64 = 1_000_000_000;

pub(super) fn peek(context: &Context, args: &Peek) -> Result<u8, CliError> {
    let (plane, live) = context.client()?.plane()?;
    let board = plane.board();
    let chosen: Vec<usize> = if args.cells.is_empty() {
        (0..board.cells().len()).collect()
    } else {
        let known: Vec<&str> = board.cells().iter().map(|cell| cell.name.as_str()).collect();
        args.cells
            .iter()
            .map(|name| board.find(name).ok_or_else(|| CliError::unknown("cell", name, &known)))
            .collect::<Result<_, _>>()?
    };
    let mut cells = Vec::new();
    for cell in chosen {
        let value = board
            .read(cell)
            .map_err(|error| CliError::new(exit::FAILURE, "busy", error.to_string()))?;
        cells.push((board.cells()[cell].clone(), value));
    }
    let age_ns = mono_ns().saturating_sub(plane.heartbeat_mono_ns());
    let state = state(&plane, live, age_ns);
    if context.global.json {
        context.print_json(&json!({
            "schema": "rsw.peek/1",
            "generation": plane.generation(),
            "state": state,
            "age_ns": age_ns.to_string(),
            "cells": cells.iter().map(|(info, value)| cell_json(info, value)).collect::<Vec<_>>(),
        }));
        return Ok(exit::OK);
    }
    context.note(&format!(
        "generation {}, {state}, {} old",
        plane.generation(),
        duration_ns(age_ns)
    ));
    let mut table = Table::new(&[
        ("CELL", Align::Left),
        ("VALUE", Align::Right),
        ("UNIT", Align::Left),
        ("TICK", Align::Right),
        ("MEANING", Align::Left),
    ]);
    for (info, value) in &cells {
        let shown = match value.value {
            Value::F64(real) => format!("{real:.6}"),
            Value::U64(number) => number.to_string(),
            Value::I64(number) => number.to_string(),
        };
        let tick = value.tick.to_string();
        table.row([info.name.clone(), shown, info.unit.clone(), tick, info.meaning.clone()]);
    }
    context.print(&table.to_string());
    Ok(exit::OK)
}

/// What there is to say about the plane's writer.
pub(super) fn state(plane: &PlaneReader, live: bool, age_ns: u64) -> &'static str {
    if !live {
        return "writer-dead";
    }
    let stale = age_ns > STALE_NS.max(plane.header().tick_period_ns.saturating_mul(3));
    if stale { "stale" } else { "live" }
}

fn cell_json(info: &CellInfo, value: &CellValue) -> Json {
    let number = match value.value {
        Value::F64(real) => json!(finite(real)),
        Value::U64(number) => json!(number.to_string()),
        Value::I64(number) => json!(number.to_string()),
    };
    json!({
        "name": info.name,
        "type": info.cell_type.name(),
        "unit": info.unit,
        "value": number,
        "tick": value.tick.to_string(),
    })
}
