//! One connection: who is at the other end, what it said, and what of it was refused.

use std::os::fd::{AsFd, OwnedFd};

use bytemuck::Zeroable;
use rsw_attach::{CodecError, Incoming, Message, codec};
use rsw_schemas::event::Report;
use rsw_schemas::text;
use rsw_schemas::wire::{AgentReport, AgentSeat, Hello, PacketKind};

use crate::report::{Bounds, RateLimit, ReportFault, check};
use crate::waker::Waker;

/// An alert about a client at most this often.
const ALERT_PERIOD_NS: u64 = 1_000_000_000;
/// A stranger must say hello within this.
const HELLO_WITHIN_NS: u64 = 5_000_000_000;

/// What the other end is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The supervisor launched it. A predecessor of this gateway may have heard its hello.
    Seat,
    /// It connected to the public socket and has not said hello.
    Stranger,
    /// It connected to the public socket and takes part.
    Guest,
    /// It only looks.
    Observer,
}

/// What a client said.
#[derive(Debug)]
pub(crate) enum Said {
    /// Nothing more.
    Nothing,
    /// It is gone.
    Gone,
    /// Its first words, or the same again.
    Hello(Box<Hello>),
    /// An admitted report.
    Report(Box<Report>),
    /// Something that was refused and booked; the connection goes on.
    Refused,
    /// Something that is not our protocol: the connection must end.
    Broken(String),
}

/// One connection.
pub(crate) struct Client {
    pub(crate) sock: OwnedFd,
    pub(crate) role: Role,
    /// Identity, by the channel; id 0 for strangers and observers.
    pub(crate) seat: AgentSeat,
    pub(crate) mailbox: Option<OwnedFd>,
    /// This gateway heard its hello.
    pub(crate) greeted: bool,
    /// It got a welcome of this gateway.
    pub(crate) welcomed: bool,
    /// A welcome did not fit its socket yet.
    pub(crate) owes_welcome: bool,
    /// A welcome could not be made: when it is tried again; 0: none is owed.
    pub(crate) retry_welcome_ns: u64,
    /// Flags of its last hello to this gateway.
    pub(crate) hello_flags: u32,
    /// If it asked for one.
    pub(crate) waker: Option<Waker>,
    since_ns: u64,
    limit: RateLimit,
    last_tick: u64,
    refused: u64,
    refused_why: String,
    alerted_ns: u64,
}

impl Client {
    /// A connection from the public socket, of process `pid`.
    pub(crate) fn stranger(sock: OwnedFd, pid: u32, now_ns: u64) -> Self {
        Self::new(sock, Role::Stranger, AgentSeat { pid, ..AgentSeat::zeroed() }, None, now_ns)
    }

    /// A launched agent.
    pub(crate) fn seated(sock: OwnedFd, seat: AgentSeat, mailbox: OwnedFd, now_ns: u64) -> Self {
        Self::new(sock, Role::Seat, seat, Some(mailbox), now_ns)
    }

    fn new(
        sock: OwnedFd,
        role: Role,
        seat: AgentSeat,
        mailbox: Option<OwnedFd>,
        now_ns: u64,
    ) -> Self {
        Self {
            sock,
            role,
            seat,
            mailbox,
            greeted: false,
            welcomed: false,
            owes_welcome: false,
            retry_welcome_ns: 0,
            hello_flags: 0,
            waker: None,
            since_ns: now_ns,
            limit: RateLimit::new(now_ns),
            last_tick: 0,
            refused: 0,
            refused_why: String::new(),
            alerted_ns: 0,
        }
    }

    /// Takes one packet from the socket, without waiting.
    pub(crate) fn hear(&mut self, now_ns: u64, bounds: Bounds) -> Said {
        // No descriptor of a client is ever taken.
        match codec::recv(self.sock.as_fd(), 0) {
            Ok(Incoming::WouldBlock) => Said::Nothing,
            Ok(Incoming::Closed) | Err(CodecError::Os(_)) => Said::Gone,
            Ok(Incoming::Packet(message)) => self.understand(&message, now_ns, bounds),
            Err(error) => Said::Broken(error.to_string()),
        }
    }

    fn understand(&mut self, message: &Message, now_ns: u64, bounds: Bounds) -> Said {
        let may_report = matches!(self.role, Role::Seat | Role::Guest);
        let broken = |error: CodecError| Said::Broken(error.to_string());
        let limited = self.limit.take(now_ns);
        match message.kind() {
            PacketKind::Hello => match (message.body(), limited) {
                (Ok(hello), Ok(())) => Said::Hello(Box::new(hello)),
                (Ok(_), Err(fault)) => self.refuse(fault),
                (Err(error), _) => broken(error),
            },
            PacketKind::Report if may_report => match (message.body::<AgentReport>(), limited) {
                (Ok(AgentReport { report }), Ok(())) => self.admit(report, bounds),
                (Ok(_), Err(fault)) => self.refuse(fault),
                (Err(error), _) => broken(error),
            },
            kind => Said::Broken(format!("a {kind:?} packet has no place here")),
        }
    }

    fn admit(&mut self, report: Report, bounds: Bounds) -> Said {
        match check(&report, Bounds { last_tick: self.last_tick, ..bounds }) {
            Ok(()) => {
                self.last_tick = report.tick;
                Said::Report(Box::new(report))
            }
            Err(fault) => self.refuse(fault),
        }
    }

    fn refuse(&mut self, fault: ReportFault) -> Said {
        self.refused += 1;
        self.refused_why = fault.to_string();
        Said::Refused
    }

    /// The words of an alert about what was refused since the last one, if one is due.
    pub(crate) fn alert(&mut self, now_ns: u64) -> Option<String> {
        let due = self.alerted_ns == 0 || now_ns.saturating_sub(self.alerted_ns) >= ALERT_PERIOD_NS;
        if self.refused == 0 || self.seat.agent_id == 0 || !due {
            return None;
        }
        self.alerted_ns = now_ns;
        let count = std::mem::take(&mut self.refused);
        Some(format!("{}: {count} refused: {}", text::unpack(&self.seat.name), self.refused_why))
    }

    /// A new generation may continue from an earlier tick.
    pub(crate) fn forget_ticks(&mut self) {
        self.last_tick = 0;
    }

    /// A stranger that keeps silent too long.
    pub(crate) fn overstays(&self, now_ns: u64) -> bool {
        let waited_ns = now_ns.saturating_sub(self.since_ns);
        self.role == Role::Stranger && waited_ns > HELLO_WITHIN_NS
    }

    /// Ends the connection for every holder of the socket: the supervisor keeps a duplicate of each seat's.
    pub(crate) fn hang_up(&self) {
        // It fails only where the peer is gone already.
        let _ = rustix::net::shutdown(&self.sock, rustix::net::Shutdown::Both);
    }
}
