//! `runtime solve`: the wave by itself, from arrays to arrays.
//!
//! Reading order: `options` (what can be asked), `solve` (one run of it).

#![forbid(unsafe_code)]

mod options;
mod solve;

use std::process::ExitCode;

use clap::Parser;
use rsw_schemas::exit;

use options::Options;

/// Anything that ends a run early.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let options = Options::parse();
    match solve::run(&options) {
        Ok(summary) if options.json => println!("{}", summary.json()),
        Ok(summary) => println!("{}", summary.text()),
        Err(error) => {
            eprintln!("runtime solve: {error}");
            return ExitCode::from(exit::FAILURE);
        }
    }
    ExitCode::from(exit::OK)
}
