//! One packet in, one packet out: head, body and descriptors, checked before anybody looks at the body.
//!
//! The codec knows the form of a packet, not who may send what when. It works on its own copy of the bytes,
//! so a peer cannot change them after the check. Thread safety: functions on a borrowed socket; two threads
//! that receive on one socket each get whole packets.

use std::os::fd::{BorrowedFd, OwnedFd};

use bytemuck::{Pod, Zeroable};
use rsw_os::OsError;
use rsw_os::packet::{self, Received, SendError};
use rsw_schemas::wire::{PACKET_BYTES_MAX, PACKET_MAGIC, Packet, PacketKind};

const HEAD_BYTES: usize = size_of::<Packet>();

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    /// The socket has it, whole.
    Done,
    /// The peer does not drain its socket; nothing was sent.
    WouldBlock,
    /// The peer is gone; nothing was sent.
    Closed,
}

/// What a socket had for us.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the kernel looks between ticks, where nothing allocates"
)]
pub enum Incoming {
    /// Nothing yet.
    WouldBlock,
    /// The peer is gone, and everything it sent was received.
    Closed,
    /// One packet of sound form.
    Packet(Message),
}

/// A packet of sound form: the kind is known, the length is what arrived.
#[derive(Debug)]
pub struct Message {
    kind: PacketKind,
    body: [u8; PACKET_BYTES_MAX],
    len_bytes: usize,
    fds: Vec<OwnedFd>,
}

impl Message {
    /// What the packet says it is.
    pub fn kind(&self) -> PacketKind {
        self.kind
    }

    /// The body's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.body[..self.len_bytes]
    }

    /// The body as a POD of exactly this length.
    pub fn body<T: Pod>(&self) -> Result<T, CodecError> {
        if self.len_bytes != size_of::<T>() {
            return Err(CodecError::BadLength {
                kind: self.kind,
                expected_bytes: size_of::<T>(),
                found_bytes: self.len_bytes,
            });
        }
        Ok(bytemuck::pod_read_unaligned(self.bytes()))
    }

    /// Checks that there is no body.
    pub fn no_body(&self) -> Result<(), CodecError> {
        self.body::<()>()
    }

    /// The descriptors that came along, in order.
    pub fn into_fds(self) -> Vec<OwnedFd> {
        self.fds
    }

    /// How many descriptors came along.
    pub fn fd_count(&self) -> usize {
        self.fds.len()
    }

    /// Exactly `N` descriptors; any other number is the peer's error and closes them all.
    pub fn take_fds<const N: usize>(self) -> Result<[OwnedFd; N], CodecError> {
        let kind = self.kind;
        self.fds.try_into().map_err(|fds: Vec<OwnedFd>| CodecError::WrongFds {
            kind,
            expected: N,
            found: fds.len(),
        })
    }
}

/// Why a packet was not sent or not accepted. All but `NoDescriptor` and `Os` are the peer's fault.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The first word is not ours.
    #[error(
        "packet begins with {found:#010x}, not with ours; the peer does not speak this protocol"
    )]
    BadMagic {
        /// The first word.
        found: u32,
    },
    /// The kind is none of this build's.
    #[error("packet of unknown kind {found}; the peer is of another build, restart it with ours")]
    UnknownKind {
        /// The number.
        found: u32,
    },
    /// Head, body or what `kind` names differ in length.
    #[error(
        "{kind:?} packet carries {found_bytes} bytes instead of {expected_bytes}; the peer is of another build, restart it with ours"
    )]
    BadLength {
        /// The kind.
        kind: PacketKind,
        /// Bytes that the kind or the head promises.
        expected_bytes: usize,
        /// Bytes that are there.
        found_bytes: usize,
    },
    /// The packet ends inside its head.
    #[error(
        "packet of {found_bytes} bytes is shorter than its head; the peer does not speak this protocol"
    )]
    Short {
        /// Bytes that came.
        found_bytes: usize,
    },
    /// More bytes or more descriptors than any packet may carry; the rest is lost.
    #[error(
        "packet is larger than {PACKET_BYTES_MAX} bytes or carries too many descriptors; drop the peer"
    )]
    Truncated,
    /// This process may open no more descriptors, so that those of the packet are lost, and it with them.
    #[error("packet lost: this process may open no more files; raise its limit (`ulimit -n`)")]
    NoDescriptor,
    /// Another number of descriptors than the kind asks for.
    #[error("{kind:?} packet carries {found} descriptors instead of {expected}; drop the peer")]
    WrongFds {
        /// The kind.
        kind: PacketKind,
        /// Descriptors that the kind asks for.
        expected: usize,
        /// Descriptors that came.
        found: usize,
    },
    /// The system refused.
    #[error(transparent)]
    Os(#[from] OsError),
}

/// Sends a packet with a body, without waiting. Descriptors are duplicated into the peer.
pub fn send<B: Pod>(
    sock: BorrowedFd<'_>,
    kind: PacketKind,
    body: &B,
    fds: &[BorrowedFd<'_>],
) -> Result<Sent, CodecError> {
    const { assert!(size_of::<B>() + HEAD_BYTES <= PACKET_BYTES_MAX) };
    send_bytes(sock, kind, bytemuck::bytes_of(body), fds)
}

/// Sends a packet without a body, without waiting.
pub fn send_empty(
    sock: BorrowedFd<'_>,
    kind: PacketKind,
    fds: &[BorrowedFd<'_>],
) -> Result<Sent, CodecError> {
    send_bytes(sock, kind, &[], fds)
}

fn send_bytes(
    sock: BorrowedFd<'_>,
    kind: PacketKind,
    body: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<Sent, CodecError> {
    let head = Packet {
        magic: PACKET_MAGIC,
        kind: kind as u32,
        len_bytes: body.len() as u32,
        reserved: 0,
    };
    let mut bytes = [0u8; PACKET_BYTES_MAX];
    bytes[..HEAD_BYTES].copy_from_slice(bytemuck::bytes_of(&head));
    bytes[HEAD_BYTES..HEAD_BYTES + body.len()].copy_from_slice(body);
    match packet::send(sock, &bytes[..HEAD_BYTES + body.len()], fds) {
        Ok(packet::Sent::Done) => Ok(Sent::Done),
        Ok(packet::Sent::WouldBlock) => Ok(Sent::WouldBlock),
        Err(SendError::Closed) => Ok(Sent::Closed),
        Err(SendError::Os(error)) => Err(error.into()),
    }
}

/// Receives one packet, without waiting, with at most `fds_max` descriptors; 0 from peers that may send none,
/// and the system drops what they send all the same.
///
/// An error has consumed the packet and closed its descriptors; what to do with the peer is the caller's
/// decision, and the stream of packets stays in step either way.
pub fn recv(sock: BorrowedFd<'_>, fds_max: usize) -> Result<Incoming, CodecError> {
    let mut bytes = [0u8; PACKET_BYTES_MAX];
    match packet::recv(sock, &mut bytes, fds_max)? {
        Received::WouldBlock => Ok(Incoming::WouldBlock),
        Received::Closed => Ok(Incoming::Closed),
        Received::NoDescriptor => Err(CodecError::NoDescriptor),
        Received::Packet { truncated: true, .. } => Err(CodecError::Truncated),
        Received::Packet { len, fds, .. } => parse(&bytes[..len], fds).map(Incoming::Packet),
    }
}

fn parse(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<Message, CodecError> {
    let Some((head, body)) = bytes.split_at_checked(HEAD_BYTES) else {
        return Err(CodecError::Short { found_bytes: bytes.len() });
    };
    let mut packet = Packet::zeroed();
    bytemuck::bytes_of_mut(&mut packet).copy_from_slice(head);
    if packet.magic != PACKET_MAGIC {
        return Err(CodecError::BadMagic { found: packet.magic });
    }
    let Some(kind) = PacketKind::from_u32(packet.kind) else {
        return Err(CodecError::UnknownKind { found: packet.kind });
    };
    if packet.len_bytes as usize != body.len() {
        return Err(CodecError::BadLength {
            kind,
            expected_bytes: packet.len_bytes as usize,
            found_bytes: body.len(),
        });
    }
    let mut own = [0u8; PACKET_BYTES_MAX];
    own[..body.len()].copy_from_slice(body);
    Ok(Message { kind, body: own, len_bytes: body.len(), fds })
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
