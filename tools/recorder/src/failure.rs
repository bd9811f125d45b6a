//! How a command of this program fails: code for scripts, message and hint for people.

use std::io::ErrorKind;

use rsw_schemas::exit;

use crate::database::{OpenError, is_damage};

/// A failure, ready to be shown.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Exit code, one of [`rsw_schemas::exit`].
    pub exit_code: u8,
    /// Object and reason.
    pub message: String,
    /// The way out; may be empty.
    pub hint: String,
    closed_pipe: bool,
}

impl Failure {
    /// A failure with its parts.
    pub fn new(exit_code: u8, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit_code, message: message.into(), hint: hint.into(), closed_pipe: false }
    }

    /// Whether nothing is wrong but that the reader of stdout went away.
    pub fn is_closed_pipe(&self) -> bool {
        self.closed_pipe
    }

    /// The document that `--json` prints on stderr.
    pub fn to_json(&self) -> String {
        serde_json::json!({"error": {
            "code": self.word(), "message": self.message, "hint": self.hint,
        }})
        .to_string()
    }

    /// The exit code as the word that scripts compare, the same as `runtime` itself uses.
    fn word(&self) -> &'static str {
        match self.exit_code {
            exit::USAGE => "usage",
            exit::NOT_FOUND => "not-found",
            exit::CONFIG => "bad-configuration",
            exit::CONFLICT => "conflict",
            exit::PERMISSION => "permission",
            exit::LAYOUT => "layout",
            exit::CHECK_FAILED => "check-failed",
            _ => "recorder",
        }
    }

    /// Message and hint in one line.
    pub fn to_line(&self) -> String {
        if self.hint.is_empty() {
            return self.message.clone();
        }
        format!("{}; {}", self.message, self.hint)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let (code, hint) = match &error {
            OpenError::Missing { .. } => (
                exit::NOT_FOUND,
                "name the folder of a recording with --dir, or record one: runtime up",
            ),
            OpenError::Locked { .. } => (
                exit::CONFLICT,
                "stop the swarm that records there, or choose another: recorder.dir",
            ),
            OpenError::Foreign { .. } => (exit::CONFIG, "choose another folder: recorder.dir"),
            OpenError::Newer { .. } => (exit::CONFIG, "use the program that recorded it"),
            OpenError::Library { .. } => (exit::FAILURE, "build with the bundled SQLite"),
            OpenError::Io { source, .. }
                if matches!(source.kind(), ErrorKind::AlreadyExists | ErrorKind::NotADirectory) =>
            {
                (exit::CONFIG, "it is no folder: move it, or choose another: recorder.dir")
            }
            error if error.is_permission() => {
                (exit::PERMISSION, "make the folder writable, or choose another: recorder.dir")
            }
            OpenError::Sqlite { source, .. } if is_damage(source) => {
                (exit::CHECK_FAILED, "the file is damaged; the next recording sets it aside")
            }
            OpenError::Io { .. } | OpenError::Sqlite { .. } => (exit::FAILURE, ""),
        };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let code = if is_damage(&error) { exit::CHECK_FAILED } else { exit::FAILURE };
        Self::new(code, error.to_string(), "")
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let closed_pipe = error.kind() == ErrorKind::BrokenPipe;
        let message = format!("stdout cannot be written: {error}");
        Self { closed_pipe, ..Self::new(exit::FAILURE, message, "") }
    }
}
