//! What an evaluation comes to, beside fields: scalars, and what is known of single cells.

use super::Meter;

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

/// What is known of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CellMetrics {
    /// The wave.
    pub u: f32,
    /// The index.
    pub ci: f32,
    /// The coherence.
    pub coherence: f32,
    /// The gain.
    pub gain: f32,
    /// The dwell time in field seconds.
    pub dwell: f32,
}

impl Meter {
    /// What was measured last, with these means of CI, coherence, gain and dwell time.
    pub(crate) fn summary(&self, means: [f64; 4]) -> Summary {
        let [ci_mean, coherence_mean, gain_mean, dwell_mean] = means;
        let dimension = self.pyramid.whole().dimension();
        let d_global = dimension.map_or(f64::NAN, |dimension| dimension.d);
        let d_r2 = dimension.and_then(|dimension| dimension.r2).unwrap_or(f64::NAN);
        let theta = self.theta;
        Summary { ci_mean, coherence_mean, gain_mean, dwell_mean, d_global, d_r2, theta }
    }
}
