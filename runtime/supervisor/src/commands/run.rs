//! `runtime run`: one program as an agent of the swarm of this folder.
//!
//! A confined program can open no socket, so its connection is made here and handed down, as the supervisor does for
//! those that it launches.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use rsw_config::AgentSection;
use rsw_os::pidfd::{self, Exit};
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_os::signal::{Signal, SignalPipe};
use rsw_sandbox::{Launch, Launched};
use rsw_schemas::exit;
use rsw_schemas::wire::Isolation;

use super::Context;
use crate::cli::{Run, RunIsolation};
use crate::project::Project;
use crate::swarm::{self, os_error};
use crate::view::error::CliError;

pub(super) fn run(context: &Context, args: &Run) -> Result<u8, CliError> {
    let topology = rsw_config::resolve(&context.load(|_| {})?);
    let project = Project::new(&topology.project, &topology.folder);
    // Says it well if nothing runs.
    context.client()?;
    let folder = std::env::current_dir().map_err(|error| failed("the working folder", &error))?;
    let section = AgentSection { command: args.command.clone(), ..Default::default() };
    let (program, mut words) = swarm::agent_program(&section, &folder)?;
    // Ours takes no variables.
    let is_ours = program.file_name().is_some_and(|name| name == "agent-proc");
    let name = args.name.clone().unwrap_or_else(|| name_of(&program));
    let mut env = environment(&args.env)?;
    env.insert("RSW_AGENT_NAME".into(), name.clone().into());
    let names_itself = words
        .iter()
        .any(|word| word == "--name" || word.as_encoded_bytes().starts_with(b"--name="));
    if is_ours && !names_itself {
        words.extend(["--name".into(), name.clone().into()]);
    }
    let isolation = match args.isolation {
        RunIsolation::Sandboxed => Isolation::Sandboxed,
        RunIsolation::Strict => Isolation::Strict,
        RunIsolation::None => {
            if is_ours {
                words.extend(["--socket".into(), project.socket_path().into()]);
            }
            env.insert("RSW_SOCKET".into(), project.socket_path().into());
            // It would come before the socket's path.
            let mut command = Command::new(&program);
            let why = command.args(words).env_remove("RSW_SOCKET_FD").envs(env).exec();
            return Err(failed(&program.display().to_string(), &why));
        }
    };
    let socket = rsw_os::packet::connect_within(&project.socket_path(), context.global.timeout());
    let socket = socket.map_err(os_error)?;
    let number = OsString::from(socket.as_raw_fd().to_string());
    if is_ours {
        words.extend(["--socket-fd".into(), number.clone()]);
    }
    env.insert("RSW_SOCKET_FD".into(), number);
    let mut policy = swarm::confined(&project, &topology, isolation, &section, &program);
    policy.read_paths = swarm::readable("--read", &folder, &args.read)?;
    // What is ignored stays so: under nohup the terminal's end is none of ours.
    let mut forwarded = vec![Signal::Interrupt, Signal::Terminate, Signal::Hangup];
    let ignored = rsw_os::process::status(std::process::id()).map_err(os_error)?.ignored;
    forwarded.retain(|signal| ignored & (1 << (signal.number() - 1)) == 0);
    let signals = SignalPipe::new(&forwarded).map_err(os_error)?;
    let [(said, stdout), (complained, stderr)] = [pipe()?, pipe()?];
    let launch = Launch {
        policy,
        program,
        args: words,
        env,
        keep_fds: vec![socket.as_fd()],
        stdout: Stdio::from(stdout),
        stderr: Stdio::from(stderr),
    };
    let script = is_script(&launch.program);
    let launched = launch.spawn().map_err(|error| swarm::launch_error(&name, error))?;
    // From now on it is the program's alone: its end is seen as the agent's.
    drop(socket);
    launched.wait_applied().map_err(|error| {
        let hint = match script {
            // Its interpreter would be confined with it, and may read neither.
            true => "it is a script: name its interpreter, and let that read it: --read FOLDER -- sh FOLDER/SCRIPT",
            false => "`runtime doctor` says what this machine lacks",
        };
        CliError::new(exit::PERMISSION, "sandbox", error.to_string()).hint(hint)
    })?;
    let relays = [relay(said, std::io::stdout())?, relay(complained, std::io::stderr())?];
    let (ended, asked) = wait(&launched, signals)?;
    // All that it said comes before what we say of it.
    relays.into_iter().for_each(|relay| drop(relay.join()));
    if ended.code != Some(0) && !asked {
        context.note(
            "it ran confined: --read PATH lets it read more, --env NAME=VALUE gives it variables, \
             --isolation none leaves it as it is",
        );
    }
    Ok(code_of(ended))
}

/// Whether the kernel would start another program for it.
fn is_script(program: &Path) -> bool {
    let mut first = [0; 2];
    File::open(program).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *b"#!"
}

fn pipe() -> Result<(PipeReader, PipeWriter), CliError> {
    std::io::pipe().map_err(|error| failed("a pipe", &error))
}

/// Passes on what the program prints: it is given neither our terminal, which takes more than words, nor a file, which
/// a limit of zero bytes forbids it. Ends with the program, or with whoever listens.
fn relay(mut from: PipeReader, to: impl AsFd) -> Result<JoinHandle<()>, CliError> {
    let to = to.as_fd().try_clone_to_owned().map_err(|error| failed("our output", &error))?;
    let pass = move || {
        // A listener that has gone is told to the program by its pipe.
        let _ = std::io::copy(&mut from, &mut File::from(to));
    };
    std::thread::Builder::new().spawn(pass).map_err(|error| failed("a thread", &error))
}

/// Until the program ends; what is asked of this process is asked of it, and asked the same twice it is killed. Also
/// whether anything was.
fn wait(launched: &Launched, mut signals: SignalPipe) -> Result<(Exit, bool), CliError> {
    let mut asked = Vec::new();
    loop {
        if let Some(exit) = pidfd::try_wait(&launched.pidfd).map_err(os_error)? {
            return Ok((exit, !asked.is_empty()));
        }
        let mut fds = [
            PollFd::new(launched.pidfd.as_fd(), Interest::READ),
            PollFd::new(signals.as_fd(), Interest::READ),
        ];
        poll(&mut fds, None).map_err(os_error)?;
        for signal in signals.drain() {
            let told = if asked.contains(&signal) { Signal::Kill } else { signal };
            pidfd::send_signal(&launched.pidfd, told).map_err(os_error)?;
            asked.push(signal);
        }
    }
}

/// As a shell says it.
fn code_of(exit: Exit) -> u8 {
    let code = exit.code.or(exit.signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::FAILURE)
}

fn name_of(program: &Path) -> String {
    program.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn environment(words: &[String]) -> Result<BTreeMap<OsString, OsString>, CliError> {
    let split = |word: &String| {
        rsw_config::is_assignment(word)?;
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        Ok((name.into(), value.into()))
    };
    words.iter().map(split).collect::<Result<_, String>>().map_err(|reason| {
        CliError::new(exit::USAGE, "usage", format!("--env: {reason}"))
            .hint("such as --env LANG=C.UTF-8")
    })
}

fn failed(object: &str, error: &std::io::Error) -> CliError {
    CliError::new(exit::FAILURE, "run", format!("{object}: {error}"))
}
