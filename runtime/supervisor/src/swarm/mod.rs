//! The swarm while it runs: one thread, one poll loop, every child watched through its pidfd.
//!
//! The supervisor never blocks on a child: every socket is read and written without waiting, every deadline is
//! a number that the loop looks at. It maps the plane read-only and never writes it.
//!
//! Reading order: [`child`] (one process: start, end, back-off), [`launch`] (what each role is started with),
//! [`cores`] (where it runs), [`events`] (what came in, and what follows), [`stop`] (the way down), [`planes`], [`seats`], [`state`] (what
//! `ps` and `status` show), [`readings`], [`requests`], [`visitors`], [`channel`], [`logs`], [`leftovers`].

mod child;

mod launch;

mod cores;

mod events;

mod stop;

mod strangers;

mod planes;

mod seats;

mod state;

mod readings;

mod channel;

mod logs;

mod leftovers;

mod requests;

mod visitors;

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rsw_attach::RecorderPageReader;
use rsw_config::Topology;
use rsw_os::clock::mono_ns;
use rsw_os::lock::LockFile;
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_os::signal::{Signal, SignalPipe};
use rsw_sandbox::LaunchError;
use rsw_schemas::exit;
use serde_json::json;

use crate::control::Server;
use crate::project::Project;
use crate::view::error::CliError;
use channel::Channel;
use child::{Child, Role};
use planes::Planes;
use readings::Rate;
use seats::Seat;
use stop::Stopping;
use visitors::Visitors;

pub(crate) use cores::{Cores, Orders, cores_text};
pub(crate) use launch::{
    agent_program, beside_us, check_agents, confined, readable, recording_dir, vulkan_environment,
};
pub(crate) use state::{Status, finite};

/// Time that the children of one start may take until the first tick may begin.
const START_NS_MAX: u64 = 20_000_000_000;
/// Time that agents may take to attach before the first tick begins without them.
const ATTACH_NS_MAX: u64 = 5_000_000_000;
/// Files that guests and command lines may take of the supervisor, and of the gateway.
const OPEN_FILES_OF_VISITORS: u64 = 512;
/// Why a process is ended that could not be given what it works on.
const NO_PLANE_FOR_IT: &str = "there was no descriptor for the plane that it needs";
/// Longest sleep of the loop.
const TURN_MAX: Duration = Duration::from_millis(100);

/// How far the swarm has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Children are starting; the first tick waits.
    Starting,
    /// Ticking.
    Running,
    /// `--ticks` is reached; agents may say their last word until the deadline.
    Finishing { cursor: u64, deadline_mono_ns: u64 },
    /// On the way down.
    Stopping,
}

/// What the caller of [`Swarm::turn`] learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Go on.
    On,
    /// Everything has ended; leave with this code.
    Done(u8),
}

/// One running swarm.
pub(crate) struct Swarm {
    project: Project,
    topology: Topology,
    cores: Cores,
    run_id: [u8; 16],
    started_mono_ns: u64,
    phase: Phase,
    signals: SignalPipe,
    server: Server,
    children: Vec<Child>,
    seats: Vec<Seat>,
    planes: Planes,
    visitors: Visitors,
    recorder_page: Option<RecorderPageReader>,
    recorder_page_fd: Option<OwnedFd>,
    loan_incarnation: u64,
    loan_roots: Vec<PathBuf>,
    stopping: Option<Stopping>,
    failure: Option<CliError>,
    looked_mono_ns: u64,
    /// When we looked again after we had been away.
    back_mono_ns: u64,
    publish_rate: Rate,
    _lock: LockFile,
}

/// A source of readiness, by what it belongs to.
#[derive(Debug, Clone, Copy)]
enum Token {
    Signals,
    Server,
    Client(usize),
    Ended(usize),
    Control(usize),
    Output(usize),
    Report(usize),
}

impl Swarm {
    /// Takes the project's lock, cleans up after a killed predecessor, and starts every process.
    pub(crate) fn start(
        project: Project,
        topology: Topology,
        cores: Cores,
    ) -> Result<Self, CliError> {
        project.make_folders()?;
        let lock = take_lock(&project)?;
        Self::start_locked(project.clone(), topology, cores, lock)
            .inspect_err(|_| leftovers::remove(&project))
    }

    fn start_locked(
        project: Project,
        topology: Topology,
        cores: Cores,
        lock: LockFile,
    ) -> Result<Self, CliError> {
        leftovers::clean(&project)?;
        project.make_folders()?;
        write_topology(&project, &topology)?;
        rsw_os::process::set_child_subreaper().map_err(os_error)?;
        // The usual soft limit of 1024 is not enough for two hundred agents.
        let files = open_files_needed(&topology) + OPEN_FILES_OF_VISITORS;
        rsw_os::process::raise_open_files(files).map_err(os_error)?;
        let signals =
            SignalPipe::new(&[Signal::Interrupt, Signal::Terminate, Signal::Hangup, Signal::Child]);
        let mut swarm = Self {
            started_mono_ns: mono_ns(),
            phase: Phase::Starting,
            signals: signals.map_err(os_error)?,
            server: Server::listen(&project.control_path()).map_err(os_error)?,
            children: child::children(&project, &topology)?,
            seats: Seat::all(&topology),
            planes: Planes::default(),
            visitors: Visitors::default(),
            recorder_page: None,
            recorder_page_fd: None,
            loan_incarnation: 0,
            loan_roots: Vec::new(),
            stopping: None,
            failure: None,
            looked_mono_ns: 0,
            back_mono_ns: 0,
            publish_rate: Rate::default(),
            run_id: rsw_os::process::random_id().map_err(os_error)?,
            project,
            topology,
            cores,
            _lock: lock,
        };
        for index in 0..swarm.children.len() {
            if let Err(error) = swarm.launch(index) {
                swarm.fail(error);
                break;
            }
        }
        Ok(swarm)
    }

    /// Waits for something to happen, at most a tenth of a second, and deals with it.
    pub(crate) fn turn(&mut self) -> Turn {
        let ready = self.wait();
        let mut knocked = false;
        for token in ready {
            match token {
                Token::Signals => self.on_signals(),
                Token::Server => knocked = true,
                Token::Client(client) => self.on_client(client),
                Token::Output(child) => self.children[child].read_output(),
                Token::Report(child) => self.children[child].read_report(),
                Token::Control(child) => self.on_control(child),
                Token::Ended(child) => self.on_ended(child),
            }
        }
        self.server.forget_closed();
        if knocked {
            // Last, because it moves the places of the others.
            self.server.accept();
        }
        self.look();
        if self.phase == Phase::Stopping { self.step_down() } else { Turn::On }
    }

    /// Whether the first tick has begun.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Finishing { .. })
    }

    /// Why the swarm is failing, if it is.
    pub(crate) fn take_failure(&mut self) -> Option<CliError> {
        self.failure.take()
    }

    /// Tells whoever asked for the end how it was.
    pub(crate) fn tell_end(&mut self, code: u8, failure: Option<&CliError>) {
        let body = match failure {
            None if code == exit::OK => json!({"ended": true}),
            failure => {
                let cut_short = CliError::new(code, "ended-badly", "the swarm was ended at once")
                    .hint("runtime verify says what was recorded");
                let failure = failure.unwrap_or(&cut_short);
                let mut body = failure.to_json();
                body["error"]["exit"] = failure.code.into();
                body
            }
        };
        self.server.tell_end(&body);
    }

    /// The project.
    pub(crate) fn project(&self) -> &Project {
        &self.project
    }

    /// What it runs.
    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    fn wait(&mut self) -> Vec<Token> {
        let mut tokens = vec![Token::Signals];
        let mut fds = vec![PollFd::new(self.signals.as_fd(), Interest::READ)];
        if let Some(sock) = self.server.to_poll() {
            tokens.push(Token::Server);
            fds.push(PollFd::new(sock, Interest::READ));
        }
        for (at, client) in self.server.clients().enumerate() {
            tokens.push(Token::Client(at));
            fds.push(PollFd::new(client.as_fd(), client.interest()));
        }
        for (at, child) in self.children.iter().enumerate() {
            let Some(running) = child.running() else { continue };
            let parts = [
                (Token::Output(at), running.output.as_ref(), Interest::READ),
                (Token::Report(at), running.report.as_ref(), Interest::READ),
                (
                    Token::Control(at),
                    running.control.as_ref().map(Channel::fd),
                    running.control.as_ref().map_or(Interest::READ, Channel::interest),
                ),
                // Last: what a child said before it ended is heard first.
                (Token::Ended(at), Some(&running.pidfd), Interest::READ),
            ];
            for (token, fd, interest) in parts {
                let Some(fd) = fd else { continue };
                tokens.push(token);
                fds.push(PollFd::new(fd.as_fd(), interest));
            }
        }
        let timeout = self.next_start_in().unwrap_or(TURN_MAX).min(TURN_MAX);
        if poll(&mut fds, Some(timeout)).is_err() {
            return Vec::new();
        }
        fds.iter().zip(tokens).filter(|(fd, _)| fd.ready().any()).map(|(_, token)| token).collect()
    }

    /// Remembers the first failure and turns everything towards the way down.
    fn fail(&mut self, error: CliError) {
        if self.failure.is_none() {
            self.failure = Some(error);
        }
        self.begin_stop(stop::GRACE);
    }

    fn child(&self, role: Role) -> Option<&Child> {
        self.children.iter().find(|child| child.role == role)
    }

    fn child_mut(&mut self, role: Role) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.role == role)
    }
}

/// Cleans up after a swarm that was killed, if nobody else runs or cleans here. Returns whether there was any.
pub(crate) fn clean_leftovers(project: &Project) -> Result<bool, CliError> {
    if !project.run_dir.exists() && !project.loan_dir.exists() {
        return Ok(false);
    }
    project.make_folders()?;
    let Some(_lock) = LockFile::acquire(&project.lock_path()).map_err(os_error)? else {
        return Ok(false);
    };
    // A folder with nothing in it but the lock was only looked at.
    let found = leftovers::any(project);
    leftovers::clean(project)?;
    leftovers::remove(project);
    Ok(found)
}

fn take_lock(project: &Project) -> Result<LockFile, CliError> {
    let path = project.lock_path();
    match LockFile::acquire(&path).map_err(os_error)? {
        Some(lock) => Ok(lock),
        None => {
            let pid = rsw_os::lock::holder_pid(&path).ok().flatten();
            let who = pid.map_or_else(String::new, |pid| format!(" (supervisor pid {pid})"));
            Err(CliError::new(
                exit::CONFLICT,
                "already-running",
                format!(
                    "swarm \"{}\" in {} runs already{who}",
                    project.name,
                    project.folder.display()
                ),
            )
            .hint("runtime ps shows it, runtime down stops it"))
        }
    }
}

fn write_topology(project: &Project, topology: &Topology) -> Result<(), CliError> {
    let path = project.topology_path();
    let written = serde_json::to_vec(topology)
        .map_err(std::io::Error::other)
        .and_then(|bytes| std::fs::write(&path, bytes));
    written.map_err(|error| {
        CliError::new(exit::FAILURE, "topology", format!("{}: {error}", path.display()))
            .hint("make room on that file system")
    })
}

/// Files that the supervisor, and the gateway, may have to open: log, pidfd, socket and pages of each agent.
pub(crate) fn open_files_needed(topology: &Topology) -> u64 {
    const FIXED: u64 = 128;
    const PER_AGENT: u64 = 8;
    FIXED + PER_AGENT * topology.agents.len() as u64
}

/// A system call that failed, as the command line says it.
pub(crate) fn os_error(error: rsw_os::OsError) -> CliError {
    let code = match error.kind() {
        ErrorKind::PermissionDenied => exit::PERMISSION,
        _ => exit::FAILURE,
    };
    let hint = match error.is_no_descriptor() {
        true => {
            "`ulimit -Hn` shows how many files a process may open: raise that, or start fewer agents"
        }
        false => "runtime doctor looks for what this machine lacks",
    };
    CliError::new(code, "system", error.to_string()).hint(hint)
}

/// A program that could not be started, as the command line says it.
pub(crate) fn launch_error(name: &str, error: LaunchError) -> CliError {
    let error = match error {
        LaunchError::Os(error) => os_error(error),
        LaunchError::Launcher { ref source, .. } if source.kind() == ErrorKind::NotFound => {
            CliError::new(exit::FAILURE, "launch", error.to_string())
                .hint("build the whole workspace: cargo build --release")
        }
        LaunchError::Launcher { path, source } => {
            os_error(rsw_os::OsError::new("start", path.display(), source))
        }
        LaunchError::StandardFd(_) => CliError::new(exit::FAILURE, "launch", error.to_string()),
    };
    CliError { what: "launch", message: format!("{name}: {}", error.message), ..error }
}
