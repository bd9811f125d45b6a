//! What a user may get wrong: each with the exit code, the name of the thing, the reason and the way out.

use rsw_schemas::exit;
use rsw_tests::{Place, number};

/// A command that must fail: what it is called with, its exit code, and the words that its user needs.
type Case<'a> = (&'a [&'a str], u8, &'a [&'a str]);

/// Runs every case, for people and for programs; nothing may be left running.
fn refuse(place: &Place, cases: &[Case<'_>]) {
    for (words, code, needed) in cases {
        let done = place.run(words);
        assert_eq!(
            done.code,
            i32::from(*code),
            "runtime {words:?}\n{}\n{}",
            done.stdout,
            done.stderr
        );
        // Lines are broken for people; words are not.
        let said = done
            .stderr
            .split_whitespace()
            .filter(|word| *word != "│")
            .collect::<Vec<_>>()
            .join(" ");
        for word in *needed {
            assert!(
                said.contains(word),
                "runtime {words:?} does not say \"{word}\":\n{}",
                done.stderr
            );
        }
        let mut json = words.to_vec();
        json.push("--json");
        let done = place.run(&json);
        assert_eq!(done.code, i32::from(*code), "runtime {json:?}\n{}", done.stderr);
        let error = done.error();
        assert!(error["code"].is_string(), "a word that scripts can compare: {error}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
        assert!(error["hint"].is_string(), "{error}");
    }
    let left: Vec<_> =
        std::fs::read_dir(place.run_base()).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn keys_and_values() {
    let place = Place::new();
    refuse(
        &place,
        &[
            (
                &["up", "--set", "field.sizee=3"],
                exit::CONFIG,
                &["unknown key `sizee`", "did you mean `size`?"],
            ),
            (
                &["up", "--set", "tik.rate_hz=3"],
                exit::CONFIG,
                &["unknown table `tik`", "did you mean `tick`?"],
            ),
            (
                &["up", "--set", "field.size=big"],
                exit::CONFIG,
                &["field.size", "expected two values", "such as"],
            ),
            (&["up", "--set", "field.damping=much"], exit::CONFIG, &["field.damping", "number"]),
            (
                &["up", "--set", "field.dt=3"],
                exit::CONFIG,
                &["field.dt", "limit", "use a dt of at most 0.70"],
            ),
            (
                &["up", "--set", "field.size=[0,64]"],
                exit::CONFIG,
                &["field.size", "0 is outside 1"],
            ),
            (
                &["up", "--scale", "watcher=1000000"],
                exit::CONFIG,
                &["1000000", "at most 4096 agents"],
            ),
            (
                &["up", "--scale", "watchr=2"],
                exit::CONFIG,
                &["no agent `watchr`", "did you mean `watcher`?"],
            ),
            (
                &["up", "--set", "source.a.at=[900,900]"],
                exit::CONFIG,
                &["source.a.at", "256 x 256", "0 to 255"],
            ),
            (&["up", "--set", "field"], exit::CONFIG, &["has no `=`", "--set key.path=value"]),
            (
                &["up", "--set", "agent.watcher.isolation=jail"],
                exit::CONFIG,
                &["isolation", "sandboxed"],
            ),
            (&["up", "-f", "nowhere.toml"], exit::CONFIG, &["nowhere.toml", "no such swarm file"]),
            (
                &["up", "--set", "agent.watcher.reads=[\"model.bin\"]"],
                exit::CONFIG,
                &["agent.watcher.reads", "model.bin does not exist"],
            ),
            (
                &["up", "--dry-run", "--set", "agent.watcher.command=[\"nope-not-there\"]"],
                exit::CONFIG,
                &["\"nope-not-there\" does not exist"],
            ),
            (&["up", "--wait=nan"], exit::USAGE, &["--wait"]),
            (&["down", "-t", "nan"], exit::USAGE, &["--grace"]),
            (&["status", "--timeout", "-1"], exit::USAGE, &[]),
        ],
    );
}

#[test]
fn a_swarm_file_with_many_faults_shows_all_of_them_where_they_are() {
    let place = Place::new();
    place.write(
        "swarm.toml",
        "[field]\nsizee = [3, 3]\ndt = \"fast\"\n[recorder]\nmode = \"losless\"\n",
    );
    let done = place.run(&["validate"]);
    assert_eq!(done.code, i32::from(exit::CONFIG));
    for word in
        ["swarm.toml:2", "sizee", "swarm.toml:3", "dt", "swarm.toml:5", "losless", "lossless"]
    {
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
    place.write("swarm.toml", "[field\nsize = 3\n");
    refuse(&place, &[(&["up"], exit::CONFIG, &["swarm.toml:1"])]);
}

#[test]
fn recordings_that_cannot_drive() {
    let place = Place::new();
    place.write("empty.csv", "");
    place.write("head.csv", "time,a,b\n");
    place.write("words.csv", "a,b\nred,green\nblue,grey\n");
    place.write("ragged.csv", "a,b\n1,2\n3\n");
    std::fs::create_dir(place.folder().join("folder.csv")).expect("a folder");
    refuse(
        &place,
        &[
            (&["up", "--drive", "empty.csv"], exit::CONFIG, &["empty.csv", "the file is empty"]),
            (&["up", "--drive", "head.csv"], exit::CONFIG, &["head.csv", "no row"]),
            (&["up", "--drive", "words.csv"], exit::CONFIG, &["words.csv", "numeric"]),
            (&["up", "--drive", "ragged.csv"], exit::CONFIG, &["ragged.csv", "3"]),
            (&["up", "--drive", "folder.csv"], exit::CONFIG, &["folder.csv", "folder"]),
            (&["up", "--drive", "nowhere.csv"], exit::CONFIG, &["nowhere.csv", "No such file"]),
        ],
    );
}

#[test]
fn sources_that_have_no_samples() {
    let place = Place::new();
    place.write("mixed.csv", "t,a,b\n0,1,2\n1,x,3\n2,4,5\n");
    let source = |column: &str| {
        format!("[source.s]\nat = [9, 9]\ncsv = \"mixed.csv\"\ncolumn = \"{column}\"\n")
    };
    place.write("swarm.toml", &source("c"));
    refuse(&place, &[(&["up"], exit::CONFIG, &["mixed.csv", "column `c`", "a"])]);
    place.write("swarm.toml", &source("a"));
    refuse(&place, &[(&["up"], exit::CONFIG, &["mixed.csv", "a", "x"])]);
    place.write("swarm.toml", &source("b"));
    place.ok(&["up", "--ticks", "3", "--set", "tick.rate_hz=0"]);
    // As a recording too: a column that is mostly numbers has no business with a word.
    refuse(&place, &[(&["up", "--drive", "mixed.csv"], exit::CONFIG, &["mixed.csv", "a", "x"])]);
    // A column of words is left out, and its user is told.
    place.write("words.csv", "t,a,b\n0,up,2\n1,down,3\n2,up,5\n");
    let done = place.ok(&["up", "--drive", "words.csv", "--ticks", "3", "--set", "tick.rate_hz=0"]);
    assert!(done.stderr.contains("a: ignored (text"), "{}", done.stderr);
}

#[test]
fn cells_that_are_not_numbers_are_bridged_counted_and_told() {
    let place = Place::new();
    place.write("holes.csv", "t,a,b\n0,1,2\n1,,3\n2,NaN,5\n3,4,4\n4,5,inf\n5,6,6\n");
    let done = place.ok(&["up", "--drive", "holes.csv", "--ticks", "6", "--set", "tick.rate_hz=0"]);
    assert!(done.stderr.contains("a: source and agent a, 2 cells missing"), "{}", done.stderr);
    assert!(done.stderr.contains("b: source and agent b, 1 cell missing"), "{}", done.stderr);
    let gap = rsw_schemas::event::EventKind::Gap as u16;
    assert_eq!(place.rows(&format!("SELECT count(*) FROM rs_event WHERE kind = {gap}")), [[2]]);
    assert_eq!(place.rows("SELECT count(*), count(drive) FROM rs_metric_point"), [[12, 12]]);
    place.verified();
}

#[test]
fn a_field_that_does_not_fit_is_refused_before_anything_starts() {
    let place = Place::new();
    let most = "field.size=[32768,32768]";
    refuse(
        &place,
        &[(&["up", "--set", most], exit::CONFIG, &["field.size", "16384 x 16384 is the largest"])],
    );
    let publish = r#"field.publish=["ci","wave","coherence","gain","dwell"]"#;
    // What a recorder can keep in a row is less.
    let bare = "recorder.enabled=false";
    let large = ["up", "--set", "field.size=[16384,16384]", "--set", publish, "--set", bare];
    let mut dry = large.to_vec();
    dry.push("--dry-run");
    let needed = number(&place.json(&dry)["plane_bytes"]);
    let free = rsw_os::shm::available_memory_bytes().expect("the memory of this machine");
    if needed <= free {
        eprintln!("skipped: the largest field needs {needed} bytes, and this machine has {free}");
        return;
    }
    refuse(
        &place,
        &[(&large, exit::FAILURE, &["of memory", "are available", "make field.size smaller"])],
    );
}

#[test]
fn names_that_nobody_has() {
    let place = Place::new();
    place.ok(&["up", "--ticks", "5", "--set", "tick.rate_hz=0"]);
    refuse(
        &place,
        &[
            (&["up", "watchr"], exit::NOT_FOUND, &["no agent `watchr`", "did you mean `watcher`?"]),
            (
                &["logs", "kernl"],
                exit::NOT_FOUND,
                &["no process `kernl`", "did you mean `kernel`?"],
            ),
            (&["field", "show", "cii"], exit::NOT_FOUND, &["cii", "wave"]),
            (&["ps", "-p", "nobody"], exit::NOT_RUNNING, &["\"nobody\"", "runtime up"]),
            (&["peek", "ci"], exit::NOT_RUNNING, &["does not run", "runtime up"]),
            (&["verify", "--dir", "nowhere"], exit::NOT_FOUND, &["nowhere", "--dir"]),
            (&["query", "--dir", "nowhere", "SELECT 1"], exit::NOT_FOUND, &["nowhere", "--dir"]),
        ],
    );
}

#[test]
fn sql_that_is_no_question() {
    let place = Place::new();
    place.ok(&["up", "--ticks", "5", "--set", "tick.rate_hz=0"]);
    refuse(
        &place,
        &[
            (&["query", "DELETE FROM rs_run"], exit::USAGE, &["read-only", "SELECT"]),
            (&["query", "PRAGMA journal_mode = DELETE"], exit::USAGE, &["read-only"]),
            (&["query", "ATTACH 'x.db' AS x"], exit::USAGE, &[]),
            (&["query", "SELEC 1"], exit::USAGE, &["syntax error", "sqlite_schema"]),
            (
                &["query", "SELECT * FROM rs_runs"],
                exit::USAGE,
                &["no such table: rs_runs", "sqlite_schema"],
            ),
            (&["query", "SELECT 1; DELETE FROM rs_run"], exit::USAGE, &["more than one"]),
        ],
    );
    assert_eq!(place.rows("SELECT count(*) FROM rs_run"), [[1]]);
    assert!(!place.folder().join("x.db").exists());
    place.verified();
}
