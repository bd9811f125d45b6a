//! What of an agent's report is believed: pure functions over a copy, made once.

use rsw_schemas::event::Report;

/// Reports a client may send a second, and at once.
const RATE_PER_S: u64 = 64;
const BURST: u64 = 64;
const NS_PER_S: u64 = 1_000_000_000;
/// Ticks by which a report may be ahead of the plane's tick word, which the kernel stores a moment after the
/// events of that tick.
const TICKS_AHEAD_MAX: u64 = 64;

/// What a report is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The plane's tick now.
    pub(crate) tick: u64,
    /// Tick of the client's last admitted report; 0 before the first.
    pub(crate) last_tick: u64,
    /// Agents that can be in a matrix.
    pub(crate) agents_max: u32,
}

/// Why a report is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReportFault {
    #[error("more than {RATE_PER_S} reports a second")]
    TooMany,
    #[error("tick is not after the last one")]
    TickNotNew,
    #[error("tick has not been yet")]
    TickAhead,
    #[error("window is empty or shorter than what was seen")]
    Window,
    #[error("more agents or pairs than can be")]
    Agents,
    #[error("correlation outside -1 to 1")]
    Correlation,
    #[error("reserved field is not zero")]
    Reserved,
}

/// Admits a report or says what is wrong with it.
pub(crate) fn check(report: &Report, bounds: Bounds) -> Result<(), ReportFault> {
    if report.tick <= bounds.last_tick {
        return Err(ReportFault::TickNotNew);
    }
    if report.tick > bounds.tick.saturating_add(TICKS_AHEAD_MAX) {
        return Err(ReportFault::TickAhead);
    }
    if report.window_ticks == 0 || report.seen_ticks > report.window_ticks {
        return Err(ReportFault::Window);
    }
    let agents = u64::from(report.agents);
    let pairs_max = agents * agents.saturating_sub(1) / 2;
    if report.agents > bounds.agents_max || u64::from(report.pairs_defined) > pairs_max {
        return Err(ReportFault::Agents);
    }
    let correlations = [report.cs_mean, report.cs_self, report.r_min, report.r_max];
    if !correlations.into_iter().all(is_correlation) || report.r_min > report.r_max {
        return Err(ReportFault::Correlation);
    }
    if report.reserved != 0 {
        return Err(ReportFault::Reserved);
    }
    Ok(())
}

/// NaN means "no pair is defined".
fn is_correlation(value: f64) -> bool {
    value.is_nan() || (-1.0..=1.0).contains(&value)
}

/// A bucket that holds [`BURST`] and gains [`RATE_PER_S`] a second, in nanoseconds of credit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateLimit {
    credit_ns: u64,
    seen_ns: u64,
}

const PRICE_NS: u64 = NS_PER_S / RATE_PER_S;
const CREDIT_NS_MAX: u64 = BURST * PRICE_NS;

impl RateLimit {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self { credit_ns: CREDIT_NS_MAX, seen_ns: now_ns }
    }

    /// Takes one report's worth of credit, if there is that much.
    pub(crate) fn take(&mut self, now_ns: u64) -> Result<(), ReportFault> {
        let earned_ns = now_ns.saturating_sub(self.seen_ns);
        self.seen_ns = self.seen_ns.max(now_ns);
        self.credit_ns = self.credit_ns.saturating_add(earned_ns).min(CREDIT_NS_MAX);
        match self.credit_ns.checked_sub(PRICE_NS) {
            Some(left_ns) => {
                self.credit_ns = left_ns;
                Ok(())
            }
            None => Err(ReportFault::TooMany),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { tick: 1000, last_tick: 900, agents_max: 4 };

    fn good() -> Report {
        Report {
            tick: 1000,
            window_ticks: 256,
            seen_ticks: 250,
            agents: 4,
            pairs_defined: 6,
            cs_mean: 0.5,
            cs_self: f64::NAN,
            r_min: -1.0,
            r_max: 1.0,
            matrix_crc32: 7,
            reserved: 0,
            sent_mono_ns: 1,
            lag_events: 2,
            lost_events: 3,
            missed_loans: 4,
        }
    }

    #[test]
    fn an_honest_report_passes_and_nothing_defined_is_honest() {
        assert_eq!(check(&good(), BOUNDS), Ok(()));
        let nan = f64::NAN;
        let none = Report { pairs_defined: 0, cs_mean: nan, r_min: nan, r_max: nan, ..good() };
        assert_eq!(check(&none, BOUNDS), Ok(()));
    }

    #[test]
    fn every_lie_has_its_name() {
        let lies = [
            (Report { tick: 900, ..good() }, ReportFault::TickNotNew),
            (Report { tick: 0, ..good() }, ReportFault::TickNotNew),
            (Report { tick: 1065, ..good() }, ReportFault::TickAhead),
            (Report { tick: u64::MAX, ..good() }, ReportFault::TickAhead),
            (Report { window_ticks: 0, seen_ticks: 0, ..good() }, ReportFault::Window),
            (Report { seen_ticks: 257, ..good() }, ReportFault::Window),
            (Report { agents: 5, ..good() }, ReportFault::Agents),
            (Report { agents: u32::MAX, pairs_defined: u32::MAX, ..good() }, ReportFault::Agents),
            (Report { pairs_defined: 7, ..good() }, ReportFault::Agents),
            (Report { cs_mean: 1.0 + f64::EPSILON, ..good() }, ReportFault::Correlation),
            (Report { cs_self: f64::INFINITY, ..good() }, ReportFault::Correlation),
            (Report { r_min: 0.5, r_max: 0.4, ..good() }, ReportFault::Correlation),
            (Report { reserved: 1, ..good() }, ReportFault::Reserved),
        ];
        for (lie, fault) in lies {
            assert_eq!(check(&lie, BOUNDS), Err(fault), "{lie:?}");
        }
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut limit = RateLimit::new(0);
        let passed =
            |limit: &mut RateLimit, now| (0..1000).filter(|_| limit.take(now).is_ok()).count();
        assert_eq!(passed(&mut limit, 0), 64);
        assert_eq!(passed(&mut limit, NS_PER_S / 2), 32);
        assert_eq!(passed(&mut limit, 100 * NS_PER_S), 64);
        assert_eq!(passed(&mut limit, 50 * NS_PER_S), 0, "a clock that steps back gives nothing");
    }
}
