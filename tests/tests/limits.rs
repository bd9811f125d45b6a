//! Not enough files, not enough memory: a swarm takes what its user may have and says what it lacks, and a gateway
//! without files goes on.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use rsw_attach::{AttachError, Client};
use rsw_schemas::exit;
use rsw_schemas::wire::RefusalCode;
use rsw_tests::{Done, PATIENCE, Place, binary, kill, wait_until};

/// Runs `runtime` under a limit of open files, as `ulimit` takes it.
fn run_under(place: &Place, ulimit: &str, words: &[&str]) -> Done {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit {ulimit} && exec \"$0\" \"$@\"")])
        .arg(binary("runtime"))
        .args(words)
        .current_dir(place.folder());
    for (name, value) in place.command(&[]).get_envs() {
        shell.env(name, value.expect("a value"));
    }
    Done::of(shell.stdin(Stdio::null()).output().expect("a shell"))
}

/// Sixty agents need more descriptors than the soft limit has: it is raised, and the hard one is not there to be raised.
#[test]
fn more_agents_than_the_soft_limit_has_files_for() {
    let place = Place::new();
    let words = ["up", "-d", "--wait=60", "--scale", "watcher=60", "--set", "tick.rate_hz=20"];
    let done = run_under(&place, "-Sn 128", &words);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let status = place.json(&["status"]);
    assert_eq!(
        (status["agents_running"].as_u64(), status["agents_failed"].as_u64()),
        (Some(60), Some(0))
    );
    place.ok(&["down"]);

    let done = run_under(&place, "-n 64", &[&words[..], &["--json"]].concat());
    assert_eq!(done.code, i32::from(exit::FAILURE), "{}", done.stdout);
    let error = done.error();
    let text = error.to_string();
    assert!(text.contains("Too many open files") && text.contains("ulimit -Hn"), "{text}");
    place.ok(&["down"]);
}

/// The kernel asks before it fills its memory, and says so; it is no bad configuration, another time there may be more.
#[test]
fn a_field_beyond_memory_is_told_in_words() {
    let place = Place::new();
    let words =
        ["up", "--json", "--set", "field.size=[8192,8192]", "--set", "recorder.enabled=false"];
    let done = run_under(&place, "-v 1500000", &words);
    assert_eq!(done.code, i32::from(exit::RESTART_LIMIT), "{}", done.stderr);
    let text = done.error().to_string();
    assert!(text.contains("bytes of memory are needed") && text.contains("ulimit -v"), "{text}");
}

/// Descriptors that a process has open.
fn open_files(pid: u32) -> BTreeSet<u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    entries
        .map(|entry| {
            entry.expect("one").file_name().to_str().expect("text").parse().expect("a number")
        })
        .collect()
}

/// Waits until a process has opened what it needs.
fn settled(pid: u32) {
    let mut before = BTreeSet::new();
    wait_until("it opens nothing more", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = open_files(pid);
        std::mem::replace(&mut before, now.clone()) == now
    });
}

/// Leaves a process room for so many descriptors more.
fn leave_room(pid: u32, more: usize) {
    let open = open_files(pid);
    let limit = (0..).filter(|fd| !open.contains(fd)).nth(more).expect("a number");
    set_limit(pid, limit);
}

fn set_limit(pid: u32, soft: u64) {
    let (pid, limit) = (pid.to_string(), format!("--nofile={soft}:"));
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().expect("prlimit");
    assert!(status.success());
}

#[test]
fn a_gateway_without_descriptors_turns_guests_away_and_goes_on() {
    let place = Place::new();
    place.up(&["--set", "agent.watcher.replicas=1"]);
    let socket = place.json(&["ps"])["socket"].as_str().expect("a socket").to_owned();
    let knock = || {
        let mut client = Client::connect(socket.as_ref())?;
        client.hello("guest", 0)?;
        client.welcome(PATIENCE).map(|_| client)
    };
    let before = knock().expect("a guest");
    let gateway = place.pid("gateway");
    settled(gateway);
    let open = open_files(gateway).len();
    // None for the guest's socket; then none for its mailbox; then none for its view of the plane.
    for more in [0, 1, 2] {
        wait_until("those turned away are gone", || open_files(gateway).len() == open);
        leave_room(gateway, more);
        for _ in 0..3 {
            match knock().map(drop) {
                Err(AttachError::Refused { code: Some(RefusalCode::Full), text, .. }) => {
                    assert!(text.contains("ulimit -Hn"), "{text}");
                }
                other => panic!("with room for {more}: {other:?}"),
            }
            wait_until("it is gone", || open_files(gateway).len() == open);
        }
    }
    assert_eq!(place.process("guest")["state"], "attached", "whoever was there stays");
    assert_eq!(place.json(&["status"])["state"], "running");
    set_limit(gateway, 256);
    let mut after = None;
    wait_until("a guest is let in again", || {
        after = knock().ok();
        after.is_some()
    });
    assert_eq!(
        (place.pid("gateway"), place.process("gateway")["restarts"].as_u64()),
        (gateway, Some(0))
    );
    drop((before, after));
    place.ok(&["down"]);
    place.verified();
}

/// The supervisor's own socket: a command line that it has no descriptor for is told so, and the supervisor goes on.
#[test]
fn a_supervisor_without_descriptors_hangs_up_and_goes_on() {
    let place = Place::new();
    let child = place.foreground(&["--set", "agent.watcher.replicas=1"]);
    place.wait_until_it_answers();
    place.ok(&["status", "--wait", "--timeout", "60"]);
    wait_until("nobody else asks", || {
        leave_room(child.id(), 0);
        place.run(&["status", "--timeout", "2"]).code != 0
    });
    // It was heard, and is answered; what it asked for was not done.
    for words in [&["status", "--json"][..], &["down", "--purge", "--json"]] {
        let done = place.run(words);
        let error = done.error();
        assert_eq!(done.code, i32::from(exit::FAILURE), "{words:?}: {error}");
        assert!(
            error["message"].as_str().expect("words").contains("open no more files"),
            "{error}"
        );
    }
    assert!(place.folder().join("agentdb").read_dir().expect("a recording").count() > 0);
    set_limit(child.id(), 1024);
    place.wait_until_it_answers();
    assert_eq!(place.json(&["status"])["state"], "running");
    place.ok(&["down"]);
    assert_eq!(Done::of(child.wait_with_output().expect("an end")).code, 0);
}

/// An agent that could not take a new generation's plane asks for it until it can.
#[test]
fn an_agent_without_descriptors_follows_a_restart_as_soon_as_it_has_some() {
    let place = Place::new();
    place.up(&["--set", "agent.watcher.replicas=1"]);
    let watcher = place.pid("watcher");
    settled(watcher);
    leave_room(watcher, 0);
    kill(place.pid("kernel"));
    wait_until("there is a new generation", || place.generation() == 2);
    wait_until("the agent has seen that it cannot take it", || {
        place.ok(&["logs", "watcher"]).stdout.contains("open no more files")
    });
    assert_eq!(place.process("watcher")["generation"], 1);
    set_limit(watcher, 256);
    wait_until("it reads the new plane", || place.process("watcher")["generation"] == 2);
    assert_eq!(place.pid("watcher"), watcher, "it is the same process");
    place.ok(&["down"]);
    place.verified();
}
