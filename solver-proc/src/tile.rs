//! Time tiling: several steps in one pass over the field, so that memory is read and written once for
//! all of them.
//!
//! A wavefront runs down the rows, four at a time. Where its front is at row p, rows p - t to p - t + 3 take
//! their step t (counted from 0 within the tile): everything that step needs was made by earlier fronts, but
//! for the rows below, which the same front made just before; and what it overwrites, two levels older, nobody
//! needs any more (SCIENCE.md, How it is computed). So the rows in use are `2 (depth + 5)`, and they stay in a cache.
//!
//! On several threads each has a band of rows. A band first copies `depth` rows beyond its borders, and
//! computes in them, again, one row less at every step, what its neighbour computes too: no band ever
//! waits for another, and the result has the same bits however many there are.
//!
//! The oracle is [`crate::wave::Wave::step`], one step at a time over the whole field: the same bits.

use crate::boundary::{self, EdgeRow, Edges, OldEnds, Wrap};
use crate::cells::Cells;
use crate::grid::Grid;
use crate::real::Real;
use crate::source::Feeds;
use crate::stencil::{Rows, Scheme, TALL, TallRows};
use crate::wave::Kernel;
use crate::workers::{STRIPS_MAX, Workers};

/// Most steps in a tile that [`Tiling::Auto`] takes: beyond it the rows computed twice cost more than the memory that is saved.
const DEPTH_MAX: usize = 32;
/// Bytes that stay in the cache while they are in use: half of the private one (L2) of the smallest processor we care about.
const CACHE_BYTES: usize = 1 << 20;
/// Fewest rows in a band for each step of a tile: at most one row in eight is computed twice.
const ROWS_A_STEP_MIN: usize = 8;

/// How many steps are taken in one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tiling {
    /// One: the plain sweep.
    Off,
    /// As many as fit the cache, at most what is asked for in one call; on one thread, one where the whole field fits it.
    #[default]
    Auto,
    /// This many, at most what is asked for in one call; one where a side has fewer than three cells.
    Depth(usize),
}

/// What was chosen, and the room it needs.
pub(crate) struct Tiles<T> {
    depth: usize,
    halos: Vec<Halo<T>>,
}

/// What is solved.
pub(crate) struct Problem<'a, T> {
    pub(crate) grid: &'a Grid,
    pub(crate) kernel: &'a Kernel<T>,
    pub(crate) wrap: Wrap,
    pub(crate) edges: &'a Edges<T>,
}

/// Rows beyond the borders of a band, of both levels, and a row for conditions that look back.
struct Halo<T> {
    above: [Cells<T>; 2],
    below: [Cells<T>; 2],
    old: Cells<T>,
}

impl<T: Real> Tiles<T> {
    /// Tiles for calls of `steps` steps, or none where the plain sweep is as good.
    pub(crate) fn plan(
        grid: &Grid,
        tiling: Tiling,
        steps: usize,
        workers: &Workers,
        wrap: Wrap,
    ) -> Option<Self> {
        let row_bytes = grid.nx * size_of::<T>();
        let fits = (CACHE_BYTES / (2 * row_bytes)).saturating_sub(TALL + 1);
        let threads = workers.threads().min(STRIPS_MAX);
        let depth = match tiling {
            Tiling::Off => 1,
            // One thread that holds the field in its cache anyway gains nothing. Several gain that they are handed rows
            // once in a tile and not once in a step.
            Tiling::Auto if threads == 1 && 2 * row_bytes * grid.ny <= CACHE_BYTES => 1,
            Tiling::Auto => {
                // No deeper than leaves every thread a band, if two steps do.
                let each = grid.ny / (ROWS_A_STEP_MIN * threads);
                let shared = if threads > 1 { each.max(2) } else { DEPTH_MAX };
                fits.min(DEPTH_MAX).min(steps).min(shared)
            }
            Tiling::Depth(depth) => depth.min(steps),
        };
        let bands_max = grid.ny / (ROWS_A_STEP_MIN * depth.max(1));
        let bands = threads.min(bands_max).max(1);
        // Edge rows lie beside the row inside of them, in one band.
        if depth < 2 || grid.nx < 3 || grid.ny < 3 {
            return None;
        }
        // A single band of a field that does not wrap has no neighbours.
        let rows = if bands > 1 || wrap == Wrap::Around { depth } else { 0 };
        let cells = |place| Cells::new(rows * grid.nx, place);
        let halo = |_| Halo {
            above: [cells(2), cells(3)],
            below: [cells(4), cells(5)],
            old: Cells::new(grid.nx, 6),
        };
        Some(Self { depth, halos: (0..bands).map(halo).collect() })
    }

    /// Steps in one pass.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Takes `depth` steps, at most [`Tiles::depth`], `feeds` from its step `first` on. `levels` are
    /// the previous and the present one; where `depth` is odd they have changed places afterwards.
    pub(crate) fn run(
        &mut self,
        problem: &Problem<'_, T>,
        (feeds, first): (&Feeds, usize),
        levels: [&mut [T]; 2],
        depth: usize,
        workers: &Workers,
    ) {
        let Problem { grid, kernel, wrap, edges } = *problem;
        let (nx, ny, bands) = (grid.nx, grid.ny, self.halos.len());
        let around = wrap == Wrap::Around;
        let border = |band: usize| band * ny / bands;
        let rows_above = |band: usize| if around || band > 0 { depth } else { 0 };
        let rows_below = |band: usize| if around || band + 1 < bands { depth } else { 0 };
        for (band, halo) in self.halos.iter_mut().enumerate() {
            for (level, field) in levels.iter().enumerate() {
                // Rows of a torus, several times around where it is low.
                let above = border(band) + ny * depth - rows_above(band);
                copy_rows(field, nx, above, &mut halo.above[level][..rows_above(band) * nx]);
                let below = border(band + 1);
                copy_rows(field, nx, below, &mut halo.below[level][..rows_below(band) * nx]);
            }
        }
        let [mut previous, mut present] = levels;
        let jobs = self.halos.iter_mut().enumerate().map(|(band, halo)| {
            let cells = (border(band + 1) - border(band)) * nx;
            let (above, below) = (rows_above(band) * nx, rows_below(band) * nx);
            let [above_0, above_1] = halo.above.each_mut().map(|cells| &mut cells[..above]);
            let [below_0, below_1] = halo.below.each_mut().map(|cells| &mut cells[..below]);
            let (own_0, own_1) = (previous.split_off_mut(..cells), present.split_off_mut(..cells));
            Band {
                ny,
                first_row: border(band) + ny * depth - rows_above(band),
                rows: (above + cells + below) / nx,
                shrinks: [above > 0, below > 0],
                levels: [
                    Level { nx, above: above_0, own: own_0.unwrap_or_default(), below: below_0 },
                    Level { nx, above: above_1, own: own_1.unwrap_or_default(), below: below_1 },
                ],
                old: &mut halo.old,
                wrap,
                edges,
                feeds,
                first_step: first,
            }
        });
        workers.each(
            jobs,
            #[inline(always)]
            |mut band| {
                crate::wave::with_scheme!(kernel, scheme => band.sweep(scheme, depth));
            },
        );
    }
}

/// Copies whole rows from row `from` on, around the torus, until `out` is full.
fn copy_rows<T: Real>(field: &[T], nx: usize, from: usize, out: &mut [T]) {
    let ny = field.len() / nx;
    for (k, row) in out.chunks_exact_mut(nx).enumerate() {
        row.copy_from_slice(&field[(from + k) % ny * nx..][..nx]);
    }
}

/// One level of a band: its own rows, and copies of rows beyond its borders.
struct Level<'a, T> {
    nx: usize,
    above: &'a mut [T],
    own: &'a mut [T],
    below: &'a mut [T],
}

impl<T> Level<'_, T> {
    /// What row `i` lies in, and where it begins.
    #[inline(always)]
    fn around(&self, i: usize) -> (&[T], usize) {
        let at = i * self.nx;
        let own = self.above.len();
        let below = own + self.own.len();
        if at < own {
            (self.above, at)
        } else if at < below {
            (self.own, at - own)
        } else {
            (self.below, at - below)
        }
    }

    #[inline(always)]
    fn row(&self, i: usize) -> &[T] {
        let (cells, at) = self.around(i);
        &cells[at..][..self.nx]
    }

    #[inline(always)]
    fn row_mut(&mut self, i: usize) -> &mut [T] {
        let nx = self.nx;
        let (cells, at) = self.around_mut(i);
        &mut cells[at..][..nx]
    }

    /// What row `i` lies in, and where it begins.
    #[inline(always)]
    fn around_mut(&mut self, i: usize) -> (&mut [T], usize) {
        let at = i * self.nx;
        let own = self.above.len();
        let below = own + self.own.len();
        if at < own {
            (self.above, at)
        } else if at < below {
            (self.own, at - own)
        } else {
            (self.below, at - below)
        }
    }

    /// [`TALL`] rows from row `i` on, if they lie together.
    #[inline(always)]
    fn tall_mut(&mut self, i: usize) -> Option<&mut [T]> {
        let cells = TALL * self.nx;
        let (place, at) = self.around_mut(i);
        place.get_mut(at..at + cells)
    }

    /// Rows `i` and `i + 1`, both of the band's own.
    #[inline(always)]
    fn two_rows_mut(&mut self, i: usize) -> [&mut [T]; 2] {
        let at = i * self.nx - self.above.len();
        let (first, second) = self.own[at..][..2 * self.nx].split_at_mut(self.nx);
        [first, second]
    }
}

/// Rows of the field that one thread takes through all steps of a tile.
struct Band<'a, T> {
    /// Rows of the field.
    ny: usize,
    /// Row of the field, around the torus, that row 0 of the band is.
    first_row: usize,
    /// Rows of the band, copies included.
    rows: usize,
    /// Whether it has a neighbour above and below, and loses a row a step there.
    shrinks: [bool; 2],
    levels: [Level<'a, T>; 2],
    /// The row inside an edge row before it was overwritten.
    old: &'a mut [T],
    wrap: Wrap,
    edges: &'a Edges<T>,
    feeds: &'a Feeds,
    first_step: usize,
}

impl<T: Real> Band<'_, T> {
    #[inline(always)]
    fn sweep<S: Scheme<T>>(&mut self, scheme: &S, depth: usize) {
        for front in (0..self.rows + depth - 1).step_by(TALL) {
            for step in 0..depth.min(front + TALL) {
                let lost = |side: usize| if self.shrinks[side] { step + 1 } else { 0 };
                let from = front.saturating_sub(step).max(lost(0));
                let to = (front + TALL - step).min(self.rows - lost(1));
                if from + TALL == to && self.step_tall(scheme, step, from).is_some() {
                    continue;
                }
                for i in from..to {
                    self.step(scheme, step, i);
                }
            }
        }
    }

    /// Step `step` of the tile for row `i`, and for the edge row beside it.
    #[inline(always)]
    fn step<S: Scheme<T>>(&mut self, scheme: &S, step: usize, i: usize) {
        let Some([north, south]) = self.neighbours(i) else { return };
        let (y, looks_back) = (self.y(i), self.edges.looks_back());
        let (next_level, level) = at_step(&mut self.levels, step);
        let (around, at) = level.around(i);
        let rows = Rows { around, at, north: level.row(north), south: level.row(south) };
        let next = next_level.row_mut(i);
        if looks_back && beside_edge(i, self.rows, self.shrinks) != [false; 2] {
            self.old.copy_from_slice(next);
        }
        let old = boundary::ends_of(next);
        rows.update(scheme, y, next, self.wrap);
        self.finish(step, i, old);
    }

    /// The same for [`TALL`] rows from row `i` on; or nothing, where they do not lie together, an edge condition decides
    /// about one of them, or one beside them looks back at it.
    #[inline(always)]
    fn step_tall<S: Scheme<T>>(&mut self, scheme: &S, step: usize, i: usize) -> Option<()> {
        let last = i + TALL - 1;
        let ([north, _], [_, south]) = (self.neighbours(i)?, self.neighbours(last)?);
        let looks_back = self.edges.looks_back();
        let beside = |i| beside_edge(i, self.rows, self.shrinks) != [false; 2];
        if looks_back && (beside(i) || beside(last)) {
            return None;
        }
        let ys = [i, i + 1, i + 2, last].map(|i| self.y(i));
        let (next_level, level) = at_step(&mut self.levels, step);
        let (around, at) = level.around(i);
        let rows = TallRows { around, at, north: level.row(north), south: level.row(south) };
        let next = next_level.tall_mut(i)?;
        let mut old = [[T::default(); 4]; TALL];
        if looks_back {
            for (k, row) in next.chunks_exact(level.nx).enumerate() {
                old[k] = boundary::ends_of(row);
            }
        }
        rows.update(scheme, ys, next, self.wrap);
        for (k, old) in old.into_iter().enumerate() {
            self.finish(step, i + k, old);
        }
        Some(())
    }

    /// What comes after the scheme in row `i`: sources, the ends, the edge row beside it. Little work, the same for every
    /// form of the scheme: a function of its own, which may be compiled for the oldest processor.
    #[inline(never)]
    fn finish(&mut self, step: usize, i: usize, old: OldEnds<T>) {
        let y = self.y(i);
        let (next_level, level) = at_step(&mut self.levels, step);
        let next = next_level.row_mut(i);
        self.feeds.add(self.first_step + step, y, next);
        if self.wrap != Wrap::Written {
            return;
        }
        let (around, at) = level.around(i);
        let rows = Rows { around, at, north: level.row(i - 1), south: level.row(i + 1) };
        self.edges.ends(&rows, old, next);
        let inside = rows.here();
        let [first, last] = beside_edge(i, self.rows, self.shrinks);
        if first {
            let [next, inside_next] = next_level.two_rows_mut(0);
            let rows = EdgeRow { edge: level.row(0), inside, inside_old: self.old, inside_next };
            self.edges.row(&rows, next);
        }
        if last {
            let [inside_next, next] = next_level.two_rows_mut(i);
            let rows =
                EdgeRow { edge: level.row(i + 1), inside, inside_old: self.old, inside_next };
            self.edges.row(&rows, next);
        }
    }

    /// The row of the field that row `i` is.
    #[inline(always)]
    fn y(&self, i: usize) -> usize {
        (self.first_row + i) % self.ny
    }

    /// The rows above and below row `i`, or none where an edge condition decides.
    #[inline(always)]
    fn neighbours(&self, i: usize) -> Option<[usize; 2]> {
        match self.wrap {
            // The copies lead around the torus.
            Wrap::Around => Some([i - 1, i + 1]),
            _ if i == 0 && self.shrinks[0] => None,
            _ if i + 1 == self.rows && self.shrinks[1] => None,
            wrap => wrap.neighbours(i, self.rows),
        }
    }
}

/// The level that a step writes, over the previous one, and the present one.
#[inline(always)]
fn at_step<'l, 'a, T>(
    [even, odd]: &'l mut [Level<'a, T>; 2],
    step: usize,
) -> (&'l mut Level<'a, T>, &'l Level<'a, T>) {
    if step.is_multiple_of(2) { (even, odd) } else { (odd, even) }
}

/// Whether row `i` of `rows` lies beside the first and beside the last row of the field.
#[inline(always)]
fn beside_edge(i: usize, rows: usize, shrinks: [bool; 2]) -> [bool; 2] {
    [i == 1 && !shrinks[0], i + 2 == rows && !shrinks[1]]
}
