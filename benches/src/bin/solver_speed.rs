//! Prints what the solver's steps cost beside the memory of the machine: `solver_speed [SIDE ...]`.
//!
//! Goal: ratios of one run: the tiled step to the plain one, and both to the one-pass bound, which is the
//! measured triad over the 12 bytes that a step in place moves for a cell. Non-goal: absolute figures.
//! All of it goes by the clock: processor time would not show a thread that is left without work.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use memmap2::{Advice, MmapMut};
use rsw_benches::{Spread, machine};
use rsw_config::Boundary;
use solver_proc::feedback::Feedback;
use solver_proc::grid::Grid;
use solver_proc::source::Feeds;
use solver_proc::wave::{Medium, Tiling, Wave};
use solver_proc::workers::Workers;

const SIDES: [usize; 3] = [256, 1024, 4096];
const THREADS: [usize; 2] = [1, 2];
const RUNS: usize = 7;
/// Steps in one call, as in a tick of the default swarm, and as many as one pass takes at most.
const STEPS: [usize; 2] = [8, 32];
/// Updates in one run.
const CELLS_A_RUN: usize = 400_000_000;
/// Values of each array of the triad: far beyond any cache.
const TRIAD: usize = 1 << 27;
/// Bytes that a step in place moves for a cell of singles: two read, one written.
const CELL_BYTES: f64 = 12.0;

fn main() -> Result<(), Box<dyn Error>> {
    let sides = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<Vec<_>, _>>()?;
    let sides = if sides.is_empty() { SIDES.to_vec() } else { sides };
    println!("{}", machine());
    println!("absorbing edges, single precision; medians of {RUNS} runs (smallest..largest)");
    for threads in THREADS {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?);
        let workers = Workers::new(pool);
        let triad = triad(threads)?;
        let bound = triad / CELL_BYTES;
        println!(
            "\n{threads} threads: triad {triad:.1} GB/s, a one-pass bound of {bound:.2} Gcell/s"
        );
        println!(
            "{:>13} {:>6} {:>5} {:>22} {:>8} {:>8}",
            "field", "steps", "tile", "Gcell/s", "/ plain", "/ bound"
        );
        for &side in &sides {
            let mut plain = None;
            let tilings =
                [(Tiling::Off, STEPS[0]), (Tiling::Auto, STEPS[0]), (Tiling::Auto, STEPS[1])];
            for (tiling, steps) in tilings {
                let mut wave = wave(side)?;
                wave.tile(tiling, steps, &workers);
                let runs = (0..RUNS).map(|_| run(&mut wave, &workers, steps)).collect();
                let Some(rate) = Spread::of(runs) else { continue };
                let plain = *plain.get_or_insert(rate.median);
                println!(
                    "{:>13} {steps:>6} {:>5} {rate:>22} {:>8.2} {:>8.2}",
                    format!("{side} x {side}"),
                    wave.tile_depth(),
                    rate.median / plain,
                    rate.median / bound
                );
            }
        }
    }
    Ok(())
}

fn wave(side: usize) -> Result<Wave, Box<dyn Error>> {
    let medium = Medium {
        speed: 1.0,
        dt: 0.7 / 2f64.sqrt(),
        damping: 0.01,
        boundary: Boundary::Absorbing,
        sponge_width: 0,
        sponge_damping: 0.0,
        feedback: Feedback::None,
    };
    let mut wave = Wave::new(Grid::new(side, side, 1.0, 1.0)?, medium)?;
    let u0: Vec<f32> = (0..side * side).map(|i| ((i * 7919) % 1000) as f32 * 1e-3).collect();
    let zero = vec![0.0; u0.len()];
    wave.start(&u0, &zero, &zero);
    Ok(wave)
}

/// Gcell/s.
fn run(wave: &mut Wave, workers: &Workers, steps: usize) -> f64 {
    let cells = wave.grid().cells();
    let feeds = Feeds::silent(wave.grid().ny);
    let calls = (CELLS_A_RUN / (cells * steps)).max(2);
    let begun = Instant::now();
    workers.enter(|| (0..calls).for_each(|_| wave.advance(workers, &feeds, steps)));
    (cells * calls * steps) as f64 * 1e-9 / begun.elapsed().as_secs_f64()
}

/// GB/s of `a = b + 3 c`, the best of a few runs; in huge pages, as the fields are.
fn triad(threads: usize) -> Result<f64, Box<dyn Error>> {
    let array = |value: f32| -> Result<MmapMut, std::io::Error> {
        let mut array = MmapMut::map_anon(TRIAD * size_of::<f32>())?;
        // Where there are none, the fields have none either.
        let _ = array.advise(Advice::HugePage);
        bytemuck::cast_slice_mut::<u8, f32>(&mut array).fill(value);
        Ok(array)
    };
    let (mut a, b, c) = (array(1.0)?, array(2.0)?, array(3.0)?);
    let a: &mut [f32] = bytemuck::cast_slice_mut(&mut a);
    let (b, c): (&[f32], &[f32]) = (bytemuck::cast_slice(&b), bytemuck::cast_slice(&c));
    let part = TRIAD.div_ceil(threads);
    let mut best = 0.0f64;
    for _ in 0..RUNS {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for ((a, b), c) in a.chunks_mut(part).zip(b.chunks(part)).zip(c.chunks(part)) {
                scope.spawn(move || {
                    for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                        *a = b + 3.0 * c;
                    }
                });
            }
        });
        best = best.max(TRIAD as f64 * CELL_BYTES * 1e-9 / begun.elapsed().as_secs_f64());
    }
    if a.iter().step_by(4096).any(|a| *a != 11.0) {
        return Err("the triad came to something else".into());
    }
    Ok(best)
}
