//! `--drive FILE.csv`: reads a recording once and decides what each of its columns is.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use toml::Value;

use crate::check::OURS;
use crate::column::{Column, Verdict};
use crate::diagnostic::{Diagnostic, NamedText};
use crate::lattice::lattice;
use crate::layer::Merged;
use crate::origin::{Layer, Origin};
use crate::words::plain_name;

/// Longest recording in field time: the later half of what an `i64` of nanoseconds counts is for the run that goes on.
const SPAN_NS_MAX: u64 = i64::MAX as u64 / 2;

/// What `--drive` made of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct DriveSummary {
    /// The file, absolute.
    pub file: PathBuf,
    /// Rows of data.
    pub rows: u64,
    /// Sampling period in ns from the timestamps: the mean step, after steps further than half of the
    /// median from the median (gaps, repeats) were left out. Rounded to whole microseconds from 1 ms up,
    /// because timestamps are: truncated to milliseconds, 64 Hz shows steps of 15 and 16 ms.
    pub period_ns: Option<u64>,
    /// Every column, in the order of the file.
    pub columns: Vec<DriveColumn>,
}

/// One column of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct DriveColumn {
    /// As in the header.
    pub name: String,
    /// What it became.
    pub taken: Taken,
    /// Cells that are empty or not finite.
    pub missing: u64,
}

/// What a column became.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// The time of each row.
    Time,
    /// A source and an agent of this name.
    Source(String),
    /// An annotation of this name: an event at each change.
    Annotation(String),
    /// Nothing, for this reason.
    Ignored(&'static str),
}

impl fmt::Display for DriveSummary {
    /// One line for the file, then one for each column.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} rows", self.file.display(), self.rows)?;
        if let Some(period_ns) = self.period_ns {
            write!(f, ", {:.2} Hz", 1e9 / period_ns as f64)?;
        }
        for column in &self.columns {
            write!(f, "\n  {}: ", column.name)?;
            match &column.taken {
                Taken::Time => f.write_str("time")?,
                Taken::Source(name) => write!(f, "source and agent {name}")?,
                Taken::Annotation(name) => write!(f, "annotation {name}")?,
                Taken::Ignored(reason) => write!(f, "ignored ({reason})")?,
            }
            if column.missing > 0 {
                let cells = if column.missing == 1 { "cell" } else { "cells" };
                write!(f, ", {} {cells} missing", column.missing)?;
            }
        }
        Ok(())
    }
}

/// Reads the recording, or tells everything that is wrong with it.
pub(crate) fn scan(path: &Path) -> Result<DriveSummary, Vec<Diagnostic>> {
    let whole_file = |message: String, help: &str| {
        let key = path.display().to_string();
        vec![Diagnostic { file: None, span: None, key, message, help: Some(help.into()) }]
    };
    let opened = File::open(path).map_err(|error| {
        whole_file(format!("cannot be read: {error}"), "--drive takes a CSV file")
    })?;
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(opened);
    let mut record = csv::StringRecord::new();
    let broken = |error: csv::Error| broken_row(path, &error);
    if !reader.read_record(&mut record).map_err(broken)? {
        return Err(whole_file("the file is empty".into(), "a header and rows of numbers"));
    }
    let mut columns: Vec<Column> = record.iter().map(|name| Column::new(name.trim())).collect();
    check_header(path, &columns)?;
    let mut rows = 0;
    while reader.read_record(&mut record).map_err(broken)? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != columns.len() {
            let quoted = record.iter().collect::<Vec<_>>().join(",");
            let message =
                format!("line {line} has {} cells, the header {}", record.len(), columns.len());
            return Err(vec![quote(path, line, quoted, 0, message)]);
        }
        rows += 1;
        for (column, cell) in columns.iter_mut().zip(record.iter()) {
            column.add(line, cell.trim());
        }
    }
    if rows == 0 {
        return Err(whole_file(
            "there is a header but no row".into(),
            "a header and rows of numbers",
        ));
    }
    judge(path, columns, rows)
}

fn check_header(path: &Path, columns: &[Column]) -> Result<(), Vec<Diagnostic>> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut errors = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let reason = if name.is_empty() {
            format!("column {} has no name", i + 1)
        } else if names[..i].contains(name) {
            format!("two columns are called `{name}`")
        } else {
            continue;
        };
        let start = names[..i].iter().map(|name| name.len() + 1).sum();
        errors.push(quote(path, 1, names.join(","), start, reason));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn judge(path: &Path, columns: Vec<Column>, rows: u64) -> Result<DriveSummary, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut period_ns = None;
    let mut used: Vec<String> = OURS.map(str::to_owned).into();
    let mut unique = |name: &str| {
        let plain = plain_name(name, "column");
        let mut candidate = plain.clone();
        let mut number = 2;
        while used.contains(&candidate) {
            let suffix = format!("_{number}");
            candidate = plain.chars().take(32 - suffix.len()).collect::<String>() + &suffix;
            number += 1;
        }
        used.push(candidate.clone());
        candidate
    };
    let mut judged = Vec::new();
    let verdicts: Vec<(Column, Verdict)> = columns
        .into_iter()
        .map(|mut column| {
            let verdict = column.verdict();
            (column, verdict)
        })
        .collect();
    // The first in which time goes on, else the first.
    let is_time = |verdict: &Verdict| matches!(verdict, Verdict::Time);
    let goes_on =
        |(column, verdict): &(Column, Verdict)| is_time(verdict) && column.period_ns().is_some();
    let time = verdicts.iter().position(goes_on);
    let time = time.or_else(|| verdicts.iter().position(|(_, verdict)| is_time(verdict)));
    let has_time = time.is_some();
    for (index, (column, verdict)) in verdicts.into_iter().enumerate() {
        let taken = match verdict {
            Verdict::Time if time != Some(index) => Taken::Ignored("a second column of times"),
            Verdict::Time if column.missing > 0 => {
                let line = column.first_missing;
                let help = "give every row its time, or leave the column out: a row is then a tick";
                errors.push(Diagnostic {
                    file: None,
                    span: None,
                    key: column.name.clone(),
                    message: format!("{} line {line}: a time is missing", path.display()),
                    help: Some(help.into()),
                });
                continue;
            }
            Verdict::Time => {
                period_ns = column.period_ns();
                if period_ns.is_some_and(|period_ns| period_ns.saturating_mul(rows) > SPAN_NS_MAX) {
                    errors.push(too_long(&column.name));
                }
                Taken::Time
            }
            Verdict::Backwards { numbers: true, .. } if has_time => {
                Taken::Source(unique(&column.name))
            }
            Verdict::Backwards { .. } if has_time => Taken::Ignored("times that run backwards"),
            Verdict::Backwards { line, numbers } => {
                let rename =
                    if numbers { ", or rename the column: its name means time" } else { "" };
                errors.push(Diagnostic {
                    file: None,
                    span: None,
                    key: column.name.clone(),
                    message: format!("{} line {line}: time runs backwards", path.display()),
                    help: Some(format!("sort the rows{rename}")),
                });
                continue;
            }
            Verdict::Signal => Taken::Source(unique(&column.name)),
            Verdict::Binary => Taken::Annotation(unique(&column.name)),
            Verdict::Constant => Taken::Ignored("constant"),
            Verdict::Empty => Taken::Ignored("empty"),
            Verdict::Text => Taken::Ignored("text"),
            Verdict::Stray { line, value, count } => {
                let more =
                    if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
                let message = format!("line {line}: `{value}` is not a number{more}");
                errors.push(Diagnostic {
                    key: column.name.clone(),
                    help: Some(
                        "write a number, or leave the cell empty: it counts as missing".into(),
                    ),
                    ..quote(path, line, value, 0, message)
                });
                continue;
            }
        };
        judged.push(DriveColumn { name: column.name, taken, missing: column.missing });
    }
    if errors.is_empty() && !judged.iter().any(|c| matches!(c.taken, Taken::Source(_))) {
        errors.push(Diagnostic {
            file: None,
            span: None,
            key: path.display().to_string(),
            message: "no column of numbers that change".into(),
            help: Some("one source is made of each numeric column".into()),
        });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(DriveSummary { file: path.to_owned(), rows, period_ns, columns: judged })
}

fn too_long(column: &str) -> Diagnostic {
    let message = "its times span more than 146 years, which nanoseconds cannot count".to_owned();
    let help = "write its times in smaller units, or leave the column out: a row is then a tick";
    Diagnostic { file: None, span: None, key: column.into(), message, help: Some(help.into()) }
}

/// Adds one source and one agent for each column of numbers, and its annotations, below the swarm file.
pub(crate) fn add(merged: &mut Merged, summary: &DriveSummary, size: [u32; 2]) {
    let origin = || Origin::layer(Layer::Drive);
    let file = || Value::String(summary.file.to_string_lossy().into_owned());
    let time = summary.columns.iter().find(|column| column.taken == Taken::Time);
    let sources: Vec<(&str, &str)> = summary
        .columns
        .iter()
        .filter_map(|column| match &column.taken {
            Taken::Source(name) => Some((column.name.as_str(), name.as_str())),
            _ => None,
        })
        .collect();
    for ((column, name), [x, y]) in sources.iter().zip(lattice(sources.len(), size)) {
        let mut put = |key: &str, value: Value| {
            merged.put_below(&["source", name, key], value, origin());
        };
        put("at", Value::Array(vec![Value::Integer(x.into()), Value::Integer(y.into())]));
        put("csv", file());
        put("column", Value::String((*column).into()));
        put("resample", Value::String("sample".into()));
        put("scale", Value::String("standardise".into()));
        if let Some(time) = time {
            put("time_column", Value::String(time.name.clone()));
        }
        merged.put_below(&["agent", name, "replicas"], Value::Integer(1), origin());
    }
    for column in &summary.columns {
        if let Taken::Annotation(name) = &column.taken {
            merged.put_below(&["annotation", name, "csv"], file(), origin());
            let header = Value::String(column.name.clone());
            merged.put_below(&["annotation", name, "column"], header, origin());
        }
    }
}

/// Header names of a CSV file, trimmed; reads no further.
pub(crate) fn header(path: &Path) -> Result<Vec<String>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut reader = csv::ReaderBuilder::new().from_reader(file);
    let header = reader.headers().map_err(|error| reason(&error))?;
    if header.is_empty() {
        return Err("the file is empty".into());
    }
    Ok(header.iter().map(|name| name.trim().to_owned()).collect())
}

/// A diagnostic that quotes one line of a file and points at the byte `start` of it.
fn quote(path: &Path, line: u64, text: String, start: usize, message: String) -> Diagnostic {
    let name = path.display().to_string();
    let end = text[start..].find(',').map_or(text.len(), |at| start + at);
    let first_line = usize::try_from(line).unwrap_or(usize::MAX);
    let file = NamedText { name: name.clone(), text, first_line };
    Diagnostic { file: Some(file.into()), span: Some(start..end), key: name, message, help: None }
}

fn broken_row(path: &Path, error: &csv::Error) -> Vec<Diagnostic> {
    let line = error.position().map(|position| format!("line {}: ", position.line()));
    let message = format!("{}{}", line.unwrap_or_default(), reason(error));
    let key = path.display().to_string();
    vec![Diagnostic { file: None, span: None, key, message, help: None }]
}

/// The reason alone: the library's own text repeats the position in its own words.
fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::IsADirectory => {
            "it is a folder".into()
        }
        csv::ErrorKind::Io(error) => error.to_string(),
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8".into(),
        _ => error.to_string(),
    }
}
