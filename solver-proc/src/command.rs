//! What the programs behind `runtime solve` and `runtime analyze` say and how they end.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use rsw_schemas::exit;
use serde_json::json;

/// Why a program ends early: the exit code, and the word for it in JSON.
pub type Cause<'a> = (u8, &'a str);

/// The options of this process. Mistakes in them end it, under `--json` as a document.
///
/// # Errors
/// The exit code, once the mistake was told.
pub fn options<O: Parser>(verb: &str) -> Result<O, ExitCode> {
    let error = match O::try_parse() {
        Ok(options) => return Ok(options),
        Err(error) => error,
    };
    if !error.use_stderr() || !std::env::args_os().any(|word| word == "--json") {
        error.exit();
    }
    let text = error.to_string();
    let (message, _) = text.split_once("\n\nUsage:").unwrap_or((&text, ""));
    let message = message.trim_start_matches("error: ").trim();
    let hint = format!("runtime {verb} --help");
    Err(fail(verb, true, (exit::USAGE, "usage"), message, Some(&hint)))
}

/// Says on standard error why the program ends, and with which exit code.
pub fn fail(
    verb: &str,
    json: bool,
    (exit, code): Cause<'_>,
    message: &str,
    hint: Option<&str>,
) -> ExitCode {
    rsw_os::process::note(match json {
        true => json!({"error": {"code": code, "message": message, "hint": hint}}).to_string(),
        false => format!("runtime {verb}: {message}"),
    });
    ExitCode::from(exit)
}

/// Says it on standard output; a reader that has gone has seen enough.
///
/// # Errors
/// Standard output cannot be written.
pub fn tell(text: &str) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        said => said,
    }
}
