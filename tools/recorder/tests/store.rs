//! The store against a real file: what is committed, what is refused, what a reader finds.
#![allow(clippy::unwrap_used)] // helpers outside of #[test] functions are tests, too

mod common;

use common::*;
use recorder::database::{self, Database, Durability, OpenError};
use recorder::entry::{Entry, Frame, GapCause};
use recorder::store::{Cursor, Ending, StoreError};
use recorder::verify::verify;
use rsw_schemas::event::{AgentMetric, EventKind};
use rusqlite::Connection;

fn ticks(generation: u32, from: u64, to: u64) -> Vec<rsw_schemas::event::Slot> {
    (from..to).flat_map(|number| tick_slots(generation, number)).collect()
}

fn frame(tick: u64, pitch: f32) -> Entry {
    let data = (0..32 * 16)
        .flat_map(|i| ((i % 32) as f32 * pitch + (i / 32) as f32 * 0.2).sin().to_le_bytes())
        .collect();
    Entry::Frame(Box::new(Frame {
        name: "ci".into(),
        unit: "1".into(),
        tick,
        t_ns: t_ns(tick),
        nx: 32,
        ny: 16,
        min: -1.0,
        max: 1.0,
        data,
    }))
}

fn one<T: rusqlite::types::FromSql>(db: &Connection, sql: &str) -> T {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_run_is_recorded_resumed_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    assert_eq!(store.cursor(), None);
    let entries = [Entry::Plane(facts(1, 0)), frame(8, 0.3), events(0, ticks(1, 1, 41))];
    let cursor = store.commit(&entries, 5).unwrap().unwrap();
    assert_eq!(cursor, Cursor { first: 0, next: 120, generation: 1, recorded: 120, lost: 0 });
    drop(store);

    let mut store = common::store(dir.path(), 1);
    assert_eq!(store.cursor(), Some(cursor));
    let gap = Entry::Gap { from: 120, to: 125, cause: GapCause::RecorderRestart };
    store.commit(&[Entry::Plane(facts(1, 0)), gap, events(125, ticks(1, 42, 65))], 6).unwrap();
    store.end(Ending::Ordered, 7).unwrap();
    assert!(store.checkpoint(true).unwrap());

    let db = database::open_read_only(dir.path()).unwrap();
    let answer = verify(&db).unwrap();
    assert!(answer.ok, "{answer:#?}");
    let run = &answer.runs[0];
    assert_eq!((&*run.published, &*run.recorded, &*run.lost), ("194", "189", "5"));
    assert_eq!((&*run.gaps[0].from, &*run.gaps[0].to), ("120", "125"));
    // Two windows of 32 ticks for two agents and the field; the second one was cut by the restart.
    assert_eq!(run.fingerprints, 6);
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM rs_ci_window WHERE field_tick = 8"), 6);
    let near: Vec<i64> = db
        .prepare(
            "SELECT rowid FROM rs_fingerprint WHERE embedding MATCH
            (SELECT fingerprint FROM rs_ci_window WHERE window_id = 1) AND k = 3",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!((near.len(), near[0]), (3, 1));
}

#[test]
fn a_kernel_that_runs_ticks_again_supersedes_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    store.commit(&[Entry::Plane(facts(1, 0)), events(0, ticks(1, 1, 41))], 5).unwrap();
    let rerun = [Entry::Plane(facts(2, 120)), events(120, ticks(2, 31, 61))];
    store.commit(&rerun, 6).unwrap();
    let db = database::open_read_only(dir.path()).unwrap();
    let answer = verify(&db).unwrap();
    assert!(answer.ok, "{answer:#?}");
    assert_eq!(answer.runs[0].recorded, "210");
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM rs_metric_superseded"), 20);
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM rs_metric_point"), 120);
    assert_eq!(one::<i64>(&db, "SELECT min(generation) FROM rs_metric_point WHERE tick = 35"), 2);
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM rs_tick"), 60);
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM rs_every_event"), 210);
}

#[test]
fn a_batch_that_does_not_follow_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    store.commit(&[Entry::Plane(facts(1, 0)), events(0, ticks(1, 1, 3))], 5).unwrap();
    let before = store.cursor();
    for first in [5, 7] {
        let batch = [events(6, ticks(1, 3, 4)), events(first, ticks(1, 4, 5))];
        let error = store.commit(&batch, 6).unwrap_err();
        assert!(matches!(error, StoreError::OutOfOrder { expected: 9, .. }), "{error}");
    }
    assert_eq!(store.cursor(), before);
    store.commit(&[events(6, ticks(1, 3, 4))], 6).unwrap();
    assert!(verify(&database::open_read_only(dir.path()).unwrap()).unwrap().ok);
}

#[test]
fn a_gap_that_goes_on_is_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    let gap = |from, to, cause| Entry::Gap { from, to, cause };
    let (restart, overrun) = (GapCause::RecorderRestart, GapCause::Overrun);
    let steps = (0..25).map(|from| gap(from, from + 1, restart));
    let batch: Vec<Entry> = std::iter::once(Entry::Plane(facts(1, 0))).chain(steps).collect();
    store.commit(&batch, 5).unwrap();
    let batch = [gap(25, 30, restart), gap(30, 31, overrun), gap(31, 40, overrun)];
    let cursor = store.commit(&batch, 6).unwrap().unwrap();
    assert_eq!(cursor, Cursor { first: 0, next: 40, generation: 1, recorded: 0, lost: 40 });
    // An event in between, and nothing is one row any more.
    store.commit(&[events(40, ticks(1, 1, 2)), gap(43, 44, overrun)], 7).unwrap();
    let db = database::open_read_only(dir.path()).unwrap();
    let answer = verify(&db).unwrap();
    assert!(answer.ok, "{answer:#?}");
    let gaps = &answer.runs[0].gaps;
    let found: Vec<_> = gaps.iter().map(|gap| (&*gap.from, &*gap.to, &*gap.cause)).collect();
    let expected =
        [("0", "30", "recorder_restart"), ("30", "40", "overrun"), ("43", "44", "overrun")];
    assert_eq!(found, expected);
}

#[test]
fn undefined_numbers_are_null_and_the_views_have_their_shape() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    let mut metric = metric(3, 1);
    (metric.d, metric.ci, metric.drive) = (f64::NAN, f64::INFINITY, f64::NEG_INFINITY);
    let strange = slot(EventKind::AgentMetric, 1, 3, t_ns(1), &metric);
    let mut short = slot(EventKind::AgentMetric, 1, 3, 0, &metric);
    short.len_bytes = 8;
    let batch = [Entry::Plane(facts(1, 0)), events(0, vec![strange, short])];
    store.commit(&batch, 5).unwrap();
    drop(store);

    // Views must work where nobody knows vec0: a bare connection, before any registration, in a child.
    let path = dir.path().join(database::FILE_NAME);
    let db = Connection::open(path).unwrap();
    let columns = |view: &str| -> Vec<String> {
        let statement = db.prepare(&format!("SELECT * FROM {view}")).unwrap();
        statement.column_names().map(String::from).collect()
    };
    assert_eq!(columns("metric_series"), ["series_id", "series_name", "series_type", "agent_id"]);
    assert_eq!(columns("timeseries_data"), ["series_id", "timestamp", "value"]);
    let values: Vec<(String, i64, Option<f64>)> = db
        .prepare(
            "SELECT s.series_type, d.timestamp, d.value FROM metric_series s
             JOIN timeseries_data d USING (series_id) WHERE s.agent_id = 3 ORDER BY 1",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let names: Vec<&str> = values.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["ci", "coherence", "dwell", "fractal", "gain"]);
    assert!(values.iter().all(|(_, time, _)| *time == t_ns(1)));
    assert_eq!((values[0].2, values[1].2, values[3].2), (None, Some(0.6), None));
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM rs_event WHERE kind = 4"), 1);
    assert!(verify(&database::open_read_only(dir.path()).unwrap()).unwrap().ok);
}

#[test]
fn two_runs_live_in_one_file_and_a_late_first_plane_counts_what_was_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    store.commit(&[Entry::Plane(facts(1, 0)), events(0, ticks(1, 1, 9))], 5).unwrap();
    drop(store);
    let mut store = common::store(dir.path(), 2);
    let gap = Entry::Gap { from: 0, to: 50, cause: GapCause::GenerationLost };
    let batch = [Entry::Plane(facts(3, 50)), gap, events(50, ticks(3, 20, 22))];
    store.commit(&batch, 5).unwrap();
    let db = database::open_read_only(dir.path()).unwrap();
    let answer = verify(&db).unwrap();
    assert!(answer.ok, "{answer:#?}");
    assert_eq!(answer.runs.len(), 2);
    assert_eq!((&*answer.runs[0].recorded, &*answer.runs[0].state), ("24", "interrupted"));
    assert_eq!((&*answer.runs[1].lost, &*answer.runs[1].recorded), ("50", "6"));
}

#[test]
fn verify_sees_what_integrity_check_does_not() {
    let damages = [
        "UPDATE rs_event SET payload = zeroblob(length(payload)) WHERE seq = 3",
        "UPDATE rs_metric_point SET ci = 0.5 WHERE seq = 4",
        "DELETE FROM rs_event WHERE seq = 3",
        "DELETE FROM rs_metric_point WHERE seq = 7",
        "INSERT INTO rs_gap VALUES (1, 3, 5, 'overrun', 0)",
        "UPDATE rs_cursor SET cursor = cursor + 1",
        "UPDATE rs_field SET data = zeroblob(2048)",
        "UPDATE rs_ci_window SET fingerprint = zeroblob(512) WHERE window_id = 1",
        "DELETE FROM rs_fingerprint WHERE rowid = 1",
        "UPDATE rs_metric_point SET seq = 4 WHERE seq = 7",
        "INSERT INTO rs_gap VALUES (1, 0, 9223372036854775807, 'overrun', 0),
            (1, 1, 9223372036854775807, 'overrun', 0), (1, 2, 9223372036854775807, 'overrun', 0)",
    ];
    for damage in damages {
        let dir = tempfile::tempdir().unwrap();
        let mut store = common::store(dir.path(), 1);
        let batch = [Entry::Plane(facts(1, 0)), frame(8, 0.3), events(0, ticks(1, 1, 41))];
        store.commit(&batch, 5).unwrap();
        drop(store);
        let database = Database::open(dir.path(), Durability::Process, 2).unwrap();
        assert!(verify(&database.connection).unwrap().ok);
        database.connection.execute(damage, []).unwrap();
        let answer = verify(&database.connection).unwrap();
        assert!(!answer.ok, "{damage}");
    }
}

/// A number that no event holds is a problem of its row; the rows after it are looked at, too.
#[test]
fn verify_tells_numbers_out_of_range_row_by_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    let batch = [Entry::Plane(facts(1, 0)), frame(8, 0.3), events(0, ticks(1, 1, 41))];
    store.commit(&batch, 5).unwrap();
    drop(store);
    let db = Connection::open(dir.path().join(database::FILE_NAME)).unwrap();
    db.execute_batch(
        "UPDATE rs_event SET kind = 70000 WHERE seq = 3;
         UPDATE rs_event SET flags = -1 WHERE seq = 6;
         UPDATE rs_event SET source = 4294967296 WHERE seq = 9;
         UPDATE rs_event SET crc32 = -7 WHERE seq = 12;
         UPDATE rs_event SET generation = 2 WHERE seq = 15;
         UPDATE rs_event SET generation = -1 WHERE seq = 18;
         UPDATE rs_metric_point SET flags = 4294967296 WHERE seq = 4;
         UPDATE rs_field SET crc32 = 4294967296;",
    )
    .unwrap();
    drop(db);
    let answer = verify(&database::open_read_only(dir.path()).unwrap()).unwrap();
    assert!(!answer.ok);
    assert_eq!(
        answer.runs[0].problems,
        [
            "event 3 is damaged: kind 70000 is out of range",
            "event 6 is damaged: flags -1 is out of range",
            "event 9 is damaged: source 4294967296 is out of range",
            "event 12 is damaged: crc32 -7 is out of range",
            "event 15 is damaged: its checksum differs",
            "event 18 is damaged: generation -1 is out of range",
            "metric 4 in rs_metric_point is damaged: flags 4294967296 is out of range",
            "field ci of tick 8 is damaged: crc32 4294967296 is out of range",
        ]
    );
}

#[test]
fn a_damaged_file_is_kept_and_a_new_one_begins() {
    for damage in [&b"this is not a database, but it is somebody's file "[..], &[0x55; 8192]] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(database::FILE_NAME);
        std::fs::write(&path, damage).unwrap();
        let database = Database::open(dir.path(), Durability::Power, 77).unwrap();
        let aside = database.set_aside.clone().unwrap();
        assert_eq!(aside.file_name().unwrap(), "agentdb.sqlite.corrupt-77");
        assert_eq!(std::fs::read(&aside).unwrap(), damage);
        let note: String =
            one(&database.connection, "SELECT value FROM rs_meta WHERE key = 'note.77'");
        assert!(note.contains("corrupt-77"), "{note}");
    }
}

#[test]
fn a_torn_page_after_an_unclean_stop_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    store.commit(&[Entry::Plane(facts(1, 0)), events(0, ticks(1, 1, 400))], 5).unwrap();
    store.checkpoint(true).unwrap();
    store.commit(&[events(1197, ticks(1, 400, 402))], 6).unwrap();
    // The process is gone, the log is left behind, and pages of the database are not what they were.
    let copy = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{}{suffix}", database::FILE_NAME);
        std::fs::copy(dir.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let path = copy.path().join(database::FILE_NAME);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 8192 * 8192;
    bytes[middle..middle + 2 * 8192].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let database = Database::open(copy.path(), Durability::Power, 78).unwrap();
    assert!(database.set_aside.is_some());
    assert!(std::fs::read(database.set_aside.unwrap()).unwrap() == bytes, "it was changed");
}

#[test]
fn strangers_and_rivals_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(database::FILE_NAME);
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let error = Database::open(dir.path(), Durability::Power, 1).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { found: 0, .. }), "{error}");
    assert_eq!(one::<i64>(&Connection::open(&path).unwrap(), "SELECT count(*) FROM t"), 0);

    let dir = tempfile::tempdir().unwrap();
    let first = Database::open(dir.path(), Durability::Power, 1).unwrap();
    let error = Database::open(dir.path(), Durability::Power, 1).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    first.connection.pragma_update(None, "user_version", 99).unwrap();
    drop(first);
    let error = Database::open(dir.path(), Durability::Power, 1).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");

    let error = database::open_read_only(tempfile::tempdir().unwrap().path()).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
}

#[test]
fn readers_read_while_the_writer_writes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    store.commit(&[Entry::Plane(facts(1, 0))], 5).unwrap();
    let db = database::open_read_only(dir.path()).unwrap();
    for round in 0..20 {
        let first = round * 9;
        store.commit(&[events(first, ticks(1, round * 3 + 1, round * 3 + 4))], 6).unwrap();
        assert_eq!(one::<i64>(&db, "SELECT count(*) FROM rs_every_event") as u64, first + 9);
        assert!(verify(&db).unwrap().ok);
        assert!(store.checkpoint(false).is_ok());
    }
    assert!(db.execute("DELETE FROM rs_event", []).is_err());
}

#[test]
fn the_metric_of_an_agent_that_nobody_announced_has_a_series() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = common::store(dir.path(), 1);
    let metric: AgentMetric = metric(9, 1);
    let slots = vec![slot(EventKind::AgentMetric, 1, 9, 0, &metric)];
    store.commit(&[Entry::Plane(facts(1, 0)), events(0, slots)], 5).unwrap();
    let db = database::open_read_only(dir.path()).unwrap();
    let name: String =
        one(&db, "SELECT series_name FROM metric_series WHERE agent_id = 9 AND series_type = 'ci'");
    assert_eq!(name, "agent-9.ci");
}
