//! The system calls that confined processes keep, each with who needs it.
//!
//! "Everybody" below means: Rust's standard library, glibc and CPython, at start or in ordinary use.
//! What is not listed answers EPERM, so that libraries take their fallback instead of dying. Left out on
//! purpose, and tested to be: sockets to anywhere, processes, signals and limits of others, tracing,
//! foreign memory, namespaces, mounts, keys, io_uring, bpf, perf, userfaultfd, memory files (they would
//! escape every limit), `mbind` (it moves the plane between memory nodes), `flock`, `chmod` by name.

use crate::policy::Profile;
use libc::c_long;

/// Who needs a group of system calls, and the calls.
pub(crate) type Group = (&'static str, &'static [c_long]);

/// The calls that `profile` may make with any arguments.
pub(crate) fn unconditional(profile: Profile) -> Vec<Group> {
    let mut groups: Vec<Group> = COMMON.to_vec();
    groups.extend_from_slice(ARCHITECTURE);
    if profile == Profile::Sandboxed {
        groups.extend_from_slice(WRITERS);
        groups.extend_from_slice(ARCHITECTURE_WRITERS);
    }
    groups
}

const COMMON: &[Group] = &[
    ("the launcher: becoming the program; later ones are limited by Landlock", &[libc::SYS_execve]),
    (
        "everybody: memory of their own, and mapping the plane (the seal forbids writing it)",
        &[
            libc::SYS_brk,
            libc::SYS_mmap,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_mprotect,
            libc::SYS_madvise,
        ],
    ),
    (
        "everybody: threads; clone itself is limited to threads in the filter",
        &[
            libc::SYS_set_tid_address,
            libc::SYS_set_robust_list,
            libc::SYS_get_robust_list,
            libc::SYS_rseq,
            libc::SYS_gettid,
            libc::SYS_exit,
            libc::SYS_exit_group,
            libc::SYS_sched_yield,
            libc::SYS_membarrier,
        ],
    ),
    (
        "Rust and C: how many CPUs there are, which one this is, the attributes of a new thread",
        &[
            libc::SYS_sched_getaffinity,
            libc::SYS_sched_getparam,
            libc::SYS_sched_getscheduler,
            libc::SYS_sched_get_priority_max,
            libc::SYS_sched_get_priority_min,
            libc::SYS_getcpu,
        ],
    ),
    (
        "everybody: handlers of their own signals, the stack-overflow guard of Rust",
        &[
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_rt_sigpending,
            libc::SYS_rt_sigsuspend,
            libc::SYS_rt_sigtimedwait,
            libc::SYS_sigaltstack,
            libc::SYS_restart_syscall,
        ],
    ),
    (
        "everybody: time and sleep; the clocks themselves are read without a call",
        &[
            libc::SYS_clock_gettime,
            libc::SYS_clock_getres,
            libc::SYS_clock_nanosleep,
            libc::SYS_nanosleep,
            libc::SYS_gettimeofday,
            libc::SYS_times,
            libc::SYS_getrusage,
        ],
    ),
    (
        "everybody: who am I; iceoryx2 names its files by pid and user",
        &[
            libc::SYS_getpid,
            libc::SYS_getppid,
            libc::SYS_getuid,
            libc::SYS_geteuid,
            libc::SYS_getgid,
            libc::SYS_getegid,
            libc::SYS_getgroups,
            libc::SYS_getpgid,
            libc::SYS_getsid,
            libc::SYS_uname,
            libc::SYS_sysinfo,
            libc::SYS_getcwd,
            libc::SYS_capget,
        ],
    ),
    ("hash maps of Rust and Python; ids of iceoryx2", &[libc::SYS_getrandom]),
    (
        "everybody: reading and writing through descriptors they hold",
        &[
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_readv,
            libc::SYS_writev,
            libc::SYS_pread64,
            libc::SYS_pwrite64,
            libc::SYS_preadv,
            libc::SYS_pwritev,
            libc::SYS_lseek,
            libc::SYS_close,
            libc::SYS_close_range,
            libc::SYS_dup,
            libc::SYS_dup3,
            libc::SYS_pipe2,
        ],
    ),
    (
        "the dynamic loader, CPython, iceoryx2: looking at files; opening them is below or in the filter",
        &[
            libc::SYS_fstat,
            libc::SYS_newfstatat,
            libc::SYS_statx,
            libc::SYS_statfs,
            libc::SYS_fstatfs,
            libc::SYS_faccessat,
            libc::SYS_faccessat2,
            libc::SYS_readlinkat,
            libc::SYS_getdents64,
            libc::SYS_fadvise64,
        ],
    ),
    (
        "the attach library, event loops: waiting for descriptors",
        &[
            libc::SYS_ppoll,
            libc::SYS_pselect6,
            libc::SYS_epoll_create1,
            libc::SYS_epoll_ctl,
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_pwait2,
            libc::SYS_eventfd2,
            libc::SYS_timerfd_create,
            libc::SYS_timerfd_settime,
            libc::SYS_timerfd_gettime,
        ],
    ),
    (
        "the attach library: the socket it inherits; sendto is limited in the filter",
        &[
            libc::SYS_sendmsg,
            libc::SYS_recvmsg,
            libc::SYS_recvfrom,
            libc::SYS_shutdown,
            libc::SYS_getsockopt,
            libc::SYS_getsockname,
            libc::SYS_getpeername,
        ],
    ),
];

const WRITERS: &[Group] = &[(
    "iceoryx2: making and changing its bookkeeping files; Landlock limits which",
    &[
        libc::SYS_openat,
        libc::SYS_ftruncate,
        libc::SYS_mkdirat,
        libc::SYS_unlinkat,
        libc::SYS_renameat2,
        libc::SYS_umask,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
    ],
)];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: &[Group] = &[
    ("glibc: thread-local storage", &[libc::SYS_arch_prctl]),
    (
        "C libraries and programs that use the older names of the calls above",
        &[
            libc::SYS_stat,
            libc::SYS_lstat,
            libc::SYS_access,
            libc::SYS_readlink,
            libc::SYS_getdents,
            libc::SYS_poll,
            libc::SYS_select,
            libc::SYS_epoll_create,
            libc::SYS_epoll_wait,
            libc::SYS_eventfd,
            libc::SYS_pipe,
            libc::SYS_dup2,
            libc::SYS_time,
            libc::SYS_getpgrp,
            libc::SYS_getrlimit,
            libc::SYS_pause,
        ],
    ),
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE_WRITERS: &[Group] = &[(
    "iceoryx2: the older names of the calls above",
    &[
        libc::SYS_open,
        libc::SYS_mkdir,
        libc::SYS_rmdir,
        libc::SYS_unlink,
        libc::SYS_rename,
        libc::SYS_renameat,
    ],
)];

#[cfg(not(target_arch = "x86_64"))]
const ARCHITECTURE: &[Group] = &[];

#[cfg(not(target_arch = "x86_64"))]
const ARCHITECTURE_WRITERS: &[Group] = &[];
