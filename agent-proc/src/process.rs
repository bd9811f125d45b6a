//! The agent as a process: one thread that waits on the ring, takes what came, and posts what it made of it.

mod agent;
mod loaned;
mod ring_view;

use rsw_schemas::exit;

pub(crate) use agent::{Agent, Origin};

/// Why the agent gives up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The launcher's number is no descriptor of ours.
    #[error(transparent)]
    Inherit(#[from] rsw_os::OsError),
    /// Not attached.
    #[error(transparent)]
    Attach(#[from] rsw_attach::AttachError),
    /// The gateway went away and nobody took its place.
    #[error("the swarm is gone for {seconds} s; see `runtime status`")]
    Gone {
        /// How long.
        seconds: u64,
    },
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Inherit(_) => exit::USAGE,
            Self::Attach(error) => error.exit_code(),
            Self::Gone { .. } => exit::NOT_RUNNING,
        }
    }
}

/// One line on stderr, for a change of state; whether anybody reads it is not our business.
pub(crate) fn note(name: &str, words: &str) {
    rsw_os::process::note(format_args!("agent-proc {name}: {words}"));
}
