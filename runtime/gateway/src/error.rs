//! Why the gateway ends with a failure.

use std::error::Error;
use std::path::PathBuf;

use rsw_loans::{DomainError, PublishError, ServiceError};
use rsw_schemas::exit;
use rsw_schemas::wire::PacketKind;

/// Whatever ends the process. A client's fault never does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    /// The topology is not readable.
    #[error("topology {path} cannot be read: start this program through `runtime up`")]
    Topology { path: PathBuf, source: std::io::Error },
    /// The topology is not what this build writes.
    #[error("topology {path} is not of this build: run programs of one build")]
    TopologyFormat { path: PathBuf, source: serde_json::Error },
    /// A path does not fit the packets that carry it.
    #[error("loan folder {path} is too long for a welcome: choose a shorter run directory")]
    LoanRoot { path: PathBuf },
    /// The public socket is in use or cannot be removed.
    #[error("socket {path} cannot be {action}: choose another run directory")]
    Socket { path: PathBuf, action: &'static str, source: std::io::Error },
    /// The supervisor sent what it must not.
    #[error("the supervisor sent a {kind:?} packet, which a gateway never gets")]
    Unexpected { kind: PacketKind },
    /// The supervisor does not drain its socket.
    #[error("the supervisor does not take a {kind:?} packet: see `runtime status`")]
    SupervisorStuck { kind: PacketKind },
    /// The supervisor's packet or the socket to it.
    #[error("supervisor: {0}")]
    Codec(#[from] rsw_attach::CodecError),
    /// The plane is none, or not ours.
    #[error(transparent)]
    Plane(#[from] rsw_plane::AttachError),
    /// A mailbox could not be made.
    #[error("mailbox: {0}")]
    Mailbox(#[from] rsw_attach::PageError),
    /// The new plane's fields are not those the loans were made for.
    #[error(
        "generation {generation} publishes other fields than the one before: restart the swarm"
    )]
    FieldsChanged { generation: u64 },
    /// A system call failed.
    #[error(transparent)]
    Os(#[from] rsw_os::OsError),
    /// The loans' folder.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// A loan service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A loan.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The lending thread panicked.
    #[error("the lending thread panicked: see the log above, and report it")]
    LenderPanicked,
}

impl GatewayError {
    /// True if this process may open no more descriptors.
    pub(crate) fn is_no_descriptor(&self) -> bool {
        matches!(self, Self::Os(error) if error.is_no_descriptor())
    }

    /// The exit code that tells the supervisor what to make of it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Topology { .. } | Self::TopologyFormat { .. } | Self::LoanRoot { .. } => {
                exit::CONFIG
            }
            Self::Socket { .. } => exit::CONFLICT,
            Self::Plane(
                rsw_plane::AttachError::Layout { .. } | rsw_plane::AttachError::Pages { .. },
            ) => exit::LAYOUT,
            _ => exit::FAILURE,
        }
    }

    /// The error with its causes, for one line.
    pub(crate) fn chain(&self) -> String {
        let mut words = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let next = error.to_string();
            if !words.ends_with(&next) {
                words = format!("{words}: {next}");
            }
            cause = error.source();
        }
        words
    }
}
