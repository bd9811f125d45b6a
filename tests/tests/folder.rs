//! Which swarm of a folder is meant, however it is named, spelled or described by now; and what must not be touched.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rsw_schemas::exit;
use rsw_tests::{Place, wait_until};

#[test]
fn a_recording_of_another_name_is_not_purged_while_it_grows() {
    let place = Place::new();
    place.up(&[]);
    wait_until("something is recorded", || place.tick() > 20);
    let done = place.run(&["-p", "other", "down", "--purge", "--json"]);
    assert_eq!(done.code, i32::from(exit::CONFLICT), "{}", done.stdout);
    assert!(done.error()["message"].as_str().is_some_and(|text| text.contains("being recorded")));
    place.ok(&["down"]);
    let (published, recorded, lost) = place.verified();
    assert!(published == recorded && lost == 0, "{published}, {recorded}, {lost}");
    assert_eq!(place.json(&["-p", "other", "down", "--purge"])["purged"], true);
    assert_eq!(place.json(&["down", "--purge"])["purged"], false, "there is nothing left");
    assert_eq!(place.run(&["verify"]).code, i32::from(exit::NOT_FOUND));
}

#[test]
fn a_folder_is_the_same_however_it_is_spelled() {
    let place = Place::new();
    place.write("swarm.toml", "[recorder]\nenabled = false\n");
    let name = place.folder().file_name().expect("a name").to_owned();
    let around = format!("../{}", name.to_str().expect("text"));
    std::os::unix::fs::symlink(place.folder(), place.folder().join("again")).expect("a link");
    place.ok(&["-f", &around, "up", "-d", "--wait"]);
    let pid = place.pid("kernel");
    for spelled in [".", "swarm.toml", "again", "again/swarm.toml", "./again/."] {
        let ps = place.json(&["-f", spelled, "ps"]);
        let pids = ps["processes"].as_array().expect("processes").iter();
        assert!(pids.into_iter().any(|process| process["pid"] == pid), "{spelled}: {ps}");
        let again = place.run(&["-f", spelled, "up", "-d"]);
        assert_eq!(again.code, i32::from(exit::CONFLICT), "{spelled}: {}", again.stderr);
    }
    assert_eq!(place.json(&["-f", "again", "down"])["stopped"], true);
}

/// What runs is looked at and stopped whatever its file says by now; what does not run needs a file without errors.
#[test]
fn a_swarm_outlives_the_errors_of_its_file() {
    let place = Place::new();
    place.write("swarm.toml", "[recorder]\nenabled = false\n");
    place.up(&[]);
    for broken in ["[field]\nwave_sped = 1\n", "[field\n"] {
        place.write("swarm.toml", broken);
        for verb in [&["ps"][..], &["status"], &["peek"], &["logs"], &["events", "tail"]] {
            let done = place.ok(verb);
            assert!(done.stderr.contains("runtime validate"), "{verb:?}: {}", done.stderr);
        }
        // Whatever leaves a doubt is an error: another name, another file, none at all.
        place.write("other.toml", "[swarm]\nname = \"other\"\n[field]\nwave_sped = 1\n");
        for words in [
            &["-p", "none", "down"][..],
            &["-f", "other.toml", "down"],
            &["-f", "nowhere", "down"],
            &["--set", "field.sze=3", "down"],
        ] {
            assert_eq!(place.run(words).code, i32::from(exit::CONFIG), "{words:?}");
        }
        assert_eq!(place.run(&["validate"]).code, i32::from(exit::CONFIG));
    }
    assert_eq!(place.json(&["down"])["stopped"], true);
    assert_eq!(place.run(&["down"]).code, i32::from(exit::CONFIG));
}

#[test]
fn a_neighbour_is_named_and_a_look_leaves_nothing_behind() {
    let place = Place::new();
    place.ok(&["doctor"]);
    assert!(!place.ok(&["down"]).stderr.contains("killed"), "doctor looked, no swarm was there");
    place.ok(&["-p", "first", "up", "-d", "--wait"]);
    let missed = place.run(&["-p", "second", "ps"]);
    assert_eq!(missed.code, i32::from(exit::NOT_RUNNING));
    assert!(missed.stderr.contains("-p first"), "{}", missed.stderr);
    assert!(place.ok(&["-p", "second", "down"]).stderr.contains("-p first"));
    place.ok(&["-p", "first", "down"]);
}

#[test]
fn a_built_in_agent_has_the_name_that_it_was_given() {
    let place = Place::new();
    place.up(&[]);
    let mut agent =
        place.command(&["run", "--name", "mine", "agent-proc"]).spawn().expect("runtime");
    wait_until("it is there", || {
        let ps = place.json(&["ps"]);
        let mut all = ps["processes"].as_array().expect("processes").iter();
        all.any(|process| process["name"] == "mine")
    });
    let script = place.write("agent.sh", "#!/bin/sh\necho it runs\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).expect("its mode");
    let refused = place.run(&["run", "./agent.sh"]);
    assert_eq!(refused.code, i32::from(exit::PERMISSION), "{}", refused.stderr);
    assert!(refused.stderr.contains("it is a script"), "{}", refused.stderr);
    let folder = place.folder();
    let folder = folder.to_str().expect("text");
    let done = place.ok(&["run", "--read", folder, "--", "sh", "agent.sh"]);
    assert!(done.stdout.contains("it runs"), "{}", done.stdout);
    place.ok(&["down"]);
    agent.wait().expect("its end");
}

/// Whoever follows ends when nobody reads any more, also while there is nothing to print.
#[test]
fn a_reader_that_goes_ends_what_follows() {
    let place = Place::new();
    place.up(&[]);
    for verb in [
        &["logs", "-f", "-n", "1", "kernel"][..],
        &["events", "tail", "-f", "--kind", "joined", "--from", "oldest"],
    ] {
        let mut command = place.command(verb);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("runtime");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        assert!(!line.is_empty());
        drop(out);
        wait_until("it ends", || child.try_wait().expect("a state").is_some());
        assert!(child.wait().expect("its end").success(), "{verb:?}");
    }
    let done = place.run(&["events", "tail", "--from", "18446744073709551615", "--json"]);
    assert_eq!(done.code, i32::from(exit::NOT_FOUND), "{}", done.stdout);
    place.ok(&["down"]);
}
