//! A descriptor for event loops: readable when events were committed, and when the gateway says something.
//!
//! Handed out is an epoll descriptor of our own, the same one as long as the connection lasts. Behind it are the gateway's eventfd
//! and its socket, which change with every gateway.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rsw_attach::{Client, WakeFd};
use rsw_os::{OsError, epoll};

use crate::abi;
use crate::link::Seen;
use crate::status::{RSW_OK, RSW_REATTACHED, call};
use crate::swarm::{enter, rsw_swarm, state_of, status_of};

/// A descriptor that becomes readable when events were committed, when the kernel or the gateway was restarted, and when the
/// swarm has ended: for poll, epoll, or any event loop. Ask for it with RSW_CONNECT_WAKE_FD. When it is readable, or a second
/// has passed: rsw_wake_clear, then rsw_ring_poll until RSW_EMPTY, then wait again; no event is slept over.
///
/// Any thread; never blocks; not for signal handlers. *fd is the library's: do not read or close it; it is the same one, and
/// good, until the last handle of the connection is closed. RSW_E_UNSUPPORTED if it was not asked for. A gateway that is
/// gone, or has no descriptor to give, wakes nobody, hence the second.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_wake_fd(swarm: *mut rsw_swarm, fd: *mut i32) -> i32 {
    call(|| {
        let found = enter(swarm, |swarm| swarm.link.wake_fd())?;
        // SAFETY: this function's contract.
        unsafe { abi::put("fd", fd, found) }?;
        Ok(RSW_OK)
    })
}

/// Makes the descriptor of rsw_wake_fd unreadable until the next commit, and does what rsw_reattach does, with its answers; a
/// sign of life, too.
///
/// One thread at a time; never blocks; not for signal handlers; two system calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_wake_clear(swarm: *mut rsw_swarm) -> i32 {
    call(|| {
        enter(swarm, |swarm| {
            let before = swarm.epoch();
            swarm.link.clear_wake()?;
            swarm.link.beat(None);
            while swarm.link.look()? == Seen::Changed {}
            let state = state_of(swarm.plane()).state;
            let status = status_of(state, swarm.link.has_ended());
            Ok(if swarm.epoch() != before { RSW_REATTACHED } else { status })
        })
    })
}

/// What is behind the descriptor.
pub(crate) struct Wakes {
    epoll: OwnedFd,
    event: Option<WakeFd>,
    /// The gateway's socket, a descriptor of our own for the same one.
    socket: Option<OwnedFd>,
}

impl Wakes {
    /// Of a gateway that has said welcome, and brought an eventfd if it could.
    pub(crate) fn of(client: &Client, event: Option<WakeFd>) -> Result<Self, OsError> {
        let mut wakes = Self { epoll: epoll::create()?, event: None, socket: None };
        wakes.connected(client)?;
        wakes.welcomed(event)?;
        Ok(wakes)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// The socket of the gateway that is there now.
    pub(crate) fn connected(&mut self, client: &Client) -> Result<(), OsError> {
        self.disconnected()?;
        let socket = client.as_fd().try_clone_to_owned();
        let socket = socket.map_err(|error| OsError::new("duplicate", "socket", error))?;
        epoll::add(&self.epoll, &socket)?;
        self.socket = Some(socket);
        Ok(())
    }

    /// A socket that is closed would stay readable.
    pub(crate) fn disconnected(&mut self) -> Result<(), OsError> {
        self.socket.take().map_or(Ok(()), |socket| epoll::remove(&self.epoll, &socket))
    }

    /// The eventfd that a welcome brought.
    pub(crate) fn welcomed(&mut self, event: Option<WakeFd>) -> Result<(), OsError> {
        if let Some(old) = self.event.take() {
            epoll::remove(&self.epoll, old.as_fd())?;
        }
        if let Some(event) = event {
            epoll::add(&self.epoll, event.as_fd())?;
            self.event = Some(event);
        }
        Ok(())
    }

    pub(crate) fn clear(&self) -> Result<(), OsError> {
        self.event.as_ref().map_or(Ok(0), WakeFd::clear).map(drop)
    }
}
