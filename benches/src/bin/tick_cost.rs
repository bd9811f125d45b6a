//! Prints what a tick costs, solver and metrics apart: `tick_cost [--smoke]`.
//!
//! Goal: the ratio of a full frame of the metrics (D global and per tile, C, G, tau, CI, every cell) to
//! a step of the solver, on one machine, in one run; its survey (threshold, set, boxes) and its sweep
//! (memory, windows, index) apart. What a tick adds to it, the energy, is in the last column only.
//! Non-goal: absolute figures that another machine could be held to.
//! With `--smoke` a few ticks run and a hash of every field is printed, the same on all machines.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rsw_benches::{Spread, hash, machine};
use rsw_config::{NamedSource, SourceSection, SwarmConfig, Topology};
use solver_proc::engine::Engine;
use solver_proc::metrics::Meter;
use solver_proc::workers::Workers;

/// Fields by side, and ticks of one run.
const CASES: [(u32, usize); 2] = [(256, 400), (1024, 30)];
const THREADS: [usize; 2] = [1, 2];
const RUNS: usize = 5;
const FIELDS: [&str; 5] = ["wave", "ci", "coherence", "gain", "dwell"];

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        None => measure(),
        Some("--smoke") => smoke(),
        Some(other) => Err(format!("\"{other}\" is unknown: there is --smoke, or nothing").into()),
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    println!("{}", machine());
    println!("8 steps a tick, metrics at every tick; medians of {RUNS} runs (smallest..largest)");
    println!(
        "{:>7} {:>11} {:>22} {:>8} {:>24} {:>24} {:>24} {:>11} {:>17}",
        "threads",
        "field",
        "a step, us",
        "Gcell/s",
        "survey, us",
        "sweep, us",
        "frame, us",
        "frame/step",
        "with energy, us"
    );
    for threads in THREADS {
        for (side, ticks) in CASES {
            let mut bench = Bench::new(side, threads)?;
            // The waves fill the field first.
            for _ in 0..side / 4 {
                bench.tick();
            }
            let runs: Vec<[f64; 5]> = (0..RUNS).map(|_| bench.run(ticks)).collect();
            let spread = |of: &dyn Fn(&[f64; 5]) -> f64| Spread::of(runs.iter().map(of).collect());
            let columns = [
                spread(&|run| run[0]),
                spread(&|run| run[1]),
                spread(&|run| run[2]),
                spread(&|run| run[3]),
                spread(&|run| run[4]),
                spread(&|run| run[3] / run[0]),
            ];
            let [Some(step), Some(survey), Some(sweep), Some(frame), Some(all), Some(ratio)] =
                columns
            else {
                continue;
            };
            let rate = f64::from(side).powi(2) / step.median / 1e3;
            println!(
                "{threads:>7} {:>11} {step:>22} {rate:>8.2} {survey:>24} {sweep:>24} {frame:>24} {:>11.1} {:>17.1}",
                format!("{side} x {side}"),
                ratio.median,
                all.median,
            );
        }
    }
    Ok(())
}

/// An engine, and a meter of its own on the engine's field.
struct Bench {
    engine: Engine,
    meter: Meter,
    workers: Workers,
}

impl Bench {
    fn new(side: u32, threads: usize) -> Result<Self, Box<dyn Error>> {
        let (engine, topology) = (engine(side, threads)?, topology(side));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let seconds = topology.tick_period_ns as f64 * 1e-9;
        let (nx, ny) = (engine.nx(), engine.ny());
        let meter = Meter::new(nx, ny, &topology.config.metrics, seconds)?;
        Ok(Self { engine, meter, workers: Workers::new(Arc::new(pool)) })
    }

    /// A step, the survey, the sweep, both, and what the engine's own metrics took, in ns.
    fn tick(&mut self) -> [u64; 5] {
        let report = self.engine.tick();
        let (u, begun) = (self.engine.wave().u(), Instant::now());
        self.meter.survey(u, &self.workers);
        let surveyed = Instant::now();
        self.meter.measure(u, &self.workers);
        let done = Instant::now();
        let ns = |from: Instant, to: Instant| (to - from).as_nanos() as u64;
        let (survey, sweep) = (ns(begun, surveyed), ns(surveyed, done));
        [report.solver_ns / 8, survey, sweep, survey + sweep, report.metrics_ns]
    }

    /// Median costs over `ticks` ticks, in us.
    fn run(&mut self, ticks: usize) -> [f64; 5] {
        let mut samples: [Vec<u64>; 5] = std::array::from_fn(|_| Vec::with_capacity(ticks));
        for _ in 0..ticks {
            for (samples, sample) in samples.iter_mut().zip(self.tick()) {
                samples.push(sample);
            }
        }
        samples.map(|mut samples| median_us(&mut samples))
    }
}

fn median_us(samples_ns: &mut [u64]) -> f64 {
    let middle = samples_ns.len() / 2;
    *samples_ns.select_nth_unstable(middle).1 as f64 / 1e3
}

fn smoke() -> Result<(), Box<dyn Error>> {
    let results = THREADS.map(|threads| -> Result<u64, Box<dyn Error>> {
        let mut engine = engine(200, threads)?;
        for _ in 0..5 {
            engine.tick();
        }
        let fields = FIELDS.iter().filter_map(|name| engine.field(name));
        Ok(fields.fold(0xcbf2_9ce4_8422_2325, |seed, field| hash(field, seed)))
    });
    let [one, two] = results;
    let (one, two) = (one?, two?);
    println!("{one:016x}");
    if one != two {
        return Err(format!("one thread came to {one:016x}, two to {two:016x}").into());
    }
    Ok(())
}

fn engine(side: u32, threads: usize) -> Result<Engine, Box<dyn Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    Ok(Engine::new(&topology(side), Arc::new(pool))?)
}

/// The demonstration field: absorbing edges, two oscillators.
fn topology(side: u32) -> Topology {
    let mut config = SwarmConfig::default();
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
