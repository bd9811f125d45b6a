//! Rows of moments: what the columns of a strip come to, and what groups of them come to.

use super::FLOOR;
use crate::cells::{Buffer, Cells};
use crate::metrics::sweep::BLOCK;

/// The sums of each slot, one after the other: rows that lie apart by whole pages would push each
/// other out of the cache.
pub(super) struct Ends {
    cells: Cells,
    pub(super) stride: usize,
}

impl Ends {
    /// `count` slots, and one of no rows.
    pub(super) fn new(nx: usize, count: usize) -> Self {
        let stride = nx.next_multiple_of(BLOCK);
        let mut cells = Cells::new(2 * stride * (count + 1), 0);
        cells[2 * stride * count + stride..].fill(FLOOR);
        Self { cells, stride }
    }

    /// Sums of d, then sums of d^2.
    #[inline(always)]
    pub(super) fn slot(&self, slot: usize) -> &[f32] {
        &self.cells[2 * self.stride * slot..][..2 * self.stride]
    }

    /// A slot, and the one after it.
    #[inline(always)]
    pub(super) fn pair(&mut self, slot: usize) -> (&mut [f32], &[f32]) {
        let both = &mut self.cells[2 * self.stride * slot..][..4 * self.stride];
        let (here, below) = both.split_at_mut(2 * self.stride);
        (here, below)
    }
}

/// Two values for every column: sums of d and d^2, or a mean and a sum of squares about it.
pub(super) struct Pair {
    pub(super) first: Buffer,
    pub(super) second: Buffer,
}

impl Pair {
    /// Zeros; `place` as for [`Buffer::new`], in pairs.
    pub(super) fn new(count: usize, place: usize) -> Self {
        Self::aligned_at(0, count, place)
    }

    /// As for [`Buffer::aligned_at`].
    pub(super) fn aligned_at(aligned: usize, count: usize, place: usize) -> Self {
        let cells = |place| Buffer::aligned_at(aligned, count, place);
        Self { first: cells(2 * place), second: cells(2 * place + 1) }
    }

    #[inline(always)]
    pub(super) fn fill(&mut self, first: f32, second: f32) {
        self.first.fill(first);
        self.second.fill(second);
    }

    #[inline(always)]
    pub(super) fn parts(&self) -> [&[f32]; 2] {
        [&self.first, &self.second]
    }

    #[inline(always)]
    pub(super) fn both(&mut self) -> [&mut [f32]; 2] {
        [&mut self.first, &mut self.second]
    }
}
