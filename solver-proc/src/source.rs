//! Soft sources: what is added to the wave at every step, `u+ += dt^2 q/(1+a)` (SCIENCE.md, Sources).

use std::f64::consts::{PI, TAU};
use std::ops::Range;
use std::sync::Arc;

use rsw_config::{Boundary, NamedSource};
use thiserror::Error;

use crate::drive::{Drive, DriveError, Tables};
use crate::real::Real;
use crate::room::NoMemory;
use crate::wave::Wave;

/// Why a source was refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SourceError {
    /// Outside the field.
    #[error(
        "source \"{name}\" at {at:?} is outside the field of {nx} x {ny} cells, which begin at [0, 0]; move it inwards"
    )]
    Outside {
        /// Its name.
        name: String,
        /// Its cell.
        at: [u32; 2],
        /// Cells along x.
        nx: usize,
        /// Cells along y.
        ny: usize,
    },
    /// On cells that an edge condition overwrites.
    #[error(
        "source \"{name}\" at {at:?} feeds nothing but edge cells, which the boundary overwrites; move it inwards"
    )]
    OnEdge {
        /// Its name.
        name: String,
        /// Its cell.
        at: [u32; 2],
    },
    /// Its disc.
    #[error("source \"{name}\": {error}")]
    Room {
        /// Its name.
        name: String,
        /// What its cells need.
        error: NoMemory,
    },
    /// Neither an oscillator nor a recording, or a number that is none.
    #[error("source \"{name}\" is unusable: {reason}")]
    Unusable {
        /// Its name.
        name: String,
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// Its recording.
    #[error("source \"{name}\": {error}")]
    Drive {
        /// Its name.
        name: String,
        /// What is wrong with it.
        error: DriveError,
    },
}

/// One source.
pub struct Source {
    name: Arc<str>,
    signal: Signal,
    /// Cells and what one unit of signal adds to them in a step.
    cells: Vec<(usize, f64)>,
    /// The signal at the last tick and at this one.
    samples: [f64; 2],
}

/// Where the signal comes from.
enum Signal {
    /// `sin(2 pi f t + phase)` at every step.
    Oscillator { frequency: f64, phase: f64 },
    /// `(1 - 2 p) exp(-p)` with `p = (pi f (t - 1.2/f))^2` at every step.
    Ricker { frequency: f64 },
    /// Linear within a tick, from the sample of the tick before to that of this one.
    Recorded(Box<Drive>),
}

impl Source {
    /// A source as the swarm file has it. Its strength, `amplitude` times the signal, is spread over
    /// a disc with weights `cos^2(pi r/(2 (radius + 1)))` that add up to one, and divided by the
    /// area of a cell: the same strength makes the same wave on a finer grid.
    ///
    /// # Errors
    /// A place outside the field or on cells that are overwritten, or an unusable signal.
    pub fn new<T: Real>(
        named: &NamedSource,
        wave: &Wave<T>,
        tables: &mut Tables,
        tick_ns: u64,
    ) -> Result<Self, SourceError> {
        let (name, section) = (named.name.clone(), &named.source);
        if !(section.amplitude.is_finite() && section.phase.is_finite()) {
            return Err(SourceError::Unusable {
                name,
                reason: "amplitude and phase must be finite",
            });
        }
        let finite = |frequency: f64| match frequency.is_finite() {
            true => Ok(frequency),
            false => Err(SourceError::Unusable {
                name: name.clone(),
                reason: "its frequency must be finite",
            }),
        };
        let signal = match (section.frequency, section.ricker, &section.csv, &section.column) {
            (Some(frequency), None, None, _) => {
                Signal::Oscillator { frequency: finite(frequency)?, phase: section.phase }
            }
            (None, Some(frequency), None, _) if frequency > 0.0 => {
                Signal::Ricker { frequency: finite(frequency)? }
            }
            (None, None, Some(file), Some(column)) => {
                let drive = Drive::open(tables, file, column, section, tick_ns);
                let drive =
                    drive.map_err(|error| SourceError::Drive { name: name.clone(), error })?;
                Signal::Recorded(Box::new(drive))
            }
            _ => {
                let reason =
                    "it needs either a frequency, or a positive ricker, or a csv and a column";
                return Err(SourceError::Unusable { name, reason });
            }
        };
        let cells = disc(named, wave)?;
        Ok(Self { name: name.as_str().into(), signal, cells, samples: [0.0; 2] })
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What a user should know about its recording: a constant column, samples that are missing.
    pub fn notes(&self) -> Vec<String> {
        let Some(drive) = self.drive() else { return Vec::new() };
        let (count, column) = (drive.missing(), drive.column());
        let missing = (count > 0)
            .then(|| format!("{count} samples of \"{column}\" are missing and interpolated"));
        let notes = drive.note().map(str::to_owned).into_iter().chain(missing);
        notes.map(|note| format!("source \"{}\": {note}", self.name)).collect()
    }

    /// Its recording, if it has one.
    pub fn drive(&self) -> Option<&Drive> {
        match &self.signal {
            Signal::Recorded(drive) => Some(drive),
            Signal::Oscillator { .. } | Signal::Ricker { .. } => None,
        }
    }

    /// The sample at the end of the present tick, without the amplitude.
    pub fn sample(&self) -> f64 {
        self.samples[1]
    }

    /// Looks up the samples for `tick` (from 1), which ends at time `t_end`.
    pub fn begin_tick(&mut self, tick: u64, t_end: f64) {
        self.samples = match &self.signal {
            Signal::Recorded(drive) => [drive.sample(tick - 1), drive.sample(tick)],
            _ => [self.samples[1], self.signal(t_end, 1.0)],
        };
    }

    /// The signal at time `t`, a fraction `part` into the tick, without the amplitude.
    pub fn signal(&self, t: f64, part: f64) -> f64 {
        match &self.signal {
            Signal::Oscillator { frequency, phase } => oscillate(*frequency, *phase, t),
            Signal::Ricker { frequency } => ricker(*frequency, t),
            Signal::Recorded(_) => self.samples[0] + part * (self.samples[1] - self.samples[0]),
        }
    }

    /// Adds the source density of a signal to `density`, for a start of second order: that of the start.
    pub fn add_density<T: Real>(&self, signal: f64, wave: &Wave<T>, density: &mut [T]) {
        let (nx, dt) = (wave.grid().nx, wave.medium().dt);
        for (cell, weight) in &self.cells {
            let a = 0.5 * wave.gamma_at(cell % nx, cell / nx) * dt;
            let pushed = weight * (1.0 + a) / (dt * dt) * signal;
            density[*cell] = density[*cell] + T::from_f64(pushed);
        }
    }
}

/// What all sources add in each of the next steps, row by row.
///
/// A cell that several sources feed gets their shares in the order of the sources, whoever adds them.
pub struct Feeds {
    points: Vec<Point>,
    /// Where in `points` each row begins; one more at the end.
    rows: Vec<u32>,
    sources: usize,
    /// One signal for each source, step after step.
    signals: Vec<f64>,
}

/// One cell of one source, and what a unit of its signal adds in a step.
struct Point {
    x: u32,
    source: u32,
    weight: f64,
}

impl Feeds {
    /// No sources, in a field of `ny` rows.
    pub fn silent(ny: usize) -> Self {
        Self { points: Vec::new(), rows: vec![0; ny + 1], sources: 0, signals: Vec::new() }
    }

    /// Room for `steps` steps of these sources in a field of `nx` x `ny` cells.
    pub fn new(sources: &[Source], [nx, ny]: [usize; 2], steps: usize) -> Self {
        let cells = sources.iter().zip(0u32..).flat_map(|(source, index)| {
            source.cells.iter().map(move |(cell, weight)| (*cell, index, *weight))
        });
        let mut cells: Vec<(usize, u32, f64)> = cells.collect();
        // Stable: shares of one cell stay in the order of the sources.
        cells.sort_by_key(|(cell, ..)| *cell);
        let rows = (0..=ny).map(|y| cells.partition_point(|(cell, ..)| *cell < y * nx) as u32);
        let point = |(cell, source, weight): &(usize, u32, f64)| Point {
            x: (cell % nx) as u32,
            source: *source,
            weight: *weight,
        };
        Self {
            rows: rows.collect(),
            points: cells.iter().map(point).collect(),
            sources: sources.len(),
            signals: vec![0.0; sources.len() * steps],
        }
    }

    /// Sets the signals of step `step`, one for each source in their order.
    ///
    /// # Panics
    /// There is no room for so many steps.
    pub fn set(&mut self, step: usize, signals: impl Iterator<Item = f64>) {
        let slots = &mut self.signals[step * self.sources..][..self.sources];
        for (slot, signal) in slots.iter_mut().zip(signals) {
            *slot = signal;
        }
    }

    /// The signals of step `step`, in the order of the sources.
    pub(crate) fn signals(&self, step: usize) -> &[f64] {
        &self.signals[step * self.sources..][..self.sources]
    }

    /// Adds what step `step` adds to row `y`, which is `next`.
    #[inline(always)]
    pub(crate) fn add<T: Real>(&self, step: usize, y: usize, next: &mut [T]) {
        let (from, to) = (self.rows[y] as usize, self.rows[y + 1] as usize);
        if from < to {
            self.add_points(step, from..to, next);
        }
    }

    #[cold]
    fn add_points<T: Real>(&self, step: usize, points: Range<usize>, next: &mut [T]) {
        let signals = self.signals(step);
        for point in &self.points[points] {
            let x = point.x as usize;
            let share = T::from_f64(point.weight * signals[point.source as usize]);
            next[x] = next[x] + share;
        }
    }
}

/// What a device has to know to add the same.
#[cfg(feature = "gpu")]
impl Feeds {
    /// How many sources there are.
    pub(crate) fn sources(&self) -> usize {
        self.sources
    }

    /// Every cell of every source, row by row: its x and y, the source, and what a unit of the signal
    /// adds to it in a step.
    pub(crate) fn points(&self) -> impl Iterator<Item = ([usize; 2], usize, f64)> {
        self.rows.windows(2).enumerate().flat_map(|(y, ends)| {
            let points = &self.points[ends[0] as usize..ends[1] as usize];
            points.iter().map(move |p| ([p.x as usize, y], p.source as usize, p.weight))
        })
    }
}

/// `libm` and not the system's sine, whose last bit depends on the processor.
fn oscillate(frequency: f64, phase: f64, t: f64) -> f64 {
    let cycles = frequency * t;
    libm::sin(TAU * (cycles - cycles.floor()) + phase)
}

/// The second derivative of a Gaussian, its peak at 1.2/f.
fn ricker(frequency: f64, t: f64) -> f64 {
    let p = (PI * frequency * (t - 1.2 / frequency)).powi(2);
    match libm::exp(-p) {
        // Far from the pulse, where p may be infinite.
        0.0 => 0.0,
        bell => (1.0 - 2.0 * p) * bell,
    }
}

/// Places of a side of `n` cells that are at most `radius` from `centre`, each once and with how far it is: the shorter way
/// `around`, where the two ends of the side are neighbours. From below to above, so that sums over them do not depend on the centre.
fn reach(
    centre: usize,
    radius: usize,
    n: usize,
    around: bool,
) -> impl Iterator<Item = (usize, usize)> + Clone {
    let [below, above] = match around {
        true => [(n - 1) / 2, n / 2].map(|half| half.min(radius)),
        false => [centre, n - 1 - centre].map(|side| side.min(radius)),
    };
    (0..=below + above).map(move |k| ((centre + n + k - below) % n, k.abs_diff(below)))
}

/// The cells of a source and what a unit of signal adds to each in a step: `dt^2 q/(1+a)`.
fn disc<T: Real>(named: &NamedSource, wave: &Wave<T>) -> Result<Vec<(usize, f64)>, SourceError> {
    let (grid, medium, section) = (wave.grid(), wave.medium(), &named.source);
    let [x0, y0] = section.at.map(|place| place as usize);
    if x0 >= grid.nx || y0 >= grid.ny {
        let (name, at) = (named.name.clone(), section.at);
        return Err(SourceError::Outside { name, at, nx: grid.nx, ny: grid.ny });
    }
    let radius = section.radius as usize;
    let around = medium.boundary == Boundary::Periodic;
    let columns = reach(x0, radius, grid.nx, around);
    let rows = reach(y0, radius, grid.ny, around);
    let most = columns.clone().count() * rows.clone().count();
    let no_room = |error| SourceError::Room { name: named.name.clone(), error };
    // A cell is noted here, by its source and, twice on the way, by the feeds.
    NoMemory::unless_room::<[Point; 5]>(most).map_err(no_room)?;
    let mut cells = Vec::new();
    for (y, down) in rows {
        for (x, across) in columns.clone() {
            let r = (across as f64).hypot(down as f64);
            if r <= radius as f64 && wave.is_free(x, y) {
                let weight = libm::cos(0.5 * PI * r / (radius as f64 + 1.0)).powi(2);
                cells.push((x, y, weight));
            }
        }
    }
    let total: f64 = cells.iter().map(|(_, _, weight)| weight).sum();
    if cells.is_empty() {
        return Err(SourceError::OnEdge { name: named.name.clone(), at: section.at });
    }
    let strength = section.amplitude * medium.dt.powi(2) / (grid.dx * grid.dy * total);
    let push = |(x, y, weight)| {
        let a = 0.5 * wave.gamma_at(x, y) * medium.dt;
        (grid.index(x, y), strength * weight / (1.0 + a))
    };
    Ok(cells.into_iter().map(push).collect())
}
