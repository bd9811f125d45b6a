//! What is measured. Every suite has one function that makes one run of each of its cases; runs of all suites take
//! turns, so that a noisy minute falls on all cases alike.

use crate::options::{Options, Suite};
use crate::sample::{Case, Hist, Row};
use crate::{Failure, clock};

mod board;
mod e2e;
mod fanout;
mod jitter;
mod latency;
mod loan;
mod slow_reader;
mod throughput;
mod wake;

/// A benchmark under way.
pub(crate) struct Bench {
    /// What was asked for.
    pub(crate) options: Options,
    /// Ours, and the other side's.
    pub(crate) cores: [usize; 2],
    /// Everybody's.
    all_cores: Vec<usize>,
    cases: Vec<Case>,
}

impl Bench {
    /// Nothing measured yet.
    pub(crate) fn new(options: Options, cores: [usize; 2], all_cores: Vec<usize>) -> Self {
        Self { options, cores, all_cores, cases: Vec::new() }
    }

    /// Makes every run of every suite that was asked for.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        let asked = self.options.suites.clone();
        let wants = |suite: Suite| asked.is_empty() || asked.contains(&suite);
        for run in 1..=self.options.runs {
            if !self.options.json {
                eprint!("\rrun {run} of {} ", self.options.runs);
            }
            jitter::run(self)?;
            latency::floor(self)?;
            for (suite, go) in [
                (Suite::Latency, latency::run as fn(&mut Bench) -> Result<(), Failure>),
                (Suite::Throughput, throughput::run),
                (Suite::Fanout, fanout::run),
                (Suite::Board, board::run),
                (Suite::Loan, loan::run),
                (Suite::Wake, wake::run),
                (Suite::SlowReader, slow_reader::run),
                (Suite::E2e, e2e::run),
            ] {
                if wants(suite) {
                    go(self)?;
                }
            }
        }
        if !self.options.json {
            eprintln!();
        }
        Ok(())
    }

    /// When a case that begins now has run long enough, in ticks.
    fn deadline(&self) -> u64 {
        clock::now() + clock::ticks(self.options.duration.as_nanos() as f64)
    }

    /// The samples of one run of a case.
    fn add(&mut self, case: Case, samples: Hist) -> &mut Case {
        let case = self.case(case);
        case.run(samples);
        case
    }

    /// The cost of an event in one run of a case.
    fn cost(&mut self, case: Case, ns: f64, events: u64) -> &mut Case {
        let case = self.case(case);
        case.cost(ns, events);
        case
    }

    fn case(&mut self, case: Case) -> &mut Case {
        let name = case.file_name();
        let at = match self.cases.iter().position(|known| known.file_name() == name) {
            Some(at) => at,
            None => {
                self.cases.push(case);
                self.cases.len() - 1
            }
        };
        &mut self.cases[at]
    }

    /// Every case.
    pub(crate) fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Every row, with its ratio.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.cases.iter().map(Case::row).collect();
        for at in 0..rows.len() {
            let Some(name) = rows[at].ratio_of.clone() else { continue };
            let (own, beside) = (&rows[at], rows.iter().filter(|row| row.case == name));
            // The nearest relative: of the same suite and payload, of the same suite, any.
            let near = |row: &&Row| {
                (
                    row.suite == own.suite,
                    row.payload_bytes == own.payload_bytes,
                    row.wait == own.wait,
                )
            };
            let Some(reference) = beside.max_by_key(near) else { continue };
            let ratio = |of: fn(&Row) -> Option<f64>| Some(of(own)? / of(reference)?);
            let cost = |row: &Row| row.per_event_ns.or(row.p50_ns);
            let cost = own.per_event_ns.and_then(|own| Some(own / cost(reference)?));
            let (p50, p99) = (ratio(|row| row.p50_ns), ratio(|row| row.p99_ns));
            rows[at].ratio_to_floor = cost.or(p50);
            rows[at].p99_ratio_to_floor = if cost.is_some() { None } else { p99 };
        }
        rows
    }
}
