//! A swarm from `up` to `down`: what the command line shows, and that nothing stays behind.

use rsw_tests::{Done, Place, alive, kill, wait_until};

#[test]
fn the_demonstration_swarm_shows_what_it_promises() {
    let place = Place::new();
    place.up(&[]);
    let ps = place.json(&["ps"]);
    assert_eq!(ps["schema"], "rsw.ps/1");
    let rows = ps["processes"].as_array().expect("rows");
    assert_eq!(rows.len(), 7, "{ps}");
    for row in rows {
        for key in
            ["name", "role", "pid", "state", "isolation", "generation", "restarts", "lag_events"]
        {
            assert!(row.get(key).is_some(), "{key} in {row}");
        }
        assert_eq!(row["state"], "running", "{row}");
        if row["role"] == "agent" {
            assert_eq!(row["isolation"], "sandboxed");
            let in_force = row["in_force"].to_string();
            for layer in ["no_new_privs", "seccomp", "landlock"] {
                assert!(in_force.contains(layer), "{layer} is not in force: {row}");
            }
        }
    }
    let status = place.json(&["status"]);
    assert_eq!(
        (status["schema"].as_str(), status["state"].as_str()),
        (Some("rsw.status/1"), Some("running"))
    );
    wait_until("agents report their synchronisation", || place.json(&["status"])["cs"].is_number());

    let peek = place.json(&["peek"]);
    assert_eq!(
        (peek["schema"].as_str(), peek["state"].as_str()),
        (Some("rsw.peek/1"), Some("live"))
    );
    let one = place.json(&["peek", "ci"]);
    assert!(one["cells"][0]["value"].as_f64().expect("CI") > 0.0);
    assert_eq!(place.run(&["peek", "cii", "--json"]).error()["code"], "not-found");
    assert_eq!(place.run(&["peek", "cii"]).code, 4);

    let counters = place.json(&["counters"]);
    assert!(counters["counters"].as_array().expect("counters").len() > 10);
    let events = place.ok(&["events", "tail", "--json", "-n", "50"]);
    assert_eq!(events.stdout.lines().count(), 50);
    place.ok(&["field", "show", "ci", "--png", "ci.png", "--npy", "ci.npy"]);
    let png = std::fs::read(place.folder().join("ci.png")).expect("a PNG");
    assert!(png.starts_with(b"\x89PNG"));
    let npy = std::fs::metadata(place.folder().join("ci.npy")).expect("an array");
    assert_eq!(npy.len(), 128 + 256 * 256 * 4);
    assert_eq!(place.run(&["field", "show", "cci"]).code, 4);
    assert!(place.ok(&["logs", "kernel"]).stdout.contains("started"));
    let logs = place.ok(&["logs", "--json"]).stdout;
    let lines = logs.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let lines: Vec<serde_json::Value> = lines.collect();
    // What the supervisor itself said has none.
    let times: Vec<&str> = lines.iter().filter_map(|line| line["time"].as_str()).collect();
    assert!(times.is_sorted() && times.len() > 3 && times[0].ends_with('Z'), "{logs}");
    for name in ["kernel", "recorder", "gateway", "watcher-1"] {
        let said = |line: &serde_json::Value| line["name"] == name && line["line"].is_string();
        assert!(lines.iter().any(said), "{name}: {logs}");
    }

    let again = place.run(&["up", "-d", "--json"]);
    assert_eq!((again.code, again.error()["code"].as_str()), (6, Some("already-running")));

    let (pids, loans) = (place.processes(), place.loan_folders());
    place.ok(&["down"]);
    place.assert_gone(&pids, &loans);
    assert_eq!(place.run(&["ps"]).code, 3);
    assert_eq!(place.run(&["status"]).code, 3);
    place.ok(&["down"]);
    let verified = place.json(&["verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
    assert_eq!(verified["runs"][0]["lost"], "0");
    let shown = place.json(&["field", "show", "ci", "--npy", "after.npy"]);
    assert_eq!(shown["from"], "recording");
}

#[test]
fn ctrl_c_stops_everything_in_order_and_ends_with_0() {
    let place = Place::new();
    let child = place.foreground(&[]);
    place.wait_until_it_answers();
    place.ok(&["status", "--wait", "--timeout", "60"]);
    let (pids, loans) = (place.processes(), place.loan_folders());
    let pidfd = rsw_os::pidfd::open(child.id()).expect("a pidfd");
    rsw_os::pidfd::send_signal(&pidfd, rsw_os::Signal::Interrupt).expect("a signal");
    let done = Done::of(child.wait_with_output().expect("an end"));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("stopped at tick"), "{}", done.stdout);
    place.assert_gone(&pids, &loans);
    assert_eq!(place.json(&["verify"])["ok"], true);
}

#[test]
fn a_killed_supervisor_leaves_no_orphan_and_its_successor_cleans_up() {
    let place = Place::new();
    let mut child = place.foreground(&[]);
    place.wait_until_it_answers();
    place.ok(&["status", "--wait", "--timeout", "60"]);
    let (pids, loans) = (place.processes(), place.loan_folders());
    kill(child.id());
    child.wait().expect("an end");
    wait_until("every process has ended", || pids.iter().all(|(_, pid)| !alive(*pid)));
    assert_eq!(place.run(&["ps"]).code, 3);
    place.up(&[]);
    let (new_pids, new_loans) = (place.processes(), place.loan_folders());
    assert!(pids.iter().all(|(_, pid)| !new_pids.iter().any(|(_, new)| new == pid)));
    place.ok(&["down"]);
    place.assert_gone(&new_pids, &loans);
    place.assert_gone(&new_pids, &new_loans);
    let verified = place.json(&["verify"]);
    assert_eq!(
        (verified["ok"].as_bool(), verified["runs"].as_array().map(Vec::len)),
        (Some(true), Some(2))
    );
}

#[test]
fn two_swarms_in_two_folders_do_not_meet() {
    let (one, two) = (Place::new(), Place::new());
    one.up(&["--set", "swarm.name=same"]);
    two.up(&["--set", "swarm.name=same"]);
    let first = one.command(&["ps", "--json", "-p", "same"]).output().expect("ps");
    let second = two.command(&["ps", "--json", "-p", "same"]).output().expect("ps");
    let pids = |bytes: &[u8]| {
        let ps: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
        let rows = ps["processes"].as_array().expect("rows").clone();
        rows.iter().filter_map(|row| row["pid"].as_u64()).collect::<Vec<_>>()
    };
    let (first, second) = (pids(&first.stdout), pids(&second.stdout));
    assert!(!first.is_empty() && first.iter().all(|pid| !second.contains(pid)));
    one.ok(&["down", "-p", "same"]);
    assert!(first.iter().all(|pid| !alive(*pid as u32)));
    assert!(second.iter().all(|pid| alive(*pid as u32)));
    let status = two.json(&["status", "-p", "same"]);
    assert_eq!(status["state"], "running");
    two.ok(&["down", "-p", "same"]);
}

#[test]
fn the_plane_is_writable_by_its_kernel_alone() {
    let place = Place::new();
    place.up(&[]);
    for (name, pid) in place.processes() {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps");
        let shared: Vec<&str> = maps
            .lines()
            .filter(|line| {
                line.split_whitespace()
                    .nth(1)
                    .is_some_and(|rights| rights.starts_with("rw") && rights.ends_with('s'))
            })
            .collect();
        let planes = shared.iter().filter(|line| line.contains("rsw-plane")).count();
        match name.as_str() {
            "kernel" => {
                assert_eq!((planes, shared.len()), (1, 1), "{name}: {shared:?}");
            }
            "recorder" => assert!(
                shared
                    .iter()
                    .all(|line| line.contains("memfd:rsw-recorder") || line.contains("agentdb")),
                "{name}: {shared:?}"
            ),
            "gateway" => {
                assert!(shared.iter().all(|line| line.contains("/rsw-")), "{name}: {shared:?}")
            }
            _ => assert!(
                planes == 0
                    && shared
                        .iter()
                        .all(|line| line.contains("rsw-mailbox") || line.contains("/dev/shm/rsw-")),
                "{name}: {shared:?}"
            ),
        }
    }
    let socket = place.json(&["ps"])["socket"].as_str().expect("a socket").to_owned();
    let mut client = rsw_attach::Client::connect(socket.as_ref()).expect("the gateway");
    client.hello("looker", rsw_schemas::wire::hello_flag::OBSERVER).expect("hello");
    // Attaching checks the seals, the size and the header.
    let attached = client.welcome(rsw_tests::PATIENCE).expect("welcome");
    assert_eq!(attached.plane.generation(), 1);
}

/// Patience does not help an agent that was given up; and one that is through with its work is not waited for.
#[test]
fn up_waits_for_no_agent_that_has_failed_or_is_done() {
    let place = Place::new();
    let agent = |code: u8, restart: &str| {
        format!(
            "[agent.short]\ncommand = [\"sh\", \"-c\", \"exit {code}\"]\nisolation = \"none\"\nrestart = \"{restart}\"\n\
             [agent.watcher]\nreplicas = 1\n"
        )
    };
    place.write("swarm.toml", &agent(3, "on-failure"));
    let done = place.run(&["up", "-d", "--wait=600", "--json"]);
    let error = done.error();
    assert_eq!((done.code, error["code"].as_str()), (1, Some("agent-failed")), "{error}");
    assert!(error["message"].as_str().expect("words").starts_with("short failed"), "{error}");
    let status = place.json(&["status"]);
    assert_eq!(
        (status["state"].as_str(), status["agents_failed"].as_u64(), &status["reasons"][0]),
        (Some("degraded"), Some(1), &"short is failed: exit code 3".into())
    );
    place.ok(&["down"]);

    place.write("swarm.toml", &agent(0, "never"));
    place.ok(&["up", "-d", "--wait=600"]);
    let status = place.json(&["status"]);
    assert_eq!(
        (status["agents_running"].as_u64(), status["agents_exited"].as_u64()),
        (Some(1), Some(1))
    );
    place.ok(&["down"]);
}
