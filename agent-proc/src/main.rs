//! The built-in agent: attaches to a swarm, watches its metrics, reports how synchronised it is.
//!
//! It runs as a sandboxed child of the supervisor on a socket that it inherits, or by hand on the swarm's
//! public socket. It keeps nothing: SIGTERM may end it at any instant.

#![forbid(unsafe_code)]
// It panics once nobody reads it: `rsw_os::process::note` does not.
#![deny(clippy::print_stderr)]

mod process;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use process::{Agent, Failure, Origin};

/// The built-in agent of a resonant swarm: reports how synchronised the swarm is.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Inherited socket, as the launcher passes it
    #[arg(long, value_name = "N", required_unless_present = "socket", conflicts_with = "socket")]
    socket_fd: Option<i32>,
    /// Public socket of a running swarm
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// What to call itself; a launched agent has its name from the swarm file
    #[arg(long, default_value = "agent")]
    name: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            process::note(&arguments.name, &failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let origin = match (arguments.socket_fd, &arguments.socket) {
        (Some(number), _) => Origin::Inherited(rsw_os::process::inherited(number)?),
        (None, Some(path)) => Origin::Public(path.clone()),
        (None, None) => unreachable!("the argument parser asks for one of the two"),
    };
    Agent::attach(origin, &arguments.name)?.run()
}
