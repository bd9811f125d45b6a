//! The energy of the wave between its two levels, which the scheme keeps exactly (science 4.2).
//!
//! `E = (dx dy/2) sum ((u+ - u)/dt)^2 + (c^2/2) sum over edges (grad u+)(grad u) dx dy`: the product
//! of two levels, not the square of one, which would wobble by 18 %.
//! With a nonlinear term its potential is added, the mean of both levels; the sum then oscillates by
//! O(dt^2) instead of being kept exactly.
//! Where the edge is a mirror or lets waves out, the outer half of an edge cell is not there: weight
//! one half on edges, one quarter in corners.

use rsw_config::Boundary;

use crate::feedback::Feedback;
use crate::lanes;
use crate::real::Real;
use crate::wave::Wave;
use crate::workers::{Workers, strip_rows};

/// Computes the energy without allocating.
pub struct EnergyMeter {
    rows: Vec<f64>,
}

/// What a row sum needs besides the two levels.
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
        Self { rows: vec![0.0; ny] }
    }

    /// The energy of `wave`: rows in double precision, added up in row order.
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
        let rows = strip_rows(grid.ny);
        workers.each(
            self.rows.chunks_mut(rows).enumerate(),
            #[inline(always)]
            |(strip, sums)| {
                for (k, sum) in sums.iter_mut().enumerate() {
                    *sum = terms.row(new, old, strip * rows + k);
                }
            },
        );
        self.rows.iter().sum()
    }
}

impl Terms {
    /// Share of row `y`, with the edges to the row below it.
    #[inline(always)]
    fn row<T: Real>(&self, new: &[T], old: &[T], y: usize) -> f64 {
        let nx = self.nx;
        let at = y * nx;
        let (new_row, old_row) = (&new[at..][..nx], &old[at..][..nx]);
        let of_row = self.share(y, self.ny);
        let ends = 1.0 - self.share(0, nx);
        // Edge columns count in part: the sum of all, less that part.
        let last = nx - 1;
        let outer = |a: &[T], b: &[T], c: &[T], d: &[T]| {
            let at = |x: usize| (a[x] - b[x]).to_f64() * (c[x] - d[x]).to_f64();
            ends * if last > 0 { at(0) + at(last) } else { at(0) }
        };
        let moving = lanes::sum_products([new_row, old_row], [new_row, old_row])
            - outer(new_row, old_row, new_row, old_row);
        let mut sum = self.kinetic * of_row * moving;
        if self.feedback != Feedback::None {
            // Half of V at either level, cell by cell.
            let at = |x: usize| {
                let [new, old] =
                    [new_row[x], old_row[x]].map(|u| self.feedback.potential(u.to_f64()));
                0.5 * self.share(x, nx) * (new + old)
            };
            sum += self.cell * of_row * (0..nx).map(at).sum::<f64>();
        }
        let bent_x = lanes::sum_products(
            [&new_row[1..], &new_row[..last]],
            [&old_row[1..], &old_row[..last]],
        );
        let seam = |a: usize, b: usize| (new[a] - new[b]).to_f64() * (old[a] - old[b]).to_f64();
        let wrapped = if self.around { seam(at, at + last) } else { 0.0 };
        sum += self.along_x * of_row * (bent_x + wrapped);
        let below = match y + 1 < self.ny {
            true => at + nx,
            false if self.around => 0,
            false => return sum,
        };
        let (new_south, old_south) = (&new[below..][..nx], &old[below..][..nx]);
        let slopes = lanes::sum_products([new_south, new_row], [old_south, old_row]);
        sum + self.along_y * (slopes - outer(new_south, new_row, old_south, old_row))
    }

    /// Weight of the cells at index `i` of `count` along one axis.
    fn share(&self, i: usize, count: usize) -> f64 {
        if self.half_edges && count > 1 && (i == 0 || i + 1 == count) { 0.5 } else { 1.0 }
    }
}
