//! Which files a confined process can reach (Landlock).

use crate::policy::{Policy, Profile};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus,
    Scope,
};
use std::path::{Path, PathBuf};

/// Why the files could not be closed off.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A path of the policy is not there, or cannot be reached with the rights that are left.
    #[error("cannot open {path:?}, which the policy names: {source}")]
    Path {
        /// The path.
        path: PathBuf,
        /// What the kernel answered.
        source: std::io::Error,
    },
    /// The kernel does not offer what is promised.
    #[error(
        "cannot confine file access with Landlock: {0}; needs Linux 6.2 or later with Landlock \
         enabled at boot (lsm=landlock,...)"
    )]
    Landlock(#[from] landlock::RulesetError),
    /// The kernel took the rules and enforces none.
    #[error("Landlock is not in force although it was accepted")]
    NotInForce,
}

/// The last version of Landlock whose file rights are promised: without version 3 a process could
/// truncate any file it can read. Network and signals are denied by the system call filter anyway.
const PROMISED: ABI = ABI::V3;

/// The last version this code knows; used as far as the kernel has it.
const WANTED: ABI = ABI::V9;

/// Shared libraries and what the C library reads at start; those that exist may be read.
const SYSTEM_READ_PATHS: [&str; 9] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/urandom",
    "/dev/zero",
];

/// The dynamic loaders, which the kernel executes together with any program; those that exist.
const LOADERS: [&str; 5] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-riscv64-lp64d.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];

/// Closes off everything but what `policy` and `program` need; returns the version in force.
pub(crate) fn confine(policy: &Policy, program: &Path) -> Result<i32, FilesError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let execute = read | AccessFs::Execute;
    let mut rules = new_rules()?;
    for path in SYSTEM_READ_PATHS {
        rules = allow_if_there(rules, path, read)?;
    }
    for path in LOADERS {
        rules = allow_if_there(rules, path, execute)?;
    }
    // Programs throw output away as they please; nothing is kept there.
    rules = allow_if_there(rules, "/dev/null", read | AccessFs::WriteFile)?;
    for path in &policy.read_paths {
        rules = allow(rules, path, read)?;
    }
    for path in policy.execute_paths.iter().map(PathBuf::as_path).chain([program]) {
        rules = allow(rules, path, execute)?;
    }
    if policy.profile == Profile::Sandboxed {
        for path in &policy.write_folders {
            rules = allow(rules, path, read | write_rights())?;
        }
    }
    let status = rules.restrict_self()?;
    match status.landlock {
        _ if status.ruleset == RulesetStatus::NotEnforced => Err(FilesError::NotInForce),
        LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi as i32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => Err(FilesError::NotInForce),
    }
}

/// No sockets, devices or links: subscribers make plain files and folders.
fn write_rights() -> BitFlags<AccessFs> {
    AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
}

fn new_rules() -> Result<RulesetCreated, FilesError> {
    Ok(Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(PROMISED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?)
}

fn allow_if_there(
    rules: RulesetCreated,
    path: &str,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, FilesError> {
    let path = Path::new(path);
    if path.exists() { allow(rules, path, rights) } else { Ok(rules) }
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, FilesError> {
    let fail = |source| FilesError::Path { path: path.to_path_buf(), source };
    let is_folder = path.metadata().map_err(fail)?.is_dir();
    // Rights that only make sense for folders are an error on a file.
    let rights = if is_folder { rights } else { rights & AccessFs::from_file(WANTED) };
    let fd = PathFd::new(path).map_err(|error| fail(std::io::Error::other(error.to_string())))?;
    Ok(rules.add_rule(PathBeneath::new(fd, rights))?)
}
