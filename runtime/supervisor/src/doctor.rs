//! `runtime doctor`: what this machine gives the swarm, each answer with its reason and one command that
//! helps. Looks, tries, and changes nothing that outlives it. What only costs time is in [`latency`].

mod latency;

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use landlock::{ABI, Access, AccessFs, LandlockStatus, Ruleset, RulesetAttr};
use rsw_config::{AgentIsolation, Topology, WaitSpec, parse_wait, plane_bytes_estimate};
use rsw_machine::Machine;
use serde_json::{Value, json};

use crate::swarm::Orders;
use crate::view::table::bytes;

/// Programs that must lie beside `runtime`.
const HELPERS: [&str; 5] = ["solver-proc", "gateway", "agent-proc", "recorder", "rsw-launch"];
/// Longest time a helper may take to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two looks at it.
const POLL: Duration = Duration::from_millis(2);

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
        kernel(ctx),
        seals(),
        landlock(ctx),
        seccomp(ctx),
        memory(ctx),
        dev_shm(ctx),
        open_files(ctx),
        cpus(ctx),
        run_dir(ctx),
        helpers(ctx),
        leftovers(ctx),
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

    /// Soft limit of this process; `None` where it is unlimited or not known.
    fn open_files_max(&self) -> Option<u64> {
        let limits = self.read("proc/self/limits")?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

fn kernel(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "kernel", what: "Linux version" };
    let Some(release) = ctx.read("proc/sys/kernel/osrelease") else {
        return asked.skip("/proc is not readable");
    };
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let upgrade = "install a kernel of 6.3 or later";
    if version < (5, 13) {
        let reason = format!("{release} has no Landlock, and ignores one seal on huge pages");
        return asked.fail(reason, upgrade);
    }
    if version < (6, 3) {
        return asked.warn(format!("{release} cannot make memory files not executable"), upgrade);
    }
    asked.pass(release)
}

/// Makes a plane's memory file and attacks it as a hostile reader would.
fn seals() -> Check {
    let asked = Asked { id: "seals", what: "sealed memory" };
    let probe = || {
        let fd = rsw_os::memfd::create("rsw-doctor", 4096)?;
        rsw_os::memfd::seal_plane(&fd)?;
        rsw_os::memfd::probe_read_only(rsw_os::memfd::reopen_read_only(&fd)?)
    };
    match probe() {
        Ok(()) => asked.pass("a sealed file could not be mapped or written by a reader"),
        Err(error) => asked.fail(format!("{error}"), "install a kernel of 5.13 or later"),
    }
}

/// Confines a thread of its own for real: the answer of the kernel, not of a version table.
fn landlock(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "landlock", what: "file access of agents" };
    let confine = || {
        let access = AccessFs::from_all(ABI::V1);
        let ruleset = Ruleset::default().handle_access(access).ok()?.create().ok()?;
        Some(ruleset.restrict_self().ok()?.landlock)
    };
    let fix = "boot with lsm=landlock,... or set isolation = \"none\" and trust your agents";
    let missing = |reason: &str| match ctx.confines_agents() {
        true => asked.fail(reason, fix),
        false => asked.warn(reason, fix),
    };
    match std::thread::spawn(confine).join() {
        Ok(Some(LandlockStatus::Available { effective_abi, kernel_abi })) => {
            let abi =
                kernel_abi.map_or_else(|| format!("{effective_abi:?}"), |abi| format!("V{abi}"));
            if effective_abi < ABI::V3 {
                return asked.warn(
                    format!("ABI {abi} does not confine truncation"),
                    "install a kernel of 6.2 or later",
                );
            }
            asked.pass(format!("ABI {abi}"))
        }
        Ok(Some(LandlockStatus::NotEnabled)) => missing("Landlock is built but not enabled"),
        Ok(Some(LandlockStatus::NotImplemented)) => missing("this kernel has no Landlock"),
        Ok(None) | Err(_) => missing("a thread could not be confined"),
    }
}

fn seccomp(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "seccomp", what: "system calls of agents" };
    let actions = ctx.read("proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let has = |action: &str| actions.split_whitespace().any(|known| known == action);
    if has("kill_process") && has("errno") {
        return asked.pass("filters are available");
    }
    let reason = "this kernel has no seccomp filters";
    let fix = "install a kernel with CONFIG_SECCOMP_FILTER";
    if ctx.confines_agents() { asked.fail(reason, fix) } else { asked.warn(reason, fix) }
}

fn memory(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "memory", what: "memory for the plane" };
    let need = plane_bytes_estimate(ctx.topology);
    // A restarted kernel makes a new plane while the readers still hold the old one.
    let both = need.saturating_mul(2);
    match rsw_os::shm::available_memory_bytes() {
        Err(error) => asked.skip(format!("{error}")),
        Ok(free) => room(asked, need, both, free, "lower field.size, field.publish or ring.slots"),
    }
}

fn dev_shm(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "dev-shm", what: "/dev/shm for loans" };
    let need = plane_bytes_estimate(ctx.topology);
    match rsw_os::shm::free_bytes(Path::new("/dev/shm")) {
        Err(error) => asked.fail(format!("{error}"), "mount -t tmpfs tmpfs /dev/shm"),
        Ok(free) => {
            let fix = format!("mount -o remount,size={} /dev/shm", need.saturating_mul(2));
            room(asked, need / 2, need, free, &fix)
        }
    }
}

fn room(asked: Asked, need: u64, good: u64, free: u64, fix: &str) -> Check {
    let reason = format!("{} free, about {} needed", bytes(free), bytes(need));
    match free {
        _ if free < need => asked.fail(reason, fix),
        _ if free < good => asked.warn(format!("{reason}, and twice that in a restart"), fix),
        _ => asked.pass(reason),
    }
}

/// Descriptors of the supervisor and of the gateway: logs, pidfd, socket and pages of each agent.
fn open_files(ctx: &DoctorContext<'_>) -> Check {
    const FIXED: u64 = 128;
    const PER_AGENT: u64 = 8;
    let asked = Asked { id: "nofile", what: "limit of open files" };
    let agents = ctx.topology.agents.len() as u64;
    let need = FIXED + PER_AGENT * agents;
    match ctx.open_files_max() {
        Some(limit) if limit < need => asked.fail(
            format!("{limit} is less than the {need} that {agents} agents need"),
            format!("ulimit -n {need}"),
        ),
        Some(limit) => asked.pass(format!("{limit}, {need} needed")),
        None => asked.pass("no limit"),
    }
}

fn cpus(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "cpus", what: "cores for the processes" };
    let cores = match rsw_os::affinity::allowed() {
        Ok(cores) => cores.len(),
        Err(error) => return asked.skip(format!("{error}")),
    };
    let config = &ctx.topology.config;
    let spins = |wait: &str| matches!(parse_wait(wait), Ok(WaitSpec::Spin));
    let spinning: u64 = config
        .agent
        .values()
        .filter(|agent| spins(&agent.wait))
        .map(|agent| u64::from(agent.replicas))
        .sum();
    let found = format!("{cores} in the mask, {} agents", ctx.topology.agents.len());
    // One core for the kernel, the rest may be burnt.
    if spinning > 0 && spinning >= cores as u64 {
        let reason = format!("{found}, {spinning} of them spin and would take the kernel's core");
        return asked.warn(reason, "set wait = \"hybrid:50us\" for these agents");
    }
    if cores < 2 {
        let reason = format!("{found}: the kernel shares its core with every reader");
        return asked.warn(reason, "widen the mask: taskset -pc 0-1 $$");
    }
    asked.pass(found)
}

fn run_dir(ctx: &DoctorContext<'_>) -> Check {
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

fn helpers(ctx: &DoctorContext<'_>) -> Check {
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

fn leftovers(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "leftovers", what: "remains of dead swarms" };
    match ctx.leftovers.as_slice() {
        [] => asked.pass("none"),
        some => asked.warn(some.join(", "), "runtime down"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rsw_config::Origins;

    use super::*;

    pub(super) struct Machine {
        folder: tempfile::TempDir,
        topology: Topology,
        origins: Origins,
    }

    /// A machine that is all well, made of files: four cores, the last of them isolated.
    pub(super) fn machine(set: &[&str]) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let mut source = rsw_config::Source::in_folder(folder.path());
        source.set = set.iter().map(|text| (*text).into()).collect();
        let loaded = rsw_config::load(source).unwrap();
        let topology = rsw_config::resolve(&loaded);
        let machine = Machine { folder, topology, origins: loaded.origins };
        let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        machine.put("proc/sys/kernel/osrelease", "6.18.1-test\n");
        machine
            .put("proc/sys/kernel/seccomp/actions_avail", "kill_process kill_thread errno allow\n");
        machine.put(
            "proc/self/limits",
            "Limit  Soft Limit  Hard Limit  Units\n\
             Max locked memory         unlimited            unlimited            bytes\n\
             Max open files            1024                 4096                 files\n",
        );
        machine.put(clock, "tsc\n");
        machine.put("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu constant_tsc nonstop_tsc\n");
        machine.put("proc/self/status", "CapEff:\t0\nCpus_allowed_list:\t0-2\n");
        machine.put("sys/devices/system/node/online", "0\n");
        machine.put("sys/devices/system/node/node0/cpulist", "0-3\n");
        machine.put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        machine.put("sys/devices/system/cpu/online", "0-3\n");
        machine.put("sys/devices/system/cpu/isolated", "3\n");
        machine.put("sys/devices/system/cpu/nohz_full", "3\n");
        for cpu in 0..4 {
            let folder = format!("sys/devices/system/cpu/cpu{cpu}");
            machine.put(&format!("{folder}/cpufreq/scaling_governor"), "performance\n");
            machine.put(&format!("{folder}/topology/thread_siblings_list"), &format!("{cpu}\n"));
        }
        for name in HELPERS {
            machine.helper(name, "0.1.0");
        }
        machine
    }

    impl Machine {
        pub(super) fn put(&self, path: &str, text: &str) {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn helper(&self, name: &str, version: &str) {
            self.put(&format!("bin/{name}"), &format!("#!/bin/sh\necho {name} {version}\n"));
            let path = self.folder.path().join("bin").join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        pub(super) fn context(&self) -> DoctorContext<'_> {
            DoctorContext {
                root: self.folder.path().into(),
                topology: &self.topology,
                orders: Orders { origins: &self.origins, pin_flag: false },
                run_dir: self.folder.path().join("run"),
                bin_dir: self.folder.path().join("bin"),
                version: "0.1.0",
                leftovers: Vec::new(),
            }
        }
    }

    pub(super) fn assert_is(check: &Check, status: Status, part: &str) {
        assert_eq!(check.status, status, "{check:?}");
        assert!(check.reason.contains(part), "{check:?}");
        let bad = matches!(check.status, Status::Warn | Status::Fail);
        assert_eq!(check.fix.is_some(), bad, "{check:?}");
    }

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
    fn kernels() {
        let machine = machine(&[]);
        for (release, status) in [
            ("5.10.0", Status::Fail),
            ("5.13.0", Status::Warn),
            ("6.2.9", Status::Warn),
            ("7.0-rc1", Status::Pass),
        ] {
            machine.put("proc/sys/kernel/osrelease", release);
            assert_is(&kernel(&machine.context()), status, release);
        }
    }

    #[test]
    fn limits_are_held_against_the_swarm() {
        let machine = machine(&["agent.watcher.replicas=500", "agent.watcher.wait=spin"]);
        assert_is(&open_files(&machine.context()), Status::Fail, "1024 is less than the 4128");
        assert_is(&cpus(&machine.context()), Status::Warn, "500 of them spin");
        machine.put("proc/self/limits", "Max locked memory  8192  8192  bytes\n");
        assert_is(&open_files(&machine.context()), Status::Pass, "no limit");
        let asked = Asked { id: "memory", what: "memory" };
        assert_is(&room(asked, 10, 20, 9, "x"), Status::Fail, "9 B free, about 10 B needed");
        assert_is(&room(asked, 10, 20, 19, "x"), Status::Warn, "restart");
        assert_is(&room(asked, 10, 20, 20, "x"), Status::Pass, "20 B free");
    }

    #[test]
    fn seccomp_matters_only_where_agents_are_confined() {
        let confined = machine(&[]);
        confined.put("proc/sys/kernel/seccomp/actions_avail", "");
        assert_is(&seccomp(&confined.context()), Status::Fail, "no seccomp");
        let free = machine(&["agent.watcher.isolation=none"]);
        free.put("proc/sys/kernel/seccomp/actions_avail", "");
        assert_is(&seccomp(&free.context()), Status::Warn, "no seccomp");
    }

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

    #[test]
    fn this_machine_answers_every_check() {
        let machine = machine(&[]);
        let context = DoctorContext { root: "/".into(), ..machine.context() };
        for check in checks(&context) {
            assert!(!check.reason.is_empty(), "{check:?}");
        }
    }
}
