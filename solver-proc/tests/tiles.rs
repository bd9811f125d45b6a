//! Time tiling: the same bits as one step at a time, whatever the precision, the shape, the edges, the
//! nonlinear term, the sources, the number of steps or of threads.

#![allow(clippy::unwrap_used)]

mod common;

use common::{BOUNDARIES, LAWS, bits, medium, noise_of, pool};
use proptest::prelude::*;
use rsw_config::{Boundary, NamedSource, SourceSection};
use solver_proc::drive::Tables;
use solver_proc::energy::EnergyMeter;
use solver_proc::grid::Grid;
use solver_proc::real::Real;
use solver_proc::source::{Feeds, Source};
use solver_proc::wave::{Medium, Tiling, Wave};
use solver_proc::workers::Workers;

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
struct Case {
    size: [usize; 2],
    dy: f64,
    medium: Medium,
    steps: usize,
    seed: u64,
}

/// The tiles, the threads, and the steps in a call.
type Way = (Tiling, usize, usize);

/// An oscillator and a pulse on discs that overlap, in the middle of the field, and one of each beside its corners.
fn sources<T: Real>(wave: &Wave<T>, [nx, ny]: [usize; 2]) -> Vec<Source> {
    let at = [nx as u32 / 2, ny as u32 / 2];
    let section = SourceSection { at, ..SourceSection::default() };
    let sections = [
        SourceSection { frequency: Some(0.05), radius: 3, ..section.clone() },
        SourceSection { ricker: Some(0.1), amplitude: 2.0, ..section.clone() },
        SourceSection { frequency: Some(0.07), at: [1, 1], ..section.clone() },
        SourceSection { ricker: Some(0.2), at: [nx as u32 - 2, ny as u32 - 2], ..section },
    ];
    let open = |source: SourceSection| {
        let named = NamedSource { name: "s".into(), source };
        Source::new(&named, wave, &mut Tables::default(), 1)
    };
    sections.into_iter().filter_map(|section| open(section).ok()).collect()
}

/// Both levels and the energy as bits, after `steps` steps in calls of `call`.
fn end<T: Real>(case: &Case, (tiling, threads, call): Way) -> ([Vec<u64>; 2], u64) {
    let [nx, ny] = case.size;
    let workers = Workers::new(pool(threads));
    let grid = Grid::new(nx, ny, 1.0, case.dy).unwrap();
    let mut wave: Wave<T> = common::wave(grid, case.medium, &noise_of(nx * ny, case.seed));
    let sources = sources(&wave, case.size);
    let mut feeds = Feeds::new(&sources, case.size, call);
    wave.tile(tiling, call, &workers);
    if let Tiling::Depth(depth) = tiling {
        assert_eq!(wave.tile_depth(), depth.min(call), "no tiles");
    }
    let mut done = 0;
    while done < case.steps {
        let count = call.min(case.steps - done);
        for step in 0..count {
            let t = (done + step) as f64 * case.medium.dt;
            feeds.set(step, sources.iter().map(|source| source.signal(t, 0.0)));
        }
        workers.enter(|| wave.advance(&workers, &feeds, count));
        done += count;
    }
    let energy = EnergyMeter::new(ny).measure(&wave, &workers);
    ([wave.u(), wave.previous()].map(bits), energy.to_bits())
}

/// Each way gives the bits of the plain sweep, in either precision.
fn check(case: &Case, ways: &[Way]) {
    check_in::<f32>(case, ways);
    check_in::<f64>(case, ways);
}

fn check_in<T: Real>(case: &Case, ways: &[Way]) {
    let plain = end::<T>(case, (Tiling::Off, 1, 1));
    assert!(f64::from_bits(plain.1).is_finite(), "a field that has blown up proves nothing");
    for way in ways {
        assert!(end::<T>(case, *way) == plain, "{} {case:?} {way:?}", T::NAME);
    }
}

/// Sizes of every kind: bands of one row more than they need, pieces that do not
/// divide the row, vectors that do not either.
#[test]
fn tiles_change_no_bit() {
    let sizes = [[3, 3], [5, 4], [17, 9], [64, 64], [33, 131], [1100, 40], [2500, 70]];
    let ways = [(8, 1, 8), (2, 2, 21), (5, 3, 7), (32, 1, 21)];
    let ways = ways.map(|(depth, threads, call)| (Tiling::Depth(depth), threads, call));
    for (boundary, size) in BOUNDARIES.iter().flat_map(|b| sizes.iter().map(move |s| (*b, *s))) {
        for feedback in LAWS {
            let medium = Medium { feedback, ..medium(boundary, 0.6, 0.05) };
            let case = Case { size, dy: 1.0, medium, steps: 21, seed: 3 };
            check(&case, &ways);
            check(&case, &[(Tiling::Auto, 2, 21)]);
        }
    }
}

/// Rows are updated four at a time: every rest of them, above, below and between bands.
#[test]
fn tiles_of_few_rows_change_no_bit() {
    let sizes = [3, 4, 5, 17].iter().flat_map(|nx| (3..=14).chain(31..=35).map(|ny| [*nx, ny]));
    for (boundary, size) in sizes.flat_map(|size| BOUNDARIES.map(|boundary| (boundary, size))) {
        let medium = medium(boundary, 0.6, 0.05);
        let case = Case { size, dy: 1.0, medium, steps: 11, seed: 5 };
        let ways = [(2, 1), (3, 2), (5, 1), (8, 1)];
        check(&case, &ways.map(|(depth, threads)| (Tiling::Depth(depth), threads, depth)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_tile_is_the_plain_sweep(
        size in [3usize..90, 3usize..140],
        kind in 0usize..BOUNDARIES.len(),
        law in 0usize..LAWS.len(),
        square in any::<bool>(),
        [depth, steps, call] in [2usize..20, 1usize..40, 1usize..40],
        threads in 1usize..4,
        seed in 0u64..1000,
    ) {
        let boundary = BOUNDARIES[kind];
        let medium = Medium { feedback: LAWS[law], ..medium(boundary, 0.6, 0.02) };
        let case = Case { size, dy: if square { 1.0 } else { 1.3 }, medium, steps, seed };
        check(&case, &[(Tiling::Depth(depth), threads, call)]);
    }
}

/// What the plan says.
#[test]
fn depth_follows_the_cache_and_the_steps() {
    let workers = [1, 2].map(|threads| Workers::new(pool(threads)));
    let depth_on = |threads: usize, [nx, ny]: [usize; 2], steps: usize| {
        let grid = Grid::new(nx, ny, 1.0, 1.0).unwrap();
        let mut wave: Wave = Wave::new(grid, medium(Boundary::Periodic, 0.6, 0.0)).unwrap();
        wave.tile(Tiling::Auto, steps, &workers[threads - 1]);
        wave.tile_depth()
    };
    let depth = |nx, ny, steps| depth_on(1, [nx, ny], steps);
    assert_eq!(depth(4096, 64, 8), 8);
    assert_eq!(depth(4096, 64, 1000), 27);
    assert_eq!(depth(512, 512, 1000), 32);
    assert_eq!((depth(256, 256, 8), depth(512, 256, 8), depth(513, 256, 8)), (1, 1, 8));
    assert_eq!((depth(65_536, 8, 8), depth(2, 64, 8), depth(64, 64, 1)), (1, 1, 1));
    // Two threads: both have rows enough.
    assert_eq!((depth_on(2, [256, 256], 8), depth_on(2, [256, 256], 1000)), (8, 16));
    assert_eq!((depth_on(2, [4096, 64], 1000), depth_on(2, [512, 16], 1000)), (4, 2));
}
