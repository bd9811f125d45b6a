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
        let mut log = Self {
            path: path.to_owned(),
            file: None,
            file_bytes: 0,
            line: Vec::new(),
            second: 0,
            lines: 0,
            dropped: 0,
            last_line: String::new(),
        };
        log.reopen();
        log
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

    /// The child has ended: what it printed last is a line, even without a line feed.
    pub(super) fn end(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    /// A line of the supervisor about the child.
    pub(super) fn note(&mut self, words: &str) {
        self.write(&format!("[supervisor] {words}"));
    }

    /// The last line the child printed that says something: no backtrace.
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
        if !line.is_empty() && !is_backtrace(&line) {
            self.last_line = line;
        }
    }

    fn write(&mut self, words: &str) {
        if self.file_bytes > FILE_BYTES_MAX {
            self.rotate();
        }
        let wall = wall_ns();
        let line = format!("{}.{:03} {words}\n", wall / 1_000_000_000, wall / 1_000_000 % 1000);
        if self.file.is_none() {
            // Descriptors or space may be there again.
            self.reopen();
        }
        match self.file.as_mut().map(|file| file.write_all(line.as_bytes())) {
            Some(Ok(())) => self.file_bytes += line.len() as u64,
            Some(Err(_)) | None => self.dropped += 1,
        }
    }

    fn reopen(&mut self) {
        self.file = OpenOptions::new().create(true).append(true).open(&self.path).ok();
        self.file_bytes =
            self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |m| m.len());
    }

    fn rotate(&mut self) {
        let numbered = |number: u32| self.path.with_extension(format!("log.{number}"));
        for number in (1..FILES_KEPT).rev() {
            let _ = std::fs::rename(numbered(number), numbered(number + 1));
        }
        let _ = std::fs::rename(&self.path, numbered(1));
        self.reopen();
        // A file that could not be renamed grows: another try at every line would cost more than it gives.
        self.file_bytes = 0;
    }
}

/// Whether this is what Rust prints below the message of a panic: frames of its stack, or how to get them.
fn is_backtrace(line: &str) -> bool {
    const AROUND: [&str; 4] = [
        "stack backtrace:",
        "note: run with `RUST_BACKTRACE=",
        "note: Some details are omitted",
        "skipping backtrace",
    ];
    let inside = line.trim_start();
    let frame = inside.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    AROUND.iter().any(|words| line.starts_with(words))
        || (inside.len() < line.len() && (frame || inside.starts_with("at ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a log, without their times.
    fn lines(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).expect("the log");
        text.lines().map(|line| line.split_once(' ').expect("a time").1.to_owned()).collect()
    }

    #[test]
    fn lines_are_cut_and_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let mut log = Log::open(&path);
        log.take(b"one\ntw");
        log.take(b"o\n");
        log.take(&[b'x'; 100_000]);
        log.take(b"\n");
        let lines = lines(&path);
        assert_eq!(lines[..2], ["one", "two"]);
        assert_eq!(lines[2].len(), LINE_BYTES_MAX);
        for _ in 0..3 * LINES_PER_SECOND_MAX {
            log.take(b"flood\n");
        }
        assert!(log.dropped() >= u64::from(LINES_PER_SECOND_MAX));
    }
    #[test]
    fn what_ends_without_a_line_feed_is_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let mut log = Log::open(&path);
        log.take(b"first\nlast words");
        log.end();
        assert_eq!(log.last_line(), "last words");
        log.end();
        log.take(b"of the next\n");
        assert_eq!(lines(&path), ["first", "last words", "of the next"]);
    }

    /// A panic ends with its backtrace, or with how to get one; what it is about stands above.
    #[test]
    fn a_panic_is_quoted_by_its_message() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Log::open(&folder.path().join("a.log"));
        for below in [
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
            "stack backtrace:\n   0: agent::main\n             at ./src/main.rs:2:5\n  12: main\n\
             note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n",
        ] {
            log.take(b"thread 'main' (7) panicked at src/main.rs:2:5:\nno such gain: -1\n");
            log.take(below.as_bytes());
            assert_eq!(log.last_line(), "no such gain: -1");
            for words in ["12: indented less", "  what():  a C++ program ends so", "at last"] {
                log.take(format!("{words}\n").as_bytes());
                assert_eq!(log.last_line(), words);
            }
        }
    }

    /// The folder is away while the file is to be renamed.
    #[test]
    fn a_file_that_could_not_be_opened_is_opened_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("logs");
        std::fs::create_dir(&inside).expect("a folder");
        let path = inside.join("a.log");
        let mut log = Log::open(&path);
        log.file_bytes = FILE_BYTES_MAX + 1;
        std::fs::remove_dir_all(&inside).expect("it goes");
        log.take(b"lost\n");
        log.note("lost, too");
        assert_eq!(log.dropped(), 2);
        std::fs::create_dir(&inside).expect("a folder");
        log.take(b"kept\n");
        assert_eq!((log.dropped(), lines(&path)), (2, vec!["kept".to_owned()]));
    }
}
