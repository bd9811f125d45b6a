//! `runtime completions` and `runtime man`: the command line as shells and `man` read it.

use clap::CommandFactory;
use rsw_schemas::exit;

use super::Context;
use crate::cli::{Cli, Completions, Man};
use crate::view::error::CliError;

pub(super) fn completions(context: &Context, args: &Completions) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "runtime", &mut script);
    context.print(&String::from_utf8_lossy(&script));
    Ok(exit::OK)
}

/// `runtime.1`, and a page for every verb, such as `runtime-up.1`.
pub(super) fn pages(args: &Man) -> Result<u8, CliError> {
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(|error| {
        CliError::new(exit::FAILURE, "man", format!("{}: {error}", args.dir.display()))
            .hint("name a folder that exists and may be written")
    })?;
    Ok(exit::OK)
}
