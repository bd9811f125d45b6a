//! The event ring's slot and every event kind. A slot is two cache lines: 32 bytes of head, 96 of payload.

use crate::layout::layout;

/// Bytes of payload in a slot.
pub const PAYLOAD_BYTES: usize = 96;
/// `source` of an event that the kernel made itself; agents count from 1.
pub const SOURCE_KERNEL: u32 = 0;

layout! {
    /// One slot of the ring.
    ///
    /// `stamp` is `2s+1` while sequence `s` is being written and `2s+2` when it is complete (mod 2^64).
    pub struct Slot: 128 {
        /// Busy or complete, and for which sequence.
        pub stamp: u64,
        /// An [`EventKind`] as its number.
        pub kind: u16,
        /// Bits of the kind; none is defined yet.
        pub flags: u16,
        /// Bytes of `payload` that carry the event.
        pub len_bytes: u16,
        /// Zero.
        pub reserved: u16,
        /// [`SOURCE_KERNEL`], or the id of the agent that caused the event.
        pub source: u32,
        /// Lower 32 bits of the generation.
        pub generation: u32,
        /// Field time of the event: nanoseconds from the start of the run, or of the recording that drives it.
        pub t_ns: i64,
        /// The POD that `kind` names, then zeros.
        pub payload: [u8; PAYLOAD_BYTES],
    }
}

/// What an event says. The numbers are ABI and are never reused.
#[repr(u16)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A tick was committed ([`Tick`]).
    Tick = 1,
    /// A field has a new frame ([`FieldReady`]).
    FieldReady = 2,
    /// A record batch lies in the arena ([`BatchReady`]).
    BatchReady = 3,
    /// Metrics at one agent's site ([`AgentMetric`]).
    AgentMetric = 4,
    /// A watched quantity crossed its threshold ([`ThresholdCrossed`]).
    ThresholdCrossed = 5,
    /// What an agent computed ([`Report`]).
    Report = 6,
    /// Something is wrong and someone should look ([`Alert`]).
    Alert = 7,
    /// An agent attached ([`Presence`]).
    Joined = 8,
    /// An agent detached or died ([`Presence`]).
    Left = 9,
    /// A source began, ended or changed ([`SourceChanged`]).
    SourceChanged = 10,
    /// Data are missing in an input ([`Gap`]).
    Gap = 11,
    /// A kernel began its generation ([`Generation`]); always the first event of a plane.
    Generation = 12,
    /// An annotation of the driving recording changed ([`Annotation`]).
    Annotation = 13,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [EventKind; 13] = [
        Self::Tick,
        Self::FieldReady,
        Self::BatchReady,
        Self::AgentMetric,
        Self::ThresholdCrossed,
        Self::Report,
        Self::Alert,
        Self::Joined,
        Self::Left,
        Self::SourceChanged,
        Self::Gap,
        Self::Generation,
        Self::Annotation,
    ];

    /// The kind behind a number, if it is one.
    pub fn from_u16(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u16 == number)
    }

    /// The name that the command line and AgentDB show.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::FieldReady => "field_ready",
            Self::BatchReady => "batch_ready",
            Self::AgentMetric => "agent_metric",
            Self::ThresholdCrossed => "threshold_crossed",
            Self::Report => "report",
            Self::Alert => "alert",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::SourceChanged => "source_changed",
            Self::Gap => "gap",
            Self::Generation => "generation",
            Self::Annotation => "annotation",
        }
    }
}

layout! {
    /// Payload of [`EventKind::Tick`]: the state of the whole field after the tick.
    pub struct Tick: 96 {
        /// The tick, counted from 1.
        pub tick: u64,
        /// `CLOCK_MONOTONIC` at the commit.
        pub mono_ns: u64,
        /// Mean CI over the field.
        pub ci_mean: f64,
        /// Global box-counting dimension D; NaN where undefined (a single usable scale).
        pub d_global: f64,
        /// Mean coherence C over the field.
        pub coherence_mean: f64,
        /// Mean gain G over the field.
        pub gain_mean: f64,
        /// Mean dwell time over the field, in field seconds.
        pub dwell_mean: f64,
        /// Two-level discrete energy of the wave.
        pub energy: f64,
        /// Largest |u|.
        pub u_abs_max: f64,
        /// Nanoseconds spent in the solver this tick.
        pub solver_ns: u32,
        /// Nanoseconds spent in the metrics this tick.
        pub metrics_ns: u32,
        /// Nanoseconds spent committing the tick before this one (this one is not over yet).
        pub commit_ns: u32,
        /// Ticks missed so far because a tick took longer than its period.
        pub overruns: u32,
        /// R^2 of the fit behind `d_global`; NaN where undefined.
        pub d_r2: f64,
    }
}

layout! {
    /// Payload of [`EventKind::FieldReady`].
    pub struct FieldReady: 32 {
        /// The tick that made the frame.
        pub tick: u64,
        /// Number of the frame within its field, counted from 1 in each generation.
        pub frame: u64,
        /// Index into the field directory.
        pub field: u32,
        /// Zero.
        pub reserved: u32,
        /// Smallest and largest cell.
        pub range: [f32; 2],
    }
}

layout! {
    /// Payload of [`EventKind::BatchReady`]: where an Arrow IPC stream lies in the arena.
    pub struct BatchReady: 56 {
        /// Number of the batch, counted from 1 in each generation.
        pub batch: u64,
        /// Position in the arena, monotonic (never wrapped by the reader of this event).
        pub position_bytes: u64,
        /// Length of the stream.
        pub len_bytes: u64,
        /// First tick with rows in it.
        pub first_tick: u64,
        /// Last tick with rows in it.
        pub last_tick: u64,
        /// Rows.
        pub rows: u32,
        /// A [`crate::batch::BatchSchema`].
        pub schema: u32,
        /// CRC-32 (IEEE) of the stream.
        pub crc32: u32,
        /// Zero.
        pub reserved: u32,
    }
}

layout! {
    /// Payload of [`EventKind::AgentMetric`]: the metrics at one agent's site.
    pub struct AgentMetric: 72 {
        /// The tick.
        pub tick: u64,
        /// The agent.
        pub agent_id: u32,
        /// Bits of [`metric_flag`].
        pub flags: u32,
        /// Box-counting dimension, interpolated from the tiles around the site; NaN where undefined.
        pub d: f64,
        /// Coherence C in (0, 1].
        pub c: f64,
        /// Gain G.
        pub g: f64,
        /// Dwell time tau in field seconds.
        pub tau: f64,
        /// Complexity index.
        pub ci: f64,
        /// The wave at the site.
        pub u: f64,
        /// The driving sample of the agent's source; NaN for an agent without one.
        pub drive: f64,
    }
}

/// Bits of [`AgentMetric::flags`].
pub mod metric_flag {
    /// D is undefined at the site.
    pub const D_UNDEFINED: u32 = 1;
    /// The driving sample was missing and was interpolated.
    pub const DRIVE_GAP: u32 = 2;
}

layout! {
    /// Payload of [`EventKind::ThresholdCrossed`].
    pub struct ThresholdCrossed: 56 {
        /// The tick.
        pub tick: u64,
        /// The value that crossed.
        pub value: f64,
        /// The threshold.
        pub threshold: f64,
        /// 1 upwards, -1 downwards.
        pub direction: i32,
        /// Zero.
        pub reserved: u32,
        /// The board cell that is watched.
        pub cell: [u8; 24],
    }
}

layout! {
    /// Payload of [`EventKind::Report`]: what one agent computed, as admitted.
    pub struct Report: 96 {
        /// Last tick of the window.
        pub tick: u64,
        /// Ticks in the window.
        pub window_ticks: u32,
        /// Ticks of the window that the agent has really seen.
        pub seen_ticks: u32,
        /// Agents in the matrix.
        pub agents: u32,
        /// Pairs with a defined correlation.
        pub pairs_defined: u32,
        /// Fisher-z mean of the defined correlations; NaN when there is none.
        pub cs_mean: f64,
        /// Fisher-z mean over the pairs that contain the reporting agent; NaN when there is none.
        pub cs_self: f64,
        /// Smallest and largest correlation; NaN when there is none.
        pub r_min: f64,
        /// See `r_min`.
        pub r_max: f64,
        /// CRC-32 of the matrix (row-major f64, undefined as the quiet NaN 0x7ff8000000000000).
        pub matrix_crc32: u32,
        /// Zero.
        pub reserved: u32,
        /// `CLOCK_MONOTONIC` when the agent sent it.
        pub sent_mono_ns: u64,
        /// Ring events the agent was behind when it sent it.
        pub lag_events: u64,
        /// Ring events the agent lost so far.
        pub lost_events: u64,
        /// Loans the agent missed so far.
        pub missed_loans: u64,
    }
}

layout! {
    /// Payload of [`EventKind::Alert`].
    pub struct Alert: 96 {
        /// The tick.
        pub tick: u64,
        /// An [`AlertCode`] as its number.
        pub code: u32,
        /// Zero.
        pub reserved: u32,
        /// What happened, in words.
        pub text: [u8; 80],
    }
}

/// Why an alert was raised. The numbers are ABI.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertCode {
    /// The field holds NaN or an infinity, or grew beyond all bounds; it was reset to rest.
    Diverged = 1,
    /// A lossless recorder did not keep up within its time; events may be overwritten from here on.
    RecorderSlow = 2,
    /// A source has no samples left.
    SourceEnded = 3,
    /// The state could not be restored from the generation before.
    CheckpointUnusable = 4,
    /// An agent sent something that was refused.
    Refused = 5,
}

layout! {
    /// Payload of [`EventKind::Joined`] and [`EventKind::Left`].
    pub struct Presence: 80 {
        /// The agent.
        pub agent_id: u32,
        /// Pid of the agent.
        pub pid: u32,
        /// A [`crate::wire::Isolation`] as its number.
        pub isolation: u32,
        /// Zero.
        pub reserved: u32,
        /// Name of the agent.
        pub name: [u8; 64],
    }
}

layout! {
    /// Payload of [`EventKind::SourceChanged`].
    pub struct SourceChanged: 88 {
        /// The tick.
        pub tick: u64,
        /// Index of the source.
        pub source: u32,
        /// 1 on, 0 off.
        pub on: u32,
        /// Cell along x.
        pub x: u32,
        /// Cell along y.
        pub y: u32,
        /// Amplitude.
        pub amplitude: f64,
        /// Cycles per field time unit; 0 for a recorded signal.
        pub frequency: f64,
        /// Name of the source.
        pub name: [u8; 48],
    }
}

layout! {
    /// Payload of [`EventKind::Annotation`].
    pub struct Annotation: 64 {
        /// The tick.
        pub tick: u64,
        /// The new value.
        pub value: f64,
        /// The column.
        pub name: [u8; 48],
    }
}

layout! {
    /// Payload of [`EventKind::Gap`]: samples that an input did not have.
    pub struct Gap: 80 {
        /// First tick without a sample.
        pub from_tick: u64,
        /// First tick that has one again.
        pub to_tick: u64,
        /// Index of the source.
        pub source: u32,
        /// A [`GapCause`] as its number.
        pub cause: u32,
        /// The column.
        pub name: [u8; 56],
    }
}

/// Why an input has no sample. The numbers are ABI.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// The cell is empty or not a finite number.
    MissingValue = 1,
    /// The timestamps jump.
    MissingTime = 2,
}

layout! {
    /// Payload of [`EventKind::Generation`].
    pub struct Generation: 64 {
        /// The generation that begins.
        pub generation: u64,
        /// Its first sequence.
        pub first_sequence: u64,
        /// Last tick of the state it continues from; 0 for a fresh start.
        pub resumed_tick: u64,
        /// Last tick that the generation before it had committed.
        pub previous_tick: u64,
        /// Pid of the writer.
        pub writer_pid: u32,
        /// Zero.
        pub reserved: u32,
        /// `CLOCK_REALTIME` of its start.
        pub wall_ns: u64,
        /// `CLOCK_MONOTONIC` of its start.
        pub mono_ns: u64,
        /// [`crate::LAYOUT_HASH`] of its build.
        pub layout_hash: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_payload_fits_and_kinds_round_trip() {
        for map in crate::STRUCTS {
            let payload = ["Tick", "FieldReady", "BatchReady", "AgentMetric", "ThresholdCrossed"]
                .contains(&map.name)
                || [
                    "Report",
                    "Alert",
                    "Presence",
                    "SourceChanged",
                    "Annotation",
                    "Gap",
                    "Generation",
                ]
                .contains(&map.name);
            assert!(!payload || map.size_bytes <= PAYLOAD_BYTES, "{}", map.name);
        }
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_u16(kind as u16), Some(kind));
        }
        assert_eq!(EventKind::from_u16(0), None);
    }
}
