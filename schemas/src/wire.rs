//! Packets on the swarm's sockets (`SOCK_SEQPACKET`: one packet, one message, its file descriptors beside it).
//!
//! A packet is [`Packet`], then the POD that `kind` names. Whoever receives one checks magic, kind and
//! length before it looks at the body; identity comes from the socket, never from the body.

use crate::layout::layout;

/// First word of every packet.
pub const PACKET_MAGIC: u32 = 0x3157_5352; // "RSW1"
/// No packet is larger.
pub const PACKET_BYTES_MAX: usize = 512;
/// No swarm has more agents: ids, seats and windows are laid out for it.
pub const SITES_MAX: u32 = 4096;
/// No agent looks back further, in ticks.
pub const WINDOW_TICKS_MAX: u32 = 65_536;

layout! {
    /// Head of every packet.
    pub struct Packet: 16 {
        /// [`PACKET_MAGIC`].
        pub magic: u32,
        /// A [`PacketKind`] as its number.
        pub kind: u32,
        /// Bytes of the body.
        pub len_bytes: u32,
        /// Zero.
        pub reserved: u32,
    }
}

/// What a packet says. The numbers are ABI.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// Client to gateway: [`Hello`].
    Hello = 1,
    /// Gateway to client: [`Welcome`], fds: plane, mailbox, eventfd; the last two where there are any.
    Welcome = 2,
    /// Gateway to client: [`Refused`], then the socket closes.
    Refused = 3,
    /// Gateway to client, supervisor to gateway and recorder: [`PlaneChanged`], fd: plane.
    PlaneChanged = 4,
    /// Client to gateway: [`AgentReport`].
    Report = 5,

    /// Kernel to supervisor: [`KernelReady`], fd: plane (read-only).
    KernelReady = 16,
    /// Any child to supervisor: [`ProcessText`]; it is about to exit with a failure.
    Failed = 17,
    /// Kernel to supervisor: [`TickMark`]; `--ticks` is reached.
    Finished = 18,
    /// Supervisor to any child: no body; finish in order and exit 0.
    Stop = 19,
    /// Supervisor to kernel: no body, fd: recorder page (read-only).
    RecorderPage = 20,
    /// Supervisor to kernel: no body, fd: socket of a (new) gateway. To gateway: socket of a (new) kernel.
    Link = 21,
    /// Supervisor to kernel: no body; everybody who must see the first tick is there.
    Go = 22,

    /// Gateway to supervisor: no body; loans and socket are up.
    GatewayReady = 32,
    /// Supervisor to gateway: [`AgentSeat`], fds: socket, mailbox.
    Seat = 33,
    /// Supervisor to gateway: [`AgentSeat`]; the process is gone.
    SeatGone = 34,
    /// Gateway to supervisor: [`AgentSeat`], fd: mailbox; somebody attached over the public socket.
    Attached = 35,
    /// Gateway to supervisor: [`AgentSeat`]; such a one is gone.
    Detached = 36,
    /// Gateway to kernel: [`Admitted`].
    Admitted = 37,

    /// Recorder to supervisor: no body, fd: recorder page (read-only); the database is open.
    RecorderReady = 48,
    /// Supervisor to recorder: [`GenerationNote`], fd: plane. Generations come in order.
    Generation = 49,
    /// Supervisor to recorder: [`GenerationNote`]; the writer of that generation is gone, its cursor is final.
    GenerationEnd = 50,
    /// Recorder to supervisor: [`GenerationNote`]; everything of that generation is in AgentDB.
    GenerationDone = 51,
}

impl PacketKind {
    /// The kind behind a number, if it is one.
    pub const fn from_u32(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Hello,
            2 => Self::Welcome,
            3 => Self::Refused,
            4 => Self::PlaneChanged,
            5 => Self::Report,
            16 => Self::KernelReady,
            17 => Self::Failed,
            18 => Self::Finished,
            19 => Self::Stop,
            20 => Self::RecorderPage,
            21 => Self::Link,
            22 => Self::Go,
            32 => Self::GatewayReady,
            33 => Self::Seat,
            34 => Self::SeatGone,
            35 => Self::Attached,
            36 => Self::Detached,
            37 => Self::Admitted,
            48 => Self::RecorderReady,
            49 => Self::Generation,
            50 => Self::GenerationEnd,
            51 => Self::GenerationDone,
            _ => return None,
        })
    }
}

/// How an agent is kept. The numbers are ABI.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Launched by the supervisor: plane read-only, loans, Landlock, seccomp, rlimits.
    Sandboxed = 1,
    /// As `Sandboxed`, but no loans: no file is reachable.
    Strict = 2,
    /// Nothing but the seals of the plane.
    None = 3,
}

impl Isolation {
    /// The isolation behind a number, if it is one.
    pub const fn from_u32(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Sandboxed,
            2 => Self::Strict,
            3 => Self::None,
            _ => return None,
        })
    }

    /// The name in the swarm file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sandboxed => "sandboxed",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }
}

layout! {
    /// A client's first words.
    pub struct Hello: 88 {
        /// [`crate::ABI_MAJOR`] of the client.
        pub abi_major: u32,
        /// [`crate::ABI_MINOR`] of the client.
        pub abi_minor: u32,
        /// [`crate::LAYOUT_HASH`] of the client.
        pub layout_hash: u64,
        /// Bits of [`hello_flag`].
        pub flags: u32,
        /// Zero.
        pub reserved: u32,
        /// What it calls itself; a launched agent already has a name and this one is ignored.
        pub name: [u8; 64],
    }
}

/// Bits of [`Hello::flags`].
pub mod hello_flag {
    /// The client only looks: no mailbox, no name, no `joined` event.
    pub const OBSERVER: u32 = 1;
    /// The client lives in an event loop and wants an eventfd that becomes readable when a batch was committed.
    pub const WAKE_FD: u32 = 2;
}

layout! {
    /// The gateway's answer.
    pub struct Welcome: 352 {
        /// Id of the client, from 1; 0 for an observer.
        pub agent_id: u32,
        /// An [`Isolation`] as its number.
        pub isolation: u32,
        /// Generation of the plane beside this packet.
        pub generation: u64,
        /// Size of that plane.
        pub total_bytes: u64,
        /// Ticks in the synchronisation window.
        pub window_ticks: u32,
        /// Ticks from one report to the next.
        pub report_ticks: u32,
        /// Agents with a site (ids 1 to this).
        pub site_count: u32,
        /// 1 if loans are offered to this client.
        pub loans: u32,
        /// Incarnation of the gateway, part of the loan services' names.
        pub incarnation: u64,
        /// Folder that holds the loans.
        pub loan_root: [u8; 200],
        /// Name of the client.
        pub name: [u8; 64],
        /// Wait strategy from the swarm file, as text; empty for the default.
        pub wait: [u8; 32],
        /// [`Hello::flags`] of the hello that this answers; 0 if this gateway has heard none.
        pub hello_flags: u32,
        /// 1 if an eventfd lies beside this packet.
        pub wake_fd: u32,
    }
}

layout! {
    /// Why the gateway says no.
    pub struct Refused: 216 {
        /// A [`RefusalCode`] as its number.
        pub code: u32,
        /// [`crate::ABI_MAJOR`] of the gateway.
        pub abi_major: u32,
        /// [`crate::ABI_MINOR`] of the gateway.
        pub abi_minor: u32,
        /// Zero.
        pub reserved: u32,
        /// [`crate::LAYOUT_HASH`] of the gateway.
        pub layout_hash: u64,
        /// The reason and the way out, in words.
        pub text: [u8; 192],
    }
}

/// Why a client was refused. The numbers are ABI.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// Major version or layout hash differ.
    Layout = 1,
    /// The packet is not what the protocol asks for here.
    Protocol = 2,
    /// Too many clients.
    Full = 3,
    /// The peer's user id is not ours.
    Permission = 4,
    /// No plane exists yet, or no more.
    NotRunning = 5,
}

layout! {
    /// A new generation; its plane lies beside this packet.
    pub struct PlaneChanged: 24 {
        /// The generation.
        pub generation: u64,
        /// Size of the plane.
        pub total_bytes: u64,
        /// Its first sequence.
        pub first_sequence: u64,
    }
}

layout! {
    /// An agent's report, as it arrives: an allegation until the gateway has checked it.
    pub struct AgentReport: 96 {
        /// The body; the gateway fills in nothing, the kernel adds the source.
        pub report: crate::event::Report,
    }
}

layout! {
    /// The kernel's plane exists and is sealed.
    pub struct KernelReady: 40 {
        /// The generation.
        pub generation: u64,
        /// Size of the plane.
        pub total_bytes: u64,
        /// Its first sequence.
        pub first_sequence: u64,
        /// Last tick of the state it continues from; 0 for a fresh start.
        pub resumed_tick: u64,
        /// Last tick of the generation before it.
        pub previous_tick: u64,
    }
}

layout! {
    /// Last words.
    pub struct ProcessText: 400 {
        /// Exit code that will follow (see [`crate::exit`]).
        pub exit_code: u32,
        /// Zero.
        pub reserved: u32,
        /// Object, reason and way out, in words.
        pub text: [u8; 392],
    }
}

layout! {
    /// A tick.
    pub struct TickMark: 16 {
        /// The tick.
        pub tick: u64,
        /// Ring cursor after it.
        pub cursor: u64,
    }
}

layout! {
    /// A seat: one agent that the supervisor launched, or that attached by itself.
    pub struct AgentSeat: 128 {
        /// Id of the agent.
        pub agent_id: u32,
        /// Pid of the agent.
        pub pid: u32,
        /// An [`Isolation`] as its number.
        pub isolation: u32,
        /// Zero.
        pub reserved: u32,
        /// Its name.
        pub name: [u8; 64],
        /// Its wait strategy.
        pub wait: [u8; 32],
        /// Zero.
        pub reserved_tail: [u64; 2],
    }
}

layout! {
    /// One generation, as supervisor and recorder speak of it.
    pub struct GenerationNote: 40 {
        /// The generation.
        pub generation: u64,
        /// Size of its plane.
        pub total_bytes: u64,
        /// Its first sequence.
        pub first_sequence: u64,
        /// Its final cursor, once the writer is gone; else `u64::MAX`.
        pub end_sequence: u64,
        /// `CLOCK_REALTIME` when it began.
        pub wall_ns: u64,
    }
}

layout! {
    /// What the gateway lets through to the kernel.
    pub struct Admitted: 112 {
        /// A [`crate::event::EventKind`]: `Report`, `Joined`, `Left` or `Alert`.
        pub kind: u16,
        /// Bytes of payload.
        pub len_bytes: u16,
        /// The agent it comes from, by its channel.
        pub source: u32,
        /// `CLOCK_MONOTONIC` when it was admitted.
        pub admitted_mono_ns: u64,
        /// The payload of the event to be.
        pub payload: [u8; 96],
    }
}
