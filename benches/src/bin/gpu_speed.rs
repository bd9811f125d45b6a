//! Prints what the solver's steps cost on a GPU beside the device's own memory: `gpu_speed [SIDE ...]`.
//!
//! Goal: the share of the measured copy bandwidth that a step reaches at the 12 bytes that it moves for a cell; the aim is
//! 0.8 for 4096 x 4096 and more. Times go by the clock of this side and contain everything: submissions, waits
//! between them, and nothing that is read back. Non-goal: anything about Vulkan in software, where it runs too.

use std::error::Error;
use std::time::Instant;

use rsw_benches::{Spread, hash, machine};
use rsw_config::Boundary;
use solver_proc::feedback::Feedback;
use solver_proc::gpu::{Choice, DeviceWave, Gpu};
use solver_proc::grid::Grid;
use solver_proc::source::Feeds;
use solver_proc::wave::{Medium, Wave};

const SIDES: [usize; 4] = [1024, 2048, 4096, 8192];
const RUNS: usize = 7;
/// Steps in one call, as `runtime solve` has them.
const STEPS: usize = 64;
/// Fewest seconds of a run.
const SECONDS_MIN: f64 = 0.3;
/// Bytes that a step in place moves for a cell of singles: two read, one written.
const CELL_BYTES: f64 = 12.0;

fn main() -> Result<(), Box<dyn Error>> {
    let sides = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<Vec<_>, _>>()?;
    let sides = if sides.is_empty() { SIDES.to_vec() } else { sides };
    let gpu = Gpu::open(Choice::Any)?;
    println!("{}", machine());
    println!("{}", gpu.name());
    println!("absorbing edges, single precision; medians of {RUNS} runs (smallest..largest)");
    println!(
        "{:>13} {:>22} {:>8} {:>10} {:>8} {:>17}",
        "field", "Gcell/s", "GB/s", "copy, GB/s", "/ copy", "hash"
    );
    for side in sides {
        let grid = Grid::new(side, side, 1.0, 1.0)?;
        let field = format!("{side} x {side}");
        if let Err(error) = gpu.check(&grid) {
            println!("{field:>13} {error}");
            continue;
        }
        let (rates, hash) = measure(&gpu, grid)?;
        let Some(rates) = Spread::of(rates) else { continue };
        let copy = gpu.copy_bandwidth(&grid)? * 1e-9;
        let moved = rates.median * CELL_BYTES;
        println!(
            "{field:>13} {:>22} {moved:>8.1} {copy:>10.1} {:>8.2} {hash:>17x}",
            format!("{:.2} ({:.2}..{:.2})", rates.median, rates.min, rates.max),
            moved / copy
        );
    }
    Ok(())
}

/// Gcell/s of each run, and a hash of the field after the first steps.
fn measure(gpu: &Gpu, grid: Grid) -> Result<(Vec<f64>, u64), Box<dyn Error>> {
    let medium = Medium {
        speed: 1.0,
        dt: 0.7 / 2f64.sqrt(),
        damping: 0.01,
        boundary: Boundary::Absorbing,
        sponge_width: 0,
        sponge_damping: 0.0,
        feedback: Feedback::None,
    };
    let mut wave: Wave = Wave::new(grid, medium)?;
    let u0: Vec<f32> = (0..grid.cells()).map(|i| ((i * 7919) % 1000) as f32 * 1e-3).collect();
    let zero = vec![0.0; u0.len()];
    wave.start(&u0, &zero, &zero);
    let feeds = Feeds::silent(grid.ny);
    let mut device_wave = DeviceWave::new(gpu, &wave, &feeds)?;
    device_wave.advance(&feeds, STEPS)?;
    device_wave.read_back(&mut wave)?;
    let hash = hash(wave.u(), 0xcbf2_9ce4_8422_2325);
    let mut run = || -> Result<f64, Box<dyn Error>> {
        let (begun, mut steps) = (Instant::now(), 0);
        while steps == 0 || begun.elapsed().as_secs_f64() < SECONDS_MIN {
            device_wave.advance(&feeds, STEPS)?;
            device_wave.wait()?;
            steps += STEPS;
        }
        Ok((grid.cells() * steps) as f64 * 1e-9 / begun.elapsed().as_secs_f64())
    };
    let rates = (0..RUNS).map(|_| run()).collect::<Result<Vec<f64>, _>>()?;
    Ok((rates, hash))
}
