//! Recordings: every error, every kind of hole, both clocks, and a real file.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use rsw_config::{AtEnd, Resample, Scale, SourceSection};
use rsw_schemas::event::GapCause;
use solver_proc::drive::{Drive, DriveError, DriveGap, Tables};
use tempfile::TempDir;

/// A folder with one file in it.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signal.csv");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn open_with(
    text: &str,
    column: &str,
    tick_ns: u64,
    section: SourceSection,
) -> Result<Drive, DriveError> {
    let (_folder, path) = file(text);
    Drive::open(&mut Tables::default(), &path, column, &section, tick_ns)
}

fn raw(resample: Resample, at_end: AtEnd) -> SourceSection {
    SourceSection { resample, at_end, scale: Scale::None, ..SourceSection::default() }
}

fn refused(text: &str, column: &str) -> DriveError {
    open_with(text, column, 1, SourceSection::default()).err().unwrap()
}

#[test]
fn every_error_names_its_place() {
    let error = refused("a,b\n1,2\n3,x\n", "b");
    assert!(
        matches!(&error, DriveError::Text { line: 3, column, value, .. } if column == "b" && value == "x")
    );
    assert!(error.to_string().contains("signal.csv line 3, column \"b\": \"x\" is not a number"));
    assert!(matches!(refused("", "a"), DriveError::Empty { .. }));
    assert!(matches!(refused("a,b\n", "a"), DriveError::Empty { .. }));
    assert!(matches!(refused("a,b\n1\n", "a"), DriveError::Malformed { line: 2, .. }));
    assert!(matches!(refused("a\nnan\n\"\"\n", "a"), DriveError::NoSamples { .. }));
    let error = refused("time,ankle_vert,leg_vert\n0,1,2\n", "ankle_vrt");
    assert!(error.to_string().contains("did you mean \"ankle_vert\""), "{error}");
    let error = refused("x,y\n0,1\n", "temperature");
    assert!(error.to_string().contains("it has x, y"), "{error}");
    let absent = Path::new("/nonexistent/signal.csv");
    let section = SourceSection::default();
    let error = Drive::open(&mut Tables::default(), absent, "a", &section, 1).err().unwrap();
    assert!(matches!(error, DriveError::Unreadable { .. }), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = Drive::open(&mut Tables::default(), folder.path(), "a", &section, 1).err().unwrap();
    assert!(matches!(error, DriveError::Unreadable { .. }), "{error}");
    assert!(matches!(
        refused("time,a\n2,1\n1,2\n", "a"),
        DriveError::TimeBackwards { line: 3, .. }
    ));
    assert!(matches!(refused("time,a\n2,1\nsoon,2\n", "a"), DriveError::Time { line: 3, .. }));
    let error = refused("a\n\u{1}\n", "a");
    assert!(matches!(error, DriveError::Text { line: 2, .. }));
}

#[test]
fn samples_are_standardised_and_a_constant_says_so() {
    let drive = open_with("a\n1\n2\n3\n4\n", "a", 1, SourceSection::default()).unwrap();
    let sd = (5f64 / 3.0).sqrt();
    for (tick, x) in [(1, -1.5), (2, -0.5), (3, 0.5), (4, 1.5)] {
        assert!((drive.sample(tick) - x / sd).abs() < 1e-12);
    }
    assert_eq!((drive.sample(0), drive.sample(5)), (0.0, 0.0), "silence before and after");
    let constant = open_with("a\n7\n\n7\n", "a", 1, SourceSection::default()).unwrap();
    assert_eq!(constant.sample(1), 0.0);
    assert!(constant.note().unwrap().contains("constant"));
}

/// Standardised samples have no unit: those of huge and of tiny numbers are the same to the bit, if the factor is a power of two.
#[test]
fn no_magnitude_is_a_constant() {
    let samples = |factor: f64| {
        let text: String = (1..=9).map(|i| format!("{:e}\n", f64::from(i * i) * factor)).collect();
        let drive = open_with(&format!("a\n{text}"), "a", 1, SourceSection::default()).unwrap();
        assert_eq!(drive.note(), None);
        (1..=9).map(|tick| drive.sample(tick)).collect::<Vec<f64>>()
    };
    let exact = samples(1.0);
    for exponent in [-1000, -600, -10, 10, 600, 1000] {
        assert_eq!(samples(2f64.powi(exponent)), exact, "2^{exponent}");
    }
    for factor in [1e-308, 1e306] {
        let near = samples(factor).into_iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near, "{factor}");
    }
}

#[test]
fn missing_samples_are_interpolated_counted_and_named() {
    let text = "a,b\n,0\n2,0\nNaN,0\nNA,0\n8,0\n1,0\ninf,0\n";
    let drive = open_with(text, "a", 1, raw(Resample::Sample, AtEnd::Silence)).unwrap();
    let samples: Vec<f64> = (1..=8).map(|tick| drive.sample(tick)).collect();
    assert_eq!(samples, [2.0, 2.0, 4.0, 6.0, 8.0, 1.0, 1.0, 0.0]);
    assert_eq!(drive.missing(), 4);
    let gap = |from_tick, to_tick| DriveGap { from_tick, to_tick, cause: GapCause::MissingValue };
    let gaps: Vec<DriveGap> =
        (1..=20).flat_map(|tick| drive.gaps_at(tick).collect::<Vec<_>>()).collect();
    assert_eq!(gaps, [gap(1, 2), gap(3, 5), gap(7, 8)]);
    let filled: Vec<u64> = (1..=20).filter(|tick| drive.is_filled(*tick)).collect();
    assert_eq!(filled, [1, 3, 4, 7]);
    assert_eq!((1..=20).filter(|tick| drive.ends_at(*tick)).collect::<Vec<_>>(), [8]);
}

#[test]
fn a_loop_begins_again_and_says_its_gaps_again() {
    let text = "t,a\n10,1\n11,\n12,3\n13,4\n";
    let drive = open_with(text, "a", 1, raw(Resample::Sample, AtEnd::Loop)).unwrap();
    let samples: Vec<f64> = (1..=9).map(|tick| drive.sample(tick)).collect();
    assert_eq!(samples, [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 1.0]);
    let starts: Vec<u64> = (1..=12)
        .flat_map(|tick| drive.gaps_at(tick).map(|gap| gap.from_tick).collect::<Vec<_>>())
        .collect();
    assert_eq!(starts, [2, 6, 10]);
    assert!((1..50).all(|tick| !drive.ends_at(tick)));
    let times: Vec<i64> = (1..=6).filter_map(|tick| drive.t_ns(tick)).collect();
    assert_eq!(times, [10, 11, 12, 13, 14, 15].map(|s| s * 1_000_000_000));
}

#[test]
fn by_time_samples_are_read_in_between() {
    let text = "time_ms,a\n0,0\n10,10\n20,\n30,30\n70,70\n";
    let drive = open_with(text, "a", 4_000_000, raw(Resample::Time, AtEnd::Silence)).unwrap();
    for tick in 1..=18 {
        assert!((drive.sample(tick) - 4.0 * (tick - 1) as f64).abs() < 1e-9, "tick {tick}");
    }
    assert_eq!(drive.sample(20), 0.0, "76 ms is behind the end");
    assert_eq!((drive.ends_at(19), drive.t_ns(1)), (true, None));
    let gaps: Vec<DriveGap> =
        (1..=30).flat_map(|tick| drive.gaps_at(tick).collect::<Vec<_>>()).collect();
    // 12, 16, ..., 28 ms lie between the samples at 10 and 30; 32, ..., 68 between 30 and 70.
    let gap = |from_tick, to_tick, cause| DriveGap { from_tick, to_tick, cause };
    let expected = [gap(4, 9, GapCause::MissingValue), gap(9, 19, GapCause::MissingTime)];
    assert_eq!(gaps, expected);
    assert!(
        (4..19).all(|tick| drive.is_filled(tick)) && !drive.is_filled(3) && !drive.is_filled(19)
    );
}

#[test]
fn without_times_time_is_sample_and_a_jump_in_time_is_told_by_row() {
    let plain = open_with("a\n5\n6\n", "a", 123, raw(Resample::Time, AtEnd::Silence)).unwrap();
    assert_eq!((plain.sample(1), plain.sample(2), plain.t_ns(1)), (5.0, 6.0, None));
    let text = "when,a\n2024-01-01 00:00:00,1\n2024-01-01 00:00:01,2\n2024-01-01 00:00:05,3\n2024-01-01 00:00:06,4\n";
    let jump = open_with(text, "a", 1, raw(Resample::Sample, AtEnd::Silence)).unwrap();
    let cause = GapCause::MissingTime;
    assert_eq!(jump.gaps_at(3).collect::<Vec<_>>(), [DriveGap { from_tick: 3, to_tick: 3, cause }]);
    assert_eq!(jump.missing(), 0);
    assert_eq!(jump.t_ns(3), Some(1_704_067_205_000_000_000));
    assert_eq!(jump.t_ns(6), Some(1_704_067_208_000_000_000), "goes on by the median step");
}

/// The real recording: 7040 rows at 64 Hz, one row a tick; skipped where it is absent.
#[test]
fn a_real_recording_drives_tick_by_tick() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/daphnet_s06r02e0.csv");
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return;
    }
    let section = SourceSection { resample: Resample::Sample, ..SourceSection::default() };
    let mut tables = Tables::default();
    let drive = Drive::open(&mut tables, &path, "ankle_vert", &section, 15_625_000).unwrap();
    assert_eq!((drive.t_ns(1), drive.t_ns(2)), (Some(280_000_000_000), Some(280_015_000_000)));
    assert_eq!((drive.missing(), drive.note()), (0, None));
    assert!(drive.ends_at(7041) && !drive.ends_at(7040));
    let samples: Vec<f64> = (1..=7040).map(|tick| drive.sample(tick)).collect();
    let mean = samples.iter().sum::<f64>() / 7040.0;
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 7039.0;
    assert!(mean.abs() < 1e-12 && (variance - 1.0).abs() < 1e-12);
    assert_eq!(tables.open(&path).unwrap().columns().count(), 11);
}
