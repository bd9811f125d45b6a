//! `runtime down`: asks the supervisor to stop, and waits until it has.

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

/// What stopping may take on top of the grace: the recorder writes everything down.
const WRITE_DOWN: Duration = Duration::from_secs(270);

pub(super) fn run(context: &Context, args: &Down) -> Result<u8, CliError> {
    let loaded = context.load(|_| {})?;
    let topology = rsw_config::resolve(&loaded);
    let project = Project::new(&topology.project, &topology.folder);
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
    if args.purge {
        purge(&swarm::recording_dir(&topology))?;
    }
    end?;
    if context.global.json {
        context
            .print_json(&json!({"schema": "rsw.down/1", "stopped": stopped, "purged": args.purge}));
    } else {
        let words = if stopped { "stopped" } else { "did not run" };
        context.note(&format!("swarm \"{}\" {words}", project.name));
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

/// Removes what the recorder made, and the folder if nothing else is in it.
fn purge(dir: &std::path::Path) -> Result<(), CliError> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("agentdb.") {
            std::fs::remove_file(entry.path()).map_err(|error| {
                CliError::new(
                    exit::PERMISSION,
                    "purge",
                    format!("{}: {error}", entry.path().display()),
                )
            })?;
        }
    }
    let _ = std::fs::remove_dir(dir);
    Ok(())
}
