//! What can go wrong with loans, one enum per operation.

use std::path::PathBuf;

use iceoryx2::node::NodeCreationFailure;
use iceoryx2::port::publisher::PublisherCreateError;
use iceoryx2::port::subscriber::SubscriberCreateError;
use iceoryx2::port::update_connections::ConnectionFailure;
use iceoryx2::port::{LoanError, ReceiveError as PortReceiveError, SendError};
use iceoryx2::service::builder::publish_subscribe::{
    PublishSubscribeCreateError, PublishSubscribeOpenError,
};

/// A loan domain could not be entered or left.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// iceoryx2 builds longer paths below the root and aborts when they exceed its limit.
    #[error(
        "loan folder {path} has {bytes} bytes, more than {bytes_max}: choose a shorter run directory"
    )]
    PathTooLong {
        /// The folder.
        path: PathBuf,
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The root is relative, or not text.
    #[error("loan folder {path} is not an absolute UTF-8 path: give one that starts with /")]
    PathUnusable {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be made or removed.
    #[error("loan folder {path} cannot be {action}: check that its file system is writable")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// iceoryx2 made no node.
    #[error("no iceoryx2 node in {path}: check its permissions and its free space")]
    Node {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: NodeCreationFailure,
    },
}

/// A service or a port could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// iceoryx2 does not take the name.
    #[error("loan service name `{name}` is not usable: 1 to 255 bytes are")]
    Name {
        /// The name.
        name: String,
    },
    /// Nobody publishes it, at least not in this incarnation.
    #[error("loan service `{name}` does not exist: ask the gateway for its current incarnation")]
    Absent {
        /// The service.
        name: String,
    },
    /// Creation failed.
    #[error("loan service `{name}` cannot be created: one publisher per incarnation is allowed")]
    Create {
        /// The service.
        name: String,
        /// Why.
        source: PublishSubscribeCreateError,
    },
    /// Opening failed.
    #[error("loan service `{name}` cannot be opened: attach again for the current incarnation")]
    Open {
        /// The service.
        name: String,
        /// Why.
        source: PublishSubscribeOpenError,
    },
    /// No publisher port.
    #[error("loan service `{name}` takes no publisher: check the free space of its file system")]
    Publisher {
        /// The service.
        name: String,
        /// Why.
        source: PublisherCreateError,
    },
    /// No subscriber port.
    #[error("loan service `{name}` takes no further subscriber: raise the number of agents")]
    Subscriber {
        /// The service.
        name: String,
        /// Why.
        source: SubscriberCreateError,
    },
    /// The subscriber exists but reaches no publisher.
    #[error("loan service `{name}` cannot be connected: attach again for the current incarnation")]
    Connect {
        /// The service.
        name: String,
        /// Why.
        source: ConnectionFailure,
    },
}

/// A loan was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The payload exceeds what the service was created for.
    #[error("a payload of {len_bytes} bytes does not fit the loans of `{name}` ({bytes_max})")]
    TooLong {
        /// The service.
        name: String,
        /// Bytes wanted.
        len_bytes: usize,
        /// Bytes in a loan.
        bytes_max: usize,
    },
    /// No memory to lend.
    #[error("no loan of `{name}` is free: its shared bookkeeping is damaged, restart the gateway")]
    Loan {
        /// The service.
        name: String,
        /// Why.
        source: LoanError,
    },
    /// Sending failed.
    #[error("a loan of `{name}` was not delivered: restart the gateway")]
    Send {
        /// The service.
        name: String,
        /// Why.
        source: SendError,
    },
    /// Connecting to a new subscriber failed.
    #[error("`{name}` does not reach all its subscribers: restart the gateway")]
    Connect {
        /// The service.
        name: String,
        /// Why.
        source: ConnectionFailure,
    },
}

/// A loan was not received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Too many loans are held at once.
    #[error("{held_max} loans of `{name}` are held already: drop one before receiving the next")]
    HoldsTooMany {
        /// The service.
        name: String,
        /// The limit.
        held_max: usize,
    },
    /// The publisher cannot be reached.
    #[error("the publisher of `{name}` cannot be reached: attach again")]
    Connection {
        /// The service.
        name: String,
        /// Why.
        source: ConnectionFailure,
    },
}

impl ReceiveError {
    pub(crate) fn new(name: &str, held_max: usize, source: PortReceiveError) -> Self {
        let name = name.to_owned();
        match source {
            PortReceiveError::ExceedsMaxBorrows => Self::HoldsTooMany { name, held_max },
            PortReceiveError::ConnectionFailure(source) => Self::Connection { name, source },
        }
    }
}

/// A batch loan is not one Arrow IPC stream with one record batch.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Arrow refuses it.
    #[error("batch {batch} is not a valid Arrow IPC stream")]
    Arrow {
        /// Number of the batch.
        batch: u64,
        /// Why.
        source: arrow_schema::ArrowError,
    },
    /// The stream holds none or several.
    #[error("batch {batch} holds {found} record batches instead of one")]
    Count {
        /// Number of the batch.
        batch: u64,
        /// Record batches in the stream.
        found: usize,
    },
}
