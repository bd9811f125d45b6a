//! The barest streams of events there can be: what the cores take to move slots of two cache lines, whatever is
//! built on them. No laps, no lengths, no second look; in one each slot is complete when its stamp is, in the other
//! a counter publishes many, and slots are plain memory that the compiler copies as it likes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::WORDS_MAX;
use crate::Failure;
use crate::pair::SharedWords;

const SLOT_WORDS: usize = 16;
/// Words before the payload; the stamp is the first.
const HEAD_WORDS: usize = SLOT_WORDS - WORDS_MAX;

/// One end of stamped slots; the other is its clone. Who reads must tell who writes how far it is.
#[derive(Clone)]
pub(crate) struct Stamped {
    words: Arc<SharedWords>,
    slots: u64,
    next: u64,
}

impl Stamped {
    /// A stream over `slots`, a power of two.
    pub(crate) fn new(slots: u64) -> Result<Self, Failure> {
        let words = SharedWords::new(slots as usize * SLOT_WORDS * 8)?;
        Ok(Self { words: Arc::new(words), slots, next: 0 })
    }

    /// Writes the next event.
    #[inline(always)]
    pub(crate) fn send(&mut self, value: u64) {
        let slot = slot(&self.words, self.next & (self.slots - 1));
        for word in &slot[1..] {
            word.store(value, Ordering::Relaxed);
        }
        self.next += 1;
        slot[0].store(self.next, Ordering::Release);
    }

    /// The payload of the next event, if it is there.
    #[inline(always)]
    pub(crate) fn receive(&mut self) -> Option<[u64; WORDS_MAX]> {
        let slot = slot(&self.words, self.next & (self.slots - 1));
        if slot[0].load(Ordering::Acquire) != self.next + 1 {
            return None;
        }
        self.next += 1;
        Some(core::array::from_fn(|at| slot[HEAD_WORDS + at].load(Ordering::Relaxed)))
    }
}

#[inline(always)]
fn slot(words: &SharedWords, index: u64) -> &[AtomicU64; SLOT_WORDS] {
    &words.words().as_chunks().0[index as usize]
}

/// One end of plain slots behind a counter; the other is its clone. Who reads must tell who writes how far it is.
#[derive(Clone)]
pub(crate) struct Plain {
    words: Arc<SharedWords>,
    published: Arc<SharedWords>,
    slots: u64,
    next: u64,
    seen: u64,
}

impl Plain {
    /// A stream over `slots`, a power of two.
    pub(crate) fn new(slots: u64) -> Result<Self, Failure> {
        let words = Arc::new(SharedWords::new(slots as usize * SLOT_WORDS * 8)?);
        Ok(Self { words, published: Arc::new(SharedWords::page()?), slots, next: 0, seen: 0 })
    }

    /// Writes the next event, and publishes what was written if told so.
    #[inline(always)]
    pub(crate) fn send(&mut self, value: u64, publish: bool) {
        // SAFETY: the other end reads this slot only behind the store below, and the caller waits until it has read
        // what the slot held before.
        unsafe { self.slot().write([value; SLOT_WORDS]) };
        self.next += 1;
        if publish {
            self.published.words()[0].store(self.next, Ordering::Release);
        }
    }

    /// The payload of the next event, if it is there.
    #[inline(always)]
    pub(crate) fn receive(&mut self) -> Option<[u64; WORDS_MAX]> {
        if self.seen == self.next {
            self.seen = self.published.words()[0].load(Ordering::Acquire);
            if self.seen == self.next {
                return None;
            }
        }
        // SAFETY: published, by the load above, and not written again before the caller says that it was read.
        let slot: [u64; SLOT_WORDS] = unsafe { self.slot().read() };
        self.next += 1;
        Some(core::array::from_fn(|at| slot[HEAD_WORDS + at]))
    }

    #[inline(always)]
    fn slot(&self) -> *mut [u64; SLOT_WORDS] {
        let at = (self.next & (self.slots - 1)) as usize * SLOT_WORDS;
        self.words.words()[at..at + SLOT_WORDS].as_ptr().cast_mut().cast()
    }
}
