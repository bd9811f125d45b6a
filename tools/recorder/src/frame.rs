//! `field`: a stored frame of a field, as raw cells with a line of facts.

use rsw_schemas::exit;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::failure::Failure;
use crate::value::int;

/// What is known of a stored frame, `rsw.field/1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredFrame {
    /// Name of this document.
    pub schema: &'static str,
    /// Key of the run.
    pub run: i64,
    /// Field.
    pub name: String,
    /// Unit of a cell.
    pub unit: String,
    /// Tick that made it.
    pub tick: i64,
    /// Field time of that tick, as a decimal string.
    pub t_ns: String,
    /// Columns.
    pub nx: u32,
    /// Rows.
    pub ny: u32,
    /// Type of a cell: `f32`, little-endian.
    pub dtype: String,
    /// Smallest cell; absent if it is not finite.
    pub min: Option<f64>,
    /// Largest cell; absent if it is not finite.
    pub max: Option<f64>,
    /// The cells.
    #[serde(skip)]
    pub data: Vec<u8>,
}

/// Which frame.
#[derive(Debug, Clone, clap::Args)]
pub struct FrameChoice {
    /// Field, such as `ci` or `wave`.
    #[arg(long)]
    pub name: String,
    /// Key of the run; default: the latest run that has such a frame.
    #[arg(long)]
    pub run: Option<i64>,
    /// The last frame at or before this tick; default: the last.
    #[arg(long)]
    pub tick: Option<u64>,
}

fn stored_names(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare("SELECT DISTINCT name FROM rs_field ORDER BY name")?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

/// Finds a frame and checks its checksum.
///
/// # Errors
/// [`Failure`]: not found, or damaged.
pub fn load(db: &Connection, choice: &FrameChoice) -> Result<StoredFrame, Failure> {
    let found = db
        .query_row(
            "SELECT run_id, name, unit, tick, t_ns, nx, ny, dtype, min, max, data, crc32 FROM rs_field
             WHERE name = ?1 AND (?2 IS NULL OR run_id = ?2) AND (?3 IS NULL OR tick <= ?3)
             ORDER BY run_id DESC, tick DESC LIMIT 1",
            params![choice.name, choice.run, choice.tick.map(int)],
            |row| {
                let frame = StoredFrame {
                    schema: "rsw.field/1",
                    run: row.get(0)?,
                    name: row.get(1)?,
                    unit: row.get(2)?,
                    tick: row.get(3)?,
                    t_ns: row.get::<_, i64>(4)?.to_string(),
                    nx: row.get(5)?,
                    ny: row.get(6)?,
                    dtype: row.get(7)?,
                    min: row.get(8)?,
                    max: row.get(9)?,
                    data: row.get(10)?,
                };
                Ok((frame, row.get::<_, u32>(11)?))
            },
        )
        .optional()?;
    let Some((frame, crc)) = found else {
        let text = format!("no stored frame of field \"{}\"", choice.name);
        let hint = match stored_names(db)? {
            names if names.is_empty() => "nothing is stored yet; see field.publish".to_owned(),
            names => format!("fields with stored frames: {}", names.join(", ")),
        };
        return Err(Failure::new(exit::NOT_FOUND, text, hint));
    };
    if crc32fast::hash(&frame.data) != crc {
        let text =
            format!("the frame of field \"{}\" at tick {} is damaged", frame.name, frame.tick);
        return Err(Failure::new(exit::CHECK_FAILED, text, "choose another with --tick"));
    }
    Ok(frame)
}
