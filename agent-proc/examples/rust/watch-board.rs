//! watch-board: every cell of the board, once, each without tearing.

#[allow(dead_code, reason = "each example uses a part of it")]
#[path = "example.rs"]
mod example;

use std::io::Write;
use std::process::ExitCode;

use example::{Failure, Swarm};
use rsw_plane::{CellValue, Value};

fn main() -> ExitCode {
    example::end(run())
}

fn run() -> Result<(), Failure> {
    let swarm = Swarm::connect("watch-board")?;
    let board = swarm.plane.board();
    let nothing = CellValue { value: Value::U64(0), tick: 0, t_ns: 0 };
    let mut cells = vec![nothing; board.cells().len()];
    let ticks = board.snapshot(&mut cells).map_err(|error| Failure::Other(error.into()))?;
    let mut out = std::io::stdout().lock();
    for (info, cell) in board.cells().iter().zip(&cells) {
        let value = match cell.value {
            Value::F64(value) if value.is_nan() => "nan".to_owned(),
            Value::F64(value) => format!("{value:.6}"),
            Value::U64(value) => value.to_string(),
            Value::I64(value) => value.to_string(),
        };
        let gap = if info.unit.is_empty() { "" } else { " " };
        writeln!(out, "{} = {value}{gap}{}", info.name, info.unit)?;
    }
    writeln!(out, "{} cells of ticks {} to {}", cells.len(), ticks.oldest, ticks.newest)?;
    Ok(())
}
