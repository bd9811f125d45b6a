//! The radial structure factor of a field frame: how its power is spread over wavelengths.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;
use rustfft::FftPlanner;

/// Rings of equal width between 0 and 0.5 cycles per cell.
pub const RINGS: usize = 32;
/// Side of the patch around an agent's site, in cells.
pub const PATCH_CELLS: usize = 64;
/// A side shorter than this has no spectrum worth the name.
const SIDE_CELLS_MIN: usize = 8;

/// A rectangle of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Patch {
    /// The whole field.
    pub fn whole(nx: usize, ny: usize) -> Self {
        Self { x: 0, y: 0, width: nx, height: ny }
    }

    /// [`PATCH_CELLS`] square around a site, moved inside the field where it would stick out.
    pub fn around(site: [u32; 2], nx: usize, ny: usize) -> Self {
        let place = |centre: u32, cells: usize| {
            let side = PATCH_CELLS.min(cells);
            let first = (centre as usize).saturating_sub(side / 2).min(cells - side);
            (first, side)
        };
        let (x, width) = place(site[0], nx);
        let (y, height) = place(site[1], ny);
        Self { x, y, width, height }
    }
}

/// Share of the patch's power in each ring of wavenumbers: `S(k)` of the mean-free, Hann-windowed patch,
/// summed over `|k|` in ring `i` = `(i, i+1] / 64` cycles per cell, divided by the sum over all rings.
/// Wavenumbers beyond 0.5 (the corners of the square) are left out: they exist along the diagonals only.
///
/// `None` where it is undefined: a patch that is too small, flat, or not finite, or that does not lie
/// inside `cells` (`nx` columns).
pub fn rings(cells: &[f32], nx: usize, patch: Patch) -> Option<[f64; RINGS]> {
    let Patch { x, y, width, height } = patch;
    if width < SIDE_CELLS_MIN || height < SIDE_CELLS_MIN || x + width > nx {
        return None;
    }
    if (y + height).checked_mul(nx)? > cells.len() {
        return None;
    }
    let rows = || (y..y + height).map(|row| &cells[row * nx + x..row * nx + x + width]);
    let count = (width * height) as f64;
    let mean = rows().flatten().map(|&v| f64::from(v)).sum::<f64>() / count;
    let scale = rows().flatten().map(|&v| (f64::from(v) - mean).abs()).fold(0.0, f64::max);
    if !mean.is_finite() || !scale.is_finite() || scale <= f64::from(f32::EPSILON) * mean.abs() {
        return None;
    }
    let spectrum = half_spectrum(rows(), width, height, mean, scale)?;
    let mut power = [0.0f64; RINGS];
    let columns = width / 2 + 1;
    for (place, value) in spectrum.iter().enumerate() {
        let (kx, row) = (place % columns, place / columns);
        let ky = row.min(height - row);
        let k = (kx as f64 / width as f64).hypot(ky as f64 / height as f64);
        if k == 0.0 || k > 0.5 {
            continue;
        }
        // The half that a real transform leaves out mirrors the inner columns.
        let weight = if kx == 0 || 2 * kx == width { 1.0 } else { 2.0 };
        let ring = ((k * 2.0 * RINGS as f64).ceil() as usize).clamp(1, RINGS) - 1;
        power[ring] += weight * value.norm_sqr();
    }
    let total: f64 = power.iter().sum();
    (total.is_finite() && total > 0.0).then(|| power.map(|p| p / total))
}

/// Row-major 2-D transform of a real patch, columns 0 to width/2.
fn half_spectrum<'a>(
    rows: impl Iterator<Item = &'a [f32]>,
    width: usize,
    height: usize,
    mean: f64,
    scale: f64,
) -> Option<Vec<Complex<f64>>> {
    let along = RealFftPlanner::<f64>::new().plan_fft_forward(width);
    let columns = width / 2 + 1;
    let (window_x, window_y) = (hann(width), hann(height));
    let mut spectrum = vec![Complex::default(); columns * height];
    let mut line = along.make_input_vec();
    for (row, cells) in rows.enumerate() {
        for (x, cell) in cells.iter().enumerate() {
            line[x] = (f64::from(*cell) - mean) / scale * window_x[x] * window_y[row];
        }
        along.process(&mut line, &mut spectrum[row * columns..(row + 1) * columns]).ok()?;
    }
    let across = FftPlanner::<f64>::new().plan_fft_forward(height);
    let mut column = vec![Complex::default(); height];
    for kx in 0..columns {
        for (row, value) in column.iter_mut().enumerate() {
            *value = spectrum[row * columns + kx];
        }
        across.process(&mut column);
        for (row, value) in column.iter().enumerate() {
            spectrum[row * columns + kx] = *value;
        }
    }
    Some(spectrum)
}

/// The Hann window, periodic form.
pub(crate) fn hann(count: usize) -> Vec<f64> {
    let step = std::f64::consts::TAU / count as f64;
    (0..count).map(|i| 0.5 - 0.5 * (step * i as f64).cos()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane_wave(nx: usize, ny: usize, kx: f64, ky: f64) -> Vec<f32> {
        let phase = |i: usize| kx * (i % nx) as f64 + ky * (i / nx) as f64;
        (0..nx * ny).map(|i| (std::f64::consts::TAU * phase(i)).cos() as f32).collect()
    }

    #[test]
    fn a_plane_wave_lies_in_its_ring() {
        for (kx, ky) in [(0.125, 0.0), (0.0, 0.25), (0.1875, 0.25)] {
            let field = plane_wave(128, 96, kx, ky);
            let rings = rings(&field, 128, Patch::whole(128, 96)).unwrap();
            let k = f64::hypot(kx, ky);
            let ring = (k * 64.0).ceil() as usize - 1;
            let near: f64 = rings[ring - 1..(ring + 2).min(RINGS)].iter().sum();
            assert!(near > 0.98, "k {k}: {near}");
            assert!((rings.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn amplitude_and_offset_do_not_matter() {
        let field = plane_wave(64, 64, 0.1, 0.05);
        let other: Vec<f32> = field.iter().map(|v| 7.0 * v + 3.0).collect();
        let a = rings(&field, 64, Patch::whole(64, 64)).unwrap();
        let b = rings(&other, 64, Patch::whole(64, 64)).unwrap();
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn what_has_no_spectrum_says_so() {
        assert_eq!(rings(&[1.0; 4096], 64, Patch::whole(64, 64)), None);
        assert_eq!(rings(&[f32::NAN; 4096], 64, Patch::whole(64, 64)), None);
        assert_eq!(rings(&[1.0; 4], 2, Patch::whole(2, 2)), None);
        assert_eq!(rings(&[1.0; 100], 64, Patch::whole(64, 64)), None);
    }

    #[test]
    fn a_patch_stays_inside() {
        assert_eq!(
            Patch::around([0, 255], 256, 256),
            Patch { x: 0, y: 192, width: 64, height: 64 }
        );
        assert_eq!(Patch::around([9, 9], 16, 20), Patch { x: 0, y: 0, width: 16, height: 20 });
    }
}
