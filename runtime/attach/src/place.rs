//! Where a swarm's sockets lie: the one rule by which whoever starts a swarm and whoever looks for it agree.
//!
//! A swarm is known by its project's name and its folder. Both go into the name of its run directory, so that two
//! swarms never meet. Everything here is about names; nothing is made, opened or locked.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Longest part of a project's name in a path: a socket's path has at most 107 bytes.
const NAME_IN_PATH_BYTES: usize = 24;

/// The gateway's socket in a run directory, for agents that come by themselves.
pub const SOCKET: &str = "swarm.sock";
/// The lock in a run directory, held for as long as the supervisor lives.
pub const LOCK: &str = "lock";

/// Folder of all run directories of this user.
pub fn run_base() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir()).map_or_else(
        || PathBuf::from(format!("/tmp/rsw-{}", rsw_os::process::uid())),
        |path| path.join("rsw"),
    )
}

/// Name of the run directory of project `name` in `folder`, which is absolute.
pub fn id(name: &str, folder: &Path) -> String {
    let short: String = name.chars().take(NAME_IN_PATH_BYTES).filter(char::is_ascii).collect();
    format!("{short}-{:012x}", hash(name, folder) & 0xffff_ffff_ffff)
}

/// The run directories of swarms of `folder`, whatever their names, ascending. A name of more than 24 characters, or
/// beyond ASCII, is not found this way: then the name has to be given.
pub fn of_folder(folder: &Path) -> Vec<PathBuf> {
    let base = run_base();
    let names = std::fs::read_dir(&base).into_iter().flatten().flatten();
    let mut found: Vec<OsString> = names
        .map(|entry| entry.file_name())
        .filter(|entry| {
            let name = entry.to_str().and_then(|text| text.rsplit_once('-')).map(|parts| parts.0);
            name.is_some_and(|name| *entry == *id(name, folder))
        })
        .collect();
    found.sort();
    found.into_iter().map(|name| base.join(name)).collect()
}

fn hash(name: &str, folder: &Path) -> u64 {
    let bytes =
        name.bytes().chain([0]).chain(folder.as_os_str().as_encoded_bytes().iter().copied());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_folders_and_two_names_never_share_an_id() {
        let one = id("demo", Path::new("/a"));
        assert_eq!(one, id("demo", Path::new("/a")));
        assert_ne!(one, id("demo", Path::new("/b")));
        assert_ne!(one, id("omed", Path::new("/a")));
        assert!(id(&"x".repeat(200), Path::new("/a")).len() < 40);
    }
}
