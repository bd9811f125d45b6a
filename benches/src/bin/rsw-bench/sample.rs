//! What one case measured: histograms of whole runs, and the row that a table shows of them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock;

/// Ticks of the processor's counter, three significant digits, every sample kept.
pub(crate) type Hist = Histogram<u64>;

/// An empty one, up to a minute.
pub(crate) fn histogram() -> Hist {
    Hist::new_with_bounds(1, clock::ticks(60e9), 3).expect("bounds that make sense")
}

/// A histogram on its way through a pipe: values and counts.
pub(crate) fn to_words(samples: &Hist) -> Vec<u64> {
    samples
        .iter_recorded()
        .flat_map(|step| [step.value_iterated_to(), step.count_at_value()])
        .collect()
}

/// What [`to_words`] took apart.
pub(crate) fn from_words(words: &[u64]) -> Hist {
    let mut samples = histogram();
    for [value, count] in words.as_chunks().0 {
        samples.saturating_record_n(*value, *count);
    }
    samples
}

/// One line of a table. Times are nanoseconds of one trip or one operation; of several runs each figure is the median
/// of that figure, but `max_ns` the largest and `samples` and `lost` the sum.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) suite: String,
    pub(crate) case: String,
    /// Somebody else's means, beside ours.
    pub(crate) peer: bool,
    /// `closed-loop`: the next begins when the last is back. `open-loop`: at a fixed rate, timed from the moment it was
    /// due. `throughput`: as fast as it goes. `from-commit`: timed from when a swarm's kernel began to commit. `idle`: nothing
    /// happens.
    #[serde(rename = "loop")]
    pub(crate) mode: String,
    pub(crate) payload_bytes: usize,
    pub(crate) readers: usize,
    pub(crate) wait: String,
    pub(crate) samples: u64,
    pub(crate) p50_ns: Option<f64>,
    pub(crate) p90_ns: Option<f64>,
    pub(crate) p99_ns: Option<f64>,
    pub(crate) p99_9_ns: Option<f64>,
    pub(crate) p99_99_ns: Option<f64>,
    pub(crate) max_ns: Option<f64>,
    pub(crate) per_event_ns: Option<f64>,
    pub(crate) events_per_s: Option<f64>,
    pub(crate) lost: String,
    /// Share of one core that a waiting reader took, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_percent: Option<f64>,
    /// Median or cost by that of the reference, which `ratio_of` names: most often the floor's trip. Above 1 is slower.
    pub(crate) ratio_to_floor: Option<f64>,
    /// p99 by the floor's p99.
    pub(crate) p99_ratio_to_floor: Option<f64>,
    /// What the ratio is to, if not the floor's trip: another row's `case`.
    pub(crate) ratio_of: Option<String>,
    /// Smallest and largest of the runs' medians (or costs).
    pub(crate) runs_ns: Option<[f64; 2]>,
}

/// A case while its runs are gathered.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    row: Row,
    divisor: f64,
    runs: Vec<Hist>,
    costs_ns: Vec<f64>,
    cpu_percent: Vec<f64>,
    lost: u64,
}

impl Case {
    /// A case of a suite, without any run yet.
    pub(crate) fn new(suite: &str, case: impl Into<String>, mode: &str) -> Self {
        let row = Row {
            suite: suite.into(),
            case: case.into(),
            mode: mode.into(),
            readers: 1,
            ..Row::default()
        };
        Self {
            row,
            divisor: 1.0,
            runs: Vec::new(),
            costs_ns: Vec::new(),
            cpu_percent: Vec::new(),
            lost: 0,
        }
    }

    /// Marks somebody else's means.
    pub(crate) fn peer(mut self) -> Self {
        self.row.peer = true;
        self
    }

    /// Bytes of payload.
    pub(crate) fn payload(mut self, bytes: usize) -> Self {
        self.row.payload_bytes = bytes;
        self
    }

    /// Number of readers.
    pub(crate) fn readers(mut self, readers: usize) -> Self {
        self.row.readers = readers;
        self
    }

    /// How the reader waits.
    pub(crate) fn wait(mut self, wait: &str) -> Self {
        self.row.wait = wait.into();
        self
    }

    /// A sample is this many trips or operations.
    pub(crate) fn each(mut self, count: f64) -> Self {
        self.divisor = count;
        self
    }

    /// The ratio is to the case of that name in the same suite, with the same payload if there is one.
    pub(crate) fn beside(mut self, case: &str) -> Self {
        self.row.ratio_of = Some(case.into());
        self
    }

    /// The samples of one run.
    pub(crate) fn run(&mut self, samples: Hist) {
        self.runs.push(samples);
    }

    /// The cost per event of one run.
    pub(crate) fn cost(&mut self, ns: f64, events: u64) {
        self.costs_ns.push(ns);
        self.row.samples += events;
    }

    /// The share of a core that was used in one run.
    pub(crate) fn cpu(&mut self, percent: f64) {
        self.cpu_percent.push(percent);
    }

    /// Events lost in one run.
    pub(crate) fn lost(&mut self, events: u64) {
        self.lost += events;
    }

    /// A name for a file: `latency-ring-32`.
    pub(crate) fn file_name(&self) -> String {
        let Row { suite, case, mode, payload_bytes, readers, wait, .. } = &self.row;
        format!("{suite}-{case}-{mode}-{payload_bytes}-{readers}-{wait}")
    }

    /// All samples of all runs.
    pub(crate) fn all(&self) -> Option<Hist> {
        let mut runs = self.runs.iter();
        let mut all = runs.next()?.clone();
        for run in runs {
            all.add(run).ok()?;
        }
        Some(all)
    }

    /// The row, ratios still missing.
    pub(crate) fn row(&self) -> Row {
        let mut row = self.row.clone();
        row.lost = self.lost.to_string();
        row.samples += self.runs.iter().map(Hist::len).sum::<u64>();
        let figure = |of: &dyn Fn(&Hist) -> u64| -> Option<f64> {
            let runs = self.runs.iter().filter(|run| !run.is_empty());
            median(runs.map(|run| clock::ns(of(run) as f64) / self.divisor).collect())
        };
        let quantile = |q: f64| figure(&move |run: &Hist| run.value_at_quantile(q));
        row.p50_ns = quantile(0.5);
        row.p90_ns = quantile(0.9);
        row.p99_ns = quantile(0.99);
        row.p99_9_ns = quantile(0.999);
        row.p99_99_ns = quantile(0.9999);
        row.max_ns =
            self.runs.iter().map(|run| clock::ns(run.max() as f64) / self.divisor).reduce(f64::max);
        row.cpu_percent = median(self.cpu_percent.clone());
        row.per_event_ns = median(self.costs_ns.clone());
        row.events_per_s = row.per_event_ns.map(|ns| 1e9 / ns);
        let medians =
            self.runs.iter().map(|run| clock::ns(run.value_at_quantile(0.5) as f64) / self.divisor);
        let all: Vec<f64> =
            if self.costs_ns.is_empty() { medians.collect() } else { self.costs_ns.clone() };
        row.runs_ns =
            match (all.iter().copied().reduce(f64::min), all.iter().copied().reduce(f64::max)) {
                (Some(min), Some(max)) => Some([min, max]),
                _ => None,
            };
        row
    }
}

/// The middle one, the upper of two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
