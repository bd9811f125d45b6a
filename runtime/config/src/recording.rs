//! How the cells of a recording are read: what is missing, what is a time and in which unit.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Words, besides nothing at all, that stand for a missing sample.
const MISSING: [&str; 5] = ["na", "n/a", "nan", "null", "none"];
/// Ends of a name that tell the unit of its numbers, and that unit in nanoseconds.
const UNITS_NS: [(&str, f64); 4] = [("_ns", 1.0), ("_us", 1e3), ("_ms", 1e6), ("_s", 1e9)];
/// Names, without such an end, under which numbers may be times.
const TIMES: [&str; 7] = ["t", "ts", "time", "timestamp", "datetime", "epoch", "seconds"];

/// Whether a trimmed cell stands for a missing sample: nothing, `nan`, `na`, `n/a`, `null` or `none`.
pub fn is_missing(cell: &str) -> bool {
    cell.is_empty() || MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// Whether a column of plain numbers may be taken for time because of its name: `t`, `ts`, `time`, `timestamp`,
/// `datetime`, `epoch` or `seconds`, with or without a unit (`time_ms`). Numbers under `date` are days, such as 20240131.
pub fn is_time_name(column: &str) -> bool {
    let name = column.to_ascii_lowercase();
    let stem = UNITS_NS.iter().find_map(|(end, _)| name.strip_suffix(end));
    TIMES.contains(&stem.unwrap_or(&name))
}

/// Unit of a column of plain numbers, in nanoseconds.
///
/// The end of the column's name decides (`_ns`, `_us`, `_ms`, `_s`). Without one the magnitude of the
/// first value does, as a time since 1970: from 1e17 nanoseconds, from 1e14 microseconds, from 1e11
/// milliseconds, below that seconds.
pub fn unit_ns(column: &str, first: f64) -> f64 {
    let name = column.to_ascii_lowercase();
    if let Some((_, unit)) = UNITS_NS.iter().find(|(end, _)| name.ends_with(end)) {
        return *unit;
    }
    let by_size = [(1e17, 1.0), (1e14, 1e3), (1e11, 1e6)];
    by_size.iter().find(|(least, _)| first.abs() >= *least).map_or(1e9, |(_, unit)| *unit)
}

/// A plain number of units as nanoseconds. Whole numbers are not rounded: a nanosecond count of
/// today has more digits than a double.
pub fn number_ns(cell: &str, unit_ns: f64) -> Option<i64> {
    if let Ok(whole) = cell.parse::<i64>() {
        return whole.checked_mul(unit_ns as i64);
    }
    let ns = (cell.parse::<f64>().ok()? * unit_ns).round();
    (ns.abs() < i64::MAX as f64).then_some(ns as i64)
}

/// A date and time as nanoseconds since 1970; without an offset it is UTC.
pub fn date_ns(cell: &str) -> Option<i64> {
    let instant = cell.parse::<Timestamp>().ok().or_else(|| {
        let civil = cell.parse::<DateTime>().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    i64::try_from(instant.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_times() {
        for name in
            ["t", "Time", "time_ms", "epoch", "epoch_s", "seconds", "timestamp_us", "datetime"]
        {
            assert!(is_time_name(name), "{name}");
        }
        for name in ["temperature", "date", "ms", "_ms", "time_min", "runtime"] {
            assert!(!is_time_name(name), "{name}");
        }
    }

    #[test]
    fn dates_in_both_forms() {
        assert_eq!(date_ns("1970-01-01 00:04:40.015"), Some(280_015_000_000));
        assert_eq!(date_ns("1970-01-01 00:04:40"), Some(280_000_000_000));
        assert_eq!(date_ns("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(date_ns("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!(date_ns("noon"), None);
    }

    #[test]
    fn numbers_by_name_and_by_size() {
        assert_eq!(number_ns("1.5", unit_ns("time", 1.5)), Some(1_500_000_000));
        assert_eq!(number_ns("3", unit_ns("t_ms", 3.0)), Some(3_000_000));
        let now = 1_700_000_000_123_456_789_i64;
        assert_eq!(number_ns(&now.to_string(), unit_ns("time", now as f64)), Some(now));
        assert_eq!(unit_ns("time", 1.7e9), 1e9);
        assert_eq!(unit_ns("time", 1.7e12), 1e6);
        assert_eq!(unit_ns("time", 1.7e15), 1e3);
        assert_eq!(number_ns("soon", 1.0), None);
    }
}
