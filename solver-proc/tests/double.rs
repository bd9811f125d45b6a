//! The scheme's facts in double precision, where they hold to rounding (SCIENCE.md, Scheme, f(u), Sources).

#![allow(clippy::unwrap_used)]

mod common;

use std::f64::consts::{PI, SQRT_2, TAU};

use common::{LAWS, alone, medium, noise_of};
use rsw_config::Boundary;
use rustfft::num_complex::Complex64;
use rustfft::{FftDirection, FftPlanner};
use solver_proc::energy::EnergyMeter;
use solver_proc::feedback::Feedback;
use solver_proc::grid::Grid;
use solver_proc::source::Feeds;
use solver_proc::wave::{Medium, Tiling, Wave};
use solver_proc::workers::Workers;

fn unit_square(n: usize) -> Grid {
    Grid::new(n + 1, n + 1, 1.0 / n as f64, 1.0 / n as f64).unwrap()
}

fn field(grid: &Grid, value: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let place = |i: usize| ((i % grid.nx) as f64 * grid.dx, (i / grid.nx) as f64 * grid.dy);
    (0..grid.cells())
        .map(|i| {
            let (x, y) = place(i);
            value(x, y)
        })
        .collect()
}

/// A wave that starts from `u0` with velocity `v0`.
fn wave(grid: Grid, medium: Medium, u0: &[f64], v0: &[f64]) -> Wave<f64> {
    let mut wave = Wave::new(grid, medium).unwrap();
    wave.start(u0, v0, &vec![0.0; grid.cells()]);
    wave
}

fn rest(grid: Grid, medium: Medium, u0: &[f64]) -> Wave<f64> {
    wave(grid, medium, u0, &vec![0.0; grid.cells()])
}

/// In time tiles, where there is more than one step: what holds here holds for them.
fn run(wave: &mut Wave<f64>, steps: usize) {
    let workers = alone();
    let feeds = Feeds::silent(wave.grid().ny);
    wave.tile(Tiling::Depth(8), steps, &workers);
    assert_eq!(wave.tile_depth(), steps.min(8), "no tiles");
    wave.advance(&workers, &feeds, steps);
}

fn energy(wave: &Wave<f64>) -> f64 {
    EnergyMeter::new(wave.grid().ny).measure(wave, &alone())
}

fn project(level: &[f64], shape: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    dot(level, shape) / dot(shape, shape)
}

/// Standing waves have the frequencies of the dispersion relation to 1e-9.
#[test]
fn standing_waves_have_the_frequencies_of_the_scheme() {
    let cases = [
        (32, [1.0, 1.0], 0.5, 4.4419904416),
        (64, [1.0, 1.0], 0.5, 4.4426598846),
        (128, [1.0, 1.0], 0.5, 4.4428271792),
        (64, [3.0, 2.0], 0.5, 11.3223812346),
        (64, [8.0, 8.0], 0.7, 35.5384259376),
        (64, [16.0, 16.0], 0.5, 70.1476361754),
    ];
    for (n, m, courant, omega) in cases {
        let (steps, dt, grid) = (2000, courant / n as f64, unit_square(n));
        let shape = field(&grid, |x, y| (m[0] * PI * x).sin() * (m[1] * PI * y).sin());
        let mut wave = rest(grid, medium(Boundary::Dirichlet, dt, 0.0), &shape);
        run(&mut wave, steps);
        let [now, before] = [wave.u(), wave.previous()].map(|level| project(level, &shape));
        let step: f64 = omega * dt;
        let phase = ((before - now * step.cos()) / step.sin()).atan2(now);
        let expected = step * steps as f64;
        let error = (phase - expected + PI).rem_euclid(TAU) - PI;
        assert!((error / expected).abs() < 1e-9, "{n} {m:?}: {error} of {expected}");
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

/// A random periodic field is the sum of its modes `P z1^n + Q z2^n`, to 1e-11 after 500 steps;
/// also where the spacings differ.
#[test]
fn a_random_periodic_field_is_the_sum_of_its_modes() {
    for stretch in [1.0f64, 1.3] {
        let (n, steps, gamma, dt, courant) = (64, 500, 0.3, 0.01, 0.7f64);
        let h = dt / courant;
        let u0: Vec<f64> = noise_of(n * n, 11);
        let grid = Grid::new(n, n, h, h * stretch).unwrap();
        let mut wave = rest(grid, medium(Boundary::Periodic, dt, gamma), &u0);
        run(&mut wave, steps);
        let mut modes: Vec<Complex64> = u0.iter().map(|u| Complex64::new(*u, 0.0)).collect();
        transform(&mut modes, n, FftDirection::Forward);
        let a = gamma * dt / 2.0;
        for (i, mode) in modes.iter_mut().enumerate() {
            let sine = |k: usize| (PI * k as f64 / n as f64).sin().powi(2);
            let pull = courant.powi(2) * 4.0 * (sine(i % n) + sine(i / n) / stretch.powi(2));
            let (b, c) = (2.0 - pull, 1.0 - a);
            let root = Complex64::new(b * b - 4.0 * (1.0 + a) * c, 0.0).sqrt();
            let [z1, z2] = [root, -root].map(|root| (root + b) / (2.0 * (1.0 + a)));
            let p = (1.0 - pull / 2.0 - z2) / (z1 - z2);
            *mode *= p * z1.powu(steps as u32) + (1.0 - p) * z2.powu(steps as u32);
        }
        transform(&mut modes, n, FftDirection::Inverse);
        let scale = (n * n) as f64;
        let error = |(u, exact): (&f64, &Complex64)| (u - exact.re / scale).powi(2);
        let errors: f64 = wave.u().iter().zip(&modes).map(error).sum();
        let norm: f64 = modes.iter().map(|mode| (mode.re / scale).powi(2)).sum();
        assert!((errors / norm).sqrt() < 1e-11, "relative error {}", (errors / norm).sqrt());
    }
}

/// A Gaussian pulse has the energy 1.515538 and keeps it to 1e-12 over 1000 steps.
#[test]
fn energy_is_kept() {
    let n = 64;
    let grid = unit_square(n);
    let r2 = |x: f64, y: f64| (x - 0.5).powi(2) + (y - 0.4).powi(2);
    let u0 = field(&grid, |x, y| (-r2(x, y) / (2.0 * 0.05f64.powi(2))).exp());
    for boundary in [Boundary::Dirichlet, Boundary::Neumann, Boundary::Periodic] {
        let mut wave = rest(grid, medium(boundary, 0.7 / n as f64, 0.0), &u0);
        run(&mut wave, 1);
        let first = energy(&wave);
        assert!((first - 1.515538).abs() < 1e-6, "{boundary:?}: {first}");
        run(&mut wave, 1000);
        let last = energy(&wave);
        assert!((last / first - 1.0).abs() < 1e-12, "{boundary:?}: {last} of {first}");
    }
}

/// Every step loses `gamma dt h^2 sum ((u+ - u-)/(2 dt))^2`, to 1e-12 of the energy; a mode
/// keeps `sqrt((1-a)/(1+a))` a step, to 1e-9.
#[test]
fn damping_takes_its_exact_share() {
    let (n, gamma, dt) = (32, 0.5, 0.7 / 32.0);
    let grid = unit_square(n);
    let m = medium(Boundary::Dirichlet, dt, gamma);
    let mut u0: Vec<f64> = noise_of(grid.cells(), 4);
    let edge = |i: usize| [i % (n + 1), i / (n + 1)].iter().any(|k| *k == 0 || *k == n);
    (0..u0.len()).filter(|i| edge(*i)).for_each(|i| u0[i] = 0.0);
    let mut random = rest(grid, m, &u0);
    run(&mut random, 1);
    let first = energy(&random);
    for _ in 0..200 {
        let (before, old) = (energy(&random), random.previous().to_vec());
        run(&mut random, 1);
        let rate = |(new, old): (&f64, &f64)| ((new - old) / (2.0 * dt)).powi(2);
        let lost: f64 = random.u().iter().zip(&old).map(rate).sum();
        let balance = energy(&random) - before + gamma * dt * grid.dx * grid.dy * lost;
        assert!((balance / first).abs() < 1e-12, "{balance} of {first}");
    }
    let shape = field(&grid, |x, y| (2.0 * PI * x).sin() * (3.0 * PI * y).sin());
    let mut wave = rest(grid, m, &shape);
    let (a, steps) = (gamma * dt / 2.0, 200);
    let sine = |m: f64| (PI * m / (2.0 * n as f64)).sin().powi(2);
    let pull = 0.7f64.powi(2) * 4.0 * (sine(2.0) + sine(3.0));
    let theta = ((1.0 - pull / 2.0) / (1.0 - a * a).sqrt()).acos();
    let per_step = ((1.0 - a) / (1.0 + a)).sqrt();
    let amplitude = |wave: &Wave<f64>| {
        let [now, before] = [wave.u(), wave.previous()].map(|level| project(level, &shape));
        now.hypot((before * per_step - now * theta.cos()) / theta.sin())
    };
    run(&mut wave, 1);
    let early = amplitude(&wave);
    run(&mut wave, steps);
    let kept = (amplitude(&wave) / early).powf(1.0 / steps as f64);
    assert!((kept / per_step - 1.0).abs() < 1e-9, "{kept}, not {per_step}");
}

/// `sin(pi x) sin(pi y) cos(sqrt2 pi t)` at t = 1 has these errors to 1 %, and their rates.
#[test]
fn errors_fall_with_the_square_of_the_spacing() {
    let cases = [(10, 4.015e-3), (20, 1.049e-3), (40, 2.685e-4), (80, 6.795e-5)];
    let errors = cases.map(|(n, expected)| {
        let grid = unit_square(n);
        let shape = field(&grid, |x, y| (PI * x).sin() * (PI * y).sin());
        let mut wave = rest(grid, medium(Boundary::Dirichlet, 0.5 / n as f64, 0.0), &shape);
        run(&mut wave, 2 * n);
        let exact = (SQRT_2 * PI).cos();
        let error = |(u, shape): (&f64, &f64)| (u - exact * shape).powi(2);
        let sum: f64 = wave.u().iter().zip(&shape).map(error).sum();
        let rms = (sum / shape.len() as f64).sqrt();
        assert!((rms / expected - 1.0).abs() < 0.01, "N = {n}: {rms}, not {expected}");
        rms
    });
    for pair in errors.windows(2) {
        let rate = (pair[0] / pair[1]).log2();
        assert!((1.9..=2.05).contains(&rate), "rate {rate}");
    }
}

/// One step with a source of this density.
fn step_pushed(wave: &mut Wave<f64>, density: &[f64], workers: &Workers) {
    let Medium { dt, damping, .. } = *wave.medium();
    let scale = dt * dt / (1.0 + 0.5 * damping * dt);
    wave.step(workers, |next| {
        next.iter_mut().zip(density).for_each(|(next, density)| *next += scale * density);
    });
}

/// A solution that is quadratic in space and linear in time has no error but rounding: 1e-13.
#[test]
fn a_manufactured_solution_is_reproduced() {
    let (n, gamma) = (20, 0.8);
    let (grid, dt) = (unit_square(n), 0.6 / n as f64);
    let bump = |x: f64| x * (1.0 - x);
    let push = |t: f64| {
        field(&grid, |x, y| {
            0.5 * gamma * bump(x) * bump(y) + 2.0 * (1.0 + 0.5 * t) * (bump(x) + bump(y))
        })
    };
    let u0 = field(&grid, |x, y| bump(x) * bump(y));
    let v0: Vec<f64> = u0.iter().map(|u| 0.5 * u).collect();
    let mut wave: Wave<f64> = Wave::new(grid, medium(Boundary::Dirichlet, dt, gamma)).unwrap();
    wave.start(&u0, &v0, &push(0.0));
    let workers = alone();
    for step in 0..200 {
        step_pushed(&mut wave, &push(f64::from(step) * dt), &workers);
    }
    let growth = 1.0 + 0.5 * 200.0 * dt;
    for (u, u0) in wave.u().iter().zip(&u0) {
        assert!((u - growth * u0).abs() < 1e-13, "{u}, not {}", growth * u0);
    }
}

/// With damping and each nonlinear term, `sin(pi x) sin(pi y) (cos 3t + sin(3t)/2)` from its
/// source is followed to second order: an error falls with the square of the spacing.
#[test]
fn a_manufactured_wave_is_followed_to_second_order() {
    let (gamma, w, workers) = (0.8, 3.0f64, alone());
    // The amplitude, how it moves, and how that changes.
    let motion = |t: f64| {
        let (sine, cosine) = (w * t).sin_cos();
        let amplitude = cosine + 0.5 * sine;
        [amplitude, w * (0.5 * cosine - sine), -w * w * amplitude]
    };
    for feedback in LAWS {
        let errors = [10, 20, 40, 80].map(|n| {
            let (grid, dt) = (unit_square(n), 0.5 / n as f64);
            let shape = field(&grid, |x, y| (PI * x).sin() * (PI * y).sin());
            let scaled = |by: f64| shape.iter().map(|s| by * s).collect::<Vec<_>>();
            let push = |t: f64| {
                let [u, v, pull] = motion(t);
                let linear = pull + gamma * v + 2.0 * PI * PI * u;
                shape.iter().map(|s| linear * s - feedback.force(u * s)).collect::<Vec<_>>()
            };
            let m = Medium { feedback, ..medium(Boundary::Dirichlet, dt, gamma) };
            let [u0, v0, _] = motion(0.0);
            let mut wave: Wave<f64> = Wave::new(grid, m).unwrap();
            wave.start(&scaled(u0), &scaled(v0), &push(0.0));
            for step in 0..2 * n {
                step_pushed(&mut wave, &push(step as f64 * dt), &workers);
            }
            let exact = scaled(motion(1.0)[0]);
            let squares = wave.u().iter().zip(&exact).map(|(u, exact)| (u - exact).powi(2));
            (squares.sum::<f64>() / shape.len() as f64).sqrt()
        });
        for pair in errors.windows(2) {
            let rate = (pair[0] / pair[1]).log2();
            assert!((1.9..=2.05).contains(&rate), "{feedback:?}: rate {rate} of {errors:?}");
        }
    }
}

/// A push comes to rest at `(1-a^2)/gamma`, 9.9999975 for gamma = 0.1 and dt = 0.01; half the
/// step changes it by less than 1e-3.
#[test]
fn a_uniform_push_comes_to_rest_as_the_scheme_says() {
    let grid = Grid::new(4, 4, 1.0, 1.0).unwrap();
    let end = |dt: f64| {
        let m = medium(Boundary::Periodic, dt, 0.1);
        let mut wave = wave(grid, m, &[0.0; 16], &[1.0; 16]);
        run(&mut wave, (400.0 / dt) as usize);
        wave.u()[5]
    };
    let whole = end(0.01);
    assert!((whole - 9.9999975).abs() < 1e-7, "{whole}");
    assert!((end(0.005) / whole - 1.0).abs() < 1e-3);
}

/// Only S counts: spacings of 0.01 and 1 with the same S give the same field to rounding.
#[test]
fn the_scale_of_length_does_not_matter() {
    let u0: Vec<f64> = noise_of(40 * 30, 8);
    let end = |h: f64| {
        let grid = Grid::new(40, 30, h, 1.2 * h).unwrap();
        let mut wave = rest(grid, medium(Boundary::Absorbing, 0.6 * h, 0.1 / h), &u0);
        run(&mut wave, 300);
        wave.u().to_vec()
    };
    for (fine, coarse) in end(0.01).iter().zip(&end(1.0)) {
        assert!((fine - coarse).abs() < 1e-11, "{fine}, {coarse}");
    }
}

/// `u_tt = lap u + f(u)` in a strip along x that is uniform along y.
fn strip(nx: usize, h: f64, dt: f64, feedback: Feedback, u0: &[f64], v0: &[f64]) -> Wave<f64> {
    let ny = 4;
    let grid = Grid::new(nx, ny, h, h).unwrap();
    let medium = Medium { feedback, ..medium(Boundary::Neumann, dt, 0.0) };
    wave(grid, medium, &u0.repeat(ny), &v0.repeat(ny))
}

/// The breather of sine-Gordon with w = 0.6 has the period 2 pi/0.6 and the peak 3.70918, each
/// to 0.5 %.
#[test]
fn a_breather_breathes() {
    let (nx, h, dt, w) = (801, 0.05, 0.03, 0.6f64);
    let law = Feedback::SineGordon { strength: 1.0 };
    let spread = (1.0 - w * w).sqrt();
    let x = |i: usize| (i as f64 - (nx / 2) as f64) * h;
    // At t = 0 it passes through zero.
    let v0: Vec<f64> = (0..nx).map(|i| 4.0 * spread / (spread * x(i)).cosh()).collect();
    let mut wave = strip(nx, h, dt, law, &vec![0.0; nx], &v0);
    let (mut peak, mut crossings, mut before) = (0.0f64, Vec::new(), 0.0f64);
    for step in 1..=(4.2 * TAU / w / dt) as usize {
        run(&mut wave, 1);
        let now = wave.u()[nx / 2];
        if before < 0.0 && now >= 0.0 {
            crossings.push((step as f64 - now / (now - before)) * dt);
        }
        (peak, before) = (peak.max(now), now);
    }
    assert!((peak / 3.70918 - 1.0).abs() < 0.005, "peak {peak}");
    let period = (crossings[3] - crossings[0]) / 3.0;
    assert!((period * w / TAU - 1.0).abs() < 0.005, "period {period}");
}

/// A profile along x.
type Shape = fn(f64) -> f64;

/// Kinks at rest have the energies 8 (sine-Gordon) and 0.942809 (phi^4) per length, to 1 %, and
/// keep them to O(dt^2).
#[test]
fn kinks_have_their_energies() {
    let (nx, h, dt) = (801, 0.05, 0.03);
    let x = |i: usize| (i as f64 - (nx / 2) as f64) * h;
    let sine_gordon = Feedback::SineGordon { strength: 1.0 };
    let phi4 = Feedback::Phi4 { strength: 1.0, u_max: 1.5 };
    let laws: [(Feedback, f64, Shape); 2] =
        [(sine_gordon, 8.0, |x| 4.0 * x.exp().atan()), (phi4, 0.942809, |x| (x / SQRT_2).tanh())];
    for (law, expected, shape) in laws {
        let u0: Vec<f64> = (0..nx).map(|i| shape(x(i))).collect();
        let mut wave = strip(nx, h, dt, law, &u0, &vec![0.0; nx]);
        run(&mut wave, 1);
        // Half a cell at either edge of the four rows belongs to nobody.
        let length = 3.0 * h;
        let first = energy(&wave) / length;
        assert!((first / expected - 1.0).abs() < 0.01, "{law:?}: {first}");
        run(&mut wave, 2000);
        let last = energy(&wave) / length;
        assert!((last / first - 1.0).abs() < 1e-3, "{law:?}: {first}, then {last}");
    }
}

/// Above its threshold a mode of the rectified feedback grows as
/// `exp((sqrt(gamma^2/4 + g - c^2 k^2) - gamma/2) t)`; saturated, it grows no longer like that.
#[test]
fn feedback_grows_and_saturates() {
    let (strength, gamma, dt) = (0.5, 0.2, 0.01);
    let grid = Grid::new(8, 8, 1.0, 1.0).unwrap();
    let law = Feedback::Relu { strength, threshold: 0.0, limit: 1.0 };
    let m = Medium { feedback: law, ..medium(Boundary::Periodic, dt, gamma) };
    let rate: f64 = (gamma * gamma / 4.0 + strength).sqrt() - gamma / 2.0;
    let mut wave = wave(grid, m, &[1e-3; 64], &[1e-3 * rate; 64]);
    run(&mut wave, 500);
    let grown = wave.u()[0] / 1e-3;
    assert!((grown / (rate * 5.0).exp() - 1.0).abs() < 1e-3, "{grown}");
    // Far above the limit the push is constant: u_tt + gamma u_t = g limit, u_t -> g limit/gamma.
    run(&mut wave, 10_000);
    let speed = (wave.u()[0] - wave.previous()[0]) / dt;
    assert!((speed / (strength / gamma) - 1.0).abs() < 1e-3, "{speed}");
}

/// The limit with f(u): `dt^2 (4 c^2 (1/dx^2 + 1/dy^2) + max(-f'))/4 <= 1`; beyond it a step is
/// refused, below it random fields stay bounded (in their speed: the mean of sine-Gordon may turn
/// round and round).
#[test]
fn feedback_tightens_the_limit() {
    let grid = Grid::new(24, 24, 1.0, 1.0).unwrap();
    for law in [
        Feedback::SineGordon { strength: 1.0 },
        Feedback::Phi4 { strength: 0.5, u_max: 2.0 },
        Feedback::Relu { strength: -2.0, threshold: 0.0, limit: 10.0 },
    ] {
        let limit = 2.0 / (8.0 + law.stiffness()).sqrt();
        let m = |dt| Medium { feedback: law, ..medium(Boundary::Periodic, dt, 0.0) };
        let refused = Wave::<f64>::new(grid, m(limit * 1.001)).err().unwrap();
        assert!(refused.to_string().contains("use field.dt of at most"), "{refused}");
        let u0: Vec<f64> = noise_of(24 * 24, 5).into_iter().map(|u: f64| 0.5 * u).collect();
        let mut wave = rest(grid, m(limit * 0.8), &u0);
        run(&mut wave, 10_000);
        let moved = |(now, before): (&f64, &f64)| (now - before).abs() < 5.0;
        assert!(wave.u().iter().zip(wave.previous()).all(moved), "{law:?}");
    }
}
