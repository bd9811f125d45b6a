//! The wave: `u_tt = c^2 lap u - gamma u_t + f(u) + s` by leapfrog, in place, in single or double precision.
//!
//! With `a = gamma dt/2` and centred damping (SCIENCE.md, Scheme),
//! `(1+a) u+ = 2u - (1-a) u- + dt^2 (c^2 lap u + f(u) + s)`, evaluated as
//! `u+ = (u + [ (1-a)/(1+a) (u - u-) + c^2 dt^2/(1+a) (lap u) + dt^2/(1+a) f(u) ]) + dt^2/(1+a) s`: the same
//! scheme, but a uniform field is kept exactly, which the form with three rounded coefficients does not
//! do. `u+` overwrites `u-`.
//!
//! Limit: two levels in single precision cannot see a loss below half a unit in the last place of u.
//! A uniform drift of less than `ulp(u)/(2 gamma dt)` a step is no longer damped (a wave, whose u
//! passes through zero, is). Where it matters use a larger gamma dt; the edges that let waves out
//! take a drift with them.
//!
//! Order within a step: stencil, sources, edges. An edge that is held or absorbing is written last,
//! so a source on it has no effect; [`crate::source`] refuses such a source.
//!
//! The oracle of a step is `naive` in `tests/scheme.rs`: cell by cell in double precision.

use rsw_config::Boundary;
use thiserror::Error;

use crate::boundary::{self, EdgeRow, Edges, Layers, OldEnds, Wrap};
use crate::cells::Cells;
use crate::feedback::Feedback;
use crate::grid::Grid;
use crate::lanes;
use crate::real::Real;
use crate::source::Feeds;
use crate::stencil::{Rows, Scheme, TALL, TallRows, Uniform, Weights};
pub use crate::tile::Tiling;
use crate::tile::{Problem, Tiles};
use crate::workers::{Workers, strip_rows};

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
    /// The nonlinear term.
    pub feedback: Feedback,
}

/// Why a medium was refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum MediumError {
    /// The scheme would blow up: the 2-D form of the CFL condition.
    #[error(
        "time step {dt} is unstable: c dt sqrt(1/dx^2 + 1/dy^2) is {courant:?} and must be at most {:?}; use field.dt of at most {:?}",
        six_digits(*courant_max), six_digits(*dt_max)
    )]
    Unstable {
        /// The step.
        dt: f64,
        /// Its Courant number.
        courant: f64,
        /// The largest stable one: 1, less where f(u) stiffens the medium.
        courant_max: f64,
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
pub struct Wave<T: Real = f32> {
    grid: Grid,
    medium: Medium,
    kernel: Kernel<T>,
    edges: Edges<T>,
    tiles: Option<Tiles<T>>,
    u: Cells<T>,
    previous: Cells<T>,
    /// What edges that look back need of the previous level in a plain step.
    old: Option<Old<T>>,
}

/// The form of the scheme that the medium needs.
pub(crate) enum Kernel<T> {
    /// Linear, uniform, equal spacings.
    Square(Uniform<T, true>),
    /// Linear, uniform.
    Rect(Uniform<T, false>),
    /// A sponge, or a nonlinear term, or both.
    Layered(Layers<T>, Feedback),
}

/// Evaluates an expression with the scheme of a kernel bound to a name, once for each form.
macro_rules! with_scheme {
    ($kernel:expr, $scheme:ident => $body:expr) => {{
        use $crate::feedback::{Feedback, Linear, Phi4, Relu, SineGordon};
        use $crate::stencil::Layered;
        let real = T::from_f64;
        match $kernel {
            $crate::wave::Kernel::Square(uniform) => {
                // A copy of its own: what only a reference leads to is loaded again at every cell.
                let $scheme = &uniform.clone();
                $body
            }
            $crate::wave::Kernel::Rect(uniform) => {
                let $scheme = &uniform.clone();
                $body
            }
            $crate::wave::Kernel::Layered(layers, feedback) => match *feedback {
                Feedback::None => {
                    let $scheme = &Layered { layers, law: Linear };
                    $body
                }
                Feedback::SineGordon { strength } => {
                    let $scheme = &Layered { layers, law: SineGordon(real(strength)) };
                    $body
                }
                Feedback::Phi4 { strength, .. } => {
                    let $scheme = &Layered { layers, law: Phi4(real(strength)) };
                    $body
                }
                Feedback::Relu { strength, threshold, limit } => {
                    let law = Relu {
                        strength: real(strength),
                        threshold: real(threshold),
                        limit: real(limit),
                    };
                    let $scheme = &Layered { layers, law };
                    $body
                }
            },
        }
    }};
}
pub(crate) use with_scheme;

/// The previous level where a plain step overwrites what an edge condition still needs.
struct Old<T> {
    /// The two outermost cells of every row on either side.
    ends: Vec<OldEnds<T>>,
    /// The rows inside of the first and the last one.
    rows: [Vec<T>; 2],
}

/// The first six digits of a positive number: no larger than it is, and short.
fn six_digits(value: f64) -> f64 {
    let text = format!("{value:.20e}");
    let cut = text.split_once('e').map(|(digits, exponent)| format!("{}e{exponent}", &digits[..7]));
    cut.and_then(|text| text.parse().ok()).unwrap_or(value)
}

impl Medium {
    /// Courant number of the 2-D form, `c dt sqrt(1/dx^2 + 1/dy^2)`.
    pub fn courant(&self, grid: &Grid) -> f64 {
        self.speed * self.dt * (grid.dx.powi(-2) + grid.dy.powi(-2)).sqrt()
    }

    /// The largest stable time step on `grid`, whatever [`Medium::dt`] is:
    /// `dt^2 (4 c^2 (1/dx^2 + 1/dy^2) + max(-f')) <= 4` (SCIENCE.md, Scheme).
    pub fn dt_max(&self, grid: &Grid) -> f64 {
        let linear = self.speed.powi(2) * (grid.dx.powi(-2) + grid.dy.powi(-2));
        1.0 / (linear + 0.25 * self.feedback.stiffness()).sqrt()
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
        let finite = |what, value: f64| match value.is_finite() {
            true => Ok(()),
            false => Err(MediumError::Number { what, value, range: "finite" }),
        };
        positive("wave speed", self.speed)?;
        positive("time step", self.dt)?;
        positive("square of the time step", self.dt * self.dt)?;
        not_negative("damping", self.damping)?;
        not_negative("sponge damping", self.sponge_damping)?;
        let courant = self.courant(grid);
        finite("feedback", self.feedback.stiffness())?;
        let dt_max = self.dt_max(grid);
        // The limit itself is stable; a rounding error beyond it is not a wish for more.
        if self.dt > dt_max * (1.0 + 1e-12) {
            let linear = self.feedback.stiffness() == 0.0;
            let courant_max = if linear { 1.0 } else { courant * dt_max / self.dt };
            return Err(MediumError::Unstable { dt: self.dt, courant, courant_max, dt_max });
        }
        Ok(())
    }
}

impl<T: Real> Wave<T> {
    /// A wave at rest.
    ///
    /// # Errors
    /// A Courant number above its limit, or a speed, step or damping that has no meaning.
    pub fn new(grid: Grid, medium: Medium) -> Result<Self, MediumError> {
        medium.check(&grid)?;
        let uniform = Weights::new(&grid, &medium, medium.damping);
        let kernel = match (medium.boundary, medium.feedback) {
            (Boundary::Sponge, _) => Kernel::Layered(Layers::new(&grid, &medium), medium.feedback),
            (_, Feedback::None) if grid.dx == grid.dy => Kernel::Square(Uniform(uniform)),
            (_, Feedback::None) => Kernel::Rect(Uniform(uniform)),
            _ => Kernel::Layered(Layers::new(&grid, &medium), medium.feedback),
        };
        let edges = Edges::new(&grid, &medium);
        let old = edges.looks_back().then(|| Old {
            ends: vec![[T::default(); 4]; grid.ny],
            rows: [vec![T::default(); grid.nx], vec![T::default(); grid.nx]],
        });
        Ok(Self {
            kernel,
            edges,
            old,
            tiles: None,
            u: Cells::new(grid.cells(), 0),
            previous: Cells::new(grid.cells(), 1),
            grid,
            medium,
        })
    }

    /// Chooses how many steps [`Wave::advance`] takes in one pass when asked for `steps`, on these
    /// workers. Without it, one.
    pub fn tile(&mut self, tiling: Tiling, steps: usize, workers: &Workers) {
        let wrap = Wrap::new(self.medium.boundary);
        self.tiles = Tiles::plan(&self.grid, tiling, steps, workers, wrap);
    }

    /// Steps that one pass over the field takes.
    pub fn tile_depth(&self) -> usize {
        self.tiles.as_ref().map_or(1, Tiles::depth)
    }

    /// What [`Wave::advance`] runs on these workers, in a few words: the form of the scheme, the
    /// precision, the vector instructions, the threads, and the steps in one pass.
    pub fn kernel(&self, workers: &Workers) -> String {
        let form = self.form();
        let (simd, threads, depth) = (workers.instructions(), workers.threads(), self.tile_depth());
        format!("{form} {} {simd}, threads {threads}, tile {depth}", T::NAME)
    }

    /// The form of the scheme that the medium needs, in a word.
    pub(crate) fn form(&self) -> &'static str {
        match &self.kernel {
            Kernel::Square(_) => "square",
            Kernel::Rect(_) => "rectangular",
            Kernel::Layered(..) => "layered",
        }
    }

    /// `steps` steps, each with its share of `feeds`: the same bits as so many calls of
    /// [`Wave::step`], in as few passes over the field as were planned. Allocates nothing.
    pub fn advance(&mut self, workers: &Workers, feeds: &Feeds, steps: usize) {
        let mut done = 0;
        while done < steps {
            let depth = self.tile_depth().min(steps - done);
            let Self { grid, medium, kernel, edges, tiles, u, previous, .. } = self;
            match tiles {
                Some(tiles) if depth > 1 => {
                    let wrap = Wrap::new(medium.boundary);
                    let problem = Problem { grid, kernel, wrap, edges };
                    let levels = [&mut previous[..], &mut u[..]];
                    tiles.run(&problem, (feeds, done), levels, depth, workers);
                    if depth % 2 == 1 {
                        std::mem::swap(u, previous);
                    }
                }
                _ => {
                    let nx = grid.nx;
                    self.step(workers, |next| {
                        for (y, row) in next.chunks_exact_mut(nx).enumerate() {
                            feeds.add(done, y, row);
                        }
                    });
                }
            }
            done += depth;
        }
    }

    /// One step over the whole field. `feed` adds the sources to the new level before the edges are
    /// written.
    pub fn step(&mut self, workers: &Workers, feed: impl FnOnce(&mut [T])) {
        let Self { grid, medium, kernel, u, previous, .. } = self;
        let (u, grid, kernel) = (&u[..], &*grid, &*kernel);
        let nx = grid.nx;
        if let Some(old) = &mut self.old {
            old.remember(nx, previous);
        }
        let rows = strip_rows(grid.ny);
        let jobs = previous.chunks_mut(rows * nx).enumerate();
        let wrap = Wrap::new(medium.boundary);
        workers.each(
            jobs,
            #[inline(always)]
            |(strip, next)| {
                with_scheme!(kernel, scheme => {
                    sweep(scheme, u, grid, strip * rows, next, wrap);
                });
            },
        );
        feed(previous);
        self.write_edges();
        std::mem::swap(&mut self.u, &mut self.previous);
    }

    /// Writes the edges of the next level.
    fn write_edges(&mut self) {
        let Self { grid, edges, u, previous, old, .. } = self;
        let (nx, ny) = (grid.nx, grid.ny);
        if matches!(edges, Edges::Free) {
            return;
        }
        let nothing = [T::default(); 4];
        for y in 1..ny.saturating_sub(1) {
            let old = old.as_ref().map_or(nothing, |old| old.ends[y]);
            let next = &mut previous[y * nx..][..nx];
            edges.ends(&Rows::of(u, nx, y, [y - 1, y + 1]), old, next);
        }
        let row = |y: usize| &u[y * nx..][..nx];
        let [old_top, old_bottom] =
            old.as_ref().map_or([&[][..]; 2], |old| old.rows.each_ref().map(Vec::as_slice));
        // A field of a single row is its own edge, held.
        let inside = |y: usize| if ny > 1 { y } else { 0 };
        let (next, rest) = previous.split_at_mut(nx);
        let inside_next = rest.get(..nx).unwrap_or_default();
        let top =
            EdgeRow { edge: row(0), inside: row(inside(1)), inside_old: old_top, inside_next };
        edges.row(&top, next);
        if ny > 1 {
            let (rest, next) = previous.split_at_mut((ny - 1) * nx);
            let bottom = EdgeRow {
                edge: row(ny - 1),
                inside: row(ny - 2),
                inside_old: old_bottom,
                inside_next: &rest[(ny - 2) * nx..],
            };
            edges.row(&bottom, next);
        }
    }

    /// Starts from the field `u0` with velocity `v0`, to second order (SCIENCE.md, Scheme):
    /// `u-` is what the scheme would have come from, `u0 - (1+a) dt v0 + (dt^2/2)(c^2 lap u0 + f(u0) + s0)`.
    ///
    /// `s0` is the source density at the start. All three are row-major, one value a cell.
    ///
    /// # Panics
    /// `u0` has another number of cells than the grid, or `v0` or `s0` fewer.
    pub fn start(&mut self, u0: &[T], v0: &[T], s0: &[T]) {
        let (nx, ny) = (self.grid.nx, self.grid.ny);
        self.u.copy_from_slice(u0);
        let edges = Wrap::new(self.medium.boundary);
        for y in 0..ny {
            for x in 0..nx {
                let i = self.grid.index(x, y);
                let gamma = self.gamma_at(x, y);
                let at = |x: usize, y: usize| u0[y * nx + x].to_f64();
                let dt = self.medium.dt;
                let drift = (1.0 + 0.5 * gamma * dt) * dt * v0[i].to_f64();
                let (Some([w, e]), Some([n, s])) =
                    (edges.neighbours(x, nx), edges.neighbours(y, ny))
                else {
                    // No equation holds here: a held edge has no velocity either.
                    let held = matches!(self.edges, Edges::Held);
                    let drift = if held { 0.0 } else { drift };
                    self.previous[i] = T::from_f64(at(x, y) - drift);
                    continue;
                };
                let lap = (at(w, y) + at(e, y) - 2.0 * at(x, y)) / self.grid.dx.powi(2)
                    + (at(x, n) + at(x, s) - 2.0 * at(x, y)) / self.grid.dy.powi(2);
                let force = self.medium.feedback.force(at(x, y));
                let pull = self.medium.speed.powi(2) * lap + force + s0[i].to_f64();
                self.previous[i] = T::from_f64(at(x, y) - drift + 0.5 * dt * dt * pull);
            }
        }
    }

    /// Goes on from two levels of another run.
    ///
    /// # Panics
    /// `u` or `previous` has another number of cells than the grid.
    pub fn resume(&mut self, u: &[T], previous: &[T]) {
        self.u.copy_from_slice(u);
        self.previous.copy_from_slice(previous);
    }

    /// The largest |u|; NaN if any value is not finite.
    pub fn magnitude(&self, workers: &Workers) -> f64 {
        workers.vectorised(
            #[inline(always)]
            || lanes::magnitude(&self.u),
        )
    }

    /// Back to rest.
    pub fn rest(&mut self) {
        self.u.fill(T::default());
        self.previous.fill(T::default());
    }

    /// The field now.
    pub fn u(&self) -> &[T] {
        &self.u
    }

    /// The field one step ago.
    pub fn previous(&self) -> &[T] {
        &self.previous
    }

    /// Both levels, to put a saved state into.
    pub(crate) fn levels_mut(&mut self) -> [&mut [T]; 2] {
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
        let extra = match &self.kernel {
            Kernel::Layered(layers, _) => layers.gamma_at(x, y),
            Kernel::Square(_) | Kernel::Rect(_) => 0.0,
        };
        self.medium.damping + extra
    }

    /// Whether cell (x, y) follows the wave equation, or an edge condition that overwrites it.
    pub fn is_free(&self, x: usize, y: usize) -> bool {
        let edges = Wrap::new(self.medium.boundary);
        edges.neighbours(x, self.grid.nx).is_some() && edges.neighbours(y, self.grid.ny).is_some()
    }
}

/// What another implementation of the same wave has to know.
#[cfg(feature = "gpu")]
impl<T: Real> Wave<T> {
    pub(crate) fn scheme(&self) -> &Kernel<T> {
        &self.kernel
    }

    pub(crate) fn edges(&self) -> &Edges<T> {
        &self.edges
    }
}

/// One step of the scheme for whole rows of the field, from row `first` on: `next` holds the previous level.
#[inline(always)]
fn sweep<T: Real, S: Scheme<T>>(
    scheme: &S,
    u: &[T],
    grid: &Grid,
    first: usize,
    next: &mut [T],
    wrap: Wrap,
) {
    let (nx, ny, count) = (grid.nx, grid.ny, next.len() / grid.nx);
    let mut done = 0;
    while done < count {
        let (y, next) = (first + done, &mut next[done * nx..]);
        if y > 0 && y + TALL < ny && done + TALL <= count {
            let row = |y: usize| &u[y * nx..][..nx];
            let (north, south) = (row(y - 1), row(y + TALL));
            let tall = TallRows { around: u, at: y * nx, north, south };
            tall.update(scheme, [y, y + 1, y + 2, y + 3], &mut next[..TALL * nx], wrap);
            done += TALL;
        } else {
            if let Some(sides) = wrap.neighbours(y, ny) {
                Rows::of(u, nx, y, sides).update(scheme, y, &mut next[..nx], wrap);
            }
            done += 1;
        }
    }
}

impl<T: Real> Old<T> {
    fn remember(&mut self, nx: usize, previous: &[T]) {
        for (ends, row) in self.ends.iter_mut().zip(previous.chunks_exact(nx)) {
            *ends = boundary::ends_of(row);
        }
        let ny = previous.len() / nx;
        for (row, y) in self.rows.iter_mut().zip([1, ny - 2]) {
            row.copy_from_slice(&previous[y * nx..][..nx]);
        }
    }
}
