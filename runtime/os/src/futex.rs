//! Sleeping on a 32-bit word that several processes map.

use crate::OsError;
use rustix::io::Errno;
use rustix::thread::futex::{Flags, Timespec};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

/// Why [`wait`] came back. None of them promises that the word changed: read it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitOutcome {
    /// Somebody woke the word.
    Woken,
    /// The word was not `expected` at the moment of the call.
    ValueChanged,
    /// The time ran out.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Sleeps while `word` is `expected`, at most `timeout`.
///
/// Works on a read-only shared mapping, which is how readers of the plane wait. The timeout is not
/// optional: any process that maps the word can steal a wake-up with `FUTEX_CMP_REQUEUE`.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Duration) -> Result<WaitOutcome, OsError> {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    // No PRIVATE flag: waker and sleeper are different processes.
    match rustix::thread::futex::wait(word, Flags::empty(), expected, Some(&timeout)) {
        Ok(()) => Ok(WaitOutcome::Woken),
        Err(Errno::AGAIN) => Ok(WaitOutcome::ValueChanged),
        Err(Errno::TIMEDOUT) => Ok(WaitOutcome::TimedOut),
        Err(Errno::INTR) => Ok(WaitOutcome::Interrupted),
        Err(errno) => Err(OsError::new("wait on", object(word), errno)),
    }
}

/// Wakes every thread of every process that sleeps on `word`; returns how many.
pub fn wake_all(word: &AtomicU32) -> Result<usize, OsError> {
    // The kernel reads the count as a signed int; i32::MAX is its "all".
    rustix::thread::futex::wake(word, Flags::empty(), i32::MAX as u32)
        .map_err(|errno| OsError::new("wake", object(word), errno))
}

/// The half of a 64-bit word that a futex looks at.
pub fn low_half(word: &AtomicU64) -> &AtomicU32 {
    const { assert!(cfg!(target_endian = "little"), "the futex word is the lower half") };
    let half = core::ptr::from_ref(word).cast::<AtomicU32>();
    // SAFETY: the lower half of a live, aligned AtomicU64 is a live, aligned AtomicU32 of the same lifetime;
    // nobody accesses it as 32 bits, only its address goes to the futex system call.
    unsafe { &*half }
}

fn object(word: &AtomicU32) -> String {
    format!("shared word at {word:p}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mm::{MapFlags, ProtFlags};
    use std::os::fd::AsFd;
    use std::sync::atomic::Ordering;

    /// Maps the first page of `fd` for the rest of the test process.
    fn map(fd: impl AsFd, protection: ProtFlags) -> &'static AtomicU32 {
        // SAFETY: a new mapping at an address the kernel chooses.
        let address = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), 4096, protection, MapFlags::SHARED, fd, 0)
        };
        // SAFETY: the page is never unmapped, is aligned, and is only accessed as this atomic.
        unsafe { &*address.unwrap().cast::<AtomicU32>() }
    }

    #[test]
    fn a_read_only_mapping_can_wait_and_be_woken() {
        let fd = crate::memfd::create("futex", 4096).unwrap();
        let writer = map(&fd, ProtFlags::READ | ProtFlags::WRITE);
        crate::memfd::seal_plane(&fd).unwrap();
        let reader = map(crate::memfd::reopen_read_only(&fd).unwrap(), ProtFlags::READ);
        let sleeper = std::thread::spawn(move || {
            loop {
                let outcome = wait(reader, 0, Duration::from_secs(60)).unwrap();
                if reader.load(Ordering::Acquire) == 1 {
                    return outcome;
                }
            }
        });
        // Wake before the value changes until the sleeper is known to sleep, then let it go.
        while wake_all(writer).unwrap() == 0 {
            std::thread::yield_now();
        }
        writer.store(1, Ordering::Release);
        while !sleeper.is_finished() {
            wake_all(writer).unwrap();
            std::thread::yield_now();
        }
        let outcome = sleeper.join().unwrap();
        assert!(matches!(outcome, WaitOutcome::Woken | WaitOutcome::ValueChanged), "{outcome:?}");
    }

    #[test]
    fn stale_expectation_and_timeout_are_told_apart() {
        let word = AtomicU32::new(5);
        assert_eq!(wait(&word, 4, Duration::from_secs(60)).unwrap(), WaitOutcome::ValueChanged);
        assert_eq!(wait(&word, 5, Duration::from_millis(1)).unwrap(), WaitOutcome::TimedOut);
        assert_eq!(wake_all(&word).unwrap(), 0);
    }
}
