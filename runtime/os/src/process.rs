//! What can be read about a process, and what this one can set about itself.

use crate::affinity::parse_list;
use crate::pidfd::pid_of;
use crate::{OsError, Signal};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, setrlimit};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// The parts of `/proc/PID/status` that the swarm looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcStatus {
    /// State letter: `R`unning, `S`leeping, `D`isk sleep, s`T`opped, `Z`ombie...
    pub state: char,
    /// Its parent, 0 if that one is not visible.
    pub ppid: u32,
    /// Its real user.
    pub uid: u32,
    /// How many threads it has.
    pub threads: u32,
    /// Resident memory, shared pages included.
    pub rss_bytes: u64,
    /// Memory that is locked, shared pages included.
    pub locked_bytes: u64,
    /// CPUs it may run on (its first thread), ascending.
    pub cpus_allowed: Vec<usize>,
    /// 0 none, 1 strict, 2 filter.
    pub seccomp_mode: u32,
    /// True if no `exec` can ever raise its rights.
    pub no_new_privs: bool,
    /// Its effective capabilities as a bit set.
    pub cap_eff: u64,
    /// The signals that it ignores: bit n - 1 is signal n.
    pub ignored: u64,
}

/// Reads the status of process `pid`; `NotFound` if it is gone.
pub fn status(pid: u32) -> Result<ProcStatus, OsError> {
    let path = format!("/proc/{pid}/status");
    let text = read(&path)?;
    parse_status(&text).ok_or_else(|| unreadable(path))
}

/// When `pid` started, in clock ticks since boot. With [`boot_id`] and the pid it names a process for
/// ever, although pids are used again.
pub fn start_ticks(pid: u32) -> Result<u64, OsError> {
    stat_field(pid, 22)
}

/// The CPU `pid` (its first thread) last ran on.
pub fn cpu_last(pid: u32) -> Result<usize, OsError> {
    stat_field(pid, 39)
}

/// A number of 16 bytes that is new at each boot of the machine.
pub fn boot_id() -> Result<[u8; 16], OsError> {
    let path = "/proc/sys/kernel/random/boot_id";
    let digits: String = read(path)?.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).map_err(|_| unreadable(path))?;
    Ok(number.to_be_bytes())
}

/// The real user of this process.
pub fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// 16 random bytes from the kernel.
pub fn random_id() -> Result<[u8; 16], OsError> {
    let mut id = [0u8; 16];
    let got = rustix::rand::getrandom(&mut id[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| OsError::new("get random bytes from", "the kernel", errno))?;
    // The kernel never gives fewer for so few.
    assert_eq!(got, id.len());
    Ok(id)
}

/// Leaves the terminal and the process group: this process becomes the leader of a session of its own.
pub fn new_session() -> Result<(), OsError> {
    rustix::process::setsid()
        .map(drop)
        .map_err(|errno| OsError::new("leave the session of", "this process", errno))
}

/// One line on stderr. Whether anybody reads it is no business of a process that has other things to do: it may have
/// outlived who started it, and `eprintln!` panics without a reader.
pub fn note(words: impl Display) {
    let _ = std::io::stderr().write_all(format!("{words}\n").as_bytes());
}

/// Lets this process, and those that it starts from now on, open `count` files, or as many as its hard limit allows.
/// Never lowers the limit. Returns what it is now; `None` if there is none.
pub fn raise_open_files(count: u64) -> Result<Option<u64>, OsError> {
    let limits = getrlimit(Resource::Nofile);
    let wanted = limits.maximum.map_or(count, |maximum| count.min(maximum));
    if limits.current.is_none_or(|current| current >= wanted) {
        return Ok(limits.current);
    }
    let raised = Rlimit { current: Some(wanted), ..limits };
    setrlimit(Resource::Nofile, raised)
        .map_err(|errno| OsError::new("raise", "the limit of open files", errno))?;
    Ok(Some(wanted))
}

/// Reads and writes on `fd` (and on every duplicate of it) no longer wait.
pub fn set_nonblocking(fd: impl AsFd) -> Result<(), OsError> {
    let fd = fd.as_fd();
    let fail = |errno| OsError::new("make non-blocking", format!("fd {}", fd.as_raw_fd()), errno);
    let flags = rustix::fs::fcntl_getfl(fd).map_err(fail)?;
    rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK).map_err(fail)
}

/// Bytes of a page on this machine.
pub fn page_bytes() -> usize {
    // Not rustix::param: it asks the system on first use, and panics in a sandbox that does not answer. The C library
    // was told when the process began.
    // SAFETY: a question without side effects that every Linux answers.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// The direct children of `pid`, in no particular order. Racy by nature: a process may end meanwhile.
pub fn children(pid: u32) -> Result<Vec<u32>, OsError> {
    Ok(family()?.remove(&pid).unwrap_or_default())
}

/// Everything below `pid` in the process tree, parents before their children; `pid` itself is not in it.
pub fn descendants(pid: u32) -> Result<Vec<u32>, OsError> {
    let mut family = family()?;
    let mut found = family.remove(&pid).unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        found.extend(family.remove(&found[next]).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// Takes a descriptor that this process was started with, by its number, and keeps it from being inherited
/// further. Each number can be taken once.
pub fn inherited(number: RawFd) -> Result<OwnedFd, OsError> {
    static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());
    let fail = |kind: ErrorKind| {
        OsError::new("take the inherited descriptor", number, std::io::Error::from(kind))
    };
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if number <= 2 || !taken.insert(number) {
        return Err(fail(ErrorKind::AlreadyExists));
    }
    // SAFETY: only looked at: whether the number is open is what `fcntl` answers.
    let seen = unsafe { BorrowedFd::borrow_raw(number) };
    set_inheritable(seen, false)?;
    // SAFETY: the number is open (the call above succeeded), and the set above hands it out only here and only
    // once; nothing of this process opened it, since callers pass the numbers they were started with, first
    // thing in `main`.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets `fd` survive an `exec` of this process, or not.
///
/// Not safe against another thread that spawns at the same moment: its child would inherit it too.
pub fn set_inheritable(fd: impl AsFd, inheritable: bool) -> Result<(), OsError> {
    let fd = fd.as_fd();
    let fail = |errno| {
        OsError::new("set close-on-exec of", format!("descriptor {}", fd.as_raw_fd()), errno)
    };
    let mut flags = rustix::io::fcntl_getfd(fd).map_err(fail)?;
    flags.set(rustix::io::FdFlags::CLOEXEC, !inheritable);
    rustix::io::fcntl_setfd(fd, flags).map_err(fail)
}

/// Has the kernel send `signal` to this process when its parent *thread* ends.
///
/// Three traps: it fires when the spawning thread ends, not the process; a change of uid clears it; it
/// does nothing if the parent is gone already, so compare [`parent_pid`] afterwards.
pub fn set_parent_death_signal(signal: Signal) -> Result<(), OsError> {
    rustix::process::set_parent_process_death_signal(Some(signal.raw()))
        .map_err(|errno| this("set the parent death signal of", errno))
}

/// The parent of this process, 0 if it is not visible from this pid namespace.
pub fn parent_pid() -> u32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// Makes this process the parent of every orphan below it, so that none escapes supervision.
pub fn set_child_subreaper() -> Result<(), OsError> {
    let on = pid_of("become subreaper for", std::process::id())?;
    rustix::process::set_child_subreaper(Some(on))
        .map_err(|errno| this("become subreaper for", errno))
}

/// With `false`, processes of the same uid can neither trace this one nor open its `/proc/PID/mem`, and
/// it dumps no core. Undone by the next `exec`; does not stop root.
pub fn set_dumpable(dumpable: bool) -> Result<(), OsError> {
    let behavior =
        if dumpable { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    rustix::process::set_dumpable_behavior(behavior)
        .map_err(|errno| this("set dumpability of", errno))
}

/// The folder of the running program, where its sisters lie.
pub fn current_exe_folder() -> Result<PathBuf, OsError> {
    let path = std::env::current_exe()
        .map_err(|source| OsError::new("find the program of", "this process", source))?;
    match path.parent() {
        Some(folder) => Ok(folder.to_path_buf()),
        None => Err(unreadable(path.display().to_string())),
    }
}

fn this(operation: &'static str, errno: rustix::io::Errno) -> OsError {
    OsError::new(operation, "this process", errno)
}

fn read(path: &str) -> Result<String, OsError> {
    std::fs::read_to_string(path).map_err(|source| {
        // A process that ends while it is read answers ESRCH; callers know one word for "gone".
        let gone = source.raw_os_error() == Some(libc::ESRCH);
        let source = if gone { ErrorKind::NotFound.into() } else { source };
        OsError::new("read", path, source)
    })
}

fn unreadable(path: impl Into<String>) -> OsError {
    OsError::refused("understand", path.into(), ErrorKind::InvalidData, "unexpected contents")
}

fn parse_status(text: &str) -> Option<ProcStatus> {
    let fields: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once(':')).collect();
    let word = |key: &str| fields.get(key).and_then(|value| value.split_whitespace().next());
    let number = |key: &str| word(key).and_then(|value| value.parse::<u32>().ok());
    Some(ProcStatus {
        state: word("State")?.chars().next()?,
        ppid: number("PPid")?,
        uid: number("Uid")?,
        threads: number("Threads")?,
        // Kernel threads and zombies have no memory and no such line.
        rss_bytes: u64::from(number("VmRSS").unwrap_or(0)) * 1024,
        locked_bytes: u64::from(number("VmLck").unwrap_or(0)) * 1024,
        cpus_allowed: word("Cpus_allowed_list").map(parse_list)?.unwrap_or_default(),
        // Absent when the kernel was built without seccomp.
        seccomp_mode: number("Seccomp").unwrap_or(0),
        no_new_privs: number("NoNewPrivs").unwrap_or(0) == 1,
        cap_eff: u64::from_str_radix(word("CapEff")?, 16).ok()?,
        ignored: u64::from_str_radix(word("SigIgn")?, 16).ok()?,
    })
}

/// Field `number` of `/proc/PID/stat`, counted from 1 as proc(5) does.
fn stat_field<T: FromStr>(pid: u32, number: usize) -> Result<T, OsError> {
    let path = format!("/proc/{pid}/stat");
    let text = read(&path)?;
    parse_stat_field(&text, number).ok_or_else(|| unreadable(path))
}

fn parse_stat_field<T: FromStr>(text: &str, number: usize) -> Option<T> {
    // Field 2 is the command in parentheses and may hold anything, parentheses and blanks included;
    // field 3 starts behind the last one.
    let (_, tail) = text.rsplit_once(')')?;
    tail.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// Children by parent, of every process that is visible now.
fn family() -> Result<HashMap<u32, Vec<u32>>, OsError> {
    let entries =
        std::fs::read_dir("/proc").map_err(|source| OsError::new("read", "/proc", source))?;
    let mut family: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        // A process that ended since the listing is no member any more.
        if let Ok(parent) = stat_field(pid, 4) {
            family.entry(parent).or_default().push(pid);
        }
    }
    Ok(family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn knows_this_process() {
        let pid = std::process::id();
        let status = status(pid).unwrap();
        assert_eq!(status.ppid, parent_pid());
        assert_eq!(status.uid, rustix::process::getuid().as_raw());
        assert!(!status.cpus_allowed.is_empty());
        assert!(status.threads >= 1 && status.rss_bytes > 0);
        assert!(start_ticks(pid).unwrap() > 0);
        assert_eq!(start_ticks(pid).unwrap(), start_ticks(pid).unwrap());
        cpu_last(pid).unwrap();
        assert_ne!(boot_id().unwrap(), [0; 16]);
        assert!(current_exe_folder().unwrap().is_dir());
    }

    #[test]
    fn a_hostile_command_name_does_not_shift_the_fields() {
        let text = "12 (a ) R 1) S 34 5 6 7";
        assert_eq!(parse_stat_field::<u32>(text, 4), Some(34));
        assert_eq!(parse_stat_field::<u32>(text, 2), None);
        assert_eq!(parse_stat_field::<u32>(text, 99), None);
    }

    #[test]
    fn grandchildren_are_found_and_the_gone_are_named() {
        let mut child = Command::new("sh").args(["-c", "sleep 600 & wait"]).spawn().unwrap();
        assert!(children(std::process::id()).unwrap().contains(&child.id()));
        let grandchild = loop {
            if let Some(&pid) = descendants(child.id()).unwrap().first() {
                break pid;
            }
        };
        assert_eq!(status(grandchild).unwrap().ppid, child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(status(child.id()).unwrap_err().kind(), ErrorKind::NotFound);
        let orphan = crate::pidfd::open(grandchild).unwrap();
        crate::pidfd::send_signal(orphan, Signal::Kill).unwrap();
    }

    #[test]
    fn inheritance_is_switched() {
        let fd = crate::memfd::create("inherit", 1).unwrap();
        for inheritable in [true, false] {
            set_inheritable(&fd, inheritable).unwrap();
            let flags = rustix::io::fcntl_getfd(&fd).unwrap();
            assert_eq!(flags.contains(rustix::io::FdFlags::CLOEXEC), !inheritable);
        }
    }
}
