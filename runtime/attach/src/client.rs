//! The client's side of the handshake: hello, welcome, and what the gateway announces afterwards.
//!
//! # States
//! `connected -> hello sent -> attached -> attached ...`; a refusal, a malformed packet or the end of the
//! socket leave the client as it is, and the caller decides. The gateway may be restarted behind a launched
//! agent's socket; it then says welcome again, with a new incarnation.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rsw_os::poll::{self, Interest, PollFd};
use rsw_os::{OsError, packet};
use rsw_plane::PlaneReader;
use rsw_schemas::event::Report;
use rsw_schemas::wire::{
    AgentReport, Hello, PacketKind, PlaneChanged, RefusalCode, Refused, SITES_MAX,
    WINDOW_TICKS_MAX, Welcome, hello_flag,
};
use rsw_schemas::{ABI_MAJOR, ABI_MINOR, LAYOUT_HASH, exit, text};

use crate::codec::{self, CodecError, Incoming, Message, Sent};
use crate::page::{Mailbox, PageError};
use crate::wake::WakeFd;

/// No packet to a client carries more descriptors.
const FDS_MAX: usize = 3;

/// A connection to the gateway. `Send`; one thread at a time.
#[derive(Debug)]
pub struct Client {
    sock: OwnedFd,
    /// What was said to the gateway, to be said again to its successors.
    hello: Option<Hello>,
    current: Option<Current>,
    /// Incarnation of the gateway that the hello was said to again.
    asked_again: u64,
    /// A plane could not be taken: when it is asked for again.
    behind: Option<Instant>,
}

/// What the caller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Current {
    incarnation: u64,
    generation: u64,
    /// Flags of the hello that was answered.
    hello_flags: u32,
}

/// Everything the gateway hands to a client.
pub struct Attached {
    /// What it said. Texts are to be read with [`rsw_schemas::text::unpack`].
    pub welcome: Welcome,
    /// The plane, checked and mapped.
    pub plane: PlaneReader,
    /// The client's page; none for an observer.
    pub mailbox: Option<Mailbox>,
    /// Becomes readable when a batch was committed; see [`WakeFd`]. Only for who asked for it.
    pub wake: Option<WakeFd>,
}

/// Time until a plane that could not be taken is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What the gateway said since the last look.
pub enum ClientEvent {
    /// Nothing.
    Nothing,
    /// The kernel was restarted: a new generation. The old plane stays readable and never changes again.
    PlaneChanged(Box<PlaneReader>),
    /// The gateway was restarted: its loans have other names now; all of it replaces what the caller had.
    Welcome(Box<Attached>),
    /// The gateway is gone, and this socket with it. What is mapped stays readable.
    GatewayGone,
}

/// An ABI as two builds compare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abi {
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// Layout hash.
    pub layout_hash: u64,
}

impl Abi {
    /// The ABI of this build.
    pub const OURS: Abi = Abi { major: ABI_MAJOR, minor: ABI_MINOR, layout_hash: LAYOUT_HASH };
}

impl std::fmt::Display for Abi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "abi {}.{} layout {:016x}", self.major, self.minor, self.layout_hash)
    }
}

/// Why a client is not attached, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Nobody listens.
    #[error("{0}; start a swarm with `runtime up`")]
    Connect(OsError),
    /// The gateway said no.
    #[error("the gateway refused us: {text} (gateway: {theirs}; we: {})", Abi::OURS)]
    Refused {
        /// The reason, if this build knows it.
        code: Option<RefusalCode>,
        /// The gateway's ABI.
        theirs: Abi,
        /// The gateway's words: reason and way out.
        text: String,
    },
    /// The gateway said nothing in time.
    #[error(
        "no welcome from the gateway within {waited:?}; see `runtime status` and `runtime logs gateway`"
    )]
    Timeout {
        /// How long we waited.
        waited: Duration,
    },
    /// The socket ended before the welcome.
    #[error("the gateway closed the socket before it said welcome; see `runtime status`")]
    Closed,
    /// The gateway does not drain its socket, so that not even a hello fits.
    #[error("the gateway's socket is full before the first packet; see `runtime status`")]
    Full,
    /// A packet that does not belong here.
    #[error(
        "the gateway sent a {kind:?} packet, which clients never get; is this socket the swarm's?"
    )]
    Unexpected {
        /// The kind.
        kind: PacketKind,
    },
    /// The packet and the plane beside it tell different stories.
    #[error(
        "the gateway announced {what} {announced}, the plane beside it has {found}; restart the swarm"
    )]
    Mismatch {
        /// What differs.
        what: &'static str,
        /// As in the packet.
        announced: u64,
        /// As in the plane.
        found: u64,
    },
    /// A number beyond what any swarm has, for which we would take memory.
    #[error("the gateway announced {announced} {what}, a swarm has at most {max}; is it ours?")]
    Unbelievable {
        /// What there is too much of.
        what: &'static str,
        /// As in the packet.
        announced: u32,
        /// The most that a swarm has.
        max: u32,
    },
    /// A packet of unsound form.
    #[error("gateway: {0}")]
    Codec(#[from] CodecError),
    /// The plane is none, or not ours.
    #[error("plane: {0}")]
    Plane(#[from] rsw_plane::AttachError),
    /// The mailbox is none.
    #[error("mailbox: {0}")]
    Mailbox(#[from] PageError),
    /// The system refused.
    #[error("gateway socket: {0}")]
    Os(#[from] OsError),
}

impl AttachError {
    /// True if this process, or the machine, was short of something: later it may go well.
    pub fn is_shortage(&self) -> bool {
        match self {
            Self::Codec(CodecError::NoDescriptor)
            | Self::Plane(rsw_plane::AttachError::Map { .. }) => true,
            Self::Codec(CodecError::Os(error))
            | Self::Mailbox(PageError::Os(error))
            | Self::Os(error) => error.is_no_descriptor() || error.is_no_space(),
            _ => false,
        }
    }

    /// The exit code of a program that gives up because of this.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Connect(_) | Self::Closed => exit::NOT_RUNNING,
            Self::Refused { code, .. } => match code {
                Some(RefusalCode::Layout) => exit::LAYOUT,
                Some(RefusalCode::Permission) => exit::PERMISSION,
                Some(RefusalCode::NotRunning) => exit::NOT_RUNNING,
                _ => exit::FAILURE,
            },
            Self::Timeout { .. } => exit::TIMEOUT,
            Self::Plane(_) => exit::LAYOUT,
            _ => exit::FAILURE,
        }
    }
}

impl Client {
    /// Connects to a swarm's public socket; where as many wait as may, waits for its turn for a second.
    pub fn connect(path: &Path) -> Result<Self, AttachError> {
        let socket = packet::connect_within(path, Duration::from_secs(1));
        Ok(Self::from_fd(socket.map_err(AttachError::Connect)?))
    }

    /// As [`Client::connect`], without waiting.
    pub fn connect_now(path: &Path) -> Result<Self, AttachError> {
        Ok(Self::from_fd(packet::connect(path).map_err(AttachError::Connect)?))
    }

    /// Takes a socket that is connected already: the one a launched agent inherits.
    pub fn from_fd(sock: OwnedFd) -> Self {
        Self { sock, hello: None, current: None, asked_again: 0, behind: None }
    }

    /// Says who we are; `flags` are bits of [`rsw_schemas::wire::hello_flag`].
    pub fn hello(&mut self, name: &str, flags: u32) -> Result<(), AttachError> {
        let hello = Hello {
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            layout_hash: LAYOUT_HASH,
            flags,
            reserved: 0,
            name: text::pack(name),
        };
        self.hello = Some(hello);
        self.say(&hello)
    }

    fn say(&self, hello: &Hello) -> Result<(), AttachError> {
        match codec::send(self.sock.as_fd(), PacketKind::Hello, hello, &[])? {
            Sent::Done => Ok(()),
            Sent::WouldBlock => Err(AttachError::Full),
            // A gateway that refuses closes at once; its words may still be waiting for us.
            Sent::Closed => Err(self.last_words().unwrap_or(AttachError::Closed)),
        }
    }

    /// Waits for the answer to [`Client::hello`], at most `timeout`, and checks what came with it.
    pub fn welcome(&mut self, timeout: Duration) -> Result<Attached, AttachError> {
        let deadline = Instant::now() + timeout;
        loop {
            match codec::recv(self.sock.as_fd(), FDS_MAX)? {
                Incoming::Closed => return Err(AttachError::Closed),
                Incoming::WouldBlock => self.wait_readable(deadline, timeout)?,
                Incoming::Packet(message) => match message.kind() {
                    PacketKind::Welcome if self.is_answer(&message.body()?)? => {
                        return self.accept_welcome(message);
                    }
                    // Of a launched agent's seat, sent before our hello was read; the answer follows.
                    PacketKind::Welcome => {}
                    // Sent before our hello was read; the welcome will bring this generation or a later one.
                    PacketKind::PlaneChanged => {}
                    PacketKind::Refused => return Err(refusal(&message)?),
                    kind => return Err(AttachError::Unexpected { kind }),
                },
            }
        }
    }

    /// Looks, without waiting, whether the gateway said something that matters.
    ///
    /// Repetitions of what the caller has are skipped. After an error the client stays usable: the packet
    /// is consumed, and what the caller had is still the truth as far as anyone told us.
    ///
    /// A plane that came and could not be taken, because this process may open no more files just now or has no room
    /// for it, is asked for again, at most once a second, until there is one.
    pub fn poll(&mut self) -> Result<ClientEvent, AttachError> {
        if let (Some(ask_at), Some(hello)) = (self.behind, self.hello)
            && Instant::now() >= ask_at
        {
            self.behind = Some(Instant::now() + ASK_AGAIN);
            // If that does not go either, the look tells why.
            let _ = codec::send(self.sock.as_fd(), PacketKind::Hello, &hello, &[]);
        }
        let looked = self.look();
        if looked.as_ref().is_err_and(AttachError::is_shortage) {
            self.behind.get_or_insert(Instant::now() + ASK_AGAIN);
        }
        looked
    }

    fn look(&mut self) -> Result<ClientEvent, AttachError> {
        loop {
            let message = match codec::recv(self.sock.as_fd(), FDS_MAX)? {
                Incoming::WouldBlock => return Ok(ClientEvent::Nothing),
                Incoming::Closed => return Ok(ClientEvent::GatewayGone),
                Incoming::Packet(message) => message,
            };
            match message.kind() {
                PacketKind::PlaneChanged => {
                    let plane = self.accept_plane(message)?;
                    self.behind = None;
                    if let Some(plane) = plane {
                        return Ok(ClientEvent::PlaneChanged(Box::new(plane)));
                    }
                }
                PacketKind::Welcome => {
                    let welcome: Welcome = message.body()?;
                    self.is_answer(&welcome)?;
                    if self.current == Some(Current::of(&welcome)) {
                        self.behind = None;
                    } else {
                        let attached = self.accept_welcome(message)?;
                        self.behind = None;
                        return Ok(ClientEvent::Welcome(Box::new(attached)));
                    }
                }
                PacketKind::Refused => return Err(refusal(&message)?),
                kind => return Err(AttachError::Unexpected { kind }),
            }
        }
    }

    /// Hands a report to the gateway, without waiting.
    pub fn report(&mut self, report: Report) -> Result<Sent, CodecError> {
        codec::send(self.sock.as_fd(), PacketKind::Report, &AgentReport { report }, &[])
    }

    fn accept_welcome(&mut self, message: Message) -> Result<Attached, AttachError> {
        let welcome: Welcome = message.body()?;
        at_most("agents", welcome.site_count, SITES_MAX)?;
        at_most("ticks in a window", welcome.window_ticks, WINDOW_TICKS_MAX)?;
        let (plane, mailbox, wake) = match (welcome.agent_id != 0, welcome.wake_fd != 0) {
            (false, false) => {
                let [plane] = message.take_fds()?;
                (plane, None, None)
            }
            (false, true) => {
                let [plane, wake] = message.take_fds()?;
                (plane, None, Some(wake))
            }
            (true, false) => {
                let [plane, mailbox] = message.take_fds()?;
                (plane, Some(mailbox), None)
            }
            (true, true) => {
                let [plane, mailbox, wake] = message.take_fds()?;
                (plane, Some(mailbox), Some(wake))
            }
        };
        let mailbox = mailbox.map(Mailbox::from_fd).transpose()?;
        let plane = attach_plane(plane, welcome.generation, welcome.total_bytes)?;
        self.current = Some(Current::of(&welcome));
        Ok(Attached { welcome, plane, mailbox, wake: wake.map(WakeFd::from_fd) })
    }

    /// Whether a welcome answers all that our hello asked for. A gateway that has heard no hello of ours, because
    /// its predecessor did, is told again, once.
    fn is_answer(&mut self, welcome: &Welcome) -> Result<bool, AttachError> {
        let Some(hello) = self.hello else { return Ok(true) };
        if hello.flags & !welcome.hello_flags & hello_flag::WAKE_FD == 0 {
            return Ok(true);
        }
        if self.asked_again != welcome.incarnation {
            self.say(&hello)?;
            self.asked_again = welcome.incarnation;
        }
        Ok(false)
    }

    fn accept_plane(&mut self, message: Message) -> Result<Option<PlaneReader>, AttachError> {
        let changed: PlaneChanged = message.body()?;
        let current = self.current;
        let [plane] = message.take_fds()?;
        if current.is_some_and(|current| changed.generation <= current.generation) {
            return Ok(None);
        }
        let plane = attach_plane(plane, changed.generation, changed.total_bytes)?;
        equal("first sequence", changed.first_sequence, plane.header().first_sequence)?;
        let before = current.unwrap_or(Current { incarnation: 0, generation: 0, hello_flags: 0 });
        self.current = Some(Current { generation: changed.generation, ..before });
        Ok(Some(plane))
    }

    fn wait_readable(&self, deadline: Instant, timeout: Duration) -> Result<(), AttachError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AttachError::Timeout { waited: timeout });
        }
        poll::poll(&mut [PollFd::new(self.sock.as_fd(), Interest::READ)], Some(left))?;
        Ok(())
    }

    fn last_words(&self) -> Option<AttachError> {
        match codec::recv(self.sock.as_fd(), FDS_MAX) {
            Ok(Incoming::Packet(message)) if message.kind() == PacketKind::Refused => {
                refusal(&message).ok()
            }
            _ => None,
        }
    }
}

impl Current {
    fn of(welcome: &Welcome) -> Self {
        let Welcome { incarnation, generation, hello_flags, .. } = *welcome;
        Self { incarnation, generation, hello_flags }
    }
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Welcome { agent_id, generation, incarnation, .. } = &self.welcome;
        write!(f, "Attached(agent {agent_id}, generation {generation}, gateway {incarnation})")
    }
}

impl std::fmt::Debug for ClientEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::PlaneChanged(plane) => write!(f, "PlaneChanged({})", plane.generation()),
            Self::Welcome(attached) => write!(f, "Welcome({attached:?})"),
            Self::GatewayGone => f.write_str("GatewayGone"),
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sock.as_fd()
    }
}

fn attach_plane(fd: OwnedFd, generation: u64, bytes: u64) -> Result<PlaneReader, AttachError> {
    let plane = PlaneReader::attach(fd)?;
    equal("generation", generation, plane.header().generation)?;
    equal("size", bytes, plane.header().total_bytes)?;
    Ok(plane)
}

fn at_most(what: &'static str, announced: u32, max: u32) -> Result<(), AttachError> {
    if announced <= max { Ok(()) } else { Err(AttachError::Unbelievable { what, announced, max }) }
}

fn equal(what: &'static str, announced: u64, found: u64) -> Result<(), AttachError> {
    if announced == found { Ok(()) } else { Err(AttachError::Mismatch { what, announced, found }) }
}

/// The typed form of a refusal; `Err` if the packet itself is unsound.
fn refusal(message: &Message) -> Result<AttachError, CodecError> {
    let refused: Refused = message.body()?;
    Ok(AttachError::Refused {
        code: refusal_code(refused.code),
        theirs: Abi {
            major: refused.abi_major,
            minor: refused.abi_minor,
            layout_hash: refused.layout_hash,
        },
        text: text::unpack(&refused.text),
    })
}

fn refusal_code(number: u32) -> Option<RefusalCode> {
    [
        RefusalCode::Layout,
        RefusalCode::Protocol,
        RefusalCode::Full,
        RefusalCode::Permission,
        RefusalCode::NotRunning,
    ]
    .into_iter()
    .find(|code| *code as u32 == number)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
