//! The two clocks of the swarm, in nanoseconds, read without a system call (vDSO).

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`: same value in every process of the machine, never steps back.
pub fn mono_ns() -> u64 {
    read_ns(ClockId::Monotonic)
}

/// Nanoseconds since 1970 of `CLOCK_REALTIME`: for people and files, may step.
pub fn wall_ns() -> u64 {
    read_ns(ClockId::Realtime)
}

fn read_ns(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    // Before 1970 the real-time clock is negative; 0 is the honest floor for an unsigned stamp.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn monotonic_does_not_step_back() {
        let first = super::mono_ns();
        assert!(super::mono_ns() >= first);
        assert!(first > 0);
    }

    #[test]
    fn wall_clock_agrees_with_std() {
        let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        assert!(super::wall_ns() >= before);
    }
}
