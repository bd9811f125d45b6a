//! `runtime solve`: the wave by itself, from arrays to arrays.
//!
//! Reading order: `options` (what can be asked), `backend` (who takes the steps), `solve` (one run of it).

#![forbid(unsafe_code)]

mod backend;
mod options;
mod solve;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use rsw_schemas::exit;
use serde_json::json;

use options::Options;

/// Anything that ends a run early.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) if error.use_stderr() && std::env::args_os().any(|word| word == "--json") => {
            let text = error.to_string();
            let (message, _) = text.split_once("\n\nUsage:").unwrap_or((&text, ""));
            let message = message.trim_start_matches("error: ").trim();
            rsw_os::process::note(
                json!({"error": {"code": "usage", "message": message, "hint": "runtime solve --help"}}),
            );
            return ExitCode::from(exit::USAGE);
        }
        Err(error) => error.exit(),
    };
    let told = solve::run(&options)
        .and_then(|summary| tell(&if options.json { summary.json() } else { summary.text() }));
    match told {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            let message = error.to_string();
            rsw_os::process::note(match options.json {
                true => json!({"error": {"code": "solve", "message": message, "hint": null}})
                    .to_string(),
                false => format!("runtime solve: {message}"),
            });
            ExitCode::from(exit::FAILURE)
        }
    }
}

/// Says it on standard output; a reader that has gone has seen enough.
fn tell(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        said => Ok(said?),
    }
}
