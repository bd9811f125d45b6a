//! What a swarm is started from: its folder, its programs, and what dead swarms left in their place.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Asked, Check, DoctorContext};

/// Programs that must lie beside `runtime`.
pub(super) const HELPERS: [&str; 5] =
    ["solver-proc", "gateway", "agent-proc", "recorder", "rsw-launch"];
/// Longest time a helper may take to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two looks at it.
const POLL: Duration = Duration::from_millis(2);

pub(super) fn run_dir(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "run-dir", what: "run directory" };
    let shown = ctx.run_dir.display();
    let attempt = fs::create_dir_all(&ctx.run_dir).and_then(|()| {
        let probe = ctx.run_dir.join(format!(".doctor-{}", std::process::id()));
        fs::write(&probe, b"x")?;
        fs::remove_file(&probe)
    });
    match attempt {
        Ok(()) => asked.pass(format!("{shown} is writable")),
        Err(error) => asked.fail(
            format!("{shown} is not writable: {error}"),
            "export XDG_RUNTIME_DIR=$(mktemp -d)",
        ),
    }
}

pub(super) fn helpers(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "helpers", what: "programs beside runtime" };
    let fix = "cargo build --release --workspace";
    let mut silent = Vec::new();
    for name in HELPERS {
        let path = ctx.bin_dir.join(name);
        if !path.is_file() {
            return asked.fail(format!("{} is not there", path.display()), fix);
        }
        match version_of(&path) {
            Some(text) if text.split_whitespace().any(|word| word == ctx.version) => {}
            Some(text) if text.split_whitespace().any(is_version) => {
                let reason = format!("{name} says `{}`, this is {}", text.trim(), ctx.version);
                return asked.fail(reason, fix);
            }
            _ => silent.push(name),
        }
    }
    if silent.is_empty() {
        return asked.pass(format!("all {} of version {}", HELPERS.len(), ctx.version));
    }
    asked.warn(format!("{} do not tell their version", silent.join(", ")), fix)
}

fn is_version(word: &str) -> bool {
    let numbers = word.split(['-', '+']).next().unwrap_or(word);
    numbers.split('.').count() == 3 && numbers.split('.').all(|part| part.parse::<u32>().is_ok())
}

/// First kilobyte of what `PROGRAM --version` prints; `None` if it fails or does not end in time.
fn version_of(program: &Path) -> Option<String> {
    let deadline = Instant::now() + VERSION_TIMEOUT;
    let mut child = spawn_version(program, deadline)?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            Ok(None) | Err(_) => {
                // It may have ended by itself in between; either way it is reaped here.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let mut text = Vec::new();
    child.stdout.take()?.take(1024).read_to_end(&mut text).ok()?;
    status.success().then(|| String::from_utf8_lossy(&text).into_owned())
}

/// Starts it; a program that is just being replaced is busy for a moment.
fn spawn_version(program: &Path, deadline: Instant) -> Option<Child> {
    loop {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => return Some(child),
            Err(error)
                if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline =>
            {
                std::thread::sleep(POLL);
            }
            Err(_) => return None,
        }
    }
}

pub(super) fn leftovers(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "leftovers", what: "remains of dead swarms" };
    match ctx.leftovers.as_slice() {
        [] => asked.pass("none"),
        some => asked.warn(some.join(", "), "runtime down"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Status;
    use super::super::fake::{assert_is, machine};
    use super::*;

    #[test]
    fn helpers_must_be_there_and_of_one_version() {
        let machine = machine(&[]);
        machine.helper("gateway", "0.0.9");
        assert_is(&helpers(&machine.context()), Status::Fail, "gateway says `gateway 0.0.9`");
        machine.put("bin/gateway", "#!/bin/sh\nexit 2\n");
        assert_is(&helpers(&machine.context()), Status::Warn, "gateway do not tell");
        fs::remove_file(machine.folder.path().join("bin/gateway")).unwrap();
        assert_is(&helpers(&machine.context()), Status::Fail, "bin/gateway is not there");
    }

    #[test]
    fn the_run_directory_and_leftovers() {
        let machine = machine(&[]);
        let mut context = machine.context();
        machine.put("file", "");
        context.run_dir = machine.folder.path().join("file");
        assert_is(&run_dir(&context), Status::Fail, "file is not writable");
        context.leftovers = vec!["demo-1".into()];
        assert_is(&leftovers(&context), Status::Warn, "demo-1");
    }
}
