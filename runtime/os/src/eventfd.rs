//! A counter behind a descriptor, readable while it is not zero: how an event loop is told to look.
//!
//! Both ends of one are the same open file description, and share its flags: whoever has a descriptor can take
//! `O_NONBLOCK` away and fill the counter, and then [`signal`] blocks. So who signals for others must be able to
//! afford that; [`drain`] never blocks, and lets such a signal through.

use crate::OsError;
use rustix::event::EventfdFlags;
use rustix::io::{Errno, ReadWriteFlags};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, OwnedFd};

/// A new one: zero, non-blocking, close-on-exec.
pub fn create() -> Result<OwnedFd, OsError> {
    rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
        .map_err(|errno| OsError::new("create", "eventfd", errno))
}

/// Adds one, which makes it readable. A counter that is full is readable already.
pub fn signal(fd: impl AsFd) -> Result<(), OsError> {
    loop {
        match rustix::io::write(fd.as_fd(), &1u64.to_ne_bytes()) {
            Ok(_) | Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(OsError::new("signal", "eventfd", errno)),
        }
    }
}

/// Takes what is there, in one read; returns how often it was signalled since the last time, 0 if not at all.
pub fn clear(fd: impl AsFd) -> Result<u64, OsError> {
    let mut count = [0u8; 8];
    loop {
        match rustix::io::read(fd.as_fd(), &mut count) {
            Ok(_) => return Ok(u64::from_ne_bytes(count)),
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(OsError::new("clear", "eventfd", errno)),
        }
    }
}

/// As [`clear`], and never blocks, whatever somebody did to the descriptor's flags.
pub fn drain(fd: impl AsFd) -> Result<u64, OsError> {
    let mut count = [0u8; 8];
    // An eventfd has no position; this offset says so.
    let offset = u64::MAX;
    loop {
        let mut parts = [IoSliceMut::new(&mut count)];
        match rustix::io::preadv2(fd.as_fd(), &mut parts, offset, ReadWriteFlags::NOWAIT) {
            Ok(_) => return Ok(u64::from_ne_bytes(count)),
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(OsError::new("drain", "eventfd", errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{Interest, PollFd, poll};
    use rustix::fs::OFlags;
    use std::time::Duration;

    fn is_readable(fd: &OwnedFd) -> bool {
        let mut fds = [PollFd::new(fd.as_fd(), Interest::READ)];
        poll(&mut fds, Some(Duration::ZERO)).unwrap() == 1
    }

    #[test]
    fn signals_add_up_until_they_are_taken() {
        let fd = create().unwrap();
        assert!(!is_readable(&fd));
        assert_eq!((clear(&fd).unwrap(), drain(&fd).unwrap()), (0, 0));
        for _ in 0..3 {
            signal(&fd).unwrap();
        }
        assert!(is_readable(&fd));
        assert_eq!((clear(&fd).unwrap(), clear(&fd).unwrap()), (3, 0));
        assert!(!is_readable(&fd));
    }

    #[test]
    fn a_full_counter_is_no_error() {
        let fd = create().unwrap();
        rustix::io::write(&fd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        signal(&fd).unwrap();
        assert_eq!(clear(&fd).unwrap(), u64::MAX - 1);
    }

    #[test]
    fn a_signal_that_somebody_made_block_is_let_through_without_blocking() {
        let fd = create().unwrap();
        rustix::fs::fcntl_setfl(&fd, OFlags::RDWR).unwrap();
        assert_eq!(drain(&fd).unwrap(), 0, "it must not wait");
        rustix::io::write(&fd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        let theirs = fd.try_clone().unwrap();
        let blocked = std::thread::spawn(move || signal(&theirs));
        // Whether it blocks already or not yet: it goes through once the counter has room.
        assert_eq!(drain(&fd).unwrap(), u64::MAX - 1);
        blocked.join().unwrap().unwrap();
        assert_eq!(drain(&fd).unwrap(), 1);
    }
}
