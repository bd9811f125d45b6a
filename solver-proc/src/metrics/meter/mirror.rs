//! The meter as this side's part of one that measures elsewhere, on a device: it has decided everything, and takes over what
//! is measured there. Its fields are then as old as what was taken last.

use super::{Index, Meter};
use crate::metrics::memory::Rule;
use crate::metrics::threshold::Threshold;

/// The fields that may be taken over.
pub(crate) struct Fields<'a> {
    pub(crate) ci: &'a mut [f32],
    /// Of no cells where it is not kept; and so the gain.
    pub(crate) coherence: &'a mut [f32],
    pub(crate) gain: &'a mut [f32],
    pub(crate) dwell: &'a mut [f32],
}

impl Meter {
    pub(crate) fn threshold(&self) -> Threshold {
        self.threshold
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn rule(&self) -> &Rule {
        self.memory.rule()
    }

    /// Side of the window in cells.
    pub(crate) fn window_side(&self) -> usize {
        self.window.side()
    }

    /// The next tick is taken in elsewhere: its weight among all since the start.
    pub(crate) fn begin_elsewhere(&mut self) -> f32 {
        self.memory.begin().newest
    }

    /// Takes over a threshold and the boxes of its set, as [`Pyramid::take`](crate::metrics::boxes::Pyramid).
    pub(crate) fn take_boxes(&mut self, theta: f32, whole: &[u32], tiles: &[u32]) {
        self.theta = theta;
        self.pyramid.take(whole, tiles);
        self.dimensions.update(&self.pyramid);
    }

    pub(crate) fn fields_mut(&mut self) -> Fields<'_> {
        let Self { outputs, memory, .. } = self;
        let [_, _, _, dwell] = memory.state_mut().1;
        let (ci, coherence, gain) = (&mut outputs.ci, &mut outputs.coherence, &mut outputs.gain);
        Fields { ci, coherence, gain, dwell }
    }
}
