//! The agent's life: attach, then look, take, report and post until the swarm ends.
//!
//! # Where samples come from
//! With loans, from the metrics batches alone; a batch that was missed is a hole. Without them (isolation
//! `strict`, or as long as the loans cannot be opened), from the `AgentMetric` events of the ring; what was
//! lost there is a hole. Both carry the same numbers, and [`Observer`] makes the same of them. The ring is
//! drained in either case: it wakes us, and what we lose of it is counted.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_proc::feed;
use agent_proc::report::{Health, report};
use agent_proc::sync::{Observer, SyncResult};
use rsw_attach::{AttachError, Attached, Client, ClientEvent, Mailbox, MailboxWord, Sent};
use rsw_os::clock::mono_ns;
use rsw_plane::{PlaneReader, WaitStrategy, Waiter};
use rsw_schemas::control::KernelState;
use rsw_schemas::event::{EventKind, Slot, Tick};
use rsw_schemas::text;
use rsw_schemas::wire::{RefusalCode, Welcome};

use super::loaned::{KernelWords, Loaned, LoanedError};
use super::ring_view::RingView;
use super::{Failure, note};

/// How long the gateway may take to say welcome: it may have to wait for the kernel's first plane.
const WELCOME_MAX: Duration = Duration::from_secs(30);
/// Time between two looks for a batch that the ring told of: the gateway lends it some hundred microseconds later.
const LOAN_LOOK: Duration = Duration::from_micros(50);
/// How long it is looked for like that.
const LOAN_NS_MAX: u64 = 5_000_000;
/// Longest wait on the ring; the heartbeat is promised every 100 ms.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// Least time between two looks at the socket while the ring keeps us busy: a look is a system call.
const LOOK_NS_MIN: u64 = 10_000_000;
/// Time between two tries at something that failed.
const RETRY_NS: u64 = 1_000_000_000;
/// A kernel without a heartbeat for so long is called silent; it beats at least every 100 ms.
const SILENT_NS_MIN: u64 = 2_000_000_000;
/// A public socket without a gateway for so long is a swarm that is gone.
const GONE_NS_MAX: u64 = 30_000_000_000;

/// Where the connection comes from.
pub(crate) enum Origin {
    /// From the launcher; the supervisor keeps the other end alive while a gateway restarts.
    Inherited(OwnedFd),
    /// From the swarm's public socket; after a gateway's restart we have to come again.
    Public(PathBuf),
}

/// The gateway, as far as we know.
enum Link {
    Up(Client),
    /// Since when, and when to try again.
    Down {
        since_ns: u64,
        retry_ns: u64,
    },
}

/// What was told on stderr last, so that only changes are told.
#[derive(Default)]
struct Told {
    silent: bool,
    full: bool,
    no_loans: bool,
    bad_batch: bool,
    differing: bool,
}

/// One agent. Single-threaded.
pub(crate) struct Agent {
    name: String,
    public: Option<PathBuf>,
    link: Link,
    welcome: Welcome,
    ring: RingView,
    waiter: Waiter,
    mailbox: Option<Mailbox>,
    loaned: Option<Loaned>,
    loans_retry_ns: u64,
    /// Missed in earlier incarnations of the gateway.
    missed_before: u64,
    observer: Observer,
    kernel: KernelWords,
    reports: u64,
    cs_bits: u64,
    tick: u64,
    looked_ns: u64,
    /// The ring told of a batch that is not lent yet: until then it is looked for. 0: nothing is due.
    batch_due_ns: u64,
    told: Told,
}

impl Agent {
    /// Connects, says hello and waits for the welcome.
    pub(crate) fn attach(origin: Origin, name: &str) -> Result<Self, Failure> {
        let (client, attached, public) = match origin {
            Origin::Inherited(socket) => {
                let (client, attached) = handshake(Client::from_fd(socket), name)?;
                (client, attached, None)
            }
            Origin::Public(path) => {
                let (client, attached) = handshake(Client::connect(&path)?, name)?;
                (client, attached, Some(path))
            }
        };
        let Attached { welcome, plane, mailbox, .. } = attached;
        let mut agent = Self {
            name: name.to_owned(),
            public,
            link: Link::Up(client),
            ring: RingView::new(plane),
            waiter: Waiter::new(WaitStrategy::default()),
            mailbox,
            loaned: None,
            loans_retry_ns: 0,
            missed_before: 0,
            observer: observer_of(&welcome),
            kernel: KernelWords::default(),
            reports: 0,
            cs_bits: f64::NAN.to_bits(),
            tick: 0,
            looked_ns: 0,
            batch_due_ns: 0,
            told: Told::default(),
            welcome,
        };
        agent.settle();
        agent.note(&format!(
            "attached as {} to generation {}",
            welcome.agent_id,
            agent.ring.plane().generation()
        ));
        Ok(agent)
    }

    /// Works until the swarm ends.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        loop {
            let woken = if self.batch_due_ns == 0 {
                self.ring.wait(&mut self.waiter, WAIT_MAX)
            } else {
                self.ring.wait(&mut Waiter::new(WaitStrategy::Block), LOAN_LOOK)
            };
            let now_ns = mono_ns();
            if self.batch_due_ns != 0 && now_ns > self.batch_due_ns {
                // It comes with the next tick, or its absence is counted then.
                self.batch_due_ns = 0;
            }
            if (!woken && self.batch_due_ns == 0)
                || now_ns.saturating_sub(self.looked_ns) >= LOOK_NS_MIN
            {
                self.looked_ns = now_ns;
                if self.look(now_ns)? {
                    self.note("the swarm has ended");
                    return Ok(());
                }
            }
            self.take_events();
            self.take_batches();
            self.post();
        }
    }

    /// Everything that is not data: gateway, loans, the kernel's heartbeat. True: the swarm has ended.
    fn look(&mut self, now_ns: u64) -> Result<bool, Failure> {
        let ended = self.look_at_gateway(now_ns)?;
        if self.welcome.loans != 0 && self.loaned.is_none() && now_ns >= self.loans_retry_ns {
            self.open_loans(now_ns);
        }
        let state = self.ring.plane().state();
        let age_ns = now_ns.saturating_sub(self.ring.plane().heartbeat_mono_ns());
        // What we have stays what it is; the supervisor brings a new generation or ends us.
        let silent = age_ns > SILENT_NS_MIN && state != Some(KernelState::Stopped);
        if silent != self.told.silent {
            self.told.silent = silent;
            self.note(if silent {
                "the kernel shows no sign of life; keeping the last good state"
            } else {
                "the kernel is alive"
            });
        }
        Ok(ended)
    }

    fn look_at_gateway(&mut self, now_ns: u64) -> Result<bool, Failure> {
        let client = match &mut self.link {
            Link::Up(client) => client,
            Link::Down { since_ns, retry_ns } => {
                let (since_ns, due) = (*since_ns, now_ns >= *retry_ns);
                return if due { self.come_again(since_ns, now_ns) } else { Ok(false) };
            }
        };
        match client.poll() {
            Ok(ClientEvent::Nothing) => Ok(false),
            Ok(ClientEvent::PlaneChanged(plane)) => {
                self.switch(*plane);
                Ok(false)
            }
            Ok(ClientEvent::Welcome(attached)) => {
                self.adopt(*attached);
                Ok(false)
            }
            Ok(ClientEvent::GatewayGone) if self.public.is_none() => Ok(true),
            Ok(ClientEvent::GatewayGone) => {
                self.link = Link::Down { since_ns: now_ns, retry_ns: now_ns };
                self.note("the gateway is gone; keeping the plane, trying to come back");
                Ok(self.ring.plane().state() == Some(KernelState::Stopped))
            }
            Err(error @ AttachError::Refused { .. }) => Err(error.into()),
            Err(error) => {
                // The packet is consumed and what we had still holds.
                self.note(&format!("ignored a packet: {error}"));
                Ok(false)
            }
        }
    }

    /// Tries the public socket once more.
    fn come_again(&mut self, since_ns: u64, now_ns: u64) -> Result<bool, Failure> {
        let Some(path) = &self.public else { return Ok(true) };
        match Client::connect(path).and_then(|client| handshake(client, &self.name)) {
            Ok((client, attached)) => {
                self.link = Link::Up(client);
                self.adopt(attached);
                Ok(false)
            }
            Err(error @ AttachError::Refused { .. }) if !passes(&error) => Err(error.into()),
            Err(_) if now_ns.saturating_sub(since_ns) > GONE_NS_MAX => {
                Err(Failure::Gone { seconds: GONE_NS_MAX / 1_000_000_000 })
            }
            Err(_) => {
                self.link = Link::Down { since_ns, retry_ns: now_ns + RETRY_NS };
                Ok(self.ring.plane().state() == Some(KernelState::Stopped))
            }
        }
    }

    /// A welcome replaces everything; what we remember stays if it still fits.
    fn adopt(&mut self, attached: Attached) {
        let Attached { welcome, plane, mailbox, .. } = attached;
        let same_run = plane.header().run_id == self.ring.plane().header().run_id;
        let shape = |w: &Welcome| (w.site_count, w.window_ticks, w.report_ticks);
        if !same_run || shape(&welcome) != shape(&self.welcome) {
            self.observer = observer_of(&welcome);
        }
        if !same_run || plane.generation() != self.ring.plane().generation() {
            self.switch(plane);
        }
        self.mailbox = mailbox;
        self.welcome = welcome;
        self.close_loans(0);
        self.settle();
        self.note(&format!("welcomed by gateway {}", welcome.incarnation));
    }

    /// Puts what the welcome says into effect.
    fn settle(&mut self) {
        let name = text::unpack(&self.welcome.name);
        if !name.is_empty() {
            self.name = name;
        }
        let strategy = text::unpack(&self.welcome.wait).parse().unwrap_or_else(|error| {
            self.note(&format!("{error}; using the default"));
            WaitStrategy::default()
        });
        self.waiter = Waiter::new(strategy);
        if self.welcome.loans != 0 {
            self.open_loans(mono_ns());
        }
        self.post();
    }

    /// The next generation: what the old one still holds comes first.
    fn switch(&mut self, plane: PlaneReader) {
        let capacity = self.ring.plane().ring_capacity();
        let mut taken = 0;
        while self.ring.ready() && taken <= capacity {
            let before = self.ring.cursor();
            self.take_events();
            taken += self.ring.cursor().wrapping_sub(before);
        }
        self.note(&format!("generation {} begins", plane.generation()));
        self.ring.switch(plane);
    }

    fn take_events(&mut self) {
        let Self { ring, observer, kernel, loaned, tick, .. } = self;
        let generation = ring.plane().generation();
        let from_ring = loaned.is_none();
        let mut due = Vec::new();
        let mut announced = false;
        ring.take(|slot| {
            announced |= slot.kind == EventKind::BatchReady as u16;
            if let Some(event) = tick_of(slot) {
                *tick = event.tick;
                kernel.hear(generation, &event);
            } else if from_ring && let Some(sample) = feed::from_slot(slot) {
                due.extend(observer.observe(sample.tick, sample.agent_id, sample.ci));
            }
        });
        due.iter().for_each(|result| self.send(result));
        if announced && !from_ring {
            self.batch_due_ns = mono_ns() + LOAN_NS_MAX;
        }
    }

    fn take_batches(&mut self) {
        let Self { observer, loaned: Some(loaned), .. } = self else { return };
        let mut due = Vec::new();
        let before = loaned.received();
        let mut taken = loaned.take(|sample| {
            due.extend(observer.observe(sample.tick, sample.agent_id, sample.ci));
        });
        if loaned.received() != before {
            self.batch_due_ns = 0;
        }
        if taken.is_ok() && !due.is_empty() {
            // Once per report and not per frame: the mean costs a pass over the field.
            taken = loaned.check(&mut self.kernel).and(taken);
        }
        due.iter().for_each(|result| self.send(result));
        match taken {
            Ok(None) => {}
            Ok(Some(fault)) => {
                if !std::mem::replace(&mut self.told.bad_batch, true) {
                    self.note(&format!("a batch became a hole: {fault}"));
                }
            }
            Err(error) => self.lose_loans(&error, mono_ns()),
        }
        if self.kernel.differing > 0 && !self.told.differing {
            self.told.differing = true;
            let KernelWords { differing, compared, .. } = self.kernel;
            self.note(&format!(
                "the lent CI field differs from the kernel's mean in {differing} of {compared} frames"
            ));
        }
    }

    fn open_loans(&mut self, now_ns: u64) {
        let root = text::unpack(&self.welcome.loan_root);
        let has_ci = self.ring.plane().field("ci").is_some();
        match Loaned::open(Path::new(&root), self.welcome.incarnation, has_ci) {
            Ok(loaned) => {
                self.loaned = Some(loaned);
                self.told.no_loans = false;
            }
            Err(error) => self.lose_loans(&error, now_ns),
        }
    }

    fn lose_loans(&mut self, error: &LoanedError, now_ns: u64) {
        self.close_loans(now_ns + RETRY_NS);
        if !self.told.no_loans {
            self.told.no_loans = true;
            self.note(&format!("no loans, using the ring meanwhile: {error}"));
        }
    }

    fn close_loans(&mut self, retry_ns: u64) {
        self.missed_before = self.missed();
        self.loaned = None;
        self.loans_retry_ns = retry_ns;
    }

    fn missed(&self) -> u64 {
        self.missed_before + self.loaned.as_ref().map_or(0, Loaned::missed)
    }

    fn send(&mut self, result: &SyncResult) {
        let health = Health {
            now_mono_ns: mono_ns(),
            lag_events: self.ring.lag(),
            lost_events: self.ring.lost(),
            missed_loans: self.missed(),
        };
        let report = report(result, self.welcome.agent_id, health);
        self.cs_bits = report.cs_mean.to_bits();
        let Link::Up(client) = &mut self.link else { return };
        let full = match client.report(report) {
            Ok(Sent::Done) => {
                self.reports += 1;
                false
            }
            Ok(Sent::WouldBlock) => true,
            // The next look finds out what happened.
            Ok(Sent::Closed) | Err(_) => return,
        };
        if full != self.told.full {
            self.told.full = full;
            self.note(if full {
                "the gateway does not take reports; dropping them"
            } else {
                "the gateway takes reports again"
            });
        }
    }

    fn post(&self) {
        let Some(mailbox) = &self.mailbox else { return };
        mailbox.store(MailboxWord::Cursor, self.ring.cursor());
        mailbox.store(MailboxWord::LostEvents, self.ring.lost());
        mailbox.store(MailboxWord::MissedLoans, self.missed());
        mailbox.store(MailboxWord::ReceivedEvents, self.ring.received());
        mailbox.store(MailboxWord::Reports, self.reports);
        mailbox.store(MailboxWord::Generation, self.ring.plane().generation());
        mailbox.store(MailboxWord::Tick, self.tick);
        mailbox.store(MailboxWord::CsBits, self.cs_bits);
        mailbox.store(MailboxWord::HeartbeatMonoNs, mono_ns());
    }

    fn note(&self, words: &str) {
        note(&self.name, words);
    }
}

fn handshake(mut client: Client, name: &str) -> Result<(Client, Attached), AttachError> {
    client.hello(name, 0)?;
    let attached = client.welcome(WELCOME_MAX)?;
    Ok((client, attached))
}

/// A gateway that has no plane yet or no place left may have one soon.
fn passes(error: &AttachError) -> bool {
    matches!(
        error,
        AttachError::Refused { code: Some(RefusalCode::NotRunning | RefusalCode::Full), .. }
    )
}

fn observer_of(welcome: &Welcome) -> Observer {
    Observer::new(welcome.site_count, welcome.window_ticks, welcome.report_ticks)
}

fn tick_of(slot: &Slot) -> Option<Tick> {
    (slot.kind == EventKind::Tick as u16 && usize::from(slot.len_bytes) == size_of::<Tick>())
        .then(|| bytemuck::cast(slot.payload))
}
