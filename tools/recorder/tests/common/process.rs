//! The real recorder process with this test as its supervisor and its kernel.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use recorder::value::hex;
use rsw_attach::codec::{self, Incoming};
use rsw_attach::{RecorderPageReader, RecorderWord};
use rsw_os::{packet, process};
use rsw_plane::{EventHead, FieldSpec, PlaneSpec, PlaneWriter};
use rsw_schemas::event::{EventKind, FieldReady};
use rsw_schemas::field::{CHECKPOINT, Dtype};
use rsw_schemas::wire::{GenerationNote, PacketKind, ProcessText};
use rustix::process::{Pid, Signal};
use tempfile::NamedTempFile;

use super::{TOPOLOGY, metric, t_ns, tick};

pub(crate) const NX: u32 = 32;
pub(crate) const NY: u32 = 16;
/// Nothing here takes a tenth of it; it turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A kernel: a plane and the ticks it publishes.
pub(crate) struct Kernel {
    pub(crate) plane: PlaneWriter,
    pub(crate) fd: OwnedFd,
    pub(crate) note: GenerationNote,
    pub(crate) tick: u64,
}

impl Kernel {
    pub(crate) fn new(uuid: u8, generation: u64, first_sequence: u64, ring_slots: u64) -> Self {
        let field = |name: &str, dtype, nx, ny| FieldSpec {
            name: name.into(),
            unit: "1",
            dtype,
            nx,
            ny,
            frames: 2,
        };
        let (plane, fd) = PlaneWriter::create(&PlaneSpec {
            run_id: [uuid; 16],
            generation,
            first_sequence,
            nx: NX,
            ny: NY,
            tick_period_ns: 10_000_000,
            ring_slots,
            cells: Vec::new(),
            fields: vec![
                field("ci", Dtype::F32, NX, NY),
                field("wave", Dtype::F32, NX, NY),
                field(CHECKPOINT, Dtype::Bytes, 64, 1),
            ],
            arena_bytes: 8192,
        })
        .unwrap();
        let note = GenerationNote {
            generation,
            total_bytes: plane.header().total_bytes,
            first_sequence,
            end_sequence: u64::MAX,
            wall_ns: 1,
        };
        Self { plane, fd, note, tick: 0 }
    }

    pub(crate) fn push<T: bytemuck::Pod>(&mut self, kind: EventKind, source: u32, body: &T) {
        let head = EventHead {
            kind: kind as u16,
            source,
            generation: self.note.generation as u32,
            t_ns: t_ns(self.tick),
        };
        self.plane.ring.push(head, bytemuck::bytes_of(body));
    }

    /// One tick: both fields, a tick event and two metrics; five events in one batch.
    pub(crate) fn tick(&mut self) {
        self.tick += 1;
        for field in 0..2 {
            let pitch = 0.3 + field as f32 * 0.2;
            let phase = self.tick as f32 * 0.1;
            let cell = |i: u32| ((i % NX) as f32 * pitch + (i / NX) as f32 * 0.2 + phase).sin();
            let data: Vec<u8> = (0..NX * NY).flat_map(|i| cell(i).to_le_bytes()).collect();
            let range = [-1.0, 1.0];
            let frame = self.plane.fields[field].publish(self.tick, t_ns(self.tick), range, &data);
            let ready =
                FieldReady { tick: self.tick, frame, field: field as u32, reserved: 0, range };
            self.push(EventKind::FieldReady, 0, &ready);
        }
        self.push(EventKind::Tick, 0, &tick(self.tick));
        self.push(EventKind::AgentMetric, 1, &metric(1, self.tick));
        self.push(EventKind::AgentMetric, 2, &metric(2, self.tick));
        self.plane.commit();
    }

    pub(crate) fn ticks(&mut self, count: u64) {
        (0..count).for_each(|_| self.tick());
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.plane.ring.next_sequence()
    }

    /// The note of a kernel that is gone.
    pub(crate) fn ended(&self) -> GenerationNote {
        GenerationNote { end_sequence: self.cursor(), ..self.note }
    }
}

/// One recorder process and our end of its control socket.
pub(crate) struct Recorder {
    pub(crate) child: Child,
    pub(crate) socket: Option<OwnedFd>,
    pub(crate) page: Option<RecorderPageReader>,
    pub(crate) done: Vec<GenerationNote>,
    pub(crate) last_words: Option<ProcessText>,
    /// Read by the recorder when it starts.
    _topology: NamedTempFile,
}

/// A child must not inherit the socket of another test's recorder: its end would not be seen as closed.
static SPAWN: Mutex<()> = Mutex::new(());

impl Recorder {
    pub(crate) fn start(dir: &Path, uuid: u8, spool_events: u64) -> Self {
        let topology = topology_file();
        let guard = SPAWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (ours, theirs) = packet::pair().unwrap();
        process::set_inheritable(theirs.as_fd(), true).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_recorder"))
            .arg("record")
            .args(["--control-fd", &theirs.as_raw_fd().to_string()])
            .args(["--dir".as_ref(), dir.as_os_str()])
            .args(["--run-id", &hex(&[uuid; 16]), "--project", "test"])
            .args(["--topology".as_ref(), topology.path().as_os_str()])
            .args(["--durability", "process", "--spool-events", &spool_events.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(theirs);
        drop(guard);
        let (page, done, last_words) = (None, Vec::new(), None);
        Self { child, socket: Some(ours), page, done, last_words, _topology: topology }
    }

    pub(crate) fn ready(dir: &Path, uuid: u8) -> Self {
        let mut recorder = Self::start(dir, uuid, 1 << 16);
        recorder.wait_ready();
        recorder
    }

    pub(crate) fn wait_ready(&mut self) {
        wait_until("ready", || {
            self.hear();
            assert!(self.last_words.is_none(), "{:?}", self.words());
            self.page.is_some()
        });
    }

    /// Takes every packet that waits. Returns whether the socket is still open.
    pub(crate) fn hear(&mut self) -> bool {
        let Some(socket) = &self.socket else { return false };
        loop {
            match codec::recv(socket.as_fd(), 1).unwrap() {
                Incoming::WouldBlock => return true,
                Incoming::Closed => return false,
                Incoming::Packet(message) => match message.kind() {
                    PacketKind::RecorderReady => {
                        let [fd] = message.take_fds().unwrap();
                        self.page = Some(RecorderPageReader::from_fd(fd).unwrap());
                    }
                    PacketKind::GenerationDone => self.done.push(message.body().unwrap()),
                    PacketKind::Failed => self.last_words = Some(message.body().unwrap()),
                    other => panic!("unexpected {other:?}"),
                },
            }
        }
    }

    pub(crate) fn words(&self) -> Option<(u32, String)> {
        let words = self.last_words.as_ref()?;
        Some((words.exit_code, rsw_schemas::text::unpack(&words.text)))
    }

    pub(crate) fn word(&self, word: RecorderWord) -> u64 {
        self.page.as_ref().unwrap().load(word)
    }

    pub(crate) fn give(&self, kernel: &Kernel) {
        self.send(PacketKind::Generation, &kernel.note, &[kernel.fd.as_fd()]);
    }

    pub(crate) fn end(&self, note: &GenerationNote) {
        self.send(PacketKind::GenerationEnd, note, &[]);
    }

    fn send(&self, kind: PacketKind, note: &GenerationNote, fds: &[std::os::fd::BorrowedFd<'_>]) {
        let socket = self.socket.as_ref().unwrap().as_fd();
        assert_eq!(codec::send(socket, kind, note, fds).unwrap(), codec::Sent::Done);
    }

    pub(crate) fn wait_durable(&self, sequence: u64) {
        wait_until("durable", || self.word(RecorderWord::Durable) >= sequence);
    }

    pub(crate) fn wait_done(&mut self, generation: u64) {
        wait_until("generation done", || {
            self.hear();
            self.done.iter().any(|note| note.generation == generation)
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Tells it to stop and waits; exit status and what it said on stderr.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        let socket = self.socket.as_ref().unwrap().as_fd();
        let sent = codec::send_empty(socket, PacketKind::Stop, &[]).unwrap();
        assert_ne!(sent, codec::Sent::WouldBlock);
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        wait_until("exit", || self.child.try_wait().unwrap().is_some());
        self.hear();
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
        }
        (self.child.wait().unwrap(), text)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn topology_file() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(TOPOLOGY.as_bytes()).unwrap();
    file
}

/// Runs a command of the binary.
pub(crate) fn command(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_recorder"))
        .args(args)
        .args(["--dir".as_ref(), dir.as_os_str()])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs a command that answers with one JSON document.
pub(crate) fn json(args: &[&str], dir: &Path) -> serde_json::Value {
    let output = command(&[args, &["--json"]].concat(), dir);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{args:?}: {text} {}",
        String::from_utf8_lossy(&output.stdout)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
