//! `runtime down`: asks the supervisor to stop, and waits until it has.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rsw_os::lock::LockFile;
use rsw_schemas::exit;
use serde_json::json;

use super::Context;
use crate::cli::Down;
use crate::control::Client;
use crate::project::Project;
use crate::swarm;
use crate::view::error::CliError;

/// Held by a recorder for as long as it writes.
const RECORDING_LOCK: &str = "agentdb.lock";
/// What stopping may take on top of the grace: the recorder writes everything down.
const WRITE_DOWN: Duration = Duration::from_secs(270);

pub(super) fn run(context: &Context, args: &Down) -> Result<u8, CliError> {
    // With the recording's folder, which only a configuration without errors tells.
    let (project, recording) = match args.purge {
        true => {
            let topology = rsw_config::resolve(&context.load(|_| {})?);
            let recording = swarm::recording_dir(&topology);
            (Project::new(&topology.project, &topology.folder), Some(recording))
        }
        false => (context.project()?, None),
    };
    let mut end = Ok(());
    let stopped = match Client::connect(&project, context.global.timeout()) {
        Ok(client) => {
            match client.ask(&json!({"op": "stop", "grace_s": args.grace})) {
                // It ended while we asked: that is what was wanted.
                Err(error) if error.code == exit::NOT_RUNNING => {}
                answer => drop(answer?),
            }
            let patience = WRITE_DOWN + 4 * Duration::from_secs_f64(args.grace);
            end = client.wait_for_end(Instant::now() + patience);
            if !is_gone(&project, Instant::now() + Duration::from_secs(5)) {
                end?;
                let words =
                    format!("swarm \"{}\" still runs: it did not hear the request", project.name);
                return Err(CliError::new(exit::FAILURE, "not-stopped", words)
                    .hint("runtime status shows how it is; ask again"));
            }
            // Of one that was killed while it stopped, something may be left.
            swarm::clean_leftovers(&project)?;
            true
        }
        Err(error) if error.code == exit::NOT_RUNNING => {
            if swarm::clean_leftovers(&project)? {
                context.note("cleaned up after a swarm that was killed");
            }
            false
        }
        Err(error) => return Err(error),
    };
    let purged = recording.map_or(Ok(false), |dir| purge(&dir))?;
    end?;
    if context.global.json {
        context.print_json(&json!({"schema": "rsw.down/1", "stopped": stopped, "purged": purged}));
    } else {
        let words = if stopped { "stopped" } else { "did not run" };
        context.note(&format!("swarm \"{}\" {words}", project.name));
        if !stopped && let Some(hint) = project.neighbours_hint() {
            context.note(&hint);
        }
    }
    Ok(exit::OK)
}

/// Waits until nobody holds the swarm's lock: the supervisor closes its sockets a moment before it is gone.
fn is_gone(project: &Project, deadline: Instant) -> bool {
    while project.lock_path().exists() {
        if Instant::now() >= deadline {
            return matches!(LockFile::acquire(&project.lock_path()), Ok(Some(_)));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Removes what the recorder made, and the folder if nothing else is in it; returns whether there was anything. What is
/// being recorded, perhaps by a swarm of another name, stays.
fn purge(dir: &Path) -> Result<bool, CliError> {
    let files = || {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"agentdb."))
        };
        paths.filter(ours).collect::<Vec<PathBuf>>()
    };
    if files().is_empty() {
        return Ok(false);
    }
    let lock_path = dir.join(RECORDING_LOCK);
    let lock = LockFile::acquire(&lock_path).map_err(swarm::os_error)?;
    let Some(_lock) = lock else {
        let words = format!("{} is being recorded: nothing was removed", dir.display());
        return Err(CliError::new(exit::CONFLICT, "purge", words)
            .hint("stop the swarm that records there: runtime -p NAME down"));
    };
    // The lock goes last: from then on the folder may be somebody else's.
    let held = files().into_iter().filter(|path| *path != lock_path);
    for path in held.chain([lock_path.clone()]) {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let words = format!("{}: {error}", path.display());
                return Err(
                    CliError::new(exit::PERMISSION, "purge", words).hint("remove it by hand")
                );
            }
            _ => {}
        }
    }
    let _ = std::fs::remove_dir(dir);
    Ok(true)
}
