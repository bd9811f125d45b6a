//! The agent as a process: launched on an inherited socket or come over the public one, against a kernel and
//! a gateway that the test plays with the real parts.

#![allow(clippy::unwrap_used, reason = "a helper of a test that fails is a test that fails")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_proc::sync::{Observer, SyncResult};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt32Array, UInt64Array};
use rsw_attach::codec::{self, Incoming};
use rsw_attach::{MailboxReader, MailboxWord, page};
use rsw_loans::{BatchInfo, BatchPublisher, LoanDomain};
use rsw_os::{memfd, packet, process};
use rsw_plane::{EventHead, PlaneSpec, PlaneWriter};
use rsw_schemas::control::KernelState;
use rsw_schemas::event::{AgentMetric, EventKind, Report, Tick};
use rsw_schemas::wire::{
    AgentReport, Hello, Isolation, PacketKind, PlaneChanged, RefusalCode, Refused, Welcome,
};
use rsw_schemas::{ABI_MAJOR, LAYOUT_HASH, exit, text};

const SITES: u32 = 4;
const WINDOW_TICKS: u32 = 40;
const REPORT_TICKS: u32 = 20;
const RING_SLOTS: u64 = 1024;
/// Tries of 5 ms before a test gives up on another process.
const TRIES: usize = 4000;

fn ci(tick: u64, agent: u32) -> f64 {
    let noise = (tick ^ (u64::from(agent) << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
    (tick as f64 * 0.07).sin() + noise as f64 / (1u64 << 53) as f64
}

struct Kernel {
    plane: PlaneWriter,
    fd: OwnedFd,
}

impl Kernel {
    fn new(generation: u64, first_sequence: u64) -> Self {
        let spec = PlaneSpec {
            run_id: [7; 16],
            generation,
            first_sequence,
            nx: 8,
            ny: 8,
            tick_period_ns: 1_000_000,
            ring_slots: RING_SLOTS,
            cells: Vec::new(),
            fields: Vec::new(),
            arena_bytes: 1 << 16,
        };
        let (plane, fd) = PlaneWriter::create(&spec).unwrap();
        plane.control.set_state(KernelState::Running);
        Self { plane, fd }
    }

    fn push<P: bytemuck::Pod>(&mut self, kind: EventKind, source: u32, payload: &P) {
        let head = EventHead { kind: kind as u16, source, generation: 1, t_ns: 0 };
        self.plane.ring.push(head, bytemuck::bytes_of(payload));
    }

    fn tick(&mut self, tick: u64) {
        for agent_id in 1..=SITES {
            let mut metric: AgentMetric = bytemuck::Zeroable::zeroed();
            (metric.tick, metric.agent_id, metric.ci) = (tick, agent_id, ci(tick, agent_id));
            self.push(EventKind::AgentMetric, agent_id, &metric);
        }
        let mut event: Tick = bytemuck::Zeroable::zeroed();
        event.tick = tick;
        self.push(EventKind::Tick, 0, &event);
        self.plane.control.beat(rsw_os::clock::mono_ns());
        self.plane.commit();
    }

    fn total_bytes(&self) -> u64 {
        memfd::size_bytes(&self.fd).unwrap()
    }

    fn welcome(&self, agent_id: u32, loan_root: Option<&Path>) -> Welcome {
        let root = loan_root.map_or("", |path| path.to_str().unwrap());
        Welcome {
            agent_id,
            isolation: Isolation::Strict as u32,
            generation: self.plane.header().generation,
            total_bytes: self.total_bytes(),
            window_ticks: WINDOW_TICKS,
            report_ticks: REPORT_TICKS,
            site_count: SITES,
            loans: u32::from(loan_root.is_some()),
            incarnation: 1,
            loan_root: text::pack(root),
            name: text::pack(&format!("tester-{agent_id}")),
            wait: text::pack("block"),
            hello_flags: 0,
            wake_fd: 0,
        }
    }
}

fn patiently<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    for _ in 0..TRIES {
        if let Some(found) = attempt() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} did not come");
}

/// A process that does not outlive its test.
struct Leash(Child);

impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One agent process and the gateway's end of its socket.
struct Agent {
    child: Leash,
    sock: OwnedFd,
    mailbox: Option<MailboxReader>,
}

impl Agent {
    /// Launched as the supervisor does it.
    fn launch() -> Self {
        // The socket must not leak into an agent that another test launches at this moment: it would
        // never see its end.
        static LAUNCH: Mutex<()> = Mutex::new(());
        let _one_at_a_time = LAUNCH.lock().unwrap();
        let (sock, theirs) = packet::pair().unwrap();
        process::set_inheritable(&theirs, true).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_agent-proc"))
            .args(["--socket-fd", &theirs.as_raw_fd().to_string()])
            .spawn()
            .unwrap();
        Self { child: Leash(child), sock, mailbox: None }
    }

    fn launch_and_welcome(kernel: &Kernel, agent_id: u32, loan_root: Option<&Path>) -> Self {
        let mut agent = Self::launch();
        agent.expect_hello();
        agent.welcome(kernel, &kernel.welcome(agent_id, loan_root));
        agent
    }

    fn expect_hello(&self) {
        let hello: Hello = self.receive(PacketKind::Hello).body().unwrap();
        assert_eq!((hello.abi_major, hello.layout_hash), (ABI_MAJOR, LAYOUT_HASH));
    }

    /// Welcomes it with a new mailbox, and waits until it has settled.
    fn welcome(&mut self, kernel: &Kernel, welcome: &Welcome) {
        let file = page::create_for_peer("mailbox").unwrap();
        self.send(PacketKind::Welcome, welcome, &[&kernel.fd, &file]);
        let mailbox = MailboxReader::from_fd(file).unwrap();
        patiently("a heartbeat", || (mailbox.load(MailboxWord::HeartbeatMonoNs) > 0).then_some(()));
        self.mailbox = Some(mailbox);
    }

    fn send<B: bytemuck::Pod>(&self, kind: PacketKind, body: &B, fds: &[&OwnedFd]) {
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
        assert_eq!(codec::send(self.sock.as_fd(), kind, body, &fds).unwrap(), codec::Sent::Done);
    }

    fn receive(&self, kind: PacketKind) -> codec::Message {
        patiently("a packet", || match codec::recv(self.sock.as_fd(), 0).unwrap() {
            Incoming::Packet(message) => {
                assert_eq!(message.kind(), kind);
                Some(message)
            }
            Incoming::WouldBlock => None,
            Incoming::Closed => panic!("the agent is gone"),
        })
    }

    fn report(&self) -> Report {
        self.receive(PacketKind::Report).body::<AgentReport>().unwrap().report
    }

    fn word(&self, word: MailboxWord) -> u64 {
        self.mailbox.as_ref().unwrap().load(word)
    }

    fn expect_word(&self, word: MailboxWord, value: u64) {
        patiently(&format!("{word:?} = {value}"), || (self.word(word) == value).then_some(()));
    }

    fn expect_exit(mut self) -> ExitStatus {
        drop(self.sock);
        patiently("the agent's end", || self.child.0.try_wait().unwrap())
    }
}

fn expected(ticks: impl IntoIterator<Item = u64>) -> Vec<SyncResult> {
    let mut observer = Observer::new(SITES, WINDOW_TICKS, REPORT_TICKS);
    let samples = ticks.into_iter().flat_map(|tick| (1..=SITES).map(move |id| (tick, id)));
    samples.filter_map(|(tick, id)| observer.observe(tick, id, ci(tick, id))).collect()
}

fn assert_same(report: &Report, result: &SyncResult, agent_id: u32) {
    assert_eq!(report.tick, result.last_tick);
    assert_eq!(report.matrix_crc32, result.matrix_crc32);
    assert_eq!((report.agents, report.pairs_defined), (SITES, result.pairs_defined));
    assert_eq!((report.window_ticks, report.seen_ticks), (WINDOW_TICKS, result.seen_ticks));
    assert_eq!(Some(report.cs_mean), result.cs_mean);
    assert_eq!(Some(report.cs_self), result.cs_self(agent_id));
    assert_eq!((Some(report.r_min), Some(report.r_max)), (result.r_min, result.r_max));
}

fn publish_batch(publisher: &mut BatchPublisher, batch: u64, ticks: std::ops::Range<u64>) {
    let rows: Vec<(u64, u32)> =
        ticks.clone().flat_map(|tick| (1..=SITES).map(move |id| (tick, id))).collect();
    let tick: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows.iter().map(|r| r.0)));
    let agent: ArrayRef = Arc::new(UInt32Array::from_iter_values(rows.iter().map(|r| r.1)));
    let cis: ArrayRef = Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| ci(r.0, r.1))));
    let columns = [("tick", tick, false), ("agent_id", agent, false), ("ci", cis, false)];
    let record = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer =
        arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &record.schema()).unwrap();
    writer.write(&record).unwrap();
    writer.finish().unwrap();
    let stream = writer.into_inner().unwrap();
    let info = BatchInfo {
        generation: 1,
        batch,
        first_tick: ticks.start,
        last_tick: ticks.end - 1,
        rows: rows.len() as u32,
        schema: 1,
    };
    let fill = |bytes: &mut [u8]| {
        bytes.copy_from_slice(&stream);
        true
    };
    assert_eq!(publisher.publish(info, stream.len(), fill).unwrap(), Some(1), "nobody subscribed");
}

#[test]
fn agents_by_ring_and_by_loan_report_the_same_bits() {
    let mut kernel = Kernel::new(1, 0);
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let domain = LoanDomain::new(folder.path(), 1).unwrap();
    let mut publisher = domain.publish_batches("metrics", 1 << 16, 4).unwrap();
    let strict = Agent::launch_and_welcome(&kernel, 1, None);
    let lent = Agent::launch_and_welcome(&kernel, 2, Some(folder.path()));
    for tick in 1..=60 {
        kernel.tick(tick);
    }
    for batch in 0..6 {
        publish_batch(&mut publisher, batch + 1, batch * 10 + 1..batch * 10 + 11);
    }
    // A batch wakes nobody: the ring does.
    kernel.tick(61);
    let expected = expected(1..=60);
    assert_eq!(expected.len(), 3);
    for result in &expected {
        let (by_ring, by_loan) = (strict.report(), lent.report());
        assert_same(&by_ring, result, 1);
        assert_same(&by_loan, result, 2);
        assert_eq!((by_loan.lost_events, by_loan.missed_loans), (0, 0));
    }
    for agent in [&strict, &lent] {
        agent.expect_word(MailboxWord::ReceivedEvents, 61 * u64::from(SITES + 1));
        agent.expect_word(MailboxWord::Cursor, 61 * u64::from(SITES + 1));
        agent.expect_word(MailboxWord::Tick, 61);
        agent.expect_word(MailboxWord::Reports, 3);
        let mean = expected[2].cs_mean.unwrap();
        assert_eq!(f64::from_bits(agent.word(MailboxWord::CsBits)), mean);
    }
    assert!(strict.expect_exit().success());
    assert!(lent.expect_exit().success());
}

#[test]
fn a_new_generation_and_a_new_gateway_are_followed() {
    let mut first = Kernel::new(1, 0);
    let mut agent = Agent::launch_and_welcome(&first, 3, None);
    for tick in 1..=47 {
        first.tick(tick);
    }
    let cursor = 47 * u64::from(SITES + 1);
    // The first kernel dies here; its successor runs the last ticks again.
    let mut second = Kernel::new(2, cursor);
    let changed =
        PlaneChanged { generation: 2, total_bytes: second.total_bytes(), first_sequence: cursor };
    agent.send(PacketKind::PlaneChanged, &changed, &[&second.fd]);
    agent.expect_word(MailboxWord::Generation, 2);
    assert_eq!(agent.word(MailboxWord::ReceivedEvents), cursor, "the old plane was not drained");
    for tick in 35..=60 {
        second.tick(tick);
    }
    let reports: Vec<Report> = (0..4).map(|_| agent.report()).collect();
    assert_eq!(reports.iter().map(|r| r.tick).collect::<Vec<_>>(), [20, 40, 40, 60]);
    assert_same(&reports[3], &expected(1..=60)[2], 3);

    let reborn = Welcome { incarnation: 2, ..second.welcome(3, None) };
    agent.welcome(&second, &reborn);
    for tick in 61..=80 {
        second.tick(tick);
    }
    assert_same(&agent.report(), &expected(1..=80)[3], 3);
    agent.expect_word(MailboxWord::ReceivedEvents, (47 + 46) * u64::from(SITES + 1));
    agent.expect_word(MailboxWord::LostEvents, 0);
    assert!(agent.expect_exit().success());
}

#[test]
fn what_the_ring_overwrote_is_counted() {
    let mut kernel = Kernel::new(1, 0);
    let agent = Agent::launch_and_welcome(&kernel, 1, None);
    process_signal(&agent, rsw_os::Signal::Stop);
    let ticks = 2 * RING_SLOTS;
    for tick in 1..=ticks {
        kernel.tick(tick);
    }
    process_signal(&agent, rsw_os::Signal::Continue);
    let published = ticks * u64::from(SITES + 1);
    agent.expect_word(MailboxWord::Cursor, published);
    agent.expect_word(MailboxWord::Tick, ticks);
    let lost = agent.word(MailboxWord::LostEvents);
    assert!(lost >= published - RING_SLOTS - u64::from(SITES + 1) * 2);
    assert_eq!(agent.word(MailboxWord::ReceivedEvents) + lost, published);
    assert!(agent.expect_exit().success());
}

fn process_signal(agent: &Agent, signal: rsw_os::Signal) {
    let pid = rsw_os::pidfd::open(agent.child.0.id()).unwrap();
    rsw_os::pidfd::send_signal(&pid, signal).unwrap();
}

#[test]
fn a_refused_agent_says_why_and_ends() {
    let agent = Agent::launch();
    agent.expect_hello();
    let refused = Refused {
        code: RefusalCode::Layout as u32,
        abi_major: 9,
        abi_minor: 9,
        reserved: 0,
        layout_hash: 1,
        text: text::pack("run programs of one build"),
    };
    agent.send(PacketKind::Refused, &refused, &[]);
    assert_eq!(agent.expect_exit().code(), Some(i32::from(exit::LAYOUT)));
}

#[test]
fn over_the_public_socket_it_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swarm.sock");
    let listener = packet::listen(&path).unwrap();
    let child =
        Command::new(env!("CARGO_BIN_EXE_agent-proc")).arg("--socket").arg(&path).spawn().unwrap();
    let accept = || patiently("a connection", || packet::accept(&listener).unwrap());
    let mut kernel = Kernel::new(1, 0);
    let mut agent = Agent { child: Leash(child), sock: accept(), mailbox: None };
    agent.expect_hello();
    agent.welcome(&kernel, &kernel.welcome(5, None));
    for tick in 1..=30 {
        kernel.tick(tick);
    }
    assert_eq!(agent.report().tick, 20);
    agent.expect_word(MailboxWord::Tick, 30);
    // The gateway restarts.
    agent.sock = accept_after_closing(agent.sock, accept);
    agent.expect_hello();
    agent.welcome(&kernel, &Welcome { incarnation: 2, ..kernel.welcome(4, None) });
    for tick in 31..=40 {
        kernel.tick(tick);
    }
    assert_same(&agent.report(), &expected(1..=40)[1], 4);
    kernel.plane.control.set_state(KernelState::Stopped);
    assert!(agent.expect_exit().success());
}

fn accept_after_closing(old: OwnedFd, accept: impl Fn() -> OwnedFd) -> OwnedFd {
    drop(old);
    accept()
}
