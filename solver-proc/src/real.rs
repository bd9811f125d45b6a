//! The two floating-point types a wave can be computed in.

use std::fmt::{Debug, Display};
use std::ops::{Add, Mul, Neg, Sub};

/// Single or double precision. Sealed: every operation is one IEEE operation of the type, fused only
/// where [`Real::fused`] says so, so that no instruction set changes a bit.
pub trait Real:
    sealed::Sealed
    + bytemuck::Pod
    + Send
    + Sync
    + PartialOrd
    + Debug
    + Display
    + Default
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
{
    /// The name in a npy header and on the command line: `f32`, `f64`.
    const NAME: &'static str;

    /// Less than any product that matters, and normal: where sums of products may begin.
    const FLOOR: Self;

    /// More than the relative error of a sum of a few products: what is this far from a limit stays below it.
    const MARGIN: f64;

    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;

    /// The same value in double precision.
    fn to_f64(self) -> f64;

    /// The magnitude.
    fn abs(self) -> Self;

    /// `self * factor + addend`, rounded once. A processor without the instruction (before 2013) gets the
    /// same bits from a function, slowly: not for the steps of a wave.
    fn fused(self, factor: Self, addend: Self) -> Self;

    /// Zero for magnitudes below 2^-95 (single) or 2^-895 (double), else the value itself. A wave
    /// front thins out into subnormal numbers, which cost a processor a hundred times as much as
    /// others; products of two steps above these limits stay normal. One test of exponent bits.
    fn flushed(self) -> Self;

    /// The sine, to some units in the last place for magnitudes below 1e4, from operations that
    /// vectorise and are the same on every processor.
    fn sine(self) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Real for f32 {
    const NAME: &'static str = "f32";
    /// 2^-112.
    const FLOOR: Self = f32::from_bits((127 - 112) << 23);
    const MARGIN: f64 = 8.0 * f32::EPSILON as f64;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    #[inline(always)]
    fn fused(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }

    #[inline(always)]
    fn flushed(self) -> Self {
        if self.to_bits() & 0x7000_0000 == 0 { 0.0 } else { self }
    }

    #[inline(always)]
    fn sine(self) -> Self {
        // pi in three parts, the first two short enough that their multiples are exact.
        const PI: [f32; 3] = [3.140_625, 9.670_257_6e-4, 6.278_329_6e-7];
        const ROUND: f32 = 12_582_912.0;
        const TAYLOR: [f32; 5] =
            [-1.0 / 39_916_800.0, 1.0 / 362_880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0];
        let shifted = self * std::f32::consts::FRAC_1_PI + ROUND;
        let turns = shifted - ROUND;
        let r = ((self - turns * PI[0]) - turns * PI[1]) - turns * PI[2];
        let r2 = r * r;
        let tail = TAYLOR.into_iter().fold(0.0, |sum, term| sum * r2 + term);
        let sine = r + r * (r2 * tail);
        f32::from_bits(sine.to_bits() ^ (shifted.to_bits() << 31))
    }
}

impl Real for f64 {
    const NAME: &'static str = "f64";
    /// 2^-960.
    const FLOOR: Self = f64::from_bits((1023 - 960) << 52);
    const MARGIN: f64 = 8.0 * f64::EPSILON;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }

    #[inline(always)]
    fn fused(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }

    #[inline(always)]
    fn flushed(self) -> Self {
        if self.to_bits() & 0x7800_0000_0000_0000 == 0 { 0.0 } else { self }
    }

    #[inline(always)]
    fn sine(self) -> Self {
        // pi in three parts of 31, 31 and 53 bits.
        const PI: [f64; 3] =
            [3.141_592_653_468_251_2, 1.215_420_100_718_692e-10, 5.825_464_112_186_712e-20];
        const ROUND: f64 = 6_755_399_441_055_744.0;
        const TAYLOR: [f64; 10] = [
            1.0 / 51_090_942_171_709_440_000.0,
            -1.0 / 121_645_100_408_832_000.0,
            1.0 / 355_687_428_096_000.0,
            -1.0 / 1_307_674_368_000.0,
            1.0 / 6_227_020_800.0,
            -1.0 / 39_916_800.0,
            1.0 / 362_880.0,
            -1.0 / 5040.0,
            1.0 / 120.0,
            -1.0 / 6.0,
        ];
        let shifted = self * std::f64::consts::FRAC_1_PI + ROUND;
        let turns = shifted - ROUND;
        let r = ((self - turns * PI[0]) - turns * PI[1]) - turns * PI[2];
        let r2 = r * r;
        let tail = TAYLOR.into_iter().fold(0.0, |sum, term| sum * r2 + term);
        let sine = r + r * (r2 * tail);
        f64::from_bits(sine.to_bits() ^ (shifted.to_bits() << 63))
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    /// Against the system's sine over many turns.
    #[test]
    fn the_sine_is_a_sine() {
        for k in -200_000..200_000 {
            let x = f64::from(k) * 1.234_567e-3;
            assert!((x.sine() - libm::sin(x)).abs() < 4e-16, "{x}");
            let single = x as f32;
            let error = f64::from(single.sine()) - libm::sin(f64::from(single));
            assert!(error.abs() < 2e-7, "{single}: {error}");
        }
        assert!(f32::NAN.sine().is_nan() && f64::INFINITY.sine().is_nan());
    }

    #[test]
    fn what_is_too_small_to_matter_becomes_zero() {
        let limit = 2f32.powi(-95);
        assert_eq!((limit.flushed(), (-limit).flushed()), (limit, -limit));
        assert_eq!(f32::from_bits(limit.to_bits() - 1).flushed().to_bits(), 0);
        assert_eq!((1e-40f32.flushed(), 1e-280f64.flushed()), (0.0, 0.0));
        assert!(f32::NAN.flushed().is_nan() && f64::NEG_INFINITY.flushed().is_infinite());
        assert_eq!(1e-269f64.flushed(), 1e-269);
    }
}
