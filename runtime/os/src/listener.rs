//! A listening socket that goes on when there are no descriptors left.
//!
//! A connection that waits and cannot be accepted keeps its listener readable: a loop around [`crate::poll`] would
//! spin, and the client would wait for ever. Hence one descriptor is kept back, for telling them; and where another
//! thread was faster to take even that, the listener rests.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::{OsError, packet};

/// How long it rests.
const REST: Duration = Duration::from_millis(100);

/// A socket of [`packet::listen`], and the descriptor that is kept back.
#[derive(Debug)]
pub struct Listener {
    sock: OwnedFd,
    spare: Option<OwnedFd>,
    rests_until: Option<Instant>,
}

impl Listener {
    /// Listens at `path`, as [`packet::listen`].
    pub fn bind(path: &Path) -> Result<Listener, OsError> {
        let sock = packet::listen(path)?;
        let spare = another(&sock)
            .map_err(|errno| OsError::new("keep back a descriptor for", path.display(), errno))?;
        Ok(Listener { sock, spare: Some(spare), rests_until: None })
    }

    /// What to poll for connections; `None` while it rests, for a tenth of a second.
    pub fn to_poll(&self) -> Option<BorrowedFd<'_>> {
        self.rests_until.is_none_or(|end| Instant::now() >= end).then(|| self.sock.as_fd())
    }

    /// Takes the next connection; `None` if none waits.
    ///
    /// If this process may open no more descriptors, or the machine has none, it is given to `turn_away`, closed, and
    /// nothing is taken. If the machine has no memory for it, it waits.
    pub fn accept(
        &mut self,
        turn_away: impl FnOnce(BorrowedFd<'_>),
    ) -> Result<Option<OwnedFd>, OsError> {
        match packet::accept(&self.sock) {
            Err(error) if error.is_no_descriptor() => {
                drop(self.spare.take());
                match packet::accept(&self.sock) {
                    Ok(Some(connection)) => turn_away(connection.as_fd()),
                    Ok(None) => {}
                    Err(_) => self.rests_until = Some(Instant::now() + REST),
                }
                self.spare = another(&self.sock).ok();
                Ok(None)
            }
            Err(error) if error.is_no_space() => {
                self.rests_until = Some(Instant::now() + REST);
                Ok(None)
            }
            taken => {
                self.rests_until = None;
                taken
            }
        }
    }
}

/// A descriptor that costs nothing.
fn another(fd: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(fd, 0)
}
