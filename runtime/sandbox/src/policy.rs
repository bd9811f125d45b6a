//! What one process may keep: written by the supervisor, read by the launcher, as JSON.

use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::PathBuf;

/// How much a process gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Our own processes: no stray descriptors, no core dumps, no life after the supervisor.
    Trusted,
    /// An agent that borrows loans: files are read-only but for the write folders; no network, no new
    /// processes, no reach into others.
    Sandboxed,
    /// An agent that only reads the plane: as above, and it changes no file at all.
    Strict,
    /// What the user runs on his own account: only stray descriptors and orphans are prevented.
    None,
}

impl Profile {
    /// True if agents of this profile are confined by Landlock and seccomp.
    pub fn is_confined(self) -> bool {
        matches!(self, Profile::Sandboxed | Profile::Strict)
    }
}

/// What one process may keep. The launcher adds the program itself to what may be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How much it gives up.
    pub profile: Profile,
    /// Files and folders to read, on top of the system's libraries; each must exist.
    #[serde(default)]
    pub read_paths: Vec<PathBuf>,
    /// Files and folders to read and execute; each must exist.
    #[serde(default)]
    pub execute_paths: Vec<PathBuf>,
    /// Folders in which files may be made, changed and removed; only for [`Profile::Sandboxed`].
    #[serde(default)]
    pub write_folders: Vec<PathBuf>,
    /// Resource limits; [`Profile::None`] ignores them.
    #[serde(default)]
    pub limits: Limits,
    /// Descriptors that survive, beside 0, 1 and 2.
    #[serde(default)]
    pub kept_fds: Vec<i32>,
    /// The process that must be the parent; the launcher refuses to run for anybody else, because that
    /// means that the supervisor is dead. `None`: no check.
    #[serde(default)]
    pub parent_pid: Option<u32>,
    /// Kill the process when the thread that started it ends.
    #[serde(default = "yes")]
    pub dies_with_parent: bool,
    /// The CPUs to run on; empty: as inherited.
    #[serde(default)]
    pub cpus: Vec<usize>,
    /// The program's whole environment. The launcher itself runs without: a variable such as LD_PRELOAD would
    /// otherwise bring the program's code into it before it has confined itself.
    #[serde(default)]
    pub environment: Vec<(OsString, OsString)>,
}

impl Policy {
    /// A policy of `profile` with the default limits and nothing on top.
    pub fn new(profile: Profile) -> Policy {
        Policy {
            profile,
            read_paths: Vec::new(),
            execute_paths: Vec::new(),
            write_folders: Vec::new(),
            limits: Limits::default(),
            kept_fds: Vec::new(),
            parent_pid: None,
            dies_with_parent: true,
            cpus: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// Resource limits (`setrlimit`), soft and hard alike.
///
/// There is no limit on the number of processes: `RLIMIT_NPROC` counts all processes of the user and
/// does nothing for root. Confined profiles cannot make processes at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of address space, mapped planes and loans included; `None`: as inherited. It bounds the
    /// heap; memory in shared files is bounded by `file_bytes_max` and by denying `memfd_create`.
    pub memory_bytes_max: Option<u64>,
    /// Open descriptors.
    pub open_files_max: u64,
    /// The largest file it may write in [`Profile::Sandboxed`]; always 0 in [`Profile::Strict`].
    pub file_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        // 64 MiB: the bookkeeping files of a subscriber are far smaller, a filled disk is far larger.
        Limits { memory_bytes_max: None, open_files_max: 256, file_bytes_max: 64 << 20 }
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_round_trip_and_reject_what_they_do_not_know() {
        let mut policy = Policy::new(Profile::Sandboxed);
        policy.write_folders.push("/run/loans".into());
        policy.kept_fds.push(5);
        policy.environment.push(("LANG".into(), "C".into()));
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
        let short: Policy = serde_json::from_str(r#"{"profile":"strict"}"#).unwrap();
        assert_eq!(short, Policy::new(Profile::Strict));
        assert!(serde_json::from_str::<Policy>(r#"{"profile":"strict","wirte":1}"#).is_err());
        assert!(serde_json::from_str::<Policy>("{}").is_err());
    }
}
