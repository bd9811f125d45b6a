//! Whole engines on a GPU beside those on the CPU: fields, numbers, sites, and states that go from one to the other.
//!
//! On any Vulkan device, as `tests/gpu.rs`.

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{pool, topology};
use rsw_config::{Auto, Backend, BandSection, Gain, Topology};
use solver_proc::engine::{Engine, TickReport};

const FIELDS: [&str; 6] = ["wave", "ci", "coherence", "gain", "dwell", "ci_total"];

fn engine(topology: &Topology, backend: Backend) -> Engine {
    let mut topology = topology.clone();
    topology.config.field.backend = backend;
    Engine::new(&topology, pool(1)).unwrap()
}

/// A swarm with so many bands that measures every so many ticks.
fn swarm(every_ticks: u32, bands: u8) -> Topology {
    let mut topology = topology(67, 45);
    topology.config.metrics.tile = 16;
    topology.config.metrics.every_ticks = every_ticks;
    topology.config.band = (0..bands).map(band).collect();
    topology
}

fn band(number: u8) -> (String, BandSection) {
    let low_hz = 1.0 + 8.0 * f64::from(number);
    let high_hz = 3.0 * low_hz;
    let section =
        BandSection { low_hz, high_hz, weight: 1.0, alpha: 1.0, tau0: Auto::Auto, half: 0.01 };
    (format!("band-{number}"), section)
}

/// Everything that an engine shows, as bits.
fn shown(engine: &Engine) -> (Vec<Vec<u32>>, String) {
    let bits = |field: &[f32]| field.iter().map(|v| v.to_bits()).collect();
    let fields = FIELDS.iter().filter_map(|name| engine.field(name)).map(bits);
    (fields.collect(), format!("{:?}", engine.site_metrics()))
}

/// A report without its durations.
fn report(engine: &mut Engine) -> String {
    let report = engine.tick().unwrap();
    format!("{:?}", TickReport { solver_ns: 0, metrics_ns: 0, ..report })
}

fn saved(engine: &mut Engine) -> Vec<u8> {
    let mut state = vec![0; engine.checkpoint_bytes()];
    engine.save(&mut state).unwrap();
    state
}

/// The largest difference of a field, in units of its largest magnitude.
fn apart(name: &str, a: &Engine, b: &Engine) -> f32 {
    let (a, b) = (a.field(name).unwrap(), b.field(name).unwrap());
    let largest = b.iter().fold(1e-30f32, |most, value| most.max(value.abs()));
    a.iter().zip(b).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

/// After a hundred steps the wave is within 1e-5 of its largest value, and so is what follows from it smoothly. The
/// index is not: a cell at the threshold may be in one set and not in the other.
#[test]
fn every_field_agrees_with_the_cpu() {
    for (gain, every_ticks, bands) in [(Gain::Rms, 1, 2), (Gain::Abs, 3, 0), (Gain::Envelope, 1, 0)]
    {
        let mut topology = swarm(every_ticks, bands);
        topology.config.metrics.gain = gain;
        topology.config.tick.steps = 4;
        let [mut cpu, mut gpu] = [Backend::Cpu, Backend::Gpu].map(|on| engine(&topology, on));
        for _ in 0..25 {
            let [cpu, gpu] = [&mut cpu, &mut gpu].map(|engine| engine.tick().unwrap());
            assert_eq!(
                (gpu.tick, gpu.t_ns, gpu.evaluated, gpu.diverged),
                (cpu.tick, cpu.t_ns, cpu.evaluated, cpu.diverged)
            );
        }
        for (name, most) in
            [("wave", 1e-5), ("dwell", 1e-5), ("gain", 1e-5), ("coherence", 5e-5), ("ci", 1e-3)]
        {
            let difference = apart(name, &gpu, &cpu);
            assert!(difference < most, "{name}, {gain:?}: {difference:e}");
        }
        if bands > 0 {
            assert!(apart("ci_total", &gpu, &cpu) < 1e-3);
        }
        for (gpu, cpu) in gpu.site_metrics().iter().zip(cpu.site_metrics()) {
            let pairs = [(gpu.u, cpu.u), (gpu.c, cpu.c), (gpu.g, cpu.g), (gpu.tau, cpu.tau)];
            for (gpu, cpu) in pairs {
                assert!((gpu - cpu).abs() < 1e-4 * cpu.abs().max(1e-3), "{gpu}, {cpu}");
            }
        }
    }
}

/// As on the CPU: fields, sites and reports, whatever is evaluated and with bands or without.
#[test]
fn a_restored_engine_goes_on_with_the_same_bits() {
    for (every_ticks, bands) in [(1, 0), (3, 0), (1, 2), (3, 2)] {
        let topology = swarm(every_ticks, bands);
        let mut whole = engine(&topology, Backend::Gpu);
        for _ in 0..11 {
            whole.tick().unwrap();
        }
        let state = saved(&mut whole);
        let mut other = engine(&topology, Backend::Gpu);
        other.tick().unwrap();
        other.restore(&state).unwrap();
        assert_eq!(other.tick_number(), 11);
        assert!(saved(&mut other) == state, "what was restored is what is saved");
        for _ in 0..7 {
            let (left, right) = (report(&mut other), report(&mut whole));
            // Between two evaluations the numbers are those of the last, which a state has in double precision.
            assert_eq!(left, right);
            assert_eq!(shown(&other), shown(&whole), "every {every_ticks}, {bands} bands");
        }
        assert!(saved(&mut other) == saved(&mut whole));
    }
}

/// From the GPU to the CPU and back: nothing is lost on the way, and both ends go on with the same waves.
#[test]
fn a_state_goes_from_one_backend_to_the_other_and_back() {
    for (every_ticks, bands) in [(1, 0), (3, 2)] {
        let topology = swarm(every_ticks, bands);
        let mut whole = engine(&topology, Backend::Cpu);
        for _ in 0..12 {
            whole.tick().unwrap();
        }
        let mut state = Vec::new();
        let mut last = None;
        for backend in [Backend::Gpu, Backend::Cpu, Backend::Gpu] {
            let mut next = engine(&topology, backend);
            if !state.is_empty() {
                next.restore(&state).unwrap();
                assert!(saved(&mut next) == state, "to {backend:?}");
                // Sites are there at once, although no device has measured them yet.
                assert!(next.site_metrics().iter().all(|site| site.g > 0.0 && site.tau > 0.0));
            }
            for _ in 0..4 {
                next.tick().unwrap();
            }
            state = saved(&mut next);
            last = Some(next);
        }
        let last = last.unwrap();
        assert_eq!(last.tick_number(), whole.tick_number());
        for (name, most) in [("wave", 1e-5), ("dwell", 1e-5), ("gain", 1e-5), ("ci", 1e-3)] {
            let difference = apart(name, &last, &whole);
            assert!(difference < most, "{name}, every {every_ticks}: {difference:e}");
        }
    }
}

/// What is not published stays on the device, and is missed by nobody: the same numbers, sites and states.
#[test]
fn what_is_not_published_stays_on_the_device() {
    for every_ticks in [1, 3] {
        let topology = swarm(every_ticks, 0);
        let mut quiet = topology.clone();
        quiet.config.field.publish = vec!["gain".into()];
        let [mut all, mut some] = [&topology, &quiet].map(|swarm| engine(swarm, Backend::Gpu));
        for _ in 0..8 {
            assert_eq!(report(&mut some), report(&mut all));
            assert_eq!(format!("{:?}", some.site_metrics()), format!("{:?}", all.site_metrics()));
            assert_eq!(some.field("gain"), all.field("gain"));
            for name in ["wave", "ci", "coherence", "dwell"] {
                assert!(some.field(name).is_none() && some.range(name).is_none(), "{name}");
            }
        }
        let state = saved(&mut some);
        assert!(state == saved(&mut all));
        assert_eq!(some.wave().unwrap().u(), all.wave().unwrap().u());
        // Nor does it depend on a state that was just saved, or gone back to.
        for _ in 0..2 {
            assert!(some.field("wave").is_none() && some.field("dwell").is_none());
            assert!(some.field("gain").is_some());
            some.restore(&state).unwrap();
        }
    }
}

/// Told, put to rest on both sides, and measured as a field at rest.
#[test]
fn a_diverging_field_is_told_and_put_to_rest() {
    for amplitude in [1e30, 1e300] {
        let mut topology = swarm(1, 0);
        topology.sources[0].source.amplitude = amplitude;
        let mut engine = engine(&topology, Backend::Gpu);
        for _ in 0..5 {
            let report = engine.tick().unwrap();
            assert!(report.diverged && (report.u_abs_max.is_nan() || report.u_abs_max > 1e12));
            assert_eq!((report.ci_mean, report.energy, report.dwell_mean > 0.0), (0.0, 0.0, true));
            for name in ["wave", "ci", "coherence", "gain", "dwell"] {
                let [low, high] = engine.range(name).unwrap();
                assert!(low.is_finite() && high.is_finite(), "{name}");
            }
            assert!(engine.field("wave").unwrap().iter().all(|u| *u == 0.0));
        }
    }
}
