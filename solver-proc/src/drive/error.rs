//! What can be wrong with a recording.

use std::path::PathBuf;

use thiserror::Error;

/// Why a recording cannot drive a source; every variant names the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DriveError {
    /// The file cannot be opened or read.
    #[error("{} cannot be read: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is no CSV.
    #[error("{} line {line} is not CSV: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// No header, or no row below it.
    #[error("{} is empty: a header and at least one row of samples are needed", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// No column of that name.
    #[error("{} has no column \"{column}\"{hint}", file.display())]
    NoColumn {
        /// The file.
        file: PathBuf,
        /// What was asked for.
        column: String,
        /// The nearest names, or all of them, as the end of the sentence.
        hint: String,
    },
    /// A cell that is neither a number nor missing.
    #[error(
        "{} line {line}, column \"{column}\": \"{value}\" is not a number; leave the cell empty if the sample is missing",
        file.display()
    )]
    Text {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The column.
        column: String,
        /// The cell.
        value: String,
    },
    /// A column in which every sample is missing.
    #[error("{} column \"{column}\" has no sample: every cell is missing", file.display())]
    NoSamples {
        /// The file.
        file: PathBuf,
        /// The column.
        column: String,
    },
    /// A timestamp in no known form.
    #[error(
        "{} line {line}, column \"{column}\": \"{value}\" is not a time; use seconds, nanoseconds, YYYY-MM-DD HH:MM:SS[.fff] or RFC 3339",
        file.display()
    )]
    Time {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The column.
        column: String,
        /// The cell.
        value: String,
    },
    /// Time runs backwards.
    #[error(
        "{} line {line}, column \"{column}\": the time is before that of the line above; sort the file by it",
        file.display()
    )]
    TimeBackwards {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// The column.
        column: String,
    },
}
