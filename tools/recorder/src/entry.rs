//! What the drain thread hands to the writer, in the order in which it must reach the database.

use rsw_schemas::event::Slot;
use rsw_schemas::wire::GenerationNote;

/// One thing to be recorded.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A plane was opened.
    Plane(PlaneFacts),
    /// Consecutive events.
    Events(Block),
    /// Sequences `from..to` are not to be had.
    Gap {
        /// First lost sequence.
        from: u64,
        /// First sequence that is not lost.
        to: u64,
        /// Why.
        cause: GapCause,
    },
    /// A field frame.
    Frame(Box<Frame>),
    /// Everything of a generation came before this entry.
    GenerationEnd(GenerationNote),
}

/// Consecutive events: slot `i` has sequence `first + i`.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Sequence of the first slot.
    pub first: u64,
    /// The events.
    pub slots: Vec<Slot>,
}

impl Block {
    /// The sequence after the last.
    pub fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }
}

/// Why events are not in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// The ring overwrote them while the recorder ran.
    Overrun,
    /// The ring overwrote them while no recorder ran.
    RecorderRestart,
    /// No plane that held them was ever delivered, or it ends before its final cursor.
    GenerationLost,
}

impl GapCause {
    /// The name in `rs_gap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overrun => "overrun",
            Self::RecorderRestart => "recorder_restart",
            Self::GenerationLost => "generation_lost",
        }
    }
}

/// A frame of a published field.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Field.
    pub name: String,
    /// Unit of a cell.
    pub unit: String,
    /// Tick that made it.
    pub tick: u64,
    /// Field time of that tick.
    pub t_ns: i64,
    /// Columns.
    pub nx: u32,
    /// Rows.
    pub ny: u32,
    /// Smallest cell.
    pub min: f32,
    /// Largest cell.
    pub max: f32,
    /// Cells, f32 little-endian, row by row.
    pub data: Vec<u8>,
}

/// The constant facts of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneFacts {
    /// Generation, from 1.
    pub generation: u64,
    /// Its first sequence.
    pub first_sequence: u64,
    /// Pid of its kernel.
    pub writer_pid: u32,
    /// `CLOCK_REALTIME` when it was made.
    pub wall_ns: u64,
    /// `CLOCK_MONOTONIC` at the same instant.
    pub mono_ns: u64,
    /// Boot of the machine.
    pub boot_id: [u8; 16],
    /// Layout hash of its build.
    pub layout_hash: u64,
    /// Cells along x.
    pub nx: u32,
    /// Cells along y.
    pub ny: u32,
    /// Nominal field time of a tick.
    pub tick_period_ns: u64,
}

impl PlaneFacts {
    /// Where the record of a run begins whose first delivered plane is this one. A run begins with
    /// generation 1; if the first to arrive is a later one, what came before it counts as lost.
    pub fn run_start(&self) -> u64 {
        if self.generation <= 1 { self.first_sequence } else { 0 }
    }
}
