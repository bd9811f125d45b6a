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

use clap::Parser;
use rsw_schemas::exit;

use options::Options;

/// Anything that ends a run early.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let options = Options::parse();
    match analyze::run(&options) {
        Ok(document) if options.json => println!("{}", document.json()),
        Ok(document) => println!("{}", document.text()),
        Err(error) => {
            eprintln!("runtime analyze: {error}");
            return ExitCode::from(exit::FAILURE);
        }
    }
    ExitCode::from(exit::OK)
}
