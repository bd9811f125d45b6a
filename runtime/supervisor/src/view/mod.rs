//! What the command line draws: pure functions from values to text or bytes; who asks for what, and
//! where it goes, is decided elsewhere.

pub(crate) mod color;
pub(crate) mod diagnostic;
pub(crate) mod error;
pub(crate) mod npy;
pub(crate) mod png;
pub(crate) mod table;
pub(crate) mod term;

/// A field as the plane has it: `cells[y * nx + x]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldView<'a> {
    /// Cells along x, the fast axis.
    pub(crate) nx: usize,
    /// Cells along y.
    pub(crate) ny: usize,
    /// `nx * ny` values.
    pub(crate) cells: &'a [f32],
}

/// A field whose cells are not `nx * ny`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a field of {nx} x {ny} cells has {count} values: read it again from a running swarm")]
pub(crate) struct ShapeError {
    nx: usize,
    ny: usize,
    count: usize,
}

impl<'a> FieldView<'a> {
    /// A field of at least one cell.
    pub(crate) fn new(nx: usize, ny: usize, cells: &'a [f32]) -> Result<Self, ShapeError> {
        match nx.checked_mul(ny) {
            Some(count) if count == cells.len() && count > 0 => Ok(Self { nx, ny, cells }),
            _ => Err(ShapeError { nx, ny, count: cells.len() }),
        }
    }

    /// Mean of the finite cells of the block `part` of `parts` along each axis; NaN if none is finite.
    /// With more parts than cells, a cell is repeated.
    fn block_mean(&self, part: [usize; 2], parts: [usize; 2]) -> f32 {
        let span = |axis: usize, cells: usize| {
            let start = part[axis] * cells / parts[axis];
            let end = ((part[axis] + 1) * cells).div_ceil(parts[axis]);
            start..end.clamp(start + 1, cells)
        };
        let (mut sum, mut count) = (0.0f64, 0u32);
        for y in span(1, self.ny) {
            for &cell in &self.cells[y * self.nx..][span(0, self.nx)] {
                if cell.is_finite() {
                    sum += f64::from(cell);
                    count += 1;
                }
            }
        }
        if count == 0 { f32::NAN } else { (sum / f64::from(count)) as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked() {
        assert!(FieldView::new(2, 2, &[0.0; 4]).is_ok());
        assert!(FieldView::new(2, 2, &[0.0; 3]).is_err());
        assert!(FieldView::new(0, 2, &[]).is_err());
        assert!(FieldView::new(usize::MAX, 2, &[0.0]).is_err());
    }

    #[test]
    fn blocks_cover_the_field_and_skip_what_is_not_a_number() {
        let cells = [1.0, 2.0, 3.0, f32::NAN];
        let field = FieldView::new(4, 1, &cells).unwrap();
        assert_eq!(field.block_mean([0, 0], [2, 1]), 1.5);
        assert_eq!(field.block_mean([1, 0], [2, 1]), 3.0);
        assert!(field.block_mean([3, 0], [4, 1]).is_nan());
        assert_eq!(field.block_mean([3, 0], [8, 2]), 2.0);
    }
}
