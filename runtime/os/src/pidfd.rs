//! Processes by descriptor: no other process can ever be meant, even if the number is used again.

use crate::{OsError, Signal};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// How a process ended: exactly one of the two is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code.
    pub code: Option<i32>,
    /// The number of the signal that killed it.
    pub signal: Option<i32>,
}

/// A descriptor of process `pid`, close-on-exec, readable (see [`crate::poll`]) once it ended.
pub fn open(pid: u32) -> Result<OwnedFd, OsError> {
    let raw = pid_of("open process", pid)?;
    rustix::process::pidfd_open(raw, PidfdFlags::empty())
        .map_err(|errno| OsError::new("open process", format!("pid {pid}"), errno))
}

/// Sends `signal` to the process; one that ended but was not waited for yet still accepts it.
pub fn send_signal(fd: impl AsFd, signal: Signal) -> Result<(), OsError> {
    let fd = fd.as_fd();
    rustix::process::pidfd_send_signal(fd, signal.raw()).map_err(|errno| {
        let object = format!("{signal:?} to pidfd {}", fd.as_raw_fd());
        OsError::new("send signal", object, errno)
    })
}

/// Reaps the process if it ended, without waiting; `None` while it runs. Only its parent (or the
/// subreaper it was handed to) may ask, and gets the answer once.
pub fn try_wait(fd: impl AsFd) -> Result<Option<Exit>, OsError> {
    let fd = fd.as_fd();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::PidFd(fd), options)
        .map_err(|errno| OsError::new("wait for", format!("pidfd {}", fd.as_raw_fd()), errno))?;
    Ok(status
        .map(|status| Exit { code: status.exit_status(), signal: status.terminating_signal() }))
}

pub(crate) fn pid_of(operation: &'static str, pid: u32) -> Result<Pid, OsError> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| {
        OsError::refused(operation, format!("pid {pid}"), ErrorKind::InvalidInput, "not a pid")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{Interest, PollFd, poll};
    use std::process::Command;

    fn wait_exit(fd: &OwnedFd) -> Exit {
        let mut fds = [PollFd::new(fd.as_fd(), Interest::READ)];
        while poll(&mut fds, None).unwrap() == 0 {}
        try_wait(fd).unwrap().unwrap()
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "try_wait reaps them, which is what is tested")]
    fn exit_code_and_signal_are_told_apart() {
        let child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let fd = open(child.id()).unwrap();
        assert_eq!(wait_exit(&fd), Exit { code: Some(7), signal: None });

        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let fd = open(child.id()).unwrap();
        assert_eq!(try_wait(&fd).unwrap(), None);
        send_signal(&fd, Signal::Kill).unwrap();
        assert_eq!(wait_exit(&fd), Exit { code: None, signal: Some(9) });
        assert!(send_signal(&fd, Signal::Kill).is_err());
    }

    #[test]
    fn pid_zero_is_refused() {
        assert!(open(0).is_err());
    }
}
