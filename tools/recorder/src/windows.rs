//! `similar`: the windows whose fingerprints lie nearest to that of a given one.

use rsw_schemas::exit;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::failure::Failure;

/// One CI window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowFacts {
    /// Key of the window.
    pub window: i64,
    /// Key of the run.
    pub run: i64,
    /// The agent; 0 for the whole field.
    pub agent_id: i64,
    /// First tick.
    pub start_tick: i64,
    /// Last tick.
    pub end_tick: i64,
    /// Field time of the first point, as a decimal string.
    pub start_ns: String,
    /// Field time of the last point, as a decimal string.
    pub end_ns: String,
    /// Mean CI.
    pub ci_mean: Option<f64>,
}

/// A window and how near it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Match {
    /// The window.
    #[serde(flatten)]
    pub facts: WindowFacts,
    /// Euclidean distance of the fingerprints, 0 to 2.
    pub distance: f64,
    /// Their cosine, `1 - distance^2 / 2`.
    pub cosine: f64,
}

/// The answer, `rsw.similar/1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Similar {
    /// Name of this document.
    pub schema: &'static str,
    /// The window that was asked for.
    pub window: WindowFacts,
    /// The others, nearest first.
    pub matches: Vec<Match>,
}

const FACTS: &str =
    "w.window_id, w.run_id, w.agent_id, w.start_tick, w.end_tick, w.start_ns, w.end_ns, w.ci_mean";

/// The `count` windows nearest to `window_id`, of all runs of the recording, without itself.
///
/// # Errors
/// [`Failure`]: no such window, or one without a fingerprint.
pub fn similar(db: &Connection, window_id: i64, count: u32) -> Result<Similar, Failure> {
    let asked = db
        .query_row(
            &format!("SELECT {FACTS}, w.fingerprint FROM rs_ci_window w WHERE w.window_id = ?1"),
            [window_id],
            |row| Ok((facts(row)?, row.get::<_, Option<Vec<u8>>>(8)?)),
        )
        .optional()?;
    let hint = "what there is: SELECT window_id, agent_id, start_tick FROM rs_ci_window";
    let Some((window, fingerprint)) = asked else {
        return Err(Failure::new(exit::NOT_FOUND, format!("no window {window_id}"), hint));
    };
    let Some(fingerprint) = fingerprint else {
        let text = format!("window {window_id} has no fingerprint: it has too few points");
        return Err(Failure::new(exit::NOT_FOUND, text, hint));
    };
    // The window itself is among its own neighbours, hence one more.
    let mut statement = db.prepare(&format!(
        "WITH near AS MATERIALIZED (
            SELECT rowid AS id, distance FROM rs_fingerprint WHERE embedding MATCH ?1 AND k = ?2)
         SELECT {FACTS}, near.distance FROM near JOIN rs_ci_window w ON w.window_id = near.id
         WHERE near.id <> ?3 ORDER BY near.distance, near.id LIMIT ?4"
    ))?;
    let matches = statement
        .query_map(params![fingerprint, count + 1, window_id, count], |row| {
            let distance: f64 = row.get(8)?;
            Ok(Match { facts: facts(row)?, distance, cosine: 1.0 - distance * distance / 2.0 })
        })?
        .collect::<Result<_, _>>()?;
    Ok(Similar { schema: "rsw.similar/1", window, matches })
}

fn facts(row: &Row<'_>) -> Result<WindowFacts, rusqlite::Error> {
    Ok(WindowFacts {
        window: row.get(0)?,
        run: row.get(1)?,
        agent_id: row.get(2)?,
        start_tick: row.get(3)?,
        end_tick: row.get(4)?,
        start_ns: row.get::<_, i64>(5)?.to_string(),
        end_ns: row.get::<_, i64>(6)?.to_string(),
        ci_mean: row.get(7)?,
    })
}
