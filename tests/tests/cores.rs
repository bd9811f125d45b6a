//! Who runs where, and what stays in memory: asked of the kernel, not of the swarm.

use std::collections::BTreeSet;
use std::process::Command;

use rsw_os::affinity;
use rsw_schemas::exit;
use rsw_tests::{Done, Place, number, wait_until};

/// CPUs that every thread of a process may run on; empty if it is gone.
fn cpus_of(pid: u32) -> BTreeSet<usize> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok())
        .flat_map(|status| {
            let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            affinity::parse_list(list.expect("a mask")).expect("a list")
        })
        .collect()
}

fn pid_of(place: &Place, name: &str) -> u32 {
    let processes = place.processes();
    processes.iter().find(|(known, _)| known == name).expect("a process").1
}

/// Runs `runtime` from a thread with this mask, which it inherits.
fn run_on(place: &Place, cpus: &[usize], words: &[&str]) -> Done {
    std::thread::scope(|scope| {
        let run = || {
            affinity::pin_current_thread(cpus).expect("a mask");
            place.run(words)
        };
        scope.spawn(run).join().expect("a run")
    })
}

#[test]
fn a_core_outside_the_mask_is_refused_before_anything_starts() {
    let place = Place::new();
    let allowed = affinity::allowed().expect("a mask");
    let (first, last) = (allowed[0], allowed[allowed.len() - 1]);
    let nowhere = place.run(&["up", "--pin", "4000"]);
    assert_eq!(nowhere.code, i32::from(exit::CONFIG), "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("--pin names core 4000"), "{}", nowhere.stderr);
    if first == last {
        eprintln!("skipped: one core leaves nothing outside of a mask");
        return;
    }
    place.write("swarm.toml", &format!("[agent.watcher]\ncpus = \"{last}\"\n"));
    for words in [&["up", "--json"][..], &["up", "-d", "--json"], &["up", "--dry-run", "--json"]] {
        let done = run_on(&place, &[first], words);
        assert_eq!(done.code, i32::from(exit::CONFIG), "{words:?}: {}", done.stderr);
        let error = done.error();
        assert_eq!(error["code"], "bad-cores");
        let message = error["message"].as_str().expect("a message");
        for part in ["agent.watcher.cpus", "swarm.toml:2", "outside the CPU mask"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(message.contains(&format!("core {last}")), "{message}");
        assert!(message.contains(&format!("({first})")), "{message}");
        let hint = error["hint"].as_str().expect("a hint");
        assert!(hint.contains("taskset -c"), "{hint}");
    }
    assert_eq!(place.run(&["status"]).code, i32::from(exit::NOT_RUNNING));
    place.ok(&["up", "--ticks", "3", "--set", "tick.rate_hz=0"]);
}

#[test]
fn kernel_and_agent_run_where_the_swarm_file_says() {
    let place = Place::new();
    let allowed = affinity::allowed().expect("a mask");
    let (first, last) = (allowed[0], allowed[allowed.len() - 1]);
    let file = format!(
        "[cpu]\nkernel = {last}\n[agent.one]\ncpus = \"{first}\"\n[agent.free]\ncpus = \"off\"\n[agent.auto]\n"
    );
    place.write("swarm.toml", &file);
    place.up(&[]);
    let only = |cpu| BTreeSet::from([cpu]);
    assert_eq!(cpus_of(pid_of(&place, "kernel")), only(last));
    assert_eq!(cpus_of(pid_of(&place, "one")), only(first));
    let all: BTreeSet<usize> = allowed.iter().copied().collect();
    assert_eq!(cpus_of(pid_of(&place, "free")), all);
    for name in ["auto", "gateway", "recorder"] {
        let cpus = cpus_of(pid_of(&place, name));
        assert!(!cpus.is_empty() && cpus.is_subset(&all), "{name}: {cpus:?}");
        assert!(first == last || !cpus.contains(&last), "{name} is on the kernel's core: {cpus:?}");
    }
    assert_eq!(place.process("kernel")["cpus"], last.to_string());
    let cores = &place.json(&["ps"])["cores"];
    assert_eq!(cores["placements"][0]["name"], "kernel");
    assert_eq!(cores["placements"][0]["cpus"], last.to_string());
    // A kernel that is started again goes back to its core.
    let before = pid_of(&place, "kernel");
    rsw_tests::kill(before);
    wait_until("the kernel is started again", || {
        place.processes().iter().any(|(name, pid)| name == "kernel" && *pid != before)
    });
    place.wait_until_whole();
    assert_eq!(cpus_of(pid_of(&place, "kernel")), only(last));
}

#[test]
fn by_default_nobody_is_on_the_kernels_core_or_nobody_is_pinned() {
    let place = Place::new();
    place.up(&[]);
    let all: BTreeSet<usize> = affinity::allowed().expect("a mask").into_iter().collect();
    let placements = place.json(&["ps"])["cores"]["placements"].clone();
    let kernel = cpus_of(pid_of(&place, "kernel"));
    for (name, pid) in place.processes().iter().filter(|(name, _)| name != "kernel") {
        let cpus = cpus_of(*pid);
        match placements[0]["cpus"].is_null() {
            true => assert_eq!((&kernel, &cpus), (&all, &all), "{name}"),
            false => assert!(kernel.is_disjoint(&cpus), "{name}: {kernel:?}, {cpus:?}"),
        }
    }
    if all.len() <= 2 {
        assert!(placements[0]["cpus"].is_null(), "{placements}");
    }
}

/// The words of a command, run with little memory to lock, and without the right to lock more.
fn confined(place: &Place, words: &[&str]) -> Option<Done> {
    let inner = place.command(words);
    let mut command = Command::new("prlimit");
    command.arg("--memlock=65536:65536");
    if rsw_os::process::uid() == 0 {
        command.args(["setpriv", "--bounding-set", "-ipc_lock"]);
    }
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(place.folder());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(std::process::Stdio::null());
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !has("prlimit") || !has("setpriv") {
        eprintln!("skipped: there is no prlimit or no setpriv here");
        return None;
    }
    Some(Done::of(command.output().expect("the runtime")))
}

#[test]
fn the_plane_is_in_memory_from_the_start_and_stays_there() {
    let place = Place::new();
    place.up(&["--set", "plane.lock=no"]);
    let kernel = || rsw_os::process::status(pid_of(&place, "kernel")).expect("the kernel");
    let plane = place.json(&["ps"])["plane"].clone();
    assert_eq!(plane["locked"], false);
    assert_eq!(kernel().locked_bytes, 0);
    // Every page is there, though most of the ring was not written yet.
    assert!(kernel().rss_bytes >= number(&plane["bytes"]), "{plane}, {:?}", kernel());
    place.ok(&["down"]);

    let limit = rsw_os::memory::lock_limit_bytes();
    let own = rsw_os::process::status(std::process::id()).expect("this process");
    let may_all = own.cap_eff >> 14 & 1 == 1;
    if may_all || limit.is_none_or(|limit| limit >= number(&plane["bytes"])) {
        place.up(&["--set", "plane.lock=yes"]);
        let plane = place.json(&["ps"])["plane"].clone();
        assert_eq!(plane["locked"], true);
        assert_eq!(kernel().locked_bytes, number(&plane["bytes"]));
        place.ok(&["down"]);
    } else {
        eprintln!("skipped: this process may lock only {limit:?} bytes");
    }
}

#[test]
fn a_plane_that_may_not_be_locked_is_a_line_in_the_log_or_an_error() {
    let place = Place::new();
    let Some(refused) = confined(&place, &["up", "-d", "--json", "--set", "plane.lock=yes"]) else {
        return;
    };
    assert_eq!(refused.code, i32::from(exit::PERMISSION), "{}", refused.stderr);
    let message = refused.error()["message"].as_str().expect("a message").to_owned();
    for part in ["kernel", "the plane is not locked", "65536 bytes", "ulimit -l", "plane.lock"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let up = confined(&place, &["up", "-d", "--wait=60"]).expect("as before");
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert!(up.stdout.contains("not locked in memory"), "{}", up.stdout);
    assert_eq!(place.json(&["ps"])["plane"]["locked"], false);
    let log = place.ok(&["logs", "kernel"]).stdout;
    assert!(log.contains("runs on without: the plane is not locked"), "{log}");
}
