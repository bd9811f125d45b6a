//! Edges that let waves out: measured reflections against SCIENCE.md (Edges).

#![allow(clippy::unwrap_used)]

mod common;

use std::f64::consts::{PI, TAU};

use common::{medium, noise, run, wave};
use rsw_config::Boundary;
use solver_proc::grid::Grid;
use solver_proc::wave::{Medium, Wave};

/// What the right edge sends back of a packet that meets it at `angle` to the normal: the field in
/// front of the edge, minus that of the same packet on a grid that goes on, over the packet.
fn reflection(boundary: Boundary, angle: f64) -> f64 {
    let (near, far, ny, steps) = (260, 560, 420, 330);
    let (m, sigma, k) = (medium(boundary, 0.7, 0.0), 26.0, TAU / 16.0);
    let (along, across) = (angle.cos(), angle.sin());
    // It starts so that its middle meets the edge halfway through.
    let way = 0.5 * steps as f64 * m.dt;
    let (x0, y0) = ((near - 1) as f64 - way * along, 0.5 * ny as f64 - way * across);
    let packet = |x: f64, y: f64, t: f64| {
        let (s, q) =
            ((x - x0) * along + (y - y0) * across - t, (y - y0) * along - (x - x0) * across);
        (k * s).cos() * (-(s * s + q * q) / (2.0 * sigma * sigma)).exp()
    };
    let start = |nx: usize| {
        let grid = Grid::new(nx, ny, 1.0, 1.0).unwrap();
        let place = |i: usize| ((i % nx) as f64, (i / nx) as f64);
        let field = |t: f64| {
            (0..nx * ny).map(move |i| {
                let (x, y) = place(i);
                packet(x, y, t)
            })
        };
        let u0: Vec<f32> = field(0.0).map(|u| u as f32).collect();
        let v0: Vec<f32> =
            field(1e-3).zip(field(-1e-3)).map(|(a, b)| ((a - b) / 2e-3) as f32).collect();
        let mut wave = Wave::new(grid, m).unwrap();
        wave.start(&u0, &v0, &vec![0.0; nx * ny]);
        run(&mut wave, steps);
        let sent = u0.iter().map(|u| f64::from(*u).powi(2)).sum::<f64>();
        (wave, sent)
    };
    let ((bounded, _), (open, sent)) = (start(near), start(far));
    let mut back = 0.0;
    for y in 0..ny {
        for x in 0..near {
            back += f64::from(bounded.u()[y * near + x] - open.u()[y * far + x]).powi(2);
        }
    }
    (back / sent).sqrt()
}

/// |R| = (1-cos)/(1+cos).
#[test]
fn mur_reflects_what_it_should() {
    let reflection = |angle| reflection(Boundary::Absorbing, angle);
    let straight = reflection(0.0);
    assert!(straight < 0.01, "normal incidence: {straight}");
    let slanted = reflection(PI / 4.0);
    assert!((slanted - 0.17).abs() < 0.03, "45 degrees: {slanted}");
    let grazing = reflection(PI / 3.0);
    assert!((grazing - 0.33).abs() < 0.04, "60 degrees: {grazing}");
}

/// The second condition reflects the square of the first.
#[test]
fn engquist_majda_reflects_the_square() {
    let reflection = |angle| reflection(Boundary::EngquistMajda, angle);
    let straight = reflection(0.0);
    assert!(straight < 0.01, "normal incidence: {straight}");
    let slanted = reflection(PI / 4.0);
    assert!((slanted - 0.0294).abs() < 0.01, "45 degrees: {slanted}");
    let grazing = reflection(PI / 3.0);
    assert!((grazing - 0.1111).abs() < 0.02, "60 degrees: {grazing}");
}

/// Corners and unequal spacings: without damping nothing grows, and nearly all leaves. The second
/// condition lets waves out and keeps what rests: a uniform field satisfies it.
#[test]
fn absorbing_edges_stay_stable() {
    let sizes = [(3, 3, 1.0), (5, 40, 1.0), (41, 33, 1.7), (64, 64, 1.0)];
    let both = [Boundary::Absorbing, Boundary::EngquistMajda];
    for (boundary, (nx, ny, dy)) in both.iter().flat_map(|b| sizes.map(|size| (*b, size))) {
        let grid = Grid::new(nx, ny, 1.0, dy).unwrap();
        let mut u0 = noise(nx * ny, 3);
        let mean = u0.iter().sum::<f32>() / (nx * ny) as f32;
        u0.iter_mut().for_each(|u| *u -= mean);
        let mut wave = wave(grid, medium(boundary, 0.7, 0.0), &u0);
        let mut left_after = |steps| {
            run(&mut wave, steps);
            wave.u().iter().fold(0f32, |most, u| most.max(u.abs()))
        };
        let (early, late) = (left_after(10_000), left_after(10_000));
        let most = if boundary == Boundary::Absorbing { 0.5 } else { 2.0 };
        assert!(late < most, "{boundary:?} {nx} x {ny}: {late}");
        assert!(late < early + 1e-3, "{boundary:?} {nx} x {ny}: {early}, then {late}");
    }
}

/// A plane wave goes into the layer, is reflected by the held edge, comes back, and has kept
/// `exp(-(1/c) int gamma dx) = exp(-gmax L/(3 c))`.
#[test]
fn the_sponge_swallows_what_its_formula_says() {
    let (nx, ny, width, peak) = (400, 5, 60, 0.1);
    let sponge =
        Medium { sponge_width: width, sponge_damping: peak, ..medium(Boundary::Sponge, 0.7, 0.0) };
    // The layers above and below would swallow it too: the formula is for a wave across one layer,
    // so the field is far higher than the wave has time to see.
    let ny = ny + 2 * 420;
    let grid = Grid::new(nx, ny, 1.0, 1.0).unwrap();
    let pulse = |x: f64, t: f64| {
        let s = x - 250.0 - t;
        (TAU / 20.0 * s).cos() * (-s * s / (2.0 * 20.0f64.powi(2))).exp()
    };
    let row = |t: f64| (0..nx).map(move |x| pulse(x as f64, t));
    let tile = |row: Vec<f32>| row.repeat(ny);
    let u0 = tile(row(0.0).map(|u| u as f32).collect());
    let v0 = tile(row(1e-3).zip(row(-1e-3)).map(|(a, b)| ((a - b) / 2e-3) as f32).collect());
    let mut wave = Wave::new(grid, sponge).unwrap();
    wave.start(&u0, &v0, &vec![0.0; nx * ny]);
    // 150 cells to the edge and 150 back: it is out of the layer again, heading left.
    run(&mut wave, (300.0 / 0.7) as usize);
    let middle = &wave.u()[ny / 2 * nx..][..nx];
    let back = middle.iter().fold(0f32, |most, u| most.max(u.abs()));
    let expected = (-peak * width as f64 / 3.0).exp();
    assert!((f64::from(back) / expected - 1.0).abs() < 0.2, "{back}, formula {expected}");
}
