//! An eventfd for an agent that lives in an event loop, and the thread that signals it.
//!
//! A thread for each, because an agent can make its eventfd block: both ends share one `O_NONBLOCK` flag (see
//! [`rsw_os::eventfd`]). A write that an agent can hold must be nobody else's. To the kernel the thread is what the
//! agent would be if it slept on the plane's wake word itself, one sleeper of many; it adds no wake.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rsw_attach::WakeSource;
use rsw_os::{OsError, eventfd};
use rsw_plane::PlaneReader;

/// Longest wait of a thread before it looks for a new plane, or for its end.
const WAIT: Duration = Duration::from_millis(50);
/// It calls little and holds nothing.
const STACK_BYTES: usize = 128 << 10;

/// Every thread that still runs, those included that an agent holds after it has left.
#[derive(Default)]
pub(crate) struct Wakers {
    running: Vec<(Kind, Weak<Shared>)>,
}

/// Whose thread it is: guests cannot use up what belongs to seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of a launched agent.
    Seat,
    /// Of whoever came over the public socket.
    Guest,
}

/// One agent's.
pub(crate) struct Waker {
    shared: Arc<Shared>,
}

struct Shared {
    fd: OwnedFd,
    /// The plane to change to.
    next: Mutex<Option<PlaneReader>>,
    ended: AtomicBool,
}

impl Wakers {
    /// Starts one; `None` where `threads_max` of that kind run already, or the system has no room for one more.
    pub(crate) fn start(
        &mut self,
        plane: &PlaneReader,
        kind: Kind,
        threads_max: usize,
    ) -> Option<Waker> {
        self.sweep();
        if self.running.iter().filter(|(other, _)| *other == kind).count() >= threads_max {
            return None;
        }
        // Whoever makes the system run out of something costs an agent its wakes, not everybody the gateway.
        let waker = Waker::start(plane);
        let waker = waker.inspect_err(|error| {
            rsw_os::process::note(format_args!("gateway: no eventfd for an agent: {error}"))
        });
        let waker = waker.ok()?;
        self.running.push((kind, Arc::downgrade(&waker.shared)));
        Some(waker)
    }

    /// Forgets threads that have ended, and lets signals through that agents block after they have left: one that
    /// fills its eventfd again and again holds its thread, but not for longer than it does that.
    pub(crate) fn sweep(&mut self) {
        self.running.retain(|(_, shared)| {
            let Some(shared) = shared.upgrade() else { return false };
            if shared.ended.load(Ordering::Acquire) {
                shared.let_through();
            }
            true
        });
    }
}

impl Waker {
    fn start(plane: &PlaneReader) -> Result<Self, OsError> {
        let (next, ended) = (Mutex::new(None), AtomicBool::new(false));
        let shared = Arc::new(Shared { fd: eventfd::create()?, next, ended });
        // From before the welcome: what is committed after it cannot be missed.
        let (ours, source) = (shared.clone(), WakeSource::new(plane));
        let thread = std::thread::Builder::new().name("waker".into()).stack_size(STACK_BYTES);
        let thread = thread.spawn(move || ours.run(source));
        thread.map_err(|source| OsError::new("start thread", "\"waker\"", source))?;
        Ok(Self { shared })
    }

    /// Goes on with a new generation.
    pub(crate) fn switch(&self, plane: PlaneReader) {
        *self.shared.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(plane);
    }
}

/// What the agent gets.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.fd.as_fd()
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.let_through();
    }
}

impl Shared {
    /// Makes room for a signal that the agent made block. One that still lives may block it again: then it is one
    /// thread that [`Wakers`] know of.
    fn let_through(&self) {
        // It fails only on a descriptor that is no eventfd.
        let _ = eventfd::drain(&self.fd);
    }

    fn run(&self, mut source: WakeSource) {
        while !self.ended.load(Ordering::Acquire) {
            let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
            let passed = match next {
                Some(plane) => {
                    source = WakeSource::new(&plane);
                    // What it has published already, nobody told of.
                    eventfd::signal(&self.fd)
                }
                None => source.pass_on(&self.fd, WAIT).map(|_| ()),
            };
            if let Err(error) = passed {
                rsw_os::process::note(format_args!(
                    "gateway: an agent's eventfd is given up: {error}"
                ));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A thread of that kind whose agent has left, which found its eventfd full and blocking once more.
    fn held(wakers: &mut Wakers, kind: Kind) -> std::thread::JoinHandle<()> {
        let (next, ended) = (Mutex::new(None), AtomicBool::new(true));
        let shared = Arc::new(Shared { fd: eventfd::create().unwrap(), next, ended });
        rustix::io::write(&shared.fd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        rustix::fs::fcntl_setfl(&shared.fd, rustix::fs::OFlags::RDWR).unwrap();
        wakers.running.push((kind, Arc::downgrade(&shared)));
        std::thread::spawn(move || eventfd::signal(&shared.fd).unwrap())
    }

    #[test]
    fn a_thread_that_a_departed_agent_held_is_let_go() {
        let mut wakers = Wakers::default();
        let threads = [Kind::Guest, Kind::Seat].map(|kind| held(&mut wakers, kind));
        let start = Instant::now();
        while !wakers.running.is_empty() {
            wakers.sweep();
            assert!(start.elapsed() < Duration::from_secs(60), "{} held", wakers.running.len());
            std::thread::yield_now();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
