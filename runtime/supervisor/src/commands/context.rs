//! What every verb starts from: flags, configuration, project, and how to print.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;

use rsw_config::{Loaded, Source};
use rsw_os::OsError;
use rsw_os::poll::{Interest, PollFd, poll};
use rsw_os::signal::{Signal, SignalPipe};
use rsw_schemas::exit;
use serde_json::Value as Json;

use crate::cli::{Color, Global};
use crate::control::Client;
use crate::project::Project;
use crate::swarm::os_error;
use crate::view::diagnostic;
use crate::view::error::CliError;

/// Flags, and what follows from them.
pub(crate) struct Context {
    pub(crate) global: Global,
    /// Whether it was said that the configuration has errors.
    told: Cell<bool>,
}

impl Context {
    pub(crate) fn new(mut global: Global) -> Self {
        global.json |= super::up::in_background();
        Self { global, told: Cell::new(false) }
    }

    /// Where the configuration comes from; `change` adds the flags of `up`.
    pub(crate) fn load(&self, change: impl FnOnce(&mut Source)) -> Result<Loaded, CliError> {
        let folder = std::env::current_dir().map_err(|error| {
            CliError::new(exit::FAILURE, "folder", format!("the working folder: {error}"))
                .hint("change into a folder that exists")
        })?;
        let mut source = Source::in_folder(folder).with_process_environment();
        source.file = self.global.file.clone();
        source.set = self.global.set.clone();
        source.project = self.global.project.clone();
        change(&mut source);
        rsw_config::load(source).map_err(CliError::config)
    }

    /// The project of this folder. A file with errors describes none, unless there is no doubt which swarm is meant:
    /// whatever it says by now, what runs can be looked at and stopped.
    pub(crate) fn project(&self) -> Result<Project, CliError> {
        let error = match self.load(|_| {}) {
            Ok(loaded) => {
                let topology = rsw_config::resolve(&loaded);
                return Ok(Project::new(&topology.project, &topology.folder));
            }
            Err(error) => error,
        };
        let Some(project) = self.running() else { return Err(error) };
        if !self.told.replace(true) {
            let name = &project.name;
            self.note(&format!(
                "the configuration has errors, see runtime validate; this is about swarm \"{name}\", which runs"
            ));
        }
        Ok(project)
    }

    /// The swarm that runs in the folder of the swarm file and has the name that is given, or that the file has. Where it
    /// cannot even be told that: the only one.
    fn running(&self) -> Option<Project> {
        if !self.global.set.is_empty() {
            return None;
        }
        let working = std::env::current_dir().ok()?;
        let mut file = working.join(self.global.file.as_deref().unwrap_or(Path::new("")));
        if file.is_dir() {
            file.push(rsw_config::FILE_NAME);
        }
        let text = std::fs::read_to_string(&file).ok()?;
        let folder = std::fs::canonicalize(file.parent()?).ok()?;
        let name = self.global.project.clone().or_else(|| rsw_config::name_in(&text, &folder));
        let mut running = Project::running_in(&folder);
        running.retain(|project| name.as_ref().is_none_or(|name| *name == project.name));
        <[Project; 1]>::try_from(running).ok().map(|[project]| project)
    }

    /// A connection to the running swarm of this folder.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        Client::connect(&self.project()?, self.global.timeout())
    }

    /// A JSON document under `--json`, else words.
    pub(crate) fn print_json_or(&self, document: &Json, words: &str) {
        if self.global.json { self.print_json(document) } else { self.print(words) }
    }

    /// One JSON document.
    pub(crate) fn print_json(&self, document: &Json) {
        self.print(&document.to_string());
    }

    /// Data, and a line end. A reader that has gone ends the program, quietly.
    pub(crate) fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let written = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
        let Err(error) = written else { return };
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(i32::from(exit::OK));
        }
        let _ = writeln!(std::io::stderr(), "runtime: cannot write to standard output: {error}");
        std::process::exit(i32::from(exit::FAILURE));
    }

    /// As [`Self::print`], for a program that has more to do than to print: what nobody takes is dropped.
    pub(crate) fn say(&self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'));
    }

    /// Progress, unless `-q` or `--json`.
    pub(crate) fn note(&self, text: &str) {
        if !self.global.quiet && !self.global.json {
            // Nobody may be listening any more; that is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// From here on Ctrl-C ends the program well, and so does a reader that has gone: that is how one stops watching.
    pub(crate) fn end_on_interrupt(&self) -> Result<(), CliError> {
        let mut signals =
            SignalPipe::new(&[Signal::Interrupt, Signal::Terminate]).map_err(os_error)?;
        let watch = move || {
            let out = std::io::stdout();
            loop {
                // Whoever reads may go while there is nothing to print.
                let nothing = Interest { read: false, write: false };
                let mut fds = [
                    PollFd::new(signals.as_fd(), Interest::READ),
                    PollFd::new(out.as_fd(), nothing),
                ];
                let ready = poll(&mut fds, None).is_ok();
                let unread = fds[1].ready();
                if !ready || unread.error || unread.hangup || !signals.drain().is_empty() {
                    std::process::exit(i32::from(exit::OK));
                }
            }
        };
        let thread = std::thread::Builder::new().spawn(watch);
        thread.map(drop).map_err(|error| os_error(OsError::new("start", "a thread", error)))
    }

    pub(crate) fn print_error(&self, error: &CliError) {
        let text = if self.global.json {
            format!("{}\n", error.to_json())
        } else {
            let color = self.color(std::io::stderr().is_terminal());
            diagnostic::render(error, color, columns().unwrap_or(100))
        };
        let _ = write!(std::io::stderr(), "{text}");
    }

    /// Whether to use colour on a stream that is a terminal or not.
    pub(crate) fn color(&self, terminal: bool) -> bool {
        match self.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }

    /// Writes a file, whole or not at all, with an error that names it.
    pub(crate) fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), CliError> {
        rsw_os::replace::replace(path, |file| file.write_all(bytes)).map_err(|error| {
            CliError::new(exit::FAILURE, "write", format!("{}: {error}", path.display()))
                .hint("choose a place that can be written")
        })
    }
}

/// Columns of the terminal on stdout, if it is one.
pub(crate) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use clap::Parser;

    use super::*;

    /// Whoever reads the old file still has it: a write that fails has nothing to destroy.
    #[test]
    fn a_file_is_replaced_not_emptied() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("field.png");
        std::fs::write(&path, "old").expect("a file");
        let mut old = std::fs::File::open(&path).expect("it opens");
        let context = Context::new(crate::cli::Cli::parse_from(["runtime", "version"]).global);
        context.write_file(&path, b"new").expect("it is written");
        let mut text = String::new();
        old.read_to_string(&mut text).expect("it is read");
        assert_eq!((&*text, &*std::fs::read(&path).expect("it is read")), ("old", &b"new"[..]));
    }
}
