//! A test's supervisor and kernel around a real gateway process.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytemuck::Zeroable;
use rsw_attach::{Client, Incoming, Message, WakeFd, codec, page};
use rsw_config::{AgentInstance, SwarmConfig, Topology};
use rsw_os::{packet, process};
use rsw_plane::{EventHead, FieldSpec, PlaneSpec, PlaneWriter};
use rsw_schemas::event::{BatchReady, EventKind, FieldReady};
use rsw_schemas::field::{CHECKPOINT, Dtype};
use rsw_schemas::text;
use rsw_schemas::wire::{Admitted, AgentSeat, Isolation, PacketKind, PlaneChanged, hello_flag};

pub(crate) const NX: u32 = 33;
pub(crate) const NY: u32 = 7;
pub(crate) const SITES: u32 = 2;
/// Nothing waits longer; nothing is expected to wait at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Descriptors are inherited by whatever is spawned meanwhile, so one spawn at a time.
static SPAWN: Mutex<()> = Mutex::new(());

pub(crate) struct Swarm {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) loan_root: tempfile::TempDir,
    pub(crate) control: OwnedFd,
    pub(crate) kernel: OwnedFd,
    pub(crate) plane: PlaneWriter,
    plane_fd: OwnedFd,
    child: Child,
    batch: u64,
}

impl Swarm {
    /// A gateway, incarnation 1, that is ready.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loan_root = tempfile::Builder::new().prefix("rsw-gw-").tempdir_in("/dev/shm").unwrap();
        std::fs::write(folder.path().join("topology.json"), topology()).unwrap();
        let (plane, plane_fd) = plane(1, 0);
        let paths = (folder.path().to_owned(), loan_root.path().to_owned());
        let (child, control, kernel) = spawn(&paths.0, &paths.1, 1);
        let swarm = Self { folder, loan_root, control, kernel, plane, plane_fd, child, batch: 0 };
        swarm.send_plane();
        swarm.order(PacketKind::GatewayReady);
        swarm
    }

    /// SIGKILL, then the next incarnation with the same plane.
    pub(crate) fn kill_and_restart(&mut self, incarnation: u64) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.control, self.kernel) =
            spawn(self.folder.path(), self.loan_root.path(), incarnation);
        self.send_plane();
        self.order(PacketKind::GatewayReady);
    }

    /// A new generation of the plane, announced to the gateway.
    pub(crate) fn restart_kernel(&mut self, generation: u64) {
        let first = self.plane.ring.next_sequence();
        (self.plane, self.plane_fd) = plane(generation, first);
        self.batch = 0;
        self.send_plane();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("swarm.sock")
    }

    pub(crate) fn guest(&self, name: &str) -> (Client, rsw_attach::Attached) {
        let mut client = Client::connect(&self.socket()).unwrap();
        client.hello(name, 0).unwrap();
        let attached = client.welcome(PATIENCE).unwrap();
        (client, attached)
    }

    /// As [`Self::guest`], with an eventfd.
    pub(crate) fn waking_guest(&self, name: &str) -> (Client, WakeFd) {
        let mut client = Client::connect(&self.socket()).unwrap();
        client.hello(name, hello_flag::WAKE_FD).unwrap();
        let attached = client.welcome(PATIENCE).unwrap();
        (client, attached.wake.expect("an eventfd"))
    }

    /// Threads of the gateway that signal eventfds.
    pub(crate) fn waker_threads(&self) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
        names.flatten().filter(|name| name.trim() == "waker").count()
    }

    /// A launched agent's seat: the agent's end, and what the supervisor keeps to give it again.
    pub(crate) fn seat(&self, agent_id: u32, isolation: Isolation) -> (OwnedFd, Seat) {
        let (theirs, ours) = packet::pair().unwrap();
        let seat = AgentSeat {
            agent_id,
            pid: 7,
            isolation: isolation as u32,
            name: text::pack(&format!("agent-{agent_id}")),
            wait: text::pack("block"),
            ..AgentSeat::zeroed()
        };
        let mailbox = page::create_for_peer("mailbox").unwrap();
        (theirs, Seat { seat, sock: ours, mailbox })
    }

    pub(crate) fn give(&self, seat: &Seat) {
        let fds = [seat.sock.as_fd(), seat.mailbox.as_fd()];
        let _ = codec::send(self.control.as_fd(), PacketKind::Seat, &seat.seat, &fds).unwrap();
    }

    /// The next order of that kind from the gateway to its supervisor.
    pub(crate) fn order(&self, kind: PacketKind) -> Message {
        let message = next(&self.control).expect("the gateway is there");
        assert_eq!(message.kind(), kind);
        message
    }

    /// The next packet of the gateway to its kernel.
    pub(crate) fn admitted(&self) -> Admitted {
        next(&self.kernel).expect("the gateway is there").body().unwrap()
    }

    /// As [`Self::admitted`], if one is there now.
    pub(crate) fn admitted_now(&self) -> Option<Admitted> {
        match codec::recv(self.kernel.as_fd(), 0).unwrap() {
            Incoming::Packet(message) => Some(message.body().unwrap()),
            _ => None,
        }
    }

    /// Publishes a frame of the field "wave" whose cells count up from `base`.
    pub(crate) fn frame(&mut self, tick: u64, base: f32) {
        let cells: Vec<f32> = (0..NX * NY).map(|cell| base + cell as f32).collect();
        let range = [base, base + (NX * NY - 1) as f32];
        let data = bytemuck::cast_slice(&cells);
        let frame = self.plane.fields[0].publish(tick, 5, range, data);
        let ready = FieldReady { tick, frame, field: 0, reserved: 0, range };
        self.push(EventKind::FieldReady, bytemuck::bytes_of(&ready));
    }

    /// Publishes a batch; a damaged one does not match its checksum.
    pub(crate) fn batch(&mut self, bytes: &[u8], damaged: bool) {
        self.batch += 1;
        let ready = BatchReady {
            batch: self.batch,
            position_bytes: self.plane.batches.append(bytes).unwrap(),
            len_bytes: bytes.len() as u64,
            first_tick: 1,
            last_tick: 2,
            rows: 3,
            schema: 1,
            crc32: crc32fast::hash(bytes) ^ u32::from(damaged),
            reserved: 0,
        };
        self.push(EventKind::BatchReady, bytemuck::bytes_of(&ready));
    }

    fn push(&mut self, kind: EventKind, payload: &[u8]) {
        let head = EventHead { kind: kind as u16, source: 0, generation: 1, t_ns: 5 };
        self.plane.ring.push(head, payload);
        self.plane.commit();
    }

    fn send_plane(&self) {
        let header = self.plane.header();
        let changed = PlaneChanged {
            generation: header.generation,
            total_bytes: header.total_bytes,
            first_sequence: header.first_sequence,
        };
        let fds = [self.plane_fd.as_fd()];
        let kind = PacketKind::PlaneChanged;
        let _ = codec::send(self.control.as_fd(), kind, &changed, &fds).unwrap();
    }

    /// Waits for the end of the gateway.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Seat {
    pub(crate) seat: AgentSeat,
    sock: OwnedFd,
    mailbox: OwnedFd,
}

/// The next packet on a socket, or `None` at its end.
pub(crate) fn next(sock: &OwnedFd) -> Option<Message> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match codec::recv(sock.as_fd(), 2).unwrap() {
            Incoming::Packet(message) => return Some(message),
            Incoming::Closed => return None,
            Incoming::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    panic!("nothing came");
}

/// Tries until there is something.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = attempt() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{what} never came");
}

/// Starts a gateway and returns its supervisor's and its kernel's end.
pub(crate) fn spawn(
    folder: &std::path::Path,
    loan_root: &std::path::Path,
    incarnation: u64,
) -> (Child, OwnedFd, OwnedFd) {
    let (control, control_theirs) = packet::pair().unwrap();
    let (kernel, kernel_theirs) = packet::pair().unwrap();
    let guard = SPAWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for fd in [&control_theirs, &kernel_theirs] {
        process::set_inheritable(fd, true).unwrap();
    }
    let child = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["--control-fd", &control_theirs.as_raw_fd().to_string()])
        .args(["--kernel-fd", &kernel_theirs.as_raw_fd().to_string()])
        .arg("--socket")
        .arg(folder.join("swarm.sock"))
        .arg("--loan-root")
        .arg(loan_root)
        .args(["--incarnation", &incarnation.to_string()])
        .arg("--topology")
        .arg(folder.join("topology.json"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    drop((control_theirs, kernel_theirs));
    drop(guard);
    (child, control, kernel)
}

fn plane(generation: u64, first_sequence: u64) -> (PlaneWriter, OwnedFd) {
    let field = |name: &str, dtype, nx, ny| FieldSpec {
        name: name.into(),
        unit: "",
        dtype,
        nx,
        ny,
        frames: 4,
    };
    let spec = PlaneSpec {
        run_id: [1; 16],
        generation,
        first_sequence,
        nx: NX,
        ny: NY,
        tick_period_ns: 10_000_000,
        ring_slots: 1024,
        cells: Vec::new(),
        fields: vec![field("wave", Dtype::F32, NX, NY), field(CHECKPOINT, Dtype::Bytes, 100, 1)],
        arena_bytes: 64 << 10,
    };
    PlaneWriter::create(&spec).unwrap()
}

fn topology() -> String {
    let agent = |agent_id: u32| AgentInstance {
        agent_id,
        name: format!("agent-{agent_id}"),
        group: "agent".into(),
        site: [agent_id, agent_id],
        source: None,
    };
    let topology = Topology {
        config: SwarmConfig::default(),
        project: "test".into(),
        folder: "/".into(),
        dt: 0.1,
        courant: 0.7,
        tick_period_ns: 10_000_000,
        report_ticks: 100,
        ticks_limit: None,
        sources: Vec::new(),
        agents: (1..=SITES).map(agent).collect(),
    };
    serde_json::to_string(&topology).unwrap()
}
