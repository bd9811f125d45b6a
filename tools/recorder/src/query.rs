//! `query`: one SQL statement that reads.

use std::io::Write;

use rsw_schemas::exit;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection, Statement};
use serde_json::Value;

use crate::failure::Failure;
use crate::output::{Table, to_json, to_text};

const HINT: &str = "tables and views: SELECT name, sql FROM sqlite_schema";

/// Runs `sql` and writes its rows to `out`: a table, or the document `rsw.query/1`.
///
/// # Errors
/// [`Failure`]: no SQL, more than one statement, or one that would change something, is refused as wrong
/// usage.
pub fn query(
    db: &Connection,
    sql: &str,
    as_json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut statement = prepare(db, sql)?;
    let columns: Vec<String> = statement.column_names().map(String::from).collect();
    let count = columns.len();
    let mut rows = statement.query([]).map_err(|error| sql_failure(&error))?;
    if as_json {
        let names = serde_json::to_string(&columns).map_err(|error| wrong(error.to_string()))?;
        write!(out, "{{\"schema\":\"rsw.query/1\",\"columns\":{names},\"rows\":[")?;
        let mut separator = "";
        while let Some(row) = rows.next().map_err(|error| sql_failure(&error))? {
            let cells = (0..count).map(|at| row.get_ref(at).map(to_json));
            let cells = Value::Array(cells.collect::<Result<_, _>>()?);
            write!(out, "{separator}\n{cells}")?;
            separator = ",";
        }
        writeln!(out, "]}}")?;
        return Ok(());
    }
    let mut table = Table::new(out, columns);
    while let Some(row) = rows.next().map_err(|error| sql_failure(&error))? {
        let cells = (0..count).map(|at| row.get_ref(at).map(to_text));
        table.row(cells.collect::<Result<_, _>>()?)?;
    }
    table.finish()?;
    Ok(())
}

fn prepare<'c>(db: &'c Connection, sql: &'c str) -> Result<Statement<'c>, Failure> {
    let mut statements = Batch::new(db, sql);
    let first = statements.next().map_err(|error| sql_failure(&error))?;
    let Some(statement) = first else { return Err(wrong("there is no SQL statement".into())) };
    if !matches!(statements.next(), Ok(None)) {
        return Err(wrong("there is more than one SQL statement".into()));
    }
    if !statement.readonly() {
        let text = "the recording is read-only, this statement would change it";
        return Err(Failure::new(exit::USAGE, text, "use SELECT"));
    }
    Ok(statement)
}

fn sql_failure(error: &rusqlite::Error) -> Failure {
    if crate::database::is_damage(error) {
        return Failure::new(exit::CHECK_FAILED, error.to_string(), "look closer: runtime verify");
    }
    wrong(error.to_string())
}

fn wrong(text: String) -> Failure {
    Failure::new(exit::USAGE, text, HINT)
}
