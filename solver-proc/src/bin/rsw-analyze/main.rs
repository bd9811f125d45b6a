//! `runtime analyze`: what the kernel measures on its field, on fields from .npy files.
//!
//! Reading order: `options` (what can be asked), `frames` (the fields one after the other), `analyze` (what is measured on them),
//! `document` (how it is told).

#![forbid(unsafe_code)]

mod analyze;
mod document;
mod frames;
mod options;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use rsw_config::ConfigErrors;
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
                json!({"error": {"code": "usage", "message": message, "hint": "runtime analyze --help"}}),
            );
            return ExitCode::from(exit::USAGE);
        }
        Err(error) => error.exit(),
    };
    let told = analyze::run(&options)
        .and_then(|document| tell(&if options.json { document.json() } else { document.text() }));
    match told {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            let message = error.to_string();
            let (exit, code) = match error.is::<ConfigErrors>() {
                true => (exit::CONFIG, "bad-configuration"),
                false => (exit::FAILURE, "analyze"),
            };
            rsw_os::process::note(match options.json {
                true => {
                    json!({"error": {"code": code, "message": message, "hint": null}}).to_string()
                }
                false => format!("runtime analyze: {message}"),
            });
            ExitCode::from(exit)
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
