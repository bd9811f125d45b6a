//! The rights of this process beside files and system calls: descriptors, parent, capabilities.

use rsw_os::OsError;
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io::{Error, ErrorKind};

/// Closes every descriptor from 3 on that is not in `kept`.
///
/// # Safety
/// Nobody in this process may own a descriptor that is closed here, or use its number later.
pub(crate) unsafe fn close_all_but(kept: &[i32]) -> Result<(), OsError> {
    for (first, last) in gaps(kept) {
        // SAFETY: the caller promises that the descriptors of this range have no owner; the call
        // touches no memory.
        let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if result != 0 {
            let range = format!("{first} to {last}");
            return Err(OsError::new("close descriptors", range, Error::last_os_error()));
        }
    }
    Ok(())
}

/// The ranges of descriptors between those in `kept`, from 3 up.
fn gaps(kept: &[i32]) -> Vec<(u32, u32)> {
    let mut kept: Vec<u32> = kept.iter().filter_map(|&fd| u32::try_from(fd).ok()).collect();
    kept.sort_unstable();
    let mut gaps = Vec::new();
    let mut first = 3;
    for fd in kept.into_iter().filter(|&fd| fd >= 3) {
        if fd > first {
            gaps.push((first, fd - 1));
        }
        first = fd + 1;
    }
    gaps.push((first, u32::MAX));
    gaps
}

/// Makes this process die with its parent, and fails if `parent_pid` is not its parent any more.
pub(crate) fn tie_to_parent(dies: bool, parent_pid: Option<u32>) -> Result<(), OsError> {
    if dies {
        rsw_os::process::set_parent_death_signal(rsw_os::Signal::Kill)?;
    }
    // After the signal is set: a parent that died before will never send it.
    let found = rsw_os::process::parent_pid();
    match parent_pid {
        Some(expected) if expected != found => {
            let reason = format!("the parent is pid {found} and not {expected}, which has ended");
            let source = Error::new(ErrorKind::NotFound, reason);
            Err(OsError::new("stay with", "the supervisor", source))
        }
        _ => Ok(()),
    }
}

/// Gives up every capability for good; returns what could not be given up.
///
/// Dropping from the bounding set needs CAP_SETPCAP, which ordinary users lack; they also have nothing
/// to drop, and no-new-privileges keeps it so.
pub(crate) fn drop_capabilities() -> Result<Vec<String>, OsError> {
    let mut notes = Vec::new();
    let mut kept = 0;
    for capability in CapabilitySet::all().iter() {
        if rustix::thread::capability_is_in_bounding_set(capability) != Ok(true) {
            continue;
        }
        if rustix::thread::remove_capability_from_bounding_set(capability).is_err() {
            kept += 1;
        }
    }
    if kept > 0 && rustix::process::geteuid().is_root() {
        notes.push(format!("{kept} capabilities stay in the bounding set (no CAP_SETPCAP)"));
    }
    let empty = CapabilitySet::empty();
    let sets = CapabilitySets { effective: empty, permitted: empty, inheritable: empty };
    rustix::thread::set_capabilities(None, sets)
        .map_err(|errno| OsError::new("drop the capabilities of", "this process", errno))?;
    // Emptied with the permitted set already; asked for so that a kernel that differs is found out.
    if rustix::thread::clear_ambient_capability_set().is_err() {
        notes.push("the ambient capabilities could not be cleared".to_owned());
    }
    if rustix::process::geteuid().is_root() {
        notes.push(
            "runs as root without capabilities: it can still change the mode of root's files that \
             it can read; run swarms as an ordinary user"
                .to_owned(),
        );
    }
    Ok(notes)
}

/// No `exec` of this process or its children can raise their rights any more.
pub(crate) fn forbid_new_privileges() -> Result<(), OsError> {
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| OsError::new("forbid new privileges to", "this process", errno))
}

#[cfg(test)]
mod tests {
    use super::gaps;

    #[test]
    fn gaps_leave_out_exactly_the_kept() {
        assert_eq!(gaps(&[]), [(3, u32::MAX)]);
        assert_eq!(gaps(&[3, 4]), [(5, u32::MAX)]);
        assert_eq!(gaps(&[9, 0, 5, 5, -1]), [(3, 4), (6, 8), (10, u32::MAX)]);
    }
}
