//! `runtime query` and `runtime verify`: the recorder's own program answers, so that SQLite stays out of here.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rsw_schemas::exit;

use super::Context;
use crate::cli::{Query, Verify};
use crate::swarm;
use crate::view::error::CliError;

pub(super) fn query(context: &Context, args: &Query) -> Result<u8, CliError> {
    let dir = dir(context, args.dir.as_deref())?;
    run(context, "query", &dir, |command| {
        command.arg("--").arg(&args.sql);
    })
}

pub(super) fn verify(context: &Context, args: &Verify) -> Result<u8, CliError> {
    let dir = dir(context, args.dir.as_deref())?;
    run(context, "verify", &dir, |_| {})
}

/// Folder of the recording: as given, else as configured.
pub(super) fn dir(context: &Context, given: Option<&Path>) -> Result<PathBuf, CliError> {
    match given {
        Some(dir) => Ok(dir.to_owned()),
        None => Ok(swarm::recording_dir(&rsw_config::resolve(&context.load(|_| {})?))),
    }
}

/// The recorder's program with one of its verbs.
pub(super) fn command(verb: &str, dir: &Path) -> Result<Command, CliError> {
    let mut command = Command::new(swarm::beside_us("recorder")?);
    command.arg(verb).arg("--dir").arg(dir);
    Ok(command)
}

fn run(
    context: &Context,
    verb: &str,
    dir: &Path,
    add: impl FnOnce(&mut Command),
) -> Result<u8, CliError> {
    let mut command = command(verb, dir)?;
    if context.global.json {
        command.arg("--json");
    }
    add(&mut command);
    // It takes our place: whoever ends us ends it.
    let error = command.stdin(Stdio::null()).exec();
    let words = format!("the recorder's program: {error}");
    Err(CliError::new(exit::FAILURE, "recorder", words)
        .hint("build the whole workspace: cargo build --release"))
}
