//! What the tests share: workers, noise, swarms.

// Each test binary uses a part of this.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::path::PathBuf;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};
use rsw_config::{
    AgentInstance, Auto, BandSection, Boundary, NamedSource, Resample, SourceSection, SwarmConfig,
    Topology,
};
use solver_proc::feedback::Feedback;
use solver_proc::grid::Grid;
use solver_proc::real::Real;
use solver_proc::wave::{Medium, Wave};
use solver_proc::workers::Workers;

pub fn pool(threads: usize) -> Arc<ThreadPool> {
    Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().unwrap())
}

pub fn alone() -> Workers {
    Workers::single().unwrap()
}

/// Reproducible noise in [-1, 1).
pub fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The same noise in either precision.
pub fn noise_of<T: Real>(count: usize, seed: u64) -> Vec<T> {
    noise(count, seed).into_iter().map(|u| T::from_f64(f64::from(u))).collect()
}

/// A field as bits; a double has those of a single precision, and more.
pub fn bits<T: Real>(field: &[T]) -> Vec<u64> {
    field.iter().map(|u| u.to_f64().to_bits()).collect()
}

pub const LAWS: [Feedback; 4] = [
    Feedback::None,
    Feedback::SineGordon { strength: 0.3 },
    Feedback::Phi4 { strength: 0.2, u_max: 2.0 },
    Feedback::Relu { strength: 0.4, threshold: 0.2, limit: 0.7 },
];

pub const BOUNDARIES: [Boundary; 6] = [
    Boundary::Dirichlet,
    Boundary::Neumann,
    Boundary::Periodic,
    Boundary::Absorbing,
    Boundary::EngquistMajda,
    Boundary::Sponge,
];

pub fn medium(boundary: Boundary, dt: f64, damping: f64) -> Medium {
    Medium {
        speed: 1.0,
        dt,
        damping,
        boundary,
        sponge_width: 4,
        sponge_damping: 0.8,
        feedback: Feedback::None,
    }
}

/// A wave that starts from `u0` at rest.
pub fn wave<T: Real>(grid: Grid, medium: Medium, u0: &[T]) -> Wave<T> {
    let rest = vec![T::default(); grid.cells()];
    let mut wave = Wave::new(grid, medium).unwrap();
    wave.start(u0, &rest, &rest);
    wave
}

pub fn run<T: Real>(wave: &mut Wave<T>, steps: usize) {
    let workers = alone();
    for _ in 0..steps {
        wave.step(&workers, |_| {});
    }
}

/// A swarm of `nx` x `ny` cells with two oscillators and two agents, which publishes all fields.
pub fn topology(nx: u32, ny: u32) -> Topology {
    let mut config = SwarmConfig::default();
    config.field.size = [nx, ny];
    config.field.publish = ["wave", "ci", "coherence", "gain", "dwell"].map(String::from).to_vec();
    let source = |name: &str, at, frequency| NamedSource {
        name: name.into(),
        source: SourceSection { at, frequency: Some(frequency), ..SourceSection::default() },
    };
    let agent = |agent_id, source| AgentInstance {
        agent_id,
        name: format!("agent-{agent_id}"),
        group: "agent".into(),
        site: [nx / 4, ny / 3],
        source,
    };
    Topology {
        tick_period_ns: 10_000_000,
        config,
        project: "test".into(),
        folder: PathBuf::from("/"),
        dt: 0.7 / 2f64.sqrt(),
        courant: 0.7,
        report_ticks: 100,
        ticks_limit: None,
        sources: vec![source("a", [nx / 4, ny / 3], 0.05), source("b", [nx / 2, ny / 2], 0.08)],
        agents: vec![agent(1, Some(0)), agent(2, None)],
    }
}

/// A source that plays `column` of `file`, one sample a tick.
pub fn recorded(name: &str, file: PathBuf, column: &str, at: [u32; 2]) -> NamedSource {
    NamedSource {
        name: name.into(),
        source: SourceSection {
            at,
            csv: Some(file),
            column: Some(column.into()),
            resample: Resample::Sample,
            ..SourceSection::default()
        },
    }
}

/// A band from `low_hz` on.
pub fn band(number: u8, low_hz: f64) -> (String, BandSection) {
    let section = BandSection {
        low_hz,
        high_hz: 8.0 * low_hz.sqrt(),
        weight: 1.0,
        alpha: 1.0,
        tau0: Auto::Auto,
        half: 0.01,
    };
    (format!("band-{number}"), section)
}

/// A file of a square field of zeros that takes no room on the disk; `kind` is `f4` or `f8`.
pub(crate) fn sparse(path: &std::path::Path, kind: &str, side: u64) {
    let header =
        format!("{{'descr': '<{kind}', 'fortran_order': False, 'shape': ({side}, {side}), }}");
    let head = [&b"\x93NUMPY\x01\x00\x76\x00"[..], format!("{header:<117}\n").as_bytes()].concat();
    std::fs::write(path, &head).unwrap();
    let bytes = head.len() as u64 + side * side * if kind == "f4" { 4 } else { 8 };
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}
