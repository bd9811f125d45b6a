//! The batch arena: Arrow IPC streams one after another in a circle, described by ring events.

use crate::layout::layout;

/// What a batch holds. The numbers are ABI.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSchema {
    /// One row per agent and tick, columns [`METRIC_COLUMNS`].
    Metrics = 1,
}

/// Type of an Arrow column, named without depending on Arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Unsigned 64 bit.
    U64,
    /// Signed 64 bit.
    I64,
    /// Unsigned 32 bit.
    U32,
    /// IEEE double; undefined values are null.
    F64,
}

/// Columns of [`BatchSchema::Metrics`], in order: name, type, nullable, meaning.
pub const METRIC_COLUMNS: &[(&str, ColumnType, bool, &str)] = &[
    ("tick", ColumnType::U64, false, "tick, counted from 1"),
    ("t_ns", ColumnType::I64, false, "field time in nanoseconds"),
    ("agent_id", ColumnType::U32, false, "agent, counted from 1"),
    ("d", ColumnType::F64, true, "box-counting dimension at the site"),
    ("c", ColumnType::F64, false, "coherence in (0, 1]"),
    ("g", ColumnType::F64, false, "gain"),
    ("tau", ColumnType::F64, false, "dwell time in field seconds"),
    ("ci", ColumnType::F64, false, "complexity index"),
    ("u", ColumnType::F64, false, "wave at the site"),
    ("drive", ColumnType::F64, true, "driving sample of the agent's source"),
];

layout! {
    /// Head of the arena. Positions are monotonic byte counts; a byte at position `p` lies at `p % capacity`.
    /// A stream never wraps: the writer skips to the start of the arena instead.
    pub struct ArenaHeader: 256 {
        /// Bytes after this header.
        pub capacity_bytes: u64,
        /// Rest of the line.
        pub pad0: [u64; 15],
        /// Positions below this may be overwritten. Atomic.
        pub tail: u64,
        /// Rest of the line.
        pub pad1: [u64; 15],
    }
}
