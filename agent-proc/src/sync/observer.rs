//! When to look: samples in, one result for each tick that is due for a report.

use super::summary::{SyncResult, matrix};
use super::window::Window;

/// Keeps the window and notices when a report is due, by the samples alone: every agent that has the same
/// samples reports the same ticks with the same numbers, whatever way the samples took.
///
/// A report is due for each tick divisible by `report_ticks`. It is made as soon as every site's sample of
/// that tick is here, or, if one was lost, when the first sample of a later tick arrives.
#[derive(Debug)]
pub struct Observer {
    window: Window,
    window_ticks: u32,
    report_ticks: u64,
    /// The tick whose samples are arriving; 0 before the first.
    current: u64,
    /// Which sites' samples of `current` are here, by `id - 1`.
    here: Vec<bool>,
    /// Reports up to this tick are made, or were missed for good.
    reported: u64,
}

impl Observer {
    /// Watches agents 1 to `site_count`; correlates over `window_ticks`, every `report_ticks` (0 counts as 1).
    pub fn new(site_count: u32, window_ticks: u32, report_ticks: u32) -> Self {
        Self {
            window: Window::new(site_count, window_ticks),
            window_ticks: window_ticks.max(1),
            report_ticks: u64::from(report_ticks.max(1)),
            current: 0,
            here: vec![false; site_count as usize],
            reported: 0,
        }
    }

    /// The tick of the latest sample; 0 before the first.
    pub fn tick(&self) -> u64 {
        self.current
    }

    /// Takes one sample; the result is there when this sample made a report due.
    ///
    /// Samples come in the order of their ticks. One of an earlier tick begins a new timeline: a restarted
    /// kernel runs ticks again, and those are reported again. A sample without a site is ignored.
    pub fn observe(&mut self, tick: u64, agent_id: u32, ci: f64) -> Option<SyncResult> {
        let place = (agent_id as usize).checked_sub(1).filter(|&place| place < self.here.len())?;
        let before = tick.checked_sub(1)?;
        let mut due = None;
        if tick != self.current {
            if self.current == 0 || tick < self.current {
                // What came before we looked, or belongs to the old timeline, is not ours to report.
                self.reported = self.boundary(before);
            } else {
                // Before the sample is stored: it takes the place of the window's first tick.
                due = self.report(self.boundary(before));
            }
            self.current = tick;
            self.here.fill(false);
        }
        self.window.push(tick, agent_id, ci);
        self.here[place] = true;
        if tick.is_multiple_of(self.report_ticks) && self.here.iter().all(|&here| here) {
            due = self.report(tick).or(due);
        }
        due
    }

    fn boundary(&self, tick: u64) -> u64 {
        tick - tick % self.report_ticks
    }

    fn report(&mut self, tick: u64) -> Option<SyncResult> {
        if tick <= self.reported {
            return None;
        }
        self.reported = tick;
        let result = matrix(&self.window, tick, self.window_ticks);
        (result.agents() > 0).then_some(result)
    }
}

#[cfg(test)]
#[path = "observer_tests.rs"]
mod tests;
