//! The command line: every verb, every flag.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use rsw_schemas::exit;

use crate::view::error::CliError;

/// Agents coordinate through one shared field: launch, watch, record and query a swarm.
#[derive(Debug, Parser)]
#[command(name = "runtime", version, about, after_help = AFTER_HELP, max_term_width = 100, args_override_self = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const AFTER_HELP: &str = "\
Exit codes: 0 ok, 1 other failure, 2 usage, 3 not running, 4 no such project, agent, field or cell,
5 bad configuration, 6 already running, 7 permission or sandbox, 8 timed out, 9 ABI or layout mismatch,
10 a check failed, 70 restart limit, 130 second Ctrl-C.

Examples:
  runtime up                                   the demonstration swarm, in an empty folder
  runtime up --drive recording.csv --ticks 7040 --set tick.rate_hz=0
  runtime ps                                   in the same folder, from another terminal
  runtime query 'SELECT name, count(*) FROM rs_agent GROUP BY name'";

const PS_HELP: &str = "\
BEAT       time since the last sign of life. After 10 s of silence a process is killed and started again; not so
           an `unwatched` one: it never gave any, or it attached by itself and is not ours to end
EVENTS/S   events that the kernel publishes, and that a reader takes, over the last second or two
LAG, LOST  events that a reader still has before it, and that it was too late for, as it reports them; `-`: it
           reports nothing";

/// What every verb takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Swarm file, or a folder with one [default: ./swarm.toml, if there is one]
    #[arg(short = 'f', long, global = true, env = "RSW_FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Project name [default: swarm.name, else the folder's name]
    #[arg(short = 'p', long, global = true, env = "RSW_PROJECT")]
    pub(crate) project: Option<String>,
    /// Overrides one key of the swarm file, such as tick.rate_hz=50; may be repeated, or joined by `;`
    #[arg(
        long = "set",
        global = true,
        value_name = "KEY=VALUE",
        env = "RSW_SET",
        value_delimiter = ';'
    )]
    pub(crate) set: Vec<String>,
    /// Prints JSON instead of tables
    #[arg(long, global = true, env = "RSW_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// Colour [default: auto; NO_COLOR turns it off]
    #[arg(long, global = true, value_enum, default_value = "auto", env = "RSW_COLOR")]
    pub(crate) color: Color,
    /// Says nothing but errors
    #[arg(short, long, global = true, env = "RSW_QUIET", value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// Says more, with `version`
    #[arg(short, long, global = true, env = "RSW_VERBOSE", value_parser = FalseyValueParser::new())]
    pub(crate) verbose: bool,
    /// Seconds to wait for the swarm to answer
    #[arg(long, global = true, default_value_t = 10.0, env = "RSW_TIMEOUT", value_name = "S", value_parser = seconds)]
    pub(crate) timeout: f64,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Starts the swarm of this folder and stays with it; Ctrl-C stops it
    Up(Up),
    /// Stops the swarm of this folder
    Down(Down),
    /// Runs one program as an agent of this folder's swarm, confined as a launched one is
    Run(Run),
    /// Shows every process: what it is, how it is kept, how fast it reads, how far it lags
    #[command(after_help = PS_HELP)]
    Ps,
    /// Shows how the swarm is, in a few lines; exit code 3 if it does not run
    Status(StatusArgs),
    /// Shows what processes printed
    Logs(Logs),
    /// Reads cells of the board, each without tearing
    Peek(Peek),
    /// Reads the kernel's counters, how fast they grow, and what every reader reports of its lag and loss
    Counters(Counters),
    /// Looks at the event ring
    #[command(subcommand)]
    Events(Events),
    /// Looks at a field
    #[command(subcommand)]
    Field(Field),
    /// Runs SQL on the recording, read-only
    Query(Query),
    /// Checks the recording: published = recorded + lost, checksums, integrity
    Verify(Verify),
    /// Checks the configuration
    Validate(Validate),
    /// Looks for what this machine lacks
    Doctor,
    /// Measures the plane beside its peers on this machine; `runtime bench --help` says how
    #[command(disable_help_flag = true)]
    Bench(Words),
    /// Solves the wave equation by itself, from .npy to .npy; `runtime solve --help` says how
    #[command(disable_help_flag = true)]
    Solve(Words),
    /// Measures fields from .npy files: CI and its parts, structure factor; `runtime analyze --help` says how
    #[command(disable_help_flag = true)]
    Analyze(Words),
    /// Prints the version
    Version,
    /// Prints what a shell needs to complete this command
    Completions(Completions),
    /// Writes the manual pages
    #[command(hide = true)]
    Man(Man),
}

/// `runtime up`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Up {
    /// Only these agents (names of [agent.NAME] tables)
    pub(crate) agents: Vec<String>,
    /// Returns once the swarm is ready, and leaves it running
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// As -d, but returns once every agent is attached, after S seconds at most [default: 30]
    #[arg(long, value_name = "S", num_args = 0..=1, default_missing_value = "30", require_equals = true, value_parser = seconds)]
    pub(crate) wait: Option<f64>,
    /// Starts another number of one agent; may be repeated
    #[arg(long, value_name = "AGENT=N")]
    pub(crate) scale: Vec<String>,
    /// Shows what would run, and runs nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// One source and one agent per numeric column of this CSV, one sample a tick
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) drive: Option<PathBuf>,
    /// Runs this many ticks, recorded without loss, and stops
    #[arg(long, value_name = "N")]
    pub(crate) ticks: Option<u64>,
    /// Cores of the kernel: auto, off, or a list such as 2,4-7
    #[arg(long, value_name = "CORES")]
    pub(crate) pin: Option<String>,
}

/// `runtime bench`, `runtime solve`: a program of their own reads the words.
#[derive(Debug, Clone, Args)]
pub(crate) struct Words {
    /// What that program takes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

/// `runtime down`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Down {
    /// Seconds between asking a process to end and killing it
    #[arg(short = 't', long, default_value_t = 5.0, value_name = "S", value_parser = seconds)]
    pub(crate) grace: f64,
    /// Also removes the recording
    #[arg(long)]
    pub(crate) purge: bool,
}

/// `runtime run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// Its name in `runtime ps`, unless it only observes [default: the program's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How it is kept: as in the swarm file; `none` leaves it as it is, terminal and environment included
    #[arg(long, value_enum, default_value = "sandboxed")]
    pub(crate) isolation: RunIsolation,
    /// A file or folder that it may read, beside the system's libraries; may be repeated
    #[arg(long, value_name = "PATH")]
    pub(crate) read: Vec<String>,
    /// A variable of its environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// The program and what it takes; confined, it has five seconds to connect
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    pub(crate) command: Vec<String>,
}

/// How `runtime run` keeps its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunIsolation {
    Sandboxed,
    Strict,
    None,
}

/// `runtime status`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StatusArgs {
    /// Waits until the swarm runs, at most --timeout seconds
    #[arg(long)]
    pub(crate) wait: bool,
}

/// `runtime logs`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Logs {
    /// Only these processes
    pub(crate) names: Vec<String>,
    /// Goes on with what they print (also: -f after the verb)
    #[arg(short = 'F', long)]
    pub(crate) follow: bool,
    /// Lines of each
    #[arg(short = 'n', long, default_value_t = 50)]
    pub(crate) lines: usize,
}

/// `runtime peek`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Peek {
    /// Cells; all without
    pub(crate) cells: Vec<String>,
}

/// `runtime counters`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Counters {
    /// Seconds over which it looks how fast they grow; 0: at once, and no rates
    #[arg(long, value_name = "S", default_value_t = 0.25, value_parser = seconds)]
    pub(crate) over: f64,
}

/// `runtime events`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Events {
    /// Prints events, one a line
    Tail(Tail),
}

/// `runtime events tail`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Tail {
    /// Goes on with what comes (also: -f after the verb)
    #[arg(short = 'F', long)]
    pub(crate) follow: bool,
    /// Where to begin: latest, oldest or a sequence [default: the last N events]
    #[arg(long, value_name = "SEQ")]
    pub(crate) from: Option<String>,
    /// How many events [default: 20; all with --from, no end with --follow]
    #[arg(short = 'n', long)]
    pub(crate) lines: Option<u64>,
    /// Only this kind; may be repeated
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<String>,
}

/// `runtime field`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Field {
    /// Shows the latest frame: of the running swarm, else of the recording
    Show(FieldShow),
}

/// `runtime field show`.
#[derive(Debug, Clone, Args)]
pub(crate) struct FieldShow {
    /// Name of the field, such as ci or wave
    pub(crate) name: String,
    /// Writes a PNG
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,
    /// Writes a NumPy array, f32 [ny, nx]
    #[arg(long, value_name = "FILE")]
    pub(crate) npy: Option<PathBuf>,
    /// Draws it in the terminal
    #[arg(long)]
    pub(crate) term: bool,
    /// Takes it from the recording even if the swarm runs
    #[arg(long)]
    pub(crate) recorded: bool,
}

/// `runtime query`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Query {
    /// One SELECT
    pub(crate) sql: String,
    /// Folder of the recording [default: recorder.dir of this folder's swarm]
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// `runtime verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Verify {
    /// Folder of the recording [default: recorder.dir of this folder's swarm]
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// `runtime validate`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Validate {
    /// Prints every key with its value and where it came from
    #[arg(long)]
    pub(crate) print_effective: bool,
}

/// `runtime completions`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Completions {
    /// For which shell
    pub(crate) shell: clap_complete::Shell,
}

/// `runtime man`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Man {
    /// Folder to write them into
    pub(crate) dir: PathBuf,
}

/// The words of the command line, with `-f` after `logs` or `events tail` read as `-F`, `--follow`: before the verb it is
/// `--file`, as with other tools of this kind, and clap cannot tell the two places apart.
pub(crate) fn words(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let text = |word: Option<&OsString>| word.and_then(|word| word.to_str()).map(str::to_owned);
    let Some(mut at) = next_verb(&words, 1) else { return words };
    if text(words.get(at)).as_deref() == Some("events") {
        let Some(tail) = next_verb(&words, at + 1) else { return words };
        at = tail;
    }
    if !matches!(text(words.get(at)).as_deref(), Some("logs" | "tail")) {
        return words;
    }
    for word in words[at + 1..].iter_mut().take_while(|word| *word != "--") {
        let cluster = word.to_str().and_then(|word| word.strip_prefix('-'));
        if let Some((before, behind)) = cluster.and_then(|flags| flags.split_once('f'))
            && before.chars().all(|flag| matches!(flag, 'q' | 'v'))
        {
            *word = format!("-{before}F{behind}").into();
        }
    }
    words
}

/// Where the first word from `at` on is that is neither a flag of every verb nor its value.
fn next_verb(words: &[OsString], mut at: usize) -> Option<usize> {
    const VALUED: [&str; 7] = ["-f", "--file", "-p", "--project", "--set", "--color", "--timeout"];
    while let Some(word) = words.get(at).map(|word| word.to_string_lossy()) {
        match &*word {
            "--" => return None,
            flag if VALUED.contains(&flag) => at += 2,
            // The last of several letters may be one that takes a value.
            flag if !flag.starts_with("--") && flag.find(['f', 'p']) == Some(flag.len() - 1) => {
                at += 2;
            }
            flag if flag.starts_with('-') => at += 1,
            _ => return Some(at),
        }
    }
    None
}

/// What is wrong with the words, without the usage below it: everything that is named, and any advice as the hint.
pub(crate) fn usage(error: &clap::Error) -> CliError {
    let text = error.to_string();
    let told = text.split("\n\nUsage:").next().unwrap_or_default();
    let told = told.split("\n\nFor more information").next().unwrap_or_default();
    let lines = told.lines().map(str::trim).filter(|line| !line.is_empty());
    let (tips, said): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("tip:"));
    let message = match error.kind() {
        // Clap shows the help of the verb instead of saying so.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a verb is missing".to_owned(),
        _ => said.join(" ").trim_start_matches("error: ").to_owned(),
    };
    let tips: Vec<&str> = tips.iter().map(|tip| tip.trim_start_matches("tip: ")).collect();
    let hint = match tips.is_empty() {
        true => "runtime --help lists every verb, runtime VERB --help its flags".to_owned(),
        false => tips.join("; "),
    };
    CliError::new(exit::USAGE, "usage", message).hint(hint)
}

impl Global {
    /// The timeout.
    pub(crate) fn timeout(&self) -> std::time::Duration {
        std::time::Duration::from_secs_f64(self.timeout)
    }
}

/// Whether the environment asks for JSON, read as for the flag: for words that are none.
pub(crate) fn wants_json() -> bool {
    const NO: [&str; 7] = ["", "n", "no", "f", "false", "off", "0"];
    std::env::var("RSW_JSON").is_ok_and(|word| !NO.contains(&word.to_lowercase().as_str()))
}

/// A time that every clock can hold: at most a day.
fn seconds(word: &str) -> Result<f64, String> {
    let seconds = word.parse().map_err(|_| "write seconds as a number, such as 2.5".to_owned())?;
    let bearable = (0.0..=86_400.0).contains(&seconds);
    bearable.then_some(seconds).ok_or_else(|| "write seconds from 0 to 86400".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Cli {
        let all = words(line.split(' ').map(OsString::from));
        Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn errors_of_usage_name_their_object_and_the_way_out() {
        let told = |line: &str| {
            let error = Cli::try_parse_from(line.split(' ')).expect_err("a mistake");
            usage(&error).to_json()["error"].clone()
        };
        let missing = told("runtime completions");
        assert_eq!(
            missing["message"],
            "the following required arguments were not provided: <SHELL>"
        );
        let typo = told("runtime statsu");
        assert!(typo["message"].as_str().unwrap().contains("'statsu'"), "{typo}");
        assert!(typo["hint"].as_str().unwrap().contains("'status'"), "{typo}");
        assert_eq!(told("runtime events")["message"], "a verb is missing");
    }

    #[test]
    fn the_definition_holds_together() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn f_is_a_file_before_the_verb_and_follows_after_logs_and_tail() {
        let cli = parse("runtime -f a.toml logs -f kernel");
        assert_eq!(cli.global.file, Some("a.toml".into()));
        assert!(matches!(cli.verb, Verb::Logs(Logs { follow: true, .. })));
        let cli = parse("runtime -f a.toml events tail -f");
        assert!(matches!(cli.verb, Verb::Events(Events::Tail(Tail { follow: true, .. }))));
        let cli = parse("runtime --set a=1 logs -fn 5");
        assert!(matches!(cli.verb, Verb::Logs(Logs { follow: true, lines: 5, .. })));
        let cli = parse("runtime -qf a.toml logs -vf");
        assert!(matches!(cli.verb, Verb::Logs(Logs { follow: true, .. })) && cli.global.quiet);
        assert_eq!(parse("runtime -p logs -f x ps").global.file, Some("x".into()));
        assert_eq!(parse("runtime -q events -p tail tail -f").global.project, Some("tail".into()));
        let Verb::Run(run) = parse("runtime run -- echo logs -f kernel").verb else { panic!() };
        assert_eq!(run.command, ["echo", "logs", "-f", "kernel"]);
        let Verb::Run(run) = parse("runtime run events tail -f").verb else { panic!() };
        assert_eq!(run.command, ["events", "tail", "-f"]);
        assert_eq!(parse("runtime up -f a.toml").global.file, Some("a.toml".into()));
        assert!(matches!(
            parse("runtime counters --over 0").verb,
            Verb::Counters(Counters { over: 0.0 })
        ));
        assert_eq!(parse("runtime up --wait").global.timeout, 10.0);
        assert!(matches!(parse("runtime up --wait").verb, Verb::Up(Up { wait: Some(30.0), .. })));
        assert!(matches!(parse("runtime up --wait=5").verb, Verb::Up(Up { wait: Some(5.0), .. })));
    }
}
