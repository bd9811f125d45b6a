//! What one column of a recording is, from its name and one pass over its cells.

use crate::recording::{date_ns, is_missing, is_time_name, number_ns, unit_ns};

/// What the cells of a column turned out to be.
pub(crate) enum Verdict {
    /// Timestamps, or numbers under a name that means time.
    Time,
    /// The same, but it runs backwards in that line; `numbers` may be something else under such a name.
    Backwards { line: u64, numbers: bool },
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
    /// The line of the first that is.
    pub(crate) first_missing: u64,
    numbers: u64,
    words: u64,
    first_word: Option<(u64, String)>,
    min: f64,
    max: f64,
    binary: bool,
    /// Times in ns while every cell so far is a time; emptied at the first that is not.
    times_ns: Vec<i64>,
    times_possible: bool,
    /// The first line in which time runs backwards.
    backwards: Option<u64>,
    /// Nanoseconds of one unit, once there was a number and the name says that numbers are times.
    unit_ns: Option<f64>,
}

impl Column {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            missing: 0,
            first_missing: 0,
            numbers: 0,
            words: 0,
            first_word: None,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            binary: true,
            times_ns: Vec::new(),
            times_possible: true,
            backwards: None,
            unit_ns: None,
        }
    }

    /// Takes one trimmed cell.
    pub(crate) fn add(&mut self, line: u64, cell: &str) {
        if is_missing(cell) {
            self.miss(line);
        } else if let Ok(number) = cell.parse::<f64>() {
            self.add_number(line, number, cell);
        } else if self.times_possible
            && self.numbers == 0
            && let Some(time_ns) = date_ns(cell)
        {
            self.add_time(line, time_ns);
        } else {
            self.no_times();
            self.words += 1;
            self.first_word.get_or_insert_with(|| (line, cell.into()));
        }
    }

    fn add_number(&mut self, line: u64, number: f64, cell: &str) {
        if !number.is_finite() {
            self.miss(line);
            return;
        }
        if self.times_possible {
            let text_times = self.numbers == 0 && !self.times_ns.is_empty();
            if self.numbers == 0 && is_time_name(&self.name) {
                self.unit_ns = Some(unit_ns(&self.name, number));
            }
            match self.unit_ns.and_then(|unit_ns| number_ns(cell, unit_ns)) {
                Some(time_ns) if !text_times => self.add_time(line, time_ns),
                _ => self.no_times(),
            }
        }
        self.numbers += 1;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        self.binary &= number == 0.0 || number == 1.0;
    }

    fn miss(&mut self, line: u64) {
        if self.missing == 0 {
            self.first_missing = line;
        }
        self.missing += 1;
    }

    fn add_time(&mut self, line: u64, time_ns: i64) {
        if self.times_ns.last().is_some_and(|last| time_ns < *last) {
            self.backwards.get_or_insert(line);
        }
        self.times_ns.push(time_ns);
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
        // Marks, under whatever name: beyond two rows no time has two values.
        let marks = self.binary && self.numbers > 2;
        if self.times_possible && self.times_ns.len() > 1 && !marks {
            return match self.backwards {
                Some(line) => Verdict::Backwards { line, numbers: self.numbers > 0 },
                None => Verdict::Time,
            };
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
            Verdict::Backwards { numbers: true, .. } => "backwards",
            Verdict::Backwards { numbers: false, .. } => "dates backwards",
        };
        assert_eq!(is("a", &["1", "2.5", "-3e2"]), "signal");
        assert_eq!(is("a", &["0", "1", "", "0"]), "binary");
        assert_eq!(is("a", &["0", "0"]), "binary");
        assert_eq!(is("a", &["7", "7"]), "constant");
        assert_eq!(is("a", &["", "nan", "NA", "null"]), "empty");
        assert_eq!(is("a", &["1", "n/a", "3"]), "signal");
        assert_eq!(is("a", &["red", "green", "1"]), "text");
        assert_eq!(is("a", &["1", "2", "3", "4", "5", "6", "7", "8", "9", "x"]), "stray");
        assert_eq!(is("a", &["1", "x", "", "2", "y"]), "stray");
        assert_eq!(is("a", &["1", "x", "", "2", "y", "z"]), "text");
        assert_eq!(is("when", &["2024-01-01 00:00:00", "2024-01-01T00:00:01Z"]), "time");
        assert_eq!(is("when", &["2024-01-01 00:00:00", "soon"]), "text");
        assert_eq!(is("time_ms", &["0", "15", "31"]), "time");
        assert_eq!(is("time", &["3", "2", "1"]), "backwards");
        assert_eq!(is("t", &["0", "1", "0"]), "binary");
        assert_eq!(is("t", &["0", "0", "1", "1"]), "binary");
        assert_eq!(is("t", &["0", "1"]), "time");
        assert_eq!(is("date", &["20240101", "20240102"]), "signal");
        assert_eq!(is("when", &["2024-01-01T00:00:01Z", "2024-01-01"]), "dates backwards");
        assert_eq!(is("x", &["1", "2", "3"]), "signal");
    }

    /// Of the same instants in any unit, and under any name of time, the period is the same.
    #[test]
    fn times_are_read_by_name_and_by_size() {
        let epoch_s = 1_700_000_000.0;
        for (name, unit, first) in [
            ("time", 1.0, 0.0),
            ("seconds", 1.0, 0.0),
            ("epoch", 1.0, epoch_s),
            ("timestamp", 1e3, epoch_s * 1e3),
            ("ts", 1e6, epoch_s * 1e6),
            ("datetime", 1e9, epoch_s * 1e9),
            ("t_us", 1e6, 0.0),
        ] {
            let cells: Vec<String> =
                (0..40).map(|i| (first + f64::from(i) * 0.02 * unit).to_string()).collect();
            let mut column = column(name, &cells.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(matches!(column.verdict(), Verdict::Time), "{name}");
            let period = column.period_ns().unwrap();
            assert!(period.abs_diff(20_000_000) <= 1000, "{name}: {period}");
        }
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
