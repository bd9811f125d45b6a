//! The grid: how many cells, how far apart; row-major, x fast.

use thiserror::Error;

/// A rectangular grid of cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Cells along x, the fast axis.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
    /// Spacing along x in length units.
    pub dx: f64,
    /// Spacing along y in length units.
    pub dy: f64,
}

/// Why a grid was refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum GridError {
    /// No cells, or more than can be indexed.
    #[error("field of {nx} x {ny} cells is unusable: each side must have 1 to 65536 cells")]
    Size {
        /// Cells along x.
        nx: usize,
        /// Cells along y.
        ny: usize,
    },
    /// A spacing that is no length.
    #[error("spacing {dx} x {dy} is unusable: both must be positive and finite")]
    Spacing {
        /// Along x.
        dx: f64,
        /// Along y.
        dy: f64,
    },
}

impl Grid {
    /// A grid of `nx` x `ny` cells, `dx` and `dy` apart.
    ///
    /// # Errors
    /// Sides outside 1..=65536, or spacings that are not positive and finite.
    pub fn new(nx: usize, ny: usize, dx: f64, dy: f64) -> Result<Self, GridError> {
        let side = 1..=65_536;
        if !side.contains(&nx) || !side.contains(&ny) {
            return Err(GridError::Size { nx, ny });
        }
        if !(dx > 0.0 && dy > 0.0 && dx.is_finite() && dy.is_finite()) {
            return Err(GridError::Spacing { dx, dy });
        }
        Ok(Self { nx, ny, dx, dy })
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.nx * self.ny
    }

    /// Index of cell (x, y).
    pub fn index(&self, x: usize, y: usize) -> usize {
        y * self.nx + x
    }
}
