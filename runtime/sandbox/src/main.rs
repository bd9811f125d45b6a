//! `rsw-launch`: applies a policy to itself, says so, and becomes a program.
//!
//! Usage: `rsw-launch --policy-fd N [--report-fd M] -- PROGRAM ARGS...`. The policy is JSON; the report
//! is one JSON line per event, and the pipe ends when the program runs. Exit code 7 if it cannot.

use rsw_sandbox::{EXIT_PERMISSION, Policy, Report, apply};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == "--version") {
        println!("rsw-launch {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let request = match Request::parse(std::env::args_os().skip(1)) {
        Ok(request) => request,
        Err(why) => {
            eprintln!("rsw-launch: {why}; it is started by the supervisor, not by hand");
            return ExitCode::from(EXIT_PERMISSION);
        }
    };
    let mut report = request.report_fd.map(own);
    // Returns only if something failed: otherwise this process is the program by now.
    let why = launch(&request, report.as_mut());
    eprintln!("rsw-launch: {why}");
    if let Some(report) = &mut report {
        // Nobody may read any more; stderr and the exit code say the same.
        let _ = say(report, &Report::Failed(why));
    }
    ExitCode::from(EXIT_PERMISSION)
}

struct Request {
    policy_fd: RawFd,
    report_fd: Option<RawFd>,
    program: OsString,
    arguments: Vec<OsString>,
}

impl Request {
    fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Request, String> {
        let (mut policy_fd, mut report_fd) = (None, None);
        loop {
            let word = words.next().ok_or("expected -- PROGRAM")?;
            let slot = match word.to_str() {
                Some("--") => break,
                Some("--policy-fd") => &mut policy_fd,
                Some("--report-fd") => &mut report_fd,
                _ => return Err(format!("unknown argument {word:?}")),
            };
            let number = words.next().and_then(|number| number.to_str()?.parse::<RawFd>().ok());
            // 0 to 2 belong to the program.
            *slot = Some(number.filter(|&fd| fd > 2).ok_or(format!("{word:?} needs a number"))?);
        }
        Ok(Request {
            policy_fd: policy_fd.ok_or("--policy-fd is missing")?,
            report_fd,
            program: words.next().ok_or("expected a program after --")?,
            arguments: words.collect(),
        })
    }
}

fn launch(request: &Request, mut report: Option<&mut File>) -> String {
    let policy = match read_policy(own(request.policy_fd)) {
        Ok(policy) => policy,
        Err(why) => return format!("cannot read the policy: {why}"),
    };
    let program = Path::new(&request.program);
    if !program.is_absolute() {
        return format!("the program {program:?} must be an absolute path");
    }
    let extra: Vec<RawFd> = report.iter().map(|report| report.as_raw_fd()).collect();
    if let Some(report) = &report
        && let Err(why) = rsw_os::process::set_inheritable(report, false)
    {
        return why.to_string();
    }
    // SAFETY: the descriptors that this closes have no owner: the policy's was closed by reading it,
    // the report's is in `extra`, and this program opens no others.
    let applied = match unsafe { apply(&policy, program, &extra) } {
        Ok(applied) => applied,
        Err(why) => return why.to_string(),
    };
    if let Some(report) = &mut report
        && let Err(why) = say(report, &Report::Applied(applied))
    {
        return format!("cannot report: {why}");
    }
    let environment = policy.environment.iter().map(|(name, value)| (name, value));
    let why = Command::new(program).args(&request.arguments).env_clear().envs(environment).exec();
    format!("cannot execute {program:?}: {why}")
}

fn read_policy(mut file: File) -> std::io::Result<Policy> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

fn say(report: &mut File, what: &Report) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    report.write_all(&line)
}

fn own(fd: RawFd) -> File {
    // SAFETY: the number came in by the command line, so nothing in this process owns it yet; each is
    // owned once. One that is not open makes the first read or write fail.
    unsafe { File::from_raw_fd(fd) }
}
