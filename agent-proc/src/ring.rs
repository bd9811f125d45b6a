//! The event ring for an async program (feature `tokio`): `ring.next().await`, over the gateway's eventfd.
//!
//! ```no_run
//! # use agent_proc::ring::{Ring, RingError, Told};
//! # async fn agent() -> Result<(), RingError> {
//! let mut ring = Ring::connect("/run/user/1000/rsw/demo-1/swarm.sock", "watcher").await?;
//! while let Some(told) = ring.next().await {
//!     match told? {
//!         Told::Event { sequence, slot } => println!("{sequence}: kind {}", slot.kind),
//!         Told::Lapped { from, to } => println!("too late for {from}..{to}"),
//!         other => println!("{other:?}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is told
//! Every event, or exactly which ones were lost, as a reader without a runtime is told, and across restarts of the
//! kernel: sequences run on. Between events: a kernel that shows no sign of life ([`Told::Stale`]), a new generation
//! of the plane, a gateway that is gone or back. `None` is the end of the swarm, behind its last event.
//!
//! # Waiting
//! The task is woken by the eventfd (see [`rsw_attach::wake`] for why no wake is lost), by the gateway's socket, and
//! every [`LOOK`] in any case, so that a gateway that dies with its eventfds costs latency and no event. A ring that is
//! never empty cannot keep the task from the rest of the program: after [`STREAK_MAX`] events it lets others run.
//!
//! [`Ring::next`] is cancellation safe: the future holds nothing. [`Ring::poll_next`] has the shape of
//! `Stream::poll_next`.
//!
//! # Signs of life
//! `next` writes the client's page now and then: cursor, received, lost, heartbeat; `runtime ps` shows them. So a
//! launched agent that does not await it for ten seconds is hung, for the supervisor, and started again.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::task::{Context, Poll};
use std::time::Duration;

use rsw_attach::{AttachError, Attached, CodecError, MailboxWord, Sent};
use rsw_os::clock::mono_ns;
use rsw_plane::{PlaneReader, Polled, RingReader, StartAt};
use rsw_schemas::control::KernelState;
use rsw_schemas::event::{EventKind, Report, Slot, Tick};
use rsw_schemas::wire::Welcome;
use tokio::time::{Interval, MissedTickBehavior};

mod link;

use link::{Link, Origin, Said, Wake};

/// Time between two looks at everything, whether anybody woke us or not.
pub const LOOK: Duration = rsw_plane::wait::PARK_MAX;
/// Events in a row before other tasks have their turn.
pub const STREAK_MAX: u32 = 256;
/// A kernel without a heartbeat for so long is stale; it beats at least every 100 ms.
pub const STALE_AFTER: Duration = Duration::from_secs(2);

/// What a ring tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Told {
    /// The next event.
    Event {
        /// Its sequence; consecutive but for what [`Told::Lapped`] tells, also across generations.
        sequence: u64,
        /// A private copy.
        slot: Slot,
    },
    /// The events `from..to` were overwritten before they were read.
    Lapped {
        /// First lost sequence.
        from: u64,
        /// First sequence that is not lost.
        to: u64,
    },
    /// The kernel shows no sign of life since `age`; what was read stays what it is.
    Stale {
        /// Since its last heartbeat.
        age: Duration,
    },
    /// It is alive after all.
    Alive,
    /// The kernel was restarted: what follows comes from a new plane, and nothing is stale any more. Everything of the
    /// old one was told before.
    Generation {
        /// Number of the new one.
        generation: u64,
    },
    /// The gateway is gone. The plane is read on; whoever came over the public socket comes again.
    GatewayGone,
    /// A gateway has let us in, again: loans have other names now.
    Gateway {
        /// How often a gateway was started in this run.
        incarnation: u64,
    },
}

/// Why there is nothing more to tell.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The gateway did not let us in, or not again.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A public socket has had no gateway for so long that its swarm must be gone.
    #[error("no gateway for {seconds} s; see `runtime status`")]
    Gone {
        /// How long.
        seconds: u64,
    },
    /// The runtime cannot watch a descriptor.
    #[error("tokio: {0}; the runtime needs enable_all()")]
    Runtime(std::io::Error),
}

/// An attached reader of the swarm's ring. `Send`; one task at a time.
pub struct Ring {
    link: Link,
    wake: Option<Wake>,
    attached: Attached,
    reader: RingReader,
    next_plane: Option<PlaneReader>,
    look: Interval,
    told: VecDeque<Told>,
    stale: bool,
    streak: u32,
    tick: u64,
    /// Received and lost of the readers before this one.
    before: (u64, u64),
    /// `CLOCK_MONOTONIC` of the last look at everything.
    looked_mono_ns: u64,
    /// Nothing comes any more but what is in the ring.
    ending: bool,
    ended: bool,
}

impl Ring {
    /// Attaches over a swarm's public socket, and begins with the next event. Comes again by itself after a restart
    /// of the gateway. Must be called within a tokio runtime that has I/O and time enabled.
    pub async fn connect(socket: impl Into<PathBuf>, name: &str) -> Result<Self, RingError> {
        Self::begin(Origin::Public(socket.into()), name).await
    }

    /// Attaches over the socket that a launched agent inherits; otherwise as [`Ring::connect`].
    pub async fn from_inherited(socket: OwnedFd, name: &str) -> Result<Self, RingError> {
        Self::begin(Origin::Inherited(Some(socket)), name).await
    }

    async fn begin(origin: Origin, name: &str) -> Result<Self, RingError> {
        let mut link = Link::new(origin, name)?;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let attached = poll_fn(|cx| {
            loop {
                match link.poll(cx) {
                    Poll::Ready(Ok(Said::Welcome(attached)))
                        if attached.welcome.hello_flags != 0 =>
                    {
                        return Poll::Ready(Ok(*attached));
                    }
                    // Of a launched agent's seat, sent before our hello was read; the answer follows.
                    Poll::Ready(Ok(Said::Welcome(_))) => {}
                    Poll::Ready(Ok(Said::Gone | Said::Ended)) => {
                        return Poll::Ready(Err(AttachError::Closed.into()));
                    }
                    // The welcome brings this generation or a later one.
                    Poll::Ready(Ok(Said::Plane(_))) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if look.poll_tick(cx).is_ready() => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await?;
        let reader = attached.plane.ring(StartAt::Latest);
        let mut ring = Self {
            link,
            wake: None,
            attached,
            reader,
            next_plane: None,
            look,
            told: VecDeque::new(),
            stale: false,
            streak: 0,
            tick: 0,
            before: (0, 0),
            looked_mono_ns: mono_ns(),
            ending: false,
            ended: false,
        };
        ring.take_wake()?;
        ring.post();
        Ok(ring)
    }

    /// What comes next; `None` once the swarm has ended, and after an error. Cancellation safe.
    pub async fn next(&mut self) -> Option<Result<Told, RingError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Ring::next`], for who writes a future by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Told, RingError>>> {
        match self.try_next(cx) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(told)) => Poll::Ready(told.map(Ok)),
            Err(error) => {
                self.ended = true;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn try_next(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<Told>>, RingError> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Ok(Poll::Ready(Some(told)));
            }
            if self.ended {
                return Ok(Poll::Ready(None));
            }
            if self.streak >= STREAK_MAX {
                self.streak = 0;
                self.look_around(cx)?;
                cx.waker().wake_by_ref();
                return Ok(Poll::Pending);
            }
            // Whoever takes its time with each event of a ring that is never empty lives all the same.
            if mono_ns().saturating_sub(self.looked_mono_ns) > LOOK.as_nanos() as u64 {
                self.look_around(cx)?;
                continue;
            }
            match self.reader.poll() {
                Polled::Event { sequence, slot } => {
                    self.streak += 1;
                    self.see_tick(&slot);
                    return Ok(Poll::Ready(Some(Told::Event { sequence, slot })));
                }
                Polled::Lapped { from, to } => {
                    return Ok(Poll::Ready(Some(Told::Lapped { from, to })));
                }
                Polled::Empty => self.streak = 0,
            }
            // The old writer is gone, so that what was there was all there will be.
            if let Some(plane) = self.next_plane.take() {
                self.switch(plane);
                continue;
            }
            if self.ending {
                self.ended = true;
                continue;
            }
            // Cleared before the ring is polled again: a commit after that poll signals after the clear.
            let signalled = match &mut self.wake {
                Some(wake) => wake.poll_clear(cx).map_err(RingError::Runtime)?,
                None => false,
            };
            if signalled || self.look_around(cx)? {
                continue;
            }
            return Ok(Poll::Pending);
        }
    }

    /// Everything that is not data, without waiting; returns whether the ring is to be looked at again.
    fn look_around(&mut self, cx: &mut Context<'_>) -> Result<bool, RingError> {
        let mut again = false;
        while self.look.poll_tick(cx).is_ready() {
            self.look_at_kernel();
            again = true;
        }
        while !self.ending {
            let Poll::Ready(said) = self.link.poll(cx) else { break };
            again = true;
            match said? {
                Said::Plane(plane) => self.next_plane = Some(*plane),
                Said::Welcome(attached) => self.adopt(*attached)?,
                Said::Gone => {
                    self.told.push_back(Told::GatewayGone);
                    // Its thread signals no more.
                    self.wake = None;
                }
                Said::Ended => self.ending = true,
            }
        }
        // On the way down the gateway goes first, and the kernel may still have something to say.
        if !self.ending && self.link.is_down() && self.has_stopped() {
            self.ending = true;
            again = true;
        }
        self.looked_mono_ns = mono_ns();
        self.post();
        Ok(again)
    }

    fn has_stopped(&self) -> bool {
        self.next_plane.as_ref().unwrap_or(self.plane()).state() == Some(KernelState::Stopped)
    }

    fn look_at_kernel(&mut self) {
        let age = Duration::from_nanos(mono_ns().saturating_sub(self.plane().heartbeat_mono_ns()));
        let stale = age > STALE_AFTER && self.plane().state() != Some(KernelState::Stopped);
        if stale != self.stale {
            self.stale = stale;
            self.told.push_back(if stale { Told::Stale { age } } else { Told::Alive });
        }
    }

    /// A gateway let us in again, with everything new.
    fn adopt(&mut self, attached: Attached) -> Result<(), RingError> {
        let ours = self.next_plane.as_ref().unwrap_or(self.plane());
        let same = |a: &PlaneReader, b: &PlaneReader| {
            (a.header().run_id, a.generation()) == (b.header().run_id, b.generation())
        };
        if !same(&attached.plane, ours) {
            self.next_plane = Some(attached.plane.clone());
        }
        let before = self.attached.welcome.incarnation;
        let incarnation = attached.welcome.incarnation;
        // Our plane stays until it is drained.
        let plane = self.attached.plane.clone();
        self.attached = Attached { plane, ..attached };
        if incarnation != before {
            // Whoever signalled it is gone.
            self.wake = None;
            self.told.push_back(Told::Gateway { incarnation });
        }
        self.take_wake()
    }

    fn take_wake(&mut self) -> Result<(), RingError> {
        if let Some(wake) = self.attached.wake.take() {
            self.wake = Some(Wake::new(wake).map_err(RingError::Runtime)?);
        }
        Ok(())
    }

    fn switch(&mut self, plane: PlaneReader) {
        self.before = (self.received(), self.lost());
        // Sequences run on across the generations of a run; another run has nothing to do with ours.
        let start = if plane.header().run_id == self.plane().header().run_id {
            StartAt::Sequence(self.reader.next_sequence())
        } else {
            StartAt::Latest
        };
        self.reader = plane.ring(start);
        self.told.push_back(Told::Generation { generation: plane.generation() });
        self.attached.plane = plane;
        self.stale = false;
    }

    fn see_tick(&mut self, slot: &Slot) {
        if slot.kind == EventKind::Tick as u16 {
            let tick: Tick = bytemuck::pod_read_unaligned(&slot.payload[..size_of::<Tick>()]);
            self.tick = tick.tick;
        }
    }

    /// Writes the page that `ps` reads.
    fn post(&self) {
        let Some(mailbox) = &self.attached.mailbox else { return };
        mailbox.store(MailboxWord::Generation, self.plane().generation());
        mailbox.store(MailboxWord::Cursor, self.cursor());
        mailbox.store(MailboxWord::ReceivedEvents, self.received());
        mailbox.store(MailboxWord::LostEvents, self.lost());
        mailbox.store(MailboxWord::Tick, self.tick);
        mailbox.store(MailboxWord::HeartbeatMonoNs, mono_ns());
    }

    /// Hands a report to the gateway, without waiting; [`Sent::Closed`] while there is none.
    pub fn report(&mut self, report: Report) -> Result<Sent, CodecError> {
        self.link.report(report)
    }

    /// The plane that is read: its board, fields and counters need no waiting.
    pub fn plane(&self) -> &PlaneReader {
        &self.attached.plane
    }

    /// What the gateway said when it let us in.
    pub fn welcome(&self) -> &Welcome {
        &self.attached.welcome
    }

    /// Whether an eventfd wakes us; without one, the ring is looked at every [`LOOK`].
    pub fn has_eventfd(&self) -> bool {
        self.wake.is_some()
    }

    /// Sequence of the next event.
    pub fn cursor(&self) -> u64 {
        self.reader.next_sequence()
    }

    /// Events told so far.
    pub fn received(&self) -> u64 {
        self.before.0 + self.reader.received()
    }

    /// Events told as lapped so far.
    pub fn lost(&self) -> u64 {
        self.before.1 + self.reader.lost()
    }

    /// Events that are there and not told yet.
    pub fn lag(&self) -> u64 {
        self.reader.lag()
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({:?}, next {})", self.attached, self.cursor())
    }
}
