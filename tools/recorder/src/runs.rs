//! `runs`: what a recording holds.

use rusqlite::Connection;
use serde::Serialize;

/// One run of the recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunFacts {
    /// Key of the run.
    pub run: i64,
    /// Its identity.
    pub uuid: String,
    /// Its project.
    pub project: String,
    /// `recording`, `ended` or `interrupted`.
    pub state: String,
    /// `CLOCK_REALTIME` of its start, as a decimal string.
    pub started_wall_ns: String,
    /// `CLOCK_REALTIME` of its end, as a decimal string.
    pub ended_wall_ns: Option<String>,
    /// Events up to the cursor, as the writer counted them; `verify` counts rows.
    pub published: String,
    /// Events that are rows, likewise.
    pub recorded: String,
    /// Events inside gaps, likewise.
    pub lost: String,
    /// Kernels.
    pub generations: i64,
    /// Agents.
    pub agents: i64,
    /// Last tick.
    pub last_tick: Option<i64>,
    /// CI windows.
    pub windows: i64,
    /// Stored field frames.
    pub frames: i64,
    /// Columns of the field.
    pub nx: Option<i64>,
    /// Rows of the field.
    pub ny: Option<i64>,
}

/// Every run, the oldest first.
///
/// # Errors
/// SQLite's.
pub fn runs(db: &Connection) -> Result<Vec<RunFacts>, rusqlite::Error> {
    let text = |value: i64| value.to_string();
    db.prepare(
        "SELECT r.run_id, r.uuid, r.project, r.state, r.started_wall_ns, r.ended_wall_ns,
            coalesce(c.cursor - c.first_seq, 0), coalesce(c.recorded, 0), coalesce(c.lost, 0),
            (SELECT count(*) FROM rs_generation g WHERE g.run_id = r.run_id),
            (SELECT count(*) FROM rs_agent a WHERE a.run_id = r.run_id),
            (SELECT max(tick) FROM rs_tick t WHERE t.run_id = r.run_id),
            (SELECT count(*) FROM rs_ci_window w WHERE w.run_id = r.run_id),
            (SELECT count(*) FROM rs_field f WHERE f.run_id = r.run_id), r.nx, r.ny
         FROM rs_run r LEFT JOIN rs_cursor c USING (run_id) ORDER BY r.run_id",
    )?
    .query_map([], |row| {
        Ok(RunFacts {
            run: row.get(0)?,
            uuid: row.get(1)?,
            project: row.get(2)?,
            state: row.get(3)?,
            started_wall_ns: text(row.get(4)?),
            ended_wall_ns: row.get::<_, Option<i64>>(5)?.map(text),
            published: text(row.get(6)?),
            recorded: text(row.get(7)?),
            lost: text(row.get(8)?),
            generations: row.get(9)?,
            agents: row.get(10)?,
            last_tick: row.get(11)?,
            windows: row.get(12)?,
            frames: row.get(13)?,
            nx: row.get(14)?,
            ny: row.get(15)?,
        })
    })?
    .collect()
}
