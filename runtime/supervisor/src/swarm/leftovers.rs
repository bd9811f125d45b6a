//! What a killed supervisor leaves behind, and how the next one gets rid of it.
//!
//! Planes are memory files and vanish with their last holder. What can stay: the run folder, the loan folder,
//! and for a moment the processes, which notice the closed socket or the parent's death by themselves.

use std::os::fd::AsFd;
use std::time::Duration;

use rsw_os::clock::mono_ns;
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_os::signal::Signal;
use rsw_schemas::exit;

use super::Swarm;
use crate::project::Project;
use crate::view::error::CliError;

/// Time that processes of a killed supervisor have to end by themselves.
const END_NS_MAX: u64 = 10_000_000_000;

/// Whether there is anything of a swarm but the lock.
pub(super) fn any(project: &Project) -> bool {
    let entries =
        |folder: &std::path::Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all = entries(&project.run_dir).chain(entries(&project.loan_dir));
    all.any(|entry| entry.path() != project.lock_path())
}

/// Ends processes that a killed supervisor left, then removes the folders. The caller holds the lock.
pub(super) fn clean(project: &Project) -> Result<(), CliError> {
    if let Ok(text) = std::fs::read_to_string(project.processes_path()) {
        let deadline = mono_ns() + END_NS_MAX;
        for (pid, start_ticks) in text.lines().filter_map(parse) {
            end(pid, start_ticks, deadline);
        }
    }
    remove_but_lock(project).map_err(|error| {
        CliError::new(
            exit::PERMISSION,
            "leftovers",
            format!("{} cannot be cleaned: {error}", project.run_dir.display()),
        )
        .hint("remove that folder by hand")
    })
}

/// Removes everything of a run that has ended in order.
pub(super) fn remove(project: &Project) {
    let _ = std::fs::remove_dir_all(&project.loan_dir);
    // Out of the way first: a successor must not find its folder being emptied.
    let gone = project.run_dir.with_extension(format!("gone-{}", std::process::id()));
    let left = std::fs::rename(&project.run_dir, &gone).map_or(project.run_dir.clone(), |()| gone);
    let _ = std::fs::remove_dir_all(left);
    // The folders above belong to all projects of this user; they go with the last one.
    for folder in [project.loan_dir.parent(), project.run_dir.parent()].into_iter().flatten() {
        let _ = std::fs::remove_dir(folder);
    }
}

impl Swarm {
    /// Writes down who runs, for a successor that has to clean up after us.
    pub(super) fn note_processes(&self) {
        let mut text = String::new();
        for running in self.children.iter().filter_map(|child| child.running()) {
            if let Ok(start_ticks) = rsw_os::process::start_ticks(running.pid) {
                text.push_str(&format!("{} {start_ticks}\n", running.pid));
            }
        }
        // Without the note a successor cleans up files only; the processes end by themselves.
        let _ = std::fs::write(self.project.processes_path(), text);
    }
}

fn parse(line: &str) -> Option<(u32, u64)> {
    let (pid, start_ticks) = line.split_once(' ')?;
    Some((pid.parse().ok()?, start_ticks.parse().ok()?))
}

fn end(pid: u32, start_ticks: u64, deadline_mono_ns: u64) {
    let Ok(pidfd) = rsw_os::pidfd::open(pid) else { return };
    // The pidfd holds the pid: if the start time is the one noted, this is the process we mean.
    if rsw_os::process::start_ticks(pid).ok() != Some(start_ticks) {
        return;
    }
    let left_ns = deadline_mono_ns.saturating_sub(mono_ns());
    let mut fds = [PollFd::new(pidfd.as_fd(), Interest::READ)];
    let ended = poll(&mut fds, Some(Duration::from_nanos(left_ns)));
    if !matches!(ended, Ok(1)) {
        let _ = rsw_os::pidfd::send_signal(pidfd.as_fd(), Signal::Kill);
        let _ =
            poll(&mut [PollFd::new(pidfd.as_fd(), Interest::READ)], Some(Duration::from_secs(2)));
    }
}

fn remove_but_lock(project: &Project) -> std::io::Result<()> {
    if project.loan_dir.is_dir() {
        std::fs::remove_dir_all(&project.loan_dir)?;
    }
    for entry in std::fs::read_dir(&project.run_dir)? {
        let path = entry?.path();
        if path == project.lock_path() {
            continue;
        }
        if path.is_dir() { std::fs::remove_dir_all(&path)? } else { std::fs::remove_file(&path)? }
    }
    Ok(())
}
