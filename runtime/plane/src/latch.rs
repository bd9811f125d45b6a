//! A two-copy latch: one writer, any number of readers, always one complete copy.
//!
//! # Layout
//!
//! ```text
//! word 0        1..=W           W+1..=2W
//!      sequence copy 0 (W words) copy 1 (W words)
//! ```
//!
//! # States
//!
//! `sequence = v`: copy `v & 1` is complete; the other one may be in the making for `v + 1`.
//!
//! # Invariants
//!
//! - I1: the writer never stores to copy `v & 1` while `sequence` is `v`.
//! - I2: a value is returned only if `sequence` was the same before and after the copy.
//!
//! # Ordering
//!
//! | store | load | what becomes visible |
//! |---|---|---|
//! | W1: `sequence = v`, release | R1: `sequence`, acquire | all of copy `v & 1` |
//! | W0: fence(release) before the stores to copy `(v+1) & 1` | R2: fence(acquire) after the copy | if the copy saw a store for `v + 1`, the second load sees at least `v`, which is not the `v - 1` that the reader began with |
//!
//! # Death
//!
//! | writer dies | readers see | who repairs |
//! |---|---|---|
//! | among the stores to the hidden copy | `v`, complete | nobody: the next plane is fresh |
//! | after W1 | `v + 1`, complete | nobody |
//!
//! # Limits
//!
//! `sequence` would have to wrap (2^64 writes) within one read to be mistaken. A reader that is outrun
//! [`RETRIES_MAX`] times gives up: bounded, never a spin.
//!
//! # Checked by
//!
//! `latch::tests`; `models`: `latch_is_whole`, and each ordering taken away. Death: `points/tests/death.rs`,
//! `tests/death.rs`. A race each time: `a_cell_written_twice_during_a_copy_is_read_again`.

use crate::sync::{AtomicU64, Ordering, acquire, fence, point, release};

/// Tries before a reader gives up; one try fails only if a whole write happened during a copy of a few words.
pub const RETRIES_MAX: u32 = 64;

/// Writes `copy` as the next value of the cell that lies in `words`.
#[inline]
pub(crate) fn write<const W: usize>(words: &[AtomicU64], copy: &[u64; W]) {
    let next = words[0].load(Ordering::Relaxed).wrapping_add(1);
    let hidden = 1 + (next & 1) as usize * W;
    fence("latch.W0", Ordering::Release);
    for (word, value) in words[hidden..hidden + W].iter().zip(copy) {
        word.store(*value, Ordering::Relaxed);
        point("latch.body");
    }
    words[0].store(next, release("latch.W1"));
    point("latch.W1");
}

/// Reads a complete value and the number of writes that made it, or `None` if the writer outran every try.
#[inline]
pub(crate) fn read<const W: usize>(words: &[AtomicU64]) -> Option<(u64, [u64; W])> {
    for _ in 0..RETRIES_MAX {
        let before = words[0].load(acquire("latch.R1"));
        let visible = 1 + (before & 1) as usize * W;
        let copy = &words[visible..visible + W];
        let out = core::array::from_fn(|at| copy[at].load(Ordering::Relaxed));
        point("latch.copied");
        fence("latch.R2", Ordering::Acquire);
        if words[0].load(Ordering::Relaxed) == before {
            return Some((before, out));
        }
        core::hint::spin_loop();
    }
    None
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::RwRegion;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    #[test]
    fn readers_never_see_two_writes_mixed() {
        let cell = RwRegion::heap(16);
        let reader = cell.read_only();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = 0;
                while !stop.load(Relaxed) {
                    if let Some((sequence, [a, b, c])) = read::<3>(reader.words()) {
                        assert!(a == b && b == c, "torn: {a} {b} {c}");
                        assert!(sequence >= last);
                        last = sequence;
                    }
                }
            });
            for value in 1..200_000u64 {
                write(cell.words(), &[value; 3]);
            }
            stop.store(true, Relaxed);
        });
        assert_eq!(read::<3>(reader.words()), Some((199_999, [199_999; 3])));
    }

    #[test]
    fn a_half_written_copy_stays_hidden() {
        let cell = RwRegion::heap(16);
        write(cell.words(), &[7u64; 3]);
        // The writer dies after one store to the hidden copy of the next write.
        cell.words()[1].store(99, Ordering::Relaxed);
        assert_eq!(read::<3>(cell.words()), Some((1, [7; 3])));
    }
}
