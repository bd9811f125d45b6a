//! The meter: everything that is measured on a field, in one object that never allocates.

#[cfg(feature = "gpu")]
mod mirror;

mod outcome;

use std::ops::Range;

use rsw_config::{Auto, Gain, MetricsSection};
use thiserror::Error;

use super::bits::Bits;
use super::boxes::{BoxRange, Pyramid};
use super::dimension::{DimensionMap, Weights};
use super::index::Index;
use super::memory::{Memory, State, Step};
use super::sweep::{BLOCK, Lanes, SUMMED_MAX, fma, summed};
use super::threshold::{Selector, Threshold, ThresholdError};
use super::window::{Moments, Window, Windows};
use crate::cells::{Buffer, Cells};
use crate::workers::{STRIPS_MAX, Workers, strip_rows, strips};
pub use outcome::{CellMetrics, Summary};

/// Why the metrics were refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum MetricsError {
    /// The threshold.
    #[error("metrics.threshold: {0}")]
    Threshold(#[from] ThresholdError),
    /// A number that has no meaning here.
    #[error("metrics.{key} = {value} is unusable: it must be {range}")]
    Number {
        /// Which one.
        key: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// A band that the ticks cannot carry.
    #[error(
        "band \"{name}\" from {low_hz} to {high_hz} Hz is unusable: it must begin at a millionth of \
         the tick rate or above, be wider than nothing and end below {limit_hz} Hz, half of the tick rate"
    )]
    Band {
        /// Which one.
        name: String,
        /// Its lower edge.
        low_hz: f64,
        /// Its upper edge.
        high_hz: f64,
        /// Half of the tick rate.
        limit_hz: f64,
    },
}

/// Measures fields of one size.
pub struct Meter {
    nx: usize,
    ny: usize,
    threshold: Threshold,
    selector: Selector,
    bits: Bits,
    pyramid: Pyramid,
    dimensions: DimensionMap,
    window: Window,
    index: Index,
    strips: Vec<Strip>,
    memory: Memory,
    outputs: Outputs,
    /// Strip and place in it of every site.
    sites: Vec<[usize; 2]>,
    theta: f32,
    /// |u|, if the gain is made of it.
    magnitudes: Cells,
}

/// Which fields are kept of what an evaluation computes for every cell.
///
/// Each costs the frame a write of the whole field; means, sites and CI do not need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The coherence.
    pub coherence: bool,
    /// The gain.
    pub gain: bool,
}

impl Kept {
    /// Neither.
    pub const NONE: Self = Self { coherence: false, gain: false };
    /// Both.
    pub const ALL: Self = Self { coherence: true, gain: true };
}

/// The fields that an evaluation makes; of no cells where they are not kept.
struct Outputs {
    ci: Cells,
    coherence: Cells,
    gain: Cells,
}

/// What one strip of rows needs for itself.
struct Strip {
    rows: Range<usize>,
    /// Moments of u; and of what the gain averages, unless that is made of them.
    moments: Vec<Moments>,
    weights: Weights,
    /// Coherence and gain of the part of a row in hand, where their fields are not kept.
    passing: [Buffer; 2],
    /// In the order of their cells.
    sites: Vec<Site>,
    /// Sums of CI, coherence, gain and dwell time, lane by lane.
    sums: [[f64; BLOCK]; 4],
}

/// A cell whose coherence and gain are noted.
#[derive(Clone, Copy)]
struct Site {
    /// Counted from the beginning of the strip.
    cell: usize,
    coherence: f32,
    gain: f32,
}

/// A strip with its share of the memory and the outputs.
struct Job<'a> {
    strip: &'a mut Strip,
    past: Past<'a>,
    out: [&'a mut [f32]; 3],
}

/// The memory of some cells.
enum Past<'a> {
    /// The field is taken into it now.
    Taken(Step, State<'a>),
    /// The field is in it already: the dwell time.
    Known(&'a [f32]),
}

impl Past<'_> {
    /// That of some of the cells.
    #[inline(always)]
    fn part(&mut self, cells: Range<usize>) -> Past<'_> {
        match self {
            Self::Taken(step, state) => Past::Taken(*step, state.part(cells)),
            Self::Known(dwell) => Past::Known(&dwell[cells]),
        }
    }
}

/// What the strips share.
#[derive(Clone, Copy)]
struct Frame<'a> {
    window: &'a Window,
    index: &'a Index,
    dimensions: &'a DimensionMap,
    /// u, and what the gain averages.
    fields: [&'a [f32]; 2],
}

impl Meter {
    /// So many fields of single precision are in a meter, at most.
    pub(crate) fn fields_max(kept: Kept) -> usize {
        // CI, what is kept, and the magnitudes that one form of the gain averages.
        Memory::FIELDS + 1 + usize::from(kept.coherence) + usize::from(kept.gain) + 1
    }

    /// A meter for fields of `nx` x `ny` cells that keeps some fields; `tick_seconds` is the field time of a
    /// tick.
    ///
    /// # Errors
    /// A parameter that has no meaning.
    pub fn new(
        nx: usize,
        ny: usize,
        section: &MetricsSection,
        tick_seconds: f64,
        kept: Kept,
    ) -> Result<Self, MetricsError> {
        check(section, tick_seconds)?;
        let (range, tile_range) = ranges(nx, ny, section);
        let pyramid = Pyramid::new(nx, ny, section.tile as usize, range, tile_range);
        let window = Window::new(nx, ny, section.window as usize);
        let index = Index::new(section);
        let strip = |rows| Strip {
            rows,
            moments: (0..if index.gain() == Gain::Rms { 1 } else { 2 })
                .map(|_| window.moments())
                .collect(),
            weights: Weights::new(nx),
            passing: [2, 3].map(|place| Buffer::new(nx.min(SUMMED_MAX), place)),
            sites: Vec::new(),
            sums: [[0.0; BLOCK]; 4],
        };
        let field = |kept, place| Cells::new(if kept { nx * ny } else { 0 }, place);
        let magnitudes = if index.gain() == Gain::Abs { nx * ny } else { 0 };
        Ok(Self {
            nx,
            ny,
            threshold: section.threshold.parse()?,
            selector: Selector::new(nx, ny),
            bits: Bits::new(nx, ny),
            dimensions: DimensionMap::new(nx, &pyramid),
            pyramid,
            strips: strips(ny).map(strip).collect(),
            window,
            index,
            memory: Memory::new(nx, ny, section, tick_seconds),
            outputs: Outputs {
                ci: field(true, 6),
                coherence: field(kept.coherence, 7),
                gain: field(kept.gain, 8),
            },
            sites: Vec::new(),
            theta: 0.0,
            magnitudes: Cells::new(magnitudes, 9),
        })
    }

    /// From now on coherence and gain are noted at these cells (x, y), for [`Meter::site`].
    pub fn watch(&mut self, cells: impl Iterator<Item = [usize; 2]>) {
        let rows = strip_rows(self.ny);
        self.strips.iter_mut().for_each(|strip| strip.sites.clear());
        let place = |[x, y]: [usize; 2]| [y / rows, y % rows * self.nx + x];
        self.sites = cells.map(place).collect();
        for [strip, cell] in &self.sites {
            self.strips[*strip].sites.push(Site { cell: *cell, coherence: 0.0, gain: 0.0 });
        }
        for strip in &mut self.strips {
            strip.sites.sort_by_key(|site| site.cell);
            strip.sites.dedup_by_key(|site| site.cell);
        }
        for [strip, place] in &mut self.sites {
            let of_strip = &self.strips[*strip].sites;
            *place = of_strip.partition_point(|site| site.cell < *place);
        }
    }

    /// Takes the field of a tick into the memory; see [`Memory::remember`].
    ///
    /// # Panics
    /// May panic unless `u` has one value for each cell.
    pub fn remember(&mut self, u: &[f32], workers: &Workers) -> f32 {
        self.memory.remember(u, workers)
    }

    /// Looks at the field of a tick before [`Meter::measure`]: finds its threshold and counts its
    /// boxes. Returns its largest magnitude, not finite if any cell is not.
    ///
    /// # Panics
    /// May panic unless `u` has one value for each cell.
    pub fn survey(&mut self, u: &[f32], workers: &Workers) -> f32 {
        let peak;
        [self.theta, peak] = self.selector.select(u, self.threshold, &mut self.bits, workers);
        let (pyramid, bits) = (&mut self.pyramid, &self.bits);
        workers.vectorised(
            #[inline(always)]
            || pyramid.count(bits),
        );
        self.dimensions.update(&self.pyramid);
        peak
    }

    /// Takes the field that was surveyed into the memory and measures it, in one sweep.
    ///
    /// # Panics
    /// `u` has fewer values than there are cells.
    pub fn measure(&mut self, u: &[f32], workers: &Workers) -> Summary {
        if self.index.gain() == Gain::Envelope {
            // Its windows reach into rows below, whose envelopes must be new.
            self.memory.remember(u, workers);
            return self.fill_outputs(u, false, workers);
        }
        self.fill_outputs(u, true, workers)
    }

    /// Measures the field `u`, which was remembered last.
    ///
    /// # Panics
    /// `u` has fewer values than there are cells.
    pub fn evaluate(&mut self, u: &[f32], workers: &Workers) -> Summary {
        self.survey(u, workers);
        self.fill_outputs(u, false, workers)
    }

    /// CI, coherence and gain of every cell, and the means of them and of the dwell time; `new` says
    /// that the field is to be taken into the memory, too.
    fn fill_outputs(&mut self, u: &[f32], new: bool, workers: &Workers) -> Summary {
        let Self { window, index, dimensions, memory, outputs, strips, magnitudes, .. } = self;
        if index.gain() == Gain::Abs {
            magnitudes.iter_mut().zip(u).for_each(|(magnitude, u)| *magnitude = u.abs());
        }
        let step = new.then(|| memory.begin());
        let chunk = strip_rows(self.ny) * self.nx;
        let mut pasts: [Option<Past<'_>>; STRIPS_MAX] = [const { None }; STRIPS_MAX];
        // No window looks at the envelope while it changes.
        let averaged = match step {
            Some(step) => {
                let states = memory.strips().map(|state| Past::Taken(step, state));
                pasts.iter_mut().zip(states).for_each(|(past, state)| *past = Some(state));
                &**magnitudes
            }
            None => {
                let states = memory.dwell().chunks(chunk).map(Past::Known);
                pasts.iter_mut().zip(states).for_each(|(past, state)| *past = Some(state));
                if index.gain() == Gain::Envelope { memory.envelope() } else { &**magnitudes }
            }
        };
        let frame = Frame { window, index, dimensions, fields: [u, averaged] };
        let Outputs { ci, coherence, gain } = outputs;
        let fields = ci.chunks_mut(chunk).zip(shares(coherence, chunk));
        let fields = fields.zip(shares(gain, chunk));
        let jobs = strips.iter_mut().zip(pasts.into_iter().flatten()).zip(fields);
        let jobs = jobs.map(|((strip, past), ((ci, coherence), gain))| Job {
            strip,
            past,
            out: [ci, coherence, gain],
        });
        workers.each(
            jobs,
            #[inline(always)]
            |job| frame.strip(job),
        );
        let mut means = [0.0f64; 4];
        for strip in &self.strips {
            for (mean, lanes) in means.iter_mut().zip(&strip.sums) {
                *mean += lanes.iter().sum::<f64>() / (self.nx * self.ny) as f64;
            }
        }
        self.summary(means)
    }

    /// Back to a field that was always silent.
    pub fn clear(&mut self) {
        self.memory.clear();
    }

    /// CI of every cell at the last evaluation.
    pub fn ci(&self) -> &[f32] {
        &self.outputs.ci
    }

    /// Coherence of every cell at the last evaluation; of none if it is not kept.
    pub fn coherence(&self) -> &[f32] {
        &self.outputs.coherence
    }

    /// Gain of every cell at the last evaluation; of none if it is not kept.
    pub fn gain(&self) -> &[f32] {
        &self.outputs.gain
    }

    /// Coherence and gain at the `k`th of the cells that are watched, at the last evaluation.
    pub fn site(&self, k: usize) -> [f32; 2] {
        let [strip, place] = self.sites[k];
        let Site { cell, coherence, gain } = self.strips[strip].sites[place];
        let cell = strip * strip_rows(self.ny) * self.nx + cell;
        // A field that is kept may have been restored since.
        let kept = |field: &[f32], noted: f32| field.get(cell).copied().unwrap_or(noted);
        [kept(self.coherence(), coherence), kept(self.gain(), gain)]
    }

    /// Dwell time of every cell in field seconds.
    pub fn dwell(&self) -> &[f32] {
        self.memory.dwell()
    }

    /// D at cell (x, y), from the tiles around it; `None` where tiles have fewer than two box sizes.
    pub fn dimension_at(&self, x: usize, y: usize) -> Option<f64> {
        (!self.dimensions.is_undefined()).then(|| f64::from(self.dimensions.at(x, y)))
    }

    /// Boxes of the whole field and of its tiles at the last evaluation.
    pub fn pyramid(&self) -> &Pyramid {
        &self.pyramid
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// The fields of the last evaluation, which an engine that does not evaluate at every tick saves.
    pub(crate) fn evaluated(&self) -> [&[f32]; 4] {
        [self.ci(), self.coherence(), self.gain(), self.dimensions.values()]
    }

    pub(crate) fn evaluated_mut(&mut self) -> [&mut [f32]; 4] {
        let Outputs { ci, coherence, gain } = &mut self.outputs;
        [ci, coherence, gain, self.dimensions.values_mut()]
    }
}

/// The share of each strip in a field; of one that is not kept, nothing.
fn shares(field: &mut [f32], chunk: usize) -> impl Iterator<Item = &mut [f32]> {
    field.chunks_mut(chunk).chain(std::iter::repeat_with(Default::default))
}

impl Frame<'_> {
    /// Every row of a strip.
    #[inline(always)]
    fn strip(self, job: Job<'_>) {
        let Job { strip, mut past, mut out } = job;
        strip.weights.forget();
        strip.sums = [[0.0; BLOCK]; 4];
        let nx = self.window.nx();
        let (mut lanes, mut summed) = ([[0.0; BLOCK]; 4], 0);
        let mut next_site = 0;
        for (k, y) in strip.rows.clone().enumerate() {
            self.dimensions.row(y, self.index, &mut strip.weights);
            for (moments, field) in strip.moments.iter_mut().zip(self.fields) {
                self.window.advance(moments, &strip.rows, y, field);
            }
            let windows = self.window.windows(&strip.moments[0]);
            let levels = strip.moments.get(1).map(|moments| self.window.windows(moments).mean);
            for first in (0..nx).step_by(SUMMED_MAX) {
                let columns = first..(first + SUMMED_MAX).min(nx);
                let cells = k * nx + columns.start..k * nx + columns.end;
                let row = Row {
                    u: &self.fields[0][y * nx..][columns.clone()],
                    windows: windows.part(columns.clone()),
                    level: levels.map(|level| &level[columns.clone()]),
                    base: &strip.weights.base[columns.clone()],
                    slope: &strip.weights.slope[columns],
                    part: strip.weights.part,
                };
                let past = past.part(cells.clone());
                let [ci, coherence, gain] = &mut out;
                let [passing_coherence, passing_gain] = &mut strip.passing;
                let coherence = kept_or(coherence, &cells, passing_coherence);
                let gain = kept_or(gain, &cells, passing_gain);
                let out = [&mut ci[cells.clone()], &mut *coherence, &mut *gain];
                row.measure(*self.index, past, out, &mut lanes);
                while let Some(site) = strip.sites.get_mut(next_site).filter(|s| s.cell < cells.end)
                {
                    let at = site.cell - cells.start;
                    (site.coherence, site.gain) = (coherence[at], gain[at]);
                    next_site += 1;
                }
                summed += cells.len();
                if summed + nx.min(SUMMED_MAX) > SUMMED_MAX {
                    take_lanes(&mut strip.sums, &mut lanes);
                    summed = 0;
                }
            }
        }
        take_lanes(&mut strip.sums, &mut lanes);
    }
}

/// The cells of a field, or as many of the row that stands in for it.
#[inline(always)]
fn kept_or<'a>(
    field: &'a mut [f32],
    cells: &Range<usize>,
    passing: &'a mut [f32],
) -> &'a mut [f32] {
    if field.is_empty() { &mut passing[..cells.len()] } else { &mut field[cells.clone()] }
}

/// Adds sums in single precision to those in double, and begins anew.
#[inline(always)]
fn take_lanes(sums: &mut [[f64; BLOCK]; 4], lanes: &mut [Lanes; 4]) {
    for k in 0..4 {
        let (mut sum, lane) = (sums[k], lanes[k]);
        for l in 0..BLOCK {
            sum[l] += f64::from(lane[l]);
        }
        sums[k] = sum;
    }
    *lanes = [[0.0; BLOCK]; 4];
}

/// Part of a row of the field, and what is known of it.
#[derive(Clone, Copy)]
struct Row<'a> {
    u: &'a [f32],
    windows: Windows<'a>,
    level: Option<&'a [f32]>,
    base: &'a [f32],
    slope: &'a [f32],
    part: f32,
}

impl Row<'_> {
    /// Every cell of it: its memory, then its coherence, gain and index. Not in one sweep: of one long chain of
    /// operations a processor sees too little at once.
    #[inline(always)]
    fn measure(self, index: Index, past: Past<'_>, out: [&mut [f32]; 3], sums: &mut [Lanes; 4]) {
        let [ci, coherence, gain] = out;
        let dwell = match past {
            Past::Taken(step, state) => step.row(self.u, state),
            Past::Known(dwell) => dwell,
        };
        let Windows { mean, squares, floor, inverse } = self.windows;
        let (base, slope, part) = (self.base, self.slope, self.part);
        let out = [ci, coherence, gain];
        match self.level {
            None => summed(
                [mean, squares, floor, inverse, dwell, base, slope],
                [],
                out,
                sums,
                #[inline(always)]
                |[mean, squares, floor, inverse, dwell, base, slope], []| {
                    let variance = Windows::variance(squares, floor, inverse);
                    let gain = index.rms(mean, variance);
                    cell(index, fma(slope, part, base), variance, gain, dwell)
                },
            ),
            Some(level) => summed(
                [level, squares, floor, inverse, dwell, base, slope],
                [],
                out,
                sums,
                #[inline(always)]
                |[level, squares, floor, inverse, dwell, base, slope], []| {
                    let variance = Windows::variance(squares, floor, inverse);
                    let gain = index.level(level);
                    cell(index, fma(slope, part, base), variance, gain, dwell)
                },
            ),
        }
    }
}

/// One cell, to be written and to be summed: its index, its coherence, its gain, and its dwell time.
#[inline(always)]
fn cell(
    index: Index,
    weight: f32,
    variance: f32,
    gain: f32,
    dwell: f32,
) -> ([f32; 0], [f32; 3], [f32; 4]) {
    let coherence = index.coherence(variance);
    let ci = index.cell(weight, gain, coherence, dwell);
    ([], [ci, coherence, gain], [ci, coherence, gain, dwell])
}

/// Box sizes of the whole field and of a tile.
///
/// `"auto"` is an eighth of the side: of the shorter one of the field, and of the tile, though at
/// least twice the smallest size there, since one size makes no slope.
fn ranges(nx: usize, ny: usize, section: &MetricsSection) -> (Option<BoxRange>, Option<BoxRange>) {
    let shorter = nx.min(ny);
    let tile = 1usize << (section.tile as usize).min(shorter).max(1).ilog2();
    let min = section.box_min.max(1) as usize;
    let (max, tile_max) = match section.box_max {
        Auto::Auto => (shorter / 8, (tile / 8).max(2 * min.next_power_of_two())),
        Auto::Set(max) => (max as usize, max as usize),
    };
    (BoxRange::new(min, max.min(shorter)), BoxRange::new(min, tile_max.min(tile)))
}

fn check(section: &MetricsSection, tick_seconds: f64) -> Result<(), MetricsError> {
    // As the swarm file has them: what is beyond is no number in single precision.
    let positive = (f64::MIN_POSITIVE..=f64::MAX, "positive and finite");
    let numbers = [
        ("tau0", section.tau0, (1e-30..=1e30, "from 1e-30 to 1e30")),
        ("a_ref", section.a_ref, (1e-12..=1e12, "from 1e-12 to 1e12")),
        ("s0", section.s0, positive.clone()),
        ("coherence_eps", section.coherence_eps, (1e-30..=1e12, "from 1e-30 to 1e12")),
        ("dwell_lambda", section.dwell_lambda, positive.clone()),
        ("dwell_a0", section.dwell_a0, positive.clone()),
        ("envelope_ticks", section.envelope_ticks, positive.clone()),
        ("tick_seconds", tick_seconds, positive),
        ("alpha", section.alpha, (0.0..=1e12, "from 0 to 1e12")),
        ("d_exponent", section.d_exponent, (0.0..=64.0, "from 0 to 64")),
        ("dwell_s_min", section.dwell_s_min, (0.0..=f64::MAX, "zero or positive, and finite")),
        ("dwell_theta", section.dwell_theta, (0.0..=f64::MAX, "zero or positive, and finite")),
    ];
    for (key, value, (usable, range)) in numbers {
        if !usable.contains(&value) {
            return Err(MetricsError::Number { key, value, range });
        }
    }
    let window = section.window;
    if window.is_multiple_of(2) || window > 1023 {
        let (key, value) = ("window", f64::from(window));
        return Err(MetricsError::Number { key, value, range: "odd and at most 1023" });
    }
    let tile = section.tile;
    if !tile.is_power_of_two() {
        let (key, value) = ("tile", f64::from(tile));
        return Err(MetricsError::Number { key, value, range: "a power of two" });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
