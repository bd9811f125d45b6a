//! Aligned columns for `ps`, `peek` and `counters`, and numbers with units that people read.

use std::fmt;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with a head; columns are as wide as their widest cell and two spaces apart.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; cells that are missing are empty, cells too many are dropped.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: &str| text.chars().count();
        let head: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let lines = || std::iter::once(&head).chain(&self.rows);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| lines().map(|line| width(&line[column])).max().unwrap_or(0))
            .collect();
        for line in lines() {
            let mut text = String::new();
            for ((cell, (_, align)), widest) in line.iter().zip(&self.columns).zip(&widths) {
                let padding = " ".repeat(widest - width(cell));
                match align {
                    Align::Left => text.extend([cell, &*padding, "  "]),
                    Align::Right => text.extend([&*padding, cell, "  "]),
                }
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Nanoseconds with the largest unit that leaves at least 1: `950 ns`, `12.3 us`, `1.50 s`, `2m03s`.
pub(crate) fn duration_ns(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} us", three_digits(ns as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{} ms", three_digits(ns as f64 / 1e6)),
        1_000_000_000..60_000_000_000 => format!("{} s", three_digits(ns as f64 / 1e9)),
        _ => {
            let seconds = ns / 1_000_000_000;
            match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
                (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
                (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
                (days, hours, ..) => format!("{days}d{hours:02}h"),
            }
        }
    }
}

/// Bytes in powers of 1024: `512 B`, `1.50 KiB`, `8.00 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let power = (count.ilog2() / 10) as usize;
    let value = count as f64 / 2f64.powi(10 * power as i32);
    format!("{} {}", three_digits(value), units[power - 1])
}

/// A count with its thousands apart: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count a second: whole above 100, else with three digits.
pub(crate) fn rate(per_s: f64) -> String {
    if per_s >= 100.0 { count(per_s.round() as u64) } else { three_digits(per_s) }
}

fn three_digits(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_characters() {
        let mut table =
            Table::new(&[("NAME", Align::Left), ("LAG", Align::Right), ("", Align::Left)]);
        table.row(["wächter-1", "7", "x"]).row(["b", "1,000"]);
        assert_eq!(table.to_string(), "NAME         LAG\nwächter-1      7  x\nb          1,000\n");
    }

    #[test]
    fn units() {
        let times = [0, 999, 12_345, 1_500_000, 59_999_000_000, 123_000_000_000, 7_380_000_000_000];
        assert_eq!(
            times.map(duration_ns),
            ["0 ns", "999 ns", "12.3 us", "1.50 ms", "60.0 s", "2m03s", "2h03m"]
        );
        assert_eq!(duration_ns(u64::MAX), "213503d23h");
        assert_eq!(
            [0, 1023, 1024, 1536, 1 << 33, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.00 KiB", "1.50 KiB", "8.00 GiB", "16.0 EiB"]
        );
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.5, 99.99, 712.4, 1e6].map(rate),
            ["0.00", "0.50", "100", "712", "1,000,000"]
        );
    }
}
