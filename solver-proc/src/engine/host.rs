//! The field on this side, and what moves it on and measures it here. Where a GPU does both it is what has come back.

use std::time::Instant;

use crate::energy::EnergyMeter;
use crate::metrics::meter::CellMetrics;
use crate::metrics::{Meter, Summary};
use crate::source::Feeds;
use crate::wave::Wave;
use crate::workers::Workers;

use super::MAGNITUDE_MAX;

/// The wave with its meters and those who work on it.
pub(super) struct Host {
    pub(super) workers: Workers,
    pub(super) wave: Wave,
    pub(super) meter: Meter,
    pub(super) energy_meter: EnergyMeter,
}

/// What a tick came to.
pub(super) struct Ticked {
    /// Largest |u|, not finite if any cell is not.
    pub(super) magnitude: f32,
    /// The field was put to rest.
    pub(super) diverged: bool,
    /// When the steps were done.
    pub(super) solved: Instant,
    /// The scalars and the energy, if they were evaluated.
    pub(super) evaluation: Option<(Summary, f64)>,
}

impl Host {
    /// A tick of `steps` steps, taken in and, if `evaluated`, measured. Allocates nothing.
    pub(super) fn tick(&mut self, feeds: &Feeds, steps: usize, evaluated: bool) -> Ticked {
        let Self { workers, wave, .. } = self;
        // One entry into the pool for all of them.
        workers.enter(|| wave.advance(workers, feeds, steps));
        let solved = Instant::now();
        let magnitude = self.take_in(evaluated);
        let diverged = has_diverged(magnitude);
        if diverged {
            self.wave.rest();
            self.meter.clear();
            self.take_in(evaluated);
        }
        let evaluation = evaluated.then(|| {
            let summary = self.meter.measure(self.wave.u(), &self.workers);
            (summary, self.energy())
        });
        Ticked { magnitude, diverged, solved, evaluation }
    }

    /// Measures the field, which was remembered last.
    pub(super) fn evaluate(&mut self) -> (Summary, f64) {
        let summary = self.meter.evaluate(self.wave.u(), &self.workers);
        (summary, self.energy())
    }

    /// What is known of the `k`th site, which is at `cell`.
    pub(super) fn site(&self, k: usize, cell: usize) -> CellMetrics {
        let [coherence, gain] = self.meter.site(k);
        CellMetrics {
            u: self.wave.u()[cell],
            ci: self.meter.ci()[cell],
            coherence,
            gain,
            dwell: self.meter.dwell()[cell],
        }
    }

    fn take_in(&mut self, evaluated: bool) -> f32 {
        match evaluated {
            true => self.meter.survey(self.wave.u(), &self.workers),
            false => self.meter.remember(self.wave.u(), &self.workers),
        }
    }

    fn energy(&mut self) -> f64 {
        self.energy_meter.measure(&self.wave, &self.workers)
    }
}

/// Whether a field of this magnitude is beyond use.
pub(super) fn has_diverged(magnitude: f32) -> bool {
    magnitude.is_nan() || magnitude > MAGNITUDE_MAX
}
