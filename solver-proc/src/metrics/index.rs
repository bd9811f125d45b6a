//! The last step, row by row: gain, coherence and dwell times dimension make the index.
//!
//! Gain `sqrt(<u^2>)/A_ref`, `<|u|>/A_ref` or `<E>/A_ref`; coherence `s0^2/(s0^2 + var)` or
//! `1/(var + eps)`, with means over the clipped window (SCIENCE.md, The complexity index). D is that of the tile, linear
//! in between the centres of tiles and constant outside of them. Where D is undefined the index is 0.

use rsw_config::{Coherence, Gain, MetricsSection};

use super::boxes::Pyramid;
use super::memory::reciprocal;
use super::sweep::{fma, sweep};
use crate::cells::Buffer;

/// Added to the square of a mean and taken off again: nothing smaller is left of it, and no slow
/// subnormal number.
const GRAIN: f32 = f32::from_bits((127 - 116) << 23);

/// The parameters, in single precision.
#[derive(Debug, Clone, Copy)]
pub struct Index {
    gain: Gain,
    pub(crate) inverse_a_ref: f32,
    /// Coherence is `scale / (1 + var inverse_spread)` in both of its forms.
    pub(crate) coherence_scale: f32,
    pub(crate) inverse_spread: f32,
    pub(crate) alpha: f32,
    pub(crate) inverse_tau0: f32,
    pub(crate) d_exponent: f32,
}

impl Index {
    /// The index as the swarm file wants it.
    pub fn new(section: &MetricsSection) -> Self {
        let [scale, spread] = match section.coherence {
            Coherence::Bounded => [1.0, section.s0.powi(2)],
            Coherence::Raw => [1.0 / section.coherence_eps, section.coherence_eps],
        };
        Self {
            gain: section.gain,
            inverse_a_ref: (1.0 / section.a_ref) as f32,
            coherence_scale: scale as f32,
            inverse_spread: (1.0 / spread).min(f64::from(f32::MAX)) as f32,
            alpha: section.alpha as f32,
            inverse_tau0: (1.0 / section.tau0) as f32,
            d_exponent: section.d_exponent as f32,
        }
    }

    /// The form of the gain: for `rms`, mean and variance of u are enough.
    pub fn gain(&self) -> Gain {
        self.gain
    }

    /// Gain from mean and variance: `<u^2>` is the sum of two squares, neither taken from the other.
    #[inline(always)]
    pub(crate) fn rms(&self, mean: f32, variance: f32) -> f32 {
        let square = fma(mean, mean, GRAIN) - GRAIN;
        (square + variance).sqrt() * self.inverse_a_ref
    }

    /// Gain from the mean of |u| or of the envelope.
    #[inline(always)]
    pub(crate) fn level(&self, mean: f32) -> f32 {
        mean * self.inverse_a_ref
    }

    /// Coherence from the variance.
    #[inline(always)]
    pub(crate) fn coherence(&self, variance: f32) -> f32 {
        self.coherence_scale * reciprocal(fma(variance, self.inverse_spread, 1.0))
    }

    /// The index of one cell; `weight` is `alpha D^bD`.
    #[inline(always)]
    pub(crate) fn cell(&self, weight: f32, gain: f32, coherence: f32, dwell: f32) -> f32 {
        let lasting = one_minus_exp(dwell * self.inverse_tau0);
        (weight * gain) * (coherence * lasting)
    }
}

/// `1 - exp(-x)` for x >= 0, to 3e-7 of its value: `x = k ln 2 - r`, `1 - 2^-k - 2^-k (exp(r) - 1)` with a
/// polynomial for `exp(r) - 1` on |r| <= ln 2 / 2: the Taylor series, whose term r^7/7! is replaced by
/// what Chebyshev's polynomial of that degree says of it in lower powers. Plain arithmetic, so a loop of
/// it becomes vectors, and its bits are the same everywhere.
#[inline(always)]
pub(crate) fn one_minus_exp(x: f32) -> f32 {
    // Beyond 17.4 the result rounds to 1; larger k would leave the exponent's range.
    let x = if x < 32.0 { x } else { 32.0 };
    // Adding 1.5 * 2^23 rounds to an integer in the low bits of the sum; the shift leaves only them.
    const ROUND: f32 = 12_582_912.0;
    let shifted = fma(x, std::f32::consts::LOG2_E, ROUND);
    let k = shifted - ROUND;
    let scale = f32::from_bits((127u32 << 23).wrapping_sub(shifted.to_bits() << 23));
    // -x + k ln 2, rounded once; that ln 2 is off by 2e-9 matters less the larger k is, by 2^-k.
    let r = fma(k, std::f32::consts::LN_2, -x);
    const THIRD: f32 = 0.166_665_77;
    const FIFTH: f32 = 0.008_363_123;
    let tail = fma(r, 1.0 / 720.0, FIFTH);
    let tail = fma(r, fma(r, tail, 1.0 / 24.0), THIRD);
    let series = fma(r * r, fma(r, tail, 0.5), r);
    fma(-scale, series, 1.0 - scale)
}

/// D between the tiles.
pub struct DimensionMap {
    nx: usize,
    tile: usize,
    counts: [usize; 2],
    /// D of each tile, 0 where it is undefined.
    values: Vec<f32>,
    /// Weight of the second of the tiles beside each column.
    parts: Vec<f32>,
    undefined: bool,
}

impl DimensionMap {
    /// A map over the tiles of `pyramid`, for rows of `nx` cells.
    pub fn new(nx: usize, pyramid: &Pyramid) -> Self {
        let (tile, counts) = (pyramid.tile(), pyramid.tile_counts());
        let undefined = pyramid.tiles().iter().any(|fit| fit.dimension().is_none());
        let values = vec![0.0; counts[0] * counts[1]];
        let mut map = Self { nx, tile, counts, values, parts: Vec::new(), undefined };
        map.parts = (0..nx).map(|x| map.between(x, counts[0]).2).collect();
        map
    }

    /// Whether the tiles have fewer than two box sizes.
    pub fn is_undefined(&self) -> bool {
        self.undefined
    }

    /// Takes D from the fits.
    pub fn update(&mut self, pyramid: &Pyramid) {
        for (value, fit) in self.values.iter_mut().zip(pyramid.tiles()) {
            *value = fit.dimension().map_or(0.0, |dimension| dimension.d as f32);
        }
    }

    /// D at cell (x, y).
    pub fn at(&self, x: usize, y: usize) -> f32 {
        let (above, below, part) = self.between(y, self.counts[1]);
        let (left, right, across) = self.between(x, self.counts[0]);
        let value = |row: usize| {
            let tiles = &self.values[row * self.counts[0]..];
            mix(tiles[left], tiles[right], across)
        };
        mix(value(above), value(below), part)
    }

    /// Becomes the weight `alpha D^bD` of row `y`.
    #[inline(always)]
    pub(crate) fn row(&self, y: usize, index: &Index, weights: &mut Weights) {
        let (above, below, part) = self.between(y, self.counts[1]);
        weights.part = part;
        if weights.rows != Some([above, below]) {
            weights.rows = Some([above, below]);
            self.across(above, &mut weights.base);
            self.across(below, &mut weights.slope);
            for (base, slope) in weights.base.iter_mut().zip(weights.slope.iter_mut()) {
                (*base, *slope) = (index.alpha * *base, index.alpha * (*slope - *base));
            }
        }
        if index.d_exponent != 1.0 {
            weights.rows = None;
            self.across(above, &mut weights.base);
            self.across(below, &mut weights.slope);
            for (base, slope) in weights.base.iter_mut().zip(weights.slope.iter_mut()) {
                let d = mix(*base, *slope, part);
                (*base, *slope) = (index.alpha * libm::powf(d, index.d_exponent), 0.0);
            }
        }
    }

    /// D along the centres of a row of tiles.
    #[inline(always)]
    fn across(&self, row: usize, out: &mut [f32]) {
        let tiles = &self.values[row * self.counts[0]..][..self.counts[0]];
        let mut x = 0;
        while x < self.nx {
            let (left, right, _) = self.between(x, self.counts[0]);
            let (a, b) = (tiles[left], tiles[right]);
            // Up to the next centre of a tile both tiles stay the same.
            let end =
                if left == right && x > 0 { self.nx } else { self.tile * left + self.tile * 3 / 2 };
            let end = if x == 0 { self.tile.div_ceil(2) } else { end }.clamp(x + 1, self.nx);
            sweep(
                [&self.parts[x..end]],
                [],
                [&mut out[x..end]],
                #[inline(always)]
                |[part], []| ([], [mix(a, b, part)]),
            );
            x = end;
        }
    }

    /// The tiles around index `i` and the weight of the second.
    #[inline(always)]
    fn between(&self, i: usize, count: usize) -> (usize, usize, f32) {
        // In half cells from the centre of the first tile.
        let from_centre = (2 * i + 1) as isize - self.tile as isize;
        if from_centre <= 0 {
            return (0, 0, 0.0);
        }
        let (first, rest) =
            (from_centre as usize / (2 * self.tile), from_centre as usize % (2 * self.tile));
        if first + 1 >= count {
            return (count - 1, count - 1, 0.0);
        }
        (first, first + 1, rest as f32 / (2 * self.tile) as f32)
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

#[inline(always)]
fn mix(a: f32, b: f32, part: f32) -> f32 {
    fma(part, b - a, a)
}

/// `alpha D^bD` along a row: `base + part * slope`.
pub(crate) struct Weights {
    pub(crate) base: Buffer,
    pub(crate) slope: Buffer,
    pub(crate) part: f32,
    /// The rows of tiles it was made of.
    rows: Option<[usize; 2]>,
}

impl Weights {
    pub(crate) fn new(nx: usize) -> Self {
        Self { base: Buffer::new(nx, 0), slope: Buffer::new(nx, 1), part: 0.0, rows: None }
    }

    /// The map has changed.
    pub(crate) fn forget(&mut self) {
        self.rows = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::boxes::BoxRange;

    #[test]
    fn one_minus_exp_keeps_its_digits() {
        let mut x = 1e-12f32;
        while x < 100.0 {
            let exact = -libm::expm1(-f64::from(x));
            let error = (f64::from(one_minus_exp(x)) / exact - 1.0).abs();
            assert!(error < 3e-7, "{x}: {error}");
            x *= 1.01;
        }
        assert_eq!(one_minus_exp(0.0), 0.0);
        assert_eq!(one_minus_exp(f32::MAX), 1.0);
    }

    #[test]
    fn a_row_of_the_map_is_the_map_at_each_cell() {
        for (nx, ny, tile) in [(1, 1, 64), (5, 7, 1), (200, 140, 64), (256, 256, 64), (33, 40, 8)] {
            let range = BoxRange::new(1, tile);
            let pyramid = Pyramid::new(nx, ny, tile, range, range);
            let mut map = DimensionMap::new(nx, &pyramid);
            for (k, value) in map.values_mut().iter_mut().enumerate() {
                *value = 1.0 + ((k * 37) % 11) as f32 / 11.0;
            }
            let index = Index::new(&MetricsSection::default());
            let mut weights = Weights::new(nx);
            for y in 0..ny {
                map.row(y, &index, &mut weights);
                for x in 0..nx {
                    let d = mix(weights.base[x], weights.base[x] + weights.slope[x], weights.part);
                    let error = (d - map.at(x, y)).abs();
                    assert!(error < 4e-7, "{nx} x {ny}, tile {tile}, cell {x}, {y}: {d}");
                }
            }
        }
    }

    #[test]
    fn between_two_centres_the_map_is_linear() {
        let range = BoxRange::new(1, 8);
        let pyramid = Pyramid::new(16, 8, 8, range, range);
        let mut map = DimensionMap::new(16, &pyramid);
        map.values_mut().copy_from_slice(&[1.0, 2.0]);
        // Centres lie at 3.5 and 11.5.
        let expected = |x: f32| (1.0 + (x - 3.5) / 8.0).clamp(1.0, 2.0);
        for x in 0..16 {
            assert_eq!(map.at(x, 3), expected(x as f32));
        }
    }
}
