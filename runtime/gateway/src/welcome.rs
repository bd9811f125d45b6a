//! The packets to clients: welcome, refusal, a new plane.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rsw_attach::{CodecError, Sent, codec};
use rsw_config::Topology;
use rsw_os::memfd;
use rsw_plane::PlaneReader;
use rsw_schemas::wire::{
    Hello, Isolation, PacketKind, PlaneChanged, RefusalCode, Refused, Welcome,
};
use rsw_schemas::{ABI_MAJOR, ABI_MINOR, LAYOUT_HASH, text};

use crate::client::Client;
use crate::error::GatewayError;

/// Room for the folder in [`Welcome::loan_root`], its terminator excepted.
const LOAN_ROOT_BYTES_MAX: usize = 199;

/// The current generation as clients get it.
pub(crate) struct Plane {
    fd: OwnedFd,
    changed: PlaneChanged,
    pub(crate) reader: PlaneReader,
}

impl Plane {
    /// Takes the supervisor's descriptor and checks what is behind it.
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, GatewayError> {
        let reader = PlaneReader::attach(memfd::reopen_read_only(&fd)?)?;
        let header = reader.header();
        let changed = PlaneChanged {
            generation: header.generation,
            total_bytes: header.total_bytes,
            first_sequence: header.first_sequence,
        };
        Ok(Self { fd, changed, reader })
    }
}

/// What every welcome says.
pub(crate) struct Host {
    window_ticks: u32,
    report_ticks: u32,
    pub(crate) site_count: u32,
    pub(crate) incarnation: u64,
    loan_root: [u8; 200],
}

impl Host {
    pub(crate) fn new(
        topology: &Topology,
        loan_root: &Path,
        incarnation: u64,
    ) -> Result<Self, GatewayError> {
        let root = loan_root.to_str().filter(|root| root.len() <= LOAN_ROOT_BYTES_MAX);
        let root = root.ok_or_else(|| GatewayError::LoanRoot { path: loan_root.to_owned() })?;
        Ok(Self {
            window_ticks: topology.config.sync.window_ticks,
            report_ticks: topology.report_ticks,
            site_count: u32::try_from(topology.agents.len()).unwrap_or(u32::MAX),
            incarnation,
            loan_root: text::pack(root),
        })
    }

    /// Sends a welcome with a read-only re-open of the plane of the client's own, and its mailbox and its eventfd
    /// if it has one.
    pub(crate) fn welcome(&self, client: &Client, plane: &Plane) -> Result<Sent, GatewayError> {
        let seat = &client.seat;
        let strict = seat.isolation == Isolation::Strict as u32;
        let welcome = Welcome {
            agent_id: seat.agent_id,
            isolation: seat.isolation,
            generation: plane.changed.generation,
            total_bytes: plane.changed.total_bytes,
            window_ticks: self.window_ticks,
            report_ticks: self.report_ticks,
            site_count: self.site_count,
            loans: u32::from(!strict),
            incarnation: self.incarnation,
            loan_root: self.loan_root,
            name: seat.name,
            wait: seat.wait,
            hello_flags: client.hello_flags,
            wake_fd: u32::from(client.waker.is_some()),
        };
        let plane_fd = memfd::reopen_read_only(&plane.fd)?;
        let mut fds = vec![plane_fd.as_fd()];
        fds.extend(client.mailbox.as_ref().map(AsFd::as_fd));
        fds.extend(client.waker.as_ref().map(AsFd::as_fd));
        Ok(codec::send(client.sock.as_fd(), PacketKind::Welcome, &welcome, &fds)?)
    }
}

/// Announces a new generation.
pub(crate) fn plane_changed(sock: BorrowedFd<'_>, plane: &Plane) -> Result<Sent, GatewayError> {
    let plane_fd = memfd::reopen_read_only(&plane.fd)?;
    Ok(codec::send(sock, PacketKind::PlaneChanged, &plane.changed, &[plane_fd.as_fd()])?)
}

/// Says no, with the reason; best effort, since the socket ends afterwards either way.
pub(crate) fn refuse(sock: BorrowedFd<'_>, code: RefusalCode, words: &str) {
    let refused = Refused {
        code: code as u32,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        reserved: 0,
        layout_hash: LAYOUT_HASH,
        text: text::pack(words),
    };
    let _: Result<Sent, CodecError> = codec::send(sock, PacketKind::Refused, &refused, &[]);
}

/// Whether a client of another build may enter; if not, the words that name both.
pub(crate) fn check_abi(hello: &Hello) -> Result<(), String> {
    if (hello.abi_major, hello.layout_hash) == (ABI_MAJOR, LAYOUT_HASH) {
        return Ok(());
    }
    Err(format!(
        "client has abi {}.{} layout {:016x}, this swarm has abi {ABI_MAJOR}.{ABI_MINOR} layout \
         {LAYOUT_HASH:016x}: run programs of one build",
        hello.abi_major, hello.abi_minor, hello.layout_hash
    ))
}
