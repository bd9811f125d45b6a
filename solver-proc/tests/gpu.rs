//! The GPU against its oracle, the CPU in single precision: 1e-5 of the largest |u| after 100 steps, with the
//! exceptions that [`Case::difference_max`] names.
//!
//! On any Vulkan device. Debian's mesa-vulkan-drivers has one in software, so there is always one to test on.

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::LazyLock;

use common::{BOUNDARIES, LAWS, alone, medium, noise_of, pool, topology};
use proptest::prelude::*;
use rsw_config::{Backend, Boundary, NamedSource, SourceSection};
use solver_proc::drive::Tables;
use solver_proc::engine::Engine;
use solver_proc::feedback::Feedback;
use solver_proc::gpu::{Choice, DeviceWave, Gpu, GpuError};
use solver_proc::grid::Grid;
use solver_proc::real::Real;
use solver_proc::source::{Feeds, Source};
use solver_proc::wave::{Medium, Wave};

/// Steps of a comparison, and the largest difference after them in units of the largest |u|.
const STEPS: usize = 100;
const DIFFERENCE_MAX: f64 = 1e-5;

static GPU: LazyLock<Gpu> =
    LazyLock::new(|| Gpu::open(Choice::Any).unwrap_or_else(|error| panic!("{error}")));

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
struct Case {
    size: [usize; 2],
    spacing: [f64; 2],
    medium: Medium,
    fed: bool,
}

impl Case {
    /// At the start: noise at rest.
    fn wave<T: Real>(&self) -> Wave<T> {
        let [nx, ny] = self.size;
        let grid = Grid::new(nx, ny, self.spacing[0], self.spacing[1]).unwrap();
        common::wave(grid, self.medium, &noise_of(nx * ny, 5))
    }

    /// An oscillator and a pulse on discs that overlap, and one near a corner, where an edge is written
    /// from what was fed; those that the field has no room for are left out.
    fn sources<T: Real>(&self, wave: &Wave<T>) -> Vec<Source> {
        let at = self.size.map(|side| side as u32 / 2);
        let section = SourceSection { at, ..SourceSection::default() };
        let sections = [
            SourceSection { frequency: Some(0.05), radius: 3, ..section.clone() },
            SourceSection { ricker: Some(0.1), amplitude: 2.0, ..section.clone() },
            SourceSection { frequency: Some(0.2), radius: 2, at: [1, 1], ..section },
        ];
        let open = |source: SourceSection| {
            let named = NamedSource { name: "s".into(), source };
            Source::new(&named, wave, &mut Tables::default(), 1)
        };
        let sections = if self.fed { &sections[..] } else { &[] };
        sections.iter().filter_map(|section| open(section.clone()).ok()).collect()
    }

    /// The signals of `steps` steps.
    fn feeds<T: Real>(&self, wave: &Wave<T>, steps: usize) -> Feeds {
        let sources = self.sources(wave);
        let mut feeds = Feeds::new(&sources, self.size, steps);
        for step in 0..steps {
            let t = step as f64 * self.medium.dt;
            feeds.set(step, sources.iter().map(|source| source.signal(t, 0.0)));
        }
        feeds
    }

    /// The wave after `steps` steps on the CPU.
    fn on_cpu<T: Real>(&self, steps: usize) -> Wave<T> {
        let mut wave = self.wave();
        let feeds = self.feeds(&wave, steps);
        wave.advance(&alone(), &feeds, steps);
        wave
    }

    /// The same on the device, and the largest |u| that the device found.
    fn on_gpu(&self, steps: usize) -> (Wave, f64) {
        let mut wave = self.wave();
        let feeds = self.feeds(&wave, steps);
        let mut device_wave = DeviceWave::new(&GPU, &wave, &feeds).unwrap();
        device_wave.advance(&feeds, steps).unwrap();
        let magnitude = device_wave.magnitude().unwrap();
        device_wave.read_back(&mut wave).unwrap();
        (wave, magnitude)
    }

    /// How far the GPU is from the CPU, in units of the largest |u|.
    fn difference(&self) -> f64 {
        let cpu: Wave = self.on_cpu(STEPS);
        let (gpu, magnitude) = self.on_gpu(STEPS);
        assert_eq!(magnitude, gpu.magnitude(&alone()), "{self:?}: the device's largest |u|");
        apart(&gpu, &cpu)
    }

    /// How far single precision is from double precision, both on the CPU.
    fn rounding(&self) -> f64 {
        apart(&self.on_cpu::<f32>(STEPS), &self.on_cpu::<f64>(STEPS))
    }

    /// How far the GPU may be from the CPU: 1e-5, with these exceptions.
    fn difference_max(&self) -> f64 {
        let Medium { boundary, feedback, .. } = self.medium;
        let held = matches!(boundary, Boundary::Dirichlet | Boundary::Sponge);
        // Nothing holds the mean here, nor damps it: it drifts as it is rounded, however little is left of all else. The
        // unit is the largest |u| at the start.
        let unit = if matches!(boundary, Boundary::Neumann | Boundary::Periodic) {
            let [start, end] =
                [0, STEPS].map(|steps| self.on_cpu::<f32>(steps).magnitude(&alone()));
            (start / end.max(1e-30)).max(1.0)
        } else {
            1.0
        };
        // The mean of a few cells drifts most (1.6e-5 for three, in software).
        let few = if !held && self.size[0] * self.size[1] <= 64 { 4.0 } else { 1.0 };
        // Phi^4 drives a field away from rest, and edges of second order amplify what comes of it (1.3e-5 in software):
        // what single precision itself is off is allowed as well.
        let parts =
            matches!(feedback, Feedback::Phi4 { .. }) && boundary == Boundary::EngquistMajda;
        DIFFERENCE_MAX * unit * few + if parts { self.rounding() } else { 0.0 }
    }
}

/// The largest difference of both levels, in units of the largest |u|.
fn apart<T: Real, U: Real>(a: &Wave<T>, b: &Wave<U>) -> f64 {
    let levels = [(a.u(), b.u()), (a.previous(), b.previous())];
    let pairs = levels.into_iter().flat_map(|(a, b)| a.iter().zip(b));
    let pairs = pairs.map(|(a, b)| (a.to_f64() - b.to_f64()).abs());
    assert!(pairs.clone().all(f64::is_finite));
    // A field that has gone to rest is compared with nothing smaller than a normal number.
    pairs.fold(0.0, f64::max) / b.magnitude(&alone()).max(1e-30)
}

fn agree(case: Case) {
    let (difference, most) = (case.difference(), case.difference_max());
    assert!(difference < most, "{case:?}: {difference:e}, at most {most:e}");
}

/// Every edge, damped or not, spacings equal or not, fed or not, on sizes that do not
/// divide into workgroups.
#[test]
fn every_edge_agrees_with_the_cpu() {
    let sizes = [[1, 1], [1, 5], [5, 1], [2, 3], [3, 3], [17, 5], [64, 4], [65, 17]];
    for (boundary, size) in BOUNDARIES.iter().flat_map(|b| sizes.iter().map(move |s| (*b, *s))) {
        for (damping, dy) in [(0.0, 1.0), (0.05, 1.0), (0.0, 1.7), (0.05, 0.8)] {
            let medium = medium(boundary, 0.55, damping);
            agree(Case { size, spacing: [1.0, dy], medium, fed: size[0] > 3 });
        }
    }
}

/// Every nonlinear term, in the open and in a sponge.
#[test]
fn every_law_agrees_with_the_cpu() {
    for feedback in LAWS {
        for boundary in [Boundary::Periodic, Boundary::Sponge, Boundary::EngquistMajda] {
            let medium = Medium { feedback, ..medium(boundary, 0.5, 0.02) };
            agree(Case { size: [70, 41], spacing: [1.0, 1.2], medium, fed: true });
        }
    }
}

/// Many workgroups, and a column and a row more than they cover.
#[test]
fn large_fields_agree_with_the_cpu() {
    for (boundary, size) in BOUNDARIES.into_iter().zip([
        [1023, 17],
        [17, 1025],
        [1025, 1023],
        [1023, 1025],
        [1025, 3],
        [3, 1023],
    ]) {
        let medium = medium(boundary, 0.55, 0.01);
        agree(Case { size, spacing: [1.0, 1.0], medium, fed: true });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_field_agrees_with_the_cpu(
        size in [1usize..140, 1usize..90],
        kind in 0usize..BOUNDARIES.len(),
        law in 0usize..LAWS.len(),
        dy in prop_oneof![Just(1.0), 0.8..2.0],
        damping in prop_oneof![Just(0.0), 0.0..0.3],
        fed in any::<bool>(),
    ) {
        let medium = Medium { feedback: LAWS[law], ..medium(BOUNDARIES[kind], 0.5, damping) };
        let case = Case { size, spacing: [1.0, dy], medium, fed };
        // How far the CPU is from the exact field tells the size of what phi^4 makes of a rounding error, no bound of it.
        let phi4 = matches!(medium.feedback, Feedback::Phi4 { .. });
        let room = if phi4 { 4.0 * case.rounding() } else { 0.0 };
        let (difference, most) = (case.difference(), case.difference_max());
        prop_assert!(difference < most + room, "{difference:e}, at most {most:e} and {room:e}");
    }
}

/// One call of many steps, more than fit in a submission, and as many calls of one step give the same bits.
#[test]
fn one_call_and_many_give_the_same_bits() {
    for boundary in BOUNDARIES {
        let medium = medium(boundary, 0.6, 0.01);
        let case = Case { size: [67, 33], spacing: [1.0, 1.0], medium, fed: true };
        let steps = 131;
        let (at_once, _) = case.on_gpu(steps);
        let mut wave: Wave = case.wave();
        let sources = case.sources(&wave);
        let mut feeds = Feeds::new(&sources, case.size, 1);
        let mut device_wave = DeviceWave::new(&GPU, &wave, &feeds).unwrap();
        for step in 0..steps {
            let t = step as f64 * medium.dt;
            feeds.set(0, sources.iter().map(|source| source.signal(t, 0.0)));
            device_wave.advance(&feeds, 1).unwrap();
        }
        device_wave.read_back(&mut wave).unwrap();
        let bits = |level: &[f32]| level.iter().map(|u| u.to_bits()).collect::<Vec<u32>>();
        assert!(bits(at_once.u()) == bits(wave.u()), "{boundary:?}");
        assert!(bits(at_once.previous()) == bits(wave.previous()), "{boundary:?}");
    }
}

/// It is c dt/dx that counts; a kernel without the spacing would blow up or stand still.
#[test]
fn the_unit_of_length_changes_nothing() {
    for boundary in BOUNDARIES {
        let fields = [1.0, 0.01].map(|unit| {
            let medium = Medium { boundary, dt: 0.6 * unit, ..medium(boundary, 0.6, 0.0) };
            let medium = Medium { sponge_damping: 0.8 / unit, ..medium };
            let case = Case { size: [70, 33], spacing: [unit, 1.3 * unit], medium, fed: false };
            case.on_gpu(STEPS).0
        });
        let [metres, centimetres] = fields.each_ref().map(Wave::u);
        let largest = fields[0].magnitude(&alone());
        for (a, b) in metres.iter().zip(centimetres) {
            assert!(f64::from((a - b).abs()) < DIFFERENCE_MAX * largest, "{boundary:?}: {a} {b}");
        }
    }
}

/// What is not finite is seen wherever it is, and what is finite is measured to the last bit.
#[test]
fn the_device_sees_what_is_not_finite() {
    let (nx, ny) = (301, 7);
    let case = Case {
        size: [nx, ny],
        spacing: [1.0, 1.0],
        medium: medium(Boundary::Periodic, 0.6, 0.0),
        fed: false,
    };
    let mut wave: Wave = case.wave();
    let mut device_wave = DeviceWave::new(&GPU, &wave, &Feeds::silent(ny)).unwrap();
    assert_eq!(device_wave.magnitude().unwrap(), wave.magnitude(&alone()));
    let whole = wave.u().to_vec();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, nx * ny / 2, nx * ny - 1] {
            let mut field = whole.clone();
            field[at] = bad;
            wave.resume(&field, &whole);
            device_wave.upload(&wave).unwrap();
            assert!(device_wave.magnitude().unwrap().is_nan(), "{bad} at {at}");
            // And after a step, wherever the kernel took it.
            device_wave.advance(&Feeds::silent(ny), 1).unwrap();
            assert!(device_wave.magnitude().unwrap().is_nan(), "{bad} at {at}, a step on");
        }
    }
    wave.rest();
    device_wave.upload(&wave).unwrap();
    assert_eq!(device_wave.magnitude().unwrap(), 0.0);
}

/// A field beyond the limits is refused before any memory is taken, by the names of the device and of the limit.
#[test]
fn a_field_beyond_the_limits_is_refused_by_name() {
    let grid = Grid::new(65_536, 65_536, 1.0, 1.0).unwrap();
    let error = GPU.check(&grid).unwrap_err();
    let GpuError::Limit { limit, needed, most, .. } = &error else { panic!("{error}") };
    assert_eq!((*limit, *needed), ("max_storage_buffer_binding_size", 1 << 34));
    assert!(most < needed);
    let told = error.to_string();
    assert!(told.contains(GPU.name()) && told.contains("compute on the CPU"), "{told}");
    assert!(GPU.check(&Grid::new(4096, 4096, 1.0, 1.0).unwrap()).is_ok());
}

/// Software that speaks Vulkan is taken only where it was asked for by name.
#[test]
fn software_is_refused_where_a_gpu_is_wanted() {
    match Gpu::open(Choice::Real) {
        Ok(gpu) => assert!(gpu.is_real() && GPU.is_real()),
        Err(error) => {
            assert!(!GPU.is_real());
            assert_eq!(error, GpuError::Software { adapter: GPU.name().into() });
        }
    }
}

/// An engine with this backend after `ticks` ticks.
fn engine_on(backend: Backend, ticks: usize) -> Engine {
    let mut topology = topology(130, 75);
    topology.config.field.backend = backend;
    let mut engine = Engine::new(&topology, pool(1)).unwrap();
    for _ in 0..ticks {
        assert!(!engine.tick().unwrap().diverged);
    }
    engine
}

/// A whole engine on the GPU: the field and the numbers of the CPU's, and it says what it runs on.
#[test]
fn an_engine_on_the_gpu_measures_the_same() {
    let [mut cpu, mut gpu] = [Backend::Cpu, Backend::Gpu].map(|backend| engine_on(backend, 24));
    assert!(gpu.kernel().contains(GPU.name()), "{}", gpu.kernel());
    let difference = apart(gpu.wave().unwrap(), cpu.wave().unwrap());
    assert!(difference < 2.0 * DIFFERENCE_MAX, "after 192 steps: {difference:e}");
    let [cpu, gpu] = [cpu.tick().unwrap(), gpu.tick().unwrap()];
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-3, "{cpu:?}\n{gpu:?}");
    near(gpu.energy, cpu.energy);
    near(gpu.u_abs_max, cpu.u_abs_max);
    near(gpu.ci_mean, cpu.ci_mean);
    near(gpu.dwell_mean, cpu.dwell_mean);
}

/// A small field is the CPU's business, whatever devices there are.
#[test]
fn auto_leaves_small_fields_to_the_cpu() {
    let engine = engine_on(Backend::Auto, 0);
    assert_eq!(engine.kernel(), engine_on(Backend::Cpu, 0).kernel());
}

/// A state saved on the device is gone on from with the same bits, also by an engine that has gone elsewhere.
#[test]
fn a_saved_state_goes_on_with_the_same_bits() {
    let mut whole = engine_on(Backend::Gpu, 9);
    let mut state = vec![0; whole.checkpoint_bytes()];
    whole.save(&mut state).unwrap();
    let mut other = engine_on(Backend::Gpu, 3);
    other.restore(&state).unwrap();
    for _ in 0..5 {
        whole.tick().unwrap();
        other.tick().unwrap();
    }
    let bits = |engine: &mut Engine| {
        let wave = engine.wave().unwrap();
        let levels = [wave.u(), wave.previous()];
        levels.into_iter().flatten().map(|u| u.to_bits()).collect::<Vec<u32>>()
    };
    assert!(bits(&mut whole) == bits(&mut other));
}

/// A field that diverges on the device is put to rest there too, and the run goes on.
#[test]
fn a_diverged_field_is_put_to_rest_on_the_device() {
    let mut topology = topology(40, 40);
    topology.config.field.backend = Backend::Gpu;
    topology.sources[0].source.amplitude = 1e30;
    let mut engine = Engine::new(&topology, pool(1)).unwrap();
    let diverged = (0..10).filter(|_| engine.tick().unwrap().diverged).count();
    assert_eq!(diverged, 10);
    assert!(engine.wave().unwrap().u().iter().all(|u| *u == 0.0));
}
