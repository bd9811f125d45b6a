//! Bad swarm files and flags, with the exact diagnostics.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

use std::fs;

use rsw_config::{Source, load};

const CSV: &str = "timestamp,ankle_vert,leg\n0,1.5,2\n1,1.7,3\n";

/// `line:column key: message; help` of every diagnostic for a file beside `rec.csv`.
fn errors(file: &str) -> Vec<String> {
    with(file, |_| {})
}

fn with(file: &str, change: impl FnOnce(&mut Source)) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("swarm.toml"), file).unwrap();
    fs::write(folder.path().join("rec.csv"), CSV).unwrap();
    let mut source = Source::in_folder(folder.path());
    change(&mut source);
    let Err(errors) = load(source) else { panic!("accepted: {file}") };
    let folder = format!("{}/", folder.path().display());
    errors
        .diagnostics
        .iter()
        .map(|diagnostic| {
            diagnostic.to_string().replace(&folder, "").replacen("swarm.toml:", "", 1)
        })
        .collect()
}

#[track_caller]
fn one(file: &str, expected: &str) {
    assert_eq!(errors(file), [expected], "{file}");
}

#[test]
fn unknown_tables_and_keys_get_a_suggestion() {
    one("[feild]\nsize = [8, 8]", "1:2: feild: unknown table `feild`; did you mean `field`?");
    one(
        "[field]\nboundry = \"periodic\"",
        "2:1: field.boundry: unknown key `boundry`; did you mean `boundary`?",
    );
    one("[ring]\nqqq = 1", "2:1: ring.qqq: unknown key `qqq`; known: slots");
    one("version = 2", "1:11: version: this program reads version 1 of the file; version = 1");
    one("field = 3", "1:9: field: expected a table; [field]");
    one("[agent]\nw = 3", "2:5: agent.w: expected a table; [agent.w]");
    one(
        "[agent.\"a b\"]",
        "1:8: agent.a b: `a b` contains ' '; letters, digits, `_` and `-`, at most 32",
    );
}

#[test]
fn values_of_the_wrong_type_or_outside_their_range() {
    let size = "cells along x and y, each from 1 to 32768, such as [256, 256]";
    let table = [
        ("[field]\nsize = [0, 8]", format!("2:9: field.size: 0 is outside 1..=32768; {size}")),
        ("[field]\nsize = 8", format!("2:8: field.size: expected two values, found the number 8; {size}")),
        ("[field]\nsize = [8]", format!("2:8: field.size: expected two values, found 1; {size}")),
        (
            "[field]\nsize = [8, \"x\"]",
            format!("2:12: field.size: expected a whole number, found the text \"x\"; {size}"),
        ),
        (
            "[field]\nsize = [40000, 8]",
            format!("2:9: field.size: 40000 is outside 1..=32768; {size}"),
        ),
        (
            "[field]\nsize = [32768, 32768]",
            "2:8: field.size: 32768 x 32768 cells are more than 268435456; \
             16384 x 16384 is the largest square"
                .into(),
        ),
        (
            "[field]\nsize = [16384, 16384]",
            "2:8: field.size: a frame of 16384 x 16384 cells is more than a row of the recording takes; \
             15800 x 15800 is about the largest square; or recorder.enabled = false"
                .into(),
        ),
        (
            "[field]\nspacing = [1.0, 0.0]",
            "2:17: field.spacing: 0.0 is not above 0; dx and dy, from 1e-30 to 1e30, such as [1.0, 1.0]".into(),
        ),
        (
            "[field]\nwave_speed = -1",
            "2:14: field.wave_speed: -1 is not above 0; \
             a speed from 1e-30 to 1e30 in length units per time unit"
                .into(),
        ),
        (
            "[field]\ndamping = nan",
            "2:11: field.damping: nan is not a finite number; a rate from 0 in 1 per time unit".into(),
        ),
        (
            "[metrics]\nalpha = 1e999",
            "2:9: metrics.alpha: 1e999 is not a finite number; a number from 0 to 1e12".into(),
        ),
        (
            "[field]\nboundary = \"absorbent\"",
            "2:12: field.boundary: `absorbent` is not one of dirichlet, neumann, periodic, absorbing, \
             engquist-majda, sponge; did you mean `absorbing`?"
                .into(),
        ),
        (
            "[field]\nfeedback = \"phi5\"",
            "2:12: field.feedback: `phi5` is not one of none, sine-gordon, phi4, relu; did you mean `phi4`?"
                .into(),
        ),
        (
            "[field]\npublish = [\"wave\", \"gian\"]",
            "2:20: field.publish: `gian` is not one of wave, ci, coherence, gain, dwell, ci_total; \
             did you mean `gain`?"
                .into(),
        ),
        (
            "[field]\npublish = [\"ci\", \"ci\"]",
            "2:11: field.publish: `ci` is there twice; name each field once".into(),
        ),
        (
            "[ring]\nslots = 1000",
            "2:9: ring.slots: 1000 is not a power of two; did you mean `1024`?".into(),
        ),
        (
            "[ring]\nslots = 32",
            "2:9: ring.slots: 32 is outside 64..=16777216; a power of two from 64 to 16777216".into(),
        ),
        (
            "[tick]\nrate_hz = 1e-300",
            "2:11: tick.rate_hz: 1e-300 is neither 0 nor at least 0.001; \
             ticks per second from 0.001 to 1000000; 0 is as fast as it can"
                .into(),
        ),
        (
            "[tick]\nrate_hz = -0.5",
            "2:11: tick.rate_hz: -0.5 is below 0; \
             ticks per second from 0.001 to 1000000; 0 is as fast as it can"
                .into(),
        ),
        (
            "[tick]\nrate_hz = 1e7",
            "2:11: tick.rate_hz: 1e7 is above 1000000; \
             ticks per second from 0.001 to 1000000; 0 is as fast as it can"
                .into(),
        ),
        ("[metrics]\nwindow = 8", "2:10: metrics.window: 8 is even; did you mean `9`?".into()),
        (
            "[metrics]\na_ref = 1e-40",
            "2:9: metrics.a_ref: 1e-40 is below 1e-12; a number from 1e-12 to 1e12".into(),
        ),
        (
            "[metrics]\nalpha = 1e39",
            "2:9: metrics.alpha: 1e39 is above 1000000000000; a number from 0 to 1e12".into(),
        ),
        (
            "[metrics]\nd_exponent = -0.5",
            "2:14: metrics.d_exponent: -0.5 is below 0; a number from 0 to 64".into(),
        ),
        (
            "[field]\nwave_speed = 1e-170",
            "2:14: field.wave_speed: 1e-170 is below 1e-30; \
             a speed from 1e-30 to 1e30 in length units per time unit".into(),
        ),
        (
            "[band.x]\nlow_hz = 1e-9\nhigh_hz = 1.0",
            "2:10: band.x.low_hz: 0.000000001 Hz is below a millionth of the tick rate, 100 Hz; \
             raise the band, or lower tick.rate_hz".into(),
        ),
        (
            "[metrics]\nthreshold = 1e39",
            "2:13: metrics.threshold: `1e39` is beyond single precision; a number from 0, or a quantile such as \"q:0.75\"".into(),
        ),
        (
            "[metrics]\nthreshold = \"q:2\"",
            "2:13: metrics.threshold: `2` is not a quantile from 0 to 1; \
             a number from 0, or a quantile such as \"q:0.75\""
                .into(),
        ),
        (
            "[band.slow]\nlow_hz = 4\nhigh_hz = 4",
            "3:11: band.slow.high_hz: 4 Hz is not above low_hz = 4; a band has a width".into(),
        ),
        (
            "[band.fast]\nlow_hz = 13\nhigh_hz = 50",
            "3:11: band.fast.high_hz: 50 Hz is not below half of the tick rate, 50 Hz; \
             lower the band, or raise tick.rate_hz"
                .into(),
        ),
        (
            "[band.x]\nlow_hz = 1\nhigh_hz = 2\nhalf = 1e-46",
            "4:8: band.x.half: 0.0000000000000000000000000000000000000000000001 is beyond single precision, \
             in which fields are measured; a number from 1e-12 to 1e12"
                .into(),
        ),
        (
            "[band.x]\nlow_hz = 1\nhigh_hz = 2\nweight = 1e50",
            "4:10: band.x.weight: 1e50 is above 1000000000000; a number from 0 to 1e12".into(),
        ),
        (
            "[field]\npublish = [\"ci_total\"]",
            "2:11: field.publish: `ci_total` is the sum over bands, and there is none; \
             add a [band.NAME] with low_hz and high_hz, or publish `ci`"
                .into(),
        ),
        (
            "[metrics]\nbox_min = 8\nbox_max = 8",
            "3:11: metrics.box_max: 8 is not above box_min = 8; \
             a fit needs at least two box sizes"
                .into(),
        ),
        (
            "[field]\nsize = [32, 64]\n[metrics]\ntile = 64",
            "4:8: metrics.tile: 64 cells are more than the smaller side of the field, 32; at most 32".into(),
        ),
        (
            "[sync]\nwindow_ticks = 4",
            "2:16: sync.window_ticks: 4 is outside 8..=65536; ticks from 8 to 65536".into(),
        ),
        (
            "[sync]\nreport_ticks = \"often\"",
            "2:16: sync.report_ticks: `often` is neither \"auto\" nor a number; \
             \"auto\", or ticks from 1"
                .into(),
        ),
        (
            "[recorder]\nenabled = \"yes\"",
            "2:11: recorder.enabled: expected true or false, found the text \"yes\"; true or false".into(),
        ),
        (
            "[swarm]\nname = \"a/b\"",
            "2:8: swarm.name: `a/b` contains '/'; letters, digits, `_` and `-`, at most 32".into(),
        ),
    ];
    for (file, expected) in table {
        one(file, &expected);
    }
}

#[test]
fn sources_are_either_oscillators_or_recordings_inside_the_field() {
    one(
        "[source.a]\nat = [256, 0]\nfrequency = 0.1",
        "2:6: source.a.at: [256, 0] is outside the field of 256 x 256 cells; \
         x from 0 to 255, y from 0 to 255",
    );
    one(
        "[source.a]\nat = [1, 1]",
        "1:9: source.a: neither `frequency` nor `ricker` nor `csv` is there; \
         an oscillator has a frequency, a pulse a ricker, a recording a csv and a column",
    );
    one(
        "[source.a]\nfrequency = 0.1\ncsv = \"rec.csv\"\ncolumn = \"leg\"",
        "2:13: source.a.frequency: `csv` and `frequency` are both there; \
         a source is either an oscillator (frequency), a pulse (ricker) or a recording (csv, column)",
    );
    one(
        "[source.a]\nfrequency = 0.1\nricker = 0.1",
        "2:13: source.a.frequency: `ricker` and `frequency` are both there; \
         a source is either an oscillator (frequency), a pulse (ricker) or a recording (csv, column)",
    );
    one(
        "[source.a]\nricker = 2.0",
        "2:10: source.a.ricker: 2 cycles per time unit are more than half a cycle a step; \
         at most 1.010152544552211 with dt = 0.4949747468305832",
    );
    // f(u) = -4 sin u: dt^2 (4 (1 + 1) + 4)/4 <= 1.
    one(
        "[field]\nfeedback = \"sine-gordon\"\nfeedback_strength = 4\ndt = 0.6",
        "4:6: field.dt: the Courant number c dt sqrt(1/dx^2+1/dy^2) is 0.8485, above the limit 0.8165 that \
         `feedback` leaves: the scheme would blow up; use a dt of at most 0.5773502691896257, or \"auto\"",
    );
    one(
        "[source.a]\ncsv = \"rec.csv\"\ncolumn = \"ankle_ver\"",
        "3:10: source.a.column: rec.csv has no column `ankle_ver`; did you mean `ankle_vert`?",
    );
    one(
        "[source.a]\ncsv = \"rec.csv\"",
        "1:9: source.a.column: `column` is missing; known: timestamp, ankle_vert, leg",
    );
    one(
        "[source.a]\ncsv = \"none.csv\"\ncolumn = \"leg\"",
        "2:7: source.a.csv: none.csv cannot be read: No such file or directory (os error 2); \
         the path of a CSV file with a header, relative to the swarm file",
    );
    one(
        "[source.a]\nfrequency = 2.0",
        "2:13: source.a.frequency: 2 cycles per time unit are more than half a cycle a step; \
         at most 1.010152544552211 with dt = 0.4949747468305832",
    );
    one(
        "[annotation.freeze]\ncsv = \"rec.csv\"",
        "1:13: annotation.freeze.column: `column` is missing; a column of 0 and 1 of the CSV file",
    );
}

#[test]
fn agents() {
    one(
        "[agent.w]\nreplicas = 1000000",
        "2:12: agent.w.replicas: 1000000 is outside 0..=4096; a swarm has at most 4096 agents",
    );
    one(
        "[agent.v]\nreplicas = 4096\n[agent.w]\nreplicas = 1",
        "agent: 4097 agents in all are more than 4096; \
         a swarm has at most 4096 agents; lower the replicas",
    );
    one(
        "[agent.kernel]\nreplicas = 1",
        "1:8: agent.kernel: `kernel` is a process of every swarm; another name",
    );
    one(
        "[agent.w]\ncommand = []",
        "2:11: agent.w.command: there is no program; command = [\"agent-proc\"]",
    );
    one(
        "[agent.w]\nwait = \"hybrid:50\"",
        "2:8: agent.w.wait: `50` is not a time such as 50us; \
         spin, yield, block, or hybrid:T such as \"hybrid:50us\"",
    );
    one(
        "[agent.w]\ncpus = \"4-2\"",
        "2:8: agent.w.cpus: `4-2` runs backwards; auto, off, a core, or a list such as \"2,4-7\"",
    );
    one(
        "[agent.w]\nreplicas = 2\n[agent.w-1]\n",
        "3:8: agent.w-1: a replica of `w` is called `w-1` too; give one of the two another name",
    );
}

#[test]
fn everything_wrong_is_told_in_one_pass_in_the_order_of_the_text() {
    let file = "[field]\nsize = \"big\"\ndt = 5.0\nboundry = 1\nbackend = \"fpga\"\n\
                [source.a]\nat = [300, 300]\n[watch.x]\nthreshold = 1\n[nope]\n";
    let keys: Vec<String> =
        errors(file).iter().map(|error| error.split(": ").nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        keys,
        // The place of the source is not judged: the size it must fit in was refused.
        [
            "field.size",
            "field.dt",
            "field.boundry",
            "field.backend",
            "source.a",
            "watch.x.cell",
            "nope"
        ]
    );
}

#[test]
fn syntax_errors_come_alone_and_with_their_place() {
    let found = errors("[field\nsize = [1, 2]\n[ring]\nslots = = 4\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("1:7: syntax: "), "{found:?}");
    assert!(found[1].starts_with("4:9: syntax: "), "{found:?}");
}

#[test]
fn flags_and_variables_are_pointed_at_too() {
    let found = with("[agent.watcher]\n", |source| {
        source.environment = vec![("RSW__FIELD__DAMPNG".into(), "1".into())];
        source.set = vec![
            "field.size=0,8".into(),
            "field".into(),
            "agent.watcher.replicas=many".into(),
            "tick=3".into(),
        ];
        source.scale = vec!["wacher=3".into(), "watcher=5000".into(), "watcher".into()];
        source.project = Some("no way".into());
        source.ticks = Some(0);
    });
    assert_eq!(
        found,
        [
            "RSW__FIELD__DAMPNG:1:1: field.dampng: unknown key `dampng`; did you mean `damping`?",
            "--set:1:1: --set: `field` has no `=`; \
             --set key.path=value, such as --set field.damping=0.02",
            "--set:1:1: tick: this is not the path of a key; write tick.KEY",
            "--set:1:12: field.size: 0 is outside 1..=32768; \
             cells along x and y, each from 1 to 32768, such as [256, 256]",
            "--set:1:24: agent.watcher.replicas: expected a whole number, found the text \"many\"; \
             a swarm has at most 4096 agents",
            "-p:1:1: swarm.name: `no way` contains ' '; letters, digits, `_` and `-`, at most 32",
            "--scale:1:1: --scale: there is no agent `wacher`; did you mean `watcher`?",
            "--scale:1:1: agent.watcher.replicas: 5000 is outside 0..=4096; \
             a swarm has at most 4096 agents",
            "--scale:1:1: --scale: `watcher` has no `=`; \
             --scale AGENT=N, such as --scale watcher=8",
            "--ticks:1:1: --ticks: 0 ticks is no run; leave --ticks out to run until stopped",
        ]
    );
}

#[test]
fn a_file_that_is_not_there() {
    let found = with("", |source| source.file = Some("other.toml".into()));
    assert_eq!(
        found,
        ["other.toml: there is no such swarm file; `runtime up` without -f needs no file"]
    );
}

#[test]
fn the_courant_limit_is_sharp() {
    let try_dt = |dt: f64| {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("[field]\nspacing = [0.5, 0.25]\nwave_speed = 3.0\ndt = {dt:?}\n");
        fs::write(folder.path().join("swarm.toml"), file).unwrap();
        load(Source::in_folder(folder.path()))
    };
    let limit = 1.0 / (3.0 * (1.0f64 / 0.25 + 1.0 / 0.0625).sqrt());
    assert!(try_dt(limit).is_ok());
    let message = try_dt(limit * (1.0 + 1e-12)).unwrap_err().to_string();
    assert!(message.contains("is 1.0000, above the limit 1"), "{message}");
    assert!(message.contains(&format!("use a dt of at most {limit}, or \"auto\"")), "{message}");
    // A one-dimensional limit would accept this one.
    assert!(try_dt(0.25 / 3.0).is_err());
}
