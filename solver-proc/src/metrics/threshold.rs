//! The threshold of the set that is counted in boxes: a fixed magnitude, or a quantile of |u|.
//!
//! The quantile P of N cells is the order statistic of rank `floor(P N)` (from 0, at most N-1), so
//! that of N different magnitudes exactly a share 1-P is at or above it. It is found exactly, by
//! counting cells above a few bit patterns at a time (a histogram with moving bins): bit patterns of
//! magnitudes are integers in the same order. The last threshold is only where the search begins.

use std::str::FromStr;

use thiserror::Error;

use super::bits::magnitude_bits;
use crate::workers::{STRIPS_MAX, Workers, strip_rows};

/// Bit patterns compared in one pass.
const PROBES: usize = 4;
/// Cells that are sorted out one by one instead of by another pass.
const GATHER_MAX: usize = 2048;
/// Cells looked at together for one to gather.
const BLOCK: usize = 64;
/// First probes around the last threshold, in units of its last place: about 0.8 % and 6 %.
const NEAR: u32 = 1 << 16;
const FAR: u32 = 1 << 19;

/// Which cells belong to the set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// Those with |u| at or above this.
    Fixed(f32),
    /// Those at or above this quantile of |u|.
    Quantile(f64),
}

/// Why a threshold was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "threshold \"{0}\" is unusable: write a magnitude of at least 0, or q:P with P from 0 to 1"
)]
pub struct ThresholdError(pub String);

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let refused = || ThresholdError(text.to_owned());
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| refused());
        match text.trim().strip_prefix("q:") {
            Some(share) => {
                let share = number(share)?;
                (0.0..=1.0).contains(&share).then_some(Self::Quantile(share)).ok_or_else(refused)
            }
            None => {
                let level = number(text)?;
                let usable = level >= 0.0 && level.is_finite();
                usable.then_some(Self::Fixed(level as f32)).ok_or_else(refused)
            }
        }
    }
}

/// Finds quantiles without allocating.
pub struct Selector {
    nx: usize,
    ny: usize,
    last: u32,
    gathered: Vec<u32>,
}

/// The bit pattern looked for is at least `low` and below `high`; so many cells are at or above each.
struct Bracket {
    low: u32,
    high: u32,
    above_low: u64,
    above_high: u64,
}

impl Selector {
    /// A selector for fields of `nx` x `ny` cells.
    pub fn new(nx: usize, ny: usize) -> Self {
        Self { nx, ny, last: 0, gathered: Vec::with_capacity(GATHER_MAX) }
    }

    /// The quantile `share` of |u|.
    pub fn quantile(&mut self, field: &[f32], share: f64, workers: &Workers) -> f32 {
        let count = field.len() as u64;
        let rank = ((share * count as f64) as u64).min(count - 1);
        // sorted[rank] is the largest pattern that at least this many cells reach.
        let wanted = count - rank;
        let mut at = Bracket { low: 0, high: 0x8000_0000, above_low: count, above_high: 0 };
        let (below, beyond) = (self.last.saturating_sub(FAR), self.last.saturating_add(FAR));
        let near = [self.last.saturating_sub(NEAR), self.last.saturating_add(NEAR)];
        let mut probes = [below, near[0], near[1], beyond];
        while at.above_low - at.above_high > GATHER_MAX as u64 && at.high - at.low > 1 {
            let above = self.count_above(field, probes, workers);
            for (probe, above) in probes.into_iter().zip(above) {
                at.narrow(probe, above, wanted);
            }
            let width = at.high - at.low;
            probes = std::array::from_fn(|k| {
                at.low + (u64::from(width) * (k as u64 + 1) / (PROBES as u64 + 1)) as u32
            });
        }
        self.last = match at.high - at.low {
            1 => at.low,
            _ => self.pick(field, &at, wanted - at.above_high, workers),
        };
        f32::from_bits(self.last)
    }

    /// Cells at or above each probe.
    fn count_above(
        &self,
        field: &[f32],
        probes: [u32; PROBES],
        workers: &Workers,
    ) -> [u64; PROBES] {
        let mut counts = [[0u32; PROBES]; STRIPS_MAX];
        let jobs = field.chunks(strip_rows(self.ny) * self.nx).zip(counts.iter_mut());
        workers.each(
            jobs,
            #[inline(always)]
            |(cells, counts)| {
                let [mut a, mut b, mut c, mut d] = [0u32; PROBES];
                for cell in cells {
                    let bits = magnitude_bits(*cell);
                    a += u32::from(bits >= probes[0]);
                    b += u32::from(bits >= probes[1]);
                    c += u32::from(bits >= probes[2]);
                    d += u32::from(bits >= probes[3]);
                }
                *counts = [a, b, c, d];
            },
        );
        std::array::from_fn(|k| counts.iter().map(|strip| u64::from(strip[k])).sum())
    }

    /// The pattern that `nth` cells (from 1, downwards) of the bracket reach.
    fn pick(&mut self, field: &[f32], at: &Bracket, nth: u64, workers: &Workers) -> u32 {
        let Self { gathered, .. } = self;
        gathered.clear();
        workers.vectorised(
            #[inline(always)]
            || {
                for block in field.chunks(BLOCK) {
                    if any_inside(block, at.low, at.high) {
                        gather(block, at, gathered);
                    }
                }
            },
        );
        let index = gathered.len() - nth as usize;
        *gathered.select_nth_unstable(index).1
    }
}

/// Whether any cell's pattern is at least `low` and below `high`.
#[inline(always)]
fn any_inside(cells: &[f32], low: u32, high: u32) -> bool {
    let width = high - low;
    let mut any = 0;
    for cell in cells {
        any |= u32::from(magnitude_bits(*cell).wrapping_sub(low) < width);
    }
    any != 0
}

fn gather(cells: &[f32], at: &Bracket, into: &mut Vec<u32>) {
    let patterns = cells.iter().map(|cell| magnitude_bits(*cell));
    into.extend(patterns.filter(|bits| (at.low..at.high).contains(bits)));
}

impl Bracket {
    fn narrow(&mut self, probe: u32, above: u64, wanted: u64) {
        if above >= wanted && probe > self.low {
            (self.low, self.above_low) = (probe, above);
        } else if above < wanted && probe < self.high {
            (self.high, self.above_high) = (probe, above);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::meter::tests::alone;

    fn naive(field: &[f32], share: f64) -> f32 {
        let mut sorted: Vec<f32> = field.iter().map(|u| u.abs()).collect();
        sorted.sort_by(f32::total_cmp);
        sorted[((share * field.len() as f64) as usize).min(field.len() - 1)]
    }

    proptest! {
        #[test]
        fn is_the_order_statistic_of_a_sort(
            field in proptest::collection::vec(prop_oneof![
                -1.0f32..1.0, Just(0.0f32), Just(0.5f32), -1e-30f32..1e-30, -1e20f32..1e20
            ], 1..6000),
            share in 0.0f64..=1.0,
        ) {
            let mut selector = Selector::new(field.len(), 1);
            for _ in 0..2 {
                prop_assert_eq!(selector.quantile(&field, share, &alone()), naive(&field, share));
            }
            selector.last = 0x3f80_0000;
            prop_assert_eq!(selector.quantile(&field, share, &alone()), naive(&field, share));
        }
    }

    #[test]
    fn many_equal_cells_end_the_search() {
        let field = vec![0.25f32; 100_000];
        let mut selector = Selector::new(1000, 100);
        assert_eq!(selector.quantile(&field, 0.75, &alone()), 0.25);
        assert_eq!(selector.quantile(&vec![0.0; 100_000], 0.75, &alone()), 0.0);
    }

    #[test]
    fn words_for_a_threshold() {
        assert_eq!("q:0.75".parse(), Ok(Threshold::Quantile(0.75)));
        assert_eq!("0.3".parse(), Ok(Threshold::Fixed(0.3)));
        for bad in ["q:1.5", "-1", "q:", "high", "nan", "inf"] {
            assert!(bad.parse::<Threshold>().is_err(), "{bad}");
        }
    }
}
