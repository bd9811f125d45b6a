//! Prints what a tick costs, solver and metrics apart: `tick_cost [--all | --parts | --bounds | --smoke]`.
//!
//! Goal: the ratio of a full frame of the metrics (D global and per tile, C, G, tau, CI, every cell) to
//! a plain step of the solver (one step in one sweep over the field, without sources), and to a step as a tick takes it (in tiles,
//! where they gain), on one machine, in one run. What is kept of it as fields is what is published by
//! default: CI and tau; with `--all` C and G, too. The energy of the wave, which a tick measures with
//! them, is measured once more by itself and taken off.
//! With `--parts` the frame is taken apart: the survey (threshold, set, boxes, D), the memory of every cell (envelope,
//! its mean and variance, dwell), and the rest (windows, coherence, gain, index); each by itself, after a tick. The
//! memory reads and writes sixteen bytes a cell whatever is done with them: less than it, no frame costs. In a frame memory
//! and rest share a sweep: the parts need not add up to it.
//! With `--bounds` it stands beside what it cannot be cheaper than on this machine: its bytes with next to no work, its
//! operations with no bytes.
//! Non-goal: absolute figures that another machine could be held to.
//! With `--smoke` a few ticks run and a hash of every field is printed, the same on all machines.

mod bounds;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bounds::Bytes;
use rsw_benches::{Spread, hash, machine};
use rsw_config::{NamedSource, SourceSection, SwarmConfig, Topology};
use solver_proc::energy::EnergyMeter;
use solver_proc::engine::Engine;
use solver_proc::metrics::{Kept, Meter};
use solver_proc::wave::Wave;
use solver_proc::workers::Workers;

/// Fields by side, and ticks of one run.
const CASES: [(u32, usize); 2] = [(256, 400), (1024, 30)];
const THREADS: [usize; 2] = [1, 2];
const RUNS: usize = 5;
/// Steps of a tick.
const STEPS: u32 = 8;
/// All that can be published.
const FIELDS: [&str; 5] = ["wave", "ci", "coherence", "gain", "dwell"];

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        None => measure(&[]),
        Some("--all") => measure(&FIELDS),
        Some("--parts") => parts(),
        Some("--bounds") => bounds(),
        Some("--smoke") => smoke(),
        Some(other) => {
            let known = "there is --all, --parts, --bounds, --smoke, or nothing";
            Err(format!("\"{other}\" is unknown: {known}").into())
        }
    }
}

/// Measures with these fields published; with none of them, those that are published by default.
fn measure(publish: &[&str]) -> Result<(), Box<dyn Error>> {
    println!("{}", machine());
    let published = topology(256, publish).config.field.publish.join(", ");
    println!("{STEPS} steps a tick, metrics at every tick, published: {published};");
    println!("medians of {RUNS} runs (smallest..largest)");
    println!(
        "{:>7} {:>11} {:>22} {:>22} {:>22} {:>25} {:>11} {:>10}",
        "threads",
        "field",
        "a step, us",
        "a plain step, us",
        "energy, us",
        "frame, us",
        "frame/plain",
        "frame/step"
    );
    for threads in THREADS {
        for (side, ticks) in CASES {
            let mut bench = Bench::new(side, threads, publish)?;
            // The waves fill the field first.
            for _ in 0..side / 4 {
                bench.tick()?;
            }
            let runs = (0..RUNS).map(|_| bench.run(ticks)).collect::<Result<Vec<[f64; 4]>, _>>()?;
            let spread = |of: fn(&[f64; 4]) -> f64| Spread::of(runs.iter().map(of).collect());
            let (step, plain) = (spread(|run| run[0]), spread(|run| run[1]));
            let (energy, frame) = (spread(|run| run[2]), spread(|run| run[3]));
            let ratios = (spread(|run| run[3] / run[1]), spread(|run| run[3] / run[0]));
            let (Some(step), Some(plain), Some(energy), Some(frame)) = (step, plain, energy, frame)
            else {
                continue;
            };
            let (Some(to_plain), Some(to_step)) = ratios else { continue };
            println!(
                "{threads:>7} {:>11} {step:>22} {plain:>22} {energy:>22} {frame:>25} {:>11.1} {:>10.1}",
                format!("{side} x {side}"),
                to_plain.median,
                to_step.median
            );
        }
    }
    Ok(())
}

/// Measures the parts of a frame.
fn parts() -> Result<(), Box<dyn Error>> {
    println!("{}", machine());
    println!(
        "each by itself, after a tick; medians of {RUNS} runs (smallest..largest), us; in plain steps"
    );
    println!(
        "{:>7} {:>11} {:>22} {:>28} {:>30} {:>30}",
        "threads", "field", "a plain step", "survey", "memory", "windows and index"
    );
    for threads in THREADS {
        for (side, ticks) in CASES {
            let mut bench = Bench::new(side, threads, &[])?;
            let topology = topology(side, &[]);
            let (metrics, tick_seconds) =
                (&topology.config.metrics, f64::from(STEPS) * topology.dt);
            let size = side as usize;
            let mut meter = Meter::new(size, size, metrics, tick_seconds, Kept::NONE)?;
            for _ in 0..side / 4 {
                bench.tick()?;
            }
            let runs =
                (0..RUNS).map(|_| bench.parts(&mut meter, ticks)).collect::<Result<Vec<_>, _>>()?;
            let spread = |k: usize| Spread::of(runs.iter().map(|run| run[k]).collect());
            let (Some(plain), Some(survey), Some(memory), Some(rest)) =
                (spread(0), spread(1), spread(2), spread(3))
            else {
                continue;
            };
            let part = |part: &Spread| format!("{part} = {:.1}", part.median / plain.median);
            println!(
                "{threads:>7} {:>11} {plain:>22} {:>28} {:>30} {:>30}",
                format!("{side} x {side}"),
                part(&survey),
                part(&memory),
                part(&rest)
            );
        }
    }
    Ok(())
}

/// Measures what bounds a frame, on one thread.
fn bounds() -> Result<(), Box<dyn Error>> {
    println!("{}", machine());
    println!(
        "one thread; medians of {RUNS} runs (smallest..largest), us; in plain steps; {} operations for 16 cells",
        bounds::OPERATIONS
    );
    println!(
        "{:>11} {:>22} {:>30} {:>30} {:>30}",
        "field", "a plain step", "frame", "its bytes", "its operations"
    );
    for (side, ticks) in CASES {
        let mut bench = Bench::new(side, 1, &[])?;
        let cells = side as usize * side as usize;
        let mut bytes = Bytes::new(cells)?;
        for _ in 0..side / 4 {
            bench.tick()?;
        }
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let [_, plain, _, frame] = bench.run(ticks)?;
            let mut moved: Vec<u64> = (0..ticks).map(|_| bytes.sweep()).collect();
            let mut done: Vec<u64> = (0..ticks).map(|_| bounds::operations(cells)).collect();
            runs.push([plain, frame, median_us(&mut moved), median_us(&mut done)]);
        }
        let spread = |k: usize| Spread::of(runs.iter().map(|run| run[k]).collect());
        let (Some(plain), Some(frame), Some(moved), Some(done)) =
            (spread(0), spread(1), spread(2), spread(3))
        else {
            continue;
        };
        let part = |part: &Spread| format!("{part} = {:.1}", part.median / plain.median);
        println!(
            "{:>11} {plain:>22} {:>30} {:>30} {:>30}",
            format!("{side} x {side}"),
            part(&frame),
            part(&moved),
            part(&done)
        );
    }
    Ok(())
}

/// An engine, and a wave and an energy meter beside its own.
struct Bench {
    engine: Engine,
    plain: Wave,
    energy: EnergyMeter,
    workers: Workers,
}

impl Bench {
    fn new(side: u32, threads: usize, publish: &[&str]) -> Result<Self, Box<dyn Error>> {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?);
        let mut engine = Engine::new(&topology(side, publish), Arc::clone(&pool))?;
        let energy = EnergyMeter::new(engine.ny());
        let wave = engine.wave()?;
        let plain = Wave::new(*wave.grid(), *wave.medium())?;
        Ok(Self { engine, plain, energy, workers: Workers::new(pool) })
    }

    /// All steps of a tick, the energy, and the frame without it, in ns.
    fn tick(&mut self) -> Result<[u64; 3], Box<dyn Error>> {
        let report = self.engine.tick()?;
        let begun = Instant::now();
        let Self { engine, energy, workers, .. } = self;
        let wave = engine.wave()?;
        workers.enter(|| energy.measure(wave, workers));
        let energy = begun.elapsed().as_nanos() as u64;
        Ok([report.solver_ns, energy, report.metrics_ns.saturating_sub(energy)])
    }

    /// [`STEPS`] plain steps, in ns.
    fn plain_steps(&mut self) -> u64 {
        let Self { plain, workers, .. } = self;
        let begun = Instant::now();
        workers.enter(|| (0..STEPS).for_each(|_| plain.step(workers, |_| {})));
        begun.elapsed().as_nanos() as u64
    }

    /// Median costs of a plain step, of the survey, of the memory and of the rest of a frame over `ticks` ticks, in us.
    fn parts(&mut self, meter: &mut Meter, ticks: usize) -> Result<[f64; 4], Box<dyn Error>> {
        let mut samples: [Vec<u64>; 3] = std::array::from_fn(|_| Vec::with_capacity(ticks));
        for _ in 0..ticks {
            self.engine.tick()?;
            let Self { engine, workers, .. } = self;
            let u = engine.wave()?.u();
            let timed = |work: &mut (dyn FnMut() + Send)| {
                let begun = Instant::now();
                workers.enter(work);
                begun.elapsed().as_nanos() as u64
            };
            let survey = timed(&mut || {
                meter.survey(u, workers);
            });
            let memory = timed(&mut || {
                meter.remember(u, workers);
            });
            // An evaluation surveys, too.
            let again = timed(&mut || {
                meter.survey(u, workers);
            });
            let both = timed(&mut || {
                meter.evaluate(u, workers);
            });
            let rest = both.saturating_sub(again);
            for (samples, sample) in samples.iter_mut().zip([survey, memory, rest]) {
                samples.push(sample);
            }
        }
        let plain = self.plain_step(ticks)?;
        let [survey, memory, rest] = samples.map(|mut samples| median_us(&mut samples));
        Ok([plain, survey, memory, rest])
    }

    /// Median cost of a plain step over `ticks` times [`STEPS`] of them, in us.
    fn plain_step(&mut self, ticks: usize) -> Result<f64, Box<dyn Error>> {
        let wave = self.engine.wave()?;
        self.plain.resume(wave.u(), wave.previous());
        let mut plain: Vec<u64> = (0..ticks).map(|_| self.plain_steps()).collect();
        Ok(median_us(&mut plain) / f64::from(STEPS))
    }

    /// Median costs of a step, of a plain step, of the energy and of a frame over `ticks` ticks, in us.
    fn run(&mut self, ticks: usize) -> Result<[f64; 4], Box<dyn Error>> {
        let mut samples: [Vec<u64>; 3] = std::array::from_fn(|_| Vec::with_capacity(ticks));
        for _ in 0..ticks {
            for (samples, sample) in samples.iter_mut().zip(self.tick()?) {
                samples.push(sample);
            }
        }
        let plain = self.plain_step(ticks)?;
        let [solver, energy, frame] = samples.map(|mut samples| median_us(&mut samples));
        Ok([solver / f64::from(STEPS), plain, energy, frame])
    }
}

fn median_us(samples_ns: &mut [u64]) -> f64 {
    let middle = samples_ns.len() / 2;
    *samples_ns.select_nth_unstable(middle).1 as f64 / 1e3
}

fn smoke() -> Result<(), Box<dyn Error>> {
    Bytes::new(4096)?.sweep();
    bounds::operations(4096);
    let results = THREADS.map(|threads| -> Result<u64, Box<dyn Error>> {
        let mut engine = engine(200, threads, &FIELDS)?;
        for _ in 0..5 {
            engine.tick()?;
        }
        FIELDS.iter().try_fold(0xcbf2_9ce4_8422_2325, |seed, name| {
            let field =
                engine.field(name).ok_or_else(|| format!("there is no field \"{name}\""))?;
            Ok(hash(field, seed))
        })
    });
    let [one, two] = results;
    let (one, two) = (one?, two?);
    println!("{one:016x}");
    if one != two {
        return Err(format!("one thread came to {one:016x}, two to {two:016x}").into());
    }
    Ok(())
}

fn engine(side: u32, threads: usize, publish: &[&str]) -> Result<Engine, Box<dyn Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    Ok(Engine::new(&topology(side, publish), Arc::new(pool))?)
}

/// The demonstration field: absorbing edges, two oscillators.
fn topology(side: u32, publish: &[&str]) -> Topology {
    let mut config = SwarmConfig::default();
    if !publish.is_empty() {
        config.field.publish = publish.iter().map(|name| String::from(*name)).collect();
    }
    config.field.size = [side, side];
    let source = |name: &str, at, frequency| NamedSource {
        name: name.into(),
        source: SourceSection { at, frequency: Some(frequency), ..SourceSection::default() },
    };
    let sources =
        vec![source("a", [side / 4; 2], 0.05), source("b", [side * 3 / 4, side / 4], 0.07)];
    let courant = 0.7f64;
    Topology {
        tick_period_ns: config.tick.period_ns,
        config: SwarmConfig { agent: BTreeMap::new(), ..config },
        project: "tick-cost".into(),
        folder: PathBuf::from("."),
        dt: courant / 2f64.sqrt(),
        courant,
        report_ticks: 100,
        ticks_limit: None,
        sources,
        agents: Vec::new(),
    }
}
