//! What the examples in Rust share: the swarm of the working folder through all its restarts, and its events with an exact
//! account.
//!
//! [`Swarm`] holds the gateway's socket, the newest plane and the mailbox; [`Events`] reads the ring of one plane after the
//! other. Neither starts a thread: the socket is looked at while the caller waits.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rsw_attach::{AttachError, Attached, Client, ClientEvent, Mailbox, MailboxWord, place};
use rsw_os::clock::mono_ns;
use rsw_plane::{PlaneReader, PolledBatch, RingReader, StartAt, Waiter};
use rsw_schemas::control::KernelState;
use rsw_schemas::event::Slot;
use rsw_schemas::text;
use rsw_schemas::wire::Welcome;

/// How long the gateway may take to say welcome.
const WELCOME_MAX: Duration = Duration::from_secs(10);
/// Longest sleep between two looks at the socket, and two signs of life.
const LOOK_MAX: Duration = Duration::from_millis(50);
/// Time between two tries to come back to a gateway that is gone.
const RETRY: Duration = Duration::from_secs(1);

/// Why an example gives up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no swarm runs in {}; start one there with `runtime up`", .0.display())]
    NoSwarm(PathBuf),
    #[error("{count} swarms run in {}; name a socket in RSW_SOCKET", .folder.display())]
    Several { count: usize, folder: PathBuf },
    #[error("{0} is no number")]
    Number(String),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Os(#[from] rsw_os::OsError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Other(Box<dyn std::error::Error>),
}

/// Ends the program: with words on standard error if it failed. A reader of its output that left is no failure.
pub(crate) fn end(done: Result<(), Failure>) -> ExitCode {
    match done {
        Err(Failure::Io(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

/// The number on the command line, or `otherwise`.
pub(crate) fn number(otherwise: u64) -> Result<u64, Failure> {
    let Some(word) = std::env::args().nth(1) else { return Ok(otherwise) };
    word.parse().map_err(|_| Failure::Number(word))
}

/// A swarm, as one of its agents has it.
pub(crate) struct Swarm {
    client: Option<Client>,
    /// Where to come again; none for an inherited socket, whose end is the swarm's.
    public: Option<PathBuf>,
    name: String,
    /// What the gateway said last.
    pub(crate) welcome: Welcome,
    /// The newest plane.
    pub(crate) plane: PlaneReader,
    mailbox: Option<Mailbox>,
    ended: bool,
    retry: Instant,
}

impl Swarm {
    /// On the socket that the launcher names in `RSW_SOCKET_FD`, else at the path in `RSW_SOCKET`, else the one swarm
    /// of the working folder.
    pub(crate) fn connect(name: &str) -> Result<Self, Failure> {
        let inherited = std::env::var("RSW_SOCKET_FD").ok();
        let (client, public) = match inherited {
            Some(word) => {
                let fd = word.parse().map_err(|_| Failure::Number(word))?;
                (Client::from_fd(rsw_os::process::inherited(fd)?), None)
            }
            None => {
                let path = socket()?;
                (Client::connect(&path)?, Some(path))
            }
        };
        let name = std::env::var("RSW_AGENT_NAME").unwrap_or_else(|_| name.to_owned());
        let (client, Attached { welcome, plane, mailbox, .. }) = greet(client, &name)?;
        let retry = Instant::now();
        let swarm = Self {
            client: Some(client),
            public,
            name,
            welcome,
            plane,
            mailbox,
            ended: false,
            retry,
        };
        Ok(swarm)
    }

    /// The events from `start` on.
    pub(crate) fn events(&self, start: StartAt) -> Events {
        let reader = self.plane.ring(start);
        Events { plane: self.plane.clone(), reader, received_before: 0, lost_before: 0 }
    }

    /// Hands a report to the gateway; false if it is gone or does not take it now.
    pub(crate) fn report(&mut self, report: rsw_schemas::event::Report) -> bool {
        let sent = self.client.as_mut().map(|client| client.report(report));
        matches!(sent, Some(Ok(rsw_attach::Sent::Done)))
    }

    /// Looks whether the gateway has something to say, and takes it up.
    fn look(&mut self) -> Result<(), Failure> {
        let Some(client) = &mut self.client else { return self.come_again() };
        match client.poll()? {
            ClientEvent::Nothing => {}
            ClientEvent::PlaneChanged(plane) => self.plane = *plane,
            ClientEvent::Welcome(attached) => self.adopt(*attached),
            ClientEvent::GatewayGone => {
                self.client = None;
                let stopped = self.plane.state() == Some(KernelState::Stopped);
                self.ended = stopped || self.public.is_none();
            }
        }
        Ok(())
    }

    fn come_again(&mut self) -> Result<(), Failure> {
        let Some(path) = self.public.as_ref().filter(|_| Instant::now() >= self.retry) else {
            return Ok(());
        };
        self.retry = Instant::now() + RETRY;
        match Client::connect(path).and_then(|client| greet(client, &self.name)) {
            Ok((client, attached)) => {
                self.client = Some(client);
                self.adopt(attached);
            }
            // Nobody is there: not yet, or not any more.
            Err(_) => self.ended = self.plane.state() == Some(KernelState::Stopped),
        }
        Ok(())
    }

    fn adopt(&mut self, Attached { welcome, plane, mailbox, .. }: Attached) {
        (self.welcome, self.mailbox) = (welcome, mailbox);
        if !same(&self.plane, &plane) {
            self.plane = plane;
        }
    }

    /// A sign of life, and with it how far the reader has come: `runtime ps` shows it.
    fn beat(&self, events: &Events) {
        let Some(mailbox) = &self.mailbox else { return };
        mailbox.store(MailboxWord::Cursor, events.reader.next_sequence());
        mailbox.store(MailboxWord::ReceivedEvents, events.received());
        mailbox.store(MailboxWord::LostEvents, events.lost());
        mailbox.store(MailboxWord::Generation, events.plane.generation());
        mailbox.store(MailboxWord::Tick, events.plane.tick());
        mailbox.store(MailboxWord::HeartbeatMonoNs, mono_ns());
    }
}

fn socket() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("RSW_SOCKET") {
        return Ok(path.into());
    }
    let folder = std::env::current_dir()?;
    match place::of_folder(&folder).as_slice() {
        [] => Err(Failure::NoSwarm(folder)),
        [one] => Ok(one.join(place::SOCKET)),
        several => Err(Failure::Several { count: several.len(), folder }),
    }
}

fn greet(mut client: Client, name: &str) -> Result<(Client, Attached), AttachError> {
    client.hello(name, 0)?;
    let attached = client.welcome(WELCOME_MAX)?;
    Ok((client, attached))
}

/// Whether two planes are of one generation of one run.
fn same(one: &PlaneReader, other: &PlaneReader) -> bool {
    let of = |plane: &PlaneReader| (plane.header().run_id, plane.generation());
    of(one) == of(other)
}

/// What a poll found.
pub(crate) enum Told {
    /// Nothing new.
    Nothing,
    /// So many events, the first with this sequence, lie in the caller's array.
    Events { first: u64, count: usize },
    /// The events `from..to` were overwritten before they were read.
    Lost { from: u64, to: u64 },
    /// The kernel was restarted, and all that it had published before is read: this generation comes next.
    Generation(u64),
}

/// The events of a swarm, over all its generations.
pub(crate) struct Events {
    plane: PlaneReader,
    reader: RingReader,
    received_before: u64,
    lost_before: u64,
}

impl Events {
    /// Waits until there is something to poll, at most `timeout`; false if the swarm has ended and everything was read.
    pub(crate) fn wait(&self, swarm: &mut Swarm, timeout: Duration) -> Result<bool, Failure> {
        let waiter = Waiter::new(text::unpack(&swarm.welcome.wait).parse().unwrap_or_default());
        let start = Instant::now();
        loop {
            swarm.look()?;
            swarm.beat(self);
            let changed = !same(&swarm.plane, &self.plane);
            let left = timeout.saturating_sub(start.elapsed());
            if changed || self.reader.wait(&waiter, left.min(LOOK_MAX)) {
                return Ok(true);
            }
            if swarm.ended || left.is_zero() {
                return Ok(!swarm.ended);
            }
        }
    }

    /// What comes next, as much of it as `slots` has room for.
    pub(crate) fn poll(&mut self, swarm: &Swarm, slots: &mut [Slot]) -> Told {
        match self.reader.poll_batch(slots) {
            PolledBatch::Events { first, count } => Told::Events { first, count },
            PolledBatch::Lapped { from, to } => Told::Lost { from, to },
            PolledBatch::Empty if same(&swarm.plane, &self.plane) => Told::Nothing,
            // Its writer is dead since before there was another plane: this was the last of it.
            PolledBatch::Empty => {
                self.switch(swarm.plane.clone());
                Told::Generation(self.plane.generation())
            }
        }
    }

    /// Sequences run on across the generations of a run; another run has nothing to do with ours.
    fn switch(&mut self, plane: PlaneReader) {
        (self.received_before, self.lost_before) = (self.received(), self.lost());
        let same_run = plane.header().run_id == self.plane.header().run_id;
        let next = self.reader.next_sequence();
        self.reader = plane.ring(if same_run { StartAt::Sequence(next) } else { StartAt::Latest });
        self.plane = plane;
    }

    /// Events received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received_before + self.reader.received()
    }

    /// Events lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_before + self.reader.lost()
    }

    /// Published events not read yet.
    pub(crate) fn lag(&self) -> u64 {
        self.reader.lag()
    }
}
