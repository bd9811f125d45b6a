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
//! `ring::tests`; `models`: `events_are_whole_and_laps_exact`, `batches_are_seen_whole`, `the_cursor_never_leads`, and each
//! ordering taken away, `sequences_run_on_whatever_store_the_writer_dies_after`; `tests/conformance.rs`, over each memory and wait strategy. Death: `points/tests/death.rs` after
//! each store, `tests/death.rs` at random instants. A race each time: `points/tests/races.rs`. Lies: `tests/hostile.rs`,
//! `points/tests/names.rs`, `fuzz/`.

#[cfg(not(loom))]
use bytemuck::Zeroable;
#[cfg(not(loom))]
use rsw_schemas::event::PAYLOAD_BYTES;
use rsw_schemas::event::Slot;

use crate::copy::{load_words, prefetch, store_words};
use crate::memory::{RoRegion, RwRegion, words_of};
use crate::sync::{AtomicU64, Ordering, acquire, fence, point, release};

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

/// The writing end. One per ring; the type cannot be cloned.
pub struct RingWriter {
    slots: RwRegion,
    cursor: RwRegion,
    mask: u64,
    next: u64,
    committed: u64,
}

impl RingWriter {
    /// `slots` must hold a power of two of slots, `cursor` one line. The first event gets `first_sequence`.
    pub fn new(slots: RwRegion, cursor: RwRegion, first_sequence: u64) -> Self {
        let count = (slots.words().len() / SLOT_WORDS) as u64;
        assert!(count.is_power_of_two(), "a ring has a power of two of slots, not {count}");
        let mask = count - 1;
        let ring = Self { slots, cursor, mask, next: first_sequence, committed: first_sequence };
        // One lap earlier and never completed: no reader takes an unused slot for an event, wherever it starts.
        for ahead in 0..count {
            let sequence = first_sequence.wrapping_add(ahead);
            ring.slot(sequence)[0].store(busy(sequence.wrapping_sub(count)), Ordering::Relaxed);
        }
        ring.cursor.words()[0].store(first_sequence, release("ring.W3"));
        ring
    }

    /// Slots in the ring.
    pub fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// Sequence of the next event.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Events written and not yet committed.
    pub fn pending(&self) -> u64 {
        self.next.wrapping_sub(self.committed)
    }

    /// Writes one event and returns its sequence; nobody sees it before [`Self::commit`]. At most
    /// [`PAYLOAD_BYTES`] of payload (more is a bug of the caller). No system call, no allocation.
    #[cfg(not(loom))]
    #[inline(always)]
    pub fn push(&mut self, head: EventHead, payload: &[u8]) -> u64 {
        assert!(payload.len() <= PAYLOAD_BYTES, "a payload has at most {PAYLOAD_BYTES} bytes");
        let mut body: Body = [0; BODY_WORDS];
        body[0] = u64::from(head.kind) | (payload.len() as u64) << LEN_SHIFT;
        body[1] = u64::from(head.source) | u64::from(head.generation) << 32;
        body[2] = head.t_ns as u64;
        bytemuck::cast_slice_mut(&mut body[HEAD_WORDS..])[..payload.len()].copy_from_slice(payload);
        self.push_body(&body)
    }

    /// As [`Self::push`], for an event that is words already: the protocol itself. A batch is at most one lap long: at
    /// the next push the writer commits it by itself.
    #[inline(always)]
    pub fn push_body(&mut self, body: &Body) -> u64 {
        if self.pending() > self.mask {
            self.commit();
        }
        let sequence = self.next;
        let slot = self.slot(sequence);
        slot[0].store(busy(sequence), Ordering::Relaxed);
        point("ring.W0");
        fence("ring.W0", Ordering::Release);
        let (head, payload) = slot[1..=SHORT_WORDS].split_at(HEAD_WORDS);
        for (word, value) in head.iter().zip(body) {
            word.store(*value, Ordering::Relaxed);
            point("ring.body");
        }
        store_words(payload, &body[HEAD_WORDS..SHORT_WORDS]);
        if is_long(body[0]) {
            store_words(&slot[1 + SHORT_WORDS..], &body[SHORT_WORDS..]);
        }
        if sequence != self.committed {
            slot[0].store(complete(sequence), release("ring.W1"));
            point("ring.W1");
            self.warm(sequence);
        }
        self.next = sequence.wrapping_add(1);
        sequence
    }

    /// Publishes everything pushed so far; returns how many events that were.
    #[inline]
    pub fn commit(&mut self) -> u64 {
        let count = self.pending();
        if count > 0 {
            self.slot(self.committed)[0].store(complete(self.committed), release("ring.W2"));
            point("ring.W2");
            self.cursor.words()[0].store(self.next, release("ring.W3"));
            point("ring.W3");
            self.warm(self.committed);
            self.committed = self.next;
        }
        count
    }

    /// Fetches a slot that is needed soon, behind the stores that somebody waits for.
    #[inline(always)]
    fn warm(&self, sequence: u64) {
        prefetch(self.slot(sequence.wrapping_add(AHEAD_SLOTS)));
    }

    #[inline]
    fn slot(&self, sequence: u64) -> &[AtomicU64; SLOT_WORDS] {
        slot_of(self.slots.words(), sequence & self.mask)
    }
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

/// What one poll found.
#[cfg(not(loom))]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Polled {
    /// Nothing new.
    Empty,
    /// The next event.
    Event {
        /// Its sequence.
        sequence: u64,
        /// A private copy.
        slot: Slot,
    },
    /// The events `from..to` were overwritten before they were read; the next poll goes on at `to`.
    Lapped {
        /// First lost sequence.
        from: u64,
        /// First sequence that is not lost.
        to: u64,
    },
}

/// What one batch poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolledBatch {
    /// Nothing new.
    Empty,
    /// `count` consecutive events from `first` on lie in the caller's array.
    Events {
        /// Sequence of the first.
        first: u64,
        /// How many.
        count: usize,
    },
    /// As [`Polled::Lapped`].
    Lapped {
        /// First lost sequence.
        from: u64,
        /// First sequence that is not lost.
        to: u64,
    },
}

/// The reading end: a cursor of its own that no writer ever sees.
pub struct RingReader {
    slots: RoRegion,
    control: RoRegion,
    cursor_word: usize,
    #[cfg_attr(loom, expect(dead_code, reason = "models do not sleep"))]
    wake_word: usize,
    mask: u64,
    first: u64,
    next: u64,
    /// It began beyond the cursor, and the cursor has not come to it yet.
    early: bool,
    received: u64,
    lost: u64,
}

impl RingReader {
    /// A reader of a ring that begins with `first`, itself beginning at `start`; what the ring does not hold
    /// (any more, or because another ring held it) is told as a lap by the first poll.
    pub fn new(
        slots: RoRegion,
        control: RoRegion,
        cursor_word: usize,
        wake_word: usize,
        first: u64,
        start: u64,
    ) -> Self {
        let count = (slots.word_count() / SLOT_WORDS) as u64;
        assert!(count.is_power_of_two(), "a ring has a power of two of slots, not {count}");
        let mut ring = Self {
            slots,
            control,
            cursor_word,
            wake_word,
            mask: count - 1,
            first,
            next: start,
            early: false,
            received: 0,
            lost: 0,
        };
        ring.early = start.wrapping_sub(ring.cursor()).cast_signed() > 0;
        ring
    }

    /// Sequence of the next event it will return.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Events returned so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Events told as lapped so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Slots in the ring.
    pub fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// Sequence of the next event to be published. Right also after the writer's death, between any two of its stores.
    pub fn cursor(&self) -> u64 {
        let mut end = self.committed();
        // At most a batch, and a batch is at most a lap; of a writer that is faster, what it told last.
        for _ in 0..self.capacity() {
            match self.stamp(end).wrapping_sub(complete(end)).cast_signed() {
                0 => end = end.wrapping_add(1),
                ..0 => return end,
                1.. => end = self.committed(),
            }
        }
        end
    }

    /// Published events it has not read yet; less by up to one batch while that is being committed.
    pub fn lag(&self) -> u64 {
        self.committed().wrapping_sub(self.next).cast_signed().max(0).cast_unsigned()
    }

    /// Whether a poll would find an event or a loss. One load, of the line that the event will come with.
    #[inline]
    pub fn ready(&self) -> bool {
        if self.early {
            return self.next.wrapping_sub(self.cursor()).cast_signed() < 0;
        }
        self.before_first()
            || self.stamp(self.next).wrapping_sub(complete(self.next)).cast_signed() >= 0
    }

    #[cfg(not(loom))]
    pub(crate) fn control(&self) -> (&RoRegion, usize) {
        (&self.control, self.wake_word)
    }

    /// The next event, if there is one. Never blocks, never allocates.
    #[cfg(not(loom))]
    #[inline]
    pub fn poll(&mut self) -> Polled {
        let mut slot = Slot::zeroed();
        match self.poll_body(slot_body(&mut slot)) {
            PolledBatch::Empty => Polled::Empty,
            PolledBatch::Events { first, .. } => {
                slot.stamp = complete(first);
                Polled::Event { sequence: first, slot }
            }
            PolledBatch::Lapped { from, to } => Polled::Lapped { from, to },
        }
    }

    /// As [`Self::poll`], for an event as words: the protocol itself.
    #[inline]
    pub fn poll_body(&mut self, body: &mut Body) -> PolledBatch {
        if self.early && !self.arrive() {
            return PolledBatch::Empty;
        }
        match self.copy(self.next, body) {
            Ok(()) => {
                let first = self.next;
                self.next = first.wrapping_add(1);
                self.received += 1;
                PolledBatch::Events { first, count: 1 }
            }
            Err(stamp) => self.miss(stamp),
        }
    }

    /// As many consecutive events as there are and as fit. A lap is returned alone, before what follows it.
    #[cfg(not(loom))]
    pub fn poll_batch(&mut self, out: &mut [Slot]) -> PolledBatch {
        if self.early && !self.arrive() {
            return PolledBatch::Empty;
        }
        let first = self.next;
        let mut count = 0;
        for slot in out {
            match self.copy(self.next, slot_body(slot)) {
                Ok(()) => {
                    slot.stamp = complete(self.next);
                    self.warm(self.next);
                    self.next = self.next.wrapping_add(1);
                    self.received += 1;
                    count += 1;
                }
                // Whatever it is, the next poll finds it again and tells it.
                Err(_) if count > 0 => break,
                Err(stamp) => return self.miss(stamp),
            }
        }
        if count == 0 { PolledBatch::Empty } else { PolledBatch::Events { first, count } }
    }

    /// Whether the cursor has passed where a reader began that was ahead of it; from then on it is as all others.
    #[cold]
    fn arrive(&mut self) -> bool {
        self.early = self.next.wrapping_sub(self.cursor()).cast_signed() > 0;
        !self.early
    }

    #[inline]
    fn before_first(&self) -> bool {
        self.first.wrapping_sub(self.next).cast_signed() > 0
    }

    #[inline]
    fn committed(&self) -> u64 {
        self.control.load(self.cursor_word, acquire("ring.R0"))
    }

    #[inline]
    fn slot(&self, sequence: u64) -> &[AtomicU64; SLOT_WORDS] {
        slot_of(self.slots.words(), sequence & self.mask)
    }

    #[inline]
    fn stamp(&self, sequence: u64) -> u64 {
        self.slot(sequence)[0].load(acquire("ring.R1"))
    }

    /// Copies the slot of `sequence`, or says which stamp it found instead.
    #[inline]
    fn copy(&self, sequence: u64, body: &mut Body) -> Result<(), u64> {
        let slot = self.slot(sequence);
        let before = slot[0].load(acquire("ring.R1"));
        if before != complete(sequence) {
            return Err(before);
        }
        let (head, payload) = slot[1..=SHORT_WORDS].split_at(HEAD_WORDS);
        for (value, word) in body.iter_mut().zip(head) {
            *value = word.load(Ordering::Relaxed);
        }
        load_words(&mut body[HEAD_WORDS..SHORT_WORDS], payload);
        if is_long(body[0]) {
            load_words(&mut body[SHORT_WORDS..], &slot[1 + SHORT_WORDS..]);
        } else {
            body[SHORT_WORDS..].fill(0);
        }
        point("ring.copied");
        fence("ring.R2", Ordering::Acquire);
        let after = slot[0].load(Ordering::Relaxed);
        if after == before { Ok(()) } else { Err(after) }
    }

    /// Fetches a slot that is needed soon.
    #[inline(always)]
    fn warm(&self, sequence: u64) {
        prefetch(self.slot(sequence.wrapping_add(AHEAD_SLOTS)));
    }

    /// The slot of `next` does not hold it, or not for us yet: nothing new, or it is gone.
    #[cold]
    fn miss(&mut self, stamp: u64) -> PolledBatch {
        if self.before_first() {
            return self.lap_to(self.first);
        }
        if stamp.wrapping_sub(complete(self.next)).cast_signed() < 0 {
            self.warm(self.next);
            return PolledBatch::Empty;
        }
        self.lap_past(stamp)
    }

    /// A slot with `stamp` has overwritten what we wanted: all that is a whole lap before it is gone.
    fn lap_past(&mut self, stamp: u64) -> PolledBatch {
        // By difference: a stamp has no room for the sequence's highest bit.
        let newer = stamp.wrapping_sub(complete(self.next)).wrapping_add(1) / 2;
        let gone = self.next.wrapping_add(newer).wrapping_sub(self.capacity()).wrapping_add(1);
        let cursor = self.committed();
        let oldest = cursor.wrapping_sub(self.capacity());
        let later = if gone.wrapping_sub(oldest).cast_signed() > 0 { gone } else { oldest };
        // The frontier is between us and the cursor; a stamp that says otherwise is read again later.
        let ahead = later.wrapping_sub(self.next).cast_signed();
        let room = cursor.wrapping_sub(self.next).cast_signed();
        self.lap_to(self.next.wrapping_add(ahead.clamp(1, room.max(1)).cast_unsigned()))
    }

    fn lap_to(&mut self, to: u64) -> PolledBatch {
        let from = self.next;
        self.lost = self.lost.wrapping_add(to.wrapping_sub(from)); // A lying plane can overflow it.
        self.next = to;
        PolledBatch::Lapped { from, to }
    }
}

/// The words of a slot behind its stamp.
#[cfg(not(loom))]
fn slot_body(slot: &mut Slot) -> &mut Body {
    let words: &mut [u64; SLOT_WORDS] = bytemuck::cast_mut(slot);
    let (_, body) = words.split_first_mut().unwrap_or_else(|| unreachable!("a slot has a stamp"));
    body.try_into().unwrap_or_else(|_| unreachable!("a slot is its stamp and its body"))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(slots: usize, first: u64) -> (RingWriter, impl Fn(u64) -> RingReader) {
        let slot_region = RwRegion::heap(slots * SLOT_WORDS);
        let control = RwRegion::heap(16);
        let writer = RingWriter::new(slot_region.clone(), control.clone(), first);
        let reader = move |start| {
            RingReader::new(slot_region.read_only(), control.read_only(), 0, 1, first, start)
        };
        (writer, reader)
    }

    fn head(value: u64) -> EventHead {
        EventHead { kind: 1, source: 2, generation: 3, t_ns: value as i64 }
    }

    fn push(writer: &mut RingWriter) {
        let value = writer.next_sequence();
        let payload = [value; 12];
        writer.push(head(value), bytemuck::cast_slice(&payload));
    }

    #[test]
    fn nothing_is_seen_before_commit() {
        let (mut writer, reader) = ring(8, 0);
        let mut reader = reader(0);
        push(&mut writer);
        assert_eq!(reader.poll(), Polled::Empty);
        assert_eq!(writer.commit(), 1);
        let Polled::Event { sequence: 0, slot } = reader.poll() else { panic!("one event") };
        assert_eq!((slot.kind, slot.len_bytes, slot.source, slot.generation), (1, 96, 2, 3));
        assert_eq!(reader.poll(), Polled::Empty);
    }

    #[test]
    fn lapped_by_exactly_n_is_told_n_also_across_the_wrap() {
        for first in [0, u64::MAX - 3, u64::MAX / 2 - 5, 1 << 62] {
            for extra in 0..20 {
                let (mut writer, reader) = ring(8, first);
                let mut reader = reader(first);
                for _ in 0..8 + extra {
                    push(&mut writer);
                }
                writer.commit();
                if extra > 0 {
                    let to = first.wrapping_add(extra);
                    assert_eq!(reader.poll(), Polled::Lapped { from: first, to });
                }
                for offset in extra..extra + 8 {
                    let Polled::Event { sequence, slot } = reader.poll() else {
                        panic!("an event")
                    };
                    assert_eq!(sequence, first.wrapping_add(offset));
                    assert_eq!(slot.t_ns as u64, sequence);
                }
                assert_eq!(reader.poll(), Polled::Empty);
                assert_eq!((reader.lost(), reader.received()), (extra, 8));
            }
        }
    }

    #[test]
    fn an_uncommitted_overwrite_is_a_lap_of_what_it_really_overwrote() {
        let (mut writer, reader) = ring(8, 0);
        let mut reader = reader(0);
        for _ in 0..8 {
            push(&mut writer);
        }
        writer.commit();
        for _ in 0..3 {
            push(&mut writer); // overwrites 0, 1, 2, not committed
        }
        // Each slot speaks for itself: 0 says that 8 overwrote it, and so on.
        for lost in 0..3 {
            assert_eq!(reader.poll(), Polled::Lapped { from: lost, to: lost + 1 });
        }
        assert!(matches!(reader.poll(), Polled::Event { sequence: 3, .. }));
    }

    #[test]
    fn what_an_earlier_ring_held_is_told_up_to_the_first_of_this_one() {
        let (mut writer, reader) = ring(8, 100);
        let mut reader = reader(97);
        push(&mut writer);
        push(&mut writer);
        writer.commit();
        assert_eq!(reader.poll(), Polled::Lapped { from: 97, to: 100 });
        assert!(matches!(reader.poll(), Polled::Event { sequence: 100, .. }));
    }

    #[test]
    fn a_writer_that_died_in_a_slot_publishes_nothing() {
        let (mut writer, reader) = ring(8, 0);
        let mut reader = reader(0);
        push(&mut writer);
        writer.commit();
        // Dies after W0 of sequence 1.
        writer.slots.words()[SLOT_WORDS].store(busy(1), Ordering::Relaxed);
        assert!(matches!(reader.poll(), Polled::Event { sequence: 0, .. }));
        assert_eq!(reader.poll(), Polled::Empty);
        assert_eq!(reader.cursor(), 1);
    }

    #[test]
    fn a_batch_whose_cursor_never_came_is_published_whole() {
        let (mut writer, reader) = ring(8, 5);
        let mut early = reader(5);
        for _ in 0..3 {
            push(&mut writer);
        }
        assert_eq!((early.poll(), early.cursor()), (Polled::Empty, 5));
        // Dies after W2.
        writer.slot(5)[0].store(complete(5), Ordering::Release);
        let mut late = reader(early.cursor() - 3);
        assert_eq!((early.cursor(), early.lag()), (8, 0));
        for sequence in 5..8 {
            for reader in [&mut early, &mut late] {
                assert!(reader.ready());
                assert!(
                    matches!(reader.poll(), Polled::Event { sequence: s, .. } if s == sequence)
                );
            }
        }
        assert!(!early.ready());
    }

    #[test]
    fn a_reader_that_begins_inside_a_batch_waits_for_its_commit() {
        let (mut writer, reader) = ring(8, 0);
        let mut reader = reader(1);
        push(&mut writer);
        push(&mut writer);
        assert_eq!((reader.poll(), reader.ready()), (Polled::Empty, false));
        writer.commit();
        assert!(reader.ready());
        assert!(matches!(reader.poll(), Polled::Event { sequence: 1, .. }));
    }

    #[test]
    fn a_batch_is_never_longer_than_a_lap() {
        let (mut writer, reader) = ring(8, 0);
        let mut reader = reader(0);
        for _ in 0..11 {
            push(&mut writer);
        }
        assert_eq!((writer.pending(), reader.cursor()), (3, 8));
        assert_eq!(reader.poll(), Polled::Lapped { from: 0, to: 1 });
        writer.commit();
        assert_eq!(reader.poll(), Polled::Lapped { from: 1, to: 3 });
        assert!(matches!(reader.poll(), Polled::Event { sequence: 3, .. }));
    }

    #[test]
    fn a_short_event_leaves_the_second_line_alone() {
        let (mut writer, reader) = ring(8, 0);
        let mut reader = reader(0);
        for round in 0..2 {
            for len in [PAYLOAD_BYTES, SHORT_BYTES + 1, SHORT_BYTES, 1, 0, PAYLOAD_BYTES, 7, 8] {
                let payload = vec![round * 100 + len as u8 + 1; len];
                writer.push(head(7), &payload);
                writer.commit();
                let Polled::Event { slot, .. } = reader.poll() else { panic!("an event") };
                assert_eq!(&slot.payload[..len], payload);
                assert!(slot.payload[len..].iter().all(|byte| *byte == 0));
            }
        }
        push(&mut writer);
        push(&mut writer);
        writer.push(head(7), &[1; SHORT_BYTES]);
        let second_line: Vec<u64> =
            writer.slot(2)[8..].iter().map(|word| word.load(Ordering::Relaxed)).collect();
        assert_eq!(second_line, [0; 8], "slot 2 never held a long event");
        let reused = writer.slot(1)[15].load(Ordering::Relaxed);
        writer.commit();
        for _ in 0..7 {
            writer.push(head(7), &[1; SHORT_BYTES]);
        }
        assert_eq!(writer.slot(1)[15].load(Ordering::Relaxed), reused);
    }

    #[test]
    fn two_threads_lose_nothing_unaccounted() {
        const EVENTS: u64 = 300_000;
        let (mut writer, reader) = ring(64, 0);
        let mut reader = reader(0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for at in 0..EVENTS {
                    push(&mut writer);
                    if at % 7 == 0 {
                        writer.commit();
                    }
                }
                writer.commit();
            });
            let mut expected = 0;
            while reader.next_sequence() < EVENTS {
                match reader.poll() {
                    Polled::Empty => core::hint::spin_loop(),
                    Polled::Event { sequence, slot } => {
                        assert_eq!(sequence, expected);
                        let words: &[u64] = bytemuck::cast_slice(&slot.payload);
                        assert!(words.iter().all(|w| *w == sequence), "torn {sequence}: {words:?}");
                        expected = sequence + 1;
                    }
                    Polled::Lapped { from, to } => {
                        assert!(from == expected && to > from);
                        expected = to;
                    }
                }
            }
        });
        assert_eq!(reader.received() + reader.lost(), EVENTS);
    }

    proptest! {
        #[test]
        fn received_plus_lost_is_published(
            steps in prop::collection::vec((0u64..30, 0usize..40), 1..60),
            first in any::<u64>(),
        ) {
            let (mut writer, reader) = ring(16, first);
            let mut reader = reader(first);
            let mut out = vec![Slot::zeroed(); 40];
            for (publish, read) in steps {
                for _ in 0..publish { push(&mut writer); }
                writer.commit();
                let mut at = reader.next_sequence();
                match reader.poll_batch(&mut out[..read]) {
                    PolledBatch::Empty => {}
                    PolledBatch::Events { first, count } => {
                        prop_assert_eq!(first, at);
                        for slot in &out[..count] {
                            prop_assert_eq!(slot.t_ns as u64, at);
                            at = at.wrapping_add(1);
                        }
                    }
                    PolledBatch::Lapped { from, to } => {
                        prop_assert_eq!(from, at);
                        prop_assert_eq!(to, writer.next_sequence().wrapping_sub(16));
                    }
                }
                let span = reader.next_sequence().wrapping_sub(first);
                prop_assert_eq!(reader.received() + reader.lost(), span);
                prop_assert_eq!(reader.lag(), writer.next_sequence().wrapping_sub(reader.next_sequence()));
            }
        }
    }
}
