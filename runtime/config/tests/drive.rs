//! `--drive`: what becomes of the columns of a recording, and what is wrong with bad ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

use std::fs;
use std::path::Path;

use rsw_config::{DriveSummary, Loaded, Resample, Source, Taken, load, resolve};

fn drive(csv: &str) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rec.csv"), csv).unwrap();
    let mut source = Source::in_folder(folder.path());
    source.drive = Some("rec.csv".into());
    let prefix = format!("{}/", folder.path().display());
    load(source).map_err(|errors| errors.to_string().replace(&prefix, ""))
}

fn taken(summary: &DriveSummary) -> Vec<(&str, &Taken)> {
    summary.columns.iter().map(|column| (column.name.as_str(), &column.taken)).collect()
}

#[test]
fn each_column_becomes_what_it_is() {
    let mut csv = String::from("when,x pos,y,note,label,flat,gap\n");
    for i in 0..100 {
        let gap = if i % 4 == 0 { String::new() } else { format!("{}", i * i) };
        let ms = i * 20;
        csv += &format!(
            "2024-05-01 00:00:{:02}.{:03},{},{}.5,n{i},{},7,{gap}\n",
            ms / 1000,
            ms % 1000,
            i,
            i % 7,
            u8::from(i > 50)
        );
    }
    let loaded = drive(&csv).unwrap();
    let summary = loaded.drive.as_ref().unwrap();
    assert_eq!((summary.rows, summary.period_ns), (100, Some(20_000_000)));
    assert_eq!(
        taken(summary),
        [
            ("when", &Taken::Time),
            ("x pos", &Taken::Source("x_pos".into())),
            ("y", &Taken::Source("y".into())),
            ("note", &Taken::Ignored("text")),
            ("label", &Taken::Annotation("label".into())),
            ("flat", &Taken::Ignored("constant")),
            ("gap", &Taken::Source("gap".into())),
        ]
    );
    assert_eq!(summary.columns[6].missing, 25);
    let shown = summary.to_string();
    assert!(shown.contains("100 rows, 50.00 Hz\n  when: time\n"), "{shown}");
    assert!(shown.ends_with("  gap: source and agent gap, 25 cells missing"), "{shown}");

    let topology = resolve(&loaded);
    assert_eq!((topology.tick_period_ns, topology.report_ticks), (20_000_000, 50));
    let names: Vec<&str> = topology.agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["gap", "x_pos", "y"]);
    for agent in &topology.agents {
        let source = &topology.sources[agent.source.unwrap()];
        assert_eq!((source.name.as_str(), source.source.at), (agent.name.as_str(), agent.site));
        assert_eq!(source.source.resample, Resample::Sample);
        assert_eq!(source.source.time_column.as_deref(), Some("when"));
    }
    assert_eq!(topology.sources[1].source.column.as_deref(), Some("x pos"));
    assert_eq!(topology.config.annotation["label"].column, "label");
}

#[test]
fn bad_recordings_are_refused_with_line_and_column() {
    let mut stray = String::from("a,b\n");
    for i in 0..20 {
        stray += &if i == 13 { "1,oops\n".into() } else { format!("{i},{}\n", i * 2) };
    }
    let table = [
        ("", "rec.csv: the file is empty; a header and rows of numbers"),
        ("a,b\n", "rec.csv: there is a header but no row; a header and rows of numbers"),
        ("a,a\n1,2\n", "rec.csv:1:3: rec.csv: two columns are called `a`"),
        ("a,\n1,2\n", "rec.csv:1:3: rec.csv: column 2 has no name"),
        ("a,b\n1,2\n3\n", "rec.csv:3:1: rec.csv: line 3 has 1 cells, the header 2"),
        (
            "a\nred\ngreen\n",
            "rec.csv: no column of numbers that change; one source is made of each numeric column",
        ),
        (
            &stray,
            "rec.csv:15:1: b: line 15: `oops` is not a number; \
             write a number, or leave the cell empty: it counts as missing",
        ),
        // Two rows: one word is half of its column.
        (
            "a,b\n1,oops\n2,3\n",
            "rec.csv:2:1: b: line 2: `oops` is not a number; \
             write a number, or leave the cell empty: it counts as missing",
        ),
    ];
    for (csv, expected) in table {
        assert_eq!(drive(csv).unwrap_err(), expected);
    }
    let mut source = Source::in_folder("/");
    source.drive = Some("/nowhere/x.csv".into());
    assert_eq!(
        load(source).unwrap_err().to_string(),
        "/nowhere/x.csv: cannot be read: No such file or directory (os error 2); \
         --drive takes a CSV file"
    );
}

#[test]
fn a_column_of_mostly_words_is_ignored_with_a_note() {
    let loaded = drive("a,b\n1,red\n2,3\n3,blue\n").unwrap();
    let summary = loaded.drive.as_ref().unwrap();
    assert_eq!(summary.columns[1].taken, Taken::Ignored("text"));
    assert!(summary.to_string().ends_with("\n  b: ignored (text)"), "{summary}");
}

#[test]
fn times_that_nanoseconds_cannot_count_are_refused() {
    let rows = |step: u64| format!("t,x\n0,1\n{step},2\n{},4\n", 2 * step);
    let day = drive(&rows(86_400)).unwrap().drive.unwrap();
    assert_eq!(day.period_ns, Some(86_400_000_000_000));
    let told = drive(&rows(2_000_000_000)).unwrap_err();
    assert!(told.contains("t: its times span more than 146 years"), "{told}");
    assert!(told.contains("leave the column out"), "{told}");
}

#[test]
fn a_column_with_the_name_of_a_process_of_ours_gets_another() {
    let loaded = drive("runtime,x\n1,2\n2,3\n4,4\n").unwrap();
    let names: Vec<&str> = loaded.config.agent.keys().map(String::as_str).collect();
    assert!(names.contains(&"x") && !names.contains(&"runtime"), "{names:?}");
}

#[test]
fn names_made_of_headers_stay_apart() {
    let loaded = drive("a b,a_b,a.b\n1,2,3\n2,3,4\n").unwrap();
    let names: Vec<&String> = loaded.config.source.keys().collect();
    assert_eq!(names, ["a_b", "a_b_2", "a_b_3"]);
    assert_eq!(loaded.config.source["a_b_3"].column.as_deref(), Some("a.b"));
}

#[test]
fn the_swarm_file_and_set_win_over_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rec.csv"), "x,y\n1,2\n2,3\n").unwrap();
    fs::write(folder.path().join("swarm.toml"), "[agent.x]\nwait = \"spin\"\n").unwrap();
    let mut source = Source::in_folder(folder.path());
    source.drive = Some("rec.csv".into());
    source.set = vec!["source.x.radius=4".into(), "field.size=32,32".into()];
    let loaded = load(source).unwrap();
    assert_eq!(loaded.config.agent["x"].wait, "spin");
    assert_eq!(loaded.config.agent["x"].replicas, 1);
    assert_eq!(loaded.config.source["x"].radius, 4);
    assert_eq!(loaded.config.source["y"].radius, 1);
    assert_eq!(loaded.config.source["y"].at, [16, 24]);
}

#[test]
fn a_real_recording_of_a_moving_body() {
    let Some(path) = std::env::var_os("RSW_TEST_DATA") else {
        eprintln!("skipped: RSW_TEST_DATA names no folder with daphnet_s06r02e0.csv");
        return;
    };
    let mut source = Source::in_folder("/");
    source.drive = Some(Path::new(&path).join("daphnet_s06r02e0.csv"));
    let loaded = load(source).unwrap();
    let summary = loaded.drive.as_ref().unwrap();
    assert_eq!((summary.rows, summary.period_ns), (7_040, Some(15_625_000)));
    let topology = resolve(&loaded);
    assert_eq!((topology.sources.len(), topology.agents.len()), (9, 9));
    assert_eq!(topology.config.annotation.keys().collect::<Vec<_>>(), ["is_anomaly"]);
    assert_eq!(topology.report_ticks, 64);
}
