//! The threshold of the set that is counted in boxes: a fixed magnitude, or a quantile of |u|.
//!
//! The quantile P of N cells is the order statistic of rank `floor(P N)` (from 0, at most N-1), so
//! that of N different magnitudes exactly a share 1-P is at or above it. It is found exactly, by
//! counting cells above a few bit patterns at a time (a histogram with moving bins): bit patterns of
//! magnitudes are integers in the same order. The last threshold is only where the search begins.

use std::ops::Range;
use std::str::FromStr;

use rsw_config::{ThresholdSpec, parse_threshold};
use thiserror::Error;

use super::bits::{Bits, above, magnitude_bits};
use super::sweep::BLOCK;
use crate::workers::{STRIPS_MAX, Workers, strip_rows, strips};

/// Bit patterns compared in one pass.
const PROBES: usize = 4;
/// Cells that are sorted out one by one instead of by another pass.
const GATHER_MAX: usize = 2048;
/// Cells looked at together for one to gather.
const GATHER_BLOCK: usize = 64;
/// First probes around the last threshold, in units of its last place: about 0.8 % and 6 %.
const NEAR: u32 = 1 << 16;
const FAR: u32 = 1 << 19;
/// Least and furthest that a threshold is expected to move, about 0.006 % and 6 %.
const REACH_MIN: u32 = 1 << 9;
const REACH_MAX: u32 = 1 << 19;
/// Cells within reach that a strip has room for at least.
const NEAR_MIN: usize = 1024;

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
    "threshold \"{0}\" is unusable: write a magnitude from 0 to 3e38, or q:P with P from 0 to 1"
)]
pub struct ThresholdError(pub String);

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        match parse_threshold(text.trim()) {
            Ok(ThresholdSpec::Quantile(share)) => Ok(Self::Quantile(share)),
            // A zero without a sign: a pattern of bits with one is above all magnitudes.
            Ok(ThresholdSpec::Value(level)) => Ok(Self::Fixed((level as f32).abs())),
            Err(_) => Err(ThresholdError(text.to_owned())),
        }
    }
}

/// Finds the threshold of a field and the set above it, without allocating.
pub struct Selector {
    nx: usize,
    ny: usize,
    last: u32,
    /// How far from the last threshold the next one is expected, in units of its last place.
    reach: u32,
    probes: Vec<Probe>,
    gathered: Vec<u32>,
}

/// What one strip has around the last threshold.
struct Probe {
    /// Words of its set, see [`Bits::words`], and patterns of the cells within reach.
    near: Vec<[u32; 2]>,
    /// Cells above it, within reach, and cells that there was no room for.
    counts: [u64; 3],
    peak: [u32; BLOCK],
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
        let probe = |rows: Range<usize>| Probe {
            near: Vec::with_capacity((rows.len() * nx / 4).max(NEAR_MIN)),
            counts: [0; 3],
            peak: [0; BLOCK],
        };
        let probes: Vec<Probe> = strips(ny).map(probe).collect();
        let room = probes.iter().map(|probe| probe.near.capacity()).sum();
        let gathered = Vec::with_capacity(GATHER_MAX.max(room));
        Self { nx, ny, last: 0, reach: REACH_MIN, probes, gathered }
    }

    /// Fills `bits` with the set of `field` above its threshold; returns that and the largest
    /// magnitude.
    ///
    /// One pass, if the quantile is about where it was: that pass takes everything above the reach of
    /// the last one for the set and notes the cells within, among which the threshold then is found.
    pub fn select(
        &mut self,
        field: &[f32],
        threshold: Threshold,
        bits: &mut Bits,
        workers: &Workers,
    ) -> [f32; 2] {
        let share = match threshold {
            Threshold::Fixed(theta) => return [theta, bits.fill(field, theta, workers)],
            Threshold::Quantile(share) => share,
        };
        let wanted = wanted(field.len(), share);
        let low = self.last.saturating_sub(self.reach);
        let high = self.last.saturating_add(self.reach).max(1);
        // Silent cells are many or none, and no set has them: they are counted, not noted.
        let low = if self.last == 0 { high } else { low.max(1) };
        let peak = self.probe(field, [low, high], bits, workers);
        let counts = |k: usize| self.probes.iter().map(|probe| probe.counts[k]).sum::<u64>();
        let [above, near, lost] = [counts(0), counts(1), counts(2)];
        let last = self.last;
        if above < wanted && wanted <= above + near && lost == 0 {
            self.gathered.clear();
            for probe in &self.probes {
                self.gathered.extend(probe.near.iter().map(|[_, pattern]| pattern));
            }
            let index = self.gathered.len() - (wanted - above) as usize;
            self.last = *self.gathered.select_nth_unstable(index).1;
            for [at, pattern] in self.probes.iter().flat_map(|probe| &probe.near) {
                if *pattern >= self.last {
                    bits.insert(*at as usize);
                }
            }
        } else if low == high && wanted > above && high == 1 {
            self.last = 0;
        } else {
            let mut at = Bracket::whole(field.len() as u64);
            at.narrow(high, above, wanted);
            at.narrow(low, above + near, wanted);
            self.search(field, at, wanted, workers);
            bits.fill(field, f32::from_bits(self.last), workers);
        }
        self.expect(last, near, field.len() as u64);
        [f32::from_bits(self.last), peak]
    }

    /// How far the next threshold may be: three times as far as this one was, and no further than
    /// keeps the cells within reach few.
    fn expect(&mut self, last: u32, near: u64, cells: u64) {
        let moved = self.last.abs_diff(last).saturating_mul(3);
        let shrunk = if near > cells / 16 { self.reach / 2 } else { self.reach - self.reach / 8 };
        self.reach = moved.max(shrunk).clamp(REACH_MIN, REACH_MAX);
    }

    /// Counts and notes the cells around the last threshold; returns the largest magnitude.
    fn probe(
        &mut self,
        field: &[f32],
        [low, high]: [u32; 2],
        bits: &mut Bits,
        workers: &Workers,
    ) -> f32 {
        let arch = workers.arch();
        workers.each(
            bits.strips(field).zip(self.probes.iter_mut().rev()),
            #[inline(always)]
            |(strip, Probe { near, counts, peak })| {
                near.clear();
                let (mut above_count, mut near_count, mut peaks) = (0, 0, [0; BLOCK]);
                strip.each(
                    #[inline(always)]
                    |index, word, cells| {
                        let [from_low, from_high] = above(arch, cells, [low, high], &mut peaks);
                        *word = from_high;
                        above_count += u64::from(from_high.count_ones());
                        let mut rest = from_low & !from_high;
                        near_count += u64::from(rest.count_ones());
                        while rest != 0 && near.len() < near.capacity() {
                            let bit = rest.trailing_zeros();
                            let pattern = magnitude_bits(cells[bit as usize]);
                            near.push([index as u32 * 64 + bit, pattern]);
                            rest &= rest - 1;
                        }
                    },
                );
                *counts = [above_count, near_count, near_count - near.len() as u64];
                *peak = peaks;
            },
        );
        let peaks = self.probes.iter().flat_map(|probe| probe.peak);
        f32::from_bits(peaks.fold(0, u32::max))
    }

    /// Finds the pattern that `wanted` cells reach, wherever it is.
    fn search(&mut self, field: &[f32], mut at: Bracket, wanted: u64, workers: &Workers) {
        let near = [self.last.saturating_sub(NEAR), self.last.saturating_add(NEAR)];
        let far = [self.last.saturating_sub(FAR), self.last.saturating_add(FAR)];
        let mut probes = [far[0], near[0], near[1], far[1]];
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
                for block in field.chunks(GATHER_BLOCK) {
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

/// How many cells of `count` reach the quantile `share`: the order statistic of rank `floor(share
/// count)` is the largest pattern that so many cells reach.
pub(crate) fn wanted(count: usize, share: f64) -> u64 {
    let count = count as u64;
    count - ((share * count as f64) as u64).min(count - 1)
}

impl Bracket {
    /// Every pattern, of so many cells.
    fn whole(count: u64) -> Self {
        Self { low: 0, high: 0x8000_0000, above_low: count, above_high: 0 }
    }

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
            let mut bits = Bits::new(field.len(), 1);
            let expected = naive(&field, share);
            for (last, reach) in [(0, 1), (0, 1 << 19), (0x3f80_0000, 1 << 10), (expected.to_bits(), 1 << 18)] {
                (selector.last, selector.reach) = (last, reach);
                for _ in 0..2 {
                    let [theta, peak] =
                        selector.select(&field, Threshold::Quantile(share), &mut bits, &alone());
                    prop_assert_eq!(theta, expected);
                    prop_assert_eq!(peak, field.iter().fold(0.0, |peak: f32, u| peak.max(u.abs())));
                    for (x, u) in field.iter().enumerate() {
                        prop_assert_eq!(bits.contains(x, 0), u.abs() >= theta && *u != 0.0);
                    }
                }
            }
        }
    }

    #[test]
    fn many_equal_cells_end_the_search() {
        let field = vec![0.25f32; 100_000];
        let (mut selector, mut bits) = (Selector::new(1000, 100), Bits::new(1000, 100));
        let mut select = |field: &[f32]| {
            let [theta, _] = selector.select(field, Threshold::Quantile(0.75), &mut bits, &alone());
            (theta, bits.count())
        };
        for _ in 0..3 {
            assert_eq!(select(&field), (0.25, 100_000));
        }
        for _ in 0..3 {
            assert_eq!(select(&vec![0.0; 100_000]), (0.0, 0));
        }
    }

    #[test]
    fn words_for_a_threshold() {
        assert_eq!("q:0.75".parse(), Ok(Threshold::Quantile(0.75)));
        assert_eq!("0.3".parse(), Ok(Threshold::Fixed(0.3)));
        let Ok(Threshold::Fixed(zero)) = "-0".parse() else { panic!("-0 is a magnitude") };
        assert_eq!(zero.to_bits(), 0);
        for bad in ["q:1.5", "-1", "1e39", "q:", "high", "nan", "inf"] {
            assert!(bad.parse::<Threshold>().is_err(), "{bad}");
        }
    }
}
