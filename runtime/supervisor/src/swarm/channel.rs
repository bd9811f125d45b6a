//! The socket to one child, with a queue: a child that does not listen holds nobody up.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytemuck::Pod;
use rsw_attach::{CodecError, Incoming, Sent, codec};
use rsw_os::poll::Interest;
use rsw_schemas::wire::PacketKind;

/// Packets that may wait: more than every seat of the largest swarm at once.
const WAITING_MAX: usize = 16_384;

type Packet = Box<dyn Fn(BorrowedFd<'_>) -> Result<Sent, CodecError>>;

/// One end of a socket pair, and the packets that did not fit into it yet.
pub(super) struct Channel {
    fd: OwnedFd,
    waiting: VecDeque<Packet>,
}

impl Channel {
    /// A channel over one end of a pair.
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, waiting: VecDeque::new() }
    }

    /// Whether so much waits that the child must be deaf.
    pub(super) fn is_overfull(&self) -> bool {
        self.waiting.len() > WAITING_MAX
    }

    /// For `poll`.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Reading always; writing while something waits.
    pub(super) fn interest(&self) -> Interest {
        if self.waiting.is_empty() { Interest::READ } else { Interest::BOTH }
    }

    /// Sends now or as soon as there is room, in order. A child that is gone is noticed elsewhere.
    pub(super) fn send<B: Pod>(&mut self, kind: PacketKind, body: B, fds: Vec<OwnedFd>) {
        self.queue(Box::new(move |socket| {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            codec::send(socket, kind, &body, &fds)
        }));
    }

    /// As [`Self::send`], without a body.
    pub(super) fn send_empty(&mut self, kind: PacketKind, fds: Vec<OwnedFd>) {
        self.queue(Box::new(move |socket| {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            codec::send_empty(socket, kind, &fds)
        }));
    }

    fn queue(&mut self, packet: Packet) {
        self.waiting.push_back(packet);
        self.flush();
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        while let Some(packet) = self.waiting.front() {
            match packet(self.fd.as_fd()) {
                Ok(Sent::WouldBlock) => return,
                _ => self.waiting.pop_front(),
            };
        }
    }

    /// The next packet of the child.
    pub(super) fn receive(&self) -> Result<Incoming, CodecError> {
        codec::recv(self.fd.as_fd(), 2)
    }
}
