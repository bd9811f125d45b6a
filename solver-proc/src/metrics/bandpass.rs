//! A band-pass filter in every cell: Butterworth, four poles, a sample a tick.
//!
//! With `W(f) = tan(pi f/f_s)`, `W0^2 = W(low) W(high)`, `B = W(high) - W(low)` the gain is
//! `1/sqrt(1 + ((W^2 - W0^2)/(B W))^4)`: 1 at the centre, 1/sqrt(2) at both edges. The poles are those of the low-pass
//! `p = exp(+-3 pi i/4)` under `s -> (s^2 + W0^2)/(B s)` and the bilinear transform, two resonators `s^2 + k w s + w^2`, each computed
//! as two trapezoidal integrators in a loop (Zavalishin, The Art of VA Filter Design, 2012): in this form single precision
//! is enough for bands far below the tick rate, where the coefficients of a direct form would lose their digits. An edge of less than a
//! millionth of the tick rate is refused.

use rustfft::num_complex::Complex;

use super::sweep::{fma, sweep};
use crate::cells::Cells;
use crate::workers::{Workers, strip_rows};

/// What decays below this is zero: no slow subnormal numbers.
const SILENCE: f32 = 1e-18;

/// The filter of every cell, and what it last gave.
pub(super) struct BandPass {
    sections: [Section; 2],
    chunk: usize,
    states: [Cells; BandPass::STATES],
    filtered: Cells,
}

/// A resonator: `g` its frequency, `k` its damping, `share = 1/(1 + g (g + k))`, `gain` what it is scaled by.
#[derive(Debug, Clone, Copy)]
struct Section {
    g: f32,
    share: f32,
    gain: f32,
}

impl BandPass {
    /// Fields of state.
    pub(super) const STATES: usize = 4;

    /// A filter at rest for the band from `low` to `high`, frequencies as shares of the tick rate: `0 < low < high < 1/2`.
    pub(super) fn new(nx: usize, ny: usize, low: f64, high: f64) -> Self {
        Self {
            sections: sections(low, high),
            chunk: strip_rows(ny) * nx,
            states: std::array::from_fn(|k| Cells::new(nx * ny, 10 + k)),
            filtered: Cells::new(nx * ny, 14),
        }
    }

    /// Takes in the field of a tick.
    pub(super) fn take(&mut self, u: &[f32], workers: &Workers) {
        let Self { sections: [first, second], chunk, states: [a, b, c, d], filtered } = self;
        let [first, second] = [*first, *second];
        let rows = u.chunks(*chunk).zip(filtered.chunks_mut(*chunk));
        let states = a.chunks_mut(*chunk).zip(b.chunks_mut(*chunk));
        let states = states.zip(c.chunks_mut(*chunk).zip(d.chunks_mut(*chunk)));
        workers.each(
            rows.zip(states),
            #[inline(always)]
            |((u, filtered), ((a, b), (c, d)))| {
                sweep(
                    [u],
                    [a, b, c, d],
                    [filtered],
                    #[inline(always)]
                    |[u], [a, b, c, d]| {
                        let ([a, b], u) = first.step([a, b], u);
                        let ([c, d], u) = second.step([c, d], u);
                        ([a, b, c, d], [u])
                    },
                );
            },
        );
    }

    /// What it gave at the last tick.
    pub(super) fn filtered(&self) -> &[f32] {
        &self.filtered
    }

    /// The states, and what was given last.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[f32]> {
        self.states.iter().chain([&self.filtered]).map(|field| &**field)
    }

    pub(super) fn fields_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.states.iter_mut().chain([&mut self.filtered]).map(|field| &mut **field)
    }

    /// Back to rest.
    pub(super) fn clear(&mut self) {
        self.fields_mut().for_each(|field| field.fill(0.0));
    }
}

impl Section {
    /// One sample: the new state, and the band-pass output.
    #[inline(always)]
    fn step(self, [first, second]: [f32; 2], u: f32) -> ([f32; 2], f32) {
        let band = self.share * fma(self.g, u - second, first);
        let low = fma(self.g, band, second);
        let state = [fma(2.0, band, -first), fma(2.0, low, -second)];
        (state.map(audible), self.gain * band)
    }
}

#[inline(always)]
fn audible(value: f32) -> f32 {
    if value.abs() > SILENCE { value } else { 0.0 }
}

fn sections(low: f64, high: f64) -> [Section; 2] {
    let [low, high] = [low, high].map(|share| libm::tan(std::f64::consts::PI * share));
    let (centre_squared, width) = (low * high, high - low);
    // The roots of s^2 - p B s + W0^2 for one of the two low-pass poles; those of the other are their conjugates.
    let middle = Complex::from_polar(width / 2.0, 0.75 * std::f64::consts::PI);
    let apart = (middle * middle - centre_squared).sqrt();
    // The difference of a wide band would lose its digits: their product is known. The slower one takes a constant out first.
    let larger = if (middle * apart.conj()).re < 0.0 { middle - apart } else { middle + apart };
    [centre_squared / larger, larger].map(|pole| {
        let g = pole.norm();
        let share = 1.0 / (1.0 + g * (g - 2.0 * pole.re / g));
        // The product of both gains makes the centre's 1.
        Section { g: g as f32, share: share as f32, gain: (width / centre_squared.sqrt()) as f32 }
    })
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{PI, TAU};

    use super::*;
    use crate::metrics::meter::tests::alone;

    /// Amplitude of the answer to a sine of so many cycles a tick, by its two components over whole periods.
    fn gain(low: f64, high: f64, periods: usize, ticks: usize) -> f64 {
        let (mut filter, workers) = (BandPass::new(1, 1, low, high), alone());
        let turn = |tick: usize| TAU * (tick * periods) as f64 / ticks as f64;
        let (mut sine, mut cosine) = (0.0, 0.0);
        for tick in 0..6 * ticks {
            filter.take(&[turn(tick).sin() as f32], &workers);
            if tick >= 5 * ticks {
                let value = f64::from(filter.filtered()[0]);
                (sine, cosine) =
                    (sine + value * turn(tick).sin(), cosine + value * turn(tick).cos());
            }
        }
        2.0 * f64::hypot(sine, cosine) / ticks as f64
    }

    /// The closed form of the head of this file, from a tenth of its lower edge to twice its upper one, and for a band at a
    /// thousandth of the rate.
    #[test]
    fn the_gain_is_that_of_the_formula() {
        for (low, high, ticks) in [(0.05, 0.1, 1000), (0.08, 0.4, 500), (0.0005, 0.004, 20_000)] {
            let [a, b] = [low, high].map(|share: f64| (PI * share).tan());
            for share in [0.1 * low, 0.5 * low, low, (low * high).sqrt(), high, 2.0 * high] {
                let periods = (share * ticks as f64).round().max(1.0) as usize;
                if 2 * periods >= ticks {
                    continue;
                }
                let w = (PI * periods as f64 / ticks as f64).tan();
                let exact = 1.0 / (1.0 + ((w * w - a * b) / ((b - a) * w)).powi(4)).sqrt();
                let ours = gain(low, high, periods, ticks);
                assert!((ours - exact).abs() < 2e-4, "{low}..{high} at {share}: {ours}, {exact}");
            }
        }
    }

    /// Bands over many decades, where the poles lie far apart.
    #[test]
    fn wide_bands_keep_their_gain() {
        for (low, high) in [(1e-4, 0.1), (1e-4, 0.49), (1e-6, 0.4999)] {
            for share in [0.01, 0.03, 0.05] {
                let ours = gain(low, high, (share * 20_000.0) as usize, 20_000);
                let [a, b, w] = [low, high, share].map(|share: f64| (PI * share).tan());
                let exact = 1.0 / (1.0 + ((w * w - a * b) / ((b - a) * w)).powi(4)).sqrt();
                assert!((ours - exact).abs() < 1e-3, "{low}..{high} at {share}: {ours}, {exact}");
            }
        }
    }

    #[test]
    fn a_constant_passes_nothing_and_rest_is_exact() {
        let (mut filter, workers) = (BandPass::new(2, 1, 0.05, 0.1), alone());
        for _ in 0..3000 {
            filter.take(&[1.0, 0.0], &workers);
        }
        assert!(filter.filtered()[0].abs() < 1e-6 && filter.filtered()[1] == 0.0);
        for _ in 0..3000 {
            filter.take(&[0.0, 0.0], &workers);
        }
        assert!(filter.fields().all(|field| field == [0.0, 0.0]), "what decays ends");
    }
}
