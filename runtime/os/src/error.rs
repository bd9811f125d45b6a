//! The one error of this crate: which operation, on what, and what the kernel answered.

use std::fmt::Display;
use std::io;

/// A system call that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {object}: {source}")]
pub struct OsError {
    /// What was asked, as a verb phrase ("create memory file").
    pub operation: &'static str,
    /// What it was asked of ("\"plane\"", "pid 12", "/run/x.lock").
    pub object: String,
    /// What the kernel answered, or the reason of a check of ours.
    #[source]
    pub source: io::Error,
}

impl OsError {
    /// An error of `operation` on `object`.
    pub fn new(
        operation: &'static str,
        object: impl Display,
        source: impl Into<io::Error>,
    ) -> OsError {
        OsError { operation, object: object.to_string(), source: source.into() }
    }

    /// The class of the answer, for callers that decide on it.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// True if memory or a file system had no room.
    pub fn is_no_space(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory)
    }

    /// True if this process may open no more descriptors, or the machine has none left.
    pub fn is_no_descriptor(&self) -> bool {
        let errno = rustix::io::Errno::from_io_error(&self.source);
        matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
    }

    pub(crate) fn refused(
        operation: &'static str,
        object: impl Display,
        kind: io::ErrorKind,
        reason: impl Into<String>,
    ) -> OsError {
        OsError::new(operation, object, io::Error::new(kind, reason.into()))
    }
}
