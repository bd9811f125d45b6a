//! Sums and extremes with a fixed order of operations, wide enough for the compiler to vectorise.

// Iterators over lanes would be functions, compiled for the oldest processor.
#![allow(clippy::needless_range_loop)]

use crate::real::Real;

/// Accumulators a row is dealt out to, cell `i` to lane `i % LANES`.
pub(crate) const LANES: usize = 8;

/// Cells that are worked on together: whole vectors of the widest registers, several under way at once.
const WIDE: usize = 8 * LANES;
/// Blocks of so many cells whose products are added up in their own precision.
const BLOCKS_SUMMED: usize = 16;
/// Sums over rows of a wave: of `(new - old)^2`, of `(south - new) (south_old - old)`, and over the
/// edges of `(new[x+1] - new[x]) (old[x+1] - old[x])`.
///
/// Differences and short sums of products in the precision of the wave, the rest in double precision;
/// one order of operations at every width of vectors. A lane begins at [`Real::FLOOR`], which is taken off exactly
/// at the end, in double precision: a product that is added by a fused operation is rounded together with it, so that no
/// wave front ends in slow subnormal numbers. Products far below it are nothing: in single precision the sums are right
/// for differences from 1e-17 to 1e18, and beyond 1e19 they are infinite.
pub(crate) struct WaveSums {
    lanes: [[f64; WIDE / 4]; 3],
}

impl WaveSums {
    pub(crate) const ZERO: Self = Self { lanes: [[0.0; WIDE / 4]; 3] };

    /// The three sums.
    pub(crate) fn totals(&self) -> [f64; 3] {
        self.lanes.map(|lanes| lanes.iter().sum())
    }

    /// Takes in a row at its two levels, and the row below it.
    #[inline(always)]
    pub(crate) fn add<T: Real>(&mut self, here: [&[T]; 2], south: [&[T]; 2]) {
        let count = here[0].len();
        // Blocks whose last cell has a neighbour in the east.
        let whole = (count - 1) / WIDE;
        for first in (0..whole).step_by(BLOCKS_SUMMED) {
            let blocks = BLOCKS_SUMMED.min(whole - first);
            self.blocks::<T, false>(here, south, blocks, [first * WIDE; 2], [0; 2]);
        }
        if whole > 0 {
            // The last block again, without the cells and edges that were in it already.
            let (cells, skipped) = (count - WIDE, (whole + 1) * WIDE - count);
            self.blocks::<T, true>(here, south, 1, [cells, cells - 1], [skipped, skipped + 1]);
        } else {
            self.few(here, south);
        }
    }

    /// Blocks of cells from `cells`, and of edges from `edges` on; if `PART`, without those in the first lanes.
    #[inline(always)]
    fn blocks<T: Real, const PART: bool>(
        &mut self,
        [new, old]: [&[T]; 2],
        [south, south_old]: [&[T]; 2],
        blocks: usize,
        [cells, edges]: [usize; 2],
        skipped: [usize; 2],
    ) {
        let (west, west_old) = (in_blocks(new, edges), in_blocks(old, edges));
        let (east, east_old) = (in_blocks(new, edges + 1), in_blocks(old, edges + 1));
        let (new, old) = (in_blocks(new, cells), in_blocks(old, cells));
        let (south, south_old) = (in_blocks(south, cells), in_blocks(south_old, cells));
        let mut lanes = [[T::FLOOR; WIDE]; 3];
        for b in 0..blocks {
            let (n, o, s, so) = (new[b], old[b], south[b], south_old[b]);
            let (w, wo, e, eo) = (west[b], west_old[b], east[b], east_old[b]);
            for l in 0..WIDE {
                let [mut moved, mut down, mut along] = [n[l] - o[l], s[l] - n[l], e[l] - w[l]];
                if PART {
                    moved = if l < skipped[0] { T::default() } else { moved };
                    down = if l < skipped[0] { T::default() } else { down };
                    along = if l < skipped[1] { T::default() } else { along };
                }
                lanes[0][l] = moved.fused(moved, lanes[0][l]);
                lanes[1][l] = down.fused(so[l] - o[l], lanes[1][l]);
                lanes[2][l] = along.fused(eo[l] - wo[l], lanes[2][l]);
            }
        }
        self.take(&lanes);
    }

    /// A row of at most one block.
    #[inline(always)]
    fn few<T: Real>(&mut self, [new, old]: [&[T]; 2], [south, south_old]: [&[T]; 2]) {
        let mut lanes = [[T::FLOOR; WIDE]; 3];
        for x in 0..new.len() {
            let moved = new[x] - old[x];
            lanes[0][x] = moved.fused(moved, lanes[0][x]);
            lanes[1][x] = (south[x] - new[x]).fused(south_old[x] - old[x], lanes[1][x]);
            if x + 1 < new.len() {
                lanes[2][x] = (new[x + 1] - new[x]).fused(old[x + 1] - old[x], lanes[2][x]);
            }
        }
        self.take(&lanes);
    }

    #[inline(always)]
    fn take<T: Real>(&mut self, lanes: &[[T; WIDE]; 3]) {
        const QUARTER: usize = WIDE / 4;
        // Exact.
        let four_floors = 4.0 * T::FLOOR.to_f64();
        for k in 0..3 {
            for l in 0..QUARTER {
                let first = lanes[k][l] + lanes[k][QUARTER + l];
                let second = lanes[k][2 * QUARTER + l] + lanes[k][3 * QUARTER + l];
                self.lanes[k][l] += (first + second).to_f64() - four_floors;
            }
        }
    }
}

#[inline(always)]
fn in_blocks<T>(row: &[T], first: usize) -> &[[T; WIDE]] {
    row[first..].as_chunks().0
}

/// Largest magnitude; NaN if any value is not finite.
#[inline(always)]
pub(crate) fn magnitude<T: Real>(values: &[T]) -> f64 {
    let mut high = [T::default(); WIDE];
    // Each value times zero: zero, or NaN.
    let mut broken = [T::default(); WIDE];
    for chunk in values.chunks(WIDE) {
        take_magnitudes(&mut high, &mut broken, chunk);
    }
    if broken.iter().any(|sum| *sum != T::default()) {
        return f64::NAN;
    }
    high.iter().fold(0.0, |most, value| value.to_f64().max(most))
}

#[inline(always)]
fn take_magnitudes<T: Real>(high: &mut [T], broken: &mut [T], chunk: &[T]) {
    let count = chunk.len();
    let (high, broken) = (&mut high[..count], &mut broken[..count]);
    for i in 0..count {
        let value = chunk[i].abs();
        high[i] = if value > high[i] { value } else { high[i] };
        broken[i] = broken[i] + value * T::default();
    }
}

/// Smallest and largest value; `[0, 0]` for none. Values must not be NaN.
#[inline(always)]
pub(crate) fn range(values: &[f32]) -> [f32; 2] {
    let mut low = [f32::INFINITY; LANES];
    let mut high = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    let mut take = |chunk: &[f32]| {
        for ((low, high), value) in low.iter_mut().zip(high.iter_mut()).zip(chunk) {
            *low = if *value < *low { *value } else { *low };
            *high = if *value > *high { *value } else { *high };
        }
    };
    chunks.for_each(&mut take);
    take(rest);
    if values.is_empty() {
        return [0.0, 0.0];
    }
    [low.into_iter().fold(low[0], f32::min), high.into_iter().fold(high[0], f32::max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn products<T: Real>(here: [&[T]; 2], south: [&[T]; 2]) -> [f64; 3] {
        let mut sums = WaveSums::ZERO;
        sums.add(here, south);
        sums.totals()
    }

    #[test]
    fn products_agree_with_the_naive_ones() {
        for count in [1usize, 2, 63, 64, 65, 66, 1000, 1024, 1025, 1026, 2500] {
            // Whole numbers, whose products and sums are exact in either precision.
            let row = |k: usize| (0..count).map(move |i| ((i * (37 + k)) % 101) as f32 - 50.0);
            let [new, old, south, south_old] = [0, 1, 2, 3].map(|k| row(k).collect::<Vec<f32>>());
            let moved = |i: usize| (new[i] - old[i]) * (new[i] - old[i]);
            let down = |i: usize| (south[i] - new[i]) * (south_old[i] - old[i]);
            let along = |i: usize| (new[i + 1] - new[i]) * (old[i + 1] - old[i]);
            let sum = |count, of: &dyn Fn(usize) -> f32| (0..count).map(of).map(f64::from).sum();
            let naive: [f64; 3] = [sum(count, &moved), sum(count, &down), sum(count - 1, &along)];
            assert_eq!(products([&new, &old], [&south, &south_old]), naive);
            let wide = |row: &[f32]| row.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
            let [new, old, south, south_old] =
                [&new, &old, &south, &south_old].map(|row| wide(row));
            assert_eq!(products([&new, &old], [&south, &south_old]), naive);
        }
    }

    #[test]
    fn products_of_a_faint_wave_are_not_lost_in_subnormals() {
        for scale in [1e18f32, 1.0, 1e-10, 1e-16, 1e-17] {
            let (new, old) = (vec![3.0 * scale; 130], vec![scale; 130]);
            let [moved, down, along] = products([&new, &old], [&new, &old]);
            assert_eq!([down, along], [0.0, 0.0]);
            let exact = 130.0 * (2.0 * f64::from(scale)).powi(2);
            assert!((moved / exact - 1.0).abs() < 1e-6, "{scale}: {moved}, {exact}");
        }
        let (new, old) = (vec![3e-18f32; 130], vec![1e-18f32; 130]);
        let [new, old] =
            [new, old].map(|row| row.iter().map(|v| f64::from(*v) * 1e-120).collect::<Vec<_>>());
        let [moved, _, _] = products([&new, &old], [&new, &old]);
        assert!((moved / (130.0 * 4e-276) - 1.0).abs() < 1e-6, "{moved}");
        let silent = vec![0.0f32; 130];
        assert_eq!(products([&silent, &silent], [&silent, &silent]), [0.0; 3]);
    }

    #[test]
    fn ranges_agree_with_the_naive_ones() {
        for count in [0usize, 1, 7, 8, 9, 1000] {
            let row: Vec<f32> = (0..count).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
            let low = row.iter().copied().fold(f32::INFINITY, f32::min);
            let high = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let expected = if count == 0 { [0.0, 0.0] } else { [low, high] };
            assert_eq!(super::range(&row), expected);
        }
    }

    #[test]
    fn magnitudes_are_largest_or_broken() {
        for count in [1usize, 63, 64, 65, 1000] {
            let mut row: Vec<f32> = (0..count).map(|i| (i % 101) as f32 - 77.0).collect();
            assert_eq!(super::magnitude(&row), 77.0);
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, count / 2, count - 1] {
                    let good = std::mem::replace(&mut row[at], bad);
                    assert!(super::magnitude(&row).is_nan());
                    row[at] = good;
                }
            }
        }
        assert_eq!(super::magnitude::<f64>(&[]), 0.0);
    }
}
