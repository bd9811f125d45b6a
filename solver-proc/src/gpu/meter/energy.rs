//! The energy from the sums of `energy.wgsl`: its factors, and the power of two that the field was taken times.

use crate::feedback::Feedback;
use crate::wave::Wave;

/// Factors of the sums.
pub(super) struct Energy {
    /// Of (u+ - u)^2, and of the products of slopes along x and y.
    squares: [f64; 3],
    /// Of the potential.
    potential: f64,
    /// It goes with the fourth power, of a scale of at most 1.
    quartic: bool,
}

impl Energy {
    pub(super) fn new(wave: &Wave) -> Self {
        let (grid, medium) = (wave.grid(), wave.medium());
        let along = 0.5 * medium.speed.powi(2);
        let kinetic = 0.5 * grid.dx * grid.dy / medium.dt.powi(2);
        let strength = match medium.feedback {
            Feedback::None => 0.0,
            Feedback::SineGordon { strength } | Feedback::Phi4 { strength, .. } => strength,
            Feedback::Relu { strength, .. } => -strength,
        };
        Self {
            squares: [kinetic, along * grid.dy / grid.dx, along * grid.dx / grid.dy],
            potential: strength * grid.dx * grid.dy,
            quartic: matches!(medium.feedback, Feedback::Phi4 { .. }),
        }
    }

    /// The energy; `most` are the bits of the largest |u| of each level.
    pub(super) fn of(&self, most: [u32; 2], totals: [f64; 4]) -> f64 {
        let exponent = (most[0].max(most[1]) >> 23).clamp(1, 253) as i32 - 127;
        let unit = 2f64.powi(exponent).powi(2);
        let squares: f64 = self.squares.iter().zip(totals).map(|(factor, sum)| factor * sum).sum();
        let potential_unit = if self.quartic { unit.max(1.0).powi(2) } else { unit };
        squares * unit + self.potential * totals[3] * potential_unit
    }
}
