//! The event ring: a cursor of one's own over all generations of a run, with exact accounting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rsw_plane::{PlaneReader, PolledBatch, RingReader, StartAt, WaitStrategy, Waiter};
use rsw_schemas::event::{PAYLOAD_BYTES, Slot};

use crate::abi::{self, Growing, abi};
use crate::handle::{self, Object};
use crate::link::{Account, Link};
use crate::status::{
    Answer, Error, RSW_E_ARGUMENT, RSW_E_NULL, RSW_EMPTY, RSW_ENDED, RSW_LAPPED, RSW_OK,
    RSW_REATTACHED, RSW_STALE, call,
};
use crate::swarm::{enter as enter_swarm, rsw_swarm, state_of, status_of};

/// Longest sleep between two looks at the socket.
const SLICE: Duration = Duration::from_millis(50);

/// A reader of the event ring. One thread at a time.
pub struct rsw_ring {
    _opaque: [u8; 0],
}

/// One event. This struct never grows: it comes in arrays.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_event {
    /// Its sequence: unique in a run, without a gap.
    pub sequence: u64,
    /// RSW_EVENT_*: what it says, and which struct of rsw_layout.h the payload holds.
    pub kind: u16,
    /// Zero.
    pub flags: u16,
    /// Bytes of payload that carry the event; the rest is zero.
    pub len_bytes: u16,
    /// Zero.
    pub reserved: u16,
    /// The agent that caused it; 0: the kernel.
    pub source: u32,
    /// Lower 32 bits of the generation.
    pub generation: u32,
    /// Field time, nanoseconds.
    pub t_ns: i64,
    /// The struct that kind names. memcpy it out: it has the alignment of 8, but not the type.
    pub payload: [u8; 96],
}
abi!(rsw_event: 128 {
    sequence: 0,
    kind: 8,
    flags: 10,
    len_bytes: 12,
    reserved: 14,
    source: 16,
    generation: 20,
    t_ns: 24,
    payload: 32,
});
const _: () = {
    assert!(size_of::<rsw_event>() == size_of::<Slot>());
    assert!(align_of::<rsw_event>() == align_of::<Slot>());
    assert!(PAYLOAD_BYTES == 96);
};

/// Begin with the next event to be published.
pub const RSW_FROM_LATEST: i32 = 0;
/// Begin with the oldest event still held.
pub const RSW_FROM_OLDEST: i32 = 1;
/// Begin with a given sequence; what is no longer held is told as lost by the first poll.
pub const RSW_FROM_SEQUENCE: i32 = 2;

/// Wait as the swarm file says.
pub const RSW_WAIT_DEFAULT: i32 = 0;
/// Never give the core away.
pub const RSW_WAIT_SPIN: i32 = 1;
/// Offer the core to others between looks.
pub const RSW_WAIT_YIELD: i32 = 2;
/// Spin for 50 us, then sleep.
pub const RSW_WAIT_HYBRID: i32 = 3;
/// Sleep at once.
pub const RSW_WAIT_BLOCK: i32 = 4;

/// The exact account of a reader: received + lost = next_sequence - the sequence it began with, within a run.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_stats {
    /// sizeof(struct rsw_stats)
    pub struct_size: u32,
    /// Losses told so far.
    pub laps: u32,
    /// Events received.
    pub received: u64,
    /// Events lost.
    pub lost: u64,
    /// Sequence of the next event.
    pub next_sequence: u64,
    /// Published events not read yet.
    pub lag: u64,
    /// First sequence of the last loss.
    pub lost_from: u64,
    /// First sequence after the last loss; equal to lost_from while nothing was lost.
    pub lost_to: u64,
    /// Generation of the plane that is being read.
    pub generation: u64,
    /// Events that the ring holds.
    pub capacity: u64,
}
abi!(rsw_stats: 72 {
    struct_size: 0,
    laps: 4,
    received: 8,
    lost: 16,
    next_sequence: 24,
    lag: 32,
    lost_from: 40,
    lost_to: 48,
    generation: 56,
    capacity: 64,
});
// SAFETY: it begins with `struct_size`; integers take any bytes.
unsafe impl Growing for rsw_stats {}

/// Opens a reader of the event ring; `start` is RSW_FROM_*, `sequence` counts for RSW_FROM_SEQUENCE only. Any number of
/// readers; no writer ever sees them.
///
/// One thread at a time; never blocks; not for signal handlers. *ring lives until rsw_ring_close, also beyond rsw_close
/// of the swarm. Cost: some microseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_ring_open(
    swarm: *mut rsw_swarm,
    start: i32,
    sequence: u64,
    ring: *mut *mut rsw_ring,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        unsafe { abi::put("ring", ring, core::ptr::null_mut()) }?;
        let start = match start {
            RSW_FROM_LATEST => StartAt::Latest,
            RSW_FROM_OLDEST => StartAt::Oldest,
            RSW_FROM_SEQUENCE => StartAt::Sequence(sequence),
            _ => {
                let words = format!("start is {start}: use RSW_FROM_*");
                return Err(Error::new(RSW_E_ARGUMENT, words));
            }
        };
        let opened = enter_swarm(swarm, |swarm| Ok(Ring::new(swarm.link.clone(), start)))?;
        let handle = handle::open(opened)?;
        // SAFETY: this function's contract.
        unsafe { abi::put("ring", ring, handle) }?;
        Ok(RSW_OK)
    })
}

/// Copies the next events, at most `capacity`, into `events`, and says in *count how many (NULL: not wanted).
/// RSW_OK: at least one. RSW_EMPTY: nothing new. RSW_LAPPED: the writer overwrote what comes next; rsw_ring_stats says
/// exactly which sequences, and the next poll goes on behind them. RSW_REATTACHED: the kernel was restarted, everything
/// of the old generation has been read, and the next poll goes on in the new one: in the same run with the very next
/// sequence, or with a loss told; in another run (`runtime up` again) with its latest event.
///
/// One thread at a time; never blocks; not for signal handlers; no system call, no allocation: some nanoseconds an event.
/// It does not notice a restart by itself: rsw_ring_wait and rsw_reattach do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_ring_poll(
    ring: *mut rsw_ring,
    events: *mut rsw_event,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract; an event is a slot whose stamp became a sequence (asserted above), and slots
        // take any bytes.
        let slots = unsafe { abi::array_mut("events", events.cast::<Slot>(), capacity) }?;
        let (status, found) = handle::enter::<Ring, _>(ring, |ring| Ok(ring.poll(slots)))?;
        if !count.is_null() {
            // SAFETY: this function's contract.
            unsafe { count.write_unaligned(found) };
        }
        Ok(status)
    })
}

/// Waits until there is something to poll, at most `timeout_ns`, by RSW_WAIT_*. RSW_OK: there is. RSW_EMPTY: the time is
/// over. RSW_STALE: the time is over, and the kernel shows no sign of life. RSW_ENDED: the swarm has ended, and everything
/// was read. Meanwhile it looks at the socket (for a restart, which the next poll tells) and posts a sign of life with
/// this reader's account: an agent that waits needs no rsw_heartbeat.
///
/// One thread at a time; blocks, at most as long as told; not for signal handlers, and a signal does not end it. Cost:
/// some ten nanoseconds if something is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_ring_wait(ring: *mut rsw_ring, timeout_ns: u64, strategy: i32) -> i32 {
    call(|| {
        handle::enter::<Ring, _>(ring, |ring| {
            let strategy = match strategy {
                RSW_WAIT_DEFAULT => ring.strategy,
                RSW_WAIT_SPIN => WaitStrategy::BusySpin,
                RSW_WAIT_YIELD => WaitStrategy::Yield,
                RSW_WAIT_HYBRID => WaitStrategy::default(),
                RSW_WAIT_BLOCK => WaitStrategy::Block,
                _ => {
                    let words = format!("strategy is {strategy}: use RSW_WAIT_*");
                    return Err(Error::new(RSW_E_ARGUMENT, words));
                }
            };
            ring.wait(&Waiter::new(strategy), Duration::from_nanos(timeout_ns))
        })
    })
}

/// What was received and lost, exactly, over all generations. One thread at a time; never blocks; not for signal
/// handlers; some nanoseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_ring_stats(ring: *mut rsw_ring, stats: *mut rsw_stats) -> i32 {
    call(|| {
        let found = handle::enter::<Ring, _>(ring, |ring| Ok(ring.stats()))?;
        // SAFETY: this function's contract.
        unsafe { abi::write("stats", stats, found) }?;
        Ok(RSW_OK)
    })
}

/// Gives a reader up. One thread at a time; never blocks; not for signal handlers. RSW_E_HANDLE if it is closed already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_ring_close(ring: *mut rsw_ring) -> i32 {
    call(|| handle::close::<Ring>(ring).map(|_| RSW_OK))
}

/// What is behind an `rsw_ring`.
pub(crate) struct Ring {
    link: Arc<Link>,
    plane: PlaneReader,
    reader: RingReader,
    epoch: u64,
    strategy: WaitStrategy,
    /// Of the readers that were replaced.
    received_before: u64,
    lost_before: u64,
    laps: u32,
    last_loss: (u64, u64),
}

impl Object for Ring {
    type C = rsw_ring;
    const KIND: u64 = 2;
    const WHAT: &'static str = "ring";
}

impl Ring {
    pub(crate) fn new(link: Arc<Link>, start: StartAt) -> Self {
        let newest = link.newest();
        let reader = newest.plane.ring(start);
        Self {
            strategy: link.strategy(),
            link,
            reader,
            epoch: newest.epoch,
            plane: newest.plane,
            received_before: 0,
            lost_before: 0,
            laps: 0,
            last_loss: (0, 0),
        }
    }

    #[inline]
    fn poll(&mut self, slots: &mut [Slot]) -> (i32, usize) {
        match self.reader.poll_batch(slots) {
            PolledBatch::Events { first, count } => (RSW_OK, number(slots, first, count)),
            PolledBatch::Lapped { from, to } => self.lapped(from, to),
            PolledBatch::Empty => self.nothing(slots),
        }
    }

    #[cold]
    fn lapped(&mut self, from: u64, to: u64) -> (i32, usize) {
        self.laps = self.laps.saturating_add(1);
        self.last_loss = (from, to);
        (RSW_LAPPED, 0)
    }

    /// Nothing new in this plane; perhaps there is another one.
    fn nothing(&mut self, slots: &mut [Slot]) -> (i32, usize) {
        // Without room nobody knows whether the old plane is drained.
        if self.link.epoch() == self.epoch || slots.is_empty() {
            return (RSW_EMPTY, 0);
        }
        // Its writer is dead since before the epoch changed: what is there now is all there will be.
        match self.reader.poll_batch(slots) {
            PolledBatch::Events { first, count } => (RSW_OK, number(slots, first, count)),
            PolledBatch::Lapped { from, to } => self.lapped(from, to),
            PolledBatch::Empty => {
                self.switch();
                (RSW_REATTACHED, 0)
            }
        }
    }

    fn switch(&mut self) {
        let newest = self.link.newest();
        self.received_before = self.received();
        self.lost_before = self.lost();
        // Sequences run on across the generations of a run; another run has nothing to do with ours.
        let same_run = newest.plane.header().run_id == self.plane.header().run_id;
        let next = self.reader.next_sequence();
        let start = if same_run { StartAt::Sequence(next) } else { StartAt::Latest };
        self.reader = newest.plane.ring(start);
        self.plane = newest.plane;
        self.epoch = newest.epoch;
        self.strategy = self.link.strategy();
    }

    pub(crate) fn wait(&mut self, waiter: &Waiter, timeout: Duration) -> Answer {
        let start = Instant::now();
        loop {
            self.link.glance(|| self.account())?;
            if self.reader.ready() || self.link.epoch() != self.epoch {
                return Ok(RSW_OK);
            }
            let left = timeout.saturating_sub(start.elapsed());
            let over = left.is_zero();
            if over || self.link.has_ended() {
                return Ok(self.why_nothing());
            }
            if self.reader.wait(waiter, left.min(SLICE)) {
                return Ok(RSW_OK);
            }
        }
    }

    /// Goes on with the next event to be published, for who only wants to be woken.
    pub(crate) fn skip(&mut self) {
        if self.link.epoch() != self.epoch {
            self.switch();
        }
        self.reader = self.plane.ring(StartAt::Latest);
    }

    fn why_nothing(&self) -> i32 {
        let state = state_of(&self.plane).state;
        match status_of(state, self.link.has_ended()) {
            RSW_ENDED => RSW_ENDED,
            RSW_STALE => RSW_STALE,
            _ => RSW_EMPTY,
        }
    }

    fn received(&self) -> u64 {
        self.received_before + self.reader.received()
    }

    fn lost(&self) -> u64 {
        self.lost_before + self.reader.lost()
    }

    pub(crate) fn account(&self) -> Account {
        Account {
            cursor: self.reader.next_sequence(),
            received: self.received(),
            lost: self.lost(),
            lag: self.reader.lag(),
        }
    }

    fn stats(&self) -> rsw_stats {
        rsw_stats {
            struct_size: 0,
            laps: self.laps,
            received: self.received(),
            lost: self.lost(),
            next_sequence: self.reader.next_sequence(),
            lag: self.reader.lag(),
            lost_from: self.last_loss.0,
            lost_to: self.last_loss.1,
            generation: self.plane.generation(),
            capacity: self.reader.capacity(),
        }
    }
}

/// Puts the sequence where the stamp was; returns `count`.
#[inline]
fn number(slots: &mut [Slot], first: u64, count: usize) -> usize {
    for (at, slot) in slots[..count].iter_mut().enumerate() {
        slot.stamp = first.wrapping_add(at as u64);
    }
    count
}

/// A reader's account, or none for NULL.
pub(crate) fn account_of(ring: *mut rsw_ring) -> Answer<Option<Account>> {
    match handle::enter::<Ring, _>(ring, |ring| Ok(ring.account())) {
        Ok(account) => Ok(Some(account)),
        Err(error) if error.status() == RSW_E_NULL => Ok(None),
        Err(error) => Err(error),
    }
}
