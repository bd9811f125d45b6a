//! A second process on a core of its own, and patience with it.
//!
//! The process is forked, so that it shares what was mapped before, as two programs would that were given the
//! same descriptors. This program has a single thread whenever it forks.

use std::io::{Read, Write};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};

use crate::Failure;

/// Longest time that one side waits for the other to do anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Zeroed words that a process forked later shares.
pub(crate) struct SharedWords(MmapRaw);

impl SharedWords {
    /// A fresh page of them.
    pub(crate) fn page() -> Result<Self, Failure> {
        Self::new(4096)
    }

    /// Fresh ones, whole pages.
    pub(crate) fn new(bytes: usize) -> Result<Self, Failure> {
        let file = rsw_os::memfd::create("rsw-bench", bytes as u64)?;
        Ok(Self(MmapOptions::new().len(bytes).populate().map_raw(&file)?))
    }

    /// Its words.
    #[inline(always)]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let first = self.0.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY: pages are aligned, mapped writable for as long as `self` lives, and only ever accessed atomically.
        unsafe { core::slice::from_raw_parts(first, self.0.len() / 8) }
    }
}

/// A process that works for us; killed if it is dropped before it ended.
pub(crate) struct Peer {
    pid: libc::pid_t,
    results: std::io::PipeReader,
}

/// Runs `work` in a process pinned to `cpu`; what it returns comes back by [`Peer::join`].
pub(crate) fn spawn(cpu: usize, work: impl FnOnce() -> Vec<u64>) -> Result<Peer, Failure> {
    let (results, mut answer) = std::io::pipe()?;
    // SAFETY: this program has one thread here, so the child finds every lock free and every state whole.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(std::io::Error::last_os_error().into()),
        0 => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                rsw_os::process::set_parent_death_signal(rsw_os::Signal::Kill)?;
                pin(&[cpu])?;
                let words = work();
                answer.write_all(bytemuck::cast_slice(&words))?;
                Ok::<_, Failure>(())
            }));
            if let Ok(Err(error)) = &done {
                eprintln!("on core {cpu}: {error}");
            }
            let code = if matches!(done, Ok(Ok(()))) { 0 } else { 1 };
            // SAFETY: ends the child at once; destructors and buffers belong to the parent.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(Peer { pid, results }),
    }
}

/// Binds the calling thread to these cores, whatever it was bound to before.
pub(crate) fn pin(cores: &[usize]) -> Result<(), Failure> {
    let mut set = rustix::thread::CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| format!("cores {cores:?} cannot be used: {error}"))?;
    Ok(())
}

impl Peer {
    /// What the process returned, once it ended.
    pub(crate) fn join(mut self) -> Result<Vec<u64>, Failure> {
        let mut bytes = Vec::new();
        self.results.read_to_end(&mut bytes)?;
        match self.wait() {
            0 => Ok(bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()),
            status => {
                Err(format!("the process on the other core failed (wait status {status})").into())
            }
        }
    }

    fn wait(&mut self) -> i32 {
        let mut status = -1;
        // SAFETY: a child of ours that nobody else waits for, and a place for its status.
        unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        self.pid = 0;
        status
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.pid > 0 {
            // SAFETY: the child was not waited for, so the number is still its own.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            self.wait();
        }
    }
}

/// Counts looks; now and then looks at the clock, and gives up in the end.
pub(crate) struct Patience {
    looks: u32,
    since: Option<Instant>,
}

impl Patience {
    /// Nothing was waited for yet.
    pub(crate) const fn new() -> Self {
        Self { looks: 0, since: None }
    }

    /// One more look in vain. Panics, and so ends the process, when the other side did nothing for too long.
    #[inline(always)]
    pub(crate) fn look(&mut self) {
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(1 << 24) {
            self.reckon();
        }
    }

    #[cold]
    fn reckon(&mut self) {
        let since = *self.since.get_or_insert_with(Instant::now);
        assert!(since.elapsed() < PATIENCE, "the other core did nothing for {PATIENCE:?}");
    }
}
