//! The kernel's counters: part of the layout, so that any tool reads them from a stuck system.

use crate::layout::layout;

layout! {
    /// One counter.
    pub struct CounterLine: 128 {
        /// The value. Atomic; written by the kernel alone.
        pub value: u64,
        /// A [`Counter`] as its number.
        pub id: u32,
        /// Zero.
        pub reserved: u32,
        /// Name.
        pub name: [u8; 32],
        /// Unit.
        pub unit: [u8; 16],
        /// One sentence.
        pub meaning: [u8; 64],
    }
}

macro_rules! counters {
    ($($(#[$meta:meta])* $variant:ident = $id:literal, $name:literal, $unit:literal, $meaning:literal;)*) => {
        /// Every counter of the kernel; the number is its id and its place in the region.
        #[repr(u32)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Counter { $(#[doc = $meaning] $variant = $id,)* }

        impl Counter {
            /// All counters, in the order of their ids.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// Name, unit and one sentence.
            pub const fn describe(self) -> (&'static str, &'static str, &'static str) {
                match self { $(Counter::$variant => ($name, $unit, $meaning),)* }
            }
        }
        $(const _: () = assert!($meaning.len() < 64 && $name.len() < 32 && $unit.len() < 16);)*
    };
}

counters! {
    Published = 0, "published", "events", "Events committed to the ring in this generation";
    Ticks = 1, "ticks", "ticks", "Ticks committed in this generation";
    Overruns = 2, "overruns", "ticks", "Ticks skipped because one took longer than its period";
    SolverNs = 3, "solver_ns", "ns", "Time spent in the solver";
    MetricsNs = 4, "metrics_ns", "ns", "Time spent in the metrics";
    CommitNs = 5, "commit_ns", "ns", "Time spent copying results and committing events";
    Frames = 6, "frames", "frames", "Field frames published";
    Batches = 7, "batches", "batches", "Record batches published";
    BatchesSkipped = 8, "batches_skipped", "batches", "Batches too large for the arena";
    Checkpoints = 9, "checkpoints", "checkpoints", "States saved for a successor";
    ReportsAdmitted = 10, "reports_admitted", "reports", "Agent reports that became events";
    ReportsRefused = 11, "reports_refused", "reports", "Agent reports refused by the checks";
    GateWaits = 12, "gate_waits", "waits", "Commits that waited for a lossless recorder";
    GateWaitNs = 13, "gate_wait_ns", "ns", "Time spent waiting for a lossless recorder";
    GateTimeouts = 14, "gate_timeouts", "waits", "Waits for a lossless recorder given up";
    Diverged = 15, "diverged", "resets", "Times the field was reset: NaN, infinity, or beyond 1e12";
    SourceGaps = 16, "source_gaps", "samples", "Driving samples that were missing and interpolated";
    ThresholdCrossings = 17, "threshold_crossings", "crossings", "Times a watched value crossed its threshold";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_places() {
        for (place, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, place);
        }
    }
}
