//! Where one project lives: its name, its folder, and the places that carry both so that two never meet.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::view::error::CliError;
use rsw_attach::place;
use rsw_schemas::exit;

/// How long to look whether a swarm is there.
const LOOK: Duration = Duration::from_millis(200);

/// A project on this machine, for this user.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// Its name.
    pub(crate) name: String,
    /// Its folder, absolute.
    pub(crate) folder: PathBuf,
    /// Sockets, lock and topology while it runs; gone after `down`.
    pub(crate) run_dir: PathBuf,
    /// Loans while it runs, in memory if the machine offers it; gone after `down`.
    pub(crate) loan_dir: PathBuf,
    /// What its processes said; kept.
    pub(crate) log_dir: PathBuf,
}

impl Project {
    /// The project of that name in that folder.
    pub(crate) fn new(name: &str, folder: &Path) -> Self {
        let (id, run_base) = (place::id(name, folder), place::run_base());
        let uid = rsw_os::process::uid();
        let shm = Path::new("/dev/shm");
        let run_dir = run_base.join(&id);
        let loan_dir = if shm.is_dir() {
            shm.join(format!("rsw-{uid}")).join(&id)
        } else {
            run_dir.join("loans")
        };
        // Empty is unset, and relative to nothing.
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let state_base = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .unwrap_or_else(|| run_base.clone());
        let log_dir = state_base.join("rsw").join(&id);
        Self { name: name.to_owned(), folder: folder.to_owned(), run_dir, loan_dir, log_dir }
    }

    /// The swarms that run in a folder, by whatever name. One of a long name, or beyond ASCII, is not found this way.
    pub(crate) fn running_in(folder: &Path) -> Vec<Self> {
        let named = |run_dir: PathBuf| {
            let (name, _) = run_dir.file_name()?.to_str()?.rsplit_once('-')?;
            Some(Self::new(name, folder))
        };
        let found = place::of_folder(folder).into_iter().filter_map(named);
        let answers = |path: PathBuf| rsw_os::packet::connect_within(&path, LOOK).is_ok();
        found.filter(|project| answers(project.control_path())).collect()
    }

    /// Where else one might look, if this does not run.
    pub(crate) fn neighbours_hint(&self) -> Option<String> {
        let mut others = Self::running_in(&self.folder);
        others.retain(|other| other.name != self.name);
        let flags: Vec<String> = others.iter().map(|other| format!("-p {}", other.name)).collect();
        (!flags.is_empty())
            .then(|| format!("another swarm runs in this folder: {}", flags.join(", ")))
    }

    /// Held by the supervisor for as long as it lives.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.run_dir.join(place::LOCK)
    }

    /// The supervisor's socket, for the command line.
    pub(crate) fn control_path(&self) -> PathBuf {
        self.run_dir.join("control.sock")
    }

    /// The gateway's socket, for agents that come by themselves.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.run_dir.join(place::SOCKET)
    }

    /// What the kernel, the gateway and the recorder read.
    pub(crate) fn topology_path(&self) -> PathBuf {
        self.run_dir.join("topology.json")
    }

    /// The processes of this run, for whoever has to clean up after a supervisor that was killed.
    pub(crate) fn processes_path(&self) -> PathBuf {
        self.run_dir.join("processes")
    }

    /// Log of one process.
    pub(crate) fn log_path(&self, process: &str) -> PathBuf {
        self.log_dir.join(format!("{process}.log"))
    }

    /// Makes every folder, each for this user alone. The folders above them carry predictable names, so they
    /// are checked first: whoever owns those could swap ours.
    pub(crate) fn make_folders(&self) -> Result<(), CliError> {
        for folder in [&self.run_dir, &self.loan_dir, &self.log_dir] {
            for part in folder.parent().into_iter().chain([folder.as_path()]) {
                make_own(part)?;
            }
        }
        Ok(())
    }
}

fn make_own(folder: &Path) -> Result<(), CliError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let found = made.and_then(|()| std::fs::symlink_metadata(folder)).map_err(|error| {
        CliError::new(exit::PERMISSION, "folder", format!("{}: {error}", folder.display()))
            .hint("set XDG_RUNTIME_DIR and XDG_STATE_HOME to folders of yours")
    })?;
    if found.is_dir() && found.uid() == rsw_os::process::uid() && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let words = format!("{} belongs to, or can be written by, somebody else", folder.display());
    Err(CliError::new(exit::PERMISSION, "folder", words)
        .hint("remove it, or set XDG_RUNTIME_DIR and XDG_STATE_HOME to folders of yours"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_folders_and_two_names_never_share_a_path() {
        let one = Project::new("demo", Path::new("/a"));
        assert_ne!(one.run_dir, Project::new("demo", Path::new("/b")).run_dir);
        assert_ne!(one.loan_dir, Project::new("omed", Path::new("/a")).loan_dir);
        assert_eq!(one.run_dir, Project::new("demo", Path::new("/a")).run_dir);
        let long = Project::new(&"x".repeat(200), Path::new("/a"));
        assert!(long.control_path().as_os_str().len() < 107);
    }
}
