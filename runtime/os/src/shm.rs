//! Room left for shared memory: in a file system, and in the machine or its control group.

use crate::OsError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Bytes an unprivileged process may still write under `path`.
pub fn free_bytes(path: &Path) -> Result<u64, OsError> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|errno| OsError::new("read the free space of", path.display(), errno))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of memory this process can still have without anybody being killed for it: what the kernel
/// calls available, or less if a control group (v1 or v2) of this process allows less.
pub fn available_memory_bytes() -> Result<u64, OsError> {
    let path = "/proc/meminfo";
    let text =
        std::fs::read_to_string(path).map_err(|source| OsError::new("read", path, source))?;
    let machine_bytes = parse_available(&text).ok_or_else(|| {
        OsError::refused("understand", path, ErrorKind::InvalidData, "no line MemAvailable")
    })?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group_bytes = groups.lines().filter_map(group_room_bytes).min();
    Ok(group_bytes.map_or(machine_bytes, |bytes| bytes.min(machine_bytes)))
}

fn parse_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

/// The least room in the control group of one line of `/proc/self/cgroup` and in those above it, if
/// the line is about memory and a limit can be read. Inside a container the path may name what is not
/// mounted; then the root of the mount is the container's own group.
fn group_room_bytes(line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (hierarchy, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
    let (mount, limit, usage) = if hierarchy == "0" {
        ("/sys/fs/cgroup", "memory.max", "memory.current")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
    } else {
        return None;
    };
    // An unlimited v2 group says "max", which is no number and so no limit.
    let number = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    Path::new(group)
        .ancestors()
        .map(|group| Path::new(mount).join(group.strip_prefix("/").unwrap_or(group)))
        .filter_map(|folder| {
            let limit_bytes = number(folder.join(limit))?;
            let usage_bytes = number(folder.join(usage))?;
            // Usage counts cached files too; the inactive ones are given up before anybody is killed.
            let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let cached_bytes = stat
                .lines()
                .find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok())
                .unwrap_or(0);
            Some(limit_bytes.saturating_sub(usage_bytes.saturating_sub(cached_bytes)))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn counts_bytes_and_names_what_is_missing() {
        assert!(super::free_bytes(Path::new("/dev/shm")).unwrap() > 0);
        let error = super::free_bytes(Path::new("/no/such/place")).unwrap_err();
        assert!(error.to_string().contains("/no/such/place"), "{error}");
    }

    #[test]
    fn available_memory_is_read_from_the_kernel() {
        assert!(super::available_memory_bytes().unwrap() > 0);
        let text = "MemTotal:  9 kB\nMemAvailable:   1024 kB\n";
        assert_eq!(super::parse_available(text), Some(1 << 20));
        assert_eq!(super::parse_available("MemTotal: 9 kB"), None);
        assert_eq!(super::group_room_bytes("3:cpuset:/"), None);
        assert_eq!(super::group_room_bytes("junk"), None);
    }
}
