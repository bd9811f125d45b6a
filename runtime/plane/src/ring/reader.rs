//! The reading end: where it is, what a poll finds, and what it says when its slot holds something else.

#[cfg(not(loom))]
use bytemuck::Zeroable;
#[cfg(not(loom))]
use rsw_schemas::event::Slot;

use super::{AHEAD_SLOTS, Body, HEAD_WORDS, SHORT_WORDS, SLOT_WORDS, complete, is_long, slot_of};
use crate::copy::{load_words, prefetch};
use crate::memory::RoRegion;
use crate::sync::{AtomicU64, Ordering, acquire, fence, point};

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
