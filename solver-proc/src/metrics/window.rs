//! Mean and variance over a w x w window around every cell, clipped at the edges, at a cost that hardly
//! grows with w, in single precision.
//!
//! Nothing is ever taken back, so that nothing is left behind: next to any noise silence has exactly
//! no variance. First down the columns (van Herk's scheme): the rows are cut into groups of w, and a
//! window is the end of one group and the beginning of the next. Sums are taken of `d = u - K` and of
//! `d^2`, with K the last row of the first group, *which every such window contains*: one d is zero,
//! hence `(sum d)^2 <= (w-1) sum d^2`, and `M = sum d^2 - (sum d)^2/w`, the sum of squares about the
//! mean, keeps at least a w-th of what it is made of, on any offset (running sums lose all digits
//! there, science 5.5). Then along the row: neighbouring groups of columns merge by
//! `m = m_a + p (m_b - m_a)`, `M = M_a + M_b + k (m_b - m_a)^2` with `p = n_b/n`, `k = n_a n_b/n` (Chan,
//! Golub and LeVeque 1979), all terms positive, in threes where w divides by three: 9 = 3 x 3.
//!
//! Cells outside of the field are groups of none. Sums of squares begin at 2^-100, which is taken
//! off exactly at the end: no sum ever is a slow subnormal number, and a silent one is exactly 0.

use std::ops::Range;

use super::sweep::{BLOCK, fma, positive, sweep};
use crate::cells::Cells;

/// Where sums of squares of a column begin, 2^-100: squares of singles that matter to nobody.
const FLOOR: f32 = f32::from_bits((127 - 100) << 23);

/// The window, and the shares by which groups of columns merge.
pub struct Window {
    nx: usize,
    ny: usize,
    side: usize,
    passes: Vec<Pass>,
    /// Columns in the window around each, and what [`FLOOR`] adds up to in them.
    columns: Cells,
    floor: Cells,
}

/// Groups of columns become groups of more.
struct Pass {
    /// How much wider the row is than the field: groups that begin left of it.
    wider: usize,
    unions: Unions,
}

enum Unions {
    /// With the same group, `size` further.
    Two(Union),
    /// With those `size` and twice as much further.
    Three(Trio),
    /// With the one column that follows.
    Column(Union),
}

/// Three groups of `size` columns. Where an edge clips them: the shares of the outer two, and what the
/// pairs add (first with second, second with third, first with third).
struct Trio {
    size: usize,
    tables: [Cells; 5],
}

/// The shares of one union: those in the middle of the field, and those at each column.
struct Union {
    shift: usize,
    middle: Share,
    parts: Cells,
    factors: Cells,
}

/// `p` and `k` of a union.
#[derive(Clone, Copy)]
struct Share {
    part: f32,
    factor: f32,
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
    inverse: Cells,
    rows: usize,
}

/// The sums of each slot, one after the other: rows that lie apart by whole pages would push each
/// other out of the cache.
struct Ends {
    cells: Cells,
    stride: usize,
}

impl Ends {
    /// `count` slots, and one of no rows.
    fn new(nx: usize, count: usize) -> Self {
        let stride = nx.next_multiple_of(BLOCK);
        let mut cells = Cells::new(2 * stride * (count + 1), 0);
        cells[2 * stride * count + stride..].fill(FLOOR);
        Self { cells, stride }
    }

    /// Sums of d, then sums of d^2.
    #[inline(always)]
    fn slot(&self, slot: usize) -> &[f32] {
        &self.cells[2 * self.stride * slot..][..2 * self.stride]
    }

    /// A slot, and the one after it.
    #[inline(always)]
    fn pair(&mut self, slot: usize) -> (&mut [f32], &[f32]) {
        let both = &mut self.cells[2 * self.stride * slot..][..4 * self.stride];
        let (here, below) = both.split_at_mut(2 * self.stride);
        (here, below)
    }
}

/// Two values for every column: sums of d and d^2, or a mean and a sum of squares about it.
struct Pair {
    first: Cells,
    second: Cells,
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
        // Columns of the field among the `size` that begin at column `i`, counted from -half.
        let inside = |i: usize, size: usize| (i + size).min(half + nx).saturating_sub(i.max(half));
        let union = |wide: usize, before: usize, joins: usize| {
            let share = |i| Share::of(inside(i, before), inside(i + before, joins));
            let table = |value: &dyn Fn(Share) -> f32| {
                let mut cells = Cells::new(wide, 8);
                cells.iter_mut().enumerate().for_each(|(i, cell)| *cell = value(share(i)));
                cells
            };
            let middle = Share::of(before, joins);
            let (parts, factors) = (table(&|share| share.part), table(&|share| share.factor));
            Union { shift: before, middle, parts, factors }
        };
        let mut passes = Vec::new();
        let mut size = 1;
        for factor in factors(side) {
            let grown = match factor {
                Growth::Twice => 2 * size,
                Growth::Thrice => 3 * size,
                Growth::One => size + 1,
            };
            let wider = side - grown;
            let wide = (nx + wider).next_multiple_of(BLOCK);
            let unions = match factor {
                Growth::Twice => Unions::Two(union(wide, size, size)),
                Growth::Thrice => {
                    let counts = |i: usize| [i, i + size, i + 2 * size].map(|i| inside(i, size));
                    Unions::Three(Trio::new(wide, size, counts))
                }
                Growth::One => Unions::Column(union(wide, size, 1)),
            };
            passes.push(Pass { wider, unions });
            size = grown;
        }
        let row = |value: &dyn Fn(usize) -> f32| {
            let mut cells = Cells::new(nx, 8);
            cells.iter_mut().enumerate().for_each(|(x, cell)| *cell = value(inside(x, side)));
            cells
        };
        let columns = row(&|count| count as f32);
        let floor = row(&|count| 2.0 * count as f32 * FLOOR);
        Self { nx, ny, side, passes, columns, floor }
    }

    /// Cells in a row.
    pub(crate) fn nx(&self) -> usize {
        self.nx
    }

    /// Room for the moments in a strip.
    pub fn moments(&self) -> Moments {
        let ends = Ends::new(self.nx, self.side);
        // Whole blocks of windows are made, which read as far as the longest group of columns reaches.
        let padded =
            |place| Pair::new((self.nx + self.side).next_multiple_of(BLOCK) + self.side, place);
        Moments {
            ends,
            beginning: Pair::new(self.nx, 2),
            columns: padded(3),
            groups: [padded(0), padded(1)],
            inverse: Cells::new(self.nx, 4),
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
            pass.run(self.nx, self.side / 2, *rows as f32, [from, columns], into);
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

impl Pass {
    #[inline(always)]
    fn run(&self, nx: usize, half: usize, rows: f32, [from, columns]: [&Pair; 2], into: &mut Pair) {
        let wide = (nx + self.wider).next_multiple_of(BLOCK);
        let grown = 2 * half + 1 - self.wider;
        // Groups that neither edge clips, in whole blocks; the others have shares of their own.
        let first = half.next_multiple_of(BLOCK).min(wide);
        let last = (half + nx + 1).saturating_sub(grown).clamp(first, wide);
        let middle = first..first + (last - first) / BLOCK * BLOCK;
        let edges = [(0..middle.start, false), (middle.end..wide, false)];
        for (range, middle) in edges.into_iter().chain([(middle, true)]) {
            self.part(range, middle, rows, [from, columns], into);
        }
    }

    /// The groups of a range, of columns with so many rows; `middle` says that all groups are whole.
    #[inline(always)]
    fn part(
        &self,
        range: Range<usize>,
        middle: bool,
        rows: f32,
        [from, columns]: [&Pair; 2],
        into: &mut Pair,
    ) {
        let [m, s] = [&from.first[range.clone()], &from.second[range.clone()]];
        let out = [&mut into.first[range.clone()], &mut into.second[range.clone()]];
        let (pair, union) = match &self.unions {
            Unions::Two(union) => (from, union),
            Unions::Column(union) => (columns, union),
            Unions::Three(trio) => {
                let [one, two] = [trio.size, 2 * trio.size];
                let (a, b) = (from.first.at(&range, one), from.second.at(&range, one));
                let (c, d) = (from.first.at(&range, two), from.second.at(&range, two));
                if middle {
                    let count = rows * trio.size as f32;
                    sweep(
                        [m, s, a, b, c, d],
                        [],
                        out,
                        #[inline(always)]
                        |[m, s, a, b, c, d], []| ([], unite_alike(count, [m, a, c], s + b + d)),
                    );
                } else {
                    let table = |k: usize| &trio.tables[k][range.clone()];
                    let [p, q, f, g, h] = [table(0), table(1), table(2), table(3), table(4)];
                    sweep(
                        [m, s, a, b, c, d, p, q, f, g, h],
                        [],
                        out,
                        #[inline(always)]
                        |[m, s, a, b, c, d, p, q, f, g, h], []| {
                            let factors = [f * rows, g * rows, h * rows];
                            ([], unite_three([p, q], factors, [m, a, c], s + b + d))
                        },
                    );
                }
                return;
            }
        };
        let shift = union.shift;
        let (a, b) = (pair.first.at(&range, shift), pair.second.at(&range, shift));
        if middle {
            let share = union.middle.times(rows);
            sweep(
                [m, s, a, b],
                [],
                out,
                #[inline(always)]
                |[m, s, a, b], []| ([], share.unite([m, s], [a, b])),
            );
        } else {
            let [p, f] = union.tables(&range);
            sweep(
                [m, s, a, b, p, f],
                [],
                out,
                #[inline(always)]
                |[m, s, a, b, part, factor], []| {
                    let share = Share { part, factor }.times(rows);
                    ([], share.unite([m, s], [a, b]))
                },
            );
        }
    }
}

/// Mean and sum of squares of the union of three groups of `count` cells each, from their means and
/// the sum of their sums of squares: with l and r how far the outer means are from the middle one,
/// `M = .. + n (l-r)^2/2 + n (l+r)^2/6`.
#[inline(always)]
fn unite_alike(count: f32, [a, b, c]: [f32; 3], squares: f32) -> [f32; 2] {
    let (l, r) = (a - b, c - b);
    let (apart, both) = (l - r, l + r);
    let squares = fma(apart * (count * (1.0 / 2.0)), apart, squares);
    [fma(both, 1.0 / 3.0, b), fma(both * (count * (1.0 / 6.0)), both, squares)]
}

/// The same of three groups of different size: the mean is `b + p l + q r` with the shares of the outer
/// groups, and every pair adds `n_i n_j/n` times the square of what is between.
#[inline(always)]
fn unite_three(
    [p, q]: [f32; 2],
    [first, second, outer]: [f32; 3],
    [a, b, c]: [f32; 3],
    squares: f32,
) -> [f32; 2] {
    let (l, r) = (a - b, c - b);
    let apart = l - r;
    let squares = fma(first * l, l, fma(second * r, r, squares));
    [fma(p, l, fma(q, r, b)), fma(outer * apart, apart, squares)]
}

impl Trio {
    /// The shares of three groups of `size` columns; `counts` has the columns inside of the field.
    fn new(wide: usize, size: usize, counts: impl Fn(usize) -> [usize; 3]) -> Self {
        let mut tables: [Cells; 5] = std::array::from_fn(|_| Cells::new(wide, 8));
        for i in 0..wide {
            let [a, b, c] = counts(i).map(|count| count as f64);
            let share = |value: f64| if a + b + c > 0.0 { value / (a + b + c) } else { 0.0 };
            let values = [share(a), share(c), share(a * b), share(b * c), share(a * c)];
            for (table, value) in tables.iter_mut().zip(values) {
                table[i] = value as f32;
            }
        }
        Self { size, tables }
    }
}

impl Union {
    /// Shares of the groups in a range.
    #[inline(always)]
    fn tables(&self, range: &Range<usize>) -> [&[f32]; 2] {
        [&self.parts[range.clone()], &self.factors[range.clone()]]
    }
}

impl Share {
    /// Of the union of `a` cells with `b` cells.
    fn of(a: usize, b: usize) -> Self {
        let (a, b) = (a as f64, b as f64);
        let share = |value: f64| if b > 0.0 { (value / (a + b)) as f32 } else { 0.0 };
        Self { part: share(b), factor: share(a * b) }
    }

    /// The same where every column is a group of so many rows.
    #[inline(always)]
    fn times(self, rows: f32) -> Self {
        Self { factor: self.factor * rows, ..self }
    }

    /// Mean and sum of squares of the union of two groups.
    #[inline(always)]
    fn unite(self, [mean_a, squares_a]: [f32; 2], [mean_b, squares_b]: [f32; 2]) -> [f32; 2] {
        let apart = mean_b - mean_a;
        let squares = fma(self.factor * apart, apart, squares_a + squares_b);
        [fma(self.part, apart, mean_a), squares]
    }
}

impl Pair {
    /// Zeros; `place` as for [`Cells::new`], in pairs.
    fn new(count: usize, place: usize) -> Self {
        Self { first: Cells::new(count, 2 * place), second: Cells::new(count, 2 * place + 1) }
    }

    #[inline(always)]
    fn fill(&mut self, first: f32, second: f32) {
        self.first.fill(first);
        self.second.fill(second);
    }

    #[inline(always)]
    fn parts(&self) -> [&[f32]; 2] {
        [&self.first, &self.second]
    }

    #[inline(always)]
    fn both(&mut self) -> [&mut [f32]; 2] {
        [&mut self.first, &mut self.second]
    }
}

/// How a group grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    Twice,
    Thrice,
    One,
}

/// How one column grows into `side`.
fn factors(side: usize) -> Vec<Growth> {
    let (before, last) = match side {
        0 | 1 => return Vec::new(),
        _ if side.is_multiple_of(3) => (side / 3, Growth::Thrice),
        _ if side.is_multiple_of(2) => (side / 2, Growth::Twice),
        _ => (side - 1, Growth::One),
    };
    let mut all = factors(before);
    all.push(last);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::meter::tests::noise;

    #[test]
    fn moments_are_those_of_every_window_cell_by_cell() {
        let shapes = [(1, 1), (2, 1), (3, 5), (17, 23), (70, 40), (1023, 17), (5, 1025)];
        for (nx, ny) in shapes {
            let u = noise(nx * ny, 3);
            for side in [1, 3, 5, 7, 9, 15, 31] {
                let window = Window::new(nx, ny, side);
                for strip in [0..ny, 0..ny / 2, ny / 2..ny] {
                    let mut moments = window.moments();
                    for y in strip.clone() {
                        check_row(&window, &mut moments, &strip, y, &u);
                    }
                }
            }
        }
    }

    /// In double precision, two passes over every window.
    fn exact(window: &Window, [x, y]: [usize; 2], field: &[f32]) -> [f64; 2] {
        let (nx, ny, half) = (window.nx, window.ny, window.side / 2);
        let mut values = Vec::new();
        for row in y.saturating_sub(half)..(y + half + 1).min(ny) {
            for column in x.saturating_sub(half)..(x + half + 1).min(nx) {
                values.push(f64::from(field[row * nx + column]));
            }
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        [mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count]
    }

    /// Means and variances around row `y`.
    fn row(
        window: &Window,
        moments: &mut Moments,
        strip: &Range<usize>,
        y: usize,
        field: &[f32],
    ) -> Vec<[f64; 2]> {
        window.advance(moments, strip, y, field);
        let row = window.windows(moments);
        let cells = row.mean.iter().zip(row.squares).zip(row.floor.iter().zip(row.inverse));
        let cell = |((mean, squares), (floor, inverse)): ((&f32, &f32), (&f32, &f32))| {
            let variance = Windows::variance(*squares, *floor, *inverse);
            [f64::from(*mean), f64::from(variance)]
        };
        cells.map(cell).collect()
    }

    fn check_row(
        window: &Window,
        moments: &mut Moments,
        strip: &Range<usize>,
        y: usize,
        field: &[f32],
    ) {
        for (x, [ours, spread]) in row(window, moments, strip, y, field).into_iter().enumerate() {
            let [mean, variance] = exact(window, [x, y], field);
            // Values are below 1: a mean is off by some units of 2^-24, a variance relatively.
            assert!((ours - mean).abs() < 4e-7, "{x}, {y}, side {}: {ours}, {mean}", window.side);
            assert!(
                (spread - variance).abs() <= 2e-6 * variance,
                "{x}, {y}, side {}: {spread}, {variance}",
                window.side
            );
        }
    }

    /// The case of science 5.5: a wave of 1e-3 on an offset of 1. A mean near 1 is right to a unit of
    /// 2^-23, so a variance (from 2e-8 up) is right to that over the standard deviation.
    #[test]
    fn a_small_variance_on_a_large_offset_survives() {
        let n = 64;
        let u: Vec<f32> =
            (0..n * n).map(|i| (1.0 + 1e-3 * (0.1 * (i % n) as f64).sin()) as f32).collect();
        let window = Window::new(n, n, 9);
        let mut moments = window.moments();
        for y in 0..n {
            let cells = row(&window, &mut moments, &(0..n), y, &u);
            for (x, [_, ours]) in cells.into_iter().enumerate() {
                let [_, variance] = exact(&window, [x, y], &u);
                let error = ours / variance - 1.0;
                assert!(
                    error.abs() < f64::from(f32::EPSILON) / variance.sqrt(),
                    "{x}, {y}: {error} of {variance}"
                );
            }
        }
    }
}
