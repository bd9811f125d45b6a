//! Pages that flow against the plane: one word-sized hint at a time, written by the one process that owns
//! the page, believed by nobody without a check.

use crate::layout::layout;

/// Size of either page's file.
pub const PAGE_BYTES: usize = 4096;

layout! {
    /// An agent's mailbox: it writes, gateway and supervisor read. Every word is a hint.
    pub struct MailboxPage: 128 {
        /// `CLOCK_MONOTONIC` of the agent's last sign of life.
        pub heartbeat_mono_ns: u64,
        /// Sequence of the next ring event it will read.
        pub cursor: u64,
        /// Ring events it lost.
        pub lost_events: u64,
        /// Loans it missed.
        pub missed_loans: u64,
        /// Ring events it received.
        pub received_events: u64,
        /// Reports it sent.
        pub reports: u64,
        /// Generation it reads.
        pub generation: u64,
        /// Last tick it saw.
        pub tick: u64,
        /// `cs_mean` of its last report, as f64 bits.
        pub cs_bits: u64,
        /// Zero.
        pub reserved: [u64; 7],
    }
}

layout! {
    /// The recorder's page: it writes; the kernel maps it read-only for `lossless`, the supervisor for `status`.
    pub struct RecorderPage: 128 {
        /// `CLOCK_MONOTONIC` of the recorder's last sign of life.
        pub heartbeat_mono_ns: u64,
        /// Every event before this sequence has left the ring (in RAM, not yet on disk).
        pub drained: u64,
        /// Every event before this sequence is in AgentDB, as a row or inside a gap row.
        pub durable: u64,
        /// Events in AgentDB, this run.
        pub recorded: u64,
        /// Events lost, this run.
        pub lost: u64,
        /// Generation it drains.
        pub generation: u64,
        /// 0 fine, 1 disk full and retrying, 2 database error and retrying.
        pub trouble: u64,
        /// Events waiting in the spool.
        pub spooled: u64,
        /// Zero.
        pub reserved: [u64; 8],
    }
}
