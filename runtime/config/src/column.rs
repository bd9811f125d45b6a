//! What one column of a recording is, from its name and one pass over its cells.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// What the cells of a column turned out to be.
pub(crate) enum Verdict {
    /// Timestamps, or numbers that never fall under a name that means time.
    Time,
    /// Numbers.
    Signal,
    /// Only 0 and 1; a recording in which nothing happens has the one.
    Binary,
    /// One number throughout: it cannot be standardised and says nothing.
    Constant,
    /// Nothing at all.
    Empty,
    /// Words: fewer than half of the cells that are not empty are numbers.
    Text,
    /// Numbers, but for `count` cells, at most half of them; the first is quoted.
    Stray { line: u64, value: String, count: u64 },
}

/// The running tally of one column.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) missing: u64,
    numbers: u64,
    words: u64,
    first_word: Option<(u64, String)>,
    min: f64,
    max: f64,
    binary: bool,
    /// Times in ns while every cell so far is a time; emptied at the first that is not.
    times_ns: Vec<i64>,
    times_possible: bool,
    /// Nanoseconds of one unit where the name says that the numbers are times.
    numeric_unit_ns: Option<f64>,
}

impl Column {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            missing: 0,
            numbers: 0,
            words: 0,
            first_word: None,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            binary: true,
            times_ns: Vec::new(),
            times_possible: true,
            numeric_unit_ns: numeric_unit_ns(name),
        }
    }

    /// Takes one trimmed cell.
    pub(crate) fn add(&mut self, line: u64, cell: &str) {
        if cell.is_empty() {
            self.missing += 1;
        } else if let Ok(number) = cell.parse::<f64>() {
            self.add_number(number);
        } else if self.times_possible
            && self.numbers == 0
            && let Some(time_ns) = parse_time_ns(cell)
        {
            self.times_ns.push(time_ns);
        } else {
            self.no_times();
            self.words += 1;
            self.first_word.get_or_insert_with(|| (line, cell.into()));
        }
    }

    fn add_number(&mut self, number: f64) {
        if !number.is_finite() {
            self.missing += 1;
            return;
        }
        if self.times_possible {
            let text_times = self.numbers == 0 && !self.times_ns.is_empty();
            match self.numeric_unit_ns.map(|unit_ns| (number * unit_ns) as i64) {
                Some(time_ns) if !text_times && self.times_ns.last() <= Some(&time_ns) => {
                    self.times_ns.push(time_ns);
                }
                _ => self.no_times(),
            }
        }
        self.numbers += 1;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        self.binary &= number == 0.0 || number == 1.0;
    }

    /// Times seen so far become words: a column is one of times throughout or not at all.
    fn no_times(&mut self) {
        if self.times_possible {
            self.times_possible = false;
            if self.numbers == 0 {
                self.words += self.times_ns.len() as u64;
            }
            self.times_ns = Vec::new();
        }
    }

    pub(crate) fn verdict(&mut self) -> Verdict {
        if self.times_possible && self.times_ns.len() > 1 {
            return Verdict::Time;
        }
        match self.first_word.take() {
            // Half is enough: in a short recording one bad cell is a large share, and a column that was
            // dropped without a word costs more than one that was meant as text and is asked about.
            Some((line, value)) if self.numbers >= self.words => {
                Verdict::Stray { line, value, count: self.words }
            }
            Some(_) => Verdict::Text,
            None if self.numbers == 0 && self.times_ns.is_empty() => Verdict::Empty,
            None if self.numbers == 0 => Verdict::Time,
            None if self.binary => Verdict::Binary,
            None if self.min == self.max => Verdict::Constant,
            None => Verdict::Signal,
        }
    }

    /// Mean of the steps that lie within half of the median step; `None` with fewer than two rows.
    pub(crate) fn period_ns(&self) -> Option<u64> {
        let mut steps: Vec<i64> =
            self.times_ns.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        steps.retain(|step| *step > 0);
        if steps.is_empty() {
            return None;
        }
        let middle = steps.len() / 2;
        let median = *steps.select_nth_unstable(middle).1;
        let near = |step: &&i64| (**step - median).abs() <= median / 2;
        let (sum, count) = steps
            .iter()
            .filter(near)
            .fold((0i128, 0i128), |(s, n), step| (s + i128::from(*step), n + 1));
        let mean = u64::try_from(sum / count).ok()?;
        Some(if mean >= 1_000_000 { (mean + 500) / 1_000 * 1_000 } else { mean.max(1) })
    }
}

/// A date and time with or without an offset; without one it counts as UTC, only differences matter.
fn parse_time_ns(cell: &str) -> Option<i64> {
    let instant = match cell.parse::<Timestamp>() {
        Ok(instant) => instant,
        Err(_) => TimeZone::UTC.to_timestamp(cell.parse::<DateTime>().ok()?).ok()?,
    };
    i64::try_from(instant.as_nanosecond()).ok()
}

/// The unit of a numeric column whose name means time: from the suffix of the name, else seconds.
fn numeric_unit_ns(name: &str) -> Option<f64> {
    let name = name.to_lowercase();
    let (stem, unit_ns) = [("_ns", 1.0), ("_us", 1e3), ("_ms", 1e6), ("_s", 1e9)]
        .into_iter()
        .find_map(|(suffix, unit_ns)| Some((name.strip_suffix(suffix)?, unit_ns)))
        .unwrap_or((&name, 1e9));
    ["t", "ts", "time", "timestamp"].contains(&stem).then_some(unit_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, cells: &[&str]) -> Column {
        let mut column = Column::new(name);
        for (i, cell) in cells.iter().enumerate() {
            column.add(i as u64 + 2, cell);
        }
        column
    }

    #[test]
    fn numbers_words_and_times() {
        let is = |name, cells: &[&str]| match column(name, cells).verdict() {
            Verdict::Time => "time",
            Verdict::Signal => "signal",
            Verdict::Binary => "binary",
            Verdict::Constant => "constant",
            Verdict::Empty => "empty",
            Verdict::Text => "text",
            Verdict::Stray { .. } => "stray",
        };
        assert_eq!(is("a", &["1", "2.5", "-3e2"]), "signal");
        assert_eq!(is("a", &["0", "1", "", "0"]), "binary");
        assert_eq!(is("a", &["0", "0"]), "binary");
        assert_eq!(is("a", &["7", "7"]), "constant");
        assert_eq!(is("a", &["", "nan"]), "empty");
        assert_eq!(is("a", &["red", "green", "1"]), "text");
        assert_eq!(is("a", &["1", "2", "3", "4", "5", "6", "7", "8", "9", "x"]), "stray");
        assert_eq!(is("a", &["1", "x", "", "2", "y"]), "stray");
        assert_eq!(is("a", &["1", "x", "", "2", "y", "z"]), "text");
        assert_eq!(is("when", &["2024-01-01 00:00:00", "2024-01-01T00:00:01Z"]), "time");
        assert_eq!(is("when", &["2024-01-01 00:00:00", "soon"]), "text");
        assert_eq!(is("time_ms", &["0", "15", "31"]), "time");
        assert_eq!(is("time", &["3", "2", "1"]), "signal");
        assert_eq!(is("x", &["1", "2", "3"]), "signal");
    }

    #[test]
    fn stray_cells_are_counted_and_the_first_is_named() {
        let mut cells = vec!["1"; 20];
        cells[7] = "bad";
        cells[9] = "worse";
        match column("a", &cells).verdict() {
            Verdict::Stray { line, value, count } => {
                assert_eq!((line, value.as_str(), count), (9, "bad", 2));
            }
            _ => panic!("not stray"),
        }
    }

    #[test]
    fn the_period_ignores_gaps_and_rounding() {
        // 64 Hz truncated to milliseconds, with one gap of ten seconds.
        let mut cells: Vec<String> = (0..640).map(|i| format!("{}", i * 15_625 / 1_000)).collect();
        cells.extend((0..640).map(|i| format!("{}", 20_000 + i * 15_625 / 1_000)));
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let period = column("t_ms", &cells).period_ns().unwrap();
        assert!(period.abs_diff(15_625_000) < 2_000, "{period}");
    }
}
