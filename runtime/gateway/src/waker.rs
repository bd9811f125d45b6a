//! An eventfd for an agent that lives in an event loop, and the thread that signals it.
//!
//! A thread for each, because an agent can make its eventfd block: both ends share one `O_NONBLOCK` flag (see
//! [`rsw_os::eventfd`]). A write that an agent can hold must be nobody else's. To the kernel the thread is what the
//! agent would be if it slept on the plane's wake word itself, one sleeper of many; it adds no wake.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rsw_attach::WakeSource;
use rsw_os::{OsError, eventfd};
use rsw_plane::PlaneReader;

/// Longest wait of a thread before it looks for a new plane, or for its end.
const WAIT: Duration = Duration::from_millis(50);
/// It calls little and holds nothing.
const STACK_BYTES: usize = 128 << 10;

/// Every thread that still runs, those included that an agent holds after it has left.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    running: Arc<()>,
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
    /// Starts one; `None` where `threads_max` run already.
    pub(crate) fn start(
        &self,
        plane: &PlaneReader,
        threads_max: usize,
    ) -> Result<Option<Waker>, OsError> {
        if Arc::strong_count(&self.running) > threads_max {
            return Ok(None);
        }
        let (next, ended) = (Mutex::new(None), AtomicBool::new(false));
        let shared = Arc::new(Shared { fd: eventfd::create()?, next, ended });
        // From before the welcome: what is committed after it cannot be missed.
        let (ours, source, running) =
            (shared.clone(), WakeSource::new(plane), self.running.clone());
        let thread = std::thread::Builder::new().name("waker".into()).stack_size(STACK_BYTES);
        let thread = thread.spawn(move || {
            let _running = running;
            ours.run(source);
        });
        thread.map_err(|source| OsError::new("start thread", "\"waker\"", source))?;
        Ok(Some(Waker { shared }))
    }
}

impl Waker {
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
        // Lets a signal through that the agent made block. One that still lives may block it again, and then it is
        // one thread that `threads_max` knows of.
        let _ = eventfd::drain(&self.shared.fd);
    }
}

impl Shared {
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
                eprintln!("gateway: an agent's eventfd is given up: {error}");
                return;
            }
        }
    }
}
