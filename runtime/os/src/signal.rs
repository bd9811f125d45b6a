//! The signals the swarm uses, and a pipe that turns those of this process into a readable descriptor.

use crate::OsError;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// A signal, by what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGINT: the user pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: please end.
    Terminate,
    /// SIGKILL: end; cannot be caught.
    Kill,
    /// SIGSTOP: freeze; cannot be caught.
    Stop,
    /// SIGCONT: go on.
    Continue,
    /// SIGCHLD: a child changed state.
    Child,
}

const ALL: [Signal; 7] = [
    Signal::Hangup,
    Signal::Interrupt,
    Signal::Terminate,
    Signal::Kill,
    Signal::Stop,
    Signal::Continue,
    Signal::Child,
];

impl Signal {
    /// The number of the signal on this machine.
    pub fn number(self) -> i32 {
        self.raw().as_raw()
    }

    /// The signal with that number, if it is one of ours.
    pub fn from_number(number: i32) -> Option<Signal> {
        ALL.into_iter().find(|signal| signal.number() == number)
    }

    pub(crate) fn raw(self) -> rustix::process::Signal {
        use rustix::process::Signal as Raw;
        match self {
            Signal::Hangup => Raw::HUP,
            Signal::Interrupt => Raw::INT,
            Signal::Terminate => Raw::TERM,
            Signal::Kill => Raw::KILL,
            Signal::Stop => Raw::STOP,
            Signal::Continue => Raw::CONT,
            Signal::Child => Raw::CHILD,
        }
    }
}

/// Catches signals of this process and reports them through a descriptor that [`crate::poll`] can
/// watch. Dropping it stops the catching (the default action does not come back).
pub struct SignalPipe {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl SignalPipe {
    /// Starts to catch `signals`; [`Signal::Kill`] and [`Signal::Stop`] are refused.
    pub fn new(signals: &[Signal]) -> Result<SignalPipe, OsError> {
        let fail = |source| OsError::new("catch signals", format!("{signals:?}"), source);
        // signal-hook panics on these two; an error says the same without ending the process.
        if signals.iter().any(|signal| matches!(signal, Signal::Kill | Signal::Stop)) {
            return Err(OsError::refused(
                "catch signals",
                format!("{signals:?}"),
                std::io::ErrorKind::InvalidInput,
                "SIGKILL and SIGSTOP cannot be caught",
            ));
        }
        let (read, write) = UnixStream::pair().map_err(fail)?;
        read.set_nonblocking(true).map_err(fail)?;
        write.set_nonblocking(true).map_err(fail)?;
        let numbers: Vec<i32> = signals.iter().map(|signal| signal.number()).collect();
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, numbers).map_err(fail)?;
        Ok(SignalPipe { delivery })
    }

    /// The signals caught since the last call, each at most once. Never blocks.
    pub fn drain(&mut self) -> Vec<Signal> {
        self.delivery.pending().filter_map(Signal::from_number).collect()
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::{Interest, PollFd};

    #[test]
    fn a_caught_signal_is_readable_and_drained_once() {
        let mut pipe = SignalPipe::new(&[Signal::Hangup, Signal::Child]).unwrap();
        assert!(!pipe.drain().contains(&Signal::Hangup));
        signal_hook::low_level::raise(Signal::Hangup.number()).unwrap();
        let mut fds = [PollFd::new(pipe.as_fd(), Interest::READ)];
        while crate::poll::poll(&mut fds, None).unwrap() == 0 {}
        assert!(fds[0].ready().readable);
        assert!(pipe.drain().contains(&Signal::Hangup));
        assert!(!pipe.drain().contains(&Signal::Hangup));
    }

    #[test]
    fn kill_cannot_be_caught() {
        assert!(SignalPipe::new(&[Signal::Kill]).is_err());
    }

    #[test]
    fn numbers_round_trip() {
        for signal in ALL {
            assert_eq!(Signal::from_number(signal.number()), Some(signal));
        }
        assert_eq!(Signal::from_number(63), None);
    }
}
