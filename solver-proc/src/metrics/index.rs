//! The last step, row by row: gain, coherence and dwell times dimension make the index.
//!
//! Gain `sqrt(<u^2>)/A_ref`, `<|u|>/A_ref` or `<E>/A_ref`; coherence `s0^2/(s0^2 + var)` or
//! `1/(var + eps)`, with means over the clipped window (science 1.2). D is that of the tile, linear
//! in between the centres of tiles and constant outside of them. Where D is undefined the index is 0.

use rsw_config::{Coherence, Gain, MetricsSection};

use super::boxes::Pyramid;
use super::window::Quantity;

/// The parameters, in single precision.
#[derive(Debug, Clone, Copy)]
pub struct Index {
    gain: Gain,
    coherence: Coherence,
    inverse_a_ref: f32,
    s0_squared: f32,
    eps: f32,
    alpha: f32,
    inverse_tau0: f32,
    d_exponent: f32,
}

/// Means over the window, and what is there already.
pub(crate) struct Row<'a> {
    /// Mean and variance of u.
    pub(crate) mean: &'a [f32],
    pub(crate) variance: &'a [f32],
    /// Mean of what the gain wants, unless that is made of mean and variance.
    pub(crate) level: Option<&'a [f32]>,
    pub(crate) dwell: &'a [f32],
    /// D; overwritten by its power.
    pub(crate) dimension: &'a mut [f32],
}

/// What comes out.
pub(crate) struct Out<'a> {
    pub(crate) ci: &'a mut [f32],
    pub(crate) coherence: &'a mut [f32],
    pub(crate) gain: &'a mut [f32],
}

impl Index {
    /// The index as the swarm file wants it.
    pub fn new(section: &MetricsSection) -> Self {
        Self {
            gain: section.gain,
            coherence: section.coherence,
            inverse_a_ref: (1.0 / section.a_ref) as f32,
            s0_squared: section.s0.powi(2) as f32,
            eps: section.coherence_eps as f32,
            alpha: section.alpha as f32,
            inverse_tau0: (1.0 / section.tau0) as f32,
            d_exponent: section.d_exponent as f32,
        }
    }

    /// What the gain averages over its window; `None` where it follows from mean and variance of u.
    pub fn gain_quantity(&self) -> Option<Quantity> {
        match self.gain {
            Gain::Rms => None,
            Gain::Abs => Some(Quantity::Magnitude),
            Gain::Envelope => Some(Quantity::Envelope),
        }
    }

    /// One row of the three fields.
    #[inline(always)]
    pub(crate) fn row(&self, row: Row<'_>, out: Out<'_>) {
        if self.d_exponent != 1.0 {
            for d in row.dimension.iter_mut() {
                *d = libm::powf(*d, self.d_exponent);
            }
        }
        let count = row.dwell.len();
        let (mean, variance) = (&row.mean[..count], &row.variance[..count]);
        let (dimension, dwell) = (&row.dimension[..count], row.dwell);
        let Out { ci, coherence, gain } = out;
        let (ci, coherence, gain) = (&mut ci[..count], &mut coherence[..count], &mut gain[..count]);
        let to_gain = self.inverse_a_ref;
        match row.level {
            Some(level) => {
                for (gain, level) in gain.iter_mut().zip(level) {
                    *gain = level * to_gain;
                }
            }
            None => {
                for x in 0..count {
                    // <u^2> is the sum of two squares, of which neither is taken from the other.
                    gain[x] = (square(mean[x]) + variance[x]).sqrt() * to_gain;
                }
            }
        }
        match self.coherence {
            Coherence::Bounded => {
                let s0_squared = self.s0_squared;
                for (c, variance) in coherence.iter_mut().zip(variance) {
                    *c = s0_squared / (s0_squared + variance);
                }
            }
            Coherence::Raw => {
                let eps = self.eps;
                for (c, variance) in coherence.iter_mut().zip(variance) {
                    *c = 1.0 / (variance + eps);
                }
            }
        }
        let (alpha, inverse_tau0) = (self.alpha, self.inverse_tau0);
        for x in 0..count {
            let lasting = one_minus_exp(dwell[x] * inverse_tau0);
            ci[x] = alpha * dimension[x] * gain[x] * coherence[x] * lasting;
        }
    }
}

/// The square, zero where it would be a slow subnormal single.
#[inline(always)]
fn square(value: f32) -> f32 {
    let value = if value.abs() < 1e-18 { 0.0 } else { value };
    value * value
}

/// `1 - exp(-x)` for x >= 0, to 3e-7 of its value: `x = k ln 2 + r`, `1 - 2^-k - 2^-k (exp(-r) - 1)`
/// with the Taylor polynomial of `exp(-r) - 1` on |r| <= ln 2 / 2. Plain arithmetic, so a loop of it
/// becomes vectors, and its bits are the same everywhere.
#[inline(always)]
pub(crate) fn one_minus_exp(x: f32) -> f32 {
    // Beyond 17.4 the result rounds to 1; larger k would leave the exponent's range.
    let x = if x < 32.0 { x } else { 32.0 };
    // Adding 1.5 * 2^23 rounds to an integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let scale = f32::from_bits((127 << 23) - ((shifted.to_bits() & 0xff) << 23));
    // ln 2 in two parts, the first exact in few digits (Cody and Waite).
    let r = -((x - k * 0.693_359_4) - k * -2.121_944_4e-4);
    let tail = 1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let series = r + r * r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * tail)));
    (1.0 - scale) - scale * series
}

/// D between the tiles.
pub struct DimensionMap {
    nx: usize,
    tile: usize,
    counts: [usize; 2],
    /// D of each tile, 0 where it is undefined.
    values: Vec<f32>,
    undefined: bool,
}

impl DimensionMap {
    /// A map over the tiles of `pyramid`, for rows of `nx` cells.
    pub fn new(nx: usize, pyramid: &Pyramid) -> Self {
        let (tile, counts) = (pyramid.tile(), pyramid.tile_counts());
        let undefined = pyramid.tiles().iter().any(|fit| fit.dimension().is_none());
        Self { nx, tile, counts, values: vec![0.0; counts[0] * counts[1]], undefined }
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
        let (left, right, part) = self.between(x, self.counts[0]);
        let blend = |tile: usize| self.down(y, tile);
        mix(blend(left), blend(right), part)
    }

    /// D along row `y`.
    #[inline(always)]
    pub(crate) fn row(&self, y: usize, out: &mut [f32]) {
        let mut x = 0;
        while x < self.nx {
            let (left, right, _) = self.between(x, self.counts[0]);
            let (a, b) = (self.down(y, left), self.down(y, right));
            // Up to the next centre of a tile both tiles stay the same.
            let end =
                if left == right && x > 0 { self.nx } else { self.tile * left + self.tile * 3 / 2 };
            let end = if x == 0 { self.tile.div_ceil(2) } else { end }.clamp(x + 1, self.nx);
            // Exact: whole and half cells below 2^24, over a power of two.
            let start = (self.tile * (2 * left + 1)) as f32 - 1.0;
            let scale = 1.0 / (2 * self.tile) as f32;
            for (k, d) in out[x..end].iter_mut().enumerate() {
                *d = mix(a, b, ((2 * (x + k)) as u32 as f32 - start) * scale);
            }
            x = end;
        }
    }

    /// D of tile column `tile` at row `y`.
    #[inline(always)]
    fn down(&self, y: usize, tile: usize) -> f32 {
        let (above, below, part) = self.between(y, self.counts[1]);
        let value = |row: usize| self.values[row * self.counts[0] + tile];
        mix(value(above), value(below), part)
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
    a + part * (b - a)
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
            let mut row = vec![0.0; nx];
            for y in 0..ny {
                map.row(y, &mut row);
                for (x, d) in row.iter().enumerate() {
                    assert_eq!(*d, map.at(x, y), "{nx} x {ny}, tile {tile}, cell {x}, {y}");
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
