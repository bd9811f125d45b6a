//! The kernel process: integrates the field, measures it, and is the only writer of the plane.

#![forbid(unsafe_code)]

mod process;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    process::main(process::Args::parse())
}
