//! A recorded signal: a column of a CSV file, scaled, with its holes filled and named, tick by tick.

mod annotation;
mod clock;
mod error;
mod table;

use std::path::Path;
use std::sync::Arc;

use rsw_config::{Scale, SourceSection};
use rsw_schemas::event::GapCause;

pub use annotation::Annotation;
pub(crate) use clock::Clock;
pub use error::DriveError;
pub use table::{Table, Tables};

/// A step between timestamps beyond this many medians is a hole.
const HOLE_STEPS: f64 = 1.5;

/// Samples that the recording did not have, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriveGap {
    /// First tick without a sample.
    pub from_tick: u64,
    /// First tick that has one again; equal to `from_tick` where no tick fell into the hole.
    pub to_tick: u64,
    /// Why.
    pub cause: GapCause,
}

/// A recorded signal, ready to be asked for any tick.
pub struct Drive {
    column: Arc<str>,
    samples: Vec<f64>,
    clock: Clock,
    holes: Vec<Hole>,
    /// The union of the holes, as disjoint ranges in order.
    filled: Vec<(u64, u64)>,
    missing: usize,
    note: Option<String>,
}

/// A hole in rows or nanoseconds of one lap: `from <= place < to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hole {
    from: u64,
    to: u64,
    cause: GapCause,
}

impl Drive {
    /// Reads `column` of `file` as `section` wants it. `tick_ns` is the field time of a tick.
    ///
    /// # Errors
    /// Whatever [`DriveError`] names.
    pub fn open(
        tables: &mut Tables,
        file: &Path,
        column: &str,
        section: &SourceSection,
        tick_ns: u64,
    ) -> Result<Self, DriveError> {
        let table = tables.open(file)?;
        let raw = table.numbers(column)?;
        let time_column = section.time_column.as_deref().or_else(|| table.time_column(column));
        let times = time_column.map(|name| table.times(name)).transpose()?;
        let clock =
            Clock::new(raw.len(), times.as_deref(), section.resample, tick_ns, section.at_end);
        let (samples, note) = match section.scale {
            Scale::None => (fill(&raw), None),
            Scale::Standardise => standardise(&raw, column),
        };
        let holes = holes(&raw, &clock);
        Ok(Self {
            column: column.into(),
            samples,
            filled: union(&holes),
            holes,
            missing: raw.iter().filter(|sample| sample.is_none()).count(),
            clock,
            note,
        })
    }

    /// The sample of a tick (from 1): scaled, holes filled; 0 before the first tick and behind the end.
    pub fn sample(&self, tick: u64) -> f64 {
        let place = self.clock.place(tick);
        if tick == 0 || place.ended {
            return 0.0;
        }
        let rows = self.clock.rows_at(place);
        let (first, second) = (self.samples[rows.first], self.samples[rows.second]);
        first + rows.weight * (second - first)
    }

    /// Whether the sample of a tick was filled in.
    pub fn is_filled(&self, tick: u64) -> bool {
        let place = self.clock.place(tick);
        let before = self.filled.partition_point(|(from, _)| *from <= place.at);
        !place.ended && self.filled[..before].last().is_some_and(|(_, to)| place.at < *to)
    }

    /// Whether `tick` is the first behind the end.
    pub fn ends_at(&self, tick: u64) -> bool {
        tick > 1 && self.clock.place(tick).ended && !self.clock.place(tick - 1).ended
    }

    /// The gaps that begin at `tick`, or began since the tick before it.
    pub fn gaps_at(&self, tick: u64) -> impl Iterator<Item = DriveGap> + '_ {
        let now = self.clock.place(tick);
        let upto = |at: u64| self.holes.partition_point(|hole| hole.from <= at);
        let (old_lap, new_lap) = if tick <= 1 {
            (0..0, 0..upto(now.at))
        } else {
            let before = self.clock.place(tick - 1);
            match now.lap == before.lap {
                true => (0..0, upto(before.at)..upto(now.at)),
                false => (upto(before.at)..self.holes.len(), 0..upto(now.at)),
            }
        };
        let gap = move |hole: &Hole, at: u64| DriveGap {
            from_tick: tick,
            to_tick: tick + self.clock.ticks_for(hole.to.saturating_sub(at)),
            cause: hole.cause,
        };
        let behind = now.at.saturating_add(self.clock.lap());
        self.holes[old_lap]
            .iter()
            .map(move |hole| gap(hole, behind))
            .chain(self.holes[new_lap].iter().map(move |hole| gap(hole, now.at)))
    }

    /// Most gaps that [`Drive::gaps_at`] can yield at once.
    pub fn gaps_max(&self) -> usize {
        self.holes.len()
    }

    /// The recording's timestamp of a tick, where a tick is a row and rows have timestamps.
    pub fn t_ns(&self, tick: u64) -> Option<i64> {
        self.clock.t_ns(tick)
    }

    /// The column.
    pub fn column(&self) -> &Arc<str> {
        &self.column
    }

    /// Samples that were missing and filled in.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// What a user should know about the column, if anything.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// Missing samples by linear interpolation between the neighbours, by the nearest at the ends.
fn fill(raw: &[Option<f64>]) -> Vec<f64> {
    let known: Vec<(usize, f64)> =
        raw.iter().enumerate().filter_map(|(i, sample)| sample.map(|value| (i, value))).collect();
    let value = |i: usize| {
        let after = known.partition_point(|(at, _)| *at < i);
        let right = known.get(after).or(known.last());
        let left = known[..after].last().or(right);
        match (left, right) {
            (Some((a, x)), Some((b, y))) if b > a => {
                x + (y - x) * (i.saturating_sub(*a)).min(b - a) as f64 / (b - a) as f64
            }
            (_, Some((_, y))) => *y,
            _ => 0.0,
        }
    };
    raw.iter().enumerate().map(|(i, sample)| sample.unwrap_or_else(|| value(i))).collect()
}

/// `(x - mean)/sd` with mean and sample sd over the samples that are there; a constant column is 0.
fn standardise(raw: &[Option<f64>], column: &str) -> (Vec<f64>, Option<String>) {
    // In units of a power of two near the largest: no digit changes, and no square leaves the range of numbers.
    let largest = raw.iter().flatten().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let unit = f64::from_bits(largest.to_bits() & f64::INFINITY.to_bits()).max(f64::MIN_POSITIVE);
    let raw: Vec<Option<f64>> = raw.iter().map(|x| x.map(|x| x / unit)).collect();
    let finite: Vec<f64> = raw.iter().flatten().copied().collect();
    let count = finite.len() as f64;
    let mean = finite.iter().sum::<f64>() / count;
    let squares: f64 = finite.iter().map(|x| (x - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0).max(1.0)).sqrt();
    let constant = finite.iter().all(|x| *x == finite[0]);
    if constant {
        let note = format!("column \"{column}\" is constant: it drives nothing");
        return (vec![0.0; raw.len()], Some(note));
    }
    (fill(&raw).into_iter().map(|x| (x - mean) / deviation).collect(), None)
}

/// Runs of missing samples, and steps in time beyond [`HOLE_STEPS`] medians, in order of their start.
fn holes(raw: &[Option<f64>], clock: &Clock) -> Vec<Hole> {
    let mut holes = Vec::new();
    let by_time = clock.offsets_ns().filter(|_| !clock.by_row());
    let mut row = 0;
    while row < raw.len() {
        let end = row + raw[row..].iter().take_while(|sample| sample.is_none()).count();
        if end > row {
            let (from, to) = match by_time {
                None => (row as u64, end as u64),
                // Everything strictly between the neighbours is interpolated.
                Some(at) => (
                    if row == 0 { 0 } else { at[row - 1] + 1 },
                    at.get(end).copied().unwrap_or(at[raw.len() - 1] + 1),
                ),
            };
            holes.push(Hole { from, to, cause: GapCause::MissingValue });
        }
        row = end + 1;
    }
    let limit = clock.step_ns() as f64 * HOLE_STEPS;
    for (row, pair) in clock.offsets_ns().unwrap_or(&[]).windows(2).enumerate() {
        if (pair[1] - pair[0]) as f64 > limit {
            // One row a tick: no tick lacks a sample, but time jumps before this one.
            let place = row as u64 + 1;
            let (from, to) =
                if by_time.is_some() { (pair[0] + 1, pair[1]) } else { (place, place) };
            holes.push(Hole { from, to, cause: GapCause::MissingTime });
        }
    }
    holes.sort_by_key(|hole| hole.from);
    holes
}

/// The union of holes that are in order of their start.
fn union(holes: &[Hole]) -> Vec<(u64, u64)> {
    let mut union: Vec<(u64, u64)> = Vec::new();
    for hole in holes.iter().filter(|hole| hole.from < hole.to) {
        match union.last_mut().filter(|(_, to)| hole.from <= *to) {
            Some((_, to)) => *to = hole.to.max(*to),
            None => union.push((hole.from, hole.to)),
        }
    }
    union
}
