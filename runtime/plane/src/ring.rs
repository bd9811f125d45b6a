//! The event ring: one writer that never waits, readers with cursors of their own, laps told exactly.
//!
//! # Layout
//!
//! `slots` (a power of two) of 16 words, two cache lines; word 0 is the stamp, words 1..16 the event
//! ([`rsw_schemas::event::Slot`]). An event with at most [`SHORT_BYTES`] of payload lies in the first line alone:
//! neither side touches the other one. The cursor lies on a line of its own in the control region.
//!
//! # States
//!
//! Slot of sequence `s`: `2s+1` being written, `2s+2` complete (mod 2^64). What was pushed since the last commit is a
//! batch; its first slot stays busy until the commit. Readers go in order, so that one stamp publishes the batch, and
//! a caught-up reader watches the very cache line that will bring it the event: one line moves for a short event.
//!
//! # Invariants
//!
//! - I1: a slot is stored to only under a busy stamp.
//! - I2: a reader returns an event only if the stamp was `2s+2` before and after the copy.
//! - I3: no reader is inside a batch that is not committed: it begins at or below the cursor, comes by the batch's
//!   first slot, or is told a lap that ends at or below the cursor (a batch is at most one lap long).
//! - I4: `received + lost = next_sequence - start` for every reader, always.
//! - I5: the cursor only grows, and every sequence below it is published. It may trail by one batch, never lead.
//!
//! # Ordering
//!
//! | store | load | what becomes visible |
//! |---|---|---|
//! | W0: stamp = `2s+1`, then fence(release), then the event's words | R2: fence(acquire), then stamp | if the copy saw a word of a newer event, the second load sees its busy stamp or a later one |
//! | W1: stamp = `2s+2` behind the first of a batch, release | R1: stamp, acquire | that event, to a reader that a lap brought there |
//! | W2: stamp = `2s+2` of the first of a batch, release | R1: stamp, acquire | the whole batch, and all that was stored before it: frames, streams, cells |
//! | W3: cursor, release | R0: cursor, acquire | all events below it, to a reader that begins there or looks how far it lags |
//!
//! # Death
//!
//! | writer dies after | readers see | who repairs |
//! |---|---|---|
//! | W0 | the events before; an old event in that slot is told as lost | nobody: the next plane begins at the end of this one |
//! | some words, or W1 | the same: the batch's first slot is busy, so none of it was published | nobody |
//! | W2 | the whole batch; the cursor trails by it | nobody: [`RingReader::cursor`] finds the end by the stamps |
//! | W3 | the same | nobody |
//!
//! # Cost
//!
//! The reader never stores; the writer loads nothing that a reader touches. Caught up, a short event moves one line to
//! each reader, a long one two; a batch moves the cursor's line only to who asks for the lag. The control region is not
//! touched by a poll that finds its event. Publishing one short event takes about 55 instructions on x86-64, 12 of them
//! stores; payloads go two words at a time, so that more events fit into the store buffer.
//!
//! # Limits
//!
//! Sequences wrap at 2^64, stamps repeat after 2^63 events in the same slot; comparisons are by wrapping
//! difference and hold while a reader is less than 2^62 behind.
//!
//! # Checked by
//!
//! `ring/tests.rs`; `models`: `events_are_whole_and_laps_exact`, `batches_are_seen_whole`, `the_cursor_never_leads`, each
//! with its orderings taken away, and `sequences_run_on_whatever_store_the_writer_dies_after`; `tests/conformance.rs`, over
//! each memory and wait strategy. Death: `points/tests/death.rs` after each store, `tests/death.rs` at random instants. A
//! race each time: `points/tests/races.rs`. Lies: `tests/hostile.rs`, `points/tests/names.rs`, `fuzz/`.

use rsw_schemas::event::Slot;

use crate::memory::words_of;
use crate::sync::AtomicU64;

mod reader;
mod writer;

#[cfg(not(loom))]
pub use reader::Polled;
pub use reader::{PolledBatch, RingReader};
pub use writer::RingWriter;

/// Words of an event beside its stamp; a model explores every order of them, so it has two.
pub const BODY_WORDS: usize = if cfg!(loom) { 2 } else { words_of::<Slot>() - 1 };
const SLOT_WORDS: usize = 1 + BODY_WORDS;
/// Body words before the payload.
const HEAD_WORDS: usize = if cfg!(loom) { 1 } else { 3 };
/// Body words in the slot's first cache line.
const SHORT_WORDS: usize = if cfg!(loom) { BODY_WORDS } else { 7 };
/// How far ahead both sides fetch slots: a page of them. It hides misses of caches and of address translation; nearer
/// ones would be taken from the writer while it fills them in (`benches/README.md` has the experiment).
const AHEAD_SLOTS: u64 = 32;
/// Where `len_bytes` lies in the first body word.
#[cfg(not(loom))]
const LEN_SHIFT: u32 = 32;
/// Largest payload of an event that takes one cache line.
#[cfg(not(loom))]
pub const SHORT_BYTES: usize = (SHORT_WORDS - HEAD_WORDS) * 8;

/// An event beside its stamp.
pub type Body = [u64; BODY_WORDS];

const fn busy(sequence: u64) -> u64 {
    sequence.wrapping_mul(2).wrapping_add(1)
}

const fn complete(sequence: u64) -> u64 {
    sequence.wrapping_mul(2).wrapping_add(2)
}

/// What a slot carries beside its payload.
#[cfg(not(loom))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHead {
    /// A [`rsw_schemas::event::EventKind`] as its number.
    pub kind: u16,
    /// Agent that caused the event, or 0.
    pub source: u32,
    /// Lower 32 bits of the generation.
    pub generation: u32,
    /// Field time in nanoseconds.
    pub t_ns: i64,
}

/// The slot at `index`. Panics outside the ring.
#[inline]
fn slot_of(words: &[AtomicU64], index: u64) -> &[AtomicU64; SLOT_WORDS] {
    &words.as_chunks::<SLOT_WORDS>().0[index as usize]
}

/// Whether an event with this first word takes its slot's second line.
#[inline]
fn is_long(word: u64) -> bool {
    #[cfg(loom)]
    return word == u64::MAX; // Never: a model's slot has one line.
    #[cfg(not(loom))]
    return (word >> LEN_SHIFT) as u16 as usize > SHORT_BYTES;
}

#[cfg(all(test, not(loom)))]
mod tests;
