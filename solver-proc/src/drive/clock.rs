//! Which place of a recording a tick meets.

use rsw_config::{AtEnd, Resample};

/// Maps ticks to places: rows (`sample`) or nanoseconds from the first timestamp (`time`).
///
/// Tick 1 meets the first sample in both. Everything is a function of the tick alone, so a restored
/// engine needs no saved cursor.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    unit: Unit,
    rows: usize,
    /// Timestamps in ns from the first one, where the recording has them.
    offsets_ns: Option<Vec<u64>>,
    first_ns: i64,
    /// Median step between timestamps, at least 1 ns.
    step_ns: u64,
    at_end: AtEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Row,
    /// Nanoseconds; a tick advances by so many.
    Nanosecond {
        tick: u64,
    },
}

/// A place in the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Rows or nanoseconds from the start of this lap.
    pub(crate) at: u64,
    /// How often the recording began again.
    pub(crate) lap: u64,
    /// Whether the recording is over; `at` is then just behind it.
    pub(crate) ended: bool,
}

/// Two rows and the weight of the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Between {
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) weight: f64,
}

impl Clock {
    /// A clock over `rows` samples. `time` needs timestamps; without them it is `sample`.
    pub(crate) fn new(
        rows: usize,
        times_ns: Option<&[i64]>,
        resample: Resample,
        tick_ns: u64,
        at_end: AtEnd,
    ) -> Self {
        let first_ns = times_ns.map_or(0, |times| times[0]);
        let offsets_ns: Option<Vec<u64>> =
            times_ns.map(|times| times.iter().map(|t| t.abs_diff(first_ns)).collect());
        let unit = match (resample, &offsets_ns) {
            (Resample::Time, Some(_)) => Unit::Nanosecond { tick: tick_ns.max(1) },
            _ => Unit::Row,
        };
        let step_ns = offsets_ns.as_deref().map_or(tick_ns, median_step).max(1);
        Self { unit, rows, offsets_ns, first_ns, step_ns, at_end }
    }

    /// A clock of one row a tick, without timestamps, once through.
    pub(crate) fn rows_only(rows: usize, tick_ns: u64) -> Self {
        Self::new(rows, None, Resample::Sample, tick_ns, AtEnd::Silence)
    }

    /// Where tick `tick` (from 1) is.
    pub(crate) fn place(&self, tick: u64) -> Place {
        let ticks = tick.saturating_sub(1);
        let (gone, length) = match self.unit {
            Unit::Row => (ticks, self.rows as u64),
            Unit::Nanosecond { tick } => (ticks.saturating_mul(tick), self.lap_ns()),
        };
        match self.at_end {
            AtEnd::Loop => Place { at: gone % length, lap: gone / length, ended: false },
            AtEnd::Silence => {
                // By time the last sample is the end; the step behind it belongs to a next lap.
                let end = if self.by_row() { length } else { length - self.step_ns + 1 };
                Place { at: gone.min(end), lap: 0, ended: gone >= end }
            }
        }
    }

    /// The rows around a place that is not behind the end.
    pub(crate) fn rows_at(&self, place: Place) -> Between {
        let last = self.rows - 1;
        match (self.unit, &self.offsets_ns) {
            (Unit::Nanosecond { .. }, Some(offsets)) => {
                let second = offsets.partition_point(|offset| *offset <= place.at);
                let first = second.saturating_sub(1);
                if second > last {
                    // Between the last sample and the first of the next lap.
                    let weight = (place.at - offsets[last]) as f64 / self.step_ns as f64;
                    return Between { first: last, second: 0, weight };
                }
                let span = (offsets[second] - offsets[first]).max(1) as f64;
                Between { first, second, weight: (place.at - offsets[first]) as f64 / span }
            }
            _ => {
                let row = (place.at as usize).min(last);
                Between { first: row, second: row, weight: 0.0 }
            }
        }
    }

    /// Timestamp of a tick where each tick is one row of a recording with timestamps. Behind the
    /// end it goes on by the median step.
    pub(crate) fn t_ns(&self, tick: u64) -> Option<i64> {
        let offsets = self.offsets_ns.as_ref().filter(|_| self.by_row())?;
        let row = tick.saturating_sub(1);
        let rows = self.rows as u64;
        let since = match self.at_end {
            AtEnd::Loop => (row / rows)
                .saturating_mul(self.lap_ns())
                .saturating_add(offsets[(row % rows) as usize]),
            AtEnd::Silence => {
                let behind = row.saturating_sub(rows - 1);
                offsets[row.min(rows - 1) as usize]
                    .saturating_add(behind.saturating_mul(self.step_ns))
            }
        };
        Some(self.first_ns.saturating_add_unsigned(since))
    }

    /// Whether places are rows.
    pub(crate) fn by_row(&self) -> bool {
        self.unit == Unit::Row
    }

    /// Timestamps in ns from the first, where there are any.
    pub(crate) fn offsets_ns(&self) -> Option<&[u64]> {
        self.offsets_ns.as_deref()
    }

    /// Median step between timestamps.
    pub(crate) fn step_ns(&self) -> u64 {
        self.step_ns
    }

    /// Length of a lap in the clock's unit.
    pub(crate) fn lap(&self) -> u64 {
        if self.by_row() { self.rows as u64 } else { self.lap_ns() }
    }

    /// Ticks until `distance` rows or nanoseconds have gone by, rounded up.
    pub(crate) fn ticks_for(&self, distance: u64) -> u64 {
        match self.unit {
            Unit::Row => distance,
            Unit::Nanosecond { tick } => distance.div_ceil(tick),
        }
    }

    fn lap_ns(&self) -> u64 {
        let last = self.offsets_ns.as_ref().and_then(|offsets| offsets.last());
        last.copied().unwrap_or(0).saturating_add(self.step_ns)
    }
}

/// The median of the steps that are not zero; 0 when there is none.
fn median_step(offsets_ns: &[u64]) -> u64 {
    let mut steps: Vec<u64> =
        offsets_ns.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > 0).collect();
    if steps.is_empty() {
        return 0;
    }
    let middle = steps.len() / 2;
    *steps.select_nth_unstable(middle).1
}
