//! `runtime bench`: a short run of everything that needs no other swarm, and what scripts rely on.

use rsw_tests::Place;
use serde_json::Value as Json;

fn rows(document: &Json) -> &Vec<Json> {
    document["rows"].as_array().expect("rows")
}

fn row<'doc>(document: &'doc Json, suite: &str, case: &str) -> &'doc Json {
    rows(document)
        .iter()
        .find(|row| row["suite"] == suite && row["case"] == case)
        .unwrap_or_else(|| panic!("{suite} {case} in {document}"))
}

#[test]
fn every_suite_answers_and_an_earlier_run_can_be_compared() {
    let place = Place::new();
    let base = place.folder().join("base.json");
    let words = [
        "bench",
        "--runs",
        "1",
        "--duration",
        "0.02",
        "--readers",
        "1,3",
        "--hdr",
        "hdr",
        "-o",
        "base.json",
    ];
    let mut all = words.to_vec();
    all.push("--json");
    let done = place.ok(&all);
    let document: Json = serde_json::from_str(&done.stdout).expect("JSON");
    let kept: Json =
        serde_json::from_str(&std::fs::read_to_string(&base).expect("the file")).expect("JSON");
    assert_eq!(rows(&document).len(), rows(&kept).len());
    assert_eq!(document["schema"], "rsw.bench/1");
    assert!(
        document["machine"]["cores"].is_array() && document["machine"]["layout_hash"].is_string()
    );
    assert_ne!(
        document["machine"]["mask"].as_str().map(|mask| mask.contains(['-', ','])),
        Some(false),
        "the mask of everybody, not of who measures: {}",
        document["machine"]
    );
    let wakes = rows(&document).iter().filter(|row| row["suite"] == "wake");
    let eventfd = |row: &&Json| row["wait"] == "eventfd" && row["p50_ns"].as_f64() > Some(0.0);
    assert_eq!(wakes.filter(eventfd).count(), 1, "a ring bridged to an eventfd");
    for (suite, case) in [
        ("floor", "floor"),
        ("latency", "ring"),
        ("latency", "iceoryx2"),
        ("latency", "unix-socket"),
        ("latency", "pipe"),
        ("latency", "disruptor"),
        ("latency", "crossbeam"),
        ("board", "board-snapshot"),
        ("loan", "loan"),
        ("loan", "iceoryx2-loan"),
        ("wake", "futex"),
        ("wake", "eventfd"),
        ("wake", "ring"),
        ("e2e", "report-read"),
    ] {
        let row = row(&document, suite, case);
        assert!(row["samples"].as_u64() > Some(0) && row["p50_ns"].as_f64() > Some(0.0), "{row}");
        assert!(row["lost"].is_string() && row["peer"].is_boolean(), "{row}");
    }
    for (suite, case) in [
        ("throughput", "ring"),
        ("fanout", "publish"),
        ("board", "board-cell"),
        ("slow-reader", "slow-reader"),
    ] {
        let row = row(&document, suite, case);
        assert!(row["per_event_ns"].as_f64() > Some(0.0), "{row}");
    }
    // Nothing is lost by who waits for its reader, and somebody slow loses something.
    assert_eq!(row(&document, "throughput", "ring")["lost"], "0");
    assert_ne!(row(&document, "slow-reader", "slow-reader")["lost"], "0");
    assert!(std::fs::read_dir(place.folder().join("hdr")).expect("histograms").count() > 10);

    // How fast this machine is now must not matter: every earlier ratio is made far larger, then far smaller.
    let compared_with = |factor: f64| {
        let mut earlier = document.clone();
        for row in earlier["rows"].as_array_mut().expect("rows") {
            if let Some(ratio) = row["ratio_to_floor"].as_f64() {
                row["ratio_to_floor"] = (ratio * factor).into();
            }
        }
        place.write("earlier.json", &earlier.to_string());
        place.run(&[
            "bench",
            "latency",
            "--peers",
            "false",
            "--runs",
            "1",
            "--duration",
            "0.02",
            "--compare",
            "earlier.json",
            "--fail-above",
            "10%",
        ])
    };
    let done = compared_with(1e9);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("ratios compared"), "{}", done.stderr);
    let done = compared_with(1e-9);
    assert_eq!(done.code, 10, "{}", done.stderr);
    assert!(done.stderr.contains("slower: latency ring"), "{}", done.stderr);
}

#[test]
fn a_benchmark_that_cannot_be_is_refused_by_name() {
    let place = Place::new();
    place.write("other.json", "{\"schema\": \"rsw.ps/1\"}");
    for (words, code, expected) in [
        (&["bench", "--pin", "0,4095"][..], 1, "core 4095"),
        (&["bench", "--pin", "0"], 2, "two different cores"),
        (&["bench", "--rate", "0"], 2, "--rate"),
        (&["bench", "-o", "no/folder.json"], 1, "no/folder.json"),
        (&["bench", "--payload", "7"], 2, "8, 16, 32, 64 or 96"),
        (&["bench", "nothing"], 2, "nothing"),
        (&["bench", "--compare", "absent.json"], 1, "absent.json"),
        (&["bench", "--compare", "other.json"], 1, "other.json"),
    ] {
        let done = place.run(words);
        assert_eq!(done.code, code, "{words:?} {}", done.stderr);
        assert!(done.stderr.contains(expected), "{words:?} {}", done.stderr);
    }
    assert!(place.ok(&["bench", "--help"]).stdout.contains("--fail-above"));
}
