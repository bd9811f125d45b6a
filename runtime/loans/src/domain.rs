//! A loan domain: one folder, one iceoryx2 node per process, the services below it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use iceoryx2::prelude::{
    Config, FileName, LogLevel, Node, NodeBuilder, Path as IoxPath, SemanticString,
    SignalHandlingMode, set_log_level,
};

use crate::batch::{BatchPublisher, BatchSubscriber};
use crate::error::{DomainError, ServiceError};
use crate::field::{FieldPublisher, FieldSubscriber};
use crate::threads::{AnyThread, OneThread, Threads};

/// iceoryx2 takes paths of at most 255 bytes and appends up to 120 (node id, service hash, suffix).
const FOLDER_BYTES_MAX: usize = 128;
/// How long an open waits for a half-made object of another process.
const CREATION_TIMEOUT: Duration = Duration::from_millis(200);
/// Subscribers besides the agents of the swarm file: guests and tools.
const SPARE_SUBSCRIBERS: usize = 8;

/// This process's place in the loans of one gateway incarnation.
///
/// Everything lies in `<root>/<incarnation>/`, so a path rule on `root` outlives a restart of the
/// gateway. Not `Sync`; ports made from it outlive it and, on [`AnyThread`], may be sent to other threads.
#[derive(Debug)]
pub struct LoanDomain<T: Threads = AnyThread> {
    node: Node<T::Service>,
    folder: PathBuf,
}

impl LoanDomain {
    /// Enters the domain of `incarnation` below `root` (absolute, best on a tmpfs), making its folder,
    /// readable by the owner alone, if it is not there.
    ///
    /// # Errors
    /// The path is unusable or too long, the folder cannot be made, or iceoryx2 makes no node in it.
    pub fn new(root: &Path, incarnation: u64) -> Result<Self, DomainError> {
        Self::enter(root, incarnation)
    }

    /// Creates the service of record batches `name`, each of at most `bytes_max` bytes of Arrow IPC stream.
    ///
    /// # Errors
    /// The name is unusable or taken, or the memory cannot be had.
    pub fn publish_batches(
        &self,
        name: &str,
        bytes_max: usize,
        agents_max: usize,
    ) -> Result<BatchPublisher, ServiceError> {
        BatchPublisher::new(&self.node, name, bytes_max, subscribers(agents_max))
    }

    /// Subscribes to the record batches `name` and connects at once.
    ///
    /// # Errors
    /// The service does not exist in this incarnation, is full, or cannot be reached.
    pub fn subscribe_batches(&self, name: &str) -> Result<BatchSubscriber, ServiceError> {
        BatchSubscriber::new(&self.node, name)
    }

    /// Removes every incarnation below `root` but `keep`; their readers keep what they have mapped.
    /// Returns how many were removed.
    ///
    /// # Errors
    /// A folder cannot be read or removed.
    pub fn remove_others(root: &Path, keep: u64) -> Result<usize, DomainError> {
        let kept = folder_of(root, keep);
        let wrap = |path: &Path, action, source| DomainError::Folder {
            path: path.to_owned(),
            action,
            source,
        };
        let mut removed = 0;
        for entry in fs::read_dir(root).map_err(|error| wrap(root, "listed", error))? {
            let path = entry.map_err(|error| wrap(root, "listed", error))?.path();
            if path != kept && path.file_name().is_some_and(is_incarnation) {
                fs::remove_dir_all(&path).map_err(|error| wrap(&path, "removed", error))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

impl LoanDomain<OneThread> {
    /// As [`LoanDomain::new`], for ports and loans that stay on this thread and so need no lock.
    ///
    /// # Errors
    /// As [`LoanDomain::new`].
    pub fn confined(root: &Path, incarnation: u64) -> Result<Self, DomainError> {
        Self::enter(root, incarnation)
    }
}

impl<T: Threads> LoanDomain<T> {
    fn enter(root: &Path, incarnation: u64) -> Result<Self, DomainError> {
        let folder = folder_of(root, incarnation);
        let iox_path = checked(&folder)?;
        let make = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        make.map_err(|source| DomainError::Folder {
            path: folder.clone(),
            action: "made",
            source,
        })?;
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new()
            .config(&config(&iox_path))
            .signal_handling_mode(SignalHandlingMode::Disabled)
            .create::<T::Service>()
            .map_err(|source| DomainError::Node { path: folder.clone(), source })?;
        Ok(Self { node, folder })
    }

    /// The folder that holds everything of this domain.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the service of field `name`, whose loans hold `nx * ny` cells, for up to `agents_max`
    /// subscribers and a few spare ones. The newest frame is kept for late joiners.
    ///
    /// # Errors
    /// The name is unusable or taken, or the memory cannot be had.
    pub fn publish_field(
        &self,
        name: &str,
        nx: u32,
        ny: u32,
        agents_max: usize,
    ) -> Result<FieldPublisher<T>, ServiceError> {
        FieldPublisher::new(&self.node, name, nx as usize * ny as usize, subscribers(agents_max))
    }

    /// Subscribes to field `name` and connects at once.
    ///
    /// # Errors
    /// The service does not exist in this incarnation, is full, or cannot be reached.
    pub fn subscribe_field(&self, name: &str) -> Result<FieldSubscriber<T>, ServiceError> {
        FieldSubscriber::new(&self.node, name)
    }

    /// Frees what dead processes held: their loans and their place among the subscribers. iceoryx2 does
    /// it nowhere else here, so that no agent ever touches another's files. Returns how many were freed.
    pub fn clear_dead(&self) -> u64 {
        self.node.try_cleanup_dead_nodes().cleanups
    }
}

/// Adds room for guests, and for agents that died and are not cleared yet.
fn subscribers(agents_max: usize) -> usize {
    agents_max + SPARE_SUBSCRIBERS
}

fn folder_of(root: &Path, incarnation: u64) -> PathBuf {
    root.join(incarnation.to_string())
}

fn is_incarnation(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|text| text.parse::<u64>().is_ok())
}

fn checked(folder: &Path) -> Result<IoxPath, DomainError> {
    let bytes = folder.as_os_str().as_encoded_bytes();
    if bytes.len() > FOLDER_BYTES_MAX {
        return Err(DomainError::PathTooLong {
            path: folder.to_owned(),
            bytes: bytes.len(),
            bytes_max: FOLDER_BYTES_MAX,
        });
    }
    match IoxPath::new(bytes) {
        Ok(path) if folder.is_absolute() => Ok(path),
        _ => Err(DomainError::PathUnusable { path: folder.to_owned() }),
    }
}

/// No clean-up as a side effect: an agent must neither stall on nor touch what others left behind.
fn config(root: &IoxPath) -> Config {
    let mut config = Config::default();
    config.global.set_root_path(root);
    if let Ok(prefix) = FileName::new(b"rsw_") {
        config.global.prefix = prefix;
    }
    config.global.creation_timeout = CREATION_TIMEOUT;
    config.global.node.cleanup_dead_nodes_on_creation = false;
    config.global.node.cleanup_dead_nodes_on_destruction = false;
    config.global.service.cleanup_dead_nodes_on_open = false;
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_roots_are_refused_before_iceoryx2_sees_them() {
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        assert!(matches!(LoanDomain::new(&long, 1), Err(DomainError::PathTooLong { .. })));
        let relative = Path::new("loans");
        assert!(matches!(LoanDomain::new(relative, 1), Err(DomainError::PathUnusable { .. })));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(LoanDomain::new(file.path(), 1), Err(DomainError::Folder { .. })));
    }

    #[test]
    fn only_other_incarnations_are_removed() {
        let root = tempfile::tempdir().unwrap();
        for name in ["1", "2", "keep.txt"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        assert_eq!(LoanDomain::remove_others(root.path(), 2).unwrap(), 1);
        assert!(!root.path().join("1").exists());
        assert!(root.path().join("2").exists() && root.path().join("keep.txt").exists());
    }
}
