//! A region of shared 64-bit words: what every protocol of this crate is written on.
//!
//! The words lie in a mapped plane, or on the heap for tests and models. A [`RoRegion`] can only be loaded
//! from, so a reader cannot even be written that stores.

use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering};

/// Keeps the memory behind a region alive.
pub(crate) trait Backing: Send + Sync {
    /// All words, in order.
    fn words(&self) -> &[AtomicU64];
}

/// Words on the heap: the plane of tests and models.
pub(crate) struct Heap(Vec<AtomicU64>);

impl Backing for Heap {
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
    backing: Arc<dyn Backing>,
    first_word: usize,
    word_count: usize,
}

impl RwRegion {
    /// `word_count` zero words on the heap.
    pub fn heap(word_count: usize) -> Self {
        let words = (0..word_count).map(|_| AtomicU64::new(0)).collect();
        Self { inner: RoRegion { backing: Arc::new(Heap(words)), first_word: 0, word_count } }
    }

    #[cfg(not(loom))]
    pub(crate) fn mapped(backing: Arc<dyn Backing>) -> Self {
        let word_count = backing.words().len();
        Self { inner: RoRegion { backing, first_word: 0, word_count } }
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
    #[cfg(not(loom))]
    pub(crate) fn mapped(backing: Arc<dyn Backing>) -> Self {
        let word_count = backing.words().len();
        Self { backing, first_word: 0, word_count }
    }

    /// A part of this region, or `None` if it does not lie inside.
    pub fn part(&self, first_word: usize, word_count: usize) -> Option<Self> {
        let end = first_word.checked_add(word_count)?;
        (end <= self.word_count).then(|| Self {
            backing: self.backing.clone(),
            first_word: self.first_word + first_word,
            word_count,
        })
    }

    /// Words in the region.
    pub fn word_count(&self) -> usize {
        self.word_count
    }

    /// Loads one word. Panics outside the region.
    #[inline]
    pub(crate) fn load(&self, word: usize, order: Ordering) -> u64 {
        self.words()[word].load(order)
    }

    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        &self.backing.words()[self.first_word..self.first_word + self.word_count]
    }

    /// Copies words out, relaxed: the caller revalidates.
    pub(crate) fn copy_words(&self, first_word: usize, out: &mut [u64]) {
        let words = &self.words()[first_word..first_word + out.len()];
        for (to, from) in out.iter_mut().zip(words) {
            *to = from.load(Ordering::Relaxed);
        }
    }

    /// Appends `len_bytes` bytes that start at `first_word`, relaxed: the caller revalidates.
    pub(crate) fn copy_bytes(&self, first_word: usize, len_bytes: usize, out: &mut Vec<u8>) {
        let whole = len_bytes / 8;
        let words = &self.words()[first_word..first_word + len_bytes.div_ceil(8)];
        out.reserve(len_bytes);
        for word in &words[..whole] {
            out.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        if let Some(last) = words.get(whole) {
            let bytes = last.load(Ordering::Relaxed).to_ne_bytes();
            out.extend_from_slice(&bytes[..len_bytes - whole * 8]);
        }
    }
}

/// Stores bytes into words from `first_word` on, relaxed; the rest of a last partial word becomes zero.
pub(crate) fn store_bytes(words: &[AtomicU64], first_word: usize, bytes: &[u8]) {
    let words = &words[first_word..first_word + bytes.len().div_ceil(8)];
    let mut chunks = bytes.chunks_exact(8);
    for (word, chunk) in words.iter().zip(&mut chunks) {
        let mut raw = [0u8; 8];
        raw.copy_from_slice(chunk);
        word.store(u64::from_ne_bytes(raw), Ordering::Relaxed);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut raw = [0u8; 8];
        raw[..rest.len()].copy_from_slice(rest);
        words[words.len() - 1].store(u64::from_ne_bytes(raw), Ordering::Relaxed);
    }
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
            let mut out = Vec::new();
            region.read_only().copy_bytes(1, len, &mut out);
            assert_eq!(out, bytes);
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
