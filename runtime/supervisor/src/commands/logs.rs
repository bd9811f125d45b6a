//! `runtime logs`: what the processes printed, also after they ended.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use rsw_schemas::exit;

use super::Context;
use crate::cli::Logs;
use crate::view::error::CliError;

/// Time between two looks with `--follow`.
const LOOK: Duration = Duration::from_millis(200);
/// How far back to look for the last lines of a file.
const TAIL_BYTES: u64 = 1 << 20;

pub(super) fn run(context: &Context, args: &Logs) -> Result<u8, CliError> {
    let project = context.project()?;
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir(&project.log_dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "log")
            && let Some(name) = path.file_stem()
        {
            files.insert(name.to_string_lossy().into_owned(), path);
        }
    }
    if files.is_empty() {
        let words = format!("no process of swarm \"{}\" ever ran here", project.name);
        return Err(CliError::new(exit::NOT_FOUND, "no-logs", words).hint("runtime up starts it"));
    }
    for name in &args.names {
        if !files.contains_key(name) {
            let known: Vec<&str> = files.keys().map(String::as_str).collect();
            return Err(CliError::unknown("process", name, &known));
        }
    }
    if !args.names.is_empty() {
        files.retain(|name, _| args.names.contains(name));
    }
    let width = files.keys().map(String::len).max().unwrap_or(0);
    let mut offsets = BTreeMap::new();
    for (name, path) in &files {
        let (lines, end) = last_lines(path, args.lines);
        offsets.insert(name.clone(), end);
        for line in lines {
            context.print(&format!("{name:width$} | {line}"));
        }
    }
    if !args.follow {
        return Ok(exit::OK);
    }
    context.end_on_interrupt()?;
    loop {
        std::thread::sleep(LOOK);
        for (name, path) in &files {
            let offset = offsets.entry(name.clone()).or_insert(0);
            for line in new_lines(path, offset) {
                context.print(&format!("{name:width$} | {line}"));
            }
        }
    }
}

fn last_lines(path: &PathBuf, count: usize) -> (Vec<String>, u64) {
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut offset = size.saturating_sub(TAIL_BYTES);
    let mut lines = new_lines(path, &mut offset);
    lines.drain(..lines.len().saturating_sub(count));
    (lines, offset)
}

/// Whole lines from `offset` on, which moves behind them. A file that shrank was rotated: begins anew.
fn new_lines(path: &PathBuf, offset: &mut u64) -> Vec<String> {
    let Ok(mut file) = std::fs::File::open(path) else { return Vec::new() };
    if file.metadata().map_or(0, |metadata| metadata.len()) < *offset {
        *offset = 0;
    }
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(*offset)).and_then(|_| file.read_to_end(&mut bytes)).is_err() {
        return Vec::new();
    }
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    *offset += whole as u64;
    String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect()
}
