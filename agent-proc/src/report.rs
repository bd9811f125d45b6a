//! A result as it goes over the wire.

use rsw_schemas::event::Report;

use crate::sync::{SyncResult, UNDEFINED};

/// How the reporting agent itself is doing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Health {
    /// `CLOCK_MONOTONIC` of the report.
    pub now_mono_ns: u64,
    /// Ring events it is behind.
    pub lag_events: u64,
    /// Ring events it lost so far.
    pub lost_events: u64,
    /// Loans it missed so far.
    pub missed_loans: u64,
}

/// What agent `agent_id` reports of `result`.
pub fn report(result: &SyncResult, agent_id: u32, health: Health) -> Report {
    Report {
        tick: result.last_tick,
        window_ticks: result.window_ticks,
        seen_ticks: result.seen_ticks,
        agents: result.agents(),
        pairs_defined: result.pairs_defined,
        cs_mean: result.cs_mean.unwrap_or(UNDEFINED),
        cs_self: result.cs_self(agent_id).unwrap_or(UNDEFINED),
        r_min: result.r_min.unwrap_or(UNDEFINED),
        r_max: result.r_max.unwrap_or(UNDEFINED),
        matrix_crc32: result.matrix_crc32,
        reserved: 0,
        sent_mono_ns: health.now_mono_ns,
        lag_events: health.lag_events,
        lost_events: health.lost_events,
        missed_loans: health.missed_loans,
    }
}
