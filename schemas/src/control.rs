//! The control region: single words that change on every tick, each on a 128-byte line of its own so
//! that a reader of one never waits for the line of another (two lines of 64 bytes: adjacent-line
//! prefetchers fetch pairs).

use crate::layout::layout;

/// A line in the plane, in bytes.
pub const LINE_BYTES: usize = 128;
/// A line in the plane, in 64-bit words.
pub const LINE_WORDS: usize = LINE_BYTES / 8;

/// State of the kernel, in [`ControlLines::state`].
#[repr(u64)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelState {
    /// The plane exists, the first tick does not.
    Starting = 1,
    /// Ticking.
    Running = 2,
    /// `--ticks` is reached; the kernel still admits reports and keeps its heartbeat.
    Finished = 3,
    /// It was told to stop and will publish nothing more.
    Stopped = 4,
}

impl KernelState {
    /// The state behind a word, if it is one.
    pub const fn from_word(word: u64) -> Option<Self> {
        Some(match word {
            1 => Self::Starting,
            2 => Self::Running,
            3 => Self::Finished,
            4 => Self::Stopped,
            _ => return None,
        })
    }
}

layout! {
    /// The control lines. Every named word is written by the kernel alone, with atomic stores.
    pub struct ControlLines: 640 {
        /// `CLOCK_MONOTONIC` of the last sign of life.
        pub heartbeat_mono_ns: u64,
        /// Rest of the line.
        pub pad0: [u64; 15],
        /// Futex word: lower 32 bits count committed batches.
        pub wake: u64,
        /// Rest of the line.
        pub pad1: [u64; 15],
        /// Sequence of the next event to be published: everything before it is committed.
        pub cursor: u64,
        /// Rest of the line.
        pub pad2: [u64; 15],
        /// Last committed tick; 0 before the first.
        pub tick: u64,
        /// Rest of the line.
        pub pad3: [u64; 15],
        /// A [`KernelState`].
        pub state: u64,
        /// Rest of the line.
        pub pad4: [u64; 15],
    }
}
