//! The recorder process: a run from start to stop, and everything that may go wrong on the way.
#![allow(clippy::unwrap_used)] // helpers outside of #[test] functions are tests, too

mod common;

use common::process::*;
use recorder::database::FILE_NAME;
use rsw_attach::RecorderWord;
use rsw_schemas::exit;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde_json::{Value, json};

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

/// The only run of a recording that must be in order.
fn verified(dir: &std::path::Path) -> Value {
    let answer = json(&["verify"], dir);
    assert_eq!(answer["ok"], true, "{answer:#}");
    let run = answer["runs"][0].clone();
    let lost: u64 = run["gaps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gap| number(&gap["to"]) - number(&gap["from"]))
        .sum();
    assert_eq!(number(&run["lost"]), lost);
    assert_eq!(number(&run["published"]), number(&run["recorded"]) + lost);
    run
}

#[test]
fn a_run_of_two_generations_is_recorded_and_can_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::ready(dir.path(), 1);
    let mut first = Kernel::new(1, 1, 0, 4096);
    recorder.give(&first);
    first.ticks(20);
    recorder.wait_durable(first.cursor()); // So that there is a frame of the first twenty ticks.
    first.ticks(80);
    recorder.wait_durable(first.cursor());
    assert_eq!(recorder.word(RecorderWord::Drained), first.cursor());
    assert_eq!(recorder.word(RecorderWord::Trouble), 0);
    let while_recording = verified(dir.path());
    assert_eq!(while_recording["state"], "recording");

    let mut second = Kernel::new(1, 2, first.cursor(), 4096);
    second.tick = 90; // It goes on from a checkpoint and runs ten ticks again.
    recorder.end(&first.ended());
    recorder.give(&second);
    second.ticks(60);
    recorder.wait_done(1);
    recorder.wait_durable(second.cursor());
    let (status, stderr) = recorder.stop();
    assert!(status.success(), "{stderr}");
    assert_eq!(stderr, "");

    let run = verified(dir.path());
    assert_eq!((&run["recorded"], &run["lost"]), (&json!("800"), &json!("0")));
    assert_eq!(run["state"], "ended");
    ask(dir.path());
}

/// The commands that read, on the run above.
fn ask(dir: &std::path::Path) {
    let runs = json(&["runs"], dir);
    assert_eq!(runs["runs"][0]["last_tick"], 150);
    assert_eq!(runs["runs"][0]["generations"], 2);

    let answer = json(
        &[
            "query",
            "SELECT count(*) AS n, max(t_ns) * 10000000000 AS big, x'01ff' AS b, NULL AS z FROM rs_tick",
        ],
        dir,
    );
    assert_eq!(answer["schema"], "rsw.query/1");
    assert_eq!(answer["columns"], json!(["n", "big", "b", "z"]));
    let big = (150 * 10_000_000i64).wrapping_mul(10_000_000_000);
    let big = if big > 0 { json!(big.to_string()) } else { answer["rows"][0][1].clone() };
    assert_eq!(answer["rows"], json!([[150, big, {"hex": "01ff"}, null]]));
    let text = command(&["query", "SELECT agent_id, name FROM rs_agent ORDER BY 1"], dir);
    assert_eq!(
        String::from_utf8_lossy(&text.stdout),
        "agent_id  name\n1         left\n2         right\n"
    );

    // The last frame is there although no keyframe was due, and it is what the kernel published.
    let raw = dir.join("ci.raw");
    let out = raw.to_str().unwrap();
    std::fs::write(&raw, "what was there").unwrap();
    let before = std::fs::File::open(&raw).unwrap();
    let meta = command(&["field", "--name", "ci", "--out", out], dir);
    let meta: Value = serde_json::from_slice(&meta.stdout).unwrap();
    assert_eq!((&meta["tick"], &meta["nx"], &meta["ny"]), (&json!(150), &json!(NX), &json!(NY)));
    let cells = std::fs::read(&raw).unwrap();
    assert_eq!(cells.len(), (NX * NY * 4) as usize);
    // Another file has its place: a write that failed would not have touched it.
    assert_eq!(std::io::read_to_string(before).unwrap(), "what was there");
    assert_eq!(cells[..4], (150f32 * 0.1).sin().to_le_bytes());
    let early = command(&["field", "--name", "wave", "--tick", "31"], dir);
    let line = early.stdout.split(|byte| *byte == b'\n').next().unwrap();
    let early: Value = serde_json::from_slice(line).unwrap();
    assert!(early["tick"].as_i64().unwrap() <= 31, "{early}");
    assert_eq!(
        command(&["field", "--name", "none"], dir).status.code(),
        Some(i32::from(exit::NOT_FOUND))
    );

    let similar = json(&["similar", "--window", "1", "-k", "5"], dir);
    let matches = similar["matches"].as_array().unwrap();
    assert_eq!(matches.len(), 5);
    assert!(matches.iter().all(|found| found["window"] != 1));
    let distances: Vec<f64> = matches.iter().map(|m| m["distance"].as_f64().unwrap()).collect();
    assert!(distances.is_sorted());
    assert_eq!(matches[0]["agent_id"], similar["window"]["agent_id"]);
}

#[test]
fn what_would_change_the_recording_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (status, _) = Recorder::ready(dir.path(), 1).stop();
    assert!(status.success());
    for sql in [
        "DELETE FROM rs_event",
        "SELECT 1; SELECT 2",
        "",
        "SELECT nothing",
        "VACUUM",
        "PRAGMA user_version = 9",
    ] {
        let output = command(&["query", sql, "--json"], dir.path());
        assert_eq!(output.status.code(), Some(i32::from(exit::USAGE)), "{sql}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["code"], "usage", "{sql}: {error}");
        assert!(!error["error"]["hint"].as_str().unwrap().is_empty());
    }
    let nowhere = tempfile::tempdir().unwrap();
    let output = command(&["verify", "--json"], nowhere.path());
    assert_eq!(output.status.code(), Some(i32::from(exit::NOT_FOUND)));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Recorder::ready(dir.path(), 1).stop().0.success());
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT i FROM n";
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_recorder"))
        .args(["query", sql, "--dir"])
        .arg(dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_recorder_killed_at_any_instant_resumes_without_a_duplicate_or_a_hole() {
    let dir = tempfile::tempdir().unwrap();
    let mut kernels = vec![Kernel::new(7, 1, 0, 1024)];
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..25 {
        let mut recorder = Recorder::ready(dir.path(), 7);
        for (at, kernel) in kernels.iter().enumerate() {
            recorder.give(kernel);
            if at + 1 < kernels.len() {
                recorder.end(&kernel.ended());
            }
        }
        let kernel = kernels.last_mut().unwrap();
        for _ in 0..random(40) {
            kernel.ticks(random(60));
            std::thread::sleep(std::time::Duration::from_micros(random(3000)));
        }
        if round % 6 == 5 {
            // The kernel dies, too; the recorder may or may not live to hear of it.
            let ended = kernel.ended();
            recorder.end(&ended);
            let mut next = Kernel::new(7, ended.generation + 1, ended.end_sequence, 1024);
            next.tick = kernel.tick;
            recorder.give(&next);
            next.ticks(random(30));
            kernels.push(next);
        }
        recorder.hear();
        let done = recorder.done.iter().map(|note| note.generation).max().unwrap_or(0);
        recorder.kill();
        verified(dir.path());
        kernels.retain(|kernel| kernel.note.generation > done);
        // Events that nobody records until the next round.
        kernels.last_mut().unwrap().ticks(random(400));
    }
    let recorder = Recorder::ready(dir.path(), 7);
    for kernel in &kernels {
        recorder.give(kernel);
        if kernel.note.generation < kernels.last().unwrap().note.generation {
            recorder.end(&kernel.ended());
        }
    }
    let (status, stderr) = recorder.stop();
    assert!(status.success(), "{stderr}");
    let run = verified(dir.path());
    assert_eq!(number(&run["published"]), kernels.last().unwrap().cursor());
    assert!(number(&run["recorded"]) > 0);
    for gap in run["gaps"].as_array().unwrap() {
        assert!(gap["cause"] == "recorder_restart" || gap["cause"] == "overrun", "{gap}");
    }
}

#[test]
fn an_overrun_is_counted_to_the_event() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::ready(dir.path(), 1);
    let mut kernel = Kernel::new(1, 1, 0, 1024);
    recorder.give(&kernel);
    kernel.ticks(50);
    let before = kernel.cursor();
    recorder.wait_durable(before);
    recorder.signal(Signal::STOP);
    wait_stopped(&recorder);
    kernel.ticks(1000);
    recorder.signal(Signal::CONT);
    recorder.wait_durable(kernel.cursor());
    assert_eq!(recorder.word(RecorderWord::Lost), 5000 - 1024);
    assert!(recorder.stop().0.success());
    let run = verified(dir.path());
    assert_eq!(
        run["gaps"],
        json!([{"from": before.to_string(),
        "to": (kernel.cursor() - 1024).to_string(), "cause": "overrun"}])
    );
}

fn wait_stopped(recorder: &Recorder) {
    let pid = recorder.child.id();
    wait_until("SIGSTOP", || rsw_os::process::status(pid).unwrap().state == 'T');
}

#[test]
fn a_disk_that_refuses_costs_memory_then_exact_gaps_and_no_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::start(dir.path(), 1, 2048);
    recorder.wait_ready();
    let mut kernel = Kernel::new(1, 1, 0, 1024);
    recorder.give(&kernel);
    kernel.ticks(20);
    recorder.wait_durable(kernel.cursor());
    let pid = Some(Pid::from_child(&recorder.child));
    let no_writes = Rlimit { current: Some(1), maximum: None };
    rustix::process::prlimit(pid, Resource::Fsize, no_writes).unwrap();
    kernel.ticks(20);
    wait_until("trouble", || recorder.word(RecorderWord::Trouble) != 0);
    kernel.ticks(4000);
    // The spool is full, the ring has gone round, and the process is still there and says so.
    let drained = recorder.word(RecorderWord::Drained);
    assert!(drained < kernel.cursor() - 1024, "{drained}");
    let free = Rlimit { current: None, maximum: None };
    rustix::process::prlimit(pid, Resource::Fsize, free).unwrap();
    recorder.wait_durable(kernel.cursor());
    wait_until("trouble over", || recorder.word(RecorderWord::Trouble) == 0);
    let lost = recorder.word(RecorderWord::Lost);
    kernel.ticks(10);
    recorder.wait_durable(kernel.cursor());
    let (status, stderr) = recorder.stop();
    assert!(status.success(), "{stderr}");
    assert!(stderr.contains("trying again") && stderr.contains("takes commits again"), "{stderr}");
    let run = verified(dir.path());
    assert!(lost > 0);
    assert_eq!(number(&run["lost"]), lost);
    assert_eq!(number(&run["published"]), kernel.cursor());
}

#[test]
fn a_full_file_system_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(dir.path())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no right to mount a small file system");
        return;
    }
    let recorder = Recorder::ready(dir.path(), 1);
    let mut kernel = Kernel::new(1, 1, 0, 1024);
    recorder.give(&kernel);
    kernel.ticks(20);
    recorder.wait_durable(kernel.cursor());
    let ballast = dir.path().join("ballast");
    let full =
        std::io::copy(&mut std::io::repeat(1), &mut std::fs::File::create(&ballast).unwrap());
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    wait_until("disk full", || {
        kernel.ticks(5);
        recorder.word(RecorderWord::Trouble) == 1
    });
    kernel.ticks(1000);
    std::fs::remove_file(&ballast).unwrap();
    recorder.wait_durable(kernel.cursor());
    assert!(recorder.stop().0.success());
    let run = verified(dir.path());
    assert_eq!(number(&run["published"]), kernel.cursor());
    let unmounted = std::process::Command::new("umount").arg(dir.path()).status();
    assert!(unmounted.unwrap().success());
}

#[test]
fn a_plane_that_never_came_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::ready(dir.path(), 1);
    let mut second = Kernel::new(1, 2, 40, 1024);
    second.ticks(3);
    recorder.give(&second);
    // Its cursor was 60 when its writer died, but only 55 events are in its ring.
    let note = rsw_schemas::wire::GenerationNote { end_sequence: 60, ..second.note };
    recorder.end(&note);
    recorder.wait_durable(60); // Although nothing but a gap came since.
    recorder.wait_done(2);
    let mut fourth = Kernel::new(1, 4, 70, 1024);
    fourth.ticks(2);
    recorder.give(&fourth);
    recorder.wait_durable(80);
    assert!(recorder.stop().0.success());
    let run = verified(dir.path());
    let gap = |from: u64, to: u64| json!({"from": from.to_string(), "to": to.to_string(), "cause": "generation_lost"});
    assert_eq!(run["gaps"], json!([gap(0, 40), gap(55, 70)]));
}

#[test]
fn sigterm_ends_a_run_a_supervisor_that_is_gone_interrupts_it_and_ctrl_c_does_neither() {
    for (by_signal, state) in [(true, "ended"), (false, "interrupted")] {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::ready(dir.path(), 1);
        let mut kernel = Kernel::new(1, 1, 0, 4096);
        recorder.give(&kernel);
        kernel.ticks(10);
        recorder.signal(Signal::INT);
        recorder.wait_durable(kernel.cursor());
        if by_signal {
            recorder.signal(Signal::TERM);
        } else {
            kernel.ticks(300); // What is in the ring at that moment is recorded all the same.
            recorder.socket = None;
        }
        let (status, stderr) = recorder.wait();
        assert!(status.success(), "{stderr}");
        assert!(!dir.path().join(format!("{FILE_NAME}-wal")).exists(), "the log was not emptied");
        let run = verified(dir.path());
        assert_eq!((&run["state"], number(&run["published"])), (&json!(state), kernel.cursor()));
        let published = json(&["query", "SELECT published FROM rs_run"], dir.path());
        assert_eq!(published["rows"], json!([[kernel.cursor()]]));
    }
}

#[test]
fn a_run_that_was_cut_off_is_closed_by_the_next_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::ready(dir.path(), 1);
    let mut kernel = Kernel::new(1, 1, 0, 1024);
    recorder.give(&kernel);
    kernel.ticks(10);
    recorder.wait_durable(kernel.cursor());
    recorder.kill();
    assert_eq!(verified(dir.path())["state"], "recording");
    assert!(Recorder::ready(dir.path(), 2).stop().0.success());
    let run = verified(dir.path());
    assert_eq!((&run["state"], &run["published"]), (&json!("interrupted"), &json!("50")));
    let sql = "SELECT published, ended_wall_ns >= started_wall_ns FROM rs_run WHERE run_id = 1";
    assert_eq!(json(&["query", sql], dir.path())["rows"], json!([[50, 1]]));
}

#[test]
fn a_resumed_recorder_is_ready_with_its_cursor_on_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut kernel = Kernel::new(1, 1, 0, 1024);
    let recorder = Recorder::ready(dir.path(), 1);
    recorder.give(&kernel);
    kernel.ticks(10);
    recorder.wait_durable(kernel.cursor());
    recorder.kill();
    let recorder = Recorder::ready(dir.path(), 1);
    for word in [RecorderWord::Drained, RecorderWord::Durable, RecorderWord::Recorded] {
        assert_eq!(recorder.word(word), 50, "{word:?}");
    }
    assert!(recorder.stop().0.success());
}

#[test]
fn a_kernel_restart_on_a_full_disk_leaves_the_heart_beating() {
    for cured in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::start(dir.path(), 1, 2048);
        recorder.wait_ready();
        let mut first = Kernel::new(1, 1, 0, 1024);
        recorder.give(&first);
        first.ticks(20);
        recorder.wait_durable(first.cursor());
        let pid = Some(Pid::from_child(&recorder.child));
        let no_writes = Rlimit { current: Some(1), maximum: None };
        rustix::process::prlimit(pid, Resource::Fsize, no_writes).unwrap();
        wait_until("trouble", || {
            first.tick();
            recorder.word(RecorderWord::Trouble) != 0
        });
        first.ticks(4000);
        let mut second = Kernel::new(1, 2, first.cursor(), 1024);
        recorder.end(&first.ended());
        recorder.give(&second);
        // More beats than there are looks before the wait for a spool that stays full.
        let mut last = 0;
        for _ in 0..100 {
            wait_until("a beat", || {
                let beat = recorder.word(RecorderWord::HeartbeatMonoNs);
                std::mem::replace(&mut last, beat) != beat
            });
        }
        assert_ne!(recorder.word(RecorderWord::Trouble), 0);
        second.ticks(10);
        if !cured {
            let (status, stderr) = recorder.stop();
            assert_eq!(status.code(), Some(i32::from(exit::FAILURE)), "{stderr}");
            assert!(stderr.contains("not recorded"), "{stderr}");
            assert_eq!(verified(dir.path())["state"], "recording");
            continue;
        }
        let free = Rlimit { current: None, maximum: None };
        rustix::process::prlimit(pid, Resource::Fsize, free).unwrap();
        recorder.wait_done(1);
        recorder.wait_durable(second.cursor());
        let (status, stderr) = recorder.stop();
        assert!(status.success(), "{stderr}");
        let run = verified(dir.path());
        assert_eq!(number(&run["published"]), second.cursor());
        assert!(number(&run["lost"]) > 0);
    }
}

#[test]
fn every_program_of_this_crate_says_its_name_and_version() {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_recorder")).arg("--version").output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(text, format!("recorder {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_keeps_it_from_starting_is_told_to_the_supervisor() {
    let dir = tempfile::tempdir().unwrap();
    let holder = Recorder::ready(dir.path(), 1);
    let no_right = std::path::Path::new("/sys/rsw-recorder-test");
    for (dir, code) in [(dir.path(), exit::CONFLICT), (no_right, exit::PERMISSION)] {
        let mut recorder = Recorder::start(dir, 2, 1024);
        let (status, stderr) = recorder.wait();
        assert_eq!(status.code(), Some(i32::from(code)), "{stderr}");
        let (told, text) = recorder.words().unwrap();
        assert_eq!(told, u32::from(code));
        assert!(text.contains(dir.to_str().unwrap()), "{text}");
    }
    assert!(holder.stop().0.success());
}

#[test]
fn a_damaged_recording_is_set_aside_aloud() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, [0x5a; 10_000]).unwrap();
    let output = command(&["verify"], dir.path());
    assert_eq!(output.status.code(), Some(i32::from(exit::CHECK_FAILED)));
    let (status, stderr) = Recorder::ready(dir.path(), 1).stop();
    assert!(status.success());
    assert!(stderr.contains("was damaged") && stderr.contains(".corrupt-"), "{stderr}");
    verified(dir.path());
    let kept = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains(".corrupt-"))
        .unwrap();
    assert!(std::fs::read(kept).unwrap() == [0x5a; 10_000]);
    let note = json(&["query", "SELECT value FROM rs_meta WHERE key LIKE 'note.%'"], dir.path());
    assert!(note["rows"][0][0].as_str().unwrap().contains("damaged"), "{note}");
}
