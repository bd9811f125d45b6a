//! Means and variances against two passes in double precision, window by window.

use super::*;
use crate::metrics::meter::tests::noise;

#[test]
fn moments_are_those_of_every_window_cell_by_cell() {
    let shapes = [(1, 1), (2, 1), (3, 5), (17, 23), (70, 40), (1023, 17), (5, 1025)];
    for (nx, ny) in shapes {
        let u = noise(nx * ny, 3);
        for side in [1, 3, 5, 7, 9, 15, 31] {
            let window = Window::new(nx, ny, side);
            for strip in [0..ny, 0..ny / 2, ny / 2..ny] {
                let mut moments = window.moments();
                for y in strip.clone() {
                    check_row(&window, &mut moments, &strip, y, &u);
                }
            }
        }
    }
}

/// In double precision, two passes over every window.
fn exact(window: &Window, [x, y]: [usize; 2], field: &[f32]) -> [f64; 2] {
    let (nx, ny, half) = (window.nx, window.ny, window.side / 2);
    let mut values = Vec::new();
    for row in y.saturating_sub(half)..(y + half + 1).min(ny) {
        for column in x.saturating_sub(half)..(x + half + 1).min(nx) {
            values.push(f64::from(field[row * nx + column]));
        }
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    [mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count]
}

/// Means and variances around row `y`.
fn row(
    window: &Window,
    moments: &mut Moments,
    strip: &Range<usize>,
    y: usize,
    field: &[f32],
) -> Vec<[f64; 2]> {
    window.advance(moments, strip, y, field);
    let row = window.windows(moments);
    let cells = row.mean.iter().zip(row.squares).zip(row.floor.iter().zip(row.inverse));
    let cell = |((mean, squares), (floor, inverse)): ((&f32, &f32), (&f32, &f32))| {
        let variance = Windows::variance(*squares, *floor, *inverse);
        [f64::from(*mean), f64::from(variance)]
    };
    cells.map(cell).collect()
}

fn check_row(
    window: &Window,
    moments: &mut Moments,
    strip: &Range<usize>,
    y: usize,
    field: &[f32],
) {
    for (x, [ours, spread]) in row(window, moments, strip, y, field).into_iter().enumerate() {
        let [mean, variance] = exact(window, [x, y], field);
        // Values are below 1: a mean is off by some units of 2^-24, a variance relatively.
        assert!((ours - mean).abs() < 4e-7, "{x}, {y}, side {}: {ours}, {mean}", window.side);
        assert!(
            (spread - variance).abs() <= 2e-6 * variance,
            "{x}, {y}, side {}: {spread}, {variance}",
            window.side
        );
    }
}

/// A wave of 1e-3 on an offset of 1. A mean near 1 is right to a unit of
/// 2^-23, so a variance (from 2e-8 up) is right to that over the standard deviation.
#[test]
fn a_small_variance_on_a_large_offset_survives() {
    let n = 64;
    let u: Vec<f32> =
        (0..n * n).map(|i| (1.0 + 1e-3 * (0.1 * (i % n) as f64).sin()) as f32).collect();
    let window = Window::new(n, n, 9);
    let mut moments = window.moments();
    for y in 0..n {
        let cells = row(&window, &mut moments, &(0..n), y, &u);
        for (x, [_, ours]) in cells.into_iter().enumerate() {
            let [_, variance] = exact(&window, [x, y], &u);
            let error = ours / variance - 1.0;
            assert!(
                error.abs() < f64::from(f32::EPSILON) / variance.sqrt(),
                "{x}, {y}: {error} of {variance}"
            );
        }
    }
}
