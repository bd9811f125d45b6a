//! The structure factor of a field, `S(q) = |sum_r u(r) exp(-i q r)|^2 / N` over its N cells, and its radial average.
//!
//! The mean is taken off first. So `S(0) = 0`, and, by Parseval, the sum of S over all modes is the sum of `(u - mean)^2`; white noise of
//! variance v has `S = v` everywhere, a plane wave of amplitude A two modes of `N A^2/4` (SCIENCE.md, The complexity index). A Hann window, against the jump
//! from edge to opposite edge, is divided by its own mean square: the level of noise stays, the two sums hold in the mean only.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;
use rustfft::FftPlanner;

/// Power of every mode of a real field.
pub struct Spectrum {
    nx: usize,
    ny: usize,
    /// Modes kx from 0 to nx/2 of every ky; the others mirror them.
    power: Vec<f64>,
}

/// Modes of about one wavelength.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ring {
    /// Mean of S over them.
    pub mean: f64,
    /// How many there are.
    pub modes: u64,
}

impl Spectrum {
    /// The spectrum of a field of `nx` columns, through a Hann window if `hann`. Values must be finite.
    pub fn new(field: &[f32], nx: usize, hann: bool) -> Self {
        let ny = field.len() / nx;
        let mean = field.iter().map(|u| f64::from(*u)).sum::<f64>() / field.len() as f64;
        let [along, down] = [nx, ny].map(|count| window(count, hann));
        let columns = nx / 2 + 1;
        let mut half = vec![Complex::default(); columns * ny];
        let transform = RealFftPlanner::<f64>::new().plan_fft_forward(nx);
        let (mut line, mut scratch) = (transform.make_input_vec(), transform.make_scratch_vec());
        for (y, (row, modes)) in field.chunks(nx).zip(half.chunks_mut(columns)).enumerate() {
            for (x, (value, cell)) in line.iter_mut().zip(row).enumerate() {
                *value = (f64::from(*cell) - mean) * along[x] * down[y];
            }
            // The lengths are the plan's own.
            let done = transform.process_with_scratch(&mut line, modes, &mut scratch);
            debug_assert!(done.is_ok());
        }
        let transform = FftPlanner::<f64>::new().plan_fft_forward(ny);
        let mut column = vec![Complex::default(); ny];
        let mut power = vec![0.0; columns * ny];
        for kx in 0..columns {
            let down = half[kx..].iter().step_by(columns);
            column.iter_mut().zip(down).for_each(|(value, mode)| *value = *mode);
            transform.process(&mut column);
            let down = power[kx..].iter_mut().step_by(columns);
            down.zip(&column)
                .for_each(|(power, mode)| *power = mode.norm_sqr() / field.len() as f64);
        }
        Self { nx, ny, power }
    }

    /// S of the mode with `kx` waves along the field's width and `ky` along its height, each below the number of cells there.
    pub fn at(&self, kx: usize, ky: usize) -> f64 {
        let columns = self.nx / 2 + 1;
        match kx < columns {
            true => self.power[ky * columns + kx],
            false => self.power[(self.ny - ky) % self.ny * columns + self.nx - kx],
        }
    }

    /// S of every mode, row by row: row ky, column kx, as numpy.fft.fft2 orders them.
    pub fn modes(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.ny).flat_map(move |ky| (0..self.nx).map(move |kx| self.at(kx, ky)))
    }

    /// Means over rings of width one, ring k holding the modes with `k - 1/2 <= q < k + 1/2`, up to rounding; q counts waves along the longer side:
    /// `q = max(nx, ny) sqrt((kx/nx)^2 + (ky/ny)^2)`, so that a ring has one wavelength in every direction. The last ring holds the corner.
    pub fn rings(&self) -> Vec<Ring> {
        let longer = self.nx.max(self.ny) as f64;
        let ring = |kx: usize, ky: usize| {
            let [x, y] =
                [(kx, self.nx), (ky, self.ny)].map(|(k, n)| k.min(n - k) as f64 / n as f64);
            (longer * x.hypot(y) + 0.5) as usize
        };
        let mut rings = vec![Ring::default(); ring(self.nx / 2, self.ny / 2) + 1];
        for (k, power) in self.modes().enumerate() {
            let ring = &mut rings[ring(k % self.nx, k / self.nx)];
            (ring.mean, ring.modes) = (ring.mean + power, ring.modes + 1);
        }
        rings
            .iter_mut()
            .filter(|ring| ring.modes > 0)
            .for_each(|ring| ring.mean /= ring.modes as f64);
        rings
    }
}

/// Ones, or the periodic Hann window over its root mean square.
fn window(count: usize, hann: bool) -> Vec<f64> {
    // The mean of sin^4 over whole periods is 3/8, for three samples and more.
    let sample = |i: usize| match hann && count > 2 {
        true => (std::f64::consts::PI * i as f64 / count as f64).sin().powi(2) / 0.375f64.sqrt(),
        false => 1.0,
    };
    (0..count).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::metrics::meter::tests::noise;

    /// The definition, mode by mode; a Hann window has the mean square one.
    fn naive(field: &[f32], nx: usize, [kx, ky]: [usize; 2], hann: bool) -> f64 {
        let ny = field.len() / nx;
        let mean = field.iter().map(|u| f64::from(*u)).sum::<f64>() / field.len() as f64;
        let windows = [nx, ny].map(|n| {
            let bell = |i: usize| 0.5 - 0.5 * (TAU * i as f64 / n as f64).cos();
            let square = (0..n).map(|i| bell(i).powi(2)).sum::<f64>() / n as f64;
            let sample = |i| if hann && n > 2 { bell(i) / square.sqrt() } else { 1.0 };
            (0..n).map(sample).collect::<Vec<_>>()
        });
        let mut sum = Complex::<f64>::default();
        for (i, u) in field.iter().enumerate() {
            let (x, y) = (i % nx, i / nx);
            let turns = (kx * x % nx) as f64 / nx as f64 + (ky * y % ny) as f64 / ny as f64;
            let value = (f64::from(*u) - mean) * windows[0][x] * windows[1][y];
            sum += Complex::from_polar(value, -TAU * turns);
        }
        sum.norm_sqr() / field.len() as f64
    }

    const AWKWARD: [usize; 7] = [1, 2, 3, 5, 17, 1023, 1025];

    /// All modes of small fields, some of large ones.
    #[test]
    fn every_mode_is_its_definition_at_awkward_sizes() {
        let pairs = AWKWARD.iter().flat_map(|nx| AWKWARD.map(|ny| (*nx, ny)));
        for (nx, ny) in pairs.chain([(17, 4), (16, 33)]) {
            let (field, cells) = (noise(nx * ny, 5), nx * ny);
            // Of a large field the first, the last, and some between.
            let modes = if cells < 600 { cells } else { 5 };
            for hann in [false, true] {
                let spectrum = Spectrum::new(&field, nx, hann);
                assert_eq!(spectrum.modes().count(), cells);
                for k in (0..modes).map(|k| k * (cells - 1) / (modes - 1).max(1)) {
                    let mode = [k % nx, k / nx];
                    let (ours, exact) =
                        (spectrum.at(mode[0], mode[1]), naive(&field, nx, mode, hann));
                    assert!((ours - exact).abs() < 1e-12, "{nx} x {ny}, {mode:?}: {ours}, {exact}");
                }
            }
        }
    }

    /// Rings in whole numbers: mode (kx, ky) is in ring k where `(2k-1)^2 <= 4 q^2 < (2k+1)^2`.
    #[test]
    fn every_ring_is_the_mean_of_its_modes() {
        for (nx, ny) in AWKWARD.iter().flat_map(|nx| AWKWARD.map(|ny| (*nx, ny))) {
            let spectrum = Spectrum::new(&noise(nx * ny, 6), nx, false);
            let (across, down) = ((nx as u128).pow(2), (ny as u128).pow(2));
            let mut sums = vec![(0.0, 0); nx.max(ny) + 1];
            for (i, power) in spectrum.modes().enumerate() {
                let [kx, ky] = [(i % nx, nx), (i / nx, ny)].map(|(k, n)| k.min(n - k) as u128);
                // (2 q nx ny)^2.
                let square = 4 * across.max(down) * (kx * kx * down + ky * ky * across);
                let edge = |k: usize| (2 * k as u128 + 1).pow(2) * across * down;
                let ring = (0..).find(|k| square < edge(*k)).unwrap();
                (sums[ring].0, sums[ring].1) = (sums[ring].0 + power, sums[ring].1 + 1);
            }
            let last = sums.iter().rposition(|sum| sum.1 > 0).unwrap();
            let rings = spectrum.rings();
            assert_eq!(rings.len(), last + 1, "{nx} x {ny}");
            for (k, (ring, (sum, modes))) in rings.iter().zip(sums).enumerate() {
                let mean = if modes > 0 { sum / modes as f64 } else { 0.0 };
                assert_eq!(ring.modes, modes, "{nx} x {ny}, ring {k}");
                assert!(
                    (ring.mean - mean).abs() < 1e-12,
                    "{nx} x {ny}, ring {k}: {ring:?}, {mean}"
                );
            }
        }
    }

    /// Parseval, without a window and, for noise in the mean, with one.
    #[test]
    fn the_sum_over_modes_is_the_sum_over_cells() {
        for (nx, ny) in [(64, 64), (33, 70), (1023, 17)] {
            let field = noise(nx * ny, 2);
            let mean = field.iter().map(|u| f64::from(*u)).sum::<f64>() / field.len() as f64;
            let cells: f64 = field.iter().map(|u| (f64::from(*u) - mean).powi(2)).sum();
            let modes: f64 = Spectrum::new(&field, nx, false).modes().sum();
            assert!((modes / cells - 1.0).abs() < 1e-12, "{nx} x {ny}");
            let windowed: f64 = Spectrum::new(&field, nx, true).modes().sum();
            assert!((windowed / cells - 1.0).abs() < 0.1, "{nx} x {ny}: {windowed}, {cells}");
        }
    }

    /// Amplitude 0.5 on an offset: two modes of N A^2/4, and nothing else.
    #[test]
    fn a_plane_wave_is_two_modes() {
        let (nx, ny, [kx, ky]) = (48, 32, [5, 3]);
        let turns =
            |i: usize| (kx * (i % nx)) as f64 / nx as f64 + (ky * (i / nx)) as f64 / ny as f64;
        let field: Vec<f32> =
            (0..nx * ny).map(|i| (7.0 + 0.5 * (TAU * turns(i)).cos()) as f32).collect();
        let spectrum = Spectrum::new(&field, nx, false);
        let peak = (nx * ny) as f64 * 0.25 / 4.0;
        for (k, power) in spectrum.modes().enumerate() {
            let mode = [k % nx, k / nx];
            let expected = if mode == [kx, ky] || mode == [nx - kx, ny - ky] { peak } else { 0.0 };
            // Cells near 7 are rounded by 2^-22.
            assert!((power - expected).abs() < 1e-6 * peak, "{mode:?}: {power}");
        }
        // q = 48 hypot(5/48, 3/32) = 6.7.
        let rings = spectrum.rings();
        let total = |k: usize| rings[k].mean * rings[k].modes as f64;
        assert!((total(7) / (2.0 * peak) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn rings_hold_every_mode_once_and_noise_is_flat() {
        for (nx, ny) in [(1, 1), (2, 3), (64, 64), (100, 31)] {
            let rings = Spectrum::new(&noise(nx * ny, 9), nx, false).rings();
            assert_eq!(rings.iter().map(|ring| ring.modes).sum::<u64>(), (nx * ny) as u64);
            assert_eq!(rings[0], Ring { mean: rings[0].mean, modes: 1 });
            assert!(rings[0].mean < 1e-20, "the mean is taken off");
        }
        // Uniform in [-1, 1): variance 1/3. A ring of m modes is off by sqrt(2/m) of that, roughly.
        let rings = Spectrum::new(&noise(256 * 256, 4), 256, true).rings();
        for (k, ring) in rings.iter().enumerate().take(128).skip(8) {
            let apart = (3.0 * ring.mean - 1.0).abs();
            assert!(apart < 5.0 * (2.0 / ring.modes as f64).sqrt(), "ring {k}: {ring:?}");
        }
    }

    /// A surface of random phases with `S ~ q^-(2H+2)`, the spectrum of fractional Brownian motion in two dimensions (H = 0.6).
    #[test]
    fn a_rough_surface_has_its_slope() {
        let (n, h) = (128usize, 0.6f64);
        let phases = noise(n * n, 8);
        let mut modes = vec![Complex::<f64>::default(); n * n];
        for (k, mode) in modes.iter_mut().enumerate().skip(1) {
            let [x, y] = [k % n, k / n].map(|k| k.min(n - k) as f64);
            *mode = Complex::from_polar(x.hypot(y).powf(-(h + 1.0)), TAU * f64::from(phases[k]));
        }
        // The real part of any surface: its spectrum is the mean of two mirrored modes.
        let transform = FftPlanner::<f64>::new().plan_fft_inverse(n);
        modes.chunks_mut(n).for_each(|row| transform.process(row));
        for x in 0..n {
            let mut column: Vec<_> = modes[x..].iter().step_by(n).copied().collect();
            transform.process(&mut column);
            modes[x..].iter_mut().step_by(n).zip(column).for_each(|(cell, value)| *cell = value);
        }
        let field: Vec<f32> = modes.iter().map(|cell| cell.re as f32).collect();
        let rings = Spectrum::new(&field, n, false).rings();
        let points: Vec<[f64; 2]> =
            (4..48).map(|k| [(k as f64).ln(), rings[k].mean.ln()]).collect();
        let count = points.len() as f64;
        let [mx, my] = [0, 1].map(|axis| points.iter().map(|p| p[axis]).sum::<f64>() / count);
        let xy: f64 = points.iter().map(|p| (p[0] - mx) * (p[1] - my)).sum();
        let xx: f64 = points.iter().map(|p| (p[0] - mx).powi(2)).sum();
        let slope = xy / xx;
        assert!((slope + 2.0 * h + 2.0).abs() < 0.1, "{slope}");
    }
}
