//! The kernel's two sockets: to the supervisor (orders) and to the gateway (what agents sent, admitted).
//!
//! Both are read only between ticks, without waiting and bounded, so nobody outside can hold a tick up.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rsw_attach::{CodecError, Incoming, RecorderPageReader, Sent, codec};
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_os::signal::{Signal, SignalPipe};
use rsw_schemas::text;
use rsw_schemas::wire::{Admitted, KernelReady, PacketKind, ProcessText, TickMark};

use super::KernelError;

/// Admitted packets taken between two ticks.
const ADMITTED_MAX: usize = 256;

/// Whose packets end a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listen {
    /// The supervisor's. For callers that do not admit anything next: what the gateway sent would end each
    /// wait at once.
    Supervisor,
    /// The gateway's too.
    All,
}

/// Both sockets and what they said.
pub(super) struct Links {
    control: OwnedFd,
    gateway: Option<OwnedFd>,
    signals: Option<SignalPipe>,
    /// The first tick may begin.
    pub(super) go: bool,
    /// The last tick has been.
    pub(super) stop: bool,
    /// The recorder's page, the newest one.
    pub(super) recorder: Option<RecorderPageReader>,
}

impl Links {
    /// `control` is the inherited socket to the supervisor.
    pub(super) fn new(control: OwnedFd) -> Self {
        // Ctrl-C goes to a whole terminal; the supervisor alone decides what it means.
        let signals = SignalPipe::new(&[Signal::Terminate, Signal::Interrupt]).ok();
        Self { control, gateway: None, signals, go: false, stop: false, recorder: None }
    }

    /// Announces the plane.
    pub(super) fn ready(&self, ready: &KernelReady, plane: OwnedFd) -> Result<(), KernelError> {
        told(codec::send(self.control.as_fd(), PacketKind::KernelReady, ready, &[plane.as_fd()])?)
    }

    /// Announces that `--ticks` is reached.
    pub(super) fn finished(&self, mark: &TickMark) -> Result<(), KernelError> {
        told(codec::send(self.control.as_fd(), PacketKind::Finished, mark, &[])?)
    }

    /// Tells the supervisor why this process is about to fail; best effort.
    pub(super) fn last_words(&self, exit_code: u8, words: &str) {
        let words =
            ProcessText { exit_code: u32::from(exit_code), reserved: 0, text: text::pack(words) };
        let _ = codec::send(self.control.as_fd(), PacketKind::Failed, &words, &[]);
    }

    /// Waits up to `timeout` for an order, and carries out all that are there.
    pub(super) fn wait(&mut self, timeout: Duration, listen: Listen) -> Result<(), KernelError> {
        if !timeout.is_zero() {
            let mut fds = vec![PollFd::new(self.control.as_fd(), Interest::READ)];
            fds.extend(self.signals.iter().map(|pipe| PollFd::new(pipe.as_fd(), Interest::READ)));
            let gateway = self.gateway.iter().filter(|_| listen == Listen::All);
            fds.extend(gateway.map(|fd| PollFd::new(fd.as_fd(), Interest::READ)));
            poll(&mut fds, Some(timeout))?;
        }
        if let Some(signals) = &mut self.signals
            && signals.drain().contains(&Signal::Terminate)
        {
            self.stop = true;
        }
        while !self.stop {
            match codec::recv(self.control.as_fd(), 1)? {
                Incoming::WouldBlock => break,
                // The supervisor is gone: nobody would restart, record or stop this kernel.
                Incoming::Closed => self.stop = true,
                Incoming::Packet(message) => self.order(message)?,
            }
        }
        Ok(())
    }

    fn order(&mut self, message: rsw_attach::Message) -> Result<(), KernelError> {
        match message.kind() {
            PacketKind::Stop => self.stop = true,
            PacketKind::Go => self.go = true,
            PacketKind::RecorderPage => {
                let [page] = message.take_fds::<1>()?;
                let page = RecorderPageReader::from_fd(page)
                    .map_err(|error| KernelError::Start(format!("recorder page: {error}")))?;
                self.recorder = Some(page);
            }
            PacketKind::Link => {
                let [socket] = message.take_fds::<1>()?;
                self.gateway = Some(socket);
            }
            kind => {
                return Err(KernelError::Config(format!(
                    "the supervisor sent {kind:?} to a kernel"
                )));
            }
        }
        Ok(())
    }

    /// Takes what the gateway admitted since the last time, at most [`ADMITTED_MAX`].
    pub(super) fn admitted(&mut self, mut each: impl FnMut(Result<Admitted, CodecError>)) {
        for _ in 0..ADMITTED_MAX {
            let Some(gateway) = &self.gateway else { return };
            match codec::recv(gateway.as_fd(), 0) {
                Ok(Incoming::WouldBlock) => return,
                Ok(Incoming::Closed) => self.gateway = None,
                Ok(Incoming::Packet(message)) if message.kind() == PacketKind::Admitted => {
                    each(message.body());
                }
                Ok(Incoming::Packet(message)) => {
                    each(Err(CodecError::UnknownKind { found: message.kind() as u32 }));
                }
                Err(error) => each(Err(error)),
            }
        }
    }
}

/// These packets are two in a generation: a supervisor that has no room for them does not listen at all.
fn told(sent: Sent) -> Result<(), KernelError> {
    match sent {
        Sent::Done => Ok(()),
        Sent::WouldBlock | Sent::Closed => {
            Err(KernelError::Start("the supervisor does not listen; start the swarm again".into()))
        }
    }
}
