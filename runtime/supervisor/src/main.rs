//! `runtime`: the command line, and the supervisor behind `runtime up`.
//!
//! Reading order: [`cli`] (every verb), [`commands`] (what each does), [`swarm`] (the supervisor), [`control`]
//! (how the two talk), [`project`] (where a project lives), [`view`] (how things look), [`doctor`].

#![forbid(unsafe_code)]

mod cli;

mod commands;

mod swarm;

mod control;

mod project;

mod doctor;

mod view;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use commands::Context;
use rsw_schemas::exit;

fn main() -> ExitCode {
    let words = cli::words(std::env::args_os());
    let json = words.iter().any(|word| word == "--json") || cli::wants_json();
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) if json && error.use_stderr() => {
            let _ = writeln!(std::io::stderr(), "{}", cli::usage(&error).to_json());
            return ExitCode::from(exit::USAGE);
        }
        Err(error) => error.exit(),
    };
    let context = Context::new(cli.global);
    match commands::run(&context, cli.verb) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            context.print_error(&error);
            ExitCode::from(error.code)
        }
    }
}
