//! The system call filter: the list of [`crate::syscalls`], and what is allowed with some arguments only.

use crate::policy::Profile;
use crate::syscalls;
use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// This processor has no filter compiler, or a rule is malformed.
    #[error("cannot build the system call filter: {0}")]
    Build(#[from] BackendError),
    /// The kernel refused it.
    #[error(
        "cannot install the system call filter: {0}; needs a kernel with CONFIG_SECCOMP_FILTER"
    )]
    Install(#[from] seccompiler::Error),
}

/// Confines this thread, and what it becomes, for good; returns how many calls are allowed.
///
/// Another architecture's calls (32-bit ones on a 64-bit machine) kill; x32 calls have numbers of their
/// own, which are on no list.
pub(crate) fn install(profile: Profile) -> Result<usize, FilterError> {
    let rules = rules(profile, std::process::id())?;
    let count = rules.len();
    let allowed = compile(rules, errno(libc::EPERM), SeccompAction::Allow)?;
    // The flags of clone3 lie behind a pointer, which no filter can follow. ENOSYS, and only that, makes
    // the C library fall back to clone. The list allows it, so that this second filter alone decides.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let fallback = compile(clone3, SeccompAction::Allow, errno(libc::ENOSYS))?;
    seccompiler::apply_filter(&fallback)?;
    seccompiler::apply_filter(&allowed)?;
    Ok(count)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules(profile: Profile, pid: u32) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    for (_who, calls) in syscalls::unconditional(profile) {
        rules.extend(calls.iter().map(|&call| (call, Vec::new())));
    }
    rules.insert(libc::SYS_clone3, Vec::new());
    for (call, alternatives) in conditional(profile, pid) {
        // An empty list would mean "always" to the compiler and "never" to the reader.
        debug_assert!(!alternatives.is_empty());
        let chain: Result<_, _> = alternatives.iter().map(|tests| rule(tests)).collect();
        rules.insert(call, chain?);
    }
    Ok(rules)
}

/// Passes if the argument with this index, cut to the bits of `mask`, is `value`.
#[derive(Debug, Clone, Copy)]
struct Test {
    argument: u8,
    mask: u64,
    value: u64,
}

/// Arguments of type `int`: the kernel ignores the upper half of the register, so the filter must too.
const INT: u64 = 0xffff_ffff;

/// The calls that are allowed if all tests of one of their alternatives pass.
fn conditional(profile: Profile, pid: u32) -> Vec<(c_long, Vec<Vec<Test>>)> {
    let own_pid = || vec![is(0, u64::from(pid))];
    let caller = || vec![is(0, 0)];
    let mut calls = vec![
        // Threads, never processes, never namespaces.
        (libc::SYS_clone, vec![vec![masked(0, THREAD | NAMESPACES, THREAD)]]),
        (libc::SYS_futex, futex()),
        // abort() and raise(); the pid stays the same across exec.
        (libc::SYS_kill, vec![own_pid()]),
        (libc::SYS_tgkill, vec![own_pid()]),
        // Reading and lowering limits of their own.
        (libc::SYS_prlimit64, vec![caller(), own_pid()]),
        (libc::SYS_sched_setaffinity, vec![caller(), own_pid()]),
        (libc::SYS_ioctl, any_of(1, &IOCTLS)),
        (libc::SYS_prctl, any_of(0, &PRCTLS)),
        (libc::SYS_fcntl, any_of(1, &FCNTLS)),
        // With an address it could reach datagram sockets of others. The address that sendmsg can carry
        // is ignored or refused on the connected sockets, the only kind that exists in here.
        (libc::SYS_sendto, vec![vec![masked(4, u64::MAX, 0)]]),
        // Self-pipes of signal handlers and event loops (signal-hook, asyncio); no datagrams, see above.
        (libc::SYS_socketpair, socket_pairs()),
        // Blocking reads with a limit (Rust's set_read_timeout).
        (libc::SYS_setsockopt, socket_options()),
    ];
    match profile {
        // iceoryx2 creates a file write-only and opens it up when it is complete; 0750 is its folder.
        Profile::Sandboxed => {
            calls.push((libc::SYS_fchmod, any_of(1, &[0o200, 0o400, 0o600, 0o750])));
        }
        // Reading only: the dynamic loader, CPython.
        _ => {
            calls.push((libc::SYS_openat, vec![vec![masked(2, OPEN_TO_WRITE, 0)]]));
            #[cfg(target_arch = "x86_64")]
            calls.push((libc::SYS_open, vec![vec![masked(1, OPEN_TO_WRITE, 0)]]));
        }
    }
    calls
}

const THREAD: u64 = libc::CLONE_THREAD as u64;

const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

const OPEN_TO_WRITE: u64 =
    (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND) as u64;

/// isatty() and window size of every runtime; what Rust sets on descriptors.
const IOCTLS: [u64; 6] =
    [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONBIO, libc::FIONREAD, libc::FIOCLEX, libc::FIONCLEX];

/// Names of threads and of heap areas (glibc), timer precision, and reading what is in force. Not
/// PR_SET_PDEATHSIG: a process must not outlive its supervisor by its own wish.
const PRCTLS: [u64; 7] = [
    libc::PR_SET_NAME as u64,
    libc::PR_GET_NAME as u64,
    libc::PR_SET_VMA as u64,
    libc::PR_SET_TIMERSLACK as u64,
    libc::PR_GET_DUMPABLE as u64,
    libc::PR_SET_NO_NEW_PRIVS as u64,
    libc::PR_GET_NO_NEW_PRIVS as u64,
];

/// Descriptor flags, record locks (iceoryx2 tells the living from the dead by them), reading seals. Not
/// F_SETOWN or F_SETSIG, which send signals, nor F_SETLEASE and F_NOTIFY, which hold others up.
const FCNTLS: [u64; 13] = [
    libc::F_DUPFD as u64,
    libc::F_DUPFD_CLOEXEC as u64,
    libc::F_GETFD as u64,
    libc::F_SETFD as u64,
    libc::F_GETFL as u64,
    libc::F_SETFL as u64,
    libc::F_GETLK as u64,
    libc::F_SETLK as u64,
    libc::F_SETLKW as u64,
    libc::F_OFD_GETLK as u64,
    libc::F_OFD_SETLK as u64,
    libc::F_OFD_SETLKW as u64,
    libc::F_GET_SEALS as u64,
];

/// Anything on words of this process only; on shared words nothing but sleeping. A reader that may
/// requeue steals wake-ups of others from a read-only mapping, and one that may wake can hide them.
fn futex() -> Vec<Vec<Test>> {
    const PRIVATE: u64 = libc::FUTEX_PRIVATE_FLAG as u64;
    const OPERATION: u64 = INT & !(libc::FUTEX_CLOCK_REALTIME as u64);
    vec![
        vec![masked(1, PRIVATE, PRIVATE)],
        vec![masked(1, OPERATION, libc::FUTEX_WAIT as u64)],
        vec![masked(1, OPERATION, libc::FUTEX_WAIT_BITSET as u64)],
    ]
}

fn socket_pairs() -> Vec<Vec<Test>> {
    const TYPE: u64 = 0xf;
    [libc::SOCK_STREAM, libc::SOCK_SEQPACKET]
        .map(|kind| vec![is(0, libc::AF_UNIX as u64), masked(1, TYPE, kind as u64)])
        .to_vec()
}

fn socket_options() -> Vec<Vec<Test>> {
    [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO]
        .map(|option| vec![is(1, libc::SOL_SOCKET as u64), is(2, option as u64)])
        .to_vec()
}

fn is(argument: u8, value: u64) -> Test {
    masked(argument, INT, value)
}

fn masked(argument: u8, mask: u64, value: u64) -> Test {
    Test { argument, mask, value }
}

fn any_of(argument: u8, values: &[u64]) -> Vec<Vec<Test>> {
    values.iter().map(|&value| vec![is(argument, value)]).collect()
}

fn rule(tests: &[Test]) -> Result<SeccompRule, BackendError> {
    let conditions: Result<_, _> = tests
        .iter()
        .map(|test| {
            let compare = SeccompCmpOp::MaskedEq(test.mask);
            SeccompCondition::new(test.argument, SeccompCmpArgLen::Qword, compare, test.value)
        })
        .collect();
    SeccompRule::new(conditions?)
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let target = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, matched, target)?.try_into()
}

fn errno(number: i32) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_profiles_compile_within_the_kernels_limit() {
        for profile in [Profile::Sandboxed, Profile::Strict] {
            let rules = rules(profile, 1234).unwrap();
            let program = compile(rules, errno(libc::EPERM), SeccompAction::Allow).unwrap();
            assert!(program.len() < 4096, "{}", program.len());
        }
    }

    #[test]
    fn no_call_is_listed_both_ways_or_twice() {
        for profile in [Profile::Sandboxed, Profile::Strict] {
            let mut seen = std::collections::BTreeSet::new();
            let always = syscalls::unconditional(profile);
            let always = always.iter().flat_map(|(_, calls)| calls.iter().copied());
            let sometimes = conditional(profile, 1).into_iter().map(|(call, _)| call);
            for call in always.chain(sometimes) {
                assert!(seen.insert(call), "system call {call} is listed twice");
            }
        }
    }
}
