//! `runtime field show`: one frame, from the running swarm or from the recording.

use std::io::IsTerminal;
use std::path::Path;
use std::process::Stdio;

use rsw_schemas::exit;
use serde_json::{Value as Json, json};

use super::Context;
use super::context::columns;
use super::recording;
use crate::cli::FieldShow;
use crate::control::Client;
use crate::view::error::CliError;
use crate::view::{FieldView, npy, png, term};

/// A frame, wherever it came from.
struct Frame {
    nx: usize,
    ny: usize,
    tick: u64,
    from: &'static str,
    cells: Vec<f32>,
}

pub(super) fn show(context: &Context, args: &FieldShow) -> Result<u8, CliError> {
    let frame = match if args.recorded { None } else { live_client(context)? } {
        Some(client) => live(&client, &args.name)?,
        None => recorded(context, &args.name)?,
    };
    let view = FieldView::new(frame.nx, frame.ny, &frame.cells)
        .map_err(|error| CliError::new(exit::FAILURE, "field", error.to_string()))?;
    let mut written = Vec::new();
    if let Some(path) = &args.png {
        let bytes = png::png(view, true)
            .map_err(|error| CliError::new(exit::FAILURE, "png", error.to_string()))?;
        context.write_file(path, &bytes)?;
        written.push(path);
    }
    if let Some(path) = &args.npy {
        context.write_file(path, &npy::write(view))?;
        written.push(path);
    }
    let (min, max, mean) = range(&frame.cells);
    if context.global.json {
        context.print_json(&json!({
            "schema": "rsw.field/1",
            "name": args.name,
            "from": frame.from,
            "tick": frame.tick.to_string(),
            "nx": frame.nx,
            "ny": frame.ny,
            "min": crate::swarm::finite(min),
            "max": crate::swarm::finite(max),
            "mean": crate::swarm::finite(mean),
            "written": written,
        }));
        return Ok(exit::OK);
    }
    for path in &written {
        context.note(&format!("wrote {}", path.display()));
    }
    if args.term || written.is_empty() {
        let terminal = std::io::stdout().is_terminal();
        let width = columns().unwrap_or(80);
        context.print(&term::heat_map(view, width, 40, context.color(terminal)));
    }
    context.note(&format!(
        "{} at tick {} ({}): {} x {} cells, {min:.4} to {max:.4}, mean {mean:.4}",
        args.name, frame.tick, frame.from, frame.nx, frame.ny
    ));
    Ok(exit::OK)
}

fn live_client(context: &Context) -> Result<Option<Client>, CliError> {
    match context.client() {
        Ok(client) => Ok(Some(client)),
        Err(error) if error.code == exit::NOT_RUNNING => Ok(None),
        Err(error) => Err(error),
    }
}

fn live(client: &Client, name: &str) -> Result<Frame, CliError> {
    let (plane, _) = client.plane()?;
    let images: Vec<String> =
        plane.fields().iter().filter(|field| field.is_f32()).map(|field| field.name()).collect();
    let known: Vec<&str> = images.iter().map(String::as_str).collect();
    let field = plane
        .field(name)
        .filter(|field| field.is_f32())
        .ok_or_else(|| CliError::unknown("field", name, &known))?;
    let mut bytes = Vec::new();
    let info = field.copy_latest(&mut bytes).map_err(|error| {
        CliError::new(exit::NOT_FOUND, "no-frame", format!("field \"{name}\": {error}"))
            .hint("runtime status --wait waits for the first tick")
    })?;
    let (nx, ny) = (field.nx() as usize, field.ny() as usize);
    Ok(Frame { nx, ny, tick: info.tick, from: "running swarm", cells: cells(&bytes) })
}

fn recorded(context: &Context, name: &str) -> Result<Frame, CliError> {
    let dir = recording::dir(context, None)?;
    let output = recording::command("field", &dir)?
        .args(["--name", name, "--json"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| CliError::new(exit::FAILURE, "recorder", error.to_string()))?;
    if !output.status.success() {
        return Err(refused(&output.stderr, output.status.code(), &dir));
    }
    // One line of JSON, then the cells.
    let cut = output.stdout.iter().position(|byte| *byte == b'\n').unwrap_or(output.stdout.len());
    let garbled = || CliError::new(exit::FAILURE, "recorder", "the recorder's answer is garbled");
    let meta: Json = serde_json::from_slice(&output.stdout[..cut]).map_err(|_| garbled())?;
    let number = |key: &str| {
        let value = &meta[key];
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(garbled)
    };
    Ok(Frame {
        nx: number("nx")? as usize,
        ny: number("ny")? as usize,
        tick: number("tick")?,
        from: "recording",
        cells: cells(output.stdout.get(cut + 1..).unwrap_or_default()),
    })
}

fn refused(stderr: &[u8], code: Option<i32>, dir: &Path) -> CliError {
    let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::FAILURE);
    let answer: Json = serde_json::from_slice(stderr).unwrap_or(Json::Null);
    let words = |key: &str| answer["error"][key].as_str().map(str::to_owned);
    let message = words("message").unwrap_or_else(|| {
        format!("{}: {}", dir.display(), String::from_utf8_lossy(stderr).trim())
    });
    let error = CliError::new(code, "recording", message);
    let hint = words("hint").unwrap_or_else(|| "runtime up records a swarm".into());
    error.hint(hint)
}

fn cells(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|cell| f32::from_le_bytes([cell[0], cell[1], cell[2], cell[3]]))
        .collect()
}

fn range(cells: &[f32]) -> (f64, f64, f64) {
    let all = cells.iter().map(|cell| f64::from(*cell));
    let min = all.clone().fold(f64::INFINITY, f64::min);
    let max = all.clone().fold(f64::NEG_INFINITY, f64::max);
    (min, max, all.sum::<f64>() / cells.len().max(1) as f64)
}
