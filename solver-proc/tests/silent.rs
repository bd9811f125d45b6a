//! A tick allocates nothing, whatever it computes, on one thread or from inside of its pool: counted by the allocator.
//!
//! One test, for it counts what the whole process asks for.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../runtime/plane/tests/silent/counting.rs"]
mod counting;

use std::sync::Arc;

use common::{BOUNDARIES, LAWS, band, medium, noise_of, pool, recorded, topology};
use rayon::ThreadPool;
use rsw_config::{AnnotationSection, AtEnd, Boundary, Dwell, Feedback as Word, Gain, Topology};
use solver_proc::energy::EnergyMeter;
use solver_proc::engine::Engine;
use solver_proc::grid::Grid;
use solver_proc::real::Real;
use solver_proc::source::Feeds;
use solver_proc::wave::{Medium, Tiling, Wave};
use solver_proc::workers::Workers;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = counting::allocations();
    work();
    counting::allocations() - before
}

/// Ticks from inside of the engine's pool, and from outside, as the kernel makes them, where with several threads rayon's
/// queue of jobs takes a block every 63.
fn check_engine(topology: &Topology, pool: &Arc<ThreadPool>) {
    let threads = pool.current_num_threads();
    let mut engine = Engine::new(topology, Arc::clone(pool)).unwrap();
    let mut ticks = |count: u64| {
        for _ in 0..count {
            assert!(!engine.tick().unwrap().diverged);
            engine.events().for_each(drop);
        }
    };
    let inside = pool.install(|| {
        ticks(30);
        allocations(|| ticks(70))
    });
    assert_eq!(inside, 0, "{threads} threads: {:?}", topology.config.field);
    let outside = allocations(|| ticks(126));
    let most = if threads > 1 { 3 } else { 0 };
    assert!(outside <= most, "{threads} threads, from outside: {outside}");
}

/// Steps in tiles and without, the energy and the largest |u|.
fn check_wave<T: Real>(medium: Medium, tiling: Tiling, pool: &Arc<ThreadPool>) {
    let ([nx, ny], threads) = ([90, 150], pool.current_num_threads());
    let workers = Workers::new(Arc::clone(pool));
    let grid = Grid::new(nx, ny, 1.0, 1.0).unwrap();
    let mut wave: Wave<T> = common::wave(grid, medium, &noise_of(nx * ny, 1));
    wave.tile(tiling, 7, &workers);
    let (feeds, mut energy) = (Feeds::silent(ny), EnergyMeter::new(ny));
    let mut work = |calls: usize| {
        for _ in 0..calls {
            wave.advance(&workers, &feeds, 7);
            assert!((energy.measure(&wave, &workers) + wave.magnitude(&workers)).is_finite());
        }
    };
    let count = pool.install(|| {
        work(3);
        allocations(|| work(10))
    });
    assert_eq!(count, 0, "{} {medium:?} {tiling:?}, {threads} threads", T::NAME);
}

#[test]
fn a_tick_allocates_nothing() {
    // The same threads to the end: one that ends allocates.
    let (pools, tilings) = ([1, 2].map(pool), [Tiling::Off, Tiling::Depth(5)]);
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("s.csv");
    std::fs::write(&csv, "t,a,mark\n0,1,0\n1,,0\n2,3,1\n3,9,1\n4,2,0\n").unwrap();
    for (every_ticks, bands, boundary, dwell, gain) in [
        (1, 0, Boundary::Absorbing, Dwell::Leaky, Gain::Rms),
        (3, 2, Boundary::Sponge, Dwell::Sojourn, Gain::Envelope),
        (1, 2, Boundary::EngquistMajda, Dwell::Leaky, Gain::Abs),
    ] {
        let mut topology = topology(96, 200);
        topology.config.metrics.every_ticks = every_ticks;
        (topology.config.metrics.dwell, topology.config.metrics.gain) = (dwell, gain);
        topology.config.field.boundary = boundary;
        if gain == Gain::Abs {
            topology.config.field.feedback = Word::SineGordon;
        }
        topology.config.band = (0..bands).map(|k| band(k, 1.0 + 8.0 * f64::from(k))).collect();
        let mut source = recorded("c", csv.clone(), "a", [30, 30]);
        source.source.at_end = AtEnd::Loop;
        topology.sources.push(source);
        let mark = AnnotationSection { csv: csv.clone(), column: "mark".into() };
        topology.config.annotation.insert("mark".into(), mark);
        pools.iter().for_each(|pool| check_engine(&topology, pool));
    }
    for (boundary, feedback) in BOUNDARIES.iter().flat_map(|b| LAWS.map(|law| (*b, law))) {
        let medium = Medium { feedback, ..medium(boundary, 0.6, 0.05) };
        for (pool, tiling) in pools.iter().flat_map(|pool| tilings.map(|tiling| (pool, tiling))) {
            check_wave::<f32>(medium, tiling, pool);
            check_wave::<f64>(medium, tiling, pool);
        }
    }
}
