//! `runtime doctor`: what this machine gives the swarm, each answer with its reason and one command that
//! helps. Looks, tries, and changes nothing that outlives it. [`system`] is what Linux gives,
//! [`resources`] what the swarm needs, [`programs`] what it is started from; what only costs time is in [`latency`].

mod system;

mod resources;

mod programs;

mod latency;

#[cfg(test)]
mod fake;

use std::fs;
use std::path::PathBuf;

use rsw_config::{AgentIsolation, Topology};
use rsw_machine::Machine;
use serde_json::{Value, json};

use crate::swarm::Orders;

/// What the checks are made against.
#[derive(Debug, Clone)]
pub(crate) struct DoctorContext<'a> {
    /// Where `proc` and `sys` are: `/`, but for tests.
    pub(crate) root: PathBuf,
    /// The swarm that is to run.
    pub(crate) topology: &'a Topology,
    /// Who gave orders about cores.
    pub(crate) orders: Orders<'a>,
    /// Folder of sockets and locks.
    pub(crate) run_dir: PathBuf,
    /// Folder of the helper programs.
    pub(crate) bin_dir: PathBuf,
    /// The version that every helper must have.
    pub(crate) version: &'a str,
    /// Names of what dead swarms left behind.
    pub(crate) leftovers: Vec<String>,
}

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Good.
    Pass,
    /// The swarm runs, but not at its best.
    Warn,
    /// The swarm, or a promise of it, does not hold.
    Fail,
    /// Cannot be told here.
    Skip,
}

impl Status {
    /// As it is printed and written in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// Stable name, for scripts and the manual.
    pub(crate) id: &'static str,
    /// Outcome.
    pub(crate) status: Status,
    /// What was looked at.
    pub(crate) what: &'static str,
    /// What was found, and why it matters where it is not good.
    pub(crate) reason: String,
    /// The one command that helps.
    pub(crate) fix: Option<String>,
}

/// Runs every check. Takes as long as the helper programs take to tell their version.
pub(crate) fn checks(ctx: &DoctorContext<'_>) -> Vec<Check> {
    let mut checks = vec![
        system::kernel(ctx),
        system::seals(),
        system::landlock(ctx),
        system::seccomp(ctx),
        resources::memory(ctx),
        resources::dev_shm(ctx),
        resources::open_files(ctx),
        resources::cpus(ctx),
        programs::run_dir(ctx),
        programs::helpers(ctx),
        programs::leftovers(ctx),
    ];
    checks.extend(latency::checks(ctx, &Machine::read_at(&ctx.root)));
    checks
}

/// `{"schema":"rsw.doctor/1","checks":[{"id","status","what","reason","fix"}]}`.
pub(crate) fn to_json(checks: &[Check]) -> Value {
    let each = |check: &Check| {
        json!({
            "id": check.id,
            "status": check.status.name(),
            "what": check.what,
            "reason": check.reason,
            "fix": check.fix,
        })
    };
    json!({ "schema": "rsw.doctor/1", "checks": checks.iter().map(each).collect::<Vec<_>>() })
}

/// One line a check and one more for its fix.
pub(crate) fn to_text(checks: &[Check]) -> String {
    let mut out = String::new();
    for check in checks {
        let status = check.status.name().to_uppercase();
        out += &format!("{status}  {:<14} {}: {}\n", check.id, check.what, check.reason);
        if let Some(fix) = check.fix.as_ref().filter(|_| check.status != Status::Pass) {
            out += &format!("      {:<14} fix: {fix}\n", "");
        }
    }
    out
}

/// A check being made.
#[derive(Clone, Copy)]
struct Asked {
    id: &'static str,
    what: &'static str,
}

impl Asked {
    fn pass(self, reason: impl Into<String>) -> Check {
        self.is(Status::Pass, reason, None)
    }

    fn skip(self, reason: impl Into<String>) -> Check {
        self.is(Status::Skip, reason, None)
    }

    fn warn(self, reason: impl Into<String>, fix: impl Into<String>) -> Check {
        self.is(Status::Warn, reason, Some(fix.into()))
    }

    fn fail(self, reason: impl Into<String>, fix: impl Into<String>) -> Check {
        self.is(Status::Fail, reason, Some(fix.into()))
    }

    fn is(self, status: Status, reason: impl Into<String>, fix: Option<String>) -> Check {
        Check { id: self.id, status, what: self.what, reason: reason.into(), fix }
    }
}

impl DoctorContext<'_> {
    fn read(&self, path: &str) -> Option<String> {
        Some(fs::read_to_string(self.root.join(path)).ok()?.trim().to_owned())
    }

    fn confines_agents(&self) -> bool {
        let confined = |isolation| isolation != AgentIsolation::None;
        self.topology.config.agent.values().any(|agent| confined(agent.isolation))
    }

    /// Hard limit of this process; `None` where it is unlimited or not known.
    fn open_files_max(&self) -> Option<u64> {
        let limits = self.read("proc/self/limits")?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::fake::machine;
    use super::*;

    #[test]
    fn a_good_machine_passes_and_the_json_has_its_shape() {
        let machine = machine(&[]);
        let found = checks(&machine.context());
        for id in [
            "kernel",
            "seals",
            "seccomp",
            "nofile",
            "pinning",
            "isolation",
            "siblings",
            "governor",
            "clock",
            "thp",
            "memlock",
            "numa",
            "virtualised",
            "run-dir",
            "helpers",
            "leftovers",
        ] {
            let check = found.iter().find(|check| check.id == id).unwrap();
            assert_eq!(check.status, Status::Pass, "{check:?}");
        }
        let json = to_json(&found);
        assert_eq!(json["schema"], "rsw.doctor/1");
        assert_eq!(json["checks"].as_array().unwrap().len(), found.len());
        assert_eq!(json["checks"][0]["id"], "kernel");
        assert!(json["checks"][0]["fix"].is_null());
        assert!(to_text(&found).starts_with("PASS  kernel         Linux version: 6.18.1-test\n"));
    }

    #[test]
    fn this_machine_answers_every_check() {
        let machine = machine(&[]);
        let context = DoctorContext { root: "/".into(), ..machine.context() };
        for check in checks(&context) {
            assert!(!check.reason.is_empty(), "{check:?}");
        }
    }
}
