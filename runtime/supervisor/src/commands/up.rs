//! `runtime up`: starts a swarm, in the foreground or the background.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rsw_config::{Loaded, Topology};
use rsw_machine::Machine;
use rsw_schemas::exit;
use serde_json::{Value as Json, json};

use super::Context;
use super::context::columns;
use super::look::process_table;
use crate::cli::Up;
use crate::control::Client;
use crate::project::Project;
use crate::swarm::{self, Cores, Orders, Status, Swarm, Turn, cores_text, os_error};
use crate::view::error::CliError;
use crate::view::table::{bytes, count};

/// Time between two status lines.
const REFRESH: Duration = Duration::from_millis(250);
/// How long `up -d` waits for the first tick.
const START: Duration = Duration::from_secs(30);

/// Set for the background half of `up -d`: the same words, but stay, and speak JSON.
const BACKGROUND: &str = "RSW_BACKGROUND";

/// Whether this process is the background half of `up -d`.
pub(crate) fn in_background() -> bool {
    std::env::var_os(BACKGROUND).is_some()
}

pub(super) fn run(context: &Context, args: &Up) -> Result<u8, CliError> {
    let loaded = context.load(|source| {
        source.scale = args.scale.clone();
        source.drive = args.drive.clone();
        source.ticks = args.ticks;
        source.set.extend(args.pin.iter().map(|cores| format!("cpu.kernel={cores}")));
    })?;
    let mut topology = rsw_config::resolve(&loaded);
    choose_agents(&mut topology, &args.agents)?;
    let project = Project::new(&topology.project, &topology.folder);
    let orders = Orders { origins: &loaded.origins, pin_flag: args.pin.is_some() };
    let cores = Cores::decide(&Machine::read(), &topology, &orders)?;
    swarm::check_agents(&topology)?;
    if args.dry_run {
        return dry_run(context, &topology, &project, &cores);
    }
    check_memory(&topology)?;
    if in_background() {
        rsw_os::process::new_session().map_err(os_error)?;
        return foreground(context, args, project, topology, cores);
    }
    say_what_was_read(context, &loaded);
    if args.detach || args.wait.is_some() {
        return detach(context, args, &project);
    }
    foreground(context, args, project, topology, cores)
}

/// Leaves only the agents of the named tables, with fresh dense ids.
fn choose_agents(topology: &mut Topology, names: &[String]) -> Result<(), CliError> {
    if names.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = topology.config.agent.keys().map(String::as_str).collect();
    for name in names {
        if !known.contains(&name.as_str()) {
            return Err(CliError::unknown("agent", name, &known));
        }
    }
    topology.agents.retain(|agent| names.contains(&agent.group));
    for (index, agent) in topology.agents.iter_mut().enumerate() {
        agent.agent_id = index as u32 + 1;
    }
    Ok(())
}

/// A plane that does not fit must be an error now, not a killed process later.
fn check_memory(topology: &Topology) -> Result<(), CliError> {
    let needed = rsw_config::plane_bytes_estimate(topology);
    let free = rsw_os::shm::available_memory_bytes().map_err(os_error)?;
    if needed > free {
        let words =
            format!("the plane needs {} of memory, {} are available", bytes(needed), bytes(free));
        return Err(CliError::new(exit::FAILURE, "no-memory", words)
            .hint("make field.size smaller, or publish fewer fields"));
    }
    Ok(())
}

fn say_what_was_read(context: &Context, loaded: &Loaded) {
    if let Some(drive) = &loaded.drive {
        context.note(&drive.to_string());
    }
    for note in &loaded.notes {
        context.note(&format!("note: {note}"));
    }
}

fn foreground(
    context: &Context,
    args: &Up,
    project: Project,
    topology: Topology,
    cores: Cores,
) -> Result<u8, CliError> {
    let mut swarm = Swarm::start(project, topology, cores)?;
    let live = std::io::stderr().is_terminal() && !context.global.quiet && !context.global.json;
    let (mut announced, mut drawn) = (false, Instant::now());
    let started = Instant::now();
    loop {
        if let Turn::Done(code) = swarm.turn() {
            if live && announced {
                let _ = writeln!(std::io::stderr());
            }
            let failure = swarm.take_failure();
            swarm.tell_end(code, failure.as_ref());
            finish(context, args, &swarm, started);
            return failure.map_or(Ok(code), Err);
        }
        if swarm.is_running() && !announced {
            announced = true;
            announce(context, &swarm);
        }
        if live && announced && drawn.elapsed() >= REFRESH {
            drawn = Instant::now();
            let line = status_line(&swarm.status());
            let width = columns().unwrap_or(100).saturating_sub(1);
            let cut: String = line.chars().take(width).collect();
            let _ = write!(std::io::stderr(), "\r{cut:<width$}");
        }
    }
}

fn announce(context: &Context, swarm: &Swarm) {
    if context.global.quiet {
        return;
    }
    let ps = swarm.ps();
    if context.global.json {
        context.say(&up_document(&ps).to_string());
        return;
    }
    let [nx, ny] = swarm.topology().config.field.size;
    let rate = swarm.topology().config.tick.rate_hz;
    let rate = if rate > 0.0 { format!("{rate} Hz") } else { "full speed".into() };
    context.say(&process_table(&ps).to_string());
    context.say(&format!("field      {nx} x {ny} at {rate}"));
    context.say(&machine_lines(&ps));
    context.say(&format!("attach at  {}", swarm.project().socket_path().display()));
    if let Some(dir) = ps["recording"].as_str() {
        context.say(&format!("recording  {dir}"));
    }
    context.say("next       runtime ps · runtime events tail -F · Ctrl-C stops everything");
}

/// Where the processes run, and the memory of the plane.
fn machine_lines(ps: &Json) -> String {
    let mut lines = Vec::new();
    if let Some(bytes_text) = ps["plane"]["bytes"].as_str() {
        let total = bytes_text.parse().map_or("-".into(), bytes);
        let locked = ps["plane"]["locked"] == true;
        let locked = if locked { "locked in memory" } else { "not locked in memory" };
        lines.push(format!("plane      {total}, {locked}"));
    }
    lines.extend(cores_text(&ps["cores"]).map(|text| format!("cores      {text}")));
    lines.join("\n")
}

fn up_document(ps: &Json) -> Json {
    let mut document = ps.clone();
    document["schema"] = json!("rsw.up/1");
    document
}

fn finish(context: &Context, args: &Up, swarm: &Swarm, started: Instant) {
    let status = swarm.status();
    let recording = swarm.topology().config.recorder.enabled.then(|| swarm.recording_dir());
    if context.global.json {
        let mut document = status.json();
        document["schema"] = json!("rsw.run/1");
        document["state"] = json!("stopped");
        document["reasons"] = json!([]);
        document["seconds"] = json!(started.elapsed().as_secs_f64());
        document["recording"] = json!(recording);
        context.say(&document.to_string());
        return;
    }
    if context.global.quiet {
        return;
    }
    context.say(&format!(
        "stopped at tick {} after {:.2} s: {} events published, {} recorded, {} lost",
        status.tick,
        started.elapsed().as_secs_f64(),
        count(status.published),
        status.recorded.map_or("-".into(), count),
        status.lost.map_or("-".into(), count),
    ));
    if let Some(dir) = recording {
        context.say(&format!("recording  {}", dir.display()));
        if args.ticks.is_some() {
            context.say("next       runtime verify · runtime query SQL · runtime field show ci --png ci.png");
        }
    }
}

fn status_line(status: &Status) -> String {
    let real = |value: f64| if value.is_finite() { format!("{value:.4}") } else { "-".into() };
    let state = status.state();
    let state = if state == "running" { String::new() } else { format!("{state} · ") };
    format!(
        "{state}tick {} · CI {} · CS {} · {} events · lost {} · lag {} · agents {}/{}",
        count(status.tick),
        real(status.ci),
        real(status.cs),
        count(status.published),
        status.lost.map_or("-".into(), count),
        count(status.lag_max),
        status.agents_running,
        status.agents,
    )
}

/// Starts the same command in the background and waits until it runs, or until it has ended.
fn detach(context: &Context, args: &Up, project: &Project) -> Result<u8, CliError> {
    project.make_folders()?;
    let log_path = project.log_path("runtime");
    let io = |error: std::io::Error| {
        CliError::new(exit::FAILURE, "detach", format!("{}: {error}", log_path.display()))
    };
    let log = File::options().create(true).append(true).open(&log_path).map_err(io)?;
    let said_before = log.metadata().map_err(io)?.len();
    let errors = log.try_clone().map_err(io)?;
    let mut child = Command::new(std::env::current_exe().map_err(io)?)
        .args(std::env::args_os().skip(1))
        .env(BACKGROUND, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(errors))
        .spawn()
        .map_err(io)?;
    let wait = args.wait.map(Duration::from_secs_f64);
    let deadline = Instant::now() + wait.unwrap_or(START);
    loop {
        if let Some(status) = child.try_wait().map_err(io)? {
            let answer = last_words(&log_path, said_before);
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return match code.unwrap_or(exit::FAILURE) {
                exit::OK => {
                    context.print_json_or(&answer, "the swarm has run and has ended");
                    Ok(exit::OK)
                }
                code => Err(why_ended(code, &answer)),
            };
        }
        // Another swarm may answer here until our own has found out that it is one too many.
        if let Ok(client) = Client::connect(project, context.global.timeout())
            && let Ok((status, _)) = client.ask(&json!({"op": "status"}))
            && status["supervisor_pid"] == child.id()
        {
            if wait.is_some() && status["agents_failed"] != 0 {
                let (ps, _) = client.ask(&json!({"op": "ps"}))?;
                return Err(why_failed(&ps));
            }
            if is_ready(&status, wait.is_some()) {
                let (ps, _) = client.ask(&json!({"op": "ps"}))?;
                report_detached(context, &ps);
                return Ok(exit::OK);
            }
        }
        if Instant::now() >= deadline {
            return Err(CliError::new(exit::TIMEOUT, "timeout", "the swarm is not ready yet")
                .hint("runtime status shows why, runtime down stops it"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ticking; with `--wait` also: every agent attached, or through with what it had to do.
fn is_ready(status: &Json, all: bool) -> bool {
    let ticked = status["tick"].as_str().is_some_and(|tick| tick != "0");
    let agents = |key: &str| status[key].as_u64().unwrap_or(0);
    status["phase"] != "starting"
        && ticked
        && (!all || agents("agents") == agents("agents_ready") + agents("agents_exited"))
}

/// The error of `--wait` when an agent has been given up: more patience would not help.
fn why_failed(ps: &Json) -> CliError {
    let rows = ps["processes"].as_array().map_or(&[][..], Vec::as_slice);
    let failed = rows.iter().filter(|row| row["role"] == "agent" && row["state"] == "failed");
    let mut names = failed.map(|row| row["name"].as_str().unwrap_or("an agent"));
    let first = names.next().unwrap_or("an agent");
    let others = match names.count() {
        0 => String::new(),
        1 => ", and another agent".into(),
        others => format!(", and {others} other agents"),
    };
    let words = format!("{first} failed and is not started again{others}");
    CliError::new(exit::FAILURE, "agent-failed", words).hint(format!(
        "runtime logs {first} shows what it said; the swarm runs on, runtime down stops it"
    ))
}

fn report_detached(context: &Context, ps: &Json) {
    if context.global.json {
        context.print_json(&up_document(ps));
    } else if !context.global.quiet {
        context.print(&process_table(ps).to_string());
        context.print(&machine_lines(ps));
        context.print("next       runtime status · runtime down");
    }
}

/// The last JSON document that the background half printed.
fn last_words(log: &std::path::Path, from_byte: u64) -> Json {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text =
        String::from_utf8_lossy(bytes.get(from_byte as usize..).unwrap_or_default()).into_owned();
    let document = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    document.unwrap_or_else(|| json!({"error": {"message": text.trim()}}))
}

/// The error of the background half, for people.
fn why_ended(code: u8, answer: &Json) -> CliError {
    let words = |key: &str| answer["error"][key].as_str().map(str::to_owned);
    let message = words("message").unwrap_or_else(|| "the swarm ended at once".into());
    let what = if code == exit::CONFLICT { "already-running" } else { "start" };
    let error = CliError::new(code, what, message);
    match words("hint") {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn dry_run(
    context: &Context,
    topology: &Topology,
    project: &Project,
    cores: &Cores,
) -> Result<u8, CliError> {
    if context.global.json {
        context.print_json(&json!({
            "schema": "rsw.dry-run/1",
            "project": project.name,
            "run_dir": project.run_dir,
            "recording": swarm::recording_dir(topology),
            "plane_bytes": rsw_config::plane_bytes_estimate(topology).to_string(),
            "cores": cores.json(),
            "topology": topology,
        }));
        return Ok(exit::OK);
    }
    let [nx, ny] = topology.config.field.size;
    context.print(&format!(
        "project    {} in {}\nfield      {nx} x {ny}, dt {:.4}, Courant number {:.3}, plane {}\nrecording  {}",
        project.name,
        project.folder.display(),
        topology.dt,
        topology.courant,
        bytes(rsw_config::plane_bytes_estimate(topology)),
        swarm::recording_dir(topology).display(),
    ));
    if let Some(text) = cores_text(&cores.json()) {
        context.print(&format!("cores      {text}"));
    }
    for source in &topology.sources {
        context.print(&format!("source     {} at {:?}", source.name, source.source.at));
    }
    for agent in &topology.agents {
        context.print(&format!("agent {:>4} {} at {:?}", agent.agent_id, agent.name, agent.site));
    }
    Ok(exit::OK)
}
