//! Small files of `/proc` and `/sys`, as what they mean; what is missing or odd is `None`.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder that holds `proc` and `sys`.
pub(crate) struct Source {
    root: PathBuf,
}

impl Source {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The trimmed text of a file; `None` if there is none. Bytes that are no text (device trees end their
    /// strings with a zero byte) are dropped.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.root.join(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        Some(text.to_owned())
    }

    /// As [`Source::text`], but an empty file is as good as none.
    pub(crate) fn word(&self, path: &str) -> Option<String> {
        self.text(path).filter(|text| !text.is_empty())
    }

    pub(crate) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// A file that says 0 or 1.
    pub(crate) fn flag(&self, path: &str) -> Option<bool> {
        match self.number(path)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// The word in brackets, in a file that lists what could be chosen: `always [madvise] never`.
    pub(crate) fn chosen(&self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        let (_, rest) = text.split_once('[')?;
        Some(rest.split_once(']')?.0.to_owned())
    }

    /// A list of CPUs or nodes. Linux writes `(null)` for a list that was never made.
    pub(crate) fn cpus(&self, path: &str) -> Option<Vec<usize>> {
        let text = self.text(path)?;
        if text == "(null)" {
            return Some(Vec::new());
        }
        rsw_os::affinity::parse_list(&text).ok()
    }
}
