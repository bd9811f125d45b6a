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
    /// The weights where the damping is `gamma`.
    pub(crate) fn new(grid: &Grid, medium: &Medium, gamma: f64) -> Self {
        let a = 0.5 * gamma * medium.dt;
        let along = |h: f64| T::from_f64((medium.speed * medium.dt / h).powi(2) / (1.0 + a));
        Self {
            keep: T::from_f64((1.0 - a) / (1.0 + a)),
            x: along(grid.dx),
            y: along(grid.dy),
            push: T::from_f64(medium.dt.powi(2) / (1.0 + a)),
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

/// Rows of the present level around row `y`: the row itself within `around`, a slice of the field that
/// may reach beyond the row on both sides, and its neighbours, exactly a row each.
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
        let nx = next.len();
        let ends = [0, nx - 1];
        let ends = ends.map(|x| self.end(scheme, y, next, edges, x).unwrap_or(next[x]));
        // Whole vectors from the first cell on, on cache lines, whatever lies beyond the ends of the
        // row: the ends are put right after. Where nothing lies beyond, a cell less.
        let from = usize::from(self.at == 0);
        let to = nx.min(self.around.len() - 1 - self.at);
        if from < to {
            let shifted = |by: usize| &self.around[self.at + from + by - 1..][..to - from];
            let sides = [shifted(0), shifted(2), &self.north[from..to], &self.south[from..to]];
            sweep(&scheme.piece(y, from..to), &mut next[from..to], shifted(1), sides);
        }
        (next[0], next[nx - 1]) = (ends[0], ends[1]);
    }

    /// One end of the row, unless an edge condition writes it.
    #[inline(always)]
    fn end<S: Scheme<T>>(
        &self,
        scheme: &S,
        y: usize,
        next: &[T],
        edges: Wrap,
        x: usize,
    ) -> Option<T> {
        let [west, east] = edges.neighbours(x, next.len())?;
        let here = self.here();
        let sides = [here[west], here[east], self.north[x], self.south[x]];
        Some(scheme.piece(y, x..x + 1).next(0, next[x], here[x], sides))
    }
}

/// The scheme for cells that have their four neighbours at the same index of `sides`.
#[inline(always)]
fn sweep<T: Real>(
    update: &impl Update<T>,
    next: &mut [T],
    here: &[T],
    [west, east, north, south]: [&[T]; 4],
) {
    let count = next.len();
    let (here, west, east) = (&here[..count], &west[..count], &east[..count]);
    let (north, south) = (&north[..count], &south[..count]);
    for i in 0..count {
        let sides = [west[i], east[i], north[i], south[i]];
        next[i] = update.next(i, next[i], here[i], sides);
    }
}
