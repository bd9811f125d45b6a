//! A result as it goes over the wire.

use agent_proc::sync::{SyncResult, UNDEFINED};
use rsw_schemas::event::Report;

/// How the reporting agent itself is doing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Health {
    pub(super) now_mono_ns: u64,
    pub(super) lag_events: u64,
    pub(super) lost_events: u64,
    pub(super) missed_loans: u64,
}

pub(super) fn report(result: &SyncResult, agent_id: u32, health: Health) -> Report {
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
