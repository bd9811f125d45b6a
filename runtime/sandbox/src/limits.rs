//! Resource limits of this process.

use crate::policy::{Policy, Profile};
use rsw_os::OsError;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;

/// Sets the limits of `policy`; returns them by name.
pub(crate) fn set(policy: &Policy) -> Result<BTreeMap<String, u64>, OsError> {
    let mut done = BTreeMap::new();
    for (name, resource, value) in wanted(policy) {
        // Nobody gets more than whoever started us has.
        let value = getrlimit(resource).maximum.map_or(value, |maximum| value.min(maximum));
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).map_err(
            |errno| OsError::new("set resource limit", format!("{name}={value}"), errno),
        )?;
        done.insert(name.to_owned(), value);
    }
    Ok(done)
}

fn wanted(policy: &Policy) -> Vec<(&'static str, Resource, u64)> {
    let limits = &policy.limits;
    let mut wanted = Vec::new();
    if policy.profile == Profile::None {
        return wanted;
    }
    // A core dump would hold the mapped plane and whatever else the process saw.
    wanted.push(("RLIMIT_CORE", Resource::Core, 0));
    if let Some(bytes) = limits.memory_bytes_max {
        wanted.push(("RLIMIT_AS", Resource::As, bytes));
    }
    match policy.profile {
        Profile::Sandboxed => {
            wanted.push(("RLIMIT_FSIZE", Resource::Fsize, limits.file_bytes_max));
        }
        Profile::Strict => wanted.push(("RLIMIT_FSIZE", Resource::Fsize, 0)),
        Profile::Trusted | Profile::None => {}
    }
    if policy.profile.is_confined() {
        wanted.push(("RLIMIT_NOFILE", Resource::Nofile, limits.open_files_max));
        // Message queues live outside any folder, so Landlock does not see them.
        wanted.push(("RLIMIT_MSGQUEUE", Resource::Msgqueue, 0));
    }
    wanted
}
