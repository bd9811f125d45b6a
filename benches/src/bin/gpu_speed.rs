//! Prints what the solver's steps cost on a GPU beside the device's own memory: `gpu_speed [SIDE ...]`.
//!
//! Goal: the share of the measured copy bandwidth that a step reaches at the 12 bytes that it moves for a cell; the aim is
//! 0.8 for 4096 x 4096 and more. Beside it a frame of metrics on the device, as many steps as it costs: taken in, measured,
//! and its numbers read back, of the fields nothing. Times go by the clock of this side and contain everything: submissions and
//! waits between them; of the steps nothing is read back. Non-goal: anything about Vulkan in software, where it runs too.

use std::error::Error;
use std::time::Instant;

use rsw_benches::{Spread, hash, machine};
use rsw_config::{Boundary, MetricsSection};
use solver_proc::feedback::Feedback;
use solver_proc::gpu::{Choice, DeviceMeter, DeviceWave, Gpu, Wanted};
use solver_proc::grid::Grid;
use solver_proc::metrics::{Kept, Meter};
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
        "{:>13} {:>22} {:>8} {:>10} {:>8} {:>10} {:>8} {:>17}",
        "field", "Gcell/s", "GB/s", "copy, GB/s", "/ copy", "frame, ms", "/ step", "hash"
    );
    for side in sides {
        let grid = Grid::new(side, side, 1.0, 1.0)?;
        let field = format!("{side} x {side}");
        if let Err(error) = gpu.check(&grid) {
            println!("{field:>13} {error}");
            continue;
        }
        let Measured { rates, frames, hash } = measure(&gpu, grid)?;
        let (Some(rates), Some(frames)) = (Spread::of(rates), Spread::of(frames)) else { continue };
        let copy = gpu.copy_bandwidth(&grid)? * 1e-9;
        let moved = rates.median * CELL_BYTES;
        let steps = frames.median * 1e-3 / (grid.cells() as f64 * 1e-9 / rates.median);
        println!(
            "{field:>13} {:>22} {moved:>8.1} {copy:>10.1} {:>8.2} {:>10.3} {steps:>8.1} {hash:>17x}",
            format!("{:.2} ({:.2}..{:.2})", rates.median, rates.min, rates.max),
            moved / copy,
            frames.median,
        );
    }
    Ok(())
}

/// What was measured of one field.
struct Measured {
    /// Gcell/s of the steps in each run.
    rates: Vec<f64>,
    /// Milliseconds of a frame of metrics in each run.
    frames: Vec<f64>,
    /// Of the field after the first steps.
    hash: u64,
}

fn measure(gpu: &Gpu, grid: Grid) -> Result<Measured, Box<dyn Error>> {
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
    let frames = measure_frames(&device_wave, &mut wave)?;
    Ok(Measured { rates, frames, hash })
}

/// Milliseconds of a frame of metrics in each run, with everything at its default.
fn measure_frames(device_wave: &DeviceWave, wave: &mut Wave) -> Result<Vec<f64>, Box<dyn Error>> {
    let (nx, ny) = (wave.grid().nx, wave.grid().ny);
    let mut meter = Meter::new(nx, ny, &MetricsSection::default(), 0.01, Kept::NONE)?;
    let mut device = DeviceMeter::new(device_wave, wave, &meter, &[[0, 0]], Wanted::default())?;
    let mut run = || -> Result<f64, Box<dyn Error>> {
        let (begun, mut frames) = (Instant::now(), 0);
        while frames == 0 || begun.elapsed().as_secs_f64() < SECONDS_MIN {
            device.submit(device_wave, &mut meter, true)?;
            device.collect(device_wave, wave, &mut meter)?;
            frames += 1;
        }
        Ok(begun.elapsed().as_secs_f64() * 1e3 / f64::from(frames))
    };
    // The first run fills caches and page tables, and does not count.
    run()?;
    (0..RUNS).map(|_| run()).collect()
}
