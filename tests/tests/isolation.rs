//! What an agent cannot do: a hostile program in the place of an agent, and what holds the built-in ones.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use rsw_tests::{Place, binary, wait_until};

/// EPERM, EACCES and what an unknown program gets for a call that does not exist here.
const REFUSED: [i32; 3] = [1, 13, 38];

/// Somebody else's process, to be attacked; it does nothing.
struct Victim(Child);

impl Victim {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep"))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The outcome of each attempt of a hostile agent under an isolation: errno by name, 0 where it worked.
fn attack(isolation: &str) -> BTreeMap<String, i32> {
    let (place, victim) = (Place::new(), Victim::new());
    let probe = binary("rsw-probe");
    place.write(
        "swarm.toml",
        &format!(
            "[agent.hostile]\ncommand = [{probe:?}, \"attack\", \"{}\", \"/tmp\", \"0\"]\n\
             isolation = \"{isolation}\"\nrestart = \"never\"\n[agent.watcher]\nreplicas = 1\n",
            victim.0.id()
        ),
    );
    place.ok(&["up", "-d"]);
    wait_until("it has attacked", || place.process("hostile")["state"] == "exited");
    let row = place.process("hostile");
    assert_eq!(row["isolation"], isolation, "{row}");
    assert_eq!(place.process("watcher")["state"], "running", "the swarm does not care");
    let logs = place.ok(&["logs", "hostile", "-n", "200"]).stdout;
    place.ok(&["down"]);
    place.verified();
    let line = |line: &str| {
        let (name, errno) = line.split_whitespace().last()?.split_once('=')?;
        Some((name.to_owned(), errno.parse().ok()?))
    };
    let outcomes: BTreeMap<String, i32> = logs.lines().filter_map(line).collect();
    assert!(outcomes.len() > 40, "{logs}");
    outcomes
}

/// Attempts on files, sockets, processes and other people's memory.
const HARM: [&str; 17] = [
    "read_passwd",
    "list_root",
    "read_proc_victim",
    "create_tmp",
    "create_inside",
    "send_to_address",
    "socket_tcp",
    "socket_udp",
    "socket_unix",
    "socket_netlink",
    "fork",
    "vfork",
    "clone3",
    "kill_victim",
    "ptrace_victim",
    "read_victim_memory",
    "prlimit_victim",
];

#[test]
fn a_sandboxed_agent_reaches_nothing() {
    assert_refused(&attack("sandboxed"));
}

#[test]
fn a_strict_agent_reaches_nothing() {
    assert_refused(&attack("strict"));
}

fn assert_refused(outcomes: &BTreeMap<String, i32>) {
    for name in HARM {
        let errno =
            outcomes.get(name).unwrap_or_else(|| panic!("{name} was not tried: {outcomes:?}"));
        assert!(REFUSED.contains(errno), "{name} gave {errno}: {outcomes:?}");
    }
    assert_eq!(outcomes["may_thread"], 0, "an agent may have threads");
}

#[test]
fn without_isolation_the_same_program_does_as_it_likes() {
    let outcomes = attack("none");
    for name in [
        "read_passwd",
        "list_root",
        "read_proc_victim",
        "create_tmp",
        "create_inside",
        "socket_tcp",
        "fork",
        "kill_victim",
    ] {
        assert_eq!(outcomes[name], 0, "{name}: or the tests above show nothing: {outcomes:?}");
    }
}

#[test]
fn a_shell_as_an_agent_cannot_open_files_or_start_programs() {
    let place = Place::new();
    let shell = |isolation: &str| {
        format!(
            "[agent.{isolation}]\nisolation = \"{isolation}\"\nrestart = \"never\"\n\
             command = [\"/bin/sh\", \"-c\", \"(read x < /etc/shadow) 2>/dev/null && echo read-it; \
             echo x > /tmp/rsw-{isolation}-{}; (true) && echo forked; echo end\"]\n",
            std::process::id()
        )
    };
    place.write("swarm.toml", &["sandboxed", "strict", "none"].map(shell).concat());
    place.ok(&["up", "-d"]);
    let said = |name: &str| {
        wait_until("the shell ends", || {
            matches!(place.process(name)["state"].as_str(), Some("exited" | "failed"))
        });
        place.ok(&["logs", name]).stdout
    };
    let file =
        |name: &str| std::path::PathBuf::from(format!("/tmp/rsw-{name}-{}", std::process::id()));
    for name in ["sandboxed", "strict"] {
        let said = said(name);
        assert!(!said.contains("read-it") && !said.contains("forked"), "{said}");
        assert!(!file(name).exists(), "{name} wrote into /tmp: {said}");
    }
    let free = said("none");
    assert!(free.contains("forked") && free.contains("end"), "{free}");
    std::fs::remove_file(file("none")).expect("the file that the free one wrote");
    place.ok(&["down"]);
}

#[test]
fn every_thread_of_the_built_in_agents_is_held() {
    let place = Place::new();
    place.up(&["--set", "tick.rate_hz=50"]);
    let agents: Vec<_> =
        place.processes().into_iter().filter(|(name, _)| name.starts_with("watcher")).collect();
    assert_eq!(agents.len(), 4);
    for (name, pid) in agents {
        let mut threads = 0;
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads").flatten() {
            let status = std::fs::read_to_string(task.path().join("status")).expect("its status");
            let value = |key: &str| {
                let line = status.lines().find(|line| line.starts_with(key)).expect("a line");
                line[key.len()..].trim().to_owned()
            };
            assert_eq!(value("Seccomp:"), "2", "{name}: {status}");
            assert_eq!(value("NoNewPrivs:"), "1", "{name}: {status}");
            assert_eq!(u64::from_str_radix(&value("CapEff:"), 16), Ok(0), "{name}: {status}");
            threads += 1;
        }
        assert!(threads > 0, "{name}");
    }
    place.ok(&["down"]);
}
