//! The scheme for one cell, in the three forms that a medium can need, and a row of it.

use std::ops::Range;

use crate::boundary::Wrap;
use crate::feedback::Law;
use crate::grid::Grid;
use crate::real::Real;
use crate::wave::Medium;

/// Weights of one cell's update: of `u - u-`, of the second difference along x, and along y, and of
/// the nonlinear term.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights<T> {
    pub(crate) keep: T,
    pub(crate) x: T,
    pub(crate) y: T,
    pub(crate) push: T,
}

impl<T: Real> Weights<T> {
    /// The weights where the damping is `gamma`. Stable is `4 (x + y) + push max(-f') <= 2 (1 + keep)`. A time step at that
    /// limit is one beyond it as soon as anything is rounded to the wrong side, and its shortest wave then grows without
    /// end. So there, and only there, these weights are smaller, by no more than [`Real::MARGIN`].
    pub(crate) fn new(grid: &Grid, medium: &Medium, gamma: f64) -> Self {
        let a = 0.5 * gamma * medium.dt;
        let keep = (1.0 - a) / (1.0 + a);
        let [x, y] = [grid.dx, grid.dy].map(|h| (medium.speed * medium.dt / h).powi(2) / (1.0 + a));
        let push = medium.dt.powi(2) / (1.0 + a);
        let taken = 4.0 * (x + y) + push * medium.feedback.stiffness();
        let share = (2.0 * (1.0 + keep) * (1.0 - T::MARGIN) / taken).min(1.0);
        Self {
            keep: T::from_f64(keep),
            x: T::from_f64(x * share),
            y: T::from_f64(y * share),
            push: T::from_f64(push * share),
        }
    }
}

/// A form of the scheme: gives the update of a piece of a row.
pub(crate) trait Scheme<T>: Sync {
    /// The update of some cells of one row.
    type Piece<'a>: Update<T>
    where
        Self: 'a;

    /// The update of `cells` of row `y`.
    fn piece(&self, y: usize, cells: Range<usize>) -> Self::Piece<'_>;
}

/// The scheme for one cell. Sums are grouped by axis and commute, so mirrored and transposed fields
/// stay mirrored and transposed to the last bit.
pub(crate) trait Update<T> {
    /// The next level of cell `i` of the piece, `sides` being its west, east, north and south.
    fn next(&self, i: usize, previous: T, u: T, sides: [T; 4]) -> T;
}

/// Linear, the same everywhere; with equal spacings the two second differences share their weight,
/// which saves three operations of fifteen.
#[derive(Clone, Copy)]
pub(crate) struct Uniform<T, const SQUARE: bool>(pub(crate) Weights<T>);

impl<T: Real, const SQUARE: bool> Scheme<T> for Uniform<T, SQUARE> {
    type Piece<'a> = Self;

    #[inline(always)]
    fn piece(&self, _: usize, _: Range<usize>) -> Self {
        *self
    }
}

impl<T: Real, const SQUARE: bool> Update<T> for Uniform<T, SQUARE> {
    #[inline(always)]
    fn next(&self, _: usize, previous: T, u: T, [west, east, north, south]: [T; 4]) -> T {
        let twice = u + u;
        let bend = if SQUARE {
            self.0.x * (((west + east) + (north + south)) - (twice + twice))
        } else {
            self.0.x * ((west + east) - twice) + self.0.y * ((north + south) - twice)
        };
        (u + (self.0.keep * (u - previous) + bend)).flushed()
    }
}

/// Damping that differs from cell to cell, or a nonlinear term, or both.
pub(crate) struct Layered<'s, T, L> {
    pub(crate) layers: &'s crate::boundary::Layers<T>,
    pub(crate) law: L,
}

impl<T: Real, L: Law<T>> Scheme<T> for Layered<'_, T, L> {
    type Piece<'a>
        = LayeredPiece<'a, T, L>
    where
        Self: 'a;

    #[inline(always)]
    fn piece(&self, y: usize, cells: Range<usize>) -> Self::Piece<'_> {
        let [keep, x, y, push] = self.layers.weights(y).map(|weights| &weights[cells.clone()]);
        LayeredPiece { keep, x, y, push, law: self.law }
    }
}

/// Weights of a piece of a row, one array for each so that they load as vectors.
pub(crate) struct LayeredPiece<'a, T, L> {
    keep: &'a [T],
    x: &'a [T],
    y: &'a [T],
    push: &'a [T],
    law: L,
}

impl<T: Real, L: Law<T>> Update<T> for LayeredPiece<'_, T, L> {
    #[inline(always)]
    fn next(&self, i: usize, previous: T, u: T, [west, east, north, south]: [T; 4]) -> T {
        let twice = u + u;
        let bend = self.x[i] * ((west + east) - twice) + self.y[i] * ((north + south) - twice);
        let bend = if L::LINEAR { bend } else { bend + self.push[i] * self.law.force(u) };
        (u + (self.keep[i] * (u - previous) + bend)).flushed()
    }
}

/// A row of the present level within `around`, a slice of the field that may reach beyond the row on both sides, and
/// its neighbours, exactly a row each.
pub(crate) struct Rows<'a, T> {
    /// What the row lies in.
    pub(crate) around: &'a [T],
    /// Where in `around` the row begins.
    pub(crate) at: usize,
    pub(crate) north: &'a [T],
    pub(crate) south: &'a [T],
}

impl<'a, T: Real> Rows<'a, T> {
    /// Row `y` of the field `u`, with `nx` cells a row.
    #[inline(always)]
    pub(crate) fn of(u: &'a [T], nx: usize, y: usize, sides: [usize; 2]) -> Self {
        let [north, south] = sides.map(|y| &u[y * nx..][..nx]);
        Self { around: u, at: y * nx, north, south }
    }

    /// The row itself.
    #[inline(always)]
    pub(crate) fn here(&self) -> &'a [T] {
        &self.around[self.at..][..self.north.len()]
    }

    /// Overwrites the previous level in `next`, a whole row, by the next one. An end of the row that an
    /// edge condition writes keeps the previous level.
    #[inline(always)]
    pub(crate) fn update<S: Scheme<T>>(&self, scheme: &S, y: usize, next: &mut [T], edges: Wrap) {
        let ends = self.ends(scheme, y, next, edges);
        let (cells, around) = swept(self.around, self.at, next.len(), 1);
        if !cells.is_empty() {
            let piece = scheme.piece(y, cells.clone());
            let sides = [&self.north[cells.clone()], &self.south[cells.clone()]];
            sweep(&piece, &mut next[cells], around, sides);
        }
        put_ends(next, ends);
    }

    /// The ends of the row at the next level, or, where an edge condition writes them, at the previous one.
    #[inline(always)]
    fn ends<S: Scheme<T>>(&self, scheme: &S, y: usize, next: &[T], edges: Wrap) -> [T; 2] {
        let (here, last) = (self.here(), next.len() - 1);
        let mut ends = [next[0], next[last]];
        for (end, x) in [0, last].into_iter().enumerate() {
            if let Some([west, east]) = edges.neighbours(x, next.len()) {
                let sides = [here[west], here[east], self.north[x], self.south[x]];
                ends[end] = scheme.piece(y, x..x + 1).next(0, next[x], here[x], sides);
            }
        }
        ends
    }
}

/// Rows that are updated together: each is loaded once for itself and for both of its neighbours, from a cache further
/// away than the next, and what is to be done around a row is done for all. Eight gain no more; the four are written out
/// wherever their rows have to be told apart.
pub(crate) const TALL: usize = 4;

/// Rows of the present level one after another within `around`, and the neighbours of the first and of the last.
pub(crate) struct TallRows<'a, T> {
    /// What the rows lie in.
    pub(crate) around: &'a [T],
    /// Where in `around` the first of them begins.
    pub(crate) at: usize,
    pub(crate) north: &'a [T],
    pub(crate) south: &'a [T],
}

impl<'a, T: Real> TallRows<'a, T> {
    /// Row `k` of them.
    #[inline(always)]
    pub(crate) fn row(&self, k: usize) -> Rows<'a, T> {
        let nx = self.north.len();
        let at = self.at + k * nx;
        let north = if k == 0 { self.north } else { &self.around[at - nx..][..nx] };
        let south = if k + 1 == TALL { self.south } else { &self.around[at + nx..][..nx] };
        Rows { around: self.around, at, north, south }
    }

    /// Overwrites the previous level in `next`, so many whole rows, by the next one: the same bits as
    /// [`Rows::update`] row by row. Row `k` is row `ys[k]` of the field.
    #[inline(always)]
    pub(crate) fn update<S: Scheme<T>>(
        &self,
        scheme: &S,
        ys: [usize; TALL],
        next: &mut [T],
        edges: Wrap,
    ) {
        let nx = self.north.len();
        let mut ends = [[T::default(); 2]; TALL];
        for k in 0..TALL {
            ends[k] = self.row(k).ends(scheme, ys[k], &next[k * nx..][..nx], edges);
        }
        let (cells, around) = swept(self.around, self.at, nx, TALL);
        if !cells.is_empty() {
            let [y_0, y_1, y_2, y_3] = ys;
            let pieces = [
                scheme.piece(y_0, cells.clone()),
                scheme.piece(y_1, cells.clone()),
                scheme.piece(y_2, cells.clone()),
                scheme.piece(y_3, cells.clone()),
            ];
            let sides = [&self.north[cells.clone()], &self.south[cells.clone()]];
            let (first, rest) = next.split_at_mut(nx);
            let (second, rest) = rest.split_at_mut(nx);
            let (third, fourth) = rest.split_at_mut(nx);
            sweep_tall(
                &pieces,
                &mut first[cells.clone()],
                &mut second[cells.clone()],
                &mut third[cells.clone()],
                &mut fourth[cells.clone()],
                (around, nx),
                sides,
            );
        }
        for k in 0..TALL {
            put_ends(&mut next[k * nx..][..nx], ends[k]);
        }
    }
}

/// Cells of `rows` rows of `nx` cells that have a cell on either side in `around`, and what is around them, from the
/// west of the first one on: whole vectors from the first cell of a row on, on cache lines, whatever lies beyond the
/// ends of the row, which are put right after. Where nothing lies beyond, a cell less.
#[inline(always)]
fn swept<T>(around: &[T], at: usize, nx: usize, rows: usize) -> (Range<usize>, &[T]) {
    let from = usize::from(at == 0);
    let to = nx.min(around.len() - 1 - at - (rows - 1) * nx);
    (from..to.max(from), &around[at + from - 1..])
}

#[inline(always)]
fn put_ends<T: Real>(next: &mut [T], ends: [T; 2]) {
    let last = next.len() - 1;
    [next[0], next[last]] = ends;
}

/// The scheme for cells of a row: `around` begins one cell west of the first of them.
#[inline(always)]
fn sweep<T: Real>(
    update: &impl Update<T>,
    next: &mut [T],
    around: &[T],
    [north, south]: [&[T]; 2],
) {
    let count = next.len();
    let [west, here, east] = shifted(around, 0, count);
    let (north, south) = (&north[..count], &south[..count]);
    for i in 0..count {
        let sides = [west[i], east[i], north[i], south[i]];
        next[i] = update.next(i, next[i], here[i], sides);
    }
}

/// `count` cells around cell `at + 1`, one cell to the west, in place, one cell to the east. A closure would not do: what is
/// not inlined first of all takes the lengths from the compiler, which then looks at each at every cell.
#[inline(always)]
fn shifted<T>(around: &[T], at: usize, count: usize) -> [&[T]; 3] {
    [&around[at..][..count], &around[at + 1..][..count], &around[at + 2..][..count]]
}

/// The scheme for the same cells of [`TALL`] rows, `nx` cells apart in `around`, which begins one cell west of the first
/// of them. Each row of the next level is an argument of its own: so the compiler knows that none overlaps another.
#[inline(always)]
fn sweep_tall<T: Real>(
    updates: &[impl Update<T>; TALL],
    first: &mut [T],
    second: &mut [T],
    third: &mut [T],
    fourth: &mut [T],
    (around, nx): (&[T], usize),
    [north, south]: [&[T]; 2],
) {
    let count = first.len();
    let (second, third, fourth) = (&mut second[..count], &mut third[..count], &mut fourth[..count]);
    let (north, south) = (&north[..count], &south[..count]);
    let [west_0, here_0, east_0] = shifted(around, 0, count);
    let [west_1, here_1, east_1] = shifted(around, nx, count);
    let [west_2, here_2, east_2] = shifted(around, 2 * nx, count);
    let [west_3, here_3, east_3] = shifted(around, 3 * nx, count);
    for i in 0..count {
        let u = [here_0[i], here_1[i], here_2[i], here_3[i]];
        let next = [
            updates[0].next(i, first[i], u[0], [west_0[i], east_0[i], north[i], u[1]]),
            updates[1].next(i, second[i], u[1], [west_1[i], east_1[i], u[0], u[2]]),
            updates[2].next(i, third[i], u[2], [west_2[i], east_2[i], u[1], u[3]]),
            updates[3].next(i, fourth[i], u[3], [west_3[i], east_3[i], u[2], south[i]]),
        ];
        [first[i], second[i], third[i], fourth[i]] = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::Layers;
    use crate::feedback::{Feedback, SineGordon};
    use crate::workers::Workers;
    use rsw_config::Boundary;

    /// Rows of every length, at the beginning, in the middle and at the end of what they lie in.
    #[test]
    fn four_rows_together_are_four_rows() {
        let workers = Workers::single().unwrap();
        for nx in (1..40).chain([63, 64, 65, 200]) {
            same_in::<f32>(nx, &workers);
            same_in::<f64>(nx, &workers);
        }
    }

    fn same_in<T: Real>(nx: usize, workers: &Workers) {
        let strength = 0.3;
        let medium = Medium {
            speed: 1.0,
            dt: 0.6,
            damping: 0.05,
            boundary: Boundary::Neumann,
            sponge_width: 0,
            sponge_damping: 0.0,
            feedback: Feedback::SineGordon { strength },
        };
        let grid = Grid::new(nx, 6, 1.0, 1.0).unwrap();
        let weights = Weights::<T>::new(&grid, &medium, 0.05);
        let law = SineGordon(T::from_f64(strength));
        let layered = Layered { layers: &Layers::new(&grid, &medium), law };
        for wrap in [Wrap::Written, Wrap::Mirror, Wrap::Around] {
            same(&Uniform::<T, true>(weights), nx, wrap, workers);
            same(&Uniform::<T, false>(weights), nx, wrap, workers);
            same(&layered, nx, wrap, workers);
        }
    }

    fn same<T: Real, S: Scheme<T>>(scheme: &S, nx: usize, wrap: Wrap, workers: &Workers) {
        let noise = |seed: u32, rows: usize| -> Vec<T> {
            let mixed = |i: u32| i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8;
            (0..(rows * nx) as u32).map(|i| T::from_f64(f64::from(mixed(i)) / 1e7)).collect()
        };
        let (field, previous) = (noise(1, 6), noise(77, TALL));
        let (north, south) = (&field[..nx], &field[5 * nx..]);
        for (rows, at) in [(1..5, 0), (0..5, nx), (1..6, 0), (0..6, nx)] {
            let around = &field[rows.start * nx..rows.end * nx];
            let tall = TallRows { around, at, north, south };
            let (mut together, mut single) = (previous.clone(), previous.clone());
            for (k, next) in single.chunks_mut(nx).enumerate() {
                tall.row(k).update(scheme, k + 1, next, wrap);
            }
            workers.vectorised(
                #[inline(always)]
                || tall.update(scheme, [1, 2, 3, 4], &mut together, wrap),
            );
            assert_eq!(together, single, "{nx} cells a row, {wrap:?}, rows {rows:?}");
        }
    }
}
