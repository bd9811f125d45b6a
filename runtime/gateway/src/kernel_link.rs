//! The socket to the kernel: what was admitted goes out, in order, without ever waiting.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytemuck::{Pod, Zeroable};
use rsw_attach::{CodecError, Incoming, Sent, codec};
use rsw_os::clock::mono_ns;
use rsw_schemas::event::{Alert, AlertCode, EventKind, PAYLOAD_BYTES, Presence, Report};
use rsw_schemas::text;
use rsw_schemas::wire::{Admitted, AgentSeat, PacketKind};

/// Packets kept for a kernel that is busy or being restarted.
const QUEUE_MAX: usize = 1024;

/// The way to the kernel, which may be gone for a while.
#[derive(Debug, Default)]
pub(crate) struct KernelLink {
    sock: Option<OwnedFd>,
    queue: VecDeque<Admitted>,
    dropped: u64,
}

impl KernelLink {
    pub(crate) fn new(sock: Option<OwnedFd>) -> Self {
        Self { sock, ..Self::default() }
    }

    /// Switches to a new kernel; what waits goes to it.
    pub(crate) fn replace(&mut self, sock: OwnedFd) -> Result<(), CodecError> {
        self.sock = Some(sock);
        self.flush()
    }

    /// The socket, and whether something waits to be written to it.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.sock.as_ref().map(|sock| (sock.as_fd(), !self.queue.is_empty()))
    }

    /// The socket can be written, or the kernel is gone.
    pub(crate) fn ready(&mut self) -> Result<(), CodecError> {
        if let Some(sock) = &self.sock
            && matches!(codec::recv(sock.as_fd(), 0), Ok(Incoming::Closed))
        {
            self.sock = None;
        }
        self.flush()
    }

    /// A report of `agent_id`. Without a kernel it is dropped: it would be stale before anyone reads it.
    pub(crate) fn report(&mut self, agent_id: u32, report: &Report) -> Result<(), CodecError> {
        if self.sock.is_none() {
            self.dropped += 1;
            return Ok(());
        }
        self.push(EventKind::Report, agent_id, report)
    }

    /// Somebody joined or left.
    pub(crate) fn presence(&mut self, kind: EventKind, seat: &AgentSeat) -> Result<(), CodecError> {
        let presence = Presence {
            agent_id: seat.agent_id,
            pid: seat.pid,
            isolation: seat.isolation,
            reserved: 0,
            name: seat.name,
        };
        self.push(kind, seat.agent_id, &presence)
    }

    /// Something of a client was refused.
    pub(crate) fn alert(
        &mut self,
        agent_id: u32,
        tick: u64,
        words: &str,
    ) -> Result<(), CodecError> {
        let code = AlertCode::Refused as u32;
        let alert = Alert { tick, code, reserved: 0, text: text::pack(words) };
        self.push(EventKind::Alert, agent_id, &alert)
    }

    /// Admitted packets that found no place.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn push<P: Pod>(&mut self, kind: EventKind, source: u32, body: &P) -> Result<(), CodecError> {
        const { assert!(size_of::<P>() <= PAYLOAD_BYTES) };
        if self.queue.len() == QUEUE_MAX {
            self.dropped += 1;
            return Ok(());
        }
        let mut admitted = Admitted {
            kind: kind as u16,
            len_bytes: size_of::<P>() as u16,
            source,
            admitted_mono_ns: mono_ns(),
            ..Admitted::zeroed()
        };
        admitted.payload[..size_of::<P>()].copy_from_slice(bytemuck::bytes_of(body));
        self.queue.push_back(admitted);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), CodecError> {
        while let (Some(sock), Some(next)) = (&self.sock, self.queue.front()) {
            match codec::send(sock.as_fd(), PacketKind::Admitted, next, &[])? {
                Sent::Done => drop(self.queue.pop_front()),
                Sent::WouldBlock => break,
                Sent::Closed => self.sock = None,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(sock: &OwnedFd) -> Vec<Admitted> {
        let mut admitted = Vec::new();
        while let Incoming::Packet(message) = codec::recv(sock.as_fd(), 0).unwrap() {
            assert_eq!(message.kind(), PacketKind::Admitted);
            admitted.push(message.body().unwrap());
        }
        admitted
    }

    #[test]
    fn a_kernel_that_does_not_drain_costs_a_bounded_queue_and_a_count() {
        let (ours, theirs) = rsw_os::packet::pair().unwrap();
        let mut link = KernelLink::new(Some(ours));
        let mut sent = 0;
        while link.dropped() == 0 {
            sent += 1;
            link.report(3, &Report { tick: sent, ..Report::zeroed() }).unwrap();
        }
        let mut ticks = Vec::new();
        loop {
            let packets = drain(&theirs);
            if packets.is_empty() {
                break;
            }
            ticks.extend(packets.iter().map(|packet| {
                assert_eq!((packet.source, packet.kind), (3, EventKind::Report as u16));
                bytemuck::pod_read_unaligned::<Report>(&packet.payload).tick
            }));
            link.ready().unwrap();
        }
        assert_eq!(ticks, (1..sent).collect::<Vec<_>>(), "in order, all but the dropped one");
    }

    #[test]
    fn a_restarted_kernel_hears_who_left_but_no_stale_reports() {
        let mut link = KernelLink::new(None);
        link.report(1, &Report::zeroed()).unwrap();
        link.presence(EventKind::Left, &AgentSeat::zeroed()).unwrap();
        let (ours, theirs) = rsw_os::packet::pair().unwrap();
        link.replace(ours).unwrap();
        let kinds: Vec<u16> = drain(&theirs).iter().map(|packet| packet.kind).collect();
        assert_eq!((kinds, link.dropped()), (vec![EventKind::Left as u16], 1));
        drop(theirs);
        link.ready().unwrap();
        assert!(link.interest().is_none());
    }
}
