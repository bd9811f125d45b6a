//! `runtime analyze`: what the kernel measures on its field, on fields from .npy files.
//!
//! Reading order: `options` (what can be asked), `frames` (the fields one after the other), `analyze` (what is measured on them),
//! `document` (how it is told).

#![forbid(unsafe_code)]

mod analyze;
mod document;
mod frames;
mod options;

use std::process::ExitCode;

use rsw_config::ConfigErrors;
use rsw_schemas::exit;
use solver_proc::command;

use options::Options;

/// What this program is to `runtime`.
const VERB: &str = "analyze";

/// Anything that ends a run early.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let options: Options = match command::options(VERB) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let told = analyze::run(&options).and_then(|document| {
        Ok(command::tell(&if options.json { document.json() } else { document.text() })?)
    });
    match told {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            let cause = match error.is::<ConfigErrors>() {
                true => (exit::CONFIG, "bad-configuration"),
                false => (exit::FAILURE, VERB),
            };
            command::fail(VERB, options.json, cause, &error.to_string(), None)
        }
    }
}
