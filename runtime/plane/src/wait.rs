//! How a reader waits for the next committed batch: from a pure spin to a futex, always with a bound.
//!
//! A read-only reader cannot announce that it sleeps, so the kernel wakes once per committed batch. A futex
//! wait is re-checked after [`PARK_MAX`] whatever happens: a hostile reader can steal a wake-up
//! (`FUTEX_CMP_REQUEUE` works on a read-only mapping), it cannot make anybody sleep for ever.

use core::str::FromStr;
use std::time::{Duration, Instant};

use rsw_os::futex::low_half;

use crate::memory::RoRegion;
use crate::ring::RingReader;
use crate::sync::Ordering;

/// Longest single sleep.
pub const PARK_MAX: Duration = Duration::from_millis(100);

/// How to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Never gives the core away.
    BusySpin,
    /// Offers the core to others between looks.
    Yield,
    /// Spins this long, then sleeps.
    HybridSpin(Duration),
    /// Sleeps at once.
    Block,
}

impl Default for WaitStrategy {
    fn default() -> Self {
        Self::HybridSpin(Duration::from_micros(50))
    }
}

/// A wait strategy that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown wait strategy \"{0}\": use spin, yield, hybrid:50us or block")]
pub struct ParseWaitError(String);

impl FromStr for WaitStrategy {
    type Err = ParseWaitError;

    fn from_str(text: &str) -> Result<Self, ParseWaitError> {
        let wrong = || ParseWaitError(text.to_owned());
        match text {
            "spin" => Ok(Self::BusySpin),
            "yield" => Ok(Self::Yield),
            "block" => Ok(Self::Block),
            "" => Ok(Self::default()),
            _ => {
                let spin = text.strip_prefix("hybrid:").ok_or_else(wrong)?;
                let digits = spin.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                let number: u64 = digits.parse().map_err(|_| wrong())?;
                let unit_ns = match &spin[digits.len()..] {
                    "ns" => 1,
                    "us" => 1_000,
                    "ms" => 1_000_000,
                    _ => return Err(wrong()),
                };
                let ns = number.checked_mul(unit_ns).ok_or_else(wrong)?;
                Ok(Self::HybridSpin(Duration::from_nanos(ns)))
            }
        }
    }
}

/// Waits by one strategy.
#[derive(Debug, Clone)]
pub struct Waiter {
    strategy: WaitStrategy,
}

impl Waiter {
    /// A waiter of that strategy.
    pub fn new(strategy: WaitStrategy) -> Self {
        Self { strategy }
    }
}

impl RingReader {
    /// Returns `true` as soon as there is an event to poll, `false` after `timeout`. Spurious `true` is
    /// possible only if the event is overwritten in between, which the poll then tells.
    pub fn wait(&self, waiter: &Waiter, timeout: Duration) -> bool {
        if self.ready() {
            return true;
        }
        let start = Instant::now();
        let spin = match waiter.strategy {
            WaitStrategy::BusySpin | WaitStrategy::Yield => timeout,
            WaitStrategy::HybridSpin(spin) => spin.min(timeout),
            WaitStrategy::Block => Duration::ZERO,
        };
        while start.elapsed() < spin {
            for _ in 0..32 {
                if self.ready() {
                    return true;
                }
                core::hint::spin_loop();
            }
            if waiter.strategy == WaitStrategy::Yield {
                std::thread::yield_now();
            }
        }
        self.park(start, timeout)
    }

    fn park(&self, start: Instant, timeout: Duration) -> bool {
        loop {
            // The word is read before the stamp: a commit between the two changes it, and the wait returns.
            let (control, word) = self.control();
            let seen = control.load(word, Ordering::Acquire);
            if self.ready() {
                return true;
            }
            let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero())
            else {
                return false;
            };
            park_on(&control.words()[word], seen as u32, left.min(PARK_MAX));
        }
    }
}

/// Watches the kernel's wake word alone: for who waits in the place of a reader.
pub struct Wakes {
    control: RoRegion,
    word: usize,
    seen: u32,
}

impl Wakes {
    /// Sees what is committed from now on. `word` is the place of the wake word in `control`.
    pub(crate) fn new(control: RoRegion, word: usize) -> Self {
        let seen = control.load(word, Ordering::Acquire) as u32;
        Self { control, word, seen }
    }

    /// Returns `true` as soon as a batch was committed since the last `true`, or since the beginning; `false` after
    /// `timeout`. Whoever polls a ring after `true` finds that batch, or a lap.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let start = Instant::now();
        loop {
            let now = self.control.load(self.word, Ordering::Acquire) as u32;
            if now != self.seen {
                self.seen = now;
                return true;
            }
            let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero())
            else {
                return false;
            };
            park_on(&self.control.words()[self.word], now, left.min(PARK_MAX));
        }
    }
}

#[cfg(not(loom))]
fn park_on(word: &crate::sync::AtomicU64, seen: u32, timeout: Duration) {
    if rsw_os::futex::wait(low_half(word), seen, timeout).is_err() {
        // A filter that forbids futexes must not turn the wait into a spin.
        std::thread::sleep(timeout.min(Duration::from_millis(1)));
    }
}

#[cfg(loom)]
fn park_on(_word: &crate::sync::AtomicU64, _seen: u32, _timeout: Duration) {
    loom::thread::yield_now();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_parse() {
        assert_eq!("spin".parse(), Ok(WaitStrategy::BusySpin));
        assert_eq!("yield".parse(), Ok(WaitStrategy::Yield));
        assert_eq!("block".parse(), Ok(WaitStrategy::Block));
        assert_eq!("hybrid:50us".parse(), Ok(WaitStrategy::default()));
        for wrong in [
            "hybrid",
            "hybrid:",
            "hybrid:5",
            "hybrid:5s",
            "hybrid:x5us",
            "sleep",
            "hybrid:99999999999999999ms",
        ] {
            assert!(wrong.parse::<WaitStrategy>().is_err(), "{wrong}");
        }
    }
}
