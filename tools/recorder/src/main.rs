//! The recorder's command line: `record` is started by the supervisor, the rest reads what was recorded.

#![forbid(unsafe_code)]
// It panics once nobody reads it: `rsw_os::process::note` does not.
#![deny(clippy::print_stderr)]

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use recorder::database::open_read_only;
use recorder::failure::Failure;
use recorder::frame::{self, FrameChoice};
use recorder::output::Table;
use recorder::query::query;
use recorder::record::{RecordArgs, record};
use recorder::runs::runs;
use recorder::verify::{Verification, verify};
use recorder::windows::similar;
use rsw_os::replace::replace;
use rsw_schemas::exit;
use serde::Serialize;

/// AgentDB: records a swarm and answers questions about what was recorded.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Record(RecordArgs),
    /// Runs one SQL statement that reads.
    Query {
        #[command(flatten)]
        recording: Recording,
        /// The statement.
        sql: String,
    },
    /// Checks a recording: every event a row or in a gap, every checksum.
    Verify {
        #[command(flatten)]
        recording: Recording,
    },
    /// Writes a stored field frame: a line of JSON on stdout, the cells as f32 little-endian.
    Field {
        #[command(flatten)]
        recording: Recording,
        #[command(flatten)]
        choice: FrameChoice,
        /// File for the cells; default: stdout, after the line.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Lists the runs of a recording.
    Runs {
        #[command(flatten)]
        recording: Recording,
    },
    /// Finds windows with the same kind of dynamics.
    Similar {
        #[command(flatten)]
        recording: Recording,
        /// Key of the window.
        #[arg(long)]
        window: i64,
        /// How many.
        #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..4096))]
        k: u32,
    },
}

#[derive(Args)]
struct Recording {
    /// Folder of the recording.
    #[arg(long)]
    dir: PathBuf,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = match &cli.command {
        Command::Record(_) => false,
        Command::Query { recording, .. }
        | Command::Verify { recording }
        | Command::Field { recording, .. }
        | Command::Runs { recording }
        | Command::Similar { recording, .. } => recording.json,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let answer = run(&cli.command, &mut out).and_then(|code| Ok(out.flush().map(|()| code)?));
    match answer {
        Ok(code) => ExitCode::from(code),
        // Whoever closed the pipe has seen enough.
        Err(failure) if failure.is_closed_pipe() => ExitCode::from(exit::OK),
        Err(failure) => {
            let text =
                if json { failure.to_json() } else { format!("recorder: {}", failure.to_line()) };
            rsw_os::process::note(format_args!("{text}"));
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(command: &Command, out: &mut impl Write) -> Result<u8, Failure> {
    match command {
        Command::Record(args) => record(args)?,
        Command::Query { recording, sql } => {
            query(&open_read_only(&recording.dir)?, sql, recording.json, out)?;
        }
        Command::Verify { recording } => {
            let answer = verify(&open_read_only(&recording.dir)?)?;
            show_verification(&answer, recording.json, out)?;
            return Ok(if answer.ok { exit::OK } else { exit::CHECK_FAILED });
        }
        Command::Field { recording, choice, out: file } => {
            let frame = frame::load(&open_read_only(&recording.dir)?, choice)?;
            json_line(&frame, out)?;
            match file {
                Some(path) => {
                    replace(path, |file| file.write_all(&frame.data)).map_err(|error| {
                        let text = format!("{} cannot be written: {error}", path.display());
                        Failure::new(exit::FAILURE, text, "choose another file with --out")
                    })?
                }
                None => out.write_all(&frame.data)?,
            }
        }
        Command::Runs { recording } => show_runs(recording, out)?,
        Command::Similar { recording, window, k } => {
            let answer = similar(&open_read_only(&recording.dir)?, *window, *k)?;
            if recording.json {
                json_line(&answer, out)?;
                return Ok(exit::OK);
            }
            let columns = ["window", "run", "agent", "ticks", "distance", "cosine"];
            let mut table = Table::new(out, columns.map(String::from).to_vec());
            for found in answer.matches {
                let facts = found.facts;
                table.row(vec![
                    facts.window.to_string(),
                    facts.run.to_string(),
                    facts.agent_id.to_string(),
                    format!("{}-{}", facts.start_tick, facts.end_tick),
                    format!("{:.4}", found.distance),
                    format!("{:.4}", found.cosine),
                ])?;
            }
            table.finish()?;
        }
    }
    Ok(exit::OK)
}

fn json_line(document: &impl Serialize, out: &mut impl Write) -> Result<(), Failure> {
    let text = serde_json::to_string(document)
        .map_err(|error| Failure::new(exit::FAILURE, error.to_string(), ""))?;
    Ok(writeln!(out, "{text}")?)
}

fn show_verification(
    answer: &Verification,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if json {
        return json_line(answer, out);
    }
    for run in &answer.runs {
        writeln!(
            out,
            "run {} ({}): published {} = recorded {} + lost {}, {} fingerprints, integrity {}",
            run.run,
            run.state,
            run.published,
            run.recorded,
            run.lost,
            run.fingerprints,
            run.integrity
        )?;
        if !run.complete {
            writeln!(
                out,
                "  nobody wrote down its end: what came later than that, if anything did, is not known"
            )?;
        }
        for gap in &run.gaps {
            writeln!(out, "  gap [{}, {}) {}", gap.from, gap.to, gap.cause)?;
        }
        for problem in &run.problems {
            writeln!(out, "  problem: {problem}")?;
        }
    }
    for problem in &answer.problems {
        writeln!(out, "problem: {problem}")?;
    }
    writeln!(out, "{}", if answer.ok { "ok" } else { "NOT ok" })?;
    Ok(())
}

fn show_runs(recording: &Recording, out: &mut impl Write) -> Result<(), Failure> {
    let runs = runs(&open_read_only(&recording.dir)?)?;
    if recording.json {
        return json_line(&serde_json::json!({"schema": "rsw.runs/1", "runs": runs}), out);
    }
    let columns = [
        "run",
        "project",
        "state",
        "last tick",
        "published",
        "recorded",
        "lost",
        "agents",
        "windows",
    ];
    let mut table = Table::new(out, columns.map(String::from).to_vec());
    for run in runs {
        table.row(vec![
            run.run.to_string(),
            run.project,
            run.state,
            run.last_tick.map(|tick| tick.to_string()).unwrap_or_default(),
            run.published,
            run.recorded,
            run.lost,
            run.agents.to_string(),
            run.windows.to_string(),
        ])?;
    }
    Ok(table.finish()?)
}
