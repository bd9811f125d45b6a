//! A CSV file and its columns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use rsw_config::recording::{date_ns, is_missing, is_time_name, number_ns, unit_ns};

use super::error::DriveError;

/// Names in an error that suggests.
const SUGGESTIONS_MAX: usize = 3;

/// Files that were read, each once however many sources want a column of it.
#[derive(Default)]
pub struct Tables(BTreeMap<PathBuf, Table>);

impl Tables {
    /// The table in `file`.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn open(&mut self, file: &Path) -> Result<&Table, DriveError> {
        if !self.0.contains_key(file) {
            self.0.insert(file.to_path_buf(), Table::read(file)?);
        }
        Ok(&self.0[file])
    }
}

/// A CSV file as text.
pub struct Table {
    file: PathBuf,
    headers: StringRecord,
    rows: Vec<StringRecord>,
}

impl Table {
    /// Reads all of `file`; its first line names the columns.
    ///
    /// # Errors
    /// A file that cannot be read, is no CSV (a row of another length, text that is not UTF-8), or
    /// has no row.
    pub fn read(file: &Path) -> Result<Self, DriveError> {
        let fail = |error: csv::Error| {
            let line = error.position().map(csv::Position::line);
            let (file, reason) = (file.to_path_buf(), error.to_string());
            match (error.kind(), line) {
                (csv::ErrorKind::Io(cause), _) => {
                    DriveError::Unreadable { file, reason: cause.to_string() }
                }
                (_, Some(line)) => DriveError::Malformed { file, line, reason },
                (_, None) => DriveError::Unreadable { file, reason },
            }
        };
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_path(file).map_err(fail)?;
        let headers = reader.headers().map_err(fail)?.clone();
        let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(fail)?;
        if rows.is_empty() {
            return Err(DriveError::Empty { file: file.to_path_buf() });
        }
        Ok(Self { file: file.to_path_buf(), headers, rows })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.headers.iter()
    }

    /// A column of numbers; `None` where the sample is missing: an empty cell, `nan`, `na`, `n/a`,
    /// `null`, `none` or an infinity.
    ///
    /// # Errors
    /// No such column, text in it, or not a single sample.
    pub fn numbers(&self, column: &str) -> Result<Vec<Option<f64>>, DriveError> {
        let index = self.find(column)?;
        let mut numbers = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let cell = &row[index];
            numbers.push(match cell.parse::<f64>() {
                _ if is_missing(cell) => None,
                Ok(number) => Some(number).filter(|number| number.is_finite()),
                Err(_) => {
                    return Err(DriveError::Text {
                        file: self.file.clone(),
                        line: line_of(row),
                        column: column.to_owned(),
                        value: cell.to_owned(),
                    });
                }
            });
        }
        if numbers.iter().all(Option::is_none) {
            let (file, column) = (self.file.clone(), column.to_owned());
            return Err(DriveError::NoSamples { file, column });
        }
        Ok(numbers)
    }

    /// A column of timestamps in nanoseconds, numbers in the unit of [`unit_ns`]; dates without an offset are UTC.
    ///
    /// # Errors
    /// No such column, a cell in no known form, or time that runs backwards.
    pub fn times(&self, column: &str) -> Result<Vec<i64>, DriveError> {
        let index = self.find(column)?;
        let unit = self.rows[0][index].parse().ok().map(|first| unit_ns(column, first));
        let mut times: Vec<i64> = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let cell = &row[index];
            let parsed = match unit {
                Some(unit) => number_ns(cell, unit),
                None => date_ns(cell),
            };
            let (file, line, column) = (self.file.clone(), line_of(row), column.to_owned());
            let Some(at) = parsed else {
                return Err(DriveError::Time { file, line, column, value: cell.to_owned() });
            };
            if times.last().is_some_and(|last| at < *last) {
                return Err(DriveError::TimeBackwards { file, line, column });
            }
            times.push(at);
        }
        Ok(times)
    }

    /// The first column, other than `except`, whose first cell is a date, or a number under a name of
    /// [`is_time_name`].
    pub fn time_column(&self, except: &str) -> Option<&str> {
        self.headers.iter().enumerate().find_map(|(index, name)| {
            let cell = &self.rows[0][index];
            let number = cell.parse::<f64>().is_ok_and(f64::is_finite);
            let is_time = if number { is_time_name(name) } else { date_ns(cell).is_some() };
            (is_time && name != except).then_some(name)
        })
    }

    /// Index of a column.
    fn find(&self, column: &str) -> Result<usize, DriveError> {
        if let Some(index) = self.headers.iter().position(|name| name == column) {
            return Ok(index);
        }
        let mut near: Vec<(f64, &str)> =
            self.headers.iter().map(|name| (strsim::jaro_winkler(column, name), name)).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near: Vec<String> = near
            .iter()
            .filter(|(score, _)| *score > 0.7)
            .take(SUGGESTIONS_MAX)
            .map(|(_, name)| format!("\"{name}\""))
            .collect();
        let hint = match near.is_empty() {
            false => format!("; did you mean {}", near.join(" or ")),
            true => format!("; it has {}", self.headers.iter().collect::<Vec<_>>().join(", ")),
        };
        Err(DriveError::NoColumn { file: self.file.clone(), column: column.to_owned(), hint })
    }
}

fn line_of(row: &StringRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}
