//! The meter: everything that is measured on a field, in one object that never allocates.

use std::ops::Range;

use rsw_config::{Auto, MetricsSection};
use thiserror::Error;

use super::bits::Bits;
use super::boxes::{BoxFit, BoxRange, Pyramid};
use super::index::{DimensionMap, Index, Out, Row};
use super::memory::Memory;
use super::threshold::{Selector, Threshold, ThresholdError};
use super::window::{Inputs, Moments, Quantity, Window};
use crate::cells::Cells;
use crate::lanes;
use crate::workers::{Workers, strip_rows, strips};

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
}

/// The scalars of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// Mean CI.
    pub ci_mean: f64,
    /// Mean coherence.
    pub coherence_mean: f64,
    /// Mean gain.
    pub gain_mean: f64,
    /// Mean dwell time in field seconds.
    pub dwell_mean: f64,
    /// D of the whole field; NaN where fewer than two box sizes are in the fit.
    pub d_global: f64,
    /// R^2 of its fit; NaN where D is undefined and for an empty set.
    pub d_r2: f64,
    /// The threshold that was used.
    pub theta: f32,
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
    row_sums: Vec<[f64; 4]>,
    memory: Memory,
    outputs: Outputs,
}

/// The three fields that an evaluation makes.
struct Outputs {
    ci: Cells,
    coherence: Cells,
    gain: Cells,
}

/// What one strip of rows needs for itself.
struct Strip {
    rows: Range<usize>,
    values: Moments,
    /// `None` where the gain is made of the values' moments.
    levels: Option<Moments>,
    dimension: Vec<f32>,
}

/// A strip with its share of the outputs.
struct Job<'a> {
    strip: &'a mut Strip,
    out: Out<'a>,
    sums: &'a mut [[f64; 4]],
}

impl Meter {
    /// A meter for fields of `nx` x `ny` cells; `tick_seconds` is the field time of a tick.
    ///
    /// # Errors
    /// A parameter that has no meaning.
    pub fn new(
        nx: usize,
        ny: usize,
        section: &MetricsSection,
        tick_seconds: f64,
    ) -> Result<Self, MetricsError> {
        check(section, tick_seconds)?;
        let (range, tile_range) = ranges(nx, ny, section);
        let pyramid = Pyramid::new(nx, ny, section.tile as usize, range, tile_range);
        let window = Window::new(nx, ny, section.window as usize);
        let index = Index::new(section);
        let strip = |rows| Strip {
            rows,
            values: window.moments(Quantity::Value),
            levels: index.gain_quantity().map(|quantity| window.moments(quantity)),
            dimension: vec![0.0; nx],
        };
        let field = |place| Cells::new(nx * ny, place);
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
            row_sums: vec![[0.0; 4]; ny],
            memory: Memory::new(nx, ny, section, tick_seconds),
            outputs: Outputs { ci: field(6), coherence: field(7), gain: field(8) },
        })
    }

    /// Takes the field of a tick into the memory; see [`Memory::remember`].
    pub fn remember(&mut self, u: &[f32], workers: &Workers) -> f32 {
        self.memory.remember(u, workers)
    }

    /// Measures the field `u`, which was remembered last.
    pub fn evaluate(&mut self, u: &[f32], workers: &Workers) -> Summary {
        let theta = match self.threshold {
            Threshold::Fixed(theta) => theta,
            Threshold::Quantile(share) => self.selector.quantile(u, share, workers),
        };
        self.bits.fill(u, theta, workers);
        let (pyramid, bits) = (&mut self.pyramid, &self.bits);
        workers.vectorised(
            #[inline(always)]
            || pyramid.count(bits),
        );
        self.dimensions.update(&self.pyramid);
        self.fill_outputs(u, workers);
        let mut totals = [0.0f64; 4];
        for row in &self.row_sums {
            for (total, sum) in totals.iter_mut().zip(row) {
                *total += sum;
            }
        }
        let [ci_mean, coherence_mean, gain_mean, dwell_mean] =
            totals.map(|total| total / (self.nx * self.ny) as f64);
        let dimension = self.pyramid.whole().dimension();
        let d_global = dimension.map_or(f64::NAN, |dimension| dimension.d);
        let d_r2 = dimension.and_then(|dimension| dimension.r2).unwrap_or(f64::NAN);
        Summary { ci_mean, coherence_mean, gain_mean, dwell_mean, d_global, d_r2, theta }
    }

    /// CI, coherence and gain of every cell, and the row sums of them and of the dwell time.
    fn fill_outputs(&mut self, u: &[f32], workers: &Workers) {
        let Self { window, index, dimensions, memory, nx, ny, .. } = self;
        let (nx, chunk) = (*nx, strip_rows(*ny) * *nx);
        let inputs = Inputs { u, envelope: memory.envelope() };
        let dwell = memory.dwell();
        let outputs = &mut self.outputs;
        let fields = outputs.ci.chunks_mut(chunk).zip(outputs.coherence.chunks_mut(chunk));
        let fields = fields.zip(outputs.gain.chunks_mut(chunk));
        let jobs = self.strips.iter_mut().zip(fields).zip(self.row_sums.chunks_mut(chunk / nx));
        let jobs = jobs.map(|((strip, ((ci, coherence), gain)), sums)| Job {
            strip,
            out: Out { ci, coherence, gain },
            sums,
        });
        let (window, index, dimensions) = (&*window, &*index, &*dimensions);
        workers.each(
            jobs,
            #[inline(always)]
            |job| {
                let Job { strip, out, sums } = job;
                let rows = strip.rows.clone();
                for (k, (y, sums)) in rows.clone().zip(sums).enumerate() {
                    window.advance(&mut strip.values, &rows, y, inputs);
                    if let Some(levels) = &mut strip.levels {
                        window.advance(levels, &rows, y, inputs);
                    }
                    dimensions.row(y, &mut strip.dimension);
                    let (cells, dwell) = (k * nx..(k + 1) * nx, &dwell[y * nx..][..nx]);
                    let ci = &mut out.ci[cells.clone()];
                    let coherence = &mut out.coherence[cells.clone()];
                    let gain = &mut out.gain[cells];
                    let row = Row {
                        mean: strip.values.mean(),
                        variance: strip.values.variance(),
                        level: strip.levels.as_ref().map(Moments::mean),
                        dwell,
                        dimension: &mut strip.dimension,
                    };
                    let out = Out { ci: &mut *ci, coherence: &mut *coherence, gain: &mut *gain };
                    index.row(row, out);
                    *sums = [
                        lanes::sum_f32(ci),
                        lanes::sum_f32(coherence),
                        lanes::sum_f32(gain),
                        lanes::sum_f32(dwell),
                    ];
                }
            },
        );
    }

    /// Back to a field that was always silent.
    pub fn clear(&mut self) {
        self.memory.clear();
    }

    /// CI of every cell at the last evaluation.
    pub fn ci(&self) -> &[f32] {
        &self.outputs.ci
    }

    /// Coherence of every cell at the last evaluation.
    pub fn coherence(&self) -> &[f32] {
        &self.outputs.coherence
    }

    /// Gain of every cell at the last evaluation.
    pub fn gain(&self) -> &[f32] {
        &self.outputs.gain
    }

    /// Dwell time of every cell in field seconds.
    pub fn dwell(&self) -> &[f32] {
        self.memory.dwell()
    }

    /// D at cell (x, y), from the tiles around it; `None` where tiles have fewer than two box sizes.
    pub fn dimension_at(&self, x: usize, y: usize) -> Option<f64> {
        (!self.dimensions.is_undefined()).then(|| f64::from(self.dimensions.at(x, y)))
    }

    /// Boxes of the whole field at the last evaluation.
    pub fn boxes(&self) -> &BoxFit {
        self.pyramid.whole()
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
    let positive = [
        ("tau0", section.tau0),
        ("a_ref", section.a_ref),
        ("s0", section.s0),
        ("coherence_eps", section.coherence_eps),
        ("dwell_lambda", section.dwell_lambda),
        ("dwell_a0", section.dwell_a0),
        ("envelope_ticks", section.envelope_ticks),
        ("tick_seconds", tick_seconds),
    ];
    if let Some((key, value)) = positive.into_iter().find(|(_, v)| !(*v > 0.0 && v.is_finite())) {
        return Err(MetricsError::Number { key, value, range: "positive and finite" });
    }
    let not_negative = [
        ("alpha", section.alpha),
        ("d_exponent", section.d_exponent),
        ("dwell_s_min", section.dwell_s_min),
        ("dwell_theta", section.dwell_theta),
    ];
    if let Some((key, value)) =
        not_negative.into_iter().find(|(_, v)| !(*v >= 0.0 && v.is_finite()))
    {
        return Err(MetricsError::Number { key, value, range: "zero or positive, and finite" });
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
