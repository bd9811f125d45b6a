//! Starting a program through the launcher, seen from the supervisor.

use crate::policy::Policy;
use crate::report::{Applied, ReportError};
use rsw_os::OsError;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The launcher is not there.
    #[error("cannot start the launcher {path:?}: {source}; install it beside this program")]
    Launcher {
        /// Where it was looked for.
        path: PathBuf,
        /// What the kernel answered.
        source: std::io::Error,
    },
    /// A descriptor with a number below 3 was to be kept.
    #[error("descriptor {0} cannot be kept: 0 to 2 are stdin, stdout and stderr")]
    StandardFd(i32),
    /// A system call failed.
    #[error(transparent)]
    Os(#[from] OsError),
}

/// A program to start under a policy.
#[derive(Debug)]
pub struct Launch<'fd> {
    /// What it may keep; `kept_fds`, `parent_pid` and `environment` are filled in here.
    pub policy: Policy,
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments, without its name.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Descriptors it inherits, under the same numbers.
    pub keep_fds: Vec<BorrowedFd<'fd>>,
    /// Where its output goes; a pipe for confined profiles, which may not be able to write files.
    pub stdout: Stdio,
    /// Where its errors go, those of the launcher included.
    pub stderr: Stdio,
}

/// A started program; dropping this neither stops nor reaps it.
#[derive(Debug)]
pub struct Launched {
    /// Its process, first the launcher and then the program.
    pub pid: u32,
    /// The same by descriptor; reap it with [`rsw_os::pidfd::try_wait`].
    pub pidfd: OwnedFd,
    /// Readable when the launcher reported; ends when the program runs or the launcher failed. See
    /// [`Applied::from_report`], or [`Launched::wait_applied`].
    pub report: OwnedFd,
}

impl Launch<'_> {
    /// Starts the launcher, which becomes the program; stdin is `/dev/null`.
    ///
    /// Call it from one long-lived thread of a process in which no other thread spawns at that moment:
    /// the kept descriptors are inheritable for the duration of the call, and the program dies when the
    /// thread that started it ends (if the policy says so).
    pub fn spawn(mut self) -> Result<Launched, LaunchError> {
        self.policy.parent_pid = Some(std::process::id());
        self.policy.environment = std::mem::take(&mut self.env).into_iter().collect();
        self.policy.kept_fds = self.keep_fds.iter().map(|fd| fd.as_raw_fd()).collect();
        if let Some(&fd) = self.policy.kept_fds.iter().find(|&&fd| fd < 3) {
            return Err(LaunchError::StandardFd(fd));
        }
        let policy = policy_file(&self.policy)?;
        let (report_read, report_write) =
            std::io::pipe().map_err(|source| OsError::new("create", "the report pipe", source))?;
        let path = launcher_path()?;
        let mut command = Command::new(&path);
        command
            .arg("--policy-fd")
            .arg(policy.as_raw_fd().to_string())
            .arg("--report-fd")
            .arg(report_write.as_raw_fd().to_string())
            .arg("--")
            .arg(&self.program)
            .args(&self.args)
            .env_clear()
            .stdin(Stdio::null())
            // Ctrl-C goes to a terminal's whole process group; the supervisor alone decides what it means.
            .process_group(0)
            .stdout(self.stdout)
            .stderr(self.stderr);
        let mut inherited = Inherited::default();
        for fd in self.keep_fds.iter().copied().chain([policy.as_fd(), report_write.as_fd()]) {
            inherited.add(fd)?;
        }
        // Not waited for here: the caller reaps it through the pidfd.
        let mut child = command.spawn().map_err(|source| LaunchError::Launcher { path, source })?;
        drop(inherited);
        let pid = child.id();
        // Not racy: an unreaped child keeps its pid even if it has ended already.
        let pidfd = rsw_os::pidfd::open(pid).inspect_err(|_| {
            // Nobody would watch it.
            let _ = child.kill().and_then(|()| child.wait());
        })?;
        Ok(Launched { pid, pidfd, report: report_read.into() })
    }
}

impl Launched {
    /// Waits until the program runs or the launcher failed; says what is in force. Blocks for the
    /// start of the program, some milliseconds. Consumes what the report pipe holds: ask once.
    pub fn wait_applied(&self) -> Result<Applied, ReportError> {
        let mut bytes = Vec::new();
        let read =
            self.report.try_clone().and_then(|report| File::from(report).read_to_end(&mut bytes));
        match read {
            Ok(_) => Applied::from_report(&bytes),
            Err(why) => Err(ReportError::Failed(format!("the report pipe broke: {why}"))),
        }
    }
}

/// Where the launcher is: `RSW_LAUNCH` if set, else beside this program.
pub fn launcher_path() -> Result<PathBuf, OsError> {
    match std::env::var_os("RSW_LAUNCH") {
        Some(path) => Ok(path.into()),
        None => Ok(rsw_os::process::current_exe_folder()?.join("rsw-launch")),
    }
}

/// The policy as a memory file, rewound: a file and not a pipe, so that writing it cannot block.
fn policy_file(policy: &Policy) -> Result<OwnedFd, OsError> {
    let fail = |source| OsError::new("write", "the policy", source);
    let text = serde_json::to_vec(policy)
        .map_err(|error| fail(std::io::Error::new(ErrorKind::InvalidInput, error)))?;
    let mut file = File::from(rsw_os::memfd::create("rsw-policy", 0)?);
    file.write_all(&text).map_err(fail)?;
    std::io::Seek::rewind(&mut file).map_err(fail)?;
    Ok(file.into())
}

/// Descriptors made inheritable for a while; dropping this makes them close-on-exec again.
#[derive(Default)]
struct Inherited<'fd>(Vec<BorrowedFd<'fd>>);

impl<'fd> Inherited<'fd> {
    fn add(&mut self, fd: BorrowedFd<'fd>) -> Result<(), OsError> {
        rsw_os::process::set_inheritable(fd, true)?;
        self.0.push(fd);
        Ok(())
    }
}

impl Drop for Inherited<'_> {
    fn drop(&mut self) {
        for fd in &self.0 {
            // It worked the other way a moment ago; the descriptor is borrowed, so it is still open.
            let restored = rsw_os::process::set_inheritable(fd, false);
            debug_assert!(restored.is_ok());
        }
    }
}
