//! Complexity synchronisation: the computation of the built-in agent, so that equal samples give equal bits.

use std::sync::Arc;

use agent_proc::feed;
use agent_proc::report::{Health, report};
use agent_proc::sync::{Observer, SyncResult, Window, correlate, matrix};
use rsw_schemas::event::Slot;

use crate::abi::{self, Growing, abi};
use crate::handle::{self, Object};
use crate::link::Link;
use crate::ring::rsw_event;
use crate::status::{Answer, Error, RSW_E_ARGUMENT, RSW_EMPTY, RSW_OK, call};
use crate::swarm::{enter, rsw_swarm};

/// Ticks that a caller's window may have: what fits a report.
const TICKS_MAX: usize = 1 << 24;
/// Agents in a caller's window.
const AGENTS_MAX: usize = 1 << 12;

/// A window that is filled sample by sample, and knows when a report is due. One thread at a time.
pub struct rsw_sync {
    _opaque: [u8; 0],
}

/// How synchronised the swarm is over one window; NaN where no pair is defined.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_sync_result {
    /// sizeof(struct rsw_sync_result)
    pub struct_size: u32,
    /// Agents in the matrix: those with a sample in the window.
    pub agents: u32,
    /// Last tick of the window.
    pub tick: u64,
    /// Ticks in the window.
    pub window_ticks: u32,
    /// Ticks of the window with a sample of at least one agent.
    pub seen_ticks: u32,
    /// Pairs with a defined correlation.
    pub pairs_defined: u32,
    /// CRC-32 (IEEE) of the matrix, row by row, little-endian doubles: equal samples, equal number.
    pub matrix_crc32: u32,
    /// Fisher z mean over the defined pairs.
    pub cs_mean: f64,
    /// The same over the pairs with this agent.
    pub cs_self: f64,
    /// Smallest correlation.
    pub r_min: f64,
    /// Largest correlation.
    pub r_max: f64,
}
abi!(rsw_sync_result: 64 {
    struct_size: 0,
    agents: 4,
    tick: 8,
    window_ticks: 16,
    seen_ticks: 20,
    pairs_defined: 24,
    matrix_crc32: 28,
    cs_mean: 32,
    cs_self: 40,
    r_min: 48,
    r_max: 56,
});
// SAFETY: it begins with `struct_size`; numbers take any bytes.
unsafe impl Growing for rsw_sync_result {}

/// Opens a window as the swarm file says (see rsw_self: site_count, window_ticks, report_ticks), for this agent.
///
/// One thread at a time; never blocks; not for signal handlers. *sync lives until rsw_sync_close. Memory: at most 16
/// bytes a tick and site.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_sync_open(swarm: *mut rsw_swarm, sync: *mut *mut rsw_sync) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        unsafe { abi::put("sync", sync, core::ptr::null_mut()) }?;
        let link = enter(swarm, |swarm| Ok(swarm.link.clone()))?;
        let welcome = link.welcome();
        let observer =
            Observer::new(welcome.site_count, welcome.window_ticks, welcome.report_ticks);
        let handle = handle::open(Sync { observer, link })?;
        // SAFETY: this function's contract.
        unsafe { abi::put("sync", sync, handle) }?;
        Ok(RSW_OK)
    })
}

/// Takes an event of the ring; those that carry no sample are passed over. RSW_OK: a report is due, and *result has it,
/// ready for rsw_send_report; RSW_EMPTY: none is. Events come in their order; one of an earlier tick begins a new
/// timeline, as after a restart of the kernel.
///
/// One thread at a time; never blocks; not for signal handlers. Cost: some nanoseconds; when a report is due,
/// agents^2 * window_ticks multiplications.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_sync_event(
    sync: *mut rsw_sync,
    event: *const rsw_event,
    result: *mut rsw_sync_result,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract; an event has the layout of a slot (asserted in `ring`).
        let event = unsafe { abi::array("event", event.cast::<Slot>(), 1) }?;
        let Some(sample) = feed::from_slot(&event[0]) else { return Ok(RSW_EMPTY) };
        // SAFETY: this function's contract.
        unsafe { observe(sync, (sample.tick, sample.agent_id, sample.ci), result) }
    })
}

/// As rsw_sync_event, for a sample from elsewhere (a record batch, say): the complexity index `ci` of agent `agent_id`
/// (from 1) after `tick` (from 1).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_sync_sample(
    sync: *mut rsw_sync,
    tick: u64,
    agent_id: u32,
    ci: f64,
    result: *mut rsw_sync_result,
) -> i32 {
    // SAFETY: this function's contract.
    call(|| unsafe { observe(sync, (tick, agent_id, ci), result) })
}

/// Gives a window up. One thread at a time; never blocks; not for signal handlers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_sync_close(sync: *mut rsw_sync) -> i32 {
    call(|| handle::close::<Sync>(sync).map(|_| RSW_OK))
}

/// Zero-lag Pearson correlation of every pair of rows over the ticks that both have. `values` holds `agents` rows of
/// `ticks` doubles, what is not finite is a hole; `matrix` gets `agents` rows of `agents`: symmetric, 1 on the diagonal,
/// NaN where a pair has fewer than eight ticks in common or one of the two is constant.
///
/// Any thread; never blocks; not for signal handlers; agents^2 * ticks multiplications, and memory for a copy of values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_sync_correlate(
    values: *const f64,
    agents: usize,
    ticks: usize,
    matrix: *mut f64,
) -> i32 {
    call(|| {
        let (cells, elements) = sizes(agents, ticks)?;
        // SAFETY: this function's contract.
        let values = unsafe { abi::array("values", values, cells) }?;
        // SAFETY: this function's contract.
        let matrix = unsafe { abi::array_mut("matrix", matrix, elements) }?;
        correlate(values, agents, ticks, matrix);
        Ok(RSW_OK)
    })
}

/// What an agent would report of the caller's own window: `agents` rows of `ticks` doubles, the row of agent i at i - 1,
/// holes where not finite; rows without any sample stay out. `self_id` is the agent of cs_self (0: none); the window's
/// last tick counts as `last_tick`. `matrix` (NULL: not wanted) gets result->agents rows of as many, for which
/// agents * agents doubles must be there.
///
/// As rsw_sync_correlate otherwise. RSW_EMPTY if no row has a sample.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_sync_window(
    values: *const f64,
    agents: usize,
    ticks: usize,
    last_tick: u64,
    self_id: u32,
    result: *mut rsw_sync_result,
    matrix: *mut f64,
) -> i32 {
    call(|| {
        let (cells, elements) = sizes(agents, ticks)?;
        if last_tick < ticks as u64 {
            let words =
                format!("{ticks} ticks cannot end with tick {last_tick}: they count from 1");
            return Err(Error::new(RSW_E_ARGUMENT, words));
        }
        // SAFETY: this function's contract.
        let values = unsafe { abi::array("values", values, cells) }?;
        let found = of_rows(values, agents, ticks, last_tick);
        if !matrix.is_null() {
            // SAFETY: this function's contract.
            let out = unsafe { abi::array_mut("matrix", matrix, elements) }?;
            out[..found.matrix().len()].copy_from_slice(found.matrix());
        }
        // SAFETY: this function's contract.
        unsafe { abi::write("result", result, result_of(&found, self_id)) }?;
        Ok(if found.agents() == 0 { RSW_EMPTY } else { RSW_OK })
    })
}

/// What is behind an `rsw_sync`.
struct Sync {
    observer: Observer,
    /// Knows our id, which a restart of the gateway may change.
    link: Arc<Link>,
}

impl Object for Sync {
    type C = rsw_sync;
    const KIND: u64 = 3;
    const WHAT: &'static str = "sync";
}

/// # Safety
/// `result` is NULL or a struct with its size.
unsafe fn observe(
    sync: *mut rsw_sync,
    (tick, agent_id, ci): (u64, u32, f64),
    result: *mut rsw_sync_result,
) -> Answer {
    let due = handle::enter::<Sync, _>(sync, |sync| {
        let due = sync.observer.observe(tick, agent_id, ci);
        Ok(due.map(|due| result_of(&due, sync.link.welcome().agent_id)))
    })?;
    match due {
        None => Ok(RSW_EMPTY),
        Some(due) => {
            // SAFETY: this function's contract.
            unsafe { abi::write("result", result, due) }?;
            Ok(RSW_OK)
        }
    }
}

fn sizes(agents: usize, ticks: usize) -> Answer<(usize, usize)> {
    if agents > AGENTS_MAX || ticks > TICKS_MAX || ticks == 0 {
        let words = format!(
            "{agents} agents over {ticks} ticks: at most {AGENTS_MAX} and 1 to {TICKS_MAX} are possible"
        );
        return Err(Error::new(RSW_E_ARGUMENT, words));
    }
    Ok((agents * ticks, agents * agents))
}

fn of_rows(values: &[f64], agents: usize, ticks: usize, last_tick: u64) -> SyncResult {
    let mut window = Window::new(agents as u32, ticks as u32);
    let first_tick = last_tick - ticks as u64 + 1;
    for (row, id) in values.chunks_exact(ticks).zip(1..) {
        for (value, tick) in row.iter().zip(first_tick..) {
            if value.is_finite() {
                window.push(tick, id, *value);
            }
        }
    }
    matrix(&window, last_tick, ticks as u32)
}

fn result_of(found: &SyncResult, self_id: u32) -> rsw_sync_result {
    let said = report(found, self_id, Health::default());
    rsw_sync_result {
        struct_size: 0,
        agents: said.agents,
        tick: said.tick,
        window_ticks: said.window_ticks,
        seen_ticks: said.seen_ticks,
        pairs_defined: said.pairs_defined,
        matrix_crc32: said.matrix_crc32,
        cs_mean: said.cs_mean,
        cs_self: said.cs_self,
        r_min: said.r_min,
        r_max: said.r_max,
    }
}
