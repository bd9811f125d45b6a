//! The recording when its disk is full, when its file is damaged, and when there is no place for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use rsw_schemas::exit;
use rsw_tests::{Place, alive, kill, number, wait_until};

/// A small file system of its own; unmounted when this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount; then there is nothing to test with.
    fn mount(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&path).expect("a folder");
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        eprintln!("skipped: mounting a small file system needs root");
        None
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let status =
            Command::new("mount").args(["-o", &options]).arg(&self.0).status().expect("mount");
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_outlived_and_accounted_for() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(place.folder().join("agentdb"), "3m") else { return };
    // A short memory, so that some of what is not written down is lost, and counted.
    place.write("swarm.toml", "[recorder]\nspool_events = 2048\nkeyframe_ticks = 0\n[ring]\nslots = 4096\n[field]\nsize = [64, 64]\n[metrics]\ntile = 16\n");
    place.up(&["--set", "tick.rate_hz=400"]);
    let pids = place.processes();
    let status = || place.json(&["status"]);
    wait_until("status says that the disk is full", || {
        let status = status();
        status["state"] == "degraded" && status["reasons"].to_string().contains("disk is full")
    });
    let (tick, recorded) = (place.tick(), number(&status()["recorded"]));
    wait_until("everybody else goes on", || place.tick() > tick + 2000);
    assert_eq!(place.processes(), pids, "nobody was restarted");
    disk.resize("200m");
    wait_until("it is written down again", || number(&status()["recorded"]) > recorded + 1000);
    wait_until("the swarm is well again", || status()["state"] == "running");
    assert_eq!(place.processes(), pids, "nobody was restarted");
    place.down_and_gone(&pids);
    let (_, _, lost) = place.verified();
    assert!(lost > 0, "the test is too gentle");
    let causes = place.rows("SELECT DISTINCT cause FROM rs_gap");
    assert_eq!(causes, [["overrun"]]);
    // The rows around each gap are there, and none is in it.
    let inside = place.rows(
        "SELECT count(*) FROM rs_every_event e JOIN rs_gap g ON e.run_id = g.run_id \
         WHERE e.seq >= g.from_seq AND e.seq < g.to_seq",
    );
    assert_eq!(inside, [[0]]);
}

fn recorded_once(place: &Place) -> PathBuf {
    place.ok(&["up", "--ticks", "200", "--set", "tick.rate_hz=0"]);
    let file = place.folder().join("agentdb/agentdb.sqlite");
    assert!(file.is_file());
    file
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_damaged_recording_is_set_aside_and_a_new_one_begins() {
    let place = Place::new();
    let file = recorded_once(&place);
    let mut bytes = std::fs::read(&file).expect("the database");
    let damaged = bytes.len() / 4..bytes.len() / 2;
    bytes[..100].fill(0xa5);
    bytes[damaged].fill(0xa5);
    std::fs::write(&file, &bytes).expect("the damage");
    place.up(&["--ticks", "200"]);
    wait_until("it ends", || place.run(&["status"]).code == i32::from(exit::NOT_RUNNING));
    let aside: Vec<String> = files(file.parent().expect("a folder"))
        .into_iter()
        .filter(|name| {
            name.contains("agentdb.sqlite")
                && std::fs::read(file.with_file_name(name)).is_ok_and(|kept| kept == bytes)
        })
        .collect();
    assert_eq!(
        aside.len(),
        1,
        "the damaged file is kept as it was: {:?}",
        files(file.parent().expect("a folder"))
    );
    let said = place.ok(&["logs", "recorder"]).stdout;
    assert!(said.contains("damaged") && said.contains(&aside[0]), "{said}");
    let (_, recorded, lost) = place.verified();
    assert!(recorded > 0 && lost == 0);
    assert_eq!(place.rows("SELECT count(*) FROM rs_run"), [[1]]);
}

#[test]
fn no_place_for_a_recording_is_an_error_at_once() {
    let place = Place::new();
    place.write("agentdb", "a file where the folder should be");
    let done = place.run(&["up", "--ticks", "10"]);
    assert_eq!(done.code, i32::from(exit::CONFIG), "{}", done.stdout);
    assert_eq!(
        done.stdout.lines().filter(|line| line.starts_with("attach at")).count(),
        0,
        "it is not up"
    );
    for word in ["agentdb", "recorder.dir", "no folder"] {
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    let detached = place.run(&["up", "-d", "--json"]);
    assert_eq!(detached.code, done.code);
    assert!(
        detached.error()["message"].as_str().is_some_and(|text| text.contains("agentdb")),
        "{}",
        detached.stderr
    );
    assert_eq!(place.run(&["status"]).code, i32::from(exit::NOT_RUNNING));
    std::fs::remove_file(place.folder().join("agentdb")).expect("the file");
    recorded_once(&place);
    place.verified();
}

#[test]
fn a_recording_that_another_swarm_writes_is_a_conflict() {
    let place = Place::new();
    place.up(&[]);
    let done = place.run(&["-p", "other", "up", "--json"]);
    assert_eq!(done.code, i32::from(exit::CONFLICT), "{}", done.stderr);
    let text = done.error().to_string();
    assert!(text.contains("agentdb") && text.contains("recorder.dir"), "{text}");
    place.ok(&["-p", "other", "up", "-d", "--set", "recorder.dir=elsewhere"]);
    place.ok(&["-p", "other", "down"]);
    place.ok(&["down"]);
    place.verified();
}

/// What is never written down is told by whoever ends the swarm, and not vouched for by whoever looks at the file.
#[test]
fn a_disk_that_stays_full_is_a_failure_of_down() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mount(place.folder().join("agentdb"), "600k") else { return };
    place.up(&["--set", "recorder.keyframe_ticks=0"]);
    wait_until("status says that the disk is full", || {
        place.json(&["status"])["reasons"].to_string().contains("disk is full")
    });
    let pids = place.processes();
    let done = place.run(&["down", "--json"]);
    assert_eq!(done.code, i32::from(exit::FAILURE), "{}", done.stdout);
    let error = done.error();
    assert!(error["message"].as_str().expect("words").contains("were written down"), "{error}");
    assert!(pids.iter().all(|(_, pid)| !alive(*pid)), "everybody has ended all the same");
    let verified = place.json(&["verify"]);
    assert_eq!(verified["runs"][0]["complete"], false, "{verified}");
    let told = place.ok(&["verify"]).stdout;
    assert!(told.contains("nobody wrote down its end"), "{told}");
}

/// The recorder outlives a killed supervisor, and with it whoever read its words: that costs no event.
#[test]
fn a_disk_that_comes_back_after_the_supervisor_is_gone_loses_nothing() {
    let place = Place::new();
    let mut child = place.foreground(&[]);
    place.wait_until_it_answers();
    place.ok(&["status", "--wait", "--timeout", "60"]);
    let recorder = place.pid("recorder");
    wait_until("something is recorded", || number(&place.json(&["status"])["recorded"]) > 100);
    file_size_limit(recorder, "4096:");
    let mut published = 0;
    wait_until("the recorder tells its trouble", || {
        let status = place.json(&["status"]);
        published = number(&status["published"]);
        status["reasons"].to_string().contains("the recorder's d")
    });
    kill(child.id());
    child.wait().expect("an end");
    file_size_limit(recorder, "unlimited:");
    wait_until("the recorder has ended", || !alive(recorder));
    let verified = place.json(&["verify"]);
    let run = &verified["runs"][0];
    assert_eq!((run["state"].as_str(), run["lost"].as_str()), (Some("interrupted"), Some("0")));
    assert!(number(&run["recorded"]) >= published, "{published} were published: {run}");
}

/// Sets the soft limit of a process.
fn file_size_limit(pid: u32, limit: &str) {
    let (pid, limit) = (pid.to_string(), format!("--fsize={limit}"));
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().expect("prlimit");
    assert!(status.success());
}
