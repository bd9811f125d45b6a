//! Storage of a field: rows that begin on a cache line wherever their length allows it, and fields
//! that never lie a multiple of 4096 bytes apart.
//!
//! A processor compares the last twelve bits of addresses to see whether a load must wait for an
//! earlier store. Two large allocations begin at the same offset of a page, so that cell i of one
//! looks like cell i of the other: a stencil that writes one and reads the other waits for itself.
//!
//! Large fields ask for huge pages: a sweep over a dozen of them touches more small ones than a processor
//! remembers the addresses of.

use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};

use crate::real::Real;

/// Bytes of a page, after which addresses look alike.
const PAGE: usize = 4096;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Bytes between the offsets of two fields: seven cache lines, so that nine fields fit into a page.
const STAGGER: usize = 448;

/// Bytes of a huge page, where there are any.
const HUGE_PAGE: usize = 2 << 20;

/// The cells of a field, or of some of its rows, zero at first. Dereferences to the slice of them.
pub(crate) struct Cells<T = f32> {
    storage: Storage<T>,
    start: usize,
    count: usize,
}

enum Storage<T> {
    Small(Vec<T>),
    /// At least one huge page, if the system gives them.
    Large(MmapMut),
}

impl<T: Real> Cells<T> {
    /// `count` cells; `place` tells apart the fields that are swept over together.
    pub(crate) fn new(count: usize, place: usize) -> Self {
        let stagger = stagger::<T>(place);
        let storage = Storage::<T>::new(count + page::<T>() + stagger);
        let start = first_of_page(storage.cells()) + stagger;
        Self { storage, start, count }
    }
}

/// The cells of a row that is worked on again and again, zero at first. Dereferences to the slice of them, at less cost
/// than a field: it is done several times a row.
pub(crate) struct Buffer {
    cells: Vec<f32>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// `count` cells; `place` as for [`Cells::new`].
    pub(crate) fn new(count: usize, place: usize) -> Self {
        Self::aligned_at(0, count, place)
    }

    /// The same, but the cell that begins a cache line is number `aligned`.
    pub(crate) fn aligned_at(aligned: usize, count: usize, place: usize) -> Self {
        let lead = aligned.next_multiple_of(LINE / size_of::<f32>()) - aligned;
        let offset = stagger::<f32>(place) + lead;
        let cells = vec![0.0; count + page::<f32>() + offset];
        let start = first_of_page(&cells) + offset;
        Self { cells, start, end: start + count }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    #[inline(always)]
    fn deref(&self) -> &[f32] {
        &self.cells[self.start..self.end]
    }
}

impl DerefMut for Buffer {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.cells[self.start..self.end]
    }
}

/// Cells in a page.
const fn page<T>() -> usize {
    PAGE / size_of::<T>()
}

/// Cells from the beginning of a page to where the cells of a place begin.
fn stagger<T>(place: usize) -> usize {
    place * (STAGGER / size_of::<T>()) % page::<T>()
}

/// The first cell that begins a page. Only speed hangs on this: where none does, the last that could is as good.
fn first_of_page<T>(cells: &[T]) -> usize {
    cells.as_ptr().align_offset(PAGE).min(page::<T>())
}

impl<T: Real> Storage<T> {
    fn new(count: usize) -> Self {
        let bytes = count * size_of::<T>();
        // What cannot be mapped can perhaps be allocated.
        let map = if bytes < 2 * HUGE_PAGE { None } else { MmapMut::map_anon(bytes).ok() };
        match map {
            None => Self::Small(vec![T::default(); count]),
            Some(map) => {
                // A wish: small pages do as well, slower.
                let _ = map.advise(Advice::HugePage);
                Self::Large(map)
            }
        }
    }

    #[inline(always)]
    fn cells(&self) -> &[T] {
        match self {
            Self::Small(cells) => cells,
            Self::Large(map) => bytemuck::cast_slice(map),
        }
    }
}

impl<T: Real> Deref for Cells<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.storage.cells()[self.start..][..self.count]
    }
}

impl<T: Real> DerefMut for Cells<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        let cells = match &mut self.storage {
            Storage::Small(cells) => &mut cells[..],
            Storage::Large(map) => bytemuck::cast_slice_mut(map),
        };
        &mut cells[self.start..][..self.count]
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

    #[test]
    fn buffers_begin_where_they_are_asked_to() {
        for (aligned, place) in [(0, 0), (4, 3), (16, 5), (17, 40)] {
            let buffer = Buffer::aligned_at(aligned, 100, place);
            assert_eq!(buffer.len(), 100);
            assert_eq!(buffer[aligned..].as_ptr() as usize % LINE, 0, "{aligned}, {place}");
        }
    }

    #[test]
    fn large_fields_are_the_same_to_whoever_uses_them() {
        let mut field = Cells::<f64>::new(1 << 20, 3);
        assert_eq!((field.len(), field.as_ptr() as usize % PAGE), (1 << 20, 3 * STAGGER));
        assert!(field.iter().all(|cell| *cell == 0.0));
        field[(1 << 20) - 1] = 1.0;
        assert_eq!(field.iter().sum::<f64>(), 1.0);
    }
}
