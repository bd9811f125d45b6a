//! A seat: the socket and the mailbox of one agent, kept by the supervisor so that they outlive a gateway.

use std::os::fd::OwnedFd;

use rsw_attach::{MailboxReader, PageError, page};
use rsw_config::{AgentInstance, AgentIsolation, Topology};
use rsw_schemas::text;
use rsw_schemas::wire::{AgentSeat, Isolation};

/// One agent's seat. Each start of the agent gets a fresh socket and a fresh mailbox.
pub(super) struct Seat {
    agent: AgentInstance,
    isolation: Isolation,
    wait: String,
    taken: Option<Taken>,
}

struct Taken {
    pid: u32,
    /// The gateway's end, of which each gateway gets a duplicate.
    gateway_end: OwnedFd,
    mailbox: OwnedFd,
    reader: MailboxReader,
}

impl Seat {
    /// A seat for every agent.
    pub(super) fn all(topology: &Topology) -> Vec<Self> {
        let seats = topology.agents.iter().map(|agent| {
            let section = topology.config.agent.get(&agent.group).cloned().unwrap_or_default();
            let isolation = match section.isolation {
                AgentIsolation::Sandboxed => Isolation::Sandboxed,
                AgentIsolation::Strict => Isolation::Strict,
                AgentIsolation::None => Isolation::None,
            };
            Self { agent: agent.clone(), isolation, wait: section.wait, taken: None }
        });
        seats.collect()
    }

    pub(super) fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// A fresh socket and mailbox; returns the agent's end of the socket.
    pub(super) fn prepare(&mut self) -> Result<OwnedFd, PageError> {
        let (agent_end, gateway_end) = rsw_os::packet::pair()?;
        let mailbox = page::create_for_peer("rsw-mailbox")?;
        let read_only = rsw_os::memfd::reopen_read_only(&mailbox)?;
        let reader = MailboxReader::from_fd(read_only)?;
        self.taken = Some(Taken { pid: 0, gateway_end, mailbox, reader });
        Ok(agent_end)
    }

    /// The process that took it.
    pub(super) fn taken_by(&mut self, pid: u32) {
        if let Some(taken) = &mut self.taken {
            taken.pid = pid;
        }
    }

    /// The process is gone.
    pub(super) fn leave(&mut self) -> AgentSeat {
        let seat = self.describe();
        self.taken = None;
        seat
    }

    /// What a gateway gets: the seat, duplicates of its socket and its mailbox. `None` for a seat that nobody has.
    pub(super) fn hand_over(&self) -> Option<std::io::Result<(AgentSeat, Vec<OwnedFd>)>> {
        let taken = self.taken.as_ref()?;
        let fds = taken.gateway_end.try_clone().and_then(|socket| {
            let mailbox = taken.mailbox.try_clone()?;
            Ok(vec![socket, mailbox])
        });
        Some(fds.map(|fds| (self.describe(), fds)))
    }

    /// What the agent says about itself: hints.
    pub(super) fn mailbox(&self) -> Option<&MailboxReader> {
        self.taken.as_ref().map(|taken| &taken.reader)
    }

    fn describe(&self) -> AgentSeat {
        AgentSeat {
            agent_id: self.agent.agent_id,
            pid: self.taken.as_ref().map_or(0, |taken| taken.pid),
            isolation: self.isolation as u32,
            reserved: 0,
            name: text::pack(&self.agent.name),
            wait: text::pack(&self.wait),
            reserved_tail: [0; 2],
        }
    }
}
