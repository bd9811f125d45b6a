//! `runtime solve`: the wave by itself, from arrays to arrays.
//!
//! Reading order: `options` (what can be asked), `backend` (who takes the steps), `solve` (one run of it).

#![forbid(unsafe_code)]

mod backend;
mod options;
mod solve;

use std::process::ExitCode;

use rsw_schemas::exit;
use solver_proc::command;

use options::Options;

/// What this program is to `runtime`.
const VERB: &str = "solve";

/// Anything that ends a run early.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let options: Options = match command::options(VERB) {
        Ok(options) => options,
        Err(code) => return code,
    };
    let told = solve::run(&options).and_then(|summary| {
        Ok(command::tell(&if options.json { summary.json() } else { summary.text() })?)
    });
    match told {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            let cause = (exit::FAILURE, VERB);
            command::fail(VERB, options.json, cause, &error.to_string(), None)
        }
    }
}
