//! `runtime logs`: what the processes printed, also after they ended.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rsw_schemas::exit;
use serde_json::json;

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
    let mut offsets = BTreeMap::new();
    let mut last = Vec::new();
    for (name, path) in &files {
        let (lines, end) = last_lines(path, args.lines);
        offsets.insert(name, end);
        last.extend(lines.into_iter().map(|line| (name.as_str(), line)));
    }
    let width = files.keys().map(String::len).max().unwrap_or(0);
    print(context, width, last);
    if !args.follow {
        return Ok(exit::OK);
    }
    context.end_on_interrupt()?;
    loop {
        std::thread::sleep(LOOK);
        let mut new = Vec::new();
        for (name, path) in &files {
            let lines = new_lines(path, offsets.entry(name).or_insert(0));
            new.extend(lines.into_iter().map(|line| (name.as_str(), line)));
        }
        print(context, width, new);
    }
}

/// A line of a log.
struct Line {
    /// When it was printed, if that is known.
    time: Option<Timestamp>,
    /// That, or the time of the line before.
    place: Option<Timestamp>,
    words: String,
}

/// Lines as the supervisor wrote them: seconds since 1970 with three decimals, a blank, the words. What it said itself,
/// in the background, has no times.
fn parse(text: &str) -> Vec<Line> {
    let mut place = None;
    let line = |line: &str| {
        let (time, words) = match timed(line) {
            Some((time, words)) => (Some(time), words),
            None => (None, line),
        };
        place = time.or(place);
        Line { time, place, words: words.to_owned() }
    };
    text.lines().map(line).collect()
}

fn timed(line: &str) -> Option<(Timestamp, &str)> {
    let (time, words) = line.split_once(' ').unwrap_or((line, ""));
    let (seconds, millis) = time.split_once('.').filter(|(_, millis)| millis.len() == 3)?;
    let millis = seconds.parse::<i64>().ok()?.checked_mul(1000)? + millis.parse::<i64>().ok()?;
    Some((Timestamp::from_millisecond(millis).ok()?, words))
}

/// Lines of several processes, in the order of time.
fn print(context: &Context, width: usize, mut lines: Vec<(&str, Line)>) {
    lines.sort_by_key(|(_, line)| line.place);
    for (name, Line { time, words, .. }) in lines {
        let time = time.map(|time| format!("{time:.3}"));
        let document = json!({"name": name, "time": time, "line": words});
        let time = time.map(|time| time + " ").unwrap_or_default();
        context.print_json_or(&document, &format!("{name:width$} | {time}{words}"));
    }
}

/// The last lines of a log, some perhaps from the file before it, and where the file ends.
fn last_lines(path: &Path, count: usize) -> (Vec<Line>, u64) {
    let tail = |path: &Path| {
        let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let begin = size.saturating_sub(TAIL_BYTES);
        let mut offset = begin;
        let mut lines = new_lines(path, &mut offset);
        if begin > 0 && !lines.is_empty() {
            // The end of one that began further up.
            lines.remove(0);
        }
        (lines, offset)
    };
    let (mut lines, end) = tail(path);
    if lines.len() < count {
        let (mut before, _) = tail(&path.with_extension("log.1"));
        before.append(&mut lines);
        lines = before;
    }
    lines.drain(..lines.len().saturating_sub(count));
    (lines, end)
}

/// Whole lines from `offset` on, which moves behind them. A file that shrank was rotated: begins anew.
fn new_lines(path: &Path, offset: &mut u64) -> Vec<Line> {
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
    parse(&String::from_utf8_lossy(&bytes[..whole]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the last lines some are in the file that was renamed last, and a file is not read from its beginning.
    #[test]
    fn the_last_lines_reach_into_the_file_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        std::fs::write(path.with_extension("log.1"), "1.000 old\n2.500 b\n").expect("a file");
        std::fs::write(&path, "3.000 c  d\n4.000 \nraw\n5.000 half").expect("a file");
        let (lines, end) = last_lines(&path, 4);
        let words: Vec<&str> = lines.iter().map(|line| line.words.as_str()).collect();
        assert_eq!((words, end), (vec!["b", "c  d", "", "raw"], 22));
        assert_eq!(format!("{:.3}", lines[0].time.expect("a time")), "1970-01-01T00:00:02.500Z");
        assert_eq!((lines[3].time, lines[3].place), (None, lines[2].time));

        let long = "7.000 x\n".repeat(1 << 18);
        std::fs::write(&path, &long).expect("a file");
        let (lines, end) = last_lines(&path, usize::MAX);
        assert_eq!(end, long.len() as u64);
        assert!(lines.len() as u64 <= TAIL_BYTES / 8 + 1, "{}", lines.len());
    }
}
