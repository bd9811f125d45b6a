//! The loop: one thread, every socket, no wait but the poll.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rsw_attach::page::PageError;
use rsw_attach::{Incoming, Message, Sent, codec, page};
use rsw_config::Topology;
use rsw_loans::LoanDomain;
use rsw_os::Listener;
use rsw_os::clock::mono_ns;
use rsw_os::packet;
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_os::signal::{Signal, SignalPipe};
use rsw_schemas::event::EventKind;
use rsw_schemas::text;
use rsw_schemas::wire::{AgentSeat, Hello, Isolation, PacketKind, RefusalCode, hello_flag};

use crate::Args;
use crate::client::{Client, Role, Said};
use crate::error::GatewayError;
use crate::kernel_link::KernelLink;
use crate::lender::{Lender, LenderCounts};
use crate::report::{Bounds, RateLimit};
use crate::waker::{Kind, Wakers};
use crate::welcome::{Host, Plane, check_abi, plane_changed, refuse};

/// Longest wait: alerts that were held back and strangers that keep silent are looked at this often.
const WAIT: Duration = Duration::from_millis(250);
/// Time between two heartbeats to the supervisor.
const BEAT_NS: u64 = 500_000_000;
/// Time until a welcome is tried again that could not be made.
const RETRY_NS: u64 = 250_000_000;
/// A lender that has not turned for this long hangs: a turn takes milliseconds.
const LENDER_NS_MAX: u64 = 2_000_000_000;
/// Guests and observers at once.
const GUESTS_MAX: usize = 64;
/// Ids that one incarnation gives away before they repeat; an agent of one incarnation is never taken for
/// one of another.
const GUEST_IDS: u32 = 1024;
/// Packets taken from one client before the next one's turn.
const PACKETS_PER_TURN: usize = 32;
/// What a client hears for whom there is no descriptor left.
const NO_DESCRIPTOR: &str =
    "the gateway can open no more files: raise the limit (`ulimit -Hn`) or try later";
/// No packet of the supervisor carries more descriptors.
const FDS_MAX: usize = 2;

/// Everything the process holds.
pub(crate) struct Gateway<'fd> {
    control: BorrowedFd<'fd>,
    signals: SignalPipe,
    door: Door,
    kernel: KernelLink,
    topology: Topology,
    host: Host,
    /// The loans' domain, until the first plane says which fields there are.
    domain: Option<LoanDomain>,
    lender: Option<Lender>,
    plane: Option<Plane>,
    clients: Vec<Client>,
    wakers: Wakers,
    guests_seen: u32,
    guest_limit: RateLimit,
    /// Guests that left while the supervisor's socket was full.
    detached: VecDeque<AgentSeat>,
    stop: bool,
    beat_mono_ns: u64,
}

impl<'fd> Gateway<'fd> {
    /// Makes the public socket and the loans' folder, and clears what earlier incarnations left.
    pub(crate) fn new(
        args: &Args,
        control: BorrowedFd<'fd>,
        kernel: Option<OwnedFd>,
    ) -> Result<Self, GatewayError> {
        // Ctrl-C goes to a whole terminal; the supervisor alone decides what it means.
        let signals = SignalPipe::new(&[Signal::Terminate, Signal::Interrupt])?;
        let topology = read_topology(&args.topology)?;
        let host = Host::new(&topology, &args.loan_root, args.incarnation)?;
        let domain = LoanDomain::new(&args.loan_root, args.incarnation)?;
        LoanDomain::remove_others(&args.loan_root, args.incarnation)?;
        let door = Door::open(&args.socket)?;
        Ok(Self {
            control,
            signals,
            door,
            kernel: KernelLink::new(kernel),
            topology,
            host,
            domain: Some(domain),
            lender: None,
            plane: None,
            clients: Vec::new(),
            wakers: Wakers::default(),
            guests_seen: 0,
            guest_limit: RateLimit::new(mono_ns()),
            detached: VecDeque::new(),
            stop: false,
            beat_mono_ns: mono_ns(),
        })
    }

    /// Serves until the supervisor says stop or is gone.
    pub(crate) fn run(mut self) -> Result<(), GatewayError> {
        while !self.stop {
            let ready = self.wait()?;
            self.hear_supervisor()?;
            self.kernel.ready()?;
            if ready.lender {
                self.finish_lender()?;
            }
            if ready.door {
                self.let_in()?;
            }
            self.hear_clients(&ready.clients)?;
            self.housekeeping()?;
        }
        let counts = self.finish_lender()?;
        rsw_os::process::note(format_args!(
            "gateway: lent {} frames and {} batches; lost {} batches and {} packets to the kernel",
            counts.frames,
            counts.batches,
            counts.batches_lost,
            self.kernel.dropped()
        ));
        Ok(())
    }

    fn wait(&mut self) -> Result<Woken, GatewayError> {
        let mut fds = vec![
            PollFd::new(self.control, Interest::READ),
            PollFd::new(self.signals.as_fd(), Interest::READ),
        ];
        let door_at = self.door.sock.to_poll().map(|sock| {
            fds.push(PollFd::new(sock, Interest::READ));
            fds.len() - 1
        });
        let lender_at = self.lender.as_ref().map(|lender| {
            fds.push(PollFd::new(lender.as_fd(), Interest::READ));
            fds.len() - 1
        });
        if let Some((sock, waits)) = self.kernel.interest() {
            fds.push(PollFd::new(sock, if waits { Interest::BOTH } else { Interest::READ }));
        }
        let clients_at = fds.len();
        fds.extend(self.clients.iter().map(|client| {
            let interest = if client.owes_welcome { Interest::BOTH } else { Interest::READ };
            PollFd::new(client.sock.as_fd(), interest)
        }));
        poll(&mut fds, Some(WAIT))?;
        let clients = self.clients.iter().zip(&fds[clients_at..]);
        let clients = clients.filter(|(_, fd)| fd.ready().any());
        let woken = Woken {
            door: door_at.is_some_and(|at| fds[at].ready().any()),
            lender: lender_at.is_some_and(|at| fds[at].ready().any()),
            clients: clients.map(|(client, _)| client.sock.as_raw_fd()).collect(),
        };
        if self.signals.drain().contains(&Signal::Terminate) {
            self.stop = true;
        }
        Ok(woken)
    }

    fn hear_supervisor(&mut self) -> Result<(), GatewayError> {
        while !self.stop {
            match codec::recv(self.control, FDS_MAX)? {
                Incoming::WouldBlock => break,
                // Nobody would restart or stop this gateway any more.
                Incoming::Closed => self.stop = true,
                Incoming::Packet(message) => self.obey(message)?,
            }
        }
        Ok(())
    }

    fn obey(&mut self, message: Message) -> Result<(), GatewayError> {
        match message.kind() {
            PacketKind::Stop => self.stop = true,
            PacketKind::PlaneChanged => {
                let [fd] = message.take_fds()?;
                self.enter_generation(Plane::new(fd)?)?;
            }
            PacketKind::Link => {
                let [sock] = message.take_fds()?;
                self.kernel.replace(sock)?;
            }
            PacketKind::Seat => {
                let seat: AgentSeat = message.body()?;
                let [sock, mailbox] = message.take_fds()?;
                self.clients.retain(|client| client.seat.agent_id != seat.agent_id);
                self.clients.push(Client::seated(sock, seat, mailbox, mono_ns()));
                // Its hello may have been heard by a predecessor, so nobody waits for one.
                let last = self.clients.len() - 1;
                self.welcome(last);
            }
            PacketKind::SeatGone => {
                let seat: AgentSeat = message.body()?;
                self.clients.retain(|client| client.seat.agent_id != seat.agent_id);
                self.kernel.presence(EventKind::Left, &seat)?;
                self.clear_dead();
            }
            kind => return Err(GatewayError::Unexpected { kind }),
        }
        Ok(())
    }

    /// Lends from the new plane and tells every client; the first one makes the gateway ready.
    fn enter_generation(&mut self, plane: Plane) -> Result<(), GatewayError> {
        let reader = plane.reader.clone();
        self.plane = Some(plane);
        match (&self.lender, self.domain.take()) {
            (Some(lender), _) => lender.switch(reader),
            (None, Some(domain)) => {
                let from_start = self.host.incarnation == 1;
                let lender = Lender::start(domain, &self.topology, reader, from_start)?;
                self.lender = Some(lender);
                match codec::send_empty(self.control, PacketKind::GatewayReady, &[])? {
                    Sent::Done | Sent::Closed => {}
                    Sent::WouldBlock => {
                        let kind = PacketKind::GatewayReady;
                        return Err(GatewayError::SupervisorStuck { kind });
                    }
                }
            }
            (None, None) => {}
        }
        for at in (0..self.clients.len()).rev() {
            self.announce(at)?;
        }
        Ok(())
    }

    fn announce(&mut self, at: usize) -> Result<(), GatewayError> {
        let (Some(plane), client) = (&self.plane, &mut self.clients[at]) else { return Ok(()) };
        client.forget_ticks();
        if let Some(waker) = &client.waker {
            waker.switch(plane.reader.clone());
        }
        match client.role {
            Role::Stranger => {}
            // A seat that never got a welcome gets one now; after that, only the plane changes.
            Role::Seat if !client.welcomed => self.welcome(at),
            role => match plane_changed(client.sock.as_fd(), plane) {
                Ok(Sent::Done) => {}
                Ok(Sent::WouldBlock) if role == Role::Seat => client.owes_welcome = true,
                Ok(_) => self.part(at, "it does not drain its socket")?,
                // It is ours that cannot, just now; a welcome brings the plane as well.
                Err(_) => client.retry_welcome_ns = mono_ns() + RETRY_NS,
            },
        }
        Ok(())
    }

    /// Sends a welcome, or remembers that it is owed: when the socket has room, or when this process has a descriptor
    /// for it. A client that is gone shows at its next packet.
    fn welcome(&mut self, at: usize) {
        self.wake_if_asked(at);
        let (Some(plane), client) = (&self.plane, &mut self.clients[at]) else { return };
        let sent = self.host.welcome(client, plane);
        client.owes_welcome = matches!(sent, Ok(Sent::WouldBlock));
        client.welcomed |= matches!(sent, Ok(Sent::Done));
        client.retry_welcome_ns = if sent.is_err() { mono_ns() + RETRY_NS } else { 0 };
        if let (Err(error), false) = (sent, client.welcomed || client.role == Role::Seat) {
            // Who is new had better hear at once that it has to come again.
            let words = if error.is_no_descriptor() { NO_DESCRIPTOR.into() } else { error.chain() };
            refuse(client.sock.as_fd(), RefusalCode::Full, &words);
            client.hang_up();
        }
    }

    fn let_in(&mut self) -> Result<(), GatewayError> {
        let full = |sock: BorrowedFd<'_>| refuse(sock, RefusalCode::Full, NO_DESCRIPTOR);
        while let Some(sock) = self.door.sock.accept(full)? {
            let Ok(peer) = packet::peer_cred(&sock) else { continue };
            let now_ns = mono_ns();
            let strangers = self.clients.iter().filter(|client| client.role != Role::Seat).count();
            if peer.uid != rustix::process::geteuid().as_raw() {
                let words = format!("user {} may not attach: run as the swarm's user", peer.uid);
                refuse(sock.as_fd(), RefusalCode::Permission, &words);
            } else if strangers >= GUESTS_MAX || self.guest_limit.take(now_ns).is_err() {
                let words = format!("{GUESTS_MAX} guests are here, or too many came: try later");
                refuse(sock.as_fd(), RefusalCode::Full, &words);
            } else {
                self.clients.push(Client::stranger(sock, peer.pid, now_ns));
            }
        }
        Ok(())
    }

    fn hear_clients(&mut self, ready: &[RawFd]) -> Result<(), GatewayError> {
        // From the last to the first: whoever parts is removed, and nobody before it moves.
        for at in (0..self.clients.len()).rev() {
            if ready.contains(&self.clients[at].sock.as_raw_fd()) {
                if self.clients[at].owes_welcome {
                    self.welcome(at);
                }
                self.hear_client(at)?;
            }
        }
        Ok(())
    }

    fn hear_client(&mut self, at: usize) -> Result<(), GatewayError> {
        let tick = self.plane.as_ref().map_or(0, |plane| plane.reader.tick());
        let agents_max = self.host.site_count.saturating_add(GUESTS_MAX as u32);
        let bounds = Bounds { tick, last_tick: 0, agents_max };
        for _ in 0..PACKETS_PER_TURN {
            let client = &mut self.clients[at];
            match client.hear(mono_ns(), bounds) {
                Said::Nothing => break,
                Said::Refused => {}
                Said::Report(report) => self.kernel.report(client.seat.agent_id, &report)?,
                Said::Gone => return self.gone(at),
                Said::Broken(why) => {
                    refuse(client.sock.as_fd(), RefusalCode::Protocol, &why);
                    return self.part(at, &why);
                }
                Said::Hello(hello) => {
                    if let Err((code, why)) = self.greet(at, &hello)? {
                        refuse(self.clients[at].sock.as_fd(), code, &why);
                        return self.part(at, &why);
                    }
                }
            }
        }
        Ok(())
    }

    /// Answers a hello, or says why not.
    fn greet(
        &mut self,
        at: usize,
        hello: &Hello,
    ) -> Result<Result<(), (RefusalCode, String)>, GatewayError> {
        if let Err(words) = check_abi(hello) {
            return Ok(Err((RefusalCode::Layout, words)));
        }
        if self.plane.is_none() && self.clients[at].role != Role::Seat {
            let words = "the swarm has no plane yet: wait for `runtime status --wait`";
            return Ok(Err((RefusalCode::NotRunning, words.into())));
        }
        if self.clients[at].role == Role::Stranger {
            if hello.flags & hello_flag::OBSERVER != 0 {
                self.clients[at].role = Role::Observer;
            } else if let Err(words) = self.become_guest(at, hello)? {
                return Ok(Err((RefusalCode::Full, words)));
            }
        }
        self.clients[at].hello_flags = hello.flags;
        self.welcome(at);
        let client = &mut self.clients[at];
        if !std::mem::replace(&mut client.greeted, true) && client.role != Role::Observer {
            self.kernel.presence(EventKind::Joined, &client.seat)?;
        }
        Ok(Ok(()))
    }

    /// An eventfd for who asked for one, once there is a plane to wake from.
    fn wake_if_asked(&mut self, at: usize) {
        let (Some(plane), client) = (&self.plane, &mut self.clients[at]) else { return };
        if client.hello_flags & hello_flag::WAKE_FD != 0 && client.waker.is_none() {
            let (kind, here_max) = match client.role {
                Role::Seat => (Kind::Seat, self.host.site_count as usize),
                _ => (Kind::Guest, GUESTS_MAX),
            };
            // The thread of one that has just left takes a moment to end.
            client.waker = self.wakers.start(&plane.reader, kind, 2 * here_max);
        }
    }

    /// Gives a stranger an id, a name and a mailbox, or says why that cannot be now.
    fn become_guest(
        &mut self,
        at: usize,
        hello: &Hello,
    ) -> Result<Result<(), String>, GatewayError> {
        let agent_id = self.next_guest_id();
        let name = guest_name(&text::unpack(&hello.name), agent_id);
        let mailbox = match page::create_for_peer(&format!("mailbox-{agent_id}")) {
            Ok(mailbox) => mailbox,
            Err(PageError::Os(error)) if error.is_no_descriptor() => {
                return Ok(Err(NO_DESCRIPTOR.into()));
            }
            Err(error) => return Ok(Err(format!("there is no mailbox for a guest: {error}"))),
        };
        let client = &mut self.clients[at];
        client.seat.agent_id = agent_id;
        client.seat.isolation = Isolation::None as u32;
        client.seat.name = text::pack(&name);
        let fds = [mailbox.as_fd()];
        let sent = codec::send(self.control, PacketKind::Attached, &client.seat, &fds)?;
        if sent == Sent::WouldBlock {
            client.seat.agent_id = 0;
            return Ok(Err("the supervisor is busy: try again".into()));
        }
        client.role = Role::Guest;
        client.mailbox = Some(mailbox);
        Ok(Ok(()))
    }

    fn next_guest_id(&mut self) -> u32 {
        loop {
            let id = guest_id(self.host.site_count, self.host.incarnation, self.guests_seen);
            self.guests_seen = self.guests_seen.wrapping_add(1);
            if self.clients.iter().all(|client| client.seat.agent_id != id) {
                return id;
            }
        }
    }

    /// Ends a connection because of what its client did.
    fn part(&mut self, at: usize, why: &str) -> Result<(), GatewayError> {
        let client = &self.clients[at];
        client.hang_up();
        if client.seat.agent_id != 0 {
            let tick = self.plane.as_ref().map_or(0, |plane| plane.reader.tick());
            let words = format!("{}: cut off: {why}", text::unpack(&client.seat.name));
            self.kernel.alert(client.seat.agent_id, tick, &words)?;
        }
        self.gone(at)
    }

    /// Forgets a connection that has ended. Of a seat, the supervisor says when its process is gone.
    fn gone(&mut self, at: usize) -> Result<(), GatewayError> {
        let client = self.clients.remove(at);
        if client.role == Role::Guest {
            self.kernel.presence(EventKind::Left, &client.seat)?;
            self.detached.push_back(client.seat);
        }
        if client.role != Role::Stranger {
            self.clear_dead();
        }
        Ok(())
    }

    fn housekeeping(&mut self) -> Result<(), GatewayError> {
        while let Some(seat) = self.detached.front() {
            match codec::send(self.control, PacketKind::Detached, seat, &[])? {
                Sent::Done | Sent::Closed => drop(self.detached.pop_front()),
                Sent::WouldBlock => break,
            }
        }
        let now_ns = mono_ns();
        self.beat(now_ns)?;
        let tick = self.plane.as_ref().map_or(0, |plane| plane.reader.tick());
        for client in &mut self.clients {
            if let Some(words) = client.alert(now_ns) {
                self.kernel.alert(client.seat.agent_id, tick, &words)?;
            }
        }
        for at in 0..self.clients.len() {
            let due_ns = self.clients[at].retry_welcome_ns;
            if due_ns > 0 && now_ns >= due_ns {
                self.welcome(at);
            }
        }
        self.clients.retain(|client| !client.overstays(now_ns));
        self.wakers.sweep();
        Ok(())
    }

    /// Says again that the gateway is ready, for as long as both of its threads turn: that is its heartbeat.
    fn beat(&mut self, now_ns: u64) -> Result<(), GatewayError> {
        let lender = self.lender.as_ref().map_or(0, Lender::beat_mono_ns);
        let due = now_ns.saturating_sub(self.beat_mono_ns) > BEAT_NS;
        if due && now_ns.saturating_sub(lender) < LENDER_NS_MAX {
            self.beat_mono_ns = now_ns;
            // A supervisor that has no room for it has other beats to read.
            let _ = codec::send_empty(self.control, PacketKind::GatewayReady, &[])?;
        }
        Ok(())
    }

    fn clear_dead(&self) {
        if let Some(lender) = &self.lender {
            lender.clear_dead();
        }
    }

    fn finish_lender(&mut self) -> Result<LenderCounts, GatewayError> {
        self.lender.take().map_or(Ok(LenderCounts::default()), Lender::finish)
    }
}

/// What a wait found; control, signals and kernel are looked at every time.
struct Woken {
    door: bool,
    lender: bool,
    clients: Vec<RawFd>,
}

/// The public socket; its file goes with it.
struct Door {
    sock: Listener,
    path: PathBuf,
}

impl Door {
    /// Listens at `path`, in place of a file that a killed predecessor left.
    fn open(path: &Path) -> Result<Self, GatewayError> {
        let answered = match packet::connect(path) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        };
        if answered {
            let source = std::io::ErrorKind::AddrInUse.into();
            return Err(GatewayError::Socket { path: path.into(), action: "made", source });
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let path = path.to_owned();
                Err(GatewayError::Socket { path, action: "removed", source: error })
            }
            _ => Ok(Self { sock: Listener::bind(path)?, path: path.into() }),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Whoever finds the file of a gateway that is gone gets "refused", and the next one removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn read_topology(path: &Path) -> Result<Topology, GatewayError> {
    let file = File::open(path)
        .map_err(|source| GatewayError::Topology { path: path.to_owned(), source })?;
    serde_json::from_reader(BufReader::new(file))
        .map_err(|source| GatewayError::TopologyFormat { path: path.to_owned(), source })
}

/// Ids of guests lie above those of the sites, in a block of their own for each incarnation.
fn guest_id(site_count: u32, incarnation: u64, seen: u32) -> u32 {
    let blocks = (u32::MAX / GUEST_IDS).saturating_sub(site_count / GUEST_IDS + 1).max(1);
    let block = (incarnation.saturating_sub(1) % u64::from(blocks)) as u32;
    site_count + 1 + block * GUEST_IDS + seen % GUEST_IDS
}

/// A printable name; the id makes up for an empty one.
fn guest_name(asked: &str, agent_id: u32) -> String {
    let name: String =
        asked.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    if name.is_empty() { format!("guest-{agent_id}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_ids_never_meet_sites_or_other_incarnations() {
        assert_eq!(guest_id(4, 1, 0), 5);
        assert_eq!(guest_id(4, 1, GUEST_IDS - 1) + 1, guest_id(4, 2, 0));
        assert_eq!(guest_id(4, 1, GUEST_IDS), 5, "the block repeats");
        assert!(guest_id(4, u64::MAX, u32::MAX) > 4);
        assert!(guest_id(100_000, u64::MAX, u32::MAX) > 100_000);
    }

    #[test]
    fn guest_names_are_printable() {
        assert_eq!(guest_name("probe-1", 9), "probe-1");
        assert_eq!(guest_name("\x1b[31mred\n", 9), "31mred");
        assert_eq!(guest_name("\u{fffd}\u{fffd}", 9), "guest-9");
    }
}
