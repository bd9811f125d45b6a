//! Several descriptors behind one, which is readable while any of them is: what a library hands out whose own come and go.

use crate::OsError;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::os::fd::{AsFd, OwnedFd};

/// A new one with nothing behind it, close-on-exec.
pub fn create() -> Result<OwnedFd, OsError> {
    epoll::create(CreateFlags::CLOEXEC).map_err(|errno| OsError::new("create", "epoll", errno))
}

/// Puts a descriptor behind it.
pub fn add(epoll: impl AsFd, fd: impl AsFd) -> Result<(), OsError> {
    epoll::add(epoll, fd, EventData::new_u64(0), EventFlags::IN)
        .map_err(|errno| OsError::new("add to", "epoll", errno))
}

/// Takes it away. Closing is not enough where somebody else has the same open file.
pub fn remove(epoll: impl AsFd, fd: impl AsFd) -> Result<(), OsError> {
    epoll::delete(epoll, fd).map_err(|errno| OsError::new("remove from", "epoll", errno))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::event::PollFlags;

    use super::*;
    use crate::eventfd;

    fn readable(fd: &OwnedFd) -> bool {
        let mut fds = [rustix::event::PollFd::new(fd, PollFlags::IN)];
        let now = rustix::time::Timespec::try_from(Duration::ZERO).unwrap();
        rustix::event::poll(&mut fds, Some(&now)).unwrap() == 1
    }

    #[test]
    fn it_is_readable_while_one_behind_it_is() {
        let (all, one, two) =
            (create().unwrap(), eventfd::create().unwrap(), eventfd::create().unwrap());
        add(&all, &one).unwrap();
        add(&all, &two).unwrap();
        assert!(!readable(&all));
        eventfd::signal(&two).unwrap();
        assert!(readable(&all));
        eventfd::clear(&two).unwrap();
        assert!(!readable(&all));
        // Another descriptor of the same file stays: only taking it away helps.
        let kept = one.try_clone().unwrap();
        eventfd::signal(&one).unwrap();
        remove(&all, &one).unwrap();
        assert!(!readable(&all));
        drop(kept);
        assert!(add(&all, &two).is_err(), "it is there already");
    }
}
