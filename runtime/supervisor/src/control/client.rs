//! The command line's side.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rsw_os::packet::{self, Received};
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_plane::PlaneReader;
use rsw_schemas::exit;
use serde_json::{Value as Json, json};

use super::{CHUNK_BYTES, LAST};
use crate::project::Project;
use crate::swarm::os_error;
use crate::view::error::CliError;

/// A connection to the supervisor of a running swarm.
pub(crate) struct Client {
    socket: OwnedFd,
    timeout: Duration,
    name: String,
}

impl Client {
    /// Connects, or says that nothing runs.
    pub(crate) fn connect(project: &Project, timeout: Duration) -> Result<Self, CliError> {
        let socket =
            packet::connect_within(&project.control_path(), timeout).map_err(
                |error| match error.kind() {
                    std::io::ErrorKind::PermissionDenied => os_error(error),
                    std::io::ErrorKind::WouldBlock => no_answer(),
                    _ => not_running(project),
                },
            )?;
        Ok(Self { socket, timeout, name: project.name.clone() })
    }

    /// One request, one answer.
    pub(crate) fn ask(&self, request: &Json) -> Result<(Json, Vec<OwnedFd>), CliError> {
        let gone = || {
            CliError::new(
                exit::NOT_RUNNING,
                "not-running",
                format!("swarm \"{}\" just ended", self.name),
            )
            .hint("runtime up starts it")
        };
        let bytes = request.to_string().into_bytes();
        // Who has closed already may have said why.
        let _ = packet::send(&self.socket, &bytes, &[]);
        let deadline = Instant::now() + self.timeout;
        let (mut text, mut all_fds) = (Vec::new(), Vec::new());
        loop {
            let mut bytes = vec![0u8; CHUNK_BYTES + 1];
            match packet::recv(&self.socket, &mut bytes, 4).map_err(os_error)? {
                Received::Closed => return Err(gone()),
                Received::WouldBlock => self.wait(deadline)?,
                Received::NoDescriptor => {
                    let words = "this process may open no more files";
                    return Err(CliError::new(exit::FAILURE, "system", words)
                        .hint("`ulimit -n` shows how many it may: raise that"));
                }
                Received::Packet { len, fds, .. } => {
                    text.extend_from_slice(&bytes[1..len.max(1)]);
                    all_fds.extend(fds);
                    if bytes[0] == LAST {
                        break;
                    }
                }
            }
        }
        let answer: Json = serde_json::from_slice(&text).map_err(|error| {
            CliError::new(
                exit::FAILURE,
                "answer",
                format!("the supervisor's answer is garbled: {error}"),
            )
            .hint("run programs of one build")
        })?;
        match answer.get("error") {
            Some(error) => Err(refused(error)),
            None => Ok((answer, all_fds)),
        }
    }

    /// The newest plane, mapped read-only, and whether its writer lives.
    pub(crate) fn plane(&self) -> Result<(PlaneReader, bool), CliError> {
        let (answer, mut fds) = self.ask(&json!({"op": "plane"}))?;
        let starting = || {
            CliError::new(exit::NOT_RUNNING, "not-running", "the kernel has no plane yet")
                .hint("runtime status --wait waits for it")
        };
        let fd = fds.pop().ok_or_else(starting)?;
        let plane = PlaneReader::attach(fd)
            .map_err(|error| CliError::new(exit::LAYOUT, "layout", error.to_string()))?;
        Ok((plane, answer["live"].as_bool().unwrap_or(false)))
    }

    /// Waits until the supervisor has closed its end; the error is the swarm's, if it ended badly.
    pub(crate) fn wait_for_end(&self, deadline: Instant) -> Result<(), CliError> {
        let unsaid = || {
            CliError::new(exit::FAILURE, "killed", "the supervisor ended without a word")
                .hint("runtime verify says what was recorded, runtime up goes on")
        };
        let (mut text, mut ended) = (Vec::new(), Err(unsaid()));
        loop {
            let mut bytes = vec![0u8; CHUNK_BYTES + 1];
            match packet::recv(&self.socket, &mut bytes, 0) {
                Ok(Received::Closed) | Err(_) => return ended,
                Ok(Received::WouldBlock) => self.wait(deadline)?,
                Ok(Received::NoDescriptor) => {}
                Ok(Received::Packet { len, .. }) => {
                    text.extend_from_slice(&bytes[1..len.max(1)]);
                    if bytes[0] == LAST {
                        let said: Json = serde_json::from_slice(&text).unwrap_or_default();
                        ended = said.get("error").map_or(Ok(()), |error| Err(failed(error)));
                        text.clear();
                    }
                }
            }
        }
    }

    fn wait(&self, deadline: Instant) -> Result<(), CliError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(no_answer());
        }
        let mut fds = [PollFd::new(self.socket.as_fd(), Interest::READ)];
        poll(&mut fds, Some(left)).map_err(os_error)?;
        Ok(())
    }
}

/// Nothing runs here.
pub(crate) fn not_running(project: &Project) -> CliError {
    CliError::new(
        exit::NOT_RUNNING,
        "not-running",
        format!("swarm \"{}\" in {} does not run", project.name, project.folder.display()),
    )
    .hint(project.neighbours_hint().unwrap_or_else(|| "runtime up starts it".into()))
}

/// An error that the supervisor answered with.
fn refused(error: &Json) -> CliError {
    let words = |key: &str| error[key].as_str().map(str::to_owned);
    let message = words("message").unwrap_or_else(|| "the supervisor refused".into());
    let refusal = CliError::new(exit::FAILURE, "refused", message);
    match words("hint") {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

/// The failure that a swarm ended with.
fn failed(error: &Json) -> CliError {
    let code = error["exit"].as_u64().and_then(|code| u8::try_from(code).ok());
    CliError { code: code.unwrap_or(exit::FAILURE), what: "ended-badly", ..refused(error) }
}

fn no_answer() -> CliError {
    CliError::new(exit::TIMEOUT, "timeout", "the supervisor did not answer in time")
        .hint("--timeout gives it longer")
}
