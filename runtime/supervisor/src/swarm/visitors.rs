//! Agents that came by themselves, over the public socket: the gateway tells of them.

use rsw_attach::{MailboxReader, Message};
use rsw_schemas::wire::{AgentSeat, PacketKind};

use super::readings::Rate;

/// Everybody who attached and has not left.
#[derive(Default)]
pub(super) struct Visitors {
    known: Vec<Visitor>,
}

/// One of them.
pub(super) struct Visitor {
    pub(super) seat: AgentSeat,
    pub(super) mailbox: MailboxReader,
    /// Of the events it reads.
    pub(super) rate: Rate,
}

impl Visitors {
    /// Takes an `Attached` or a `Detached`.
    pub(super) fn on_packet(&mut self, message: Message) -> Option<()> {
        let seat = message.body::<AgentSeat>().ok()?;
        if message.kind() == PacketKind::Detached {
            self.known.retain(|visitor| visitor.seat.agent_id != seat.agent_id);
            return Some(());
        }
        let [mailbox] = message.take_fds::<1>().ok()?;
        let mailbox = MailboxReader::from_fd(mailbox).ok()?;
        self.known.push(Visitor { seat, mailbox, rate: Rate::default() });
        Some(())
    }

    /// The gateway is gone; the next one will tell of those who come back.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Visitor> {
        self.known.iter_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Visitor> {
        self.known.iter()
    }
}
