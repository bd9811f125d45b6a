//! The writing end.

#[cfg(not(loom))]
use rsw_schemas::event::PAYLOAD_BYTES;

use super::{
    AHEAD_SLOTS, Body, HEAD_WORDS, SHORT_WORDS, SLOT_WORDS, busy, complete, is_long, slot_of,
};
#[cfg(not(loom))]
use super::{BODY_WORDS, EventHead, LEN_SHIFT};
use crate::copy::{prefetch, store_words};
use crate::memory::RwRegion;
use crate::sync::{AtomicU64, Ordering, fence, point, release};

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
    pub(super) fn slot(&self, sequence: u64) -> &[AtomicU64; SLOT_WORDS] {
        slot_of(self.slots.words(), sequence & self.mask)
    }
}
