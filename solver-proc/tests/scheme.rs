//! The scheme against its exact discrete facts (SCIENCE.md, Scheme).

#![allow(clippy::unwrap_used)]

mod common;

use std::f64::consts::{PI, TAU};

use common::{BOUNDARIES, LAWS, alone, bits, medium, noise, noise_of, run, wave};
use proptest::prelude::*;
use rsw_config::Boundary;
use rustfft::num_complex::Complex64;
use rustfft::{FftDirection, FftPlanner};
use solver_proc::energy::EnergyMeter;
use solver_proc::feedback::Feedback;
use solver_proc::grid::Grid;
use solver_proc::real::Real;
use solver_proc::source::Feeds;
use solver_proc::wave::{Medium, MediumError, Tiling, Wave};
use solver_proc::workers::Workers;

fn unit_square(n: usize) -> Grid {
    Grid::new(n + 1, n + 1, 1.0 / n as f64, 1.0 / n as f64).unwrap()
}

fn mode(n: usize, m: [usize; 2]) -> Vec<f32> {
    let sine = |i: usize, m: usize| (PI * (i * m) as f64 / n as f64).sin();
    (0..(n + 1) * (n + 1))
        .map(|i| (sine(i % (n + 1), m[0]) * sine(i / (n + 1), m[1])) as f32)
        .collect()
}

fn project(field: &[f32], shape: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(field, shape) / dot(shape, shape)
}

/// The frequencies of the dispersion relation, from the phase after 2000 steps.
#[test]
fn standing_waves_have_the_frequencies_of_the_scheme() {
    let cases = [
        ([1, 1], 0.5, 4.4426598846),
        ([3, 2], 0.5, 11.3223812346),
        ([8, 8], 0.7, 35.5384259376),
        ([16, 16], 0.5, 70.1476361754),
    ];
    for (m, courant, omega) in cases {
        let (n, steps) = (64, 2000);
        let dt = courant / n as f64;
        let shape = mode(n, m);
        let mut wave = wave(unit_square(n), medium(Boundary::Dirichlet, dt, 0.0), &shape);
        run(&mut wave, steps);
        let [now, before] = [wave.u(), wave.previous()].map(|level| project(level, &shape));
        // now = cos(theta), before = cos(theta - omega dt).
        let step: f64 = omega * dt;
        let phase = ((before - now * step.cos()) / step.sin()).atan2(now);
        let expected = omega * dt * steps as f64;
        let error = (phase - expected + PI).rem_euclid(TAU) - PI;
        assert!((error / expected).abs() < 2e-5, "{m:?}: {error} of {expected}");
    }
}

fn transform(field: &mut [Complex64], n: usize, direction: FftDirection) {
    let plan = FftPlanner::new().plan_fft(n, direction);
    for _ in 0..2 {
        plan.process(field);
        for y in 0..n {
            for x in 0..y {
                field.swap(y * n + x, x * n + y);
            }
        }
    }
}

/// Each Fourier mode of a periodic field is `P z1^n + Q z2^n` with the roots of
/// `(1+a) z^2 - (2 - S^2 lambda) z + (1-a) = 0`; in double precision against ours in single.
#[test]
fn a_random_periodic_field_is_the_sum_of_its_modes() {
    let (n, steps, gamma, dt, courant) = (64, 500, 0.3, 0.01, 0.7f64);
    let h = dt / courant;
    let u0 = noise(n * n, 11);
    let grid = Grid::new(n, n, h, h).unwrap();
    let mut wave = wave(grid, medium(Boundary::Periodic, dt, gamma), &u0);
    run(&mut wave, steps);
    let mut modes: Vec<Complex64> = u0.iter().map(|u| Complex64::new(f64::from(*u), 0.0)).collect();
    transform(&mut modes, n, FftDirection::Forward);
    let a = gamma * dt / 2.0;
    for (i, mode) in modes.iter_mut().enumerate() {
        let sine = |k: usize| (PI * k as f64 / n as f64).sin().powi(2);
        let pull = courant.powi(2) * 4.0 * (sine(i % n) + sine(i / n));
        let (b, c) = (2.0 - pull, 1.0 - a);
        let root = Complex64::new(b * b - 4.0 * (1.0 + a) * c, 0.0).sqrt();
        let [z1, z2] = [root, -root].map(|root| (root + b) / (2.0 * (1.0 + a)));
        let first = 1.0 - pull / 2.0;
        let p = (first - z2) / (z1 - z2);
        *mode *= p * z1.powu(steps as u32) + (1.0 - p) * z2.powu(steps as u32);
    }
    transform(&mut modes, n, FftDirection::Inverse);
    let scale = (n * n) as f64;
    let error = |(u, exact): (&f32, &Complex64)| (f64::from(*u) - exact.re / scale).powi(2);
    let errors: f64 = wave.u().iter().zip(&modes).map(error).sum();
    let norm: f64 = modes.iter().map(|mode| (mode.re / scale).powi(2)).sum();
    assert!((errors / norm).sqrt() < 2e-4, "relative error {}", (errors / norm).sqrt());
}

/// A Gaussian pulse has the energy 1.515538 and keeps it.
#[test]
fn energy_is_kept() {
    let n = 64;
    let grid = unit_square(n);
    let place = |i: usize| (i % (n + 1), i / (n + 1));
    let u0: Vec<f32> = (0..grid.cells())
        .map(|i| {
            let (x, y) = place(i);
            let r2 = (x as f64 / n as f64 - 0.5).powi(2) + (y as f64 / n as f64 - 0.4).powi(2);
            (-r2 / (2.0 * 0.05f64.powi(2))).exp() as f32
        })
        .collect();
    for boundary in [Boundary::Dirichlet, Boundary::Neumann, Boundary::Periodic] {
        let mut wave = wave(grid, medium(boundary, 0.7 / n as f64, 0.0), &u0);
        let mut meter = EnergyMeter::new(n + 1);
        run(&mut wave, 1);
        let first = meter.measure(&wave, &alone());
        assert!((first / 1.515538 - 1.0).abs() < 1e-5, "{boundary:?}: {first}");
        run(&mut wave, 1000);
        let last = meter.measure(&wave, &alone());
        assert!((last / first - 1.0).abs() < 5e-6, "{boundary:?}: {last} of {first}");
    }
}

/// With damping a mode loses `sqrt((1-a)/(1+a))` a step.
#[test]
fn damping_takes_its_exact_share() {
    let (n, gamma, dt, steps) = (32, 0.5, 0.7 / 32.0, 200);
    let shape = mode(n, [2, 3]);
    let mut wave = wave(unit_square(n), medium(Boundary::Dirichlet, dt, gamma), &shape);
    let a = gamma * dt / 2.0;
    let sine = |m: f64| (PI * m / (2.0 * n as f64)).sin().powi(2);
    let pull = 0.7f64.powi(2) * 4.0 * (sine(2.0) + sine(3.0));
    let theta = ((1.0 - pull / 2.0) / (1.0 - a * a).sqrt()).acos();
    let per_step = ((1.0 - a) / (1.0 + a)).sqrt();
    let amplitude = |wave: &Wave| {
        let [now, before] = [wave.u(), wave.previous()].map(|level| project(level, &shape));
        let quadrature = (before * per_step - now * theta.cos()) / theta.sin();
        now.hypot(quadrature)
    };
    run(&mut wave, 1);
    let first = amplitude(&wave);
    run(&mut wave, steps);
    let ratio = amplitude(&wave) / first;
    assert!((ratio / per_step.powi(steps as i32) - 1.0).abs() < 1e-5, "{ratio}");
}

/// S of 0.71 and unequal spacings are judged by the 2-D form; the limit itself is stable.
#[test]
fn an_unstable_step_is_refused() {
    let square = Grid::new(8, 8, 1.0, 1.0).unwrap();
    let refused = Wave::<f32>::new(square, medium(Boundary::Periodic, 0.71, 0.0)).err().unwrap();
    assert!(matches!(refused, MediumError::Unstable { courant, .. } if courant > 1.0));
    assert!(refused.to_string().contains("use field.dt of at most 0.7071"), "{refused}");
    let flat = Grid::new(8, 8, 1.0, 0.5).unwrap();
    assert!(Wave::<f32>::new(flat, medium(Boundary::Periodic, 0.45, 0.0)).is_err());
    assert!(Wave::<f32>::new(flat, medium(Boundary::Periodic, 0.44, 0.0)).is_ok());
    let limit = 1.0 / 2f64.sqrt();
    let grid = Grid::new(33, 18, 1.0, 1.0).unwrap();
    let mut wave = wave(grid, medium(Boundary::Periodic, 0.7, 0.0), &noise(33 * 18, 5));
    assert!(Wave::<f32>::new(square, medium(Boundary::Periodic, limit, 0.0)).is_ok());
    run(&mut wave, 10_000);
    assert!(wave.u().iter().all(|u| u.abs() < 50.0));
}

/// Exactly, not only to 1e-5.
#[test]
fn a_uniform_field_stays_what_it_is() {
    for gamma in [0.0, 0.1, 3.0] {
        let grid = Grid::new(9, 7, 1.0, 1.3).unwrap();
        let mut wave = wave(grid, medium(Boundary::Periodic, 0.5, gamma), &[1.0f32; 63]);
        run(&mut wave, 5000);
        assert!(wave.u().iter().all(|u| *u == 1.0));
    }
}

/// A push comes to rest, at steps where single precision resolves the loss (see the limit in `wave.rs`):
/// `u_n = (1-a^2)/gamma (1 - ((1-a)/(1+a))^n)`, and the same at half the step.
#[test]
fn a_uniform_push_comes_to_rest_as_the_scheme_says() {
    for (dt, steps) in [(0.1, 200), (0.05, 400)] {
        let (gamma, grid) = (0.1, Grid::new(4, 4, 1.0, 1.0).unwrap());
        let mut wave: Wave = Wave::new(grid, medium(Boundary::Periodic, dt, gamma)).unwrap();
        wave.start(&[0.0; 16], &[1.0; 16], &[0.0; 16]);
        run(&mut wave, steps);
        let a = 0.5 * gamma * dt;
        let gone = ((1.0 - a) / (1.0 + a)).powi(steps as i32);
        let expected = (1.0 - a * a) / gamma * (1.0 - gone);
        assert!((f64::from(wave.u()[5]) / expected - 1.0).abs() < 1e-3, "{}", wave.u()[5]);
    }
}

/// One step of the scheme written down cell by cell in double precision, edges as SCIENCE.md has
/// them (Edges). The oracle for awkward sizes.
fn naive<T: Real>(wave: &Wave<T>, u: &[f64], old: &[f64]) -> Vec<f64> {
    let (grid, m) = (wave.grid(), wave.medium());
    let (nx, ny) = (grid.nx as isize, grid.ny as isize);
    let held = !matches!(m.boundary, Boundary::Neumann | Boundary::Periodic);
    let fold = |i: isize, n: isize| match m.boundary {
        _ if n == 1 => 0,
        Boundary::Periodic => i.rem_euclid(n),
        _ if i < 0 => -i,
        _ if i >= n => 2 * n - 2 - i,
        _ => i,
    };
    let at = |u: &[f64], x: isize, y: isize| u[(fold(y, ny) * nx + fold(x, nx)) as usize];
    let mut next = u.to_vec();
    for y in 0..ny {
        for x in 0..nx {
            if held && (x == 0 || y == 0 || x == nx - 1 || y == ny - 1) {
                continue;
            }
            let a = 0.5 * m.dt * wave.gamma_at(x as usize, y as usize);
            let here = at(u, x, y);
            let lap = (at(u, x - 1, y) + at(u, x + 1, y) - 2.0 * here) / grid.dx.powi(2)
                + (at(u, x, y - 1) + at(u, x, y + 1) - 2.0 * here) / grid.dy.powi(2);
            let i = (y * nx + x) as usize;
            let pull = m.speed.powi(2) * lap + m.feedback.force(here);
            next[i] = (2.0 * here - (1.0 - a) * old[i] + m.dt.powi(2) * pull) / (1.0 + a);
        }
    }
    let (first, second) =
        (m.boundary == Boundary::Absorbing, m.boundary == Boundary::EngquistMajda);
    if (first || second) && nx > 2 && ny > 2 {
        let inner = next.clone();
        for y in 0..ny {
            for x in 0..nx {
                let inside = |i: isize, n: isize| isize::from(i == 0) - isize::from(i == n - 1);
                let (sx, sy) = (inside(x, nx), inside(y, ny));
                if (sx, sy) == (0, 0) {
                    continue;
                }
                let h = (sx as f64 * grid.dx).hypot(sy as f64 * grid.dy);
                let (edge, inside) = ((y * nx + x) as usize, ((y + sy) * nx + x + sx) as usize);
                let way = m.speed * m.dt;
                let r = (way - h) / (way + h);
                next[edge] = u[inside] + r * (inner[inside] - u[edge]);
                if second && (sx == 0 || sy == 0) {
                    // Along the edge: rows of y on edges across x, columns of x on the others.
                    let (step, k) = if sx == 0 { (1, grid.dx) } else { (nx, grid.dy) };
                    let bent = |i: usize| {
                        let (before, after) = (i - step as usize, i + step as usize);
                        u[before] - 2.0 * u[i] + u[after]
                    };
                    next[edge] = -old[inside]
                        + r * (inner[inside] + old[edge])
                        + 2.0 * h / (way + h) * (u[edge] + u[inside])
                        + way * way * h / (2.0 * k * k * (way + h)) * (bent(edge) + bent(inside));
                }
            }
        }
    }
    next
}

/// `steps` steps from noise against so many naive ones.
fn follows<T: Real>([nx, ny]: [usize; 2], dy: f64, m: Medium, steps: usize, tolerance: f64) {
    let grid = Grid::new(nx, ny, 1.0, dy).unwrap();
    let mut wave: Wave<T> = wave(grid, m, &noise_of(grid.cells(), 42));
    let double = |level: &[T]| level.iter().map(|u| u.to_f64()).collect::<Vec<_>>();
    let (mut u, mut old) = (double(wave.u()), double(wave.previous()));
    for _ in 0..steps {
        (u, old) = (naive(&wave, &u, &old), u);
    }
    run(&mut wave, steps);
    for (i, (ours, exact)) in wave.u().iter().zip(&u).enumerate() {
        let error = ours.to_f64() - exact;
        assert!(error.abs() < tolerance, "{} {nx} x {ny}, {dy}, {m:?}, cell {i}: {error}", T::NAME);
    }
}

/// In the square form and in that of dx != dy: every boundary, every law, every size, against the
/// naive step.
#[test]
fn awkward_sizes_follow_the_scheme() {
    let sizes = [1, 2, 3, 5, 17, 70, 131];
    let pairs = sizes.iter().flat_map(|nx| sizes.iter().map(move |ny| [*nx, *ny]));
    let long = [[1023, 5], [1025, 17], [1023, 1], [1025, 2], [2, 1023], [3, 1025], [17, 1023]];
    for (boundary, feedback) in BOUNDARIES.iter().flat_map(|b| LAWS.map(|law| (*b, law))) {
        let m = Medium { feedback, ..medium(boundary, 0.55, 0.1) };
        for (size, dy) in pairs.clone().chain(long).flat_map(|size| [(size, 1.0), (size, 1.4)]) {
            follows::<f32>(size, dy, m, 6, 1e-5);
            follows::<f64>(size, dy, m, 6, 1e-13);
        }
        let size = if feedback == Feedback::None { [1025, 1023] } else { [1023, 70] };
        follows::<f32>(size, 1.0, m, 2, 1e-5);
        follows::<f64>(size, 1.4, m, 2, 1e-13);
    }
}

/// Held edges keep a value that is not zero.
#[test]
fn held_edges_keep_their_values() {
    let grid = Grid::new(9, 6, 1.0, 1.0).unwrap();
    let u0 = noise(54, 9);
    let mut wave = wave(grid, medium(Boundary::Dirichlet, 0.7, 0.2), &u0);
    run(&mut wave, 10);
    for (i, (now, then)) in wave.u().iter().zip(&u0).enumerate() {
        let (x, y) = (i % 9, i / 9);
        if x == 0 || x == 8 || y == 0 || y == 5 {
            assert_eq!(now, then);
        }
    }
}

/// Images of a field, each with what its cell (x, y) is in the field: mirrored, transposed, turned, and on a
/// torus shifted. Their ends are the images of the field's end, to the last bit.
fn images_stay_images<T: Real>(case: &Picture, m: Medium, tiling: Tiling, workers: &Workers) {
    let Picture { size: [nx, ny], dy, shift: [sx, sy], seed } = *case;
    let end = |turned: bool, u0: &[T]| {
        let [side, across] = if turned { [[ny, nx], [1, 0]] } else { [[nx, ny], [0, 1]] };
        let spacing = across.map(|axis| [1.0, dy][axis]);
        let grid = Grid::new(side[0], side[1], spacing[0], spacing[1]).unwrap();
        let mut wave = wave(grid, m, u0);
        wave.tile(tiling, 30, workers);
        wave.advance(workers, &Feeds::silent(grid.ny), 30);
        wave.u().to_vec()
    };
    let image = |turned: bool, place: Place<'_>, field: &[T]| -> Vec<T> {
        let columns = if turned { ny } else { nx };
        let cell = |i| place(i % columns, i / columns);
        (0..nx * ny).map(cell).map(|[x, y]| field[y * nx + x]).collect()
    };
    let images: [(&str, bool, Place<'_>); 5] = [
        ("mirrored along x", false, &|x, y| [nx - 1 - x, y]),
        ("mirrored along y", false, &|x, y| [x, ny - 1 - y]),
        ("transposed", true, &|x, y| [y, x]),
        ("turned", true, &|x, y| [nx - 1 - y, x]),
        ("shifted", false, &|x, y| [(x + sx) % nx, (y + sy) % ny]),
    ];
    let count = if m.boundary == Boundary::Periodic { 5 } else { 4 };
    let u0 = noise_of(nx * ny, seed);
    let plain = end(false, &u0);
    for (name, turned, place) in &images[..count] {
        let (ours, expected) =
            (end(*turned, &image(*turned, place, &u0)), image(*turned, place, &plain));
        assert!(bits(&ours) == bits(&expected), "{} {case:?} {m:?} {tiling:?}: {name}", T::NAME);
    }
}

type Place<'a> = &'a dyn Fn(usize, usize) -> [usize; 2];

/// A field of noise, and how far it is shifted.
#[derive(Debug)]
struct Picture {
    size: [usize; 2],
    dy: f64,
    shift: [usize; 2],
    seed: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Mirrored, transposed, turned and, on a torus, shifted fields stay so, to the last bit: at every
    /// boundary, under every law, in either precision, in tiles and without.
    #[test]
    fn symmetries_are_exact(
        size in [3usize..40, 3usize..40],
        dy in prop_oneof![Just(1.0), Just(1.3)],
        shift in [0usize..40, 0usize..40],
        seed in 0u64..1000,
    ) {
        let (case, workers) = (Picture { size, dy, shift, seed }, alone());
        for (boundary, feedback) in BOUNDARIES.iter().flat_map(|b| LAWS.map(|law| (*b, law))) {
            let m = Medium { feedback, ..medium(boundary, 0.6, 0.05) };
            for tiling in [Tiling::Off, Tiling::Depth(7)] {
                images_stay_images::<f32>(&case, m, tiling, &workers);
                images_stay_images::<f64>(&case, m, tiling, &workers);
            }
        }
    }
}

/// Strips on 1, 2, 3 and 5 threads, and a repeated run.
#[test]
fn threads_change_no_bit() {
    for boundary in BOUNDARIES {
        let grid = Grid::new(67, 330, 1.0, 1.0).unwrap();
        let end = |threads| {
            let workers = solver_proc::workers::Workers::new(common::pool(threads));
            let mut wave = wave(grid, medium(boundary, 0.7, 0.01), &noise(grid.cells(), 1));
            for _ in 0..40 {
                wave.step(&workers, |_| {});
            }
            let energy = EnergyMeter::new(grid.ny).measure(&wave, &workers);
            (bits(wave.u()), energy.to_bits())
        };
        let one = end(1);
        for threads in [1, 2, 3, 5] {
            assert_eq!(end(threads), one, "{boundary:?} on {threads} threads");
        }
    }
}
