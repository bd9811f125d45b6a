//! A column of marks (0 and 1) beside a recording: an event at each change.

use std::path::Path;
use std::sync::Arc;

use super::{Clock, DriveError, Tables};

/// A column of marks.
pub struct Annotation {
    name: Arc<str>,
    marks: Vec<Option<f64>>,
    clock: Clock,
}

impl Annotation {
    /// Reads `column` of `file`. `clock` is that of the source that plays the same file; without
    /// one, `fallback` makes it from the number of rows.
    ///
    /// # Errors
    /// Whatever [`DriveError`] names.
    pub(crate) fn open(
        tables: &mut Tables,
        name: &str,
        file: &Path,
        column: &str,
        clock: impl FnOnce(usize) -> Clock,
    ) -> Result<Self, DriveError> {
        let mut marks = tables.open(file)?.numbers(column)?;
        // A mark holds until the next one.
        for row in 1..marks.len() {
            marks[row] = marks[row].or(marks[row - 1]);
        }
        Ok(Self { name: name.into(), clock: clock(marks.len()), marks })
    }

    /// The name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The new value, at the first tick that has one and wherever it differs from the tick before.
    pub fn change_at(&self, tick: u64) -> Option<f64> {
        let now = self.mark(tick)?;
        (self.mark(tick.saturating_sub(1)) != Some(now)).then_some(now)
    }

    fn mark(&self, tick: u64) -> Option<f64> {
        let place = self.clock.place(tick);
        if tick == 0 || place.ended {
            return None;
        }
        self.marks[self.clock.rows_at(place).first]
    }
}
