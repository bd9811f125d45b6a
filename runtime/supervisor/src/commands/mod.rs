//! What each verb does.

mod context;

mod up;

mod down;

mod run;

mod look;

mod logs;

mod plane;

mod counters;

mod events;

mod field;

mod recording;

mod setup;

mod manual;

pub(crate) use context::Context;

use crate::cli::{Events, Field, Verb};
use crate::view::error::CliError;

/// Runs one verb; the code is the program's exit code.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<u8, CliError> {
    match verb {
        Verb::Up(args) => up::run(context, &args),
        Verb::Down(args) => down::run(context, &args),
        Verb::Run(args) => run::run(context, &args),
        Verb::Ps => look::ps(context),
        Verb::Status(args) => look::status(context, &args),
        Verb::Logs(args) => logs::run(context, &args),
        Verb::Peek(args) => plane::peek(context, &args),
        Verb::Counters(args) => counters::run(context, &args),
        Verb::Events(Events::Tail(args)) => events::tail(context, &args),
        Verb::Field(Field::Show(args)) => field::show(context, &args),
        Verb::Query(args) => recording::query(context, &args),
        Verb::Verify(args) => recording::verify(context, &args),
        Verb::Validate(args) => setup::validate(context, &args),
        Verb::Doctor => setup::doctor(context),
        Verb::Bench(args) => setup::become_program(context, "rsw-bench", &args),
        Verb::Solve(args) => setup::become_program(context, "rsw-solve", &args),
        Verb::Analyze(args) => setup::become_program(context, "rsw-analyze", &args),
        Verb::Version => setup::version(context),
        Verb::Completions(args) => manual::completions(context, &args),
        Verb::Man(args) => manual::pages(&args),
    }
}
