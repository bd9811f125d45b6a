//! Sums over more than 2^24 cells, where a counter in single precision stands still.

#![allow(clippy::unwrap_used)]

mod common;

use common::{medium, noise_of, pool};
use rsw_config::{Auto, Boundary, MetricsSection};
use solver_proc::energy::EnergyMeter;
use solver_proc::grid::Grid;
use solver_proc::metrics::{Kept, Meter};
use solver_proc::real::Real;
use solver_proc::wave::Wave;
use solver_proc::workers::Workers;

const SIDE: usize = 4160;
const CELLS: usize = SIDE * SIDE;
const _: () = assert!(CELLS > 1 << 24);

/// The two-level energy (SCIENCE.md, Scheme) on a torus, cell by cell in double precision, for c = dx = dy = 1.
fn naive_energy<T: Real>(u: &[T], old: &[T], dt: f64) -> f64 {
    let cell = |i: usize| {
        let (east, south) = (i / SIDE * SIDE + (i + 1) % SIDE, (i + SIDE) % CELLS);
        let slope = |level: &[T], there: usize| level[there].to_f64() - level[i].to_f64();
        let slopes = slope(u, east) * slope(old, east) + slope(u, south) * slope(old, south);
        ((u[i].to_f64() - old[i].to_f64()) / dt).powi(2) + slopes
    };
    0.5 * (0..CELLS).map(cell).sum::<f64>()
}

/// Two levels of noise, and two uniform ones, whose energy is `CELLS/(2 dt^2)` exactly.
fn check_energy<T: Real>(tolerance: f64) {
    let (dt, workers) = (0.5, Workers::new(pool(2)));
    let grid = Grid::new(SIDE, SIDE, 1.0, 1.0).unwrap();
    let mut wave: Wave<T> = Wave::new(grid, medium(Boundary::Periodic, dt, 0.0)).unwrap();
    let [mut u, mut old] = [1, 2].map(|seed| noise_of::<T>(CELLS, seed));
    u[CELLS - 1] = T::from_f64(-7.5);
    wave.resume(&u, &old);
    let (ours, exact) =
        (EnergyMeter::new(SIDE).measure(&wave, &workers), naive_energy(&u, &old, dt));
    assert!((ours / exact - 1.0).abs() < tolerance, "{}: {ours}, {exact}", T::NAME);
    assert_eq!(wave.magnitude(&workers), 7.5);
    u.fill(T::from_f64(1.0));
    old.fill(T::default());
    wave.resume(&u, &old);
    assert_eq!(EnergyMeter::new(SIDE).measure(&wave, &workers), 2.0 * CELLS as f64);
}

#[test]
fn the_energy_of_many_cells_is_right() {
    check_energy::<f32>(1e-9);
    check_energy::<f64>(1e-12);
}

/// Means against those of the fields in double precision; boxes of one cell against the cells above the threshold.
#[test]
fn means_over_many_cells_are_right() {
    // 4160 = 65 * 64: no cell is cropped.
    let section = MetricsSection {
        threshold: "1e-3".into(),
        box_max: Auto::Set(64),
        ..MetricsSection::default()
    };
    let workers = Workers::new(pool(2));
    let mut meter = Meter::new(SIDE, SIDE, &section, 0.01, Kept::ALL).unwrap();
    let u: Vec<f32> = noise_of(CELLS, 3);
    meter.remember(&u, &workers);
    let summary = meter.evaluate(&u, &workers);
    for (name, ours, field) in [
        ("ci", summary.ci_mean, meter.ci()),
        ("coherence", summary.coherence_mean, meter.coherence()),
        ("gain", summary.gain_mean, meter.gain()),
        ("dwell", summary.dwell_mean, meter.dwell()),
    ] {
        let mean = field.iter().map(|v| f64::from(*v)).sum::<f64>() / CELLS as f64;
        assert!(mean > 0.0 && (ours / mean - 1.0).abs() < 1e-6, "{name}: {ours}, {mean}");
    }
    let above = u.iter().filter(|u| u.abs() > summary.theta).count();
    assert!(above > 1 << 24);
    assert_eq!(meter.pyramid().whole().counts[0], above as u64);
    assert!((summary.d_global - 2.0).abs() < 1e-3, "{}", summary.d_global);
}
