//! `runtime validate`, `runtime doctor`, `runtime version`, and `bench` and `solve`, which are other programs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rsw_schemas::{ABI_MAJOR, ABI_MINOR, LAYOUT_HASH, exit};
use serde_json::json;

use super::Context;
use crate::cli::{Validate, Words};
use crate::doctor::{self, DoctorContext, Status};
use crate::project::Project;
use crate::swarm::{self, Orders, os_error};
use crate::view::error::CliError;
use crate::view::table::bytes;

pub(super) fn validate(context: &Context, args: &Validate) -> Result<u8, CliError> {
    let loaded = context.load(|_| {})?;
    let topology = rsw_config::resolve(&loaded);
    let effective =
        args.print_effective.then(|| rsw_config::effective_toml(&loaded.config, &loaded.origins));
    if let Some(effective) = effective.as_ref().filter(|_| !context.global.json) {
        context.print(effective);
        return Ok(exit::OK);
    }
    let plane_bytes = rsw_config::plane_bytes_estimate(&topology);
    if context.global.json {
        context.print_json(&json!({
            "schema": "rsw.validate/1",
            "ok": true,
            "project": topology.project,
            "file": loaded.file,
            "agents": topology.agents.len(),
            "sources": topology.sources.len(),
            "courant": topology.courant,
            "dt": topology.dt,
            "plane_bytes": plane_bytes.to_string(),
            "notes": loaded.notes,
            "effective_toml": effective,
        }));
        return Ok(exit::OK);
    }
    let file = loaded
        .file
        .as_ref()
        .map_or("no swarm file: the demonstration swarm".into(), |file| file.display().to_string());
    let [nx, ny] = topology.config.field.size;
    context.print(&format!(
        "{file}\nok: field {nx} x {ny}, dt {:.4} (Courant number {:.3} of at most 1), {} sources, {} agents, plane {}",
        topology.dt,
        topology.courant,
        topology.sources.len(),
        topology.agents.len(),
        bytes(plane_bytes),
    ));
    for note in &loaded.notes {
        context.note(&format!("note: {note}"));
    }
    Ok(exit::OK)
}

pub(super) fn doctor(context: &Context) -> Result<u8, CliError> {
    let loaded = context.load(|_| {})?;
    let topology = rsw_config::resolve(&loaded);
    let project = Project::new(&topology.project, &topology.folder);
    let running = context.client().is_ok();
    let leftovers = [&project.run_dir, &project.loan_dir]
        .into_iter()
        // One that is empty was made to be looked at.
        .filter(|folder| !running && folder.read_dir().is_ok_and(|found| found.count() > 0))
        .map(|folder| folder.display().to_string())
        .collect();
    let checks = doctor::checks(&DoctorContext {
        root: "/".into(),
        topology: &topology,
        orders: Orders { origins: &loaded.origins, pin_flag: false },
        run_dir: project.run_dir.clone(),
        bin_dir: rsw_os::process::current_exe_folder().map_err(os_error)?,
        version: env!("CARGO_PKG_VERSION"),
        leftovers,
    });
    if context.global.json {
        context.print_json(&doctor::to_json(&checks));
    } else {
        context.print(&doctor::to_text(&checks));
    }
    let failed = checks.iter().any(|check| check.status == Status::Fail);
    Ok(if failed { exit::CHECK_FAILED } else { exit::OK })
}

/// Becomes another program of ours, so that what it links (iceoryx2, the solver) stays out of here.
pub(super) fn become_program(
    context: &Context,
    name: &'static str,
    args: &Words,
) -> Result<u8, CliError> {
    let program = swarm::beside_us(name)?;
    let json = (context.global.json && !args.words.iter().any(|word| word == "--json"))
        .then_some("--json");
    let vulkan = swarm::vulkan_environment();
    let why = Command::new(&program).args(&args.words).args(json).envs(vulkan).exec();
    Err(CliError::new(exit::FAILURE, name, format!("{}: {why}", program.display()))
        .hint("build the whole workspace: cargo build --release"))
}

/// The solver's kernels on this machine, as its own program names them.
fn kernels() -> String {
    let program = swarm::beside_us("rsw-solve");
    let told =
        program.ok().and_then(|program| Command::new(program).arg("--version").output().ok());
    let told = told.filter(|told| told.status.success());
    let lines = told.map(|told| String::from_utf8_lossy(&told.stdout).into_owned());
    let kernels = lines.as_deref().and_then(|lines| lines.lines().nth(1));
    kernels.unwrap_or("kernels: unknown, rsw-solve does not answer").to_owned()
}

pub(super) fn version(context: &Context) -> Result<u8, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    if context.global.json {
        context.print_json(&json!({
            "schema": "rsw.version/1",
            "version": version,
            "abi": format!("{ABI_MAJOR}.{ABI_MINOR}"),
            "layout_hash": format!("{LAYOUT_HASH:016x}"),
        }));
        return Ok(exit::OK);
    }
    context.print(&format!(
        "runtime {version}, ABI {ABI_MAJOR}.{ABI_MINOR}, layout {LAYOUT_HASH:016x}"
    ));
    if context.global.verbose {
        context.print(&kernels());
        context.print(&rsw_schemas::dump());
    }
    Ok(exit::OK)
}
