//! Storage of a field: rows that begin on a cache line wherever their length allows it, and fields
//! that never lie a multiple of 4096 bytes apart.
//!
//! A processor compares the last twelve bits of addresses to see whether a load must wait for an
//! earlier store. Two large allocations begin at the same offset of a page, so that cell i of one
//! looks like cell i of the other: a stencil that writes one and reads the other waits for itself.

use std::ops::{Deref, DerefMut, Range};

use crate::real::Real;

/// Bytes of a page, after which addresses look alike.
const PAGE: usize = 4096;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Bytes between the offsets of two fields: seven cache lines, so that nine fields fit into a page.
const STAGGER: usize = 448;

/// The cells of one field or row, zero at first. Dereferences to the slice of them.
pub(crate) struct Cells<T = f32> {
    storage: Vec<T>,
    start: usize,
    count: usize,
}

impl<T: Real> Cells<T> {
    /// `count` cells; `place` tells apart the fields that are swept over together.
    pub(crate) fn new(count: usize, place: usize) -> Self {
        Self::aligned_at(0, count, place)
    }

    /// The same, but the cell that begins a cache line is number `aligned`.
    pub(crate) fn aligned_at(aligned: usize, count: usize, place: usize) -> Self {
        let page = PAGE / size_of::<T>();
        let line = LINE / size_of::<T>();
        let lead = aligned.next_multiple_of(line) - aligned;
        let stagger = place * (STAGGER / size_of::<T>()) % page;
        let storage = vec![T::default(); count + page + stagger + lead];
        // Only speed hangs on this: an address that cannot be aligned is as good as any other.
        let start = storage.as_ptr().align_offset(PAGE).min(page) + stagger + lead;
        Self { storage, start, count }
    }

    /// The cells of a range, moved to the right.
    #[inline(always)]
    pub(crate) fn at(&self, range: &Range<usize>, shift: usize) -> &[T] {
        &self[range.start + shift..range.end + shift]
    }
}

impl<T> Deref for Cells<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.storage[self.start..][..self.count]
    }
}

impl<T> DerefMut for Cells<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.storage[self.start..][..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_begin_on_different_lines_of_a_page() {
        let fields: Vec<Cells> = (0..9).map(|place| Cells::new(5000, place)).collect();
        let offset = |cells: &Cells| cells.as_ptr() as usize % PAGE;
        let mut offsets: Vec<usize> = fields.iter().map(offset).collect();
        assert!(offsets.iter().all(|offset| offset % 64 == 0));
        offsets.sort_unstable();
        assert!(offsets.windows(2).all(|pair| pair[1] - pair[0] >= 7 * 64), "{offsets:?}");
        assert!(fields.iter().all(|cells| cells.len() == 5000 && cells.iter().all(|c| *c == 0.0)));
    }
}
