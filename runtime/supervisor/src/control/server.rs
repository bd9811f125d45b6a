//! The supervisor's side.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rsw_os::packet::{self, Received, SendError, Sent};
use rsw_os::poll::Interest;
use rsw_os::{Listener, OsError};
use rsw_schemas::exit;
use serde_json::Value as Json;

use super::{CHUNK_BYTES, LAST, MORE, REQUEST_BYTES_MAX};
use crate::view::error::CliError;

/// Clients at once.
const CLIENTS_MAX: usize = 64;

/// What a request gets.
pub(crate) struct Answer {
    pub(crate) body: Json,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Listens for the command line.
pub(crate) struct Server {
    listener: Listener,
    clients: Vec<Connection>,
}

/// One command line.
pub(crate) struct Connection {
    fd: OwnedFd,
    waiting: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    /// It waits for the end, and wants to know which.
    awaits_end: bool,
    closed: bool,
}

impl Server {
    /// Listens at `path`, which must not exist.
    pub(crate) fn listen(path: &Path) -> Result<Self, OsError> {
        Ok(Self { listener: Listener::bind(path)?, clients: Vec::new() })
    }

    /// What to poll for new connections; `None` after there was no descriptor for one, for a moment.
    pub(crate) fn to_poll(&self) -> Option<BorrowedFd<'_>> {
        self.listener.to_poll()
    }

    /// Everybody connected, in a stable order until [`Self::forget_closed`].
    pub(crate) fn clients(&self) -> impl Iterator<Item = &Connection> {
        self.clients.iter()
    }

    /// Takes new connections of this user (the socket's mode keeps others out; so does this). When all places
    /// are taken, whoever has been there longest has to go.
    pub(crate) fn accept(&mut self) {
        for _ in 0..CLIENTS_MAX {
            let Ok(Some(fd)) = self.listener.accept(turn_away) else { return };
            if self.clients.len() >= CLIENTS_MAX {
                let oldest = self.clients.iter().position(|client| !client.awaits_end);
                self.clients.remove(oldest.unwrap_or(0));
            }
            let own = packet::peer_cred(&fd).is_ok_and(|peer| peer.uid == rsw_os::process::uid());
            if own {
                self.clients.push(Connection {
                    fd,
                    waiting: VecDeque::new(),
                    awaits_end: false,
                    closed: false,
                });
            }
        }
    }

    /// The next request of a client, if there is one.
    pub(crate) fn request(&mut self, client: usize) -> Option<Result<Json, serde_json::Error>> {
        let connection = self.clients.get_mut(client)?;
        connection.flush();
        if !connection.waiting.is_empty() {
            // First take the answer, then ask again.
            return None;
        }
        let mut bytes = [0u8; REQUEST_BYTES_MAX];
        match packet::recv(&connection.fd, &mut bytes, 0) {
            Ok(Received::Packet { len, .. }) => Some(serde_json::from_slice(&bytes[..len])),
            // No descriptor of a client is ever taken.
            Ok(Received::WouldBlock | Received::NoDescriptor) => None,
            Ok(Received::Closed) | Err(_) => {
                connection.closed = true;
                None
            }
        }
    }

    /// Sends an answer, as fast as the client takes it.
    pub(crate) fn answer(&mut self, client: usize, answer: Answer) {
        let Some(connection) = self.clients.get_mut(client) else { return };
        let text = answer.body.to_string().into_bytes();
        let mut fds = Some(answer.fds);
        let count = text.len().div_ceil(CHUNK_BYTES).max(1);
        for (at, chunk) in text.chunks(CHUNK_BYTES).enumerate() {
            let last = at + 1 == count;
            let mut packet = vec![if last { LAST } else { MORE }];
            packet.extend_from_slice(chunk);
            let beside = if last { fds.take().unwrap_or_default() } else { Vec::new() };
            connection.waiting.push_back((packet, beside));
        }
        connection.flush();
    }

    /// This client is to be told how the swarm ended, when it has.
    pub(crate) fn awaits_end(&mut self, client: usize) {
        if let Some(connection) = self.clients.get_mut(client) {
            connection.awaits_end = true;
        }
    }

    /// The swarm has ended.
    pub(crate) fn tell_end(&mut self, body: &Json) {
        for client in 0..self.clients.len() {
            if self.clients[client].awaits_end {
                self.answer(client, Answer { body: body.clone(), fds: Vec::new() });
            }
        }
    }

    /// Drops who has left.
    pub(crate) fn forget_closed(&mut self) {
        self.clients.retain(|client| !client.closed);
    }
}

/// The answer to whoever there is no descriptor for.
fn turn_away(client: BorrowedFd<'_>) {
    let words = "the supervisor can open no more files";
    let body = CliError::new(exit::FAILURE, "system", words)
        .hint("raise its limit (`ulimit -Hn`), or try later");
    let mut packet = vec![LAST];
    packet.extend_from_slice(body.to_json().to_string().as_bytes());
    let _ = packet::send(client, &packet, &[]);
}

impl Connection {
    /// Reading always; writing while something waits.
    pub(crate) fn interest(&self) -> Interest {
        if self.waiting.is_empty() { Interest::READ } else { Interest::WRITE }
    }

    fn flush(&mut self) {
        while let Some((bytes, fds)) = self.waiting.front() {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match packet::send(&self.fd, bytes, &fds) {
                Ok(Sent::WouldBlock) => return,
                Ok(Sent::Done) => drop(self.waiting.pop_front()),
                Err(SendError::Os(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
