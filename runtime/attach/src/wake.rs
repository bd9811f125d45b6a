//! Commits as an event loop sees them: an eventfd, and both ends of it.
//!
//! The kernel wakes a word in shared memory once per committed batch and knows nothing of descriptors. A
//! [`WakeSource`] sleeps on that word in the place of an agent and passes each wake on to its eventfd; the agent has
//! the [`WakeFd`] in its `epoll`.
//!
//! # Invariants
//! - I1 No wake is lost: a source signals after it saw the word change, hence after the events of that batch were
//!   published. So whoever clears the eventfd, then polls the ring until it is empty, then waits, cannot sleep over
//!   an event: it was polled, or its signal comes after the clear.
//! - I2 Signals add up: an agent that does not look costs nothing but the number in its counter.
//! - I3 A signal is a hint. A gateway that dies, or an agent that harms its own eventfd, costs that agent its wakes
//!   and nothing else; whoever waits on one looks at the ring after [`rsw_plane::wait::PARK_MAX`] anyway.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rsw_os::{OsError, eventfd};
use rsw_plane::{PlaneReader, Wakes};

/// Least time between two signals: a kernel that commits faster than this is told of in one.
pub const COALESCE: Duration = Duration::from_micros(50);

/// The agent's end. Clear it, poll the ring until it is empty, then wait for it to become readable.
#[derive(Debug)]
pub struct WakeFd(OwnedFd);

impl WakeFd {
    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Makes it unreadable until the next commit; returns how often it was signalled. Never blocks.
    pub fn clear(&self) -> Result<u64, OsError> {
        eventfd::clear(&self.0)
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<WakeFd> for OwnedFd {
    fn from(wake: WakeFd) -> Self {
        wake.0
    }
}

/// The other end: from the plane's wake word to an eventfd. One thread at a time.
pub struct WakeSource {
    wakes: Wakes,
    signalled: Option<Instant>,
}

impl WakeSource {
    /// Passes on what is committed from now on.
    pub fn new(plane: &PlaneReader) -> Self {
        Self { wakes: plane.wakes(), signalled: None }
    }

    /// Waits for a commit, at most `timeout`, and signals `fd`; returns whether it did. It blocks for longer only
    /// if whoever has the other end made its eventfd block and filled it.
    pub fn pass_on(&mut self, fd: impl AsFd, timeout: Duration) -> Result<bool, OsError> {
        if !self.wakes.wait(timeout) {
            return Ok(false);
        }
        let early = self.signalled.and_then(|last| COALESCE.checked_sub(last.elapsed()));
        if let Some(early) = early.filter(|early| !early.is_zero()) {
            std::thread::sleep(early);
        }
        self.signalled = Some(Instant::now());
        eventfd::signal(fd)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use rsw_os::poll::{Interest, PollFd, poll};
    use rsw_plane::{EventHead, PlaneSpec, PlaneWriter, Polled, StartAt};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn plane() -> (PlaneWriter, PlaneReader) {
        let spec = PlaneSpec {
            run_id: [1; 16],
            generation: 1,
            first_sequence: 0,
            nx: 8,
            ny: 8,
            tick_period_ns: 1,
            ring_slots: 64,
            cells: Vec::new(),
            fields: Vec::new(),
            arena_bytes: 1 << 16,
        };
        let (writer, fd) = PlaneWriter::create(&spec).unwrap();
        (writer, PlaneReader::attach(fd).unwrap())
    }

    fn push(writer: &mut PlaneWriter) {
        writer.ring.push(EventHead { kind: 1, source: 0, generation: 1, t_ns: 0 }, &[]);
        writer.commit();
    }

    fn wait(wake: &WakeFd, timeout: Duration) -> bool {
        let mut fds = [PollFd::new(wake.as_fd(), Interest::READ)];
        poll(&mut fds, Some(timeout)).unwrap() == 1
    }

    #[test]
    fn commits_are_passed_on_and_add_up() {
        let (mut writer, plane) = plane();
        push(&mut writer);
        let mut source = WakeSource::new(&plane);
        let wake = WakeFd::from_fd(eventfd::create().unwrap());
        assert!(!source.pass_on(&wake, Duration::ZERO).unwrap(), "that was before");
        for _ in 0..3 {
            push(&mut writer);
            push(&mut writer);
            assert!(source.pass_on(&wake, PATIENCE).unwrap());
        }
        assert!(!source.pass_on(&wake, Duration::ZERO).unwrap());
        assert!(wait(&wake, Duration::ZERO));
        assert_eq!(wake.clear().unwrap(), 3, "two commits, one signal");
        assert!(!wait(&wake, Duration::ZERO));
    }

    /// I1, with a writer that stops for an answer after every event: one wake that is slept over, and it hangs.
    #[test]
    fn nobody_sleeps_over_an_event() {
        const EVENTS: u64 = 20_000;
        let (mut writer, plane) = plane();
        let wake = WakeFd::from_fd(eventfd::create().unwrap());
        let (mut source, mut ring) = (WakeSource::new(&plane), plane.ring(StartAt::Oldest));
        let theirs = WakeFd::from_fd(wake.0.try_clone().unwrap());
        let (answer, answered) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut taken = 0;
                while taken < EVENTS {
                    assert!(wait(&wake, PATIENCE), "slept over event {taken}");
                    wake.clear().unwrap();
                    while let Polled::Event { .. } = ring.poll() {
                        taken += 1;
                        answer.send(taken).unwrap();
                    }
                }
            });
            scope.spawn(move || {
                // The last event's signal may find nobody left.
                while source.pass_on(&theirs, Duration::from_millis(500)).unwrap() {}
            });
            for event in 1..=EVENTS {
                push(&mut writer);
                assert_eq!(answered.recv_timeout(PATIENCE), Ok(event));
            }
        });
    }
}
