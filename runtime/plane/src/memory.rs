//! A region of shared 64-bit words: what every protocol of this crate is written on.
//!
//! The words lie in a mapped plane, or on the heap for tests and models. A [`RoRegion`] can only be loaded
//! from, so a reader cannot even be written that stores.
//!
//! Small things are copied word by word, relaxed; whole frames by one instruction that the compiler cannot look
//! into (`copy.rs`). Either way the caller revalidates.

use core::ptr::NonNull;
use std::sync::Arc;

use crate::copy;
use crate::sync::{AtomicU64, Ordering, point};

/// Keeps the memory behind a region alive.
///
/// # Safety
/// [`Self::words`] returns the same words, at the same address, for as long as the value lives.
pub(crate) unsafe trait Backing: Send + Sync {
    /// All words, in order.
    fn words(&self) -> &[AtomicU64];
}

/// Words on the heap: the plane of tests and models.
pub(crate) struct Heap(Vec<AtomicU64>);

// SAFETY: the vector is never changed, so its words stay where they are.
unsafe impl Backing for Heap {
    fn words(&self) -> &[AtomicU64] {
        &self.0
    }
}

/// A region that may be stored to. Only the kernel's writer types hold one.
#[derive(Clone)]
pub struct RwRegion {
    inner: RoRegion,
}

/// A region that may only be loaded from.
#[derive(Clone)]
pub struct RoRegion {
    /// A part of the words of `backing`, kept as an address so that the hot paths follow one pointer.
    words: NonNull<[AtomicU64]>,
    backing: Arc<dyn Backing>,
}

// SAFETY: the words are atomics behind a backing that is `Send` and `Sync` itself.
unsafe impl Send for RoRegion {}
// SAFETY: as above.
unsafe impl Sync for RoRegion {}

impl RwRegion {
    /// `word_count` zero words on the heap.
    pub fn heap(word_count: usize) -> Self {
        let words = (0..word_count).map(|_| AtomicU64::new(0)).collect();
        Self { inner: RoRegion::over(Arc::new(Heap(words))) }
    }

    #[cfg(not(loom))]
    pub(crate) fn mapped(backing: Arc<dyn Backing>) -> Self {
        Self { inner: RoRegion::over(backing) }
    }

    /// The same words, for loading only.
    pub fn read_only(&self) -> RoRegion {
        self.inner.clone()
    }

    /// A part of this region; panics if it does not lie inside (offsets are computed by the writer itself).
    pub fn part(&self, first_word: usize, word_count: usize) -> Self {
        Self { inner: self.inner.part(first_word, word_count).expect("a part inside its region") }
    }

    /// The words, to store to.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        self.inner.words()
    }
}

impl RoRegion {
    fn over(backing: Arc<dyn Backing>) -> Self {
        Self { words: NonNull::from(backing.words()), backing }
    }

    #[cfg(not(loom))]
    pub(crate) fn mapped(backing: Arc<dyn Backing>) -> Self {
        Self::over(backing)
    }

    /// A part of this region, or `None` if it does not lie inside.
    pub fn part(&self, first_word: usize, word_count: usize) -> Option<Self> {
        let end = first_word.checked_add(word_count)?;
        let words = NonNull::from(self.words().get(first_word..end)?);
        Some(Self { words, backing: self.backing.clone() })
    }

    /// Words in the region.
    pub fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Loads one word. Panics outside the region.
    #[inline]
    pub(crate) fn load(&self, word: usize, order: Ordering) -> u64 {
        self.words()[word].load(order)
    }

    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: made from a part of the backing's words; they stay in place as long as `backing` lives, and
        // it lives at least as long as the borrow of `self`.
        unsafe { self.words.as_ref() }
    }

    /// Copies words out one by one, relaxed: the caller revalidates.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn copy_words(&self, first_word: usize, out: &mut [u64]) {
        let words = &self.words()[first_word..first_word + out.len()];
        for (to, from) in out.iter_mut().zip(words) {
            *to = from.load(Ordering::Relaxed);
        }
    }

    /// Copies many bytes out, beginning at `first_word`: the caller revalidates.
    pub(crate) fn copy_bytes(&self, first_word: usize, out: &mut [u8]) {
        copy::load(&self.words()[first_word..first_word + out.len().div_ceil(8)], out);
    }
}

/// Stores bytes into words from `first_word` on; the rest of a last partial word becomes zero.
pub(crate) fn store_bytes(words: &[AtomicU64], first_word: usize, bytes: &[u8]) {
    let words = &words[first_word..first_word + bytes.len().div_ceil(8)];
    #[cfg(named_points)]
    let (words, bytes) = store_half(words, bytes);
    copy::store(words, bytes);
    point("bytes.end");
}

/// One instruction has no middle to die in, so it is made two. Returns what is left.
#[cfg(named_points)]
fn store_half<'a>(words: &'a [AtomicU64], bytes: &'a [u8]) -> (&'a [AtomicU64], &'a [u8]) {
    let half_words = bytes.len() / 16;
    copy::store(&words[..half_words], &bytes[..half_words * 8]);
    point("bytes.half");
    (&words[half_words..], &bytes[half_words * 8..])
}

/// Words in a POD whose size is a multiple of eight.
pub(crate) const fn words_of<T>() -> usize {
    assert!(size_of::<T>().is_multiple_of(8));
    size_of::<T>() / 8
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_round_trip() {
        for len in 0..40 {
            let region = RwRegion::heap(8);
            let bytes: Vec<u8> = (0..len as u8).map(|b| b ^ 0x5a).collect();
            store_bytes(region.words(), 1, &bytes);
            let mut out = vec![0xff; len];
            region.read_only().copy_bytes(1, &mut out);
            assert_eq!(out, bytes);
            assert!(
                region.words()[1 + len.div_ceil(8)..]
                    .iter()
                    .all(|w| w.load(Ordering::Relaxed) == 0)
            );
        }
    }

    #[test]
    fn a_part_outside_is_refused() {
        let region = RwRegion::heap(8).read_only();
        assert!(region.part(4, 4).is_some());
        assert!(region.part(4, 5).is_none());
        assert!(region.part(usize::MAX, 2).is_none());
    }
}
