//! Answers on stdout: one JSON document for programs, a table for people.

use std::io::{self, Write};

use rusqlite::types::ValueRef;
use serde_json::{Value, json};

use crate::value::hex;

/// Integers beyond this lose digits in readers that know only doubles.
const EXACT_INTEGER_MAX: u64 = 1 << 53;
/// Rows that decide on the widths of a table; later rows may stick out.
const WIDTH_ROWS: usize = 256;
/// No column is padded beyond this.
const WIDTH_MAX: usize = 48;

/// A value of SQLite as JSON: large integers as decimal strings, BLOBs as `{"hex": ".."}`.
pub fn to_json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) if i.unsigned_abs() > EXACT_INTEGER_MAX => json!(i.to_string()),
        ValueRef::Integer(i) => json!(i),
        // SQLite can hold an infinity; JSON cannot.
        ValueRef::Real(x) if x.is_finite() => json!(x),
        ValueRef::Real(x) => json!(x.to_string()),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => json!({"hex": hex(bytes)}),
    }
}

/// A value of SQLite for people; line breaks and control characters do not break the table.
pub fn to_text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(i) => i.to_string(),
        ValueRef::Real(x) => x.to_string(),
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text);
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
        }
        ValueRef::Blob(bytes) => format!("x'{}'", hex(bytes)),
    }
}

/// A table with aligned columns, written as the rows come.
pub struct Table<'w, W: Write> {
    out: &'w mut W,
    columns: Vec<String>,
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
}

impl<'w, W: Write> Table<'w, W> {
    /// A table with these columns.
    pub fn new(out: &'w mut W, columns: Vec<String>) -> Self {
        Self { out, columns, waiting: Vec::new(), widths: None }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The writer's.
    pub fn row(&mut self, row: Vec<String>) -> io::Result<()> {
        if let Some(widths) = &self.widths {
            return line(self.out, &row, widths);
        }
        self.waiting.push(row);
        if self.waiting.len() < WIDTH_ROWS { Ok(()) } else { self.flush() }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(mut self) -> io::Result<()> {
        if self.widths.is_none() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let width = |at: usize, name: &String| {
            let cells = self.waiting.iter().map(|row| row[at].chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0).min(WIDTH_MAX)
        };
        let widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(at, name)| width(at, name)).collect();
        line(self.out, &self.columns, &widths)?;
        for row in self.waiting.drain(..) {
            line(self.out, &row, &widths)?;
        }
        self.widths = Some(widths);
        Ok(())
    }
}

fn line(out: &mut impl Write, cells: &[String], widths: &[usize]) -> io::Result<()> {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        text.push_str(cell);
        let padding = (width + 2).saturating_sub(cell.chars().count()).max(2);
        text.extend(std::iter::repeat_n(' ', padding));
    }
    writeln!(out, "{}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_json() {
        assert_eq!(to_json(ValueRef::Integer(i64::MAX)), json!("9223372036854775807"));
        assert_eq!(to_json(ValueRef::Integer(-5)), json!(-5));
        assert_eq!(to_json(ValueRef::Real(f64::INFINITY)), json!("inf"));
        assert_eq!(to_json(ValueRef::Blob(&[1, 255])), json!({"hex": "01ff"}));
        assert_eq!(to_json(ValueRef::Null), Value::Null);
    }

    #[test]
    fn columns_are_aligned() {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, vec!["id".into(), "name".into()]);
        table.row(vec!["1".into(), "left".into()]).unwrap();
        table.row(vec!["1000".into(), "right".into()]).unwrap();
        table.finish().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "id    name\n1     left\n1000  right\n");
    }
}
