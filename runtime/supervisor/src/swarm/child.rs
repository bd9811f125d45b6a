//! One supervised process: what it is, whether it runs, when it is started again.
//!
//! A start counts as good once the process was ready and lived [`PROVEN_NS`] longer. Only starts that fail in
//! a row count towards the limit, and a kill (SIGKILL) is no failure: a process that is killed a hundred times
//! comes back a hundred times, however early, and one that cannot start stops being started.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};

use rsw_config::{Restart, Topology};
use rsw_os::Signal;
use rsw_os::clock::mono_ns;
use rsw_os::pidfd::Exit;
use rsw_sandbox::Applied;
use rsw_schemas::wire::ProcessText;

use super::channel::Channel;
use super::logs::Log;
use super::readings::Rate;
use crate::project::Project;
use crate::view::error::CliError;

/// Failed starts in a row after which a process is given up.
const FAILED_STARTS_MAX: u32 = 5;
/// Starts that were killed lengthen the wait up to this one, 0.8 s.
const KILLED_WAIT_MAX: u32 = 3;
/// How long a ready process must live for its start to count as good.
const PROVEN_NS: u64 = 200_000_000;
/// First and longest wait before another start.
const BACKOFF_NS: (u64, u64) = (100_000_000, 10_000_000_000);

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Recorder,
    Kernel,
    Gateway,
    /// The agent with this index in the topology.
    Agent(usize),
}

impl Role {
    /// The name that `ps` shows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Recorder => "recorder",
            Self::Kernel => "kernel",
            Self::Gateway => "gateway",
            Self::Agent(_) => "agent",
        }
    }
}

/// Whether a child runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildState {
    /// It has a process that is not ready yet.
    Starting,
    /// It has a process.
    Running,
    /// It will be started again.
    Waiting,
    /// It ended well and stays ended.
    Exited,
    /// It is given up.
    Failed,
    /// It was stopped on the way down.
    Stopped,
}

impl ChildState {
    /// The name that `ps` shows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Waiting => "restarting",
            Self::Exited => "exited",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// What a running child has.
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) pidfd: OwnedFd,
    pub(super) control: Option<Channel>,
    pub(super) output: Option<OwnedFd>,
    pub(super) report: Option<OwnedFd>,
    pub(super) report_bytes: Vec<u8>,
    pub(super) applied: Option<Applied>,
    pub(super) started_mono_ns: u64,
    pub(super) ready_mono_ns: Option<u64>,
    /// Its last packet that counts as a heartbeat.
    pub(super) heard_mono_ns: Option<u64>,
    /// We ended it, because it was of no use.
    pub(super) useless: bool,
}

/// One supervised process.
pub(super) struct Child {
    pub(super) role: Role,
    pub(super) name: String,
    pub(super) state: ChildState,
    pub(super) restarts: u64,
    pub(super) last_words: Option<ProcessText>,
    pub(super) log: Log,
    /// Of the events it reads.
    pub(super) rate: Rate,
    policy: Restart,
    running: Option<Running>,
    failed_starts: u32,
    /// Starts in a row that somebody ended by SIGKILL.
    killed_starts: u32,
    next_start_mono_ns: u64,
    /// How its process ended, in words.
    last_end: String,
}

/// What follows from the end of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is started again, soon.
    Again,
    /// It stays ended.
    Ended,
    /// It reached its limit.
    GivenUp,
}

/// Every child of a swarm, in the order of their start.
pub(super) fn children(project: &Project, topology: &Topology) -> Result<Vec<Child>, CliError> {
    let child = |role: Role, name: &str, policy: Restart| Child {
        role,
        name: name.to_owned(),
        state: ChildState::Starting,
        restarts: 0,
        last_words: None,
        log: Log::open(&project.log_path(name)),
        rate: Rate::default(),
        policy,
        running: None,
        failed_starts: 0,
        killed_starts: 0,
        next_start_mono_ns: 0,
        last_end: String::new(),
    };
    let mut children = Vec::new();
    if topology.config.recorder.enabled {
        children.push(child(Role::Recorder, "recorder", Restart::Always));
    }
    children.push(child(Role::Kernel, "kernel", Restart::Always));
    children.push(child(Role::Gateway, "gateway", Restart::Always));
    for (index, agent) in topology.agents.iter().enumerate() {
        let policy =
            topology.config.agent.get(&agent.group).map_or(Restart::OnFailure, |a| a.restart);
        children.push(child(Role::Agent(index), &agent.name, policy));
    }
    Ok(children)
}

impl Child {
    pub(super) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    pub(super) fn running_mut(&mut self) -> Option<&mut Running> {
        self.running.as_mut()
    }

    /// The socket to the process, if it runs and has one.
    pub(super) fn control(&mut self) -> Option<&mut Channel> {
        self.running.as_mut()?.control.as_mut()
    }

    /// It has a process now.
    pub(super) fn started(&mut self, running: Running) {
        self.state = ChildState::Starting;
        self.last_words = None;
        self.running = Some(running);
    }

    /// Whether its process was ready, and has lived on for so long that its start counts as good.
    pub(super) fn is_proven(&self) -> bool {
        let ready = self.running.as_ref().and_then(|running| running.ready_mono_ns);
        ready.is_some_and(|ready| mono_ns().saturating_sub(ready) >= PROVEN_NS)
    }

    /// What is wrong with it: its state, and how its process ended.
    pub(super) fn trouble(&self) -> String {
        let state = format!("{} is {}", self.name, self.state.name());
        let words = match &self.last_words {
            Some(words) => rsw_schemas::text::unpack(&words.text),
            None => self.log.last_line().to_owned(),
        };
        match (self.running.is_some(), words.is_empty()) {
            (false, false) => format!("{state}: {words}"),
            (false, true) if !self.last_end.is_empty() => format!("{state}: {}", self.last_end),
            _ => state,
        }
    }

    /// Ends its process, which is of no use as it is; another one may be.
    pub(super) fn kill(&mut self, why: &str) {
        let Some(running) = self.running.as_mut().filter(|running| !running.useless) else {
            return;
        };
        running.useless = true;
        let _ = rsw_os::pidfd::send_signal(running.pidfd.as_fd(), Signal::Kill);
        self.log.note(&format!("killed: {why}"));
    }

    /// Its process said that it is ready.
    pub(super) fn ready(&mut self) {
        if let Some(running) = &mut self.running
            && running.ready_mono_ns.is_none()
        {
            running.ready_mono_ns = Some(mono_ns());
            self.state = ChildState::Running;
        }
    }

    /// Its process has ended; `stopping` means that nobody is started again.
    pub(super) fn ended(&mut self, exit: Exit, stopping: bool) -> Verdict {
        self.read_output();
        self.log.end();
        let Some(running) = self.running.take() else { return Verdict::Ended };
        let good = exit.code == Some(0);
        self.last_end = describe(exit);
        self.log.note(&format!("pid {} ended: {}", running.pid, self.last_end));
        if stopping {
            self.state = ChildState::Stopped;
            return Verdict::Ended;
        }
        let again = match self.policy {
            Restart::Never => false,
            Restart::OnFailure => !good,
            Restart::Always => true,
        };
        if !again {
            self.state = if good { ChildState::Exited } else { ChildState::Failed };
            return Verdict::Ended;
        }
        let now = mono_ns();
        let proven =
            running.ready_mono_ns.is_some_and(|ready| now.saturating_sub(ready) >= PROVEN_NS);
        if proven {
            (self.failed_starts, self.killed_starts) = (0, 0);
        } else if exit.signal == Some(Signal::Kill.number()) && !running.useless {
            // Somebody else ended it: this says nothing about the process, but it may go on, so that it waits.
            self.killed_starts += 1;
        } else {
            self.failed_starts += 1;
        }
        self.schedule(now)
    }

    /// It could not even be launched.
    pub(super) fn not_started(&mut self, words: &str) -> Verdict {
        self.log.note(words);
        self.last_end = words.to_owned();
        self.failed_starts += 1;
        self.schedule(mono_ns())
    }

    fn schedule(&mut self, now: u64) -> Verdict {
        if self.failed_starts >= FAILED_STARTS_MAX {
            self.state = ChildState::Failed;
            return Verdict::GivenUp;
        }
        // What everybody else depends on comes back at once; an agent may wait a little.
        let first = if matches!(self.role, Role::Agent(_)) { BACKOFF_NS.0 } else { 0 };
        let wait_ns = match self.failed_starts.max(self.killed_starts.min(KILLED_WAIT_MAX)) {
            0 => first,
            failed => (BACKOFF_NS.0 << failed).min(BACKOFF_NS.1),
        };
        self.next_start_mono_ns = now + wait_ns;
        self.state = ChildState::Waiting;
        Verdict::Again
    }

    /// Nanoseconds until it is due to be started again, if it is.
    pub(super) fn due_in_ns(&self, now: u64) -> Option<u64> {
        (self.state == ChildState::Waiting).then(|| self.next_start_mono_ns.saturating_sub(now))
    }

    /// Takes what the process printed.
    pub(super) fn read_output(&mut self) {
        let Some(running) = &mut self.running else { return };
        // Bounded, so that a child that floods its output cannot hold the loop.
        for _ in 0..16 {
            let Some(output) = running.output.take() else { return };
            let mut file = File::from(output);
            let mut bytes = [0u8; 16 * 1024];
            match file.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => {
                    self.log.take(&bytes[..count]);
                    running.output = Some(file.into());
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
                {
                    running.output = Some(file.into());
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// Takes what the launcher says about the sandbox.
    pub(super) fn read_report(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Some(report) = running.report.take() else { return };
        let mut file = File::from(report);
        let mut bytes = [0u8; 4096];
        match file.read(&mut bytes) {
            Ok(0) | Err(_) => match Applied::from_report(&running.report_bytes) {
                Ok(applied) => running.applied = Some(applied),
                Err(error) => self.log.note(&error.to_string()),
            },
            Ok(count) => {
                running.report_bytes.extend_from_slice(&bytes[..count]);
                running.report = Some(file.into());
            }
        }
    }
}

/// An end in words.
pub(super) fn describe(exit: Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(policy: Restart, folder: &std::path::Path) -> Child {
        Child {
            rate: Rate::default(),
            role: Role::Agent(0),
            name: "a".into(),
            state: ChildState::Waiting,
            restarts: 0,
            last_words: None,
            log: Log::open(&folder.join("a.log")),
            policy,
            running: None,
            failed_starts: 0,
            killed_starts: 0,
            next_start_mono_ns: 0,
            last_end: String::new(),
        }
    }

    fn run(child: &mut Child, ready_before_ns: Option<u64>) {
        let pidfd = rsw_os::pidfd::open(std::process::id()).expect("a pidfd");
        child.started(Running {
            pid: 1,
            pidfd,
            control: None,
            output: None,
            report: None,
            report_bytes: Vec::new(),
            applied: None,
            started_mono_ns: 0,
            ready_mono_ns: ready_before_ns.map(|ns| mono_ns() - ns),
            heard_mono_ns: None,
            useless: false,
        });
    }

    const KILLED: Exit = Exit { code: None, signal: Some(9) };
    const CRASHED: Exit = Exit { code: None, signal: Some(11) };

    #[test]
    fn a_proven_process_comes_back_every_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = child(Restart::OnFailure, folder.path());
        for _ in 0..100 {
            run(&mut child, Some(PROVEN_NS));
            assert_eq!(child.ended(KILLED, false), Verdict::Again);
            assert!(child.due_in_ns(mono_ns()).expect("due") <= BACKOFF_NS.0);
        }
    }

    #[test]
    fn one_that_is_killed_at_once_comes_back_every_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = child(Restart::OnFailure, folder.path());
        for at in 0..100 {
            run(&mut child, (at % 2 == 0).then_some(0));
            assert_eq!(child.ended(KILLED, false), Verdict::Again);
            assert!(child.due_in_ns(mono_ns()).expect("due") <= 800_000_000);
        }
        // What ends by itself that early is another matter.
        for left in (0..FAILED_STARTS_MAX).rev() {
            run(&mut child, Some(0));
            let verdict = if left == 0 { Verdict::GivenUp } else { Verdict::Again };
            assert_eq!(child.ended(CRASHED, false), verdict);
        }
    }

    #[test]
    fn one_that_never_gets_ready_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = child(Restart::Always, folder.path());
        let mut last_wait = 0;
        for _ in 1..FAILED_STARTS_MAX {
            run(&mut child, None);
            assert_eq!(child.ended(CRASHED, false), Verdict::Again);
            let wait = child.due_in_ns(mono_ns()).expect("due");
            assert!(wait > last_wait);
            last_wait = wait;
        }
        run(&mut child, None);
        assert_eq!(child.ended(CRASHED, false), Verdict::GivenUp);
        assert_eq!(child.state, ChildState::Failed);
    }

    #[test]
    fn the_policy_decides() {
        let folder = tempfile::tempdir().expect("a folder");
        let good = Exit { code: Some(0), signal: None };
        for (policy, exit, verdict, state) in [
            (Restart::Never, KILLED, Verdict::Ended, ChildState::Failed),
            (Restart::OnFailure, good, Verdict::Ended, ChildState::Exited),
            (Restart::Always, good, Verdict::Again, ChildState::Waiting),
        ] {
            let mut child = child(policy, folder.path());
            run(&mut child, None);
            assert_eq!((child.ended(exit, false), child.state), (verdict, state));
        }
        let mut child = child(Restart::Always, folder.path());
        run(&mut child, None);
        assert_eq!((child.ended(KILLED, true), child.state), (Verdict::Ended, ChildState::Stopped));
    }

    /// A process that says its last words without a line feed, and one after it.
    #[test]
    fn last_words_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = child(Restart::Always, folder.path());
        for words in ["dying words", "words of the next"] {
            run(&mut child, None);
            let mut process = std::process::Command::new("sh")
                .args(["-c", "printf '%s' \"$0\"; exit 3", words])
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("a shell");
            let output = process.stdout.take().map(OwnedFd::from);
            child.running_mut().expect("it runs").output = output;
            process.wait().expect("it ends");
            child.ended(Exit { code: Some(3), signal: None }, false);
            assert_eq!(child.log.last_line(), words);
        }
        let log = std::fs::read_to_string(folder.path().join("a.log")).expect("the log");
        let lines: Vec<&str> =
            log.lines().map(|line| line.split_once(' ').expect("a time").1).collect();
        let end = "[supervisor] pid 1 ended: exit code 3";
        assert_eq!(lines, ["dying words", end, "words of the next", end]);
    }
}
