//! A writer in a process of its own, made to be killed, and everything that must hold after its death.
//!
//! The writer keeps a journal beside the plane: before each operation what it is about to have done, after it what
//! it has. So after a death the checks know which one operation was under way, and nothing else is in doubt.
//!
//! Used over the shipped crate (kills at random instants) and over the one with named points (kills at every store):
//! whoever includes this names the crate `plane` at its root.

pub(crate) mod checks;

pub(crate) mod script;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use memmap2::{MmapOptions, MmapRaw};
use rsw_os::packet::{self, Received};
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_os::{Signal, memfd, pidfd};

use crate::plane::{PlaneReader, PlaneWriter};
use script::Script;

/// Set for the writer's process: how many ticks, 0 for no end.
const TICKS: &str = "RSW_VICTIM_TICKS";

/// What the writer can be in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Pushing: the number of events pushed.
    Push,
    /// Committing: the number of events published.
    Commit,
    /// Publishing a frame: its number.
    Frame,
    /// Writing a board cell: the number of writes, round by round.
    Cell,
    /// Appending a stream: its number.
    Stream,
    /// Saying which tick it is.
    Tick,
}

/// What was done for sure, and what may have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Done before the operation that was under way.
    pub(crate) sure: u64,
    /// Done if that operation was.
    pub(crate) may: u64,
}

/// Two numbers a step, in memory that outlives the writer.
pub(crate) struct Journal(MmapRaw);

impl Journal {
    const BYTES: u64 = 4096;

    fn map(fd: &OwnedFd) -> Self {
        let map = MmapOptions::new().len(Self::BYTES as usize).map_raw(fd);
        Self(map.expect("a journal"))
    }

    fn words(&self, step: Step) -> [&AtomicU64; 2] {
        let first = self.0.as_mut_ptr().cast::<u64>();
        [0, 1].map(|at| {
            // SAFETY: there are fewer than ten steps, so this lies in the mapped page.
            let word = unsafe { first.add(step as usize * 2 + at) };
            // SAFETY: aligned, mapped as long as `self` lives, and never accessed but as an atomic.
            unsafe { AtomicU64::from_ptr(word) }
        })
    }

    /// Does `operation`, after which `value` is done.
    pub(crate) fn step<T>(&self, step: Step, value: u64, operation: impl FnOnce() -> T) -> T {
        let [sure, may] = self.words(step);
        may.store(value, Ordering::SeqCst);
        compiler_fence(Ordering::SeqCst);
        let out = operation();
        compiler_fence(Ordering::SeqCst);
        sure.store(value, Ordering::SeqCst);
        out
    }

    /// What is known of a step after the writer's death.
    pub(crate) fn span(&self, step: Step) -> Span {
        let [sure, may] = self.words(step).map(|word| word.load(Ordering::SeqCst));
        Span { sure, may }
    }
}

/// The body of the test that is the writer's process; does nothing in any other. `armed` runs after the plane was
/// handed over and before the first store to it, `done` after the last tick, to say something to the parent.
pub(crate) fn writer_process(armed: impl FnOnce(), done: impl FnOnce() -> String) {
    let Ok(ticks) = std::env::var(TICKS) else { return };
    let ticks: u64 = ticks.parse().expect("a number of ticks");
    let socket = std::io::stdin();
    let (mut writer, plane) = PlaneWriter::create(&script::spec()).expect("a plane");
    let journal_fd = memfd::create("journal", Journal::BYTES).expect("a journal");
    let journal = Journal::map(&journal_fd);
    packet::send(&socket, b"plane", &[plane.as_fd(), journal_fd.as_fd()]).expect("sent");
    receive(&socket);
    armed();
    let mut script = Script::new();
    while ticks == 0 || script.ticks() < ticks {
        script.tick(&mut writer, &journal);
    }
    packet::send(&socket, done().as_bytes(), &[]).expect("sent");
    receive(&socket);
}

/// One packet, however long it takes; ends this process if the other side is gone.
fn receive(socket: impl AsFd) -> (String, Vec<OwnedFd>) {
    let mut buf = [0; 4096];
    loop {
        match packet::recv(socket.as_fd(), &mut buf, 2).expect("received") {
            Received::Packet { len, fds, .. } => {
                return (String::from_utf8_lossy(&buf[..len]).into_owned(), fds);
            }
            Received::Closed => std::process::exit(0),
            Received::WouldBlock | Received::NoDescriptor => {
                poll(&mut [PollFd::new(socket.as_fd(), Interest::READ)], None).expect("polled");
            }
        }
    }
}

/// The writer's process, seen from its parent.
pub(crate) struct Victim {
    child: Child,
    process: OwnedFd,
    socket: OwnedFd,
    /// Its plane.
    pub(crate) plane: PlaneReader,
    /// Its journal.
    pub(crate) journal: Journal,
}

impl Victim {
    /// Starts the test `writer_process` of this very program, up to where it waits for [`Self::go`].
    pub(crate) fn spawn(ticks: u64, variables: &[(&str, &str)]) -> Self {
        let (socket, theirs) = packet::pair().expect("a socket pair");
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "writer_process", "--nocapture", "--test-threads=1"])
            .env(TICKS, ticks.to_string())
            .envs(variables.iter().copied())
            .stdin(Stdio::from(File::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        let process = pidfd::open(child.id()).expect("a pidfd");
        let (_, fds) = receive(&socket);
        let [plane, journal] = <[OwnedFd; 2]>::try_from(fds).expect("two descriptors");
        let plane = PlaneReader::attach(plane).expect("attached");
        Self { child, process, socket, plane, journal: Journal::map(&journal) }
    }

    /// Lets it begin.
    pub(crate) fn go(&self) {
        packet::send(&self.socket, b"go", &[]).expect("sent");
    }

    /// Waits for what it says after its last tick, and kills it.
    pub(crate) fn finish(mut self) -> String {
        let (told, _) = receive(&self.socket);
        self.kill();
        self.reap();
        told
    }

    /// Kills it now.
    pub(crate) fn kill(&self) {
        pidfd::send_signal(&self.process, Signal::Kill).expect("killed");
    }

    /// Whether it has ended; looks and does not wait.
    pub(crate) fn ended(&self) -> bool {
        let mut fds = [PollFd::new(self.process.as_fd(), Interest::READ)];
        poll(&mut fds, Some(std::time::Duration::ZERO)).expect("polled") > 0
    }

    /// Waits for its end, which must be a SIGKILL.
    pub(crate) fn reap(&mut self) {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.wait().expect("reaped");
        assert_eq!(status.signal(), Some(Signal::Kill.number()), "it ended by {status}");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // After a failed check it may still run; after a passed one it was reaped, and this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
