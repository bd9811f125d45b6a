//! The connection behind all handles of one swarm: socket, newest plane, mailbox, loans.
//!
//! Handles hold it together; it ends with the last of them. Nobody waits for anybody in here: whoever looks at the
//! socket while another thread does so goes on with what it has.
//!
//! # States
//!
//! Up; down (the gateway is gone; a launched agent's swarm has ended then, everybody else comes again once a second);
//! ended. The newest plane stays whatever happens.

use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsw_attach::{AttachError, Attached, Client, ClientEvent, Mailbox, MailboxWord, Sent};
use rsw_loans::LoanDomain;
use rsw_os::clock::mono_ns;
use rsw_plane::{PlaneReader, WaitStrategy};
use rsw_schemas::control::KernelState;
use rsw_schemas::event::Report;
use rsw_schemas::text;
use rsw_schemas::wire::{RefusalCode, Welcome, hello_flag};

use crate::status::{
    Answer, Error, RSW_E_DEAD, RSW_E_LIMIT, RSW_E_PERMISSION, RSW_E_PROTOCOL, RSW_E_STARTING,
    RSW_E_SYSTEM, RSW_E_TIMEOUT, RSW_E_UNSUPPORTED, RSW_E_VERSION,
};
use crate::wake::Wakes;

/// Least time between two looks at the socket: a look is a system call.
const LOOK_NS_MIN: u64 = 10_000_000;
/// Time between two tries to come again.
const RETRY_NS: u64 = 1_000_000_000;
/// A kernel without a heartbeat for so long is called silent; it beats at least every 100 ms.
pub(crate) const SILENT_NS_MIN: u64 = 2_000_000_000;

/// What an agent tells of itself on its page.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Account {
    pub(crate) cursor: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) lag: u64,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Nothing,
    /// A plane of another generation, or another gateway: [`Link::newest`] and [`Link::welcome`] have it.
    Changed,
}

/// The plane as of one moment; what was opened compares its number with [`Link::epoch`].
#[derive(Clone)]
pub(crate) struct Newest {
    pub(crate) plane: PlaneReader,
    pub(crate) epoch: u64,
    /// Counts runs with other cells or fields than the one before.
    pub(crate) shape: u16,
}

/// One connection. Everything in it may be used by any thread.
pub(crate) struct Link {
    inner: Mutex<Inner>,
    newest: Mutex<Newest>,
    /// Number of the newest plane; raised after `newest` has it.
    epoch: AtomicU64,
    looked_ns: AtomicU64,
    ended: AtomicBool,
    missed_loans: AtomicU64,
}

struct Inner {
    socket: Socket,
    /// Where to come again; none for an inherited socket.
    public: Option<PathBuf>,
    asked_name: String,
    flags: u32,
    welcome: Welcome,
    mailbox: Option<Mailbox>,
    /// The loans of that incarnation of the gateway, once somebody asked for some.
    loans: Option<(u64, LoanDomain)>,
    /// What wakes an event loop, if it was asked for.
    wakes: Option<Wakes>,
    reports: u64,
    /// The last `cs_mean` reported.
    cs_bits: u64,
}

enum Socket {
    Up(Client),
    Down { retry_ns: u64 },
}

/// What a connection begins with.
pub(crate) struct Hello {
    pub(crate) name: String,
    pub(crate) flags: u32,
    pub(crate) timeout: Duration,
}

impl Link {
    /// Says hello on a connected socket and waits for the welcome.
    pub(crate) fn open(
        socket: OwnedFd,
        public: Option<PathBuf>,
        hello: Hello,
    ) -> Answer<Arc<Self>> {
        let mut client = Client::from_fd(socket);
        client.hello(&hello.name, hello.flags).map_err(|error| attach_error(&error))?;
        let Attached { welcome, plane, mailbox, wake } =
            client.welcome(hello.timeout).map_err(|error| attach_error(&error))?;
        let wakes = match hello.flags & hello_flag::WAKE_FD != 0 {
            true => Some(Wakes::of(&client, wake)?),
            false => None,
        };
        let link = Self {
            inner: Mutex::new(Inner {
                socket: Socket::Up(client),
                public,
                asked_name: hello.name,
                flags: hello.flags,
                welcome,
                mailbox,
                loans: None,
                wakes,
                reports: 0,
                cs_bits: f64::NAN.to_bits(),
            }),
            newest: Mutex::new(Newest { plane, epoch: 1, shape: 0 }),
            epoch: AtomicU64::new(1),
            looked_ns: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            missed_loans: AtomicU64::new(0),
        };
        link.beat(None);
        Ok(Arc::new(link))
    }

    /// Number of the newest plane.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The newest plane.
    pub(crate) fn newest(&self) -> Newest {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the gateway said last.
    pub(crate) fn welcome(&self) -> Welcome {
        self.lock().welcome
    }

    /// Whether nothing will come any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// How the swarm file wants this agent to wait.
    pub(crate) fn strategy(&self) -> WaitStrategy {
        text::unpack(&self.welcome().wait).parse().unwrap_or_default()
    }

    /// Looks at the socket if nobody did in the last 10 ms, and posts a sign of life. Never waits.
    pub(crate) fn glance(&self, account: impl FnOnce() -> Account) -> Answer<Seen> {
        let now_ns = mono_ns();
        if now_ns.saturating_sub(self.looked_ns.load(Ordering::Relaxed)) < LOOK_NS_MIN {
            return Ok(Seen::Nothing);
        }
        self.looked_ns.store(now_ns, Ordering::Relaxed);
        self.beat(Some(account()));
        self.look()
    }

    /// Looks at the socket, and takes up what it brings. Never waits for the gateway.
    pub(crate) fn look(&self) -> Answer<Seen> {
        let Ok(mut inner) = self.inner.try_lock() else { return Ok(Seen::Nothing) };
        let client = match &mut inner.socket {
            Socket::Up(client) => client,
            Socket::Down { retry_ns } => {
                if mono_ns() >= *retry_ns && !self.has_ended() {
                    inner.come_again()?;
                }
                self.end_if_over(&inner);
                return Ok(Seen::Nothing);
            }
        };
        match client.poll() {
            Ok(ClientEvent::Nothing) => Ok(Seen::Nothing),
            Ok(ClientEvent::PlaneChanged(plane)) => {
                self.take_up(*plane);
                Ok(Seen::Changed)
            }
            Ok(ClientEvent::Welcome(attached)) => {
                let Attached { welcome, plane, mailbox, wake } = *attached;
                inner.welcome = welcome;
                inner.mailbox = mailbox;
                let woken = inner.wakes.as_mut().map_or(Ok(()), |wakes| wakes.welcomed(wake));
                drop(inner);
                self.take_up(plane);
                woken?;
                self.beat(None);
                Ok(Seen::Changed)
            }
            Ok(ClientEvent::GatewayGone) => {
                inner.disconnect(mono_ns())?;
                self.end_if_over(&inner);
                Ok(Seen::Nothing)
            }
            Err(error @ AttachError::Refused { .. }) => {
                inner.disconnect(mono_ns() + RETRY_NS)?;
                let error = attach_error(&error);
                // A gateway that has just begun: it will have room, and a plane.
                let later = [RSW_E_LIMIT, RSW_E_STARTING].contains(&error.status());
                if later { Ok(Seen::Nothing) } else { Err(error) }
            }
            // The packet is consumed, and what we had still holds.
            Err(error) => Err(attach_error(&error)),
        }
    }

    /// Without a gateway, a swarm whose kernel has stopped, or whose socket was inherited, is over.
    fn end_if_over(&self, inner: &Inner) {
        let stopped = self.newest().plane.state() == Some(KernelState::Stopped);
        if inner.public.is_none() || stopped {
            self.ended.store(true, Ordering::Release);
        }
    }

    fn take_up(&self, plane: PlaneReader) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let (old, new) = (newest.plane.header(), plane.header());
        if (old.run_id, old.generation) == (new.run_id, new.generation) {
            return;
        }
        if !same_shape(&newest.plane, &plane) {
            newest.shape = newest.shape.wrapping_add(1);
        }
        newest.plane = plane;
        newest.epoch += 1;
        self.epoch.store(newest.epoch, Ordering::Release);
    }

    /// Posts a sign of life, and with it how far a reader has come.
    pub(crate) fn beat(&self, account: Option<Account>) {
        let Ok(inner) = self.inner.try_lock() else { return };
        let Some(mailbox) = &inner.mailbox else { return };
        let newest = self.newest();
        if let Some(account) = account {
            mailbox.store(MailboxWord::Cursor, account.cursor);
            mailbox.store(MailboxWord::LostEvents, account.lost);
            mailbox.store(MailboxWord::ReceivedEvents, account.received);
            mailbox.store(MailboxWord::Tick, newest.plane.tick());
        }
        mailbox.store(MailboxWord::MissedLoans, self.missed_loans());
        mailbox.store(MailboxWord::Reports, inner.reports);
        mailbox.store(MailboxWord::Generation, newest.plane.generation());
        mailbox.store(MailboxWord::CsBits, inner.cs_bits);
        mailbox.store(MailboxWord::HeartbeatMonoNs, mono_ns());
    }

    /// Hands a report to the gateway; what became of it.
    pub(crate) fn report(&self, report: Report) -> Answer<Sent> {
        let mut inner = self.lock();
        inner.cs_bits = report.cs_mean.to_bits();
        let Socket::Up(client) = &mut inner.socket else { return Ok(Sent::Closed) };
        let sent =
            client.report(report).map_err(|error| Error::new(RSW_E_SYSTEM, error.to_string()))?;
        inner.reports += u64::from(sent == Sent::Done);
        Ok(sent)
    }

    /// Does something with the loans of the gateway that is there now.
    pub(crate) fn with_loans<R>(
        &self,
        work: impl FnOnce(&LoanDomain, u64) -> Answer<R>,
    ) -> Answer<R> {
        let mut inner = self.lock();
        let Welcome { incarnation, loans, .. } = inner.welcome;
        if loans == 0 {
            let words = "this agent gets no loans: its isolation is strict, which reaches no file; \
                         rsw_field_copy works, and isolation = \"sandboxed\" in the swarm file lends";
            return Err(Error::new(RSW_E_UNSUPPORTED, words));
        }
        if inner.loans.as_ref().is_none_or(|loans| loans.0 != incarnation) {
            let root = text::unpack(&inner.welcome.loan_root);
            let domain = LoanDomain::new(Path::new(&root), incarnation)
                .map_err(|error| Error::new(RSW_E_SYSTEM, error.to_string()))?;
            inner.loans = Some((incarnation, domain));
        }
        match &inner.loans {
            Some((incarnation, domain)) => work(domain, *incarnation),
            None => Err(Error::new(RSW_E_SYSTEM, "the loans are gone; try again")),
        }
    }

    /// The descriptor that becomes readable when there is something to look at.
    pub(crate) fn wake_fd(&self) -> Answer<RawFd> {
        self.lock().wakes.as_ref().map(Wakes::fd).ok_or_else(|| {
            let words = "no descriptor was asked for: connect with RSW_CONNECT_WAKE_FD";
            Error::new(RSW_E_UNSUPPORTED, words)
        })
    }

    /// Makes it unreadable until the next commit.
    pub(crate) fn clear_wake(&self) -> Answer<()> {
        Ok(self.lock().wakes.as_ref().map_or(Ok(()), Wakes::clear)?)
    }

    /// Incarnation of the gateway.
    pub(crate) fn incarnation(&self) -> u64 {
        self.lock().welcome.incarnation
    }

    /// Books loans that gave way before they were taken.
    pub(crate) fn book_missed(&self, count: u64) {
        self.missed_loans.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn missed_loans(&self) -> u64 {
        self.missed_loans.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Connects once more and says hello; the welcome is found by a later look.
    fn come_again(&mut self) -> Answer<()> {
        let Some(path) = &self.public else { return Ok(()) };
        let hello = || {
            let mut client = Client::connect_now(path)?;
            client.hello(&self.asked_name, self.flags)?;
            Ok::<_, AttachError>(client)
        };
        self.socket = match hello() {
            Ok(client) => {
                if let Some(wakes) = &mut self.wakes {
                    wakes.connected(&client)?;
                }
                Socket::Up(client)
            }
            Err(_) => Socket::Down { retry_ns: mono_ns() + RETRY_NS },
        };
        Ok(())
    }

    /// Gives the socket up; another one is tried from `retry_ns` on.
    fn disconnect(&mut self, retry_ns: u64) -> Answer<()> {
        self.socket = Socket::Down { retry_ns };
        Ok(self.wakes.as_mut().map_or(Ok(()), Wakes::disconnected)?)
    }
}

/// Whether indices of cells and fields mean the same in both.
fn same_shape(old: &PlaneReader, new: &PlaneReader) -> bool {
    let same_cells = old.board().cells() == new.board().cells();
    let (old, new) = (old.fields(), new.fields());
    let same_field = |(old, new): (&rsw_plane::FieldReader, &rsw_plane::FieldReader)| {
        (old.name(), old.nx(), old.ny(), old.is_f32())
            == (new.name(), new.nx(), new.ny(), new.is_f32())
    };
    same_cells && old.len() == new.len() && old.iter().zip(new).all(same_field)
}

/// Which of our statuses an attach error is.
pub(crate) fn attach_error(error: &AttachError) -> Error {
    let status = match error {
        AttachError::Connect(_) | AttachError::Closed => RSW_E_DEAD,
        AttachError::Refused { code: Some(code), .. } => match code {
            RefusalCode::Layout => RSW_E_VERSION,
            RefusalCode::Protocol => RSW_E_PROTOCOL,
            RefusalCode::Full => RSW_E_LIMIT,
            RefusalCode::Permission => RSW_E_PERMISSION,
            RefusalCode::NotRunning => RSW_E_STARTING,
        },
        AttachError::Timeout { .. } => RSW_E_TIMEOUT,
        AttachError::Plane(rsw_plane::AttachError::Layout { .. }) => RSW_E_VERSION,
        AttachError::Full | AttachError::Os(_) => RSW_E_SYSTEM,
        error if error.is_shortage() => RSW_E_SYSTEM,
        _ => RSW_E_PROTOCOL,
    };
    Error::new(status, error.to_string())
}
