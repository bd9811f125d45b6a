//! The wave: `u_tt = c^2 lap u - gamma u_t + s` by leapfrog, in place, in single precision.
//!
//! With `a = gamma dt/2` and the centred damping of science section 4.1,
//! `(1+a) u+ = 2u - (1-a) u- + dt^2 (c^2 lap u + s)`, evaluated as
//! `u+ = u + [ (1-a)/(1+a) (u - u-) + c^2 dt^2/(1+a) (lap u) ]`: the same scheme, but a uniform field
//! is kept exactly, which the form with three rounded coefficients does not do. `u+` overwrites `u-`.
//!
//! Limit: two levels in single precision cannot see a loss below half a unit in the last place of u.
//! A uniform drift of less than `ulp(u)/(2 gamma dt)` a step is no longer damped (a wave, whose u
//! passes through zero, is). Where it matters use a larger gamma dt; the edges that let waves out
//! take a drift with them.
//!
//! Order within a step: stencil, sources, edges. An edge that is held or absorbing is written last,
//! so a source on it has no effect; [`crate::source`] refuses such a source.

use rsw_config::Boundary;
use thiserror::Error;

use crate::boundary::{self, Mur, Sponge};
use crate::cells::Cells;
use crate::grid::Grid;
use crate::workers::{Workers, strip_rows};

/// Magnitudes below this become zero: a wave front thins out into subnormal numbers, which cost a
/// processor a hundred times as much as others. Products of two steps above it stay normal.
const FLUSH: f32 = 1e-30;

/// What the wave runs in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Medium {
    /// c in length units per time unit.
    pub speed: f64,
    /// Time step in time units.
    pub dt: f64,
    /// gamma in 1 per time unit.
    pub damping: f64,
    /// What the edges do.
    pub boundary: Boundary,
    /// Width of the sponge in cells.
    pub sponge_width: usize,
    /// Peak extra gamma of the sponge in 1 per time unit.
    pub sponge_damping: f64,
}

/// Why a medium was refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum MediumError {
    /// The scheme would blow up: the 2-D form of the CFL condition.
    #[error(
        "time step {dt} is unstable: c dt sqrt(1/dx^2 + 1/dy^2) is {courant:.4} and must be at most 1; use field.dt of at most {dt_max:.6}"
    )]
    Unstable {
        /// The step.
        dt: f64,
        /// Its Courant number.
        courant: f64,
        /// The largest stable step.
        dt_max: f64,
    },
    /// A number that has no meaning here.
    #[error("{what} {value} is unusable: it must be {range}")]
    Number {
        /// Which one.
        what: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

/// Two levels of the field and what moves them on.
pub struct Wave {
    grid: Grid,
    medium: Medium,
    weights: Weights,
    mur: Mur,
    sponge: Option<Sponge>,
    u: Cells,
    previous: Cells,
}

/// Weights of one cell's update: of `u - u-`, of the second difference along x, and along y.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights {
    pub(crate) keep: f32,
    pub(crate) x: f32,
    pub(crate) y: f32,
}

impl Weights {
    /// The weights where the damping is `gamma`.
    pub(crate) fn new(grid: &Grid, medium: &Medium, gamma: f64) -> Self {
        let a = 0.5 * gamma * medium.dt;
        let along = |h: f64| ((medium.speed * medium.dt / h).powi(2) / (1.0 + a)) as f32;
        Self { keep: ((1.0 - a) / (1.0 + a)) as f32, x: along(grid.dx), y: along(grid.dy) }
    }
}

impl Medium {
    /// Courant number of the 2-D form, `c dt sqrt(1/dx^2 + 1/dy^2)`.
    pub fn courant(&self, grid: &Grid) -> f64 {
        self.speed * self.dt * (grid.dx.powi(-2) + grid.dy.powi(-2)).sqrt()
    }

    /// Refuses what is meaningless or unstable.
    fn check(&self, grid: &Grid) -> Result<(), MediumError> {
        let positive = |what, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(MediumError::Number { what, value, range: "positive and finite" }),
        };
        let not_negative = |what, value: f64| match value >= 0.0 && value.is_finite() {
            true => Ok(()),
            false => {
                Err(MediumError::Number { what, value, range: "zero or positive, and finite" })
            }
        };
        positive("wave speed", self.speed)?;
        positive("time step", self.dt)?;
        not_negative("damping", self.damping)?;
        not_negative("sponge damping", self.sponge_damping)?;
        let courant = self.courant(grid);
        // The limit itself is stable; a rounding error beyond it is not a wish for more.
        if courant > 1.0 + 1e-12 {
            return Err(MediumError::Unstable { dt: self.dt, courant, dt_max: self.dt / courant });
        }
        Ok(())
    }
}

impl Wave {
    /// A wave at rest.
    ///
    /// # Errors
    /// A Courant number above 1, or a speed, step or damping that has no meaning.
    pub fn new(grid: Grid, medium: Medium) -> Result<Self, MediumError> {
        medium.check(&grid)?;
        let sponge = (medium.boundary == Boundary::Sponge).then(|| Sponge::new(&grid, &medium));
        Ok(Self {
            weights: Weights::new(&grid, &medium, medium.damping),
            mur: Mur::new(&grid, &medium),
            sponge,
            u: Cells::new(grid.cells(), 0),
            previous: Cells::new(grid.cells(), 1),
            grid,
            medium,
        })
    }

    /// One step. `feed` adds the sources to the new level before the edges are written.
    pub fn step(&mut self, workers: &Workers, feed: impl FnOnce(&mut [f32])) {
        let Self { grid, medium, weights, sponge, u, previous, .. } = self;
        let (u, grid, weights, sponge) = (&u[..], &*grid, *weights, sponge.as_ref());
        let rows = strip_rows(grid.ny);
        let jobs = previous.chunks_mut(rows * grid.nx).enumerate();
        let edges = boundary::Wrap::new(medium.boundary);
        workers.each(
            jobs,
            #[inline(always)]
            |(strip, next)| {
                // A copy of its own: what only a reference leads to is loaded again at every cell.
                let uniform = weights;
                for (k, next) in next.chunks_exact_mut(grid.nx).enumerate() {
                    let y = strip * rows + k;
                    let Some([north, south]) = edges.neighbours(y, grid.ny) else { continue };
                    let row = Rows::new(u, grid.nx, y, [north, south]);
                    match sponge {
                        None => row.update(next, edges, move |_| uniform),
                        Some(sponge) => sponge.update(y, &row, next, edges),
                    }
                }
            },
        );
        feed(previous);
        match medium.boundary {
            Boundary::Neumann | Boundary::Periodic => {}
            Boundary::Dirichlet | Boundary::Sponge => boundary::hold(grid, u, previous),
            Boundary::Absorbing => self.mur.absorb(grid, u, previous),
        }
        std::mem::swap(&mut self.u, &mut self.previous);
    }

    /// Starts from the field `u0` with velocity `v0`, to second order (science 4.1):
    /// `u-` is what the scheme would have come from, `u0 - (1+a) dt v0 + (dt^2/2)(c^2 lap u0 + s0)`.
    ///
    /// `s0` is the source density at the start. All three are row-major, one value a cell.
    pub fn start(&mut self, u0: &[f32], v0: &[f32], s0: &[f32]) {
        let (nx, ny) = (self.grid.nx, self.grid.ny);
        self.u.copy_from_slice(u0);
        let edges = boundary::Wrap::new(self.medium.boundary);
        for y in 0..ny {
            for x in 0..nx {
                let i = self.grid.index(x, y);
                let gamma = self.gamma_at(x, y);
                let at = |x: usize, y: usize| f64::from(u0[y * nx + x]);
                let lap = match (edges.neighbours(x, nx), edges.neighbours(y, ny)) {
                    (Some([w, e]), Some([n, s])) => {
                        (at(w, y) + at(e, y) - 2.0 * at(x, y)) / self.grid.dx.powi(2)
                            + (at(x, n) + at(x, s) - 2.0 * at(x, y)) / self.grid.dy.powi(2)
                    }
                    _ => 0.0,
                };
                let dt = self.medium.dt;
                let pull = self.medium.speed.powi(2) * lap + f64::from(s0[i]);
                let drift = (1.0 + 0.5 * gamma * dt) * dt * f64::from(v0[i]);
                self.previous[i] = (at(x, y) - drift + 0.5 * dt * dt * pull) as f32;
            }
        }
    }

    /// Back to rest.
    pub fn rest(&mut self) {
        self.u.fill(0.0);
        self.previous.fill(0.0);
    }

    /// The field now.
    pub fn u(&self) -> &[f32] {
        &self.u
    }

    /// The field one step ago.
    pub fn previous(&self) -> &[f32] {
        &self.previous
    }

    /// Both levels, to put a saved state into.
    pub(crate) fn levels_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.u, &mut self.previous]
    }

    /// The grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The medium.
    pub fn medium(&self) -> &Medium {
        &self.medium
    }

    /// gamma at cell (x, y), the sponge included.
    pub fn gamma_at(&self, x: usize, y: usize) -> f64 {
        let extra = self.sponge.as_ref().map_or(0.0, |sponge| sponge.gamma_at(x, y));
        self.medium.damping + extra
    }

    /// Whether cell (x, y) follows the wave equation, or an edge condition that overwrites it.
    pub fn is_free(&self, x: usize, y: usize) -> bool {
        let edges = boundary::Wrap::new(self.medium.boundary);
        edges.neighbours(x, self.grid.nx).is_some() && edges.neighbours(y, self.grid.ny).is_some()
    }
}

/// A row of the present level with its neighbours, all of one length.
pub(crate) struct Rows<'a> {
    here: &'a [f32],
    north: &'a [f32],
    south: &'a [f32],
    /// The row, one cell to the left and to the right, in a field that has such cells; what they hold
    /// beyond the ends of the row means nothing.
    sides: Option<[&'a [f32]; 2]>,
}

impl<'a> Rows<'a> {
    /// Row `y` of `u`, with `nx` cells a row.
    #[inline(always)]
    fn new(u: &'a [f32], nx: usize, y: usize, [north, south]: [usize; 2]) -> Self {
        let from = |cell: usize| u.get(cell..cell + nx);
        let row = |y: usize| &u[y * nx..][..nx];
        let west = (y * nx).checked_sub(1).and_then(from);
        Self {
            here: row(y),
            north: row(north),
            south: row(south),
            sides: west.zip(from(y * nx + 1)).map(|(west, east)| [west, east]),
        }
    }

    /// Overwrites the previous level in `next` by the next one; `weights` gives those of a column.
    #[inline(always)]
    pub(crate) fn update(
        &self,
        next: &mut [f32],
        edges: boundary::Wrap,
        weights: impl Fn(usize) -> Weights,
    ) {
        let nx = next.len();
        let ends = [0, nx - 1];
        let ends = ends.map(|x| self.end(x, next, edges, &weights).unwrap_or(next[x]));
        match self.sides {
            // Whole vectors from the first cell on, on cache lines; the ends are put right after.
            Some([west, east]) => {
                sweep(next, self.here, [west, east, self.north, self.south], weights);
            }
            None if nx > 2 => {
                let inner = 1..nx - 1;
                let sides = [
                    &self.here[..nx - 2],
                    &self.here[2..],
                    &self.north[inner.clone()],
                    &self.south[inner.clone()],
                ];
                sweep(&mut next[inner.clone()], &self.here[inner], sides, |x| weights(x + 1));
            }
            None => {}
        }
        (next[0], next[nx - 1]) = (ends[0], ends[1]);
    }

    /// One end of the row, unless an edge condition writes it.
    #[inline(always)]
    fn end(
        &self,
        x: usize,
        next: &[f32],
        edges: boundary::Wrap,
        weights: &impl Fn(usize) -> Weights,
    ) -> Option<f32> {
        let [west, east] = edges.neighbours(x, next.len())?;
        let sides = [self.here[west], self.here[east], self.north[x], self.south[x]];
        Some(advance(next[x], self.here[x], sides, weights(x)))
    }
}

/// The scheme for cells that have their four neighbours at the same index of `sides`.
#[inline(always)]
fn sweep(
    next: &mut [f32],
    here: &[f32],
    [west, east, north, south]: [&[f32]; 4],
    weights: impl Fn(usize) -> Weights,
) {
    let count = next.len();
    let (here, west, east) = (&here[..count], &west[..count], &east[..count]);
    let (north, south) = (&north[..count], &south[..count]);
    for i in 0..count {
        let sides = [west[i], east[i], north[i], south[i]];
        next[i] = advance(next[i], here[i], sides, weights(i));
    }
}

/// The scheme for one cell. Sums are grouped by axis and commute, so mirrored and transposed fields
/// stay mirrored and transposed to the last bit.
#[inline(always)]
fn advance(previous: f32, u: f32, [west, east, north, south]: [f32; 4], w: Weights) -> f32 {
    let twice = u + u;
    let bend = w.x * ((west + east) - twice) + w.y * ((north + south) - twice);
    let next = u + (w.keep * (u - previous) + bend);
    if next.abs() < FLUSH { 0.0 } else { next }
}
