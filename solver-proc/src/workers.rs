//! Who does the work: the calling thread, or a thread pool over strips of rows.
//!
//! The field is cut into strips whose borders depend on its size alone, never on the number of
//! threads, and no strip reads what another writes: the result has the same bits on 1, 2 or n threads.

use std::ops::Range;
use std::sync::Arc;

use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};

/// Most strips a field is cut into.
pub const STRIPS_MAX: usize = 16;
/// Fewest rows in a strip: a metric window re-reads its halo in each.
const STRIP_ROWS_MIN: usize = 64;

/// A thread pool, and the widest vector instructions of this machine.
///
/// The instruction set never changes a bit of the result: every operation is done cell by cell in a
/// fixed order, and what is fused (in the metrics) is written so and fused everywhere.
pub struct Workers {
    pool: Arc<ThreadPool>,
    simd: pulp::Arch,
}

impl Workers {
    /// Workers on `pool`; with a single thread in it, everything runs on the calling thread.
    pub fn new(pool: Arc<ThreadPool>) -> Self {
        Self { pool, simd: pulp::Arch::new() }
    }

    /// Workers on the calling thread alone.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn single() -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        Ok(Self::new(Arc::new(pool)))
    }

    /// The calling thread, with the instructions that every processor of the architecture has.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        let single = Self::single().unwrap();
        Self { simd: pulp::Arch::Scalar, ..single }
    }

    /// Runs `work` where handing strips to the pool is cheapest: inside the pool, if it has several threads.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if self.alone() { work() } else { self.pool.install(work) }
    }

    /// The same pool and instructions.
    pub(crate) fn share(&self) -> Self {
        Self { pool: Arc::clone(&self.pool), simd: self.simd }
    }

    /// Runs `work` on every job; `jobs` yields at most [`STRIPS_MAX`]. Allocates nothing.
    ///
    /// `work`, and what it calls, must be `#[inline(always)]`: what is not inlined here is compiled
    /// for the oldest processor of the architecture.
    pub(crate) fn each<T: Send>(
        &self,
        mut jobs: impl Iterator<Item = T>,
        work: impl Fn(T) + Sync + Send,
    ) {
        if self.alone() {
            return jobs.for_each(|job| {
                self.vectorised(
                    #[inline(always)]
                    || work(job),
                )
            });
        }
        let mut slots: [Option<T>; STRIPS_MAX] = std::array::from_fn(|_| jobs.next());
        debug_assert!(jobs.next().is_none(), "more jobs than strips");
        let count = slots.iter().take_while(|slot| slot.is_some()).count();
        self.pool.install(|| {
            // Every job by itself: rayon would cut two jobs, or sixteen places with two jobs in them, once or twice, and
            // leave all work to one thread.
            slots[..count].par_iter_mut().with_max_len(1).for_each(|slot| {
                if let Some(job) = slot.take() {
                    self.vectorised(
                        #[inline(always)]
                        || work(job),
                    );
                }
            });
        });
    }

    /// Runs `work` compiled for the widest vector instructions of this machine.
    #[inline(always)]
    pub(crate) fn vectorised<R>(&self, work: impl FnOnce() -> R) -> R {
        self.simd.dispatch(work)
    }

    /// Threads that share the work.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The vector instructions in use: `avx512`, `avx2`, or `baseline`, what every processor of the
    /// architecture has.
    pub fn instructions(&self) -> &'static str {
        name(self.simd)
    }

    /// The vector instructions that workers use on this machine, named as by [`Workers::instructions`].
    pub fn widest() -> &'static str {
        name(pulp::Arch::new())
    }

    /// The vector instructions, for work that names them.
    #[inline(always)]
    pub(crate) fn arch(&self) -> pulp::Arch {
        self.simd
    }

    fn alone(&self) -> bool {
        self.threads() == 1
    }
}

fn name(simd: pulp::Arch) -> &'static str {
    match simd {
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V4(_) => "avx512",
        #[cfg(target_arch = "x86_64")]
        pulp::Arch::V3(_) => "avx2",
        _ => "baseline",
    }
}

/// Rows in a strip of a field with `ny` rows.
pub(crate) fn strip_rows(ny: usize) -> usize {
    ny.div_ceil(STRIPS_MAX).max(STRIP_ROWS_MIN)
}

/// The strips of a field with `ny` rows.
pub(crate) fn strips(ny: usize) -> impl Iterator<Item = Range<usize>> {
    let rows = strip_rows(ny);
    (0..ny.div_ceil(rows)).map(move |k| k * rows..((k + 1) * rows).min(ny))
}
