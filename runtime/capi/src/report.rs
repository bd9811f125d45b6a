//! What an agent says: reports, and that it lives.

use agent_proc::report::Health;
use rsw_attach::Sent;
use rsw_os::clock::mono_ns;
use rsw_schemas::event::Report;

use crate::abi;
use crate::ring::{account_of, rsw_ring};
use crate::status::{Answer, Error, RSW_E_BUSY, RSW_E_DEAD, RSW_OK, call};
use crate::swarm::{enter, rsw_swarm};
use crate::sync::rsw_sync_result;

/// Reports what was computed; the kernel publishes it as an event, and `runtime ps` shows it. `ring` (NULL: none) is the
/// reader whose lag and losses go along. A report is checked by the gateway: ticks must rise, correlations lie in
/// [-1, 1] or be NaN, at most 64 a second; what is refused becomes an alert on the ring.
///
/// One thread at a time; never blocks (RSW_E_BUSY if the gateway does not drain its socket, RSW_E_DEAD while it is gone;
/// nothing was sent then); not for signal handlers; one system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_send_report(
    swarm: *mut rsw_swarm,
    ring: *mut rsw_ring,
    result: *const rsw_sync_result,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        let result = unsafe { abi::read("result", result) }?;
        let account = account_of(ring)?.unwrap_or_default();
        enter(swarm, |swarm| {
            let health = Health {
                now_mono_ns: mono_ns(),
                lag_events: account.lag,
                lost_events: account.lost,
                missed_loans: swarm.link.missed_loans(),
            };
            sent(swarm.link.report(wire(&result, health))?)
        })
    })
}

/// Says that this agent lives, and how far `ring` (NULL: none) has come: `runtime ps` shows it. A launched agent that
/// says nothing for ten seconds is ended; rsw_ring_wait says it too. One thread at a time; never blocks; not for signal
/// handlers; no system call, some hundred nanoseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_heartbeat(swarm: *mut rsw_swarm, ring: *mut rsw_ring) -> i32 {
    call(|| {
        let account = account_of(ring)?;
        enter(swarm, |swarm| {
            swarm.link.beat(account);
            Ok(RSW_OK)
        })
    })
}

fn sent(sent: Sent) -> Answer {
    match sent {
        Sent::Done => Ok(RSW_OK),
        Sent::WouldBlock => {
            let words = "the gateway does not take reports at the moment; this one was not sent";
            Err(Error::new(RSW_E_BUSY, words))
        }
        Sent::Closed => {
            let words = "the gateway is gone; rsw_ring_wait or rsw_reattach comes back to the next";
            Err(Error::new(RSW_E_DEAD, words))
        }
    }
}

fn wire(result: &rsw_sync_result, health: Health) -> Report {
    Report {
        tick: result.tick,
        window_ticks: result.window_ticks,
        seen_ticks: result.seen_ticks,
        agents: result.agents,
        pairs_defined: result.pairs_defined,
        cs_mean: result.cs_mean,
        cs_self: result.cs_self,
        r_min: result.r_min,
        r_max: result.r_max,
        matrix_crc32: result.matrix_crc32,
        reserved: 0,
        sent_mono_ns: health.now_mono_ns,
        lag_events: health.lag_events,
        lost_events: health.lost_events,
        missed_loans: health.missed_loans,
    }
}
