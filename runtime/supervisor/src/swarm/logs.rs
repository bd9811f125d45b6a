//! What a child prints, bounded: lines, rate and files.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use rsw_os::clock::{mono_ns, wall_ns};

/// A longer line is cut.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Lines a second that are kept; more are counted.
const LINES_PER_SECOND_MAX: u32 = 1000;
/// A log file is renamed when it is this long.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Renamed files that are kept.
const FILES_KEPT: u32 = 5;

/// The log of one child.
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    file_bytes: u64,
    line: Vec<u8>,
    second: u64,
    lines: u32,
    dropped: u64,
    last_line: String,
}

impl Log {
    /// Opens the file to append to; a log that cannot be opened loses lines, not the swarm.
    pub(super) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path).ok();
        let file_bytes = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |m| m.len());
        Self {
            path: path.to_owned(),
            file,
            file_bytes,
            line: Vec::new(),
            second: 0,
            lines: 0,
            dropped: 0,
            last_line: String::new(),
        }
    }

    /// Takes what the child printed, in whatever pieces.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES_MAX - self.line.len().min(LINE_BYTES_MAX);
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// A line of the supervisor about the child.
    pub(super) fn note(&mut self, words: &str) {
        self.write(&format!("[supervisor] {words}"));
    }

    /// The last line the child printed.
    pub(super) fn last_line(&self) -> &str {
        &self.last_line
    }

    /// Lines that were not kept.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        let second = mono_ns() / 1_000_000_000;
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        self.lines += 1;
        if self.lines > LINES_PER_SECOND_MAX {
            self.dropped += 1;
            return;
        }
        self.write(&line);
        if !line.is_empty() {
            self.last_line = line;
        }
    }

    fn write(&mut self, words: &str) {
        if self.file_bytes > FILE_BYTES_MAX {
            self.rotate();
        }
        let wall = wall_ns();
        let line = format!("{}.{:03} {words}\n", wall / 1_000_000_000, wall / 1_000_000 % 1000);
        let Some(file) = &mut self.file else { return };
        match file.write_all(line.as_bytes()) {
            Ok(()) => self.file_bytes += line.len() as u64,
            Err(_) => self.dropped += 1,
        }
    }

    fn rotate(&mut self) {
        let numbered = |number: u32| self.path.with_extension(format!("log.{number}"));
        for number in (1..FILES_KEPT).rev() {
            let _ = std::fs::rename(numbered(number), numbered(number + 1));
        }
        let _ = std::fs::rename(&self.path, numbered(1));
        self.file = OpenOptions::new().create(true).append(true).open(&self.path).ok();
        self.file_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let mut log = Log::open(&path);
        log.take(b"one\ntw");
        log.take(b"o\n");
        log.take(&[b'x'; 100_000]);
        log.take(b"\n");
        let text = std::fs::read_to_string(&path).expect("the log");
        let lines: Vec<&str> =
            text.lines().map(|line| line.split_once(' ').expect("a time").1).collect();
        assert_eq!(lines[..2], ["one", "two"]);
        assert_eq!(lines[2].len(), LINE_BYTES_MAX);
        for _ in 0..3 * LINES_PER_SECOND_MAX {
            log.take(b"flood\n");
        }
        assert!(log.dropped() >= u64::from(LINES_PER_SECOND_MAX));
    }
}
