//! A lock that a process holds on a file for as long as it lives, and that dies with it.

use crate::OsError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An exclusive lock (`flock`) on a file; released by dropping it or by the death of the process.
///
/// The file stays when the lock goes: removing it would let two processes lock two different files of
/// the same name.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    _file: File,
}

impl LockFile {
    /// Locks `path`, creating it with mode 0600, and writes the pid into it as a hint for people.
    /// `None`: another process (or another `LockFile` of this one) holds it.
    pub fn acquire(path: &Path) -> Result<Option<LockFile>, OsError> {
        loop {
            let Some(lock) = Self::acquire_opened(path)? else { return Ok(None) };
            // Somebody may have removed the file between our opening and our locking it: then another
            // process can lock its successor, and what we hold is no lock.
            let ours = lock._file.metadata().map(|file| (file.dev(), file.ino()));
            let named = std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
            match (ours, named) {
                (Ok(ours), Ok(named)) if ours == named => return Ok(Some(lock)),
                _ => drop(lock),
            }
        }
    }

    fn acquire_opened(path: &Path) -> Result<Option<LockFile>, OsError> {
        let fail = |source| OsError::new("lock", path.display(), source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        file.set_len(0).map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Some(LockFile { path: path.to_path_buf(), _file: file }))
    }

    /// Where the lock lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The pid written in a lock file: who holds it, or held it last. `None` if there is no such file or
/// it holds no pid. Only [`LockFile::acquire`] can tell whether it is held.
pub fn holder_pid(path: &Path) -> Result<Option<u32>, OsError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OsError::new("read lock file", path.display(), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_it_and_drop_releases() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(holder_pid(&path).unwrap(), None);
        let held = LockFile::acquire(&path).unwrap().unwrap();
        assert_eq!(held.path(), path);
        assert!(LockFile::acquire(&path).unwrap().is_none());
        assert_eq!(holder_pid(&path).unwrap(), Some(std::process::id()));
        drop(held);
        assert!(LockFile::acquire(&path).unwrap().is_some());
    }

    #[test]
    fn the_lock_dies_with_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut child = std::process::Command::new("flock")
            .arg(&path)
            .args(["sh", "-c", "echo; exec sleep 600"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut byte = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
        assert!(LockFile::acquire(&path).unwrap().is_none());
        // flock(1) and its child share the description; end both through the process tree.
        for pid in crate::process::descendants(child.id()).unwrap() {
            let fd = crate::pidfd::open(pid).unwrap();
            crate::pidfd::send_signal(fd, crate::Signal::Kill).unwrap();
        }
        child.wait().unwrap();
        assert!(LockFile::acquire(&path).unwrap().is_some());
    }
}
