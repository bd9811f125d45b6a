//! The command line of the benchmarks.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures the plane beside its peers: two processes, pinned, payloads really written and really read.
///
/// Every figure stands beside the floor of the same cores in the same run: an atomic word that goes back and forth.
#[derive(Debug, Parser)]
#[command(name = "runtime bench", bin_name = "runtime bench", version, max_term_width = 100)]
pub(crate) struct Options {
    /// What to measure; everything if nothing is named
    #[arg(value_enum)]
    pub(crate) suites: Vec<Suite>,
    /// The two cores; the first one's process measures [default: the last two that are allowed]
    #[arg(long, value_name = "A,B", value_parser = cores)]
    pub(crate) pin: Option<[usize; 2]>,
    /// Payloads of events in bytes: 8, 16, 32, 64 or 96; may be repeated
    #[arg(long, value_name = "BYTES", default_values_t = [32, 96], value_delimiter = ',', value_parser = payload)]
    pub(crate) payload: Vec<usize>,
    /// Readers of the fan-out suite
    #[arg(long, value_name = "N", default_values_t = [1, 2, 4, 8, 16, 32], value_delimiter = ',')]
    pub(crate) readers: Vec<usize>,
    /// Events a second of the open-loop rows
    #[arg(long, value_name = "HZ", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) rate: u64,
    /// Seconds that one case of one run takes
    #[arg(long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    pub(crate) duration: Duration,
    /// Runs; tables show the median run of each case
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) runs: u16,
    /// Measures the peers too: iceoryx2, unix socket, pipe, disruptor, crossbeam
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(crate) peers: bool,
    /// Writes every histogram into this folder, in the format of HdrHistogram's tools
    #[arg(long, value_name = "DIR")]
    pub(crate) hdr: Option<PathBuf>,
    /// Prints JSON (rsw.bench/1) instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Writes the JSON into this file too
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Compares with the JSON of an earlier run
    #[arg(long, value_name = "BASE.json")]
    pub(crate) compare: Option<PathBuf>,
    /// With --compare: exit code 10 if a ratio to the floor grew by more than this
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = percent)]
    pub(crate) fail_above: f64,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// The floor alone, and the jitter of both cores
    Floor,
    /// One event from one core to the other: closed loop, then open loop
    Latency,
    /// How fast one writer can publish, and one reader keep up with nothing lost
    Throughput,
    /// What more readers cost the writer
    Fanout,
    /// One cell, 64 cells, and fields, by copy
    Board,
    /// Borrowed fields from 64 bytes to 4 MiB
    Loan,
    /// A sleeping reader: how fast it wakes, what it costs while idle
    Wake,
    /// A whole swarm: tick committed, agent has computed, report seen
    E2e,
    /// A reader that is overtaken: its losses told, the writer not held
    SlowReader,
}

fn cores(text: &str) -> Result<[usize; 2], String> {
    let parsed: Vec<usize> = text.split(',').map_while(|core| core.trim().parse().ok()).collect();
    match parsed[..] {
        [a, b] if a != b && text.split(',').count() == 2 => Ok([a, b]),
        _ => Err("two different cores are needed, such as 2,3".into()),
    }
}

fn payload(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes @ (8 | 16 | 32 | 64 | 96)) => Ok(bytes),
        _ => Err("8, 16, 32, 64 or 96".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is needed".to_owned())?;
    if (0.001..=600.0).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err("between 0.001 and 600 seconds".into())
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse() {
        Ok(percent) if (0.0..=10_000.0).contains(&percent) => Ok(percent),
        _ => Err("a percentage is needed, such as 10%".into()),
    }
}
