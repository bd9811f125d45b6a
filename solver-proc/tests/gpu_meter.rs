//! The metrics on a GPU against their oracle, the CPU's, on the same fields; on any Vulkan device, as `tests/gpu.rs`.
//!
//! Thresholds and boxes are whole numbers and must be equal. Everything else is arithmetic in single precision in
//! another order: 2e-5 of a value, or of what is usual where a value is next to nothing.

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::LazyLock;

use common::{BOUNDARIES, alone, medium, noise};
use proptest::prelude::*;
use rsw_config::{Auto, Boundary, Coherence, Dwell, Gain, MetricsSection};
use solver_proc::energy::EnergyMeter;
use solver_proc::feedback::Feedback;
use solver_proc::gpu::{Choice, DeviceMeter, DeviceWave, Gpu, GpuError, Reading, Wanted};
use solver_proc::grid::Grid;
use solver_proc::metrics::{Kept, Meter, Summary};
use solver_proc::source::Feeds;
use solver_proc::wave::{Medium, Wave};

/// Largest difference in units of a value, or of `SMALL` if that is more: sums of a thousand cells in single precision, and
/// logarithms that a device need know to three units in the last place only.
const DIFFERENCE_MAX: f64 = 2e-5;
const SMALL: f64 = 1e-3;
const TICK_SECONDS: f64 = 0.01;
const EVERYTHING: Wanted =
    Wanted { wave: true, ci: true, coherence: true, gain: true, dwell: true };

static GPU: LazyLock<Gpu> =
    LazyLock::new(|| Gpu::open(Choice::Any).unwrap_or_else(|error| panic!("{error}")));

/// Both meters, and a wave for the fields that they are given.
struct Pair {
    wave: Wave,
    device_wave: DeviceWave,
    cpu: Meter,
    gpu: Meter,
    device: DeviceMeter,
    sites: Vec<[usize; 2]>,
}

fn section() -> MetricsSection {
    MetricsSection { tile: 16, window: 5, ..MetricsSection::default() }
}

impl Pair {
    fn new(size: [usize; 2], section: &MetricsSection) -> Self {
        Self::within(size, section, medium(Boundary::Periodic, 0.5, 0.0), EVERYTHING)
    }

    fn within(
        [nx, ny]: [usize; 2],
        section: &MetricsSection,
        medium: Medium,
        wanted: Wanted,
    ) -> Self {
        let wave = Wave::new(Grid::new(nx, ny, 1.0, 1.3).unwrap(), medium).unwrap();
        let device_wave = DeviceWave::new(&GPU, &wave, &Feeds::silent(ny)).unwrap();
        let meter = || Meter::new(nx, ny, section, TICK_SECONDS, Kept::ALL).unwrap();
        let (cpu, gpu) = (meter(), meter());
        let sites = vec![[0, 0], [nx - 1, ny - 1], [nx / 2, ny / 3], [0, 0]];
        let device = DeviceMeter::new(&device_wave, &wave, &gpu, &sites, wanted).unwrap();
        Self { wave, device_wave, cpu, gpu, device, sites }
    }

    /// Gives both a tick with these levels; the CPU's scalars and energy, and the device's.
    fn tick(&mut self, u: &[f32], previous: &[f32], evaluated: bool) -> [Reading; 2] {
        let workers = alone();
        self.wave.resume(u, previous);
        let energy = EnergyMeter::new(self.wave.grid().ny).measure(&self.wave, &workers);
        let cpu = match evaluated {
            true => {
                let magnitude = self.cpu.survey(u, &workers);
                let summary = self.cpu.measure(u, &workers);
                Reading { magnitude, evaluation: Some((summary, energy)) }
            }
            false => Reading { magnitude: self.cpu.remember(u, &workers), evaluation: None },
        };
        self.device_wave.upload(&self.wave).unwrap();
        self.device.submit(&self.device_wave, &mut self.gpu, evaluated).unwrap();
        let gpu = self.device.collect(&self.device_wave, &mut self.wave, &mut self.gpu).unwrap();
        [cpu, gpu]
    }

    /// The energy of these levels, by the device.
    fn energy(&mut self, [u, previous]: &[Vec<f32>; 2]) -> f64 {
        let [_, gpu] = self.tick(u, previous, true);
        gpu.evaluation.unwrap().1
    }

    /// A tick that both must agree on.
    fn agree(&mut self, u: &[f32], previous: &[f32], evaluated: bool) {
        let [cpu, gpu] = self.tick(u, previous, evaluated);
        assert_eq!(gpu.magnitude, cpu.magnitude);
        assert!(self.wave.u() == u, "the field itself came back");
        self.compare_fields("dwell", self.gpu.dwell(), self.cpu.dwell());
        assert_eq!(gpu.evaluation.is_some(), cpu.evaluation.is_some());
        let (Some((ours, energy)), Some((exact, exact_energy))) = (gpu.evaluation, cpu.evaluation)
        else {
            return;
        };
        self.compare_summaries(ours, exact);
        near("energy", energy, exact_energy);
        assert_eq!(self.gpu.pyramid().whole(), self.cpu.pyramid().whole());
        assert_eq!(self.gpu.pyramid().tiles(), self.cpu.pyramid().tiles());
        self.compare_fields("coherence", self.gpu.coherence(), self.cpu.coherence());
        self.compare_fields("gain", self.gpu.gain(), self.cpu.gain());
        self.compare_fields("ci", self.gpu.ci(), self.cpu.ci());
        for (k, [x, y]) in self.sites.iter().enumerate() {
            let (site, cell) = (self.device.site(k), y * self.wave.grid().nx + x);
            let fields = [
                (site.u, u),
                (site.ci, self.gpu.ci()),
                (site.coherence, self.gpu.coherence()),
                (site.gain, self.gpu.gain()),
                (site.dwell, self.gpu.dwell()),
            ];
            fields.into_iter().for_each(|(found, field)| assert_eq!(found, field[cell], "{k}"));
            assert_eq!(self.gpu.dimension_at(*x, *y), self.cpu.dimension_at(*x, *y));
        }
    }

    fn compare_summaries(&self, ours: Summary, exact: Summary) {
        assert_eq!(ours.theta, exact.theta);
        let same = |a: f64, b: f64| assert!(a == b || a.is_nan() && b.is_nan(), "{a}, {b}");
        same(ours.d_global, exact.d_global);
        same(ours.d_r2, exact.d_r2);
        near("mean CI", ours.ci_mean, exact.ci_mean);
        near("mean coherence", ours.coherence_mean, exact.coherence_mean);
        near("mean gain", ours.gain_mean, exact.gain_mean);
        near("mean dwell", ours.dwell_mean, exact.dwell_mean);
    }

    fn compare_fields(&self, name: &str, ours: &[f32], exact: &[f32]) {
        assert_eq!(ours.len(), exact.len());
        let nx = self.wave.grid().nx;
        for (cell, (ours, exact)) in ours.iter().zip(exact).enumerate() {
            let (ours, exact) = (f64::from(*ours), f64::from(*exact));
            let error = (ours - exact).abs();
            assert!(
                error <= DIFFERENCE_MAX * exact.abs().max(SMALL),
                "{name} at {}, {}: {ours}, {exact}",
                cell % nx,
                cell / nx
            );
        }
    }
}

fn near(name: &str, ours: f64, exact: f64) {
    let error = (ours - exact).abs();
    assert!(error <= DIFFERENCE_MAX * exact.abs().max(SMALL), "{name}: {ours}, {exact}");
}

/// Noise of this tick, and of the level before it.
fn levels(size: [usize; 2], tick: u64) -> [Vec<f32>; 2] {
    [tick + 1, tick].map(|seed| noise(size[0] * size[1], 400 + seed))
}

fn agree_for(size: [usize; 2], section: &MetricsSection, ticks: u64) {
    let mut pair = Pair::new(size, section);
    for tick in 0..ticks {
        let [u, previous] = levels(size, tick);
        pair.agree(&u, &previous, true);
    }
}

/// Every metric, on sizes that divide into no workgroup, word or tile.
#[test]
fn every_metric_agrees_at_awkward_sizes() {
    let sides = [1, 2, 3, 5, 17, 65];
    for (nx, ny) in sides.iter().flat_map(|nx| sides.iter().map(move |ny| (*nx, *ny))) {
        agree_for([nx, ny], &section(), 2);
    }
    for size in [[1023, 7], [7, 1023], [1025, 33], [130, 2050], [1100, 1070]] {
        agree_for(size, &section(), 2);
    }
}

/// Every gain, coherence, dwell and exponent.
#[test]
fn every_form_agrees() {
    for gain in [Gain::Rms, Gain::Abs, Gain::Envelope] {
        for coherence in [Coherence::Bounded, Coherence::Raw] {
            for (dwell, d_exponent) in
                [(Dwell::Leaky, 1.0), (Dwell::Sojourn, 1.7), (Dwell::Leaky, 0.0)]
            {
                let forms = MetricsSection { gain, coherence, dwell, d_exponent, ..section() };
                let section = MetricsSection { a_ref: 2.0, alpha: 3.0, tau0: 0.02, ..forms };
                agree_for([77, 45], &section, 4);
            }
        }
    }
}

/// Bounds of the dwell time that no single reaches are nothing that a device refuses.
#[test]
fn bounds_beyond_single_precision_agree() {
    for (dwell_theta, dwell_s_min) in [(1e39, 0.0), (0.0, 1e39)] {
        let dwell = Dwell::Sojourn;
        agree_for([21, 13], &MetricsSection { dwell, dwell_theta, dwell_s_min, ..section() }, 2);
    }
}

/// Windows from a cell to more than the field, tiles from a cell to more than a workgroup's square.
#[test]
fn every_window_and_tile_agrees() {
    for window in [1, 3, 9, 31, 101, 1023] {
        for gain in [Gain::Rms, Gain::Abs] {
            agree_for([150, 90], &MetricsSection { window, gain, ..section() }, 1);
        }
    }
    for gain in [Gain::Rms, Gain::Envelope] {
        agree_for([700, 12], &MetricsSection { window: 1023, gain, ..section() }, 1);
    }
    for tile in [1, 2, 8, 32, 64, 128, 256] {
        for (box_min, box_max) in [(2, Auto::Auto), (1, Auto::Set(256)), (4, Auto::Set(8))] {
            let section =
                MetricsSection { tile, box_min, box_max, threshold: "0.99".into(), ..section() };
            agree_for([530, 300], &section, 1);
        }
    }
}

/// The threshold is the CPU's to the last bit, and so are the boxes, for any quantile of any numbers.
#[test]
fn every_threshold_is_the_same_number() {
    let size = [301, 67];
    for threshold in ["0", "-0", "0.25", "5", "q:0", "q:0.5", "q:0.75", "q:0.999", "q:1"] {
        let mut pair =
            Pair::new(size, &MetricsSection { threshold: threshold.into(), ..section() });
        let [u, previous] = levels(size, 9);
        pair.agree(&u, &previous, true);
        let few: Vec<f32> = u.iter().map(|u| (u * 4.0).trunc() * 0.25).collect();
        pair.agree(&few, &previous, true);
        let far: Vec<f32> = u.iter().map(|u| if *u > 0.9 { u * 1e4 } else { u * 1e-9 }).collect();
        pair.agree(&far, &far, true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_field_agrees(
        size in [1usize..200, 1usize..150],
        window in 0u32..12,
        share in 0.0f64..=1.0,
        gain in prop_oneof![Just(Gain::Rms), Just(Gain::Abs), Just(Gain::Envelope)],
        tile in 0u32..8,
        quiet in 0usize..100,
    ) {
        let section = MetricsSection {
            window: 2 * window + 1,
            threshold: format!("q:{share}"),
            tile: 1 << tile,
            gain,
            ..MetricsSection::default()
        };
        let mut pair = Pair::new(size, &section);
        for tick in 0..2 {
            let [mut u, previous] = levels(size, tick);
            let silent = u.len() * quiet / 100;
            u[..silent].fill(0.0);
            pair.agree(&u, &previous, true);
        }
    }
}

/// A hundred ticks of a wave on the device: the memory of both follows it, evaluated now and then or always.
#[test]
fn a_hundred_ticks_agree() {
    let size = [95, 61];
    for (dwell, every) in [(Dwell::Leaky, 1), (Dwell::Sojourn, 7)] {
        let section = MetricsSection { dwell, gain: Gain::Envelope, ..section() };
        let mut pair = Pair::new(size, &section);
        let [mut u, mut previous] = [noise(95 * 61, 3), vec![0.0; 95 * 61]];
        for tick in 0..100 {
            pair.agree(&u, &previous, tick % every == 0);
            pair.device_wave.advance(&Feeds::silent(size[1]), 3).unwrap();
            pair.device_wave.read_back(&mut pair.wave).unwrap();
            u.copy_from_slice(pair.wave.u());
            previous.copy_from_slice(pair.wave.previous());
        }
    }
}

/// The energy of every edge and nonlinear term, against the CPU's in double precision: what that makes of singles
/// would itself be off by as much.
#[test]
fn every_energy_agrees() {
    let laws = [
        Feedback::None,
        Feedback::SineGordon { strength: 0.3 },
        Feedback::Phi4 { strength: 0.2, u_max: 2.0 },
        Feedback::Relu { strength: 0.4, threshold: 0.2, limit: 0.3 },
    ];
    for size in [[1, 1], [1, 7], [2, 2], [70, 41]] {
        for (boundary, feedback) in BOUNDARIES.iter().flat_map(|b| laws.map(|law| (*b, law))) {
            let medium = Medium { feedback, ..medium(boundary, 0.4, 0.0) };
            for factor in [1e-2, 1.0, 1e3] {
                let mut pair = Pair::within(size, &section(), medium, EVERYTHING);
                let levels = levels(size, 5)
                    .map(|level| level.iter().map(|u| u * factor).collect::<Vec<f32>>());
                let ours = pair.energy(&levels);
                let doubles = levels
                    .each_ref()
                    .map(|level| level.iter().map(|u| f64::from(*u)).collect::<Vec<f64>>());
                let mut exact: Wave<f64> = Wave::new(*pair.wave.grid(), medium).unwrap();
                exact.resume(&doubles[0], &doubles[1]);
                let exact = EnergyMeter::new(size[1]).measure(&exact, &alone());
                // Slopes of noise have both signs: the sum is worth what its terms are.
                let terms = f64::from(factor).powi(2) * (size[0] * size[1]) as f64;
                assert!(
                    (ours - exact).abs() <= 1e-6 * exact.abs().max(terms),
                    "{size:?} {boundary:?} {feedback:?} times {factor}: {ours}, {exact}"
                );
            }
        }
    }
}

/// A field so faint or so large that its squares are no singles has the energy of one in between, to the last bit.
#[test]
fn squares_beyond_single_precision_keep_their_energy() {
    let size = [70, 41];
    let medium = medium(Boundary::Absorbing, 0.4, 0.0);
    let mut pair = Pair::within(size, &section(), medium, EVERYTHING);
    let levels = levels(size, 6);
    let energy = pair.energy(&levels);
    for exponent in [-66, -90, 70] {
        let factor = 2f32.powi(exponent);
        let scaled =
            levels.each_ref().map(|level| level.iter().map(|u| u * factor).collect::<Vec<f32>>());
        assert_eq!(pair.energy(&scaled), energy * f64::from(factor).powi(2), "2^{exponent}");
    }
}

/// Of two levels either may be silent, or so faint beside the other that its scale would take that beyond all numbers.
#[test]
fn the_louder_level_sets_the_scale_of_the_energy() {
    let size = [70, 41];
    for feedback in [Feedback::None, Feedback::SineGordon { strength: 0.3 }] {
        let medium = Medium { feedback, ..medium(Boundary::Neumann, 0.4, 0.0) };
        let mut pair = Pair::within(size, &section(), medium, EVERYTHING);
        let [loud, _] = levels(size, 7);
        for factor in [0.0, 1e-30] {
            let faint: Vec<f32> = loud.iter().map(|u| u * factor).collect();
            pair.agree(&faint, &loud, true);
            pair.agree(&loud, &faint, true);
        }
    }
}

/// Silence: nothing, exactly. Constant A: D = 2, C = 1, G = A.
#[test]
fn silence_and_a_constant_field() {
    for threshold in ["q:0.75", "0", "0.1"] {
        for size in [[64, 64], [50, 67], [131, 70]] {
            let section =
                MetricsSection { threshold: threshold.into(), ..MetricsSection::default() };
            let mut pair = Pair::new(size, &section);
            let silent = vec![0.0; size[0] * size[1]];
            for _ in 0..3 {
                pair.agree(&silent, &silent, true);
                assert!(pair.gpu.ci().iter().all(|ci| *ci == 0.0));
            }
            let constant = vec![0.7; silent.len()];
            for _ in 0..50 {
                pair.tick(&constant, &constant, false);
            }
            let [_, gpu] = pair.tick(&constant, &constant, true);
            let (summary, energy) = gpu.evaluation.unwrap();
            assert_eq!((summary.d_global, summary.d_r2, energy), (2.0, 1.0, 0.0));
            assert!(pair.gpu.coherence().iter().all(|c| *c == 1.0));
            assert!(pair.gpu.gain().iter().all(|g| (g - 0.7).abs() < 1e-6));
            assert!(summary.ci_mean > 0.0);
        }
    }
}

/// Next to any noise silence stays exactly silent.
#[test]
fn a_loud_corner_leaves_silence_exactly_silent() {
    let size = [70, 70];
    let mut u = vec![0.0f32; 70 * 70];
    u[0] = 1e6;
    let mut pair = Pair::new(size, &MetricsSection::default());
    pair.agree(&u, &u, true);
    assert!(pair.gpu.gain()[69 * 70 + 69] == 0.0 && pair.gpu.coherence()[69 * 70 + 69] == 1.0);
    assert_eq!(pair.gpu.gain()[6 * 70], 0.0, "two rows past the window");
}

/// A wave of 1e-3 on an offset of 1, against two passes in double precision. A mean near 1 is
/// right to a unit of 2^-23, so a variance is right to that over the standard deviation, as on the CPU.
#[test]
fn a_small_variance_on_a_large_offset_survives() {
    let n = 64;
    let u: Vec<f32> =
        (0..n * n).map(|i| (1.0 + 1e-3 * (0.1 * (i % n) as f64).sin()) as f32).collect();
    let section = MetricsSection {
        coherence: Coherence::Raw,
        coherence_eps: 1e-12,
        window: 9,
        ..MetricsSection::default()
    };
    let mut pair = Pair::new([n, n], &section);
    pair.tick(&u, &u, true);
    for y in 0..n {
        for x in 0..n {
            let rows = y.saturating_sub(4)..(y + 5).min(n);
            let cells = rows.flat_map(|row| {
                (x.saturating_sub(4)..(x + 5).min(n)).map(move |column| row * n + column)
            });
            let values: Vec<f64> = cells.map(|cell| f64::from(u[cell])).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let variance = squares / values.len() as f64;
            let exact = 1.0 / (variance + 1e-12);
            let error = (f64::from(pair.gpu.coherence()[y * n + x]) / exact - 1.0).abs();
            assert!(error < f64::from(f32::EPSILON) / variance.sqrt(), "{x}, {y}: {error}");
        }
    }
}

/// What is not finite is seen; after clearing, the device is as at the start.
#[test]
fn a_spoilt_memory_is_seen_and_cleared() {
    let size = [301, 7];
    let mut pair = Pair::new(size, &section());
    let [u, previous] = levels(size, 1);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut broken = u.clone();
        broken[1234] = bad;
        let [_, gpu] = pair.tick(&broken, &previous, true);
        assert!(!gpu.magnitude.is_finite());
        pair.device.clear();
        pair.gpu.clear();
        pair.cpu.clear();
        pair.agree(&u, &previous, true);
    }
}

/// Windows that cost a driver's patience are refused by their name, with the way out; on a smaller field they are not.
#[test]
fn windows_that_take_too_long_are_refused_by_name() {
    let refusal = |[nx, ny]: [usize; 2], window, gain| {
        let section = MetricsSection { window, gain, ..section() };
        let medium = medium(Boundary::Periodic, 0.5, 0.0);
        let wave = Wave::new(Grid::new(nx, ny, 1.0, 1.0).unwrap(), medium).unwrap();
        let device_wave = DeviceWave::new(&GPU, &wave, &Feeds::silent(ny)).unwrap();
        let meter = Meter::new(nx, ny, &section, TICK_SECONDS, Kept::ALL).unwrap();
        DeviceMeter::new(&device_wave, &wave, &meter, &[], EVERYTHING).err()
    };
    let error = refusal([2048, 1024], 1023, Gain::Rms).unwrap();
    assert!(matches!(error, GpuError::Window { window: 1023, .. }), "{error:?}");
    let told = error.to_string();
    let parts = ["metrics.window = 1023", GPU.name(), "2048 x 1024", "backend = \"cpu\""];
    assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    assert!(refusal([1024, 1024], 1023, Gain::Envelope).is_some(), "two fields are loaded");
    assert_eq!(refusal([1024, 1024], 1023, Gain::Rms), None);
    assert_eq!(refusal([2048, 1024], 301, Gain::Envelope), None);
}

/// What is not wanted does not come back; numbers and sites do.
#[test]
fn only_what_is_wanted_comes_back() {
    let size = [90, 50];
    let [u, previous] = levels(size, 2);
    let medium = medium(Boundary::Periodic, 0.5, 0.0);
    let mut all = Pair::within(size, &section(), medium, EVERYTHING);
    let mut none = Pair::within(size, &section(), medium, Wanted::default());
    let [_, expected] = all.tick(&u, &previous, true);
    let [_, found] = none.tick(&u, &previous, true);
    assert_eq!(found, expected);
    for fields in [none.gpu.ci(), none.gpu.coherence(), none.gpu.gain(), none.gpu.dwell()] {
        assert!(fields.iter().all(|value| *value == 0.0));
    }
    for k in 0..all.sites.len() {
        assert_eq!(none.device.site(k), all.device.site(k));
    }
    // Until it is asked for.
    none.device.read_back(&mut none.gpu).unwrap();
    assert_eq!(none.gpu.ci(), all.gpu.ci());
    assert_eq!(none.gpu.dwell(), all.gpu.dwell());
}
