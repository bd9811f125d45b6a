//! Whether a recording is what it claims: recomputed from its rows, never from its counters.

use std::collections::VecDeque;

use rsw_schemas::event::AgentMetric;
use rusqlite::{Connection, Row};
use serde::Serialize;

use crate::crc::{self, EventHead};
use crate::fingerprint;
use crate::value::unsigned;

/// No list of problems is longer; the first ones tell.
const PROBLEMS_MAX: usize = 50;

/// The whole answer, `rsw.verify/1`.
#[derive(Debug, Serialize)]
pub struct Verification {
    /// Name of this document.
    pub schema: &'static str,
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Every run of the recording.
    pub runs: Vec<RunVerification>,
    /// What is wrong with the file as a whole.
    pub problems: Vec<String>,
}

/// One run.
#[derive(Debug, Serialize)]
pub struct RunVerification {
    /// Key of the run.
    pub run: i64,
    /// Identity of the run.
    pub uuid: String,
    /// `recording`, `ended` or `interrupted`.
    pub state: String,
    /// Events between the first sequence and the cursor: all that the run published, if `complete`.
    pub published: String,
    /// Whether its end was written down. It is not while a recorder runs, and never where none lived to see it.
    pub complete: bool,
    /// Events that are rows.
    pub recorded: String,
    /// Events inside gaps.
    pub lost: String,
    /// Every gap.
    pub gaps: Vec<GapVerification>,
    /// CI windows with a fingerprint.
    pub fingerprints: u64,
    /// `ok`, or how many things are wrong.
    pub integrity: String,
    /// What is wrong.
    pub problems: Vec<String>,
}

/// One gap, `[from, to)`.
#[derive(Debug, Clone, Serialize)]
pub struct GapVerification {
    /// First lost sequence.
    pub from: String,
    /// First sequence that is not lost.
    pub to: String,
    /// Why.
    pub cause: String,
}

struct Run {
    run_id: i64,
    uuid: String,
    state: String,
    published: Option<i64>,
    first: u64,
    cursor: u64,
    recorded: u64,
    lost: u64,
}

/// Checks everything, in one read transaction: a recording in progress may be checked, too.
///
/// # Errors
/// SQLite's, where the file cannot even be read.
pub fn verify(db: &Connection) -> Result<Verification, rusqlite::Error> {
    let snapshot = db.unchecked_transaction()?;
    let mut problems = Vec::new();
    let mut statement = snapshot.prepare("PRAGMA integrity_check(20)")?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    for line in lines {
        let line = line?;
        if line != "ok" {
            problems.push(format!("integrity: {line}"));
        }
    }
    let runs = runs(&snapshot)?
        .into_iter()
        .map(|run| verify_run(&snapshot, &run))
        .collect::<Result<Vec<_>, _>>()?;
    let vectors: i64 =
        snapshot.query_row("SELECT count(*) FROM rs_fingerprint", [], |row| row.get(0))?;
    let fingerprints: u64 = runs.iter().map(|run| run.fingerprints).sum();
    if unsigned(vectors) != fingerprints {
        problems.push(format!("{fingerprints} fingerprints, but {vectors} in the vector table"));
    }
    let ok = problems.is_empty() && runs.iter().all(|run| run.problems.is_empty());
    Ok(Verification { schema: "rsw.verify/1", ok, runs, problems })
}

fn runs(db: &Connection) -> Result<Vec<Run>, rusqlite::Error> {
    db.prepare(
        "SELECT r.run_id, r.uuid, r.state, r.published, coalesce(c.first_seq, 0),
            coalesce(c.cursor, 0), coalesce(c.recorded, 0), coalesce(c.lost, 0)
         FROM rs_run r LEFT JOIN rs_cursor c ON c.run_id = r.run_id ORDER BY r.run_id",
    )?
    .query_map([], |row| {
        Ok(Run {
            run_id: row.get(0)?,
            uuid: row.get(1)?,
            state: row.get(2)?,
            published: row.get(3)?,
            first: unsigned(row.get(4)?),
            cursor: unsigned(row.get(5)?),
            recorded: unsigned(row.get(6)?),
            lost: unsigned(row.get(7)?),
        })
    })?
    .collect()
}

fn verify_run(db: &Connection, run: &Run) -> Result<RunVerification, rusqlite::Error> {
    let mut problems = Problems::default();
    let gaps = gaps(db, run.run_id)?;
    let lengths = gaps.iter().map(|(from, to, _)| to.saturating_sub(*from));
    let lost = lengths.fold(0, u64::saturating_add);
    let recorded = walk(db, run, &gaps, &mut problems)?;
    let published = run.cursor.saturating_sub(run.first);
    if recorded.saturating_add(lost) != published {
        problems.add(format!("published {published}, but recorded {recorded} + lost {lost}"));
    }
    if (recorded, lost) != (run.recorded, run.lost) {
        problems.add(format!(
            "the cursor counts {} recorded and {} lost, the rows {recorded} and {lost}",
            run.recorded, run.lost
        ));
    }
    if run.published.is_some_and(|count| unsigned(count) != published) {
        problems.add(format!("the run ended with {:?} events, not {published}", run.published));
    }
    check_events(db, run.run_id, &mut problems)?;
    check_metrics(db, run.run_id, &mut problems)?;
    check_fields(db, run.run_id, &mut problems)?;
    let fingerprints = check_fingerprints(db, run.run_id, &mut problems)?;
    let integrity = match problems.count {
        0 => "ok".to_owned(),
        count => format!("{count} problems"),
    };
    let gaps = gaps
        .into_iter()
        .map(|(from, to, cause)| GapVerification {
            from: from.to_string(),
            to: to.to_string(),
            cause,
        })
        .collect();
    Ok(RunVerification {
        run: run.run_id,
        uuid: run.uuid.clone(),
        state: run.state.clone(),
        published: published.to_string(),
        complete: run.published.is_some(),
        recorded: recorded.to_string(),
        lost: lost.to_string(),
        gaps,
        fingerprints,
        integrity,
        problems: problems.list,
    })
}

#[derive(Default)]
struct Problems {
    list: Vec<String>,
    count: usize,
}

impl Problems {
    fn add(&mut self, text: String) {
        self.count += 1;
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(text);
        }
    }
}

/// The narrow numbers of one row: what its field in an event cannot hold is damage, and the rest is still checked.
struct Numbers<'a> {
    row: &'a Row<'a>,
    damage: Option<String>,
}

impl<'a> Numbers<'a> {
    fn of(row: &'a Row<'a>) -> Self {
        Self { row, damage: None }
    }

    /// The number in column `at`; 0 in place of one that is out of range.
    fn get<T: TryFrom<i64> + Default>(&mut self, at: usize) -> Result<T, rusqlite::Error> {
        let value: i64 = self.row.get(at)?;
        if let Ok(number) = T::try_from(value) {
            return Ok(number);
        }
        let column = self.row.as_ref().column_name(at)?;
        self.damage.get_or_insert_with(|| format!("{column} {value} is out of range"));
        Ok(T::default())
    }

    /// What is wrong with the row, whose checksum is in column `at` and should be `crc`.
    fn damage(mut self, at: usize, crc: u32) -> Result<Option<String>, rusqlite::Error> {
        let differs = self.get::<u32>(at)? != crc;
        Ok(self.damage.or_else(|| differs.then(|| "its checksum differs".to_owned())))
    }
}

fn gaps(db: &Connection, run_id: i64) -> Result<Vec<(u64, u64, String)>, rusqlite::Error> {
    db.prepare("SELECT from_seq, to_seq, cause FROM rs_gap WHERE run_id = ?1 ORDER BY from_seq")?
        .query_map([run_id], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?), row.get(2)?)))?
        .collect()
}

/// Walks over every sequence in order: each must be one row or inside one gap. Returns the rows.
fn walk(
    db: &Connection,
    run: &Run,
    gaps: &[(u64, u64, String)],
    problems: &mut Problems,
) -> Result<u64, rusqlite::Error> {
    let mut statement = db.prepare(
        "SELECT seq FROM rs_event WHERE run_id = ?1
         UNION ALL SELECT seq FROM rs_metric_point WHERE run_id = ?1
         UNION ALL SELECT seq FROM rs_metric_superseded WHERE run_id = ?1
         ORDER BY seq",
    )?;
    let mut rows = statement.query([run.run_id])?;
    let mut gaps: VecDeque<(u64, u64)> = gaps.iter().map(|(from, to, _)| (*from, *to)).collect();
    let mut expected = run.first;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let seq = unsigned(row.get(0)?);
        count += 1;
        skip_gaps(&mut expected, &mut gaps);
        if seq > expected {
            problems.add(format!("[{expected}, {seq}) is neither recorded nor in a gap"));
        } else if seq < expected {
            problems.add(format!("sequence {seq} is there twice, or inside a gap"));
            continue;
        }
        expected = seq.saturating_add(1);
    }
    skip_gaps(&mut expected, &mut gaps);
    if expected != run.cursor {
        problems.add(format!("the record ends at {expected}, its cursor says {}", run.cursor));
    }
    for (from, to) in gaps {
        problems.add(format!("gap [{from}, {to}) lies where events are"));
    }
    Ok(count)
}

fn skip_gaps(expected: &mut u64, gaps: &mut VecDeque<(u64, u64)>) {
    while let Some((from, to)) = gaps.front().copied()
        && from == *expected
    {
        *expected = to;
        gaps.pop_front();
    }
}

fn check_events(db: &Connection, run: i64, problems: &mut Problems) -> Result<(), rusqlite::Error> {
    let mut statement = db.prepare(
        "SELECT seq, generation, kind, flags, source, t_ns, payload, crc32 FROM rs_event
         WHERE run_id = ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([run])?;
    while let Some(row) = rows.next()? {
        let mut numbers = Numbers::of(row);
        let head = EventHead {
            seq: unsigned(row.get(0)?),
            generation: numbers.get(1)?,
            kind: numbers.get(2)?,
            flags: numbers.get(3)?,
            source: numbers.get(4)?,
            t_ns: row.get(5)?,
        };
        let crc = crc::event(&head, row.get_ref(6)?.as_blob()?);
        if let Some(damage) = numbers.damage(7, crc)? {
            problems.add(format!("event {} is damaged: {damage}", head.seq));
        }
    }
    Ok(())
}

fn check_metrics(
    db: &Connection,
    run: i64,
    problems: &mut Problems,
) -> Result<(), rusqlite::Error> {
    for table in ["rs_metric_point", "rs_metric_superseded"] {
        let mut statement = db.prepare(&format!(
            "SELECT seq, generation, t_ns, agent_id, tick, flags, d, c, g, tau, ci, u, drive, crc32
             FROM {table} WHERE run_id = ?1"
        ))?;
        let mut rows = statement.query([run])?;
        while let Some(row) = rows.next()? {
            let mut numbers = Numbers::of(row);
            let real = |at| row.get::<_, Option<f64>>(at).map(|value| value.unwrap_or(f64::NAN));
            let metric = AgentMetric {
                tick: numbers.get(4)?,
                agent_id: numbers.get(3)?,
                flags: numbers.get(5)?,
                d: real(6)?,
                c: real(7)?,
                g: real(8)?,
                tau: real(9)?,
                ci: real(10)?,
                u: real(11)?,
                drive: real(12)?,
            };
            let seq = unsigned(row.get(0)?);
            let crc = crc::metric(seq, numbers.get(1)?, row.get(2)?, &metric);
            if let Some(damage) = numbers.damage(13, crc)? {
                problems.add(format!("metric {seq} in {table} is damaged: {damage}"));
            }
        }
    }
    Ok(())
}

fn check_fields(db: &Connection, run: i64, problems: &mut Problems) -> Result<(), rusqlite::Error> {
    let mut statement =
        db.prepare("SELECT name, tick, nx, ny, data, crc32 FROM rs_field WHERE run_id = ?1")?;
    let mut rows = statement.query([run])?;
    while let Some(row) = rows.next()? {
        let (name, tick): (String, i64) = (row.get(0)?, row.get(1)?);
        let bytes = row.get_ref(4)?.as_blob()?;
        if let Some(damage) = Numbers::of(row).damage(5, crc32fast::hash(bytes))? {
            problems.add(format!("field {name} of tick {tick} is damaged: {damage}"));
        }
        let cells = unsigned(row.get(2)?).saturating_mul(unsigned(row.get(3)?));
        if bytes.len() as u64 != cells.saturating_mul(4) {
            problems.add(format!("field {name} of tick {tick} has {} bytes", bytes.len()));
        }
    }
    Ok(())
}

/// Every fingerprint is a unit vector, and the vector table holds the same one.
fn check_fingerprints(
    db: &Connection,
    run: i64,
    problems: &mut Problems,
) -> Result<u64, rusqlite::Error> {
    let mut statement = db.prepare(
        "SELECT w.window_id, w.fingerprint, v.embedding FROM rs_ci_window w
         LEFT JOIN rs_fingerprint v ON v.rowid = w.window_id
         WHERE w.run_id = ?1 AND w.fingerprint IS NOT NULL",
    )?;
    let mut rows = statement.query([run])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        if !fingerprint::from_bytes(&bytes).is_some_and(|vector| fingerprint::is_unit(&vector)) {
            problems.add(format!("the fingerprint of window {id} is no unit vector"));
        }
        if row.get::<_, Option<Vec<u8>>>(2)?.as_ref() != Some(&bytes) {
            problems.add(format!("the vector table holds another vector for window {id}"));
        }
    }
    Ok(count)
}
