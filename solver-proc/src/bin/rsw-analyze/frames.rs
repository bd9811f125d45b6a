//! The fields to analyze, one after the other: files of one field each, and files of many.

use std::path::{Path, PathBuf};

use solver_proc::engine::MAGNITUDE_MAX;
use solver_proc::npy::{Array, Values};

use crate::Failure;

/// Largest share of the scatter of a field that rounding to single precision may scatter it further.
const ROUNDING_MAX: f64 = 1e-3;

/// Largest share of its magnitude by which a field may vary and is constant, but for the rounding of what made it.
const CONSTANT: f64 = 3e-14;

/// Fields of one size, none of them diverged.
pub(crate) struct Frames<'a> {
    files: &'a [PathBuf],
    size: [usize; 2],
    /// Fields of the file that was read last, and how many of them were handed out.
    cells: Vec<f32>,
    count: usize,
    given: usize,
}

impl<'a> Frames<'a> {
    /// Opens the first file; there must be one.
    pub(crate) fn open(files: &'a [PathBuf]) -> Result<Self, Failure> {
        let (first, rest) = files.split_first().ok_or("no field is named")?;
        let mut frames = Self { files: rest, size: [0; 2], cells: Vec::new(), count: 0, given: 0 };
        (frames.size, frames.count, frames.cells) = read(first)?;
        Ok(frames)
    }

    /// Columns and rows of every field.
    pub(crate) fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Whether the first field is the only one.
    pub(crate) fn is_one(&self) -> bool {
        self.files.is_empty() && self.count == 1
    }

    /// The next field; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<&[f32]>, Failure> {
        if self.given == self.count {
            let Some((file, rest)) = self.files.split_first() else { return Ok(None) };
            self.files = rest;
            self.follow(file)?;
        }
        self.given += 1;
        Ok(Some(self.last()))
    }

    /// The field that was handed out last.
    pub(crate) fn last(&self) -> &[f32] {
        let cells = self.size[0] * self.size[1];
        &self.cells[(self.given - 1) * cells..][..cells]
    }

    fn follow(&mut self, file: &Path) -> Result<(), Failure> {
        let (size, count, cells) = read(file)?;
        if size != self.size {
            let ([nx, ny], [nx_first, ny_first]) = (size, self.size);
            return Err(format!(
                "{}: its field has {nx} x {ny} cells, those before it {nx_first} x {ny_first}; \
                 a sequence has one size",
                file.display()
            )
            .into());
        }
        (self.count, self.cells, self.given) = (count, cells, 0);
        Ok(())
    }
}

/// Size, number and cells of the fields in a file.
fn read(file: &Path) -> Result<([usize; 2], usize, Vec<f32>), Failure> {
    let array = Array::read(file)?;
    let (count, size) = match *array.shape {
        [ny, nx] => (1, [nx, ny]),
        [count, ny, nx] => (count, [nx, ny]),
        _ => {
            return Err(format!(
                "{}: it has {} dimensions; a field has two (y, x), a sequence three (frame, y, x)",
                file.display(),
                array.shape.len()
            )
            .into());
        }
    };
    let cells =
        array.values.cast::<f32>().map_err(|error| format!("{}: {error}", file.display()))?;
    // Squares of what is larger are beyond single precision.
    if let Some(cell) = cells.iter().position(|value| value.abs() > MAGNITUDE_MAX) {
        return Err(format!(
            "{}: value {cell} is beyond {MAGNITUDE_MAX:e}, where the kernel calls a field diverged; scale it",
            file.display()
        )
        .into());
    }
    if let Values::Double(exact) = &array.values {
        let fields = exact.chunks(size[0] * size[1]).zip(cells.chunks(size[0] * size[1]));
        for (k, (exact, rounded)) in fields.enumerate() {
            check_rounding(exact, rounded)
                .map_err(|reason| format!("{}: field {k}: {reason}", file.display()))?;
        }
    }
    Ok((size, count, cells))
}

/// Refuses a field whose variations single precision does not hold.
fn check_rounding(exact: &[f64], rounded: &[f32]) -> Result<(), String> {
    let error = |i: usize| f64::from(rounded[i]) - exact[i];
    // From the first cell, so that a constant has none, and as shares of the largest, so that no square underflows.
    let [origin, error_there] = [exact[0], error(0)];
    let largest = |values: &dyn Fn(usize) -> f64| {
        (0..exact.len()).fold(0.0f64, |most, i| most.max(values(i).abs()))
    };
    let (magnitude, reach) = (largest(&|i| exact[i]), largest(&|i| exact[i] - origin));
    if reach <= CONSTANT * magnitude {
        return Ok(());
    }
    let scatter = |values: &dyn Fn(usize) -> f64| {
        let count = exact.len() as f64;
        let mean = (0..exact.len()).map(|i| values(i) / reach).sum::<f64>() / count;
        let square = |i: usize| (values(i) / reach - mean).powi(2);
        ((0..exact.len()).map(square).sum::<f64>() / count).sqrt()
    };
    let spread = scatter(&|i| exact[i] - origin);
    let added = scatter(&|i| error(i) - error_there);
    if added <= ROUNDING_MAX * spread {
        return Ok(());
    }
    Err(format!(
        "its values scatter by {:.1e} around {origin:.3e}, and rounding them to single precision, in which fields are \
         measured, adds {:.1e}; take the offset off or scale it, or pass a.astype('<f4') to measure what is left",
        spread * reach,
        added * reach
    ))
}
