//! Applying a policy to this process, in the one order that works.

use crate::files::FilesError;
use crate::filter::FilterError;
use crate::policy::{Policy, Profile};
use crate::report::Applied;
use rsw_os::OsError;
use std::path::Path;

/// Why a policy could not be put in force. Some steps may have been taken; end the process.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Landlock and seccomp confine threads, so they must come before the second one.
    #[error("this process has {threads} threads; a policy can only be applied by a single one")]
    Threads {
        /// How many there are.
        threads: u32,
    },
    /// The policy contradicts itself.
    #[error("the policy makes no sense: {0}")]
    Policy(&'static str),
    /// A system call failed.
    #[error(transparent)]
    Os(#[from] OsError),
    /// The file system could not be closed off.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The system call filter could not be had.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// Gives up, for good, everything that `policy` does not leave to this process and to `program`, which
/// it is about to become. `extra_fds` stay open beside those of the policy.
///
/// The order (each step needs a right that a later one takes away): descriptors, CPUs, limits, death
/// with the parent, no new privileges, capabilities, Landlock, seccomp.
///
/// # Safety
/// Every descriptor from 3 on that neither the policy nor `extra_fds` name is closed, whoever in this
/// process may own it. Call it in a process made for the purpose, right before `exec`.
pub unsafe fn apply(
    policy: &Policy,
    program: &Path,
    extra_fds: &[i32],
) -> Result<Applied, ApplyError> {
    check(policy)?;
    let kept: Vec<i32> = policy.kept_fds.iter().chain(extra_fds).copied().collect();
    // SAFETY: passed on to our caller, word for word.
    unsafe { crate::privileges::close_all_but(&kept) }?;
    if !policy.cpus.is_empty() {
        rsw_os::affinity::pin_current_thread(&policy.cpus)?;
    }
    let rlimits = crate::limits::set(policy)?;
    crate::privileges::tie_to_parent(policy.dies_with_parent, policy.parent_pid)?;
    let mut applied = Applied { rlimits, ..Applied::default() };
    if policy.profile.is_confined() {
        crate::privileges::forbid_new_privileges()?;
        applied.no_new_privs = true;
        applied.notes = crate::privileges::drop_capabilities()?;
        let abi = crate::files::confine(policy, program)?;
        applied.landlock_abi = Some(abi);
        applied.notes.extend(landlock_notes(abi));
        applied.seccomp_rules = crate::filter::install(policy.profile)?;
    }
    Ok(applied)
}

fn check(policy: &Policy) -> Result<(), ApplyError> {
    if !policy.write_folders.is_empty() && policy.profile == Profile::Strict {
        return Err(ApplyError::Policy("a strict process has no write folders"));
    }
    let threads = rsw_os::process::status(std::process::id())?.threads;
    if threads == 1 { Ok(()) } else { Err(ApplyError::Threads { threads }) }
}

/// What an older kernel leaves to the system call filter alone.
fn landlock_notes(abi: i32) -> Vec<String> {
    let since = [
        (4, "TCP"),
        (5, "device control"),
        (6, "signals and abstract sockets"),
        (9, "sockets in the file system"),
    ];
    since
        .iter()
        .filter(|(version, _)| abi < *version)
        .map(|(version, what)| {
            format!("Landlock {abi} does not cover {what} (version {version} does); seccomp does")
        })
        .collect()
}
