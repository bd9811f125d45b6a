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

    /// The calling thread with every instruction set that this machine has: first what every processor of
    /// the architecture has, last the widest.
    #[cfg(test)]
    pub(crate) fn of_every_kind() -> Vec<Self> {
        let mut kinds = vec![pulp::Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        kinds.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
        if name(pulp::Arch::new()) != kinds.last().map_or("", |simd| name(*simd)) {
            kinds.push(pulp::Arch::new());
        }
        kinds.into_iter().map(|simd| Self { simd, ..Self::single().unwrap() }).collect()
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

#[cfg(test)]
mod tests {
    use rsw_config::Boundary;

    use super::*;
    use crate::energy::EnergyMeter;
    use crate::feedback::Feedback;
    use crate::grid::Grid;
    use crate::metrics::meter::tests::noise;
    use crate::real::Real;
    use crate::source::Feeds;
    use crate::wave::{Medium, Tiling, Wave};

    /// Both levels of a wave, its energy and its largest |u|, as bits.
    fn end<T: Real>(dy: f64, medium: Medium, tiling: Tiling, workers: &Workers) -> Vec<u64> {
        let grid = Grid::new(77, 59, 1.0, dy).unwrap();
        let u0: Vec<T> =
            noise(grid.cells(), 5).into_iter().map(|u| T::from_f64(f64::from(u))).collect();
        let rest = vec![T::default(); grid.cells()];
        let mut wave = Wave::new(grid, medium).unwrap();
        wave.start(&u0, &rest, &rest);
        wave.tile(tiling, 23, workers);
        wave.advance(workers, &Feeds::silent(grid.ny), 23);
        let energy = EnergyMeter::new(grid.ny).measure(&wave, workers);
        let levels = wave.u().iter().chain(wave.previous()).map(|u| u.to_f64());
        levels.chain([energy, wave.magnitude(workers)]).map(f64::to_bits).collect()
    }

    /// Every form of the scheme, in either precision, in tiles and without. (The meter: `metrics/meter/tests.rs`.)
    #[test]
    fn vector_instructions_change_no_bit_of_a_wave() {
        let kinds = Workers::of_every_kind();
        let names: Vec<&str> = kinds.iter().map(Workers::instructions).collect();
        assert_eq!((names[0], names[names.len() - 1]), ("baseline", Workers::widest()));
        for feedback in [Feedback::None, Feedback::SineGordon { strength: 0.3 }] {
            for boundary in [Boundary::Periodic, Boundary::EngquistMajda, Boundary::Sponge] {
                for (dy, tiling) in
                    [1.0, 1.3].map(|dy| [Tiling::Off, Tiling::Depth(6)].map(|t| (dy, t))).concat()
                {
                    let (dt, damping) = (0.6, 0.05);
                    let (sponge_width, sponge_damping) = (9, 0.5);
                    let medium = Medium {
                        speed: 1.0,
                        dt,
                        damping,
                        boundary,
                        sponge_width,
                        sponge_damping,
                        feedback,
                    };
                    let run = |kind: &Workers| {
                        (end::<f32>(dy, medium, tiling, kind), end::<f64>(dy, medium, tiling, kind))
                    };
                    let plain = run(&kinds[0]);
                    for kind in &kinds[1..] {
                        assert!(
                            run(kind) == plain,
                            "{} {medium:?} {dy} {tiling:?}",
                            kind.instructions()
                        );
                    }
                }
            }
        }
    }
}
