//! The energy of the wave between its two levels, which the scheme keeps exactly (SCIENCE.md, Scheme).
//!
//! `E = (dx dy/2) sum ((u+ - u)/dt)^2 + (c^2/2) sum over edges (grad u+)(grad u) dx dy`: the product
//! of two levels, not the square of one, which would wobble by 18 %.
//! With a nonlinear term its potential is added, the mean of both levels; the sum then oscillates by
//! O(dt^2) instead of being kept exactly.
//! Where the edge is a mirror or lets waves out, the outer half of an edge cell is not there: weight
//! one half on edges, one quarter in corners.

use std::ops::Range;

use rsw_config::Boundary;

use crate::feedback::Feedback;
use crate::lanes::WaveSums;
use crate::real::Real;
use crate::wave::Wave;
use crate::workers::{Workers, strips};

/// Computes the energy without allocating.
pub struct EnergyMeter {
    strips: Vec<f64>,
}

/// What a sum over rows needs besides the two levels.
struct Terms {
    nx: usize,
    ny: usize,
    kinetic: f64,
    along_x: f64,
    along_y: f64,
    half_edges: bool,
    around: bool,
    feedback: Feedback,
    cell: f64,
}

impl EnergyMeter {
    /// A meter for fields with `ny` rows.
    pub fn new(ny: usize) -> Self {
        Self { strips: vec![0.0; strips(ny).count()] }
    }

    /// The energy of `wave`, strip after strip, in units of u^2 length^2/time^2.
    pub fn measure<T: Real>(&mut self, wave: &Wave<T>, workers: &Workers) -> f64 {
        let (grid, medium) = (wave.grid(), wave.medium());
        let terms = Terms {
            nx: grid.nx,
            ny: grid.ny,
            kinetic: 0.5 * grid.dx * grid.dy / medium.dt.powi(2),
            along_x: 0.5 * medium.speed.powi(2) * grid.dy / grid.dx,
            along_y: 0.5 * medium.speed.powi(2) * grid.dx / grid.dy,
            half_edges: matches!(
                medium.boundary,
                Boundary::Neumann | Boundary::Absorbing | Boundary::EngquistMajda
            ),
            feedback: medium.feedback,
            cell: grid.dx * grid.dy,
            around: medium.boundary == Boundary::Periodic,
        };
        let (new, old) = (wave.u(), wave.previous());
        workers.each(
            self.strips.iter_mut().zip(strips(grid.ny)),
            #[inline(always)]
            |(sum, rows)| *sum = terms.strip(new, old, rows),
        );
        self.strips.iter().sum()
    }
}

impl Terms {
    /// Share of some rows, with the edges to the row below them.
    #[inline(always)]
    fn strip<T: Real>(&self, new: &[T], old: &[T], rows: Range<usize>) -> f64 {
        // Of rows that count whole, and of those that count in part.
        let (mut whole, mut part) = (WaveSums::ZERO, WaveSums::ZERO);
        let mut sum = 0.0;
        for y in rows {
            let [here, south] = [y, self.south(y)].map(|y| {
                let cells = y * self.nx..(y + 1) * self.nx;
                [&new[cells.clone()], &old[cells]]
            });
            let weight = self.share(y, self.ny);
            let sums = if weight == 1.0 { &mut whole } else { &mut part };
            sums.add(here, south);
            sum += self.ends(here, south, weight);
        }
        for (sums, weight) in [(whole, 1.0), (part, 0.5)] {
            let [kinetic, along_y, along_x] = sums.totals();
            sum +=
                weight * (self.kinetic * kinetic + self.along_x * along_x) + self.along_y * along_y;
        }
        sum
    }

    /// The row below, in whose absence the row itself: no slopes.
    #[inline(always)]
    fn south(&self, y: usize) -> usize {
        match y + 1 < self.ny {
            true => y + 1,
            false if self.around => 0,
            false => y,
        }
    }

    /// What the sums over a row of this weight lack, or have too much, at its ends; and its potential.
    #[inline(always)]
    fn ends<T: Real>(
        &self,
        [new, old]: [&[T]; 2],
        [south, south_old]: [&[T]; 2],
        weight: f64,
    ) -> f64 {
        let last = self.nx - 1;
        let mut sum = 0.0;
        let surplus = 1.0 - self.share(0, self.nx);
        if surplus > 0.0 {
            for x in [0, last] {
                let moving = (new[x] - old[x]).to_f64().powi(2);
                let slope = (south[x] - new[x]).to_f64() * (south_old[x] - old[x]).to_f64();
                sum -= surplus * (self.kinetic * weight * moving + self.along_y * slope);
            }
        }
        if self.around {
            let seam = (new[0] - new[last]).to_f64() * (old[0] - old[last]).to_f64();
            sum += self.along_x * weight * seam;
        }
        if self.feedback != Feedback::None {
            // Half of V at either level, cell by cell.
            let at = |x: usize| {
                let [new, old] = [new[x], old[x]].map(|u| self.feedback.potential(u.to_f64()));
                0.5 * self.share(x, self.nx) * (new + old)
            };
            sum += self.cell * weight * (0..self.nx).map(at).sum::<f64>();
        }
        sum
    }

    /// Weight of the cells at index `i` of `count` along one axis.
    fn share(&self, i: usize, count: usize) -> f64 {
        if self.half_edges && count > 1 && (i == 0 || i + 1 == count) { 0.5 } else { 1.0 }
    }
}
