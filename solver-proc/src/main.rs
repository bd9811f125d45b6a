//! The kernel process: integrates the field, measures it, and is the only writer of the plane.

#![forbid(unsafe_code)]
// It panics once nobody reads it: `rsw_os::process::note` does not.
#![deny(clippy::print_stderr)]

mod process;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    process::main(process::Args::parse())
}
