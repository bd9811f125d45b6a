//! Waiting for several descriptors at once.

use crate::OsError;
use rustix::event::{PollFlags, Timespec};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// What to wait for on a descriptor; hang-up and errors are always reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// Wait until something can be read, or the peer is gone.
    pub read: bool,
    /// Wait until something can be written.
    pub write: bool,
}

impl Interest {
    /// Reading only.
    pub const READ: Interest = Interest { read: true, write: false };
    /// Writing only.
    pub const WRITE: Interest = Interest { read: false, write: true };
    /// Both.
    pub const BOTH: Interest = Interest { read: true, write: true };
}

/// What a descriptor is ready for after [`poll`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// A read would not block. A pidfd is readable once its process ended.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
    /// The peer is gone (bytes may still wait to be read).
    pub hangup: bool,
    /// The descriptor is broken or not open.
    pub error: bool,
}

impl Ready {
    /// True if anything at all happened.
    pub fn any(self) -> bool {
        self != Ready::default()
    }
}

/// One descriptor of a [`poll`] call.
#[derive(Debug, Clone, Copy)]
pub struct PollFd<'fd> {
    fd: BorrowedFd<'fd>,
    interest: Interest,
    ready: Ready,
}

impl<'fd> PollFd<'fd> {
    /// Watches `fd` for `interest`.
    pub fn new(fd: BorrowedFd<'fd>, interest: Interest) -> PollFd<'fd> {
        PollFd { fd, interest, ready: Ready::default() }
    }

    /// What the last [`poll`] found.
    pub fn ready(&self) -> Ready {
        self.ready
    }
}

/// Waits until a descriptor is ready or `timeout` passed (`None`: no limit); returns how many are ready.
///
/// A signal ends the wait with 0, like a timeout: look at the [`crate::signal::SignalPipe`], it is one
/// of the descriptors.
pub fn poll(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<usize, OsError> {
    let mut raw: Vec<rustix::event::PollFd<'_>> = fds
        .iter()
        .map(|entry| rustix::event::PollFd::from_borrowed_fd(entry.fd, flags(entry.interest)))
        .collect();
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    });
    let count = match rustix::event::poll(&mut raw, timeout.as_ref()) {
        Ok(count) => count,
        Err(Errno::INTR) => 0,
        Err(errno) => {
            return Err(OsError::new("poll", format!("{} file descriptors", fds.len()), errno));
        }
    };
    for (entry, raw) in fds.iter_mut().zip(&raw) {
        entry.ready = if count == 0 { Ready::default() } else { ready(raw.revents()) };
    }
    Ok(count)
}

fn flags(interest: Interest) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, interest.read);
    flags.set(PollFlags::OUT, interest.write);
    flags
}

fn ready(flags: PollFlags) -> Ready {
    Ready {
        readable: flags.contains(PollFlags::IN),
        writable: flags.contains(PollFlags::OUT),
        hangup: flags.contains(PollFlags::HUP),
        error: flags.intersects(PollFlags::ERR | PollFlags::NVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn tells_readable_writable_and_hangup() {
        let (left, right) = crate::packet::pair().unwrap();
        let mut fds = [PollFd::new(left.as_fd(), Interest::BOTH)];
        assert_eq!(poll(&mut fds, Some(Duration::ZERO)).unwrap(), 1);
        assert_eq!(fds[0].ready(), Ready { writable: true, ..Ready::default() });
        drop(right);
        assert_eq!(poll(&mut fds, None).unwrap(), 1);
        assert!(fds[0].ready().hangup && fds[0].ready().readable);
    }

    #[test]
    fn a_quiet_descriptor_times_out() {
        let (left, _right) = crate::packet::pair().unwrap();
        let mut fds = [PollFd::new(left.as_fd(), Interest::READ)];
        assert_eq!(poll(&mut fds, Some(Duration::from_millis(1))).unwrap(), 0);
        assert!(!fds[0].ready().any());
    }
}
