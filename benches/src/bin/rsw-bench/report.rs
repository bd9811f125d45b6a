//! What people and scripts see: tables, JSON, histograms, and the comparison with an earlier run.

use std::fmt::Write as _;
use std::path::Path;

use hdrhistogram::serialization::{Serializer, V2Serializer};
use rsw_machine::Machine;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Failure;
use crate::sample::Row;
use crate::suite::Bench;

/// Name and version of the document.
const SCHEMA: &str = "rsw.bench/1";

/// Everything that one call measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    schema: String,
    machine: Map<String, Value>,
    pub(crate) rows: Vec<Row>,
}

impl Document {
    /// Of a benchmark that has run on this machine.
    pub(crate) fn new(bench: &Bench, facts: &Machine) -> Self {
        let mut machine = Map::new();
        for (name, value) in facts.facts() {
            machine.insert(name.into(), value.map_or(Value::Null, Value::from));
        }
        machine.insert("cores".into(), Value::from(bench.cores.to_vec()));
        machine.insert("runs".into(), Value::from(bench.options.runs));
        machine.insert("duration_s".into(), Value::from(bench.options.duration.as_secs_f64()));
        machine.insert(
            "layout_hash".into(),
            Value::from(format!("{:016x}", rsw_schemas::LAYOUT_HASH)),
        );
        machine.insert("git".into(), git().map_or(Value::Null, Value::from));
        Self { schema: SCHEMA.into(), machine, rows: bench.rows() }
    }

    /// Of an earlier run.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let document: Self = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("not what `runtime bench -o` writes: {error}")))?;
        if document.schema != SCHEMA {
            return Err(wrong(format!("it is {}, not {SCHEMA}", document.schema)).into());
        }
        Ok(document)
    }

    /// The document as JSON.
    pub(crate) fn json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Tables for people: the machine, then one for each suite.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.machine {
            let value = match value {
                Value::Null => "unknown".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let _ = writeln!(out, "{name:<20} {value}");
        }
        let mut suites: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !suites.contains(&row.suite.as_str()) {
                suites.push(&row.suite);
            }
        }
        for suite in suites {
            let _ = writeln!(
                out,
                "\n{suite}\n  {:<28} {:<11} {:>9} {:>4} {:>9} {:>9} {:>9} {:>9} {:>10} {:>9} {:>9} {:>9}",
                "case",
                "wait",
                "bytes",
                "rdrs",
                "p50 ns",
                "p90 ns",
                "p99 ns",
                "p99.9 ns",
                "max ns",
                "ns/event",
                "lost",
                "ratio"
            );
            for row in self.rows.iter().filter(|row| row.suite == suite) {
                let _ = writeln!(out, "{}", line(row));
            }
        }
        out
    }

    /// Ratios that grew by more than `percent` since `base`, one line each, and how many rows were compared.
    pub(crate) fn worse_than(&self, base: &Self, percent: f64) -> (usize, Vec<String>) {
        let key = |row: &Row| {
            let Row { suite, case, mode, payload_bytes, readers, wait, .. } = row;
            format!("{suite} {case} {mode} {payload_bytes} B, {readers} readers {wait}")
        };
        let (mut compared, mut worse) = (0, Vec::new());
        for row in self.rows.iter().filter(|row| !row.peer) {
            let old = base.rows.iter().find(|old| key(old) == key(row));
            let (Some(now), Some(then)) =
                (row.ratio_to_floor, old.and_then(|old| old.ratio_to_floor))
            else {
                continue;
            };
            compared += 1;
            let grown = (now / then - 1.0) * 100.0;
            if grown > percent {
                worse.push(format!("{}: ratio {then:.2} -> {now:.2} (+{grown:.0} %)", key(row)));
            }
        }
        (compared, worse)
    }
}

fn line(row: &Row) -> String {
    let ns = |value: Option<f64>| match value {
        None => "-".to_owned(),
        Some(ns) if ns < 100.0 => format!("{ns:.1}"),
        Some(ns) => format!("{ns:.0}"),
    };
    let open = if row.mode == "open-loop" { " (open)" } else { "" };
    let peer = if row.peer { "* " } else { "  " };
    let ratio = match (row.ratio_to_floor, row.cpu_percent) {
        (Some(ratio), _) => format!("{ratio:.2}"),
        (None, Some(percent)) => format!("{percent:.2}% cpu"),
        (None, None) => "-".to_owned(),
    };
    format!(
        "{peer}{:<28} {:<11} {:>9} {:>4} {:>9} {:>9} {:>9} {:>9} {:>10} {:>9} {:>9} {ratio:>9}",
        format!("{}{open}", row.case),
        row.wait,
        row.payload_bytes,
        row.readers,
        ns(row.p50_ns),
        ns(row.p90_ns),
        ns(row.p99_ns),
        ns(row.p99_9_ns),
        ns(row.max_ns),
        ns(row.per_event_ns),
        row.lost,
    )
}

/// Writes every histogram in the V2 format of HdrHistogram; values are ticks of the counter, and the file's name says
/// how many make a nanosecond.
pub(crate) fn write_histograms(bench: &Bench, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut serializer = V2Serializer::new();
    for case in bench.cases() {
        let Some(all) = case.all() else { continue };
        let mut bytes = Vec::new();
        serializer.serialize(&all, &mut bytes).map_err(|error| format!("{error:?}"))?;
        let name = case.file_name().replace([':', ' '], "_");
        let path = folder.join(format!("{name}.{:.4}-per-ns.hdr", crate::clock::ticks_per_ns()));
        std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The commit of the sources, if the program lies in a checkout.
fn git() -> Option<String> {
    let folder = std::env::current_exe().ok()?.parent()?.to_owned();
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(folder)
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
