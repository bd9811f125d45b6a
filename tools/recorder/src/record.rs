//! The recorder process: control socket, threads, stop.

use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};
use rsw_attach::codec::{self, CodecError, Incoming, Message};
use rsw_attach::{RecorderPageWriter, RecorderWord};
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_os::{affinity, clock};
use rsw_plane::{AttachError, PlaneReader};
use rsw_schemas::exit;
use rsw_schemas::text::pack;
use rsw_schemas::wire::{GenerationNote, PacketKind, ProcessText};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};

use crate::database::{self, Database, Durability};
use crate::drain::{Command, Drain};
use crate::failure::Failure;
use crate::spool::{WriterGone, spool};
use crate::store::{Ending, RunIdentity, Store, StoreError};
use crate::topology::Topology;
use crate::value::parse_id;
use crate::writer::{Writer, WriterError};

/// Signals and dead threads are noticed within this.
const LOOK: Duration = Duration::from_millis(50);
/// How long the end of the record is tried on a disk that refuses.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// Descriptors that a packet to the recorder may carry.
const FDS_MAX: usize = 1;

/// Records one run; started by `runtime up`, not by hand.
#[derive(Debug, clap::Args)]
pub struct RecordArgs {
    /// Inherited socket to the supervisor.
    #[arg(long)]
    pub control_fd: RawFd,
    /// Folder of the recording.
    #[arg(long)]
    pub dir: PathBuf,
    /// Identity of the run, 32 hexadecimal digits.
    #[arg(long)]
    pub run_id: String,
    /// Project.
    #[arg(long)]
    pub project: String,
    /// The resolved swarm as JSON.
    #[arg(long)]
    pub topology: PathBuf,
    /// What a commit survives.
    #[arg(long, value_enum, default_value_t = Durability::Power)]
    pub durability: Durability,
    /// Events that may wait in memory.
    #[arg(long, default_value_t = 1 << 20)]
    pub spool_events: u64,
    /// Cores to run on, such as `2,4-7`.
    #[arg(long)]
    pub pin: Option<String>,
}

/// Records until the supervisor says stop or SIGTERM comes, which ends the run, or until the supervisor is gone,
/// which interrupts it. A failure is told to the supervisor, too.
///
/// # Errors
/// [`Failure`], with the exit code of the process.
pub fn record(args: &RecordArgs) -> Result<(), Failure> {
    let control = rsw_os::process::inherited(args.control_fd).map_err(|error| {
        Failure::new(exit::USAGE, error.to_string(), "recordings are started by: runtime up")
    })?;
    let control = Arc::new(control);
    run(args, &control).inspect_err(|failure| {
        let text = ProcessText {
            exit_code: u32::from(failure.exit_code),
            reserved: 0,
            text: pack(&failure.to_line()),
        };
        // Last words; if nobody hears them there is stderr.
        let _ = codec::send(control.as_fd(), PacketKind::Failed, &text, &[]);
    })
}

fn run(args: &RecordArgs, control: &Arc<OwnedFd>) -> Result<(), Failure> {
    let stopping = catch_signals()?;
    if let Some(list) = &args.pin {
        let pinned =
            affinity::parse_list(list).and_then(|cores| affinity::pin_current_thread(&cores));
        pinned.map_err(|e| Failure::new(exit::CONFIG, e.to_string(), "see cpu.recorder"))?;
    }
    let uuid = parse_id(&args.run_id).ok_or_else(|| {
        let text = format!("run id \"{}\" is not 32 hexadecimal digits", args.run_id);
        Failure::new(exit::USAGE, text, "recordings are started by: runtime up")
    })?;
    let topology = Topology::read(&args.topology)
        .map_err(|error| Failure::new(exit::CONFIG, error.to_string(), ""))?;
    let keyframe_ticks = topology.keyframe_ticks;
    let identity = RunIdentity { uuid, project: args.project.clone(), topology };
    let (store, database) = open(args, &identity)?;
    let (page, page_fd) = RecorderPageWriter::create("rsw-recorder")
        .map_err(|error| Failure::new(exit::FAILURE, error.to_string(), ""))?;
    let page = Arc::new(page);
    let next = store.cursor().map(|cursor| {
        page.store(RecorderWord::Recorded, cursor.recorded);
        page.store(RecorderWord::Lost, cursor.lost);
        page.store(RecorderWord::Durable, cursor.next);
        page.store(RecorderWord::Drained, cursor.next);
        cursor.next
    });
    page.store(RecorderWord::HeartbeatMonoNs, clock::mono_ns());
    let (spool, spool_reader) = spool(args.spool_events);
    let (commands, taken) = unbounded();
    let drain = Drain::new(taken, spool, page.clone(), keyframe_ticks, next);
    let writer = Writer {
        spool: spool_reader,
        store,
        page,
        control: control.clone(),
        stopping: stopping.clone(),
        path: database.path.clone(),
    };
    let process = Process {
        uuid,
        control: control.clone(),
        commands,
        stopping,
        drain: spawn("drain", move || drain.run())?,
        writer: spawn("writer", move || writer.run())?,
        database,
    };
    let ready = codec::send_empty(control.as_fd(), PacketKind::RecorderReady, &[page_fd.as_fd()]);
    match ready {
        // A socket that is closed is met again where packets are heard.
        Ok(_) => process.run(),
        Err(error) => Err(socket_failure(&error)),
    }
}

/// SIGTERM is a stop. Ctrl-C goes to the whole foreground group, but it is the supervisor who decides when the
/// kernel has published its last event, so SIGINT is heard and ignored; SIGXFSZ must be an error of `write`
/// and not a death.
fn catch_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stopping = Arc::new(AtomicBool::new(false));
    let ignored = Arc::new(AtomicBool::new(false));
    for (signal, flag) in [(SIGTERM, &stopping), (SIGINT, &ignored), (SIGXFSZ, &ignored)] {
        signal_hook::flag::register(signal, flag.clone())
            .map_err(|error| Failure::new(exit::FAILURE, error.to_string(), ""))?;
    }
    Ok(stopping)
}

/// Opens the database and enters the run; a file that turns out damaged on the way is looked through and set aside.
fn open(args: &RecordArgs, identity: &RunIdentity) -> Result<(Store, Opened), Failure> {
    let mut second = false;
    loop {
        let wall_ns = clock::wall_ns();
        let database = Database::open(&args.dir, args.durability, wall_ns)?;
        let (connection, opened) = Opened::split(database);
        if let Some(aside) = &opened.set_aside {
            rsw_os::process::note(format_args!(
                "recorder: {} was damaged; it is kept as {}, a new recording begins",
                opened.path.display(),
                aside.display()
            ));
        }
        match Store::begin(connection, identity.clone(), wall_ns) {
            Ok(store) => return Ok((store, opened)),
            Err(error) if database::is_damage(&error) && !second => {
                database::ask_for_check(&opened.path);
                second = true;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What is left of a database once the store has its connection; holds the lock.
struct Opened {
    path: PathBuf,
    set_aside: Option<PathBuf>,
    _lock: std::fs::File,
}

impl Opened {
    fn split(database: Database) -> (rusqlite::Connection, Self) {
        let Database { connection, path, set_aside, lock } = database;
        (connection, Self { path, set_aside, _lock: lock })
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|error| {
        Failure::new(exit::FAILURE, format!("thread {name} cannot be started: {error}"), "")
    })
}

/// The running process, on its control thread.
struct Process {
    uuid: [u8; 16],
    control: Arc<OwnedFd>,
    commands: Sender<Command>,
    stopping: Arc<AtomicBool>,
    drain: JoinHandle<Result<(), WriterGone>>,
    writer: JoinHandle<Result<Store, WriterError>>,
    database: Opened,
}

impl Process {
    fn run(self) -> Result<(), Failure> {
        let outcome = self.listen();
        self.stopping.store(true, Ordering::Release);
        // A drain thread that is gone already needs no word.
        let _ = self.commands.send(Command::Stop);
        let drained = self.drain.join();
        let written = self.writer.join();
        let store = match written {
            Ok(Ok(store)) => store,
            Ok(Err(error)) => return Err(writer_failure(&error, &self.database.path)),
            Err(_) => return Err(panicked("writer")),
        };
        let ending = outcome?;
        match drained {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Failure::new(exit::FAILURE, error.to_string(), "")),
            Err(_) => return Err(panicked("drain")),
        }
        end(store, ending)
    }

    /// Hears packets until something says stop, or nobody is left to say it.
    fn listen(&self) -> Result<Ending, Failure> {
        while !self.stopping.load(Ordering::Acquire) {
            if self.drain.is_finished() || self.writer.is_finished() {
                return Ok(Ending::Interrupted); // Joining them tells why.
            }
            let mut fds = [PollFd::new(self.control.as_fd(), Interest::READ)];
            poll(&mut fds, Some(LOOK))
                .map_err(|error| Failure::new(exit::FAILURE, error.to_string(), ""))?;
            loop {
                match codec::recv(self.control.as_fd(), FDS_MAX) {
                    Ok(Incoming::WouldBlock) => break,
                    Ok(Incoming::Closed) if self.stopping.load(Ordering::Acquire) => break,
                    Ok(Incoming::Closed) => return Ok(Ending::Interrupted),
                    Ok(Incoming::Packet(message)) => {
                        if message.kind() == PacketKind::Stop {
                            return Ok(Ending::Ordered);
                        }
                        self.hear(message)?;
                    }
                    Err(error) => return Err(socket_failure(&error)),
                }
            }
        }
        Ok(Ending::Ordered)
    }

    fn hear(&self, message: Message) -> Result<(), Failure> {
        let command = match message.kind() {
            PacketKind::Generation => {
                let note: GenerationNote = message.body().map_err(|e| socket_failure(&e))?;
                let [fd] = message.take_fds().map_err(|e| socket_failure(&e))?;
                Command::Plane(note, Box::new(self.attach(&note, fd)?))
            }
            PacketKind::GenerationEnd => {
                Command::End(message.body().map_err(|e| socket_failure(&e))?)
            }
            other => {
                rsw_os::process::note(format_args!(
                    "recorder: ignoring a {other:?} packet, which is not for recorders"
                ));
                return Ok(());
            }
        };
        // If the drain thread is gone, the next look at it tells why.
        let _ = self.commands.send(command);
        Ok(())
    }

    fn attach(&self, note: &GenerationNote, fd: OwnedFd) -> Result<PlaneReader, Failure> {
        let name = format!("plane of generation {}", note.generation);
        let plane = PlaneReader::attach(fd).map_err(|error| {
            let code = match error {
                AttachError::Layout { .. } => exit::LAYOUT,
                _ => exit::FAILURE,
            };
            Failure::new(code, format!("{name}: {error}"), "use one build for all programs")
        })?;
        let header = plane.header();
        if header.run_id != self.uuid || header.generation != note.generation {
            let text = format!("{name} is generation {} of another run", header.generation);
            return Err(Failure::new(exit::FAILURE, text, "restart the swarm"));
        }
        Ok(plane)
    }
}

/// Writes the end of the run, as patiently as the writer.
fn end(mut store: Store, ending: Ending) -> Result<(), Failure> {
    let start = Instant::now();
    while let Err(error) = store.end(ending, clock::wall_ns()) {
        if start.elapsed() > END_PATIENCE {
            return Err(error.into());
        }
        std::thread::sleep(LOOK);
    }
    // What a reader or a full disk keeps in the log is found there by the next who opens the file.
    let _ = store.checkpoint(true);
    Ok(())
}

fn writer_failure(error: &WriterError, path: &std::path::Path) -> Failure {
    let damage = match error {
        WriterError::Store(StoreError::Sqlite(error)) => database::is_damage(error),
        _ => false,
    };
    if damage {
        database::ask_for_check(path);
        let text = format!("{} is damaged: {error}", path.display());
        return Failure::new(exit::FAILURE, text, "the next recorder sets it aside");
    }
    Failure::new(exit::FAILURE, error.to_string(), "")
}

fn socket_failure(error: &CodecError) -> Failure {
    Failure::new(exit::FAILURE, format!("socket to the supervisor: {error}"), "restart the swarm")
}

fn panicked(thread: &str) -> Failure {
    let text = format!("the {thread} thread panicked");
    Failure::new(exit::FAILURE, text, "see stderr, and report it with the log")
}
