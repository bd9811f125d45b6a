//! The last step, row by row: gain, coherence and dwell times dimension make the index.
//!
//! Gain `sqrt(<u^2>)/A_ref`, `<|u|>/A_ref` or `<E>/A_ref`; coherence `s0^2/(s0^2 + var)` or
//! `1/(var + eps)`, with means over the clipped window (SCIENCE.md, The complexity index). `alpha D^bD` comes
//! from [`dimension`](super::dimension); where D is undefined the index is 0.

use rsw_config::{Coherence, Gain, MetricsSection};

use super::memory::reciprocal;
use super::sweep::fma;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
