//! The gateway as a task sees it: its socket, its eventfd, and coming again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rsw_attach::{AttachError, Attached, Client, ClientEvent, CodecError, Sent, WakeFd};
use rsw_plane::PlaneReader;
use rsw_schemas::event::Report;
use rsw_schemas::wire::{RefusalCode, hello_flag};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::RingError;

/// How long a gateway may take to say welcome: it may have to wait for the kernel's first plane.
const WELCOME_MAX: Duration = Duration::from_secs(30);
/// Time between two tries to come again.
const RETRY: Duration = Duration::from_millis(500);
/// A public socket without a gateway for so long is a swarm that is gone.
const GONE_AFTER: Duration = Duration::from_secs(30);

/// Where the connection comes from.
pub(super) enum Origin {
    /// From the launcher, until it is used; a restarted gateway gets the other end again.
    Inherited(Option<OwnedFd>),
    /// From the public socket; after a gateway's restart we have to come again.
    Public(PathBuf),
}

/// What the gateway said.
pub(super) enum Said {
    Plane(Box<PlaneReader>),
    Welcome(Box<Attached>),
    /// It is gone, and may come back.
    Gone,
    /// It is gone for good.
    Ended,
}

pub(super) struct Link {
    origin: Origin,
    name: String,
    state: State,
    /// Since when there is no gateway; the first one does not count as missing.
    gone_since: Option<Instant>,
}

enum State {
    /// Connected since then.
    Up { client: Client, ready: AsyncFd<OwnedFd>, since: Instant, welcomed: bool },
    /// Not connected, and when to try again.
    Down { retry: Instant },
}

impl Link {
    /// Connects and says hello; [`Link::poll`] brings the answer.
    pub(super) fn new(mut origin: Origin, name: &str) -> Result<Self, RingError> {
        let client = match &mut origin {
            Origin::Inherited(socket) => Client::from_fd(socket.take().ok_or(AttachError::Closed)?),
            Origin::Public(path) => Client::connect(path)?,
        };
        let state = State::up(client, name)?;
        Ok(Self { origin, name: name.to_owned(), state, gone_since: None })
    }

    /// The next thing the gateway said. Pending: nothing now; the task is woken when there is, but not for a retry,
    /// for which it must look now and then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Said, RingError>> {
        loop {
            let (client, ready, overdue) = match &mut self.state {
                State::Up { client, ready, since, welcomed } => {
                    (client, ready, !*welcomed && since.elapsed() > WELCOME_MAX)
                }
                State::Down { retry } if Instant::now() < *retry => return Poll::Pending,
                State::Down { .. } => match self.come_again() {
                    Ok(()) => continue,
                    Err(error) => return Poll::Ready(Err(error)),
                },
            };
            let heard = match ready.poll_read_ready(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(RingError::Runtime(error))),
                Poll::Ready(Ok(mut guard)) => {
                    let heard = client.poll();
                    if matches!(heard, Ok(ClientEvent::Nothing)) {
                        guard.clear_ready();
                    }
                    heard
                }
                Poll::Pending if overdue => Err(AttachError::Timeout { waited: WELCOME_MAX }),
                Poll::Pending => return Poll::Pending,
            };
            match heard {
                Ok(ClientEvent::Nothing) => {}
                Ok(ClientEvent::PlaneChanged(plane)) => return Poll::Ready(Ok(Said::Plane(plane))),
                Ok(ClientEvent::Welcome(attached)) => {
                    self.welcomed();
                    return Poll::Ready(Ok(Said::Welcome(attached)));
                }
                Ok(ClientEvent::GatewayGone) => {
                    if let Some(said) = self.down() {
                        return Poll::Ready(Ok(said));
                    }
                }
                Err(error) if self.is_worth_a_retry(&error) => {
                    if let Some(said) = self.down() {
                        return Poll::Ready(Ok(said));
                    }
                }
                Err(error @ (AttachError::Refused { .. } | AttachError::Timeout { .. })) => {
                    return Poll::Ready(Err(error.into()));
                }
                // The packet is consumed, and what we had still holds.
                Err(_) => {}
            }
        }
    }

    /// Whether there is no gateway, as far as anybody knows.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Down { .. })
    }

    fn welcomed(&mut self) {
        self.gone_since = None;
        if let State::Up { welcomed, .. } = &mut self.state {
            *welcomed = true;
        }
    }

    /// A socket that fails, or a gateway that has just come back and has no plane yet, or no room.
    fn is_worth_a_retry(&self, error: &AttachError) -> bool {
        match error {
            AttachError::Os(_) | AttachError::Codec(CodecError::Os(_)) => true,
            AttachError::Refused { code, .. } => {
                self.gone_since.is_some()
                    && matches!(code, Some(RefusalCode::NotRunning | RefusalCode::Full))
            }
            AttachError::Timeout { .. } => self.gone_since.is_some(),
            _ => false,
        }
    }

    /// What there is to say of a connection that ended; nothing, if that was said before.
    fn down(&mut self) -> Option<Said> {
        let now = Instant::now();
        let known = self.gone_since.is_some();
        let retry = if known { now + RETRY } else { now };
        self.state = State::Down { retry };
        self.gone_since.get_or_insert(now);
        match self.origin {
            Origin::Public(_) => (!known).then_some(Said::Gone),
            // The supervisor has the other end too, so it is gone as well.
            Origin::Inherited(_) => Some(Said::Ended),
        }
    }

    /// Tries the public socket once more.
    fn come_again(&mut self) -> Result<(), RingError> {
        self.state = State::Down { retry: Instant::now() + RETRY };
        // Whoever inherited a socket is not asked again after its end.
        let Origin::Public(path) = &self.origin else { return Ok(()) };
        let again = Client::connect(path).map_err(RingError::from);
        match again.and_then(|client| State::up(client, &self.name)) {
            Ok(state) => self.state = state,
            Err(error @ RingError::Runtime(_)) => return Err(error),
            Err(RingError::Attach(error @ AttachError::Refused { .. }))
                if !self.is_worth_a_retry(&error) =>
            {
                return Err(error.into());
            }
            Err(_) if self.gone_since.is_some_and(|since| since.elapsed() > GONE_AFTER) => {
                return Err(RingError::Gone { seconds: GONE_AFTER.as_secs() });
            }
            Err(_) => {}
        }
        Ok(())
    }

    pub(super) fn report(&mut self, report: Report) -> Result<Sent, CodecError> {
        match &mut self.state {
            State::Up { client, welcomed: true, .. } => client.report(report),
            _ => Ok(Sent::Closed),
        }
    }
}

impl State {
    fn up(mut client: Client, name: &str) -> Result<Self, RingError> {
        client.hello(name, hello_flag::WAKE_FD)?;
        let ready = client.as_fd().try_clone_to_owned().and_then(watch);
        let ready = ready.map_err(RingError::Runtime)?;
        Ok(Self::Up { client, ready, since: Instant::now(), welcomed: false })
    }
}

/// The eventfd, in the runtime's `epoll`.
pub(super) struct Wake(AsyncFd<OwnedFd>);

impl Wake {
    pub(super) fn new(wake: WakeFd) -> io::Result<Self> {
        Ok(Self(watch(wake.into())?))
    }

    /// Takes a signal that has come; if none has, the task is woken by the next.
    pub(super) fn poll_clear(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        match self.0.poll_read_ready(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(guard) => {
                let mut guard = guard?;
                rsw_os::eventfd::clear(self.0.get_ref()).map_err(io::Error::other)?;
                guard.clear_ready();
                Ok(true)
            }
        }
    }
}

/// Deprecated by tokio for types whose descriptor may change or close behind its back; an [`OwnedFd`] does neither.
#[allow(deprecated, reason = "the replacement is unsafe, for what an OwnedFd promises by its type")]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}
