//! Drift-free ticking: deadlines are multiples of the period from the start, whatever a tick costs.

use std::time::Duration;

use rsw_os::clock::mono_ns;

/// Says how long to wait for the next tick, and counts the ticks that came too late.
pub(super) struct Pacer {
    period_ns: u64,
    deadline_mono_ns: u64,
    missed: u64,
}

impl Pacer {
    /// A rate of 0 never waits.
    pub(super) fn new(rate_hz: f64) -> Self {
        let period_ns = if rate_hz > 0.0 { (1e9 / rate_hz).round() as u64 } else { 0 };
        Self { period_ns, deadline_mono_ns: mono_ns().saturating_add(period_ns), missed: 0 }
    }

    /// Time left until the next tick is due; `None` when it is due.
    pub(super) fn left(&self) -> Option<Duration> {
        if self.period_ns == 0 {
            return None;
        }
        let left_ns = self.deadline_mono_ns.saturating_sub(mono_ns());
        (left_ns > 0).then(|| Duration::from_nanos(left_ns))
    }

    /// Moves on to the next deadline that is not already past; what lies between is missed.
    pub(super) fn advance(&mut self) {
        if self.period_ns == 0 {
            return;
        }
        let late_ns = mono_ns().saturating_sub(self.deadline_mono_ns);
        let skipped = late_ns / self.period_ns;
        self.missed += skipped;
        let ahead_ns = self.period_ns.saturating_mul(skipped + 1);
        self.deadline_mono_ns = self.deadline_mono_ns.saturating_add(ahead_ns);
    }

    /// Ticks missed so far.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_tick_skips_whole_periods_and_keeps_the_grid() {
        let mut pacer = Pacer { period_ns: 1_000_000_000, deadline_mono_ns: 0, missed: 0 };
        let now = mono_ns();
        pacer.deadline_mono_ns = now - 3_500_000_000;
        pacer.advance();
        assert_eq!(pacer.missed(), 3);
        assert_eq!(pacer.deadline_mono_ns, now + 500_000_000);
        assert!(pacer.left().is_some());
        assert!(Pacer::new(0.0).left().is_none());
    }

    #[test]
    fn a_rate_that_is_next_to_nothing_waits_for_ever() {
        let mut pacer = Pacer::new(1e-300);
        for _ in 0..3 {
            assert!(pacer.left().is_some());
            pacer.advance();
        }
        assert_eq!(pacer.missed(), 0);
    }
}
