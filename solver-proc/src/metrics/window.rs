//! Mean and variance over a w x w window around every cell, clipped at the edges, at a cost that hardly
//! grows with w, in single precision.
//!
//! Nothing is ever taken back, so that nothing is left behind: next to any noise silence has exactly
//! no variance. First down the columns (van Herk's scheme): the rows are cut into groups of w, and a
//! window is the end of one group and the beginning of the next. Sums are taken of `d = u - K` and of
//! `d^2`, with K the last row of the first group, *which every such window contains*: one d is zero,
//! hence `(sum d)^2 <= (w-1) sum d^2`, and `M = sum d^2 - (sum d)^2/w`, the sum of squares about the
//! mean, keeps at least a w-th of what it is made of, on any offset (running sums lose all digits
//! there). Then along the row: neighbouring groups of columns merge by
//! `m = m_a + p (m_b - m_a)`, `M = M_a + M_b + k (m_b - m_a)^2` with `p = n_b/n`, `k = n_a n_b/n` (Chan,
//! Golub and LeVeque 1979), all terms positive, in threes where w divides by three: 9 = 3 x 3.
//!
//! There an offset costs digits: m_a and m_b are rounded as numbers of its size, and the error of their
//! difference counts. Each is off by up to 2^-24 of the offset, so a variance sigma^2 by up to about
//! `2^-23 offset/sigma` of itself.
//!
//! Cells outside of the field are groups of none. Sums of squares begin at 2^-100, which is taken
//! off exactly at the end: no sum ever is a slow subnormal number, and a silent one is exactly 0.

mod merge;
mod rows;

use std::ops::Range;

use super::sweep::{BLOCK, fma, positive, sweep};
use crate::cells::Buffer;
use merge::Pass;
use rows::{Ends, Pair};

/// Where sums of squares of a column begin, 2^-100: squares of singles that matter to nobody.
const FLOOR: f32 = f32::from_bits((127 - 100) << 23);

/// The window, and the shares by which groups of columns merge.
pub struct Window {
    nx: usize,
    ny: usize,
    side: usize,
    passes: Vec<Pass>,
    /// Columns in the window around each, and what [`FLOOR`] adds up to in them.
    columns: Buffer,
    floor: Buffer,
}

/// Room for the moments of one field in one strip.
pub struct Moments {
    /// Of the group above: from each of its rows to its last, and of none; of the rows below it so far.
    ends: Ends,
    beginning: Pair,
    /// Column by column, then group by group; from half a window left of the field.
    columns: Pair,
    groups: [Pair; 2],
    /// 1/(cells in the window) for every column, for so many rows.
    inverse: Buffer,
    rows: usize,
}

/// One row of windows.
#[derive(Clone, Copy)]
pub(crate) struct Windows<'a> {
    /// Means.
    pub(crate) mean: &'a [f32],
    /// Sums of squares about the mean, [`Windows::floor`] too large.
    pub(crate) squares: &'a [f32],
    /// What to take off.
    pub(crate) floor: &'a [f32],
    /// 1/(cells in the window).
    pub(crate) inverse: &'a [f32],
}

impl Windows<'_> {
    /// Those of some columns.
    #[inline(always)]
    pub(crate) fn part(&self, columns: Range<usize>) -> Self {
        Self {
            mean: &self.mean[columns.clone()],
            squares: &self.squares[columns.clone()],
            floor: &self.floor[columns.clone()],
            inverse: &self.inverse[columns],
        }
    }

    /// The variance from one cell's squares, floor and inverse count.
    #[inline(always)]
    pub(crate) fn variance(squares: f32, floor: f32, inverse: f32) -> f32 {
        positive(squares - floor) * inverse
    }
}

impl Window {
    /// A window of `side` cells (odd) over fields of `nx` x `ny`, cut to what reaches every cell from
    /// every other.
    pub fn new(nx: usize, ny: usize, side: usize) -> Self {
        let side = side.min(2 * nx.max(ny) - 1);
        let half = side / 2;
        let inside = |i: usize| merge::inside(nx, half, i, side);
        let row = |value: &dyn Fn(usize) -> f32| {
            let mut cells = Buffer::new(nx, 8);
            cells.iter_mut().enumerate().for_each(|(x, cell)| *cell = value(inside(x)));
            cells
        };
        let columns = row(&|count| count as f32);
        let floor = row(&|count| 2.0 * count as f32 * FLOOR);
        Self { nx, ny, side, passes: merge::passes(nx, side), columns, floor }
    }

    /// Cells in a row.
    pub(crate) fn nx(&self) -> usize {
        self.nx
    }

    /// Side of a window in cells, odd.
    #[cfg(feature = "gpu")]
    pub(crate) fn side(&self) -> usize {
        self.side
    }

    /// Room for the moments in a strip.
    pub fn moments(&self) -> Moments {
        let ends = Ends::new(self.nx, self.side);
        // Whole blocks of windows are made, which read as far as the longest group of columns reaches.
        let padded = |aligned, place| {
            let count = (self.nx + self.side).next_multiple_of(BLOCK) + self.side;
            Pair::aligned_at(aligned, count, place)
        };
        Moments {
            ends,
            beginning: Pair::new(self.nx, 2),
            columns: padded(self.side / 2, 3),
            groups: [padded(0, 0), padded(0, 1)],
            inverse: Buffer::new(self.nx, 4),
            rows: 0,
        }
    }

    /// Makes the moments of the windows of `field` around row `y` of a strip; rows must be asked for in
    /// order.
    #[inline(always)]
    pub(crate) fn advance(
        &self,
        moments: &mut Moments,
        strip: &Range<usize>,
        y: usize,
        field: &[f32],
    ) {
        self.columns(moments, strip, y, field);
        self.rows(moments);
    }

    /// The columns of the windows around row `y`: means, and sums of squares about them.
    #[inline(always)]
    fn columns(&self, moments: &mut Moments, strip: &Range<usize>, y: usize, field: &[f32]) {
        let (nx, side, half) = (self.nx, self.side, self.side / 2);
        let phase = (y - strip.start) % side;
        // Rows count from half a window above the field.
        let inside = |row: usize| row.checked_sub(half).filter(|row| *row < self.ny);
        let row = |row: usize| inside(row).map(|row| &field[row * nx..][..nx]);
        let end = y - phase + side;
        let last = (end - 1).min(half + self.ny - 1) - half;
        let origin = &field[last * nx..][..nx];
        let Moments { ends, beginning, columns, .. } = moments;
        let stride = ends.stride;
        if phase == 0 {
            beginning.fill(0.0, FLOOR);
            for slot in (0..side).rev() {
                let (here, below) = ends.pair(slot);
                match row(end - side + slot) {
                    None => here.copy_from_slice(below),
                    Some(row) => {
                        let ((sum, squares), out) =
                            (below.split_at(stride), here.split_at_mut(stride));
                        sweep(
                            [row, origin, sum, squares],
                            [],
                            [out.0, out.1],
                            #[inline(always)]
                            |[u, k, sum, squares], []| ([], add(u - k, [sum, squares])),
                        );
                    }
                }
            }
        }
        let rows = (y + side).min(half + self.ny) - y.max(half);
        let inverse = (1.0 / rows as f64) as f32;
        if moments.rows != rows {
            moments.rows = rows;
            for (inverse, columns) in moments.inverse.iter_mut().zip(self.columns.iter()) {
                *inverse = 1.0 / (columns * rows as f32);
            }
        }
        let [mean, squares] = columns.both();
        let out = [&mut mean[half..][..nx], &mut squares[half..][..nx]];
        let (first, second) = ends.slot(phase).split_at(stride);
        match row(end + phase - 1).filter(|_| phase > 0) {
            Some(row) => sweep(
                [row, origin, first, second],
                beginning.both(),
                out,
                #[inline(always)]
                |[u, k, a, b], sums| {
                    let sums = add(u - k, sums);
                    (sums, finish(k, inverse, [a + sums[0], b + sums[1]]))
                },
            ),
            None => {
                let [sum, squares] = beginning.parts();
                sweep(
                    [origin, first, second, sum, squares],
                    [],
                    out,
                    #[inline(always)]
                    |[k, a, b, c, d], []| ([], finish(k, inverse, [a + c, b + d])),
                );
            }
        }
    }

    /// Merges columns until they are windows.
    #[inline(always)]
    fn rows(&self, moments: &mut Moments) {
        let Moments { columns, groups, rows, .. } = moments;
        let [even, odd] = groups;
        for (k, pass) in self.passes.iter().enumerate() {
            let (from, into) = if k % 2 == 0 { (&*odd, &mut *even) } else { (&*even, &mut *odd) };
            let from = if k == 0 { &*columns } else { from };
            pass.run(*rows as f32, [from, columns], into);
        }
    }

    /// The row of windows that was made last.
    pub(crate) fn windows<'a>(&'a self, moments: &'a Moments) -> Windows<'a> {
        let from = match self.passes.len() {
            0 => &moments.columns,
            count => &moments.groups[(count - 1) % 2],
        };
        let [mean, squares] = from.parts();
        Windows {
            mean: &mean[..self.nx],
            squares: &squares[..self.nx],
            floor: &self.floor,
            inverse: &moments.inverse,
        }
    }
}

/// Takes one more `d = u - K` into the sums of d and d^2.
#[inline(always)]
fn add(d: f32, [sum, squares]: [f32; 2]) -> [f32; 2] {
    [sum + d, fma(d, d, squares)]
}

/// The mean, and the sum of squares about it, from the sums of d and d^2.
#[inline(always)]
fn finish(origin: f32, inverse: f32, [sum, squares]: [f32; 2]) -> [f32; 2] {
    let mean = sum * inverse;
    [fma(sum, inverse, origin), fma(-mean, sum, squares)]
}

#[cfg(test)]
mod tests;
