//! A real recording through the whole swarm: what AgentDB holds afterwards, and that a second run holds the same.

use std::path::{Path, PathBuf};

use rsw_tests::{Done, Place, daphnet, number, wait_until};
use serde_json::Value as Json;

const AGENTS: usize = 9;
/// As `rsw_schemas::event::EventKind` numbers them.
const ANNOTATION: u16 = rsw_schemas::event::EventKind::Annotation as u16;

/// What the file says: the time of each sample in ns, and the ticks at which the annotation changes.
struct Oracle {
    t_ns: Vec<i64>,
    changes: Vec<(u64, f64)>,
}

impl Oracle {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the recording");
        let mut oracle = Self { t_ns: Vec::new(), changes: Vec::new() };
        let mut before = None;
        for (line, tick) in text.lines().skip(1).zip(1..) {
            oracle.t_ns.push(time_ns(line.split(',').next().expect("a time")));
            let value: f64 =
                line.rsplit(',').next().and_then(|text| text.trim().parse().ok()).expect("0 or 1");
            if before.is_some_and(|before| before != value) {
                oracle.changes.push((tick, value));
            }
            before = Some(value);
        }
        oracle
    }
}

/// `1970-01-01 HH:MM:SS.mmm` in ns.
fn time_ns(text: &str) -> i64 {
    let clock = text.strip_prefix("1970-01-01 ").expect("the first day");
    let (clock, millis) = clock.split_once('.').expect("milliseconds");
    let seconds =
        clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().expect("a number"));
    (seconds * 1000 + millis.parse::<i64>().expect("a number")) * 1_000_000
}

/// Drives a swarm with the file for so many ticks, to the end.
fn drive(place: &Place, file: &Path, ticks: usize) {
    let ticks = ticks.to_string();
    let file = file.to_str().expect("a path in UTF-8");
    let child = place.foreground(&["--drive", file, "--ticks", &ticks, "--set", "tick.rate_hz=0"]);
    let pids = {
        wait_until("the swarm runs", || place.run(&["status"]).code == 0);
        place.processes()
    };
    let loans = place.loan_folders();
    // The recording can be asked while it grows.
    let mut seen = 0;
    wait_until("rows while it runs", || {
        let done = place.run(&["query", "--json", "SELECT count(*) FROM rs_tick"]);
        let rows: Option<Json> = serde_json::from_str(&done.stdout).ok();
        seen = rows.and_then(|rows| rows["rows"][0][0].as_u64()).unwrap_or(0);
        seen > 0
    });
    let done = Done::of(child.wait_with_output().expect("an end"));
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("agentdb"), "it says where the recording is: {}", done.stdout);
    for word in ["ankle_vert", "is_anomaly", "timestamp"] {
        assert!(done.stderr.contains(word), "it says what it took {word} for: {}", done.stderr);
    }
    place.assert_gone(&pids, &loans);
}

fn assert_recorded(place: &Place, oracle: &Oracle, ticks: usize) {
    let (_, _, lost) = place.verified();
    assert_eq!(lost, 0);
    let series = place.rows(
        "SELECT agent_id, group_concat(series_type) FROM \
         (SELECT * FROM metric_series ORDER BY agent_id, series_type) GROUP BY agent_id",
    );
    assert_eq!(series.len(), AGENTS);
    for row in &series {
        assert_eq!(row[1], "ci,coherence,dwell,fractal,gain", "{row:?}");
    }
    let counts = place
        .rows("SELECT DISTINCT count(*), count(value) FROM timeseries_data GROUP BY series_id");
    assert_eq!(counts, [[ticks, ticks]], "values of each series, and those that are numbers");
    let times = place.rows("SELECT DISTINCT timestamp FROM timeseries_data ORDER BY timestamp");
    let times: Vec<i64> = times.iter().map(|row| row[0].as_i64().expect("ns")).collect();
    assert!(times == oracle.t_ns[..ticks], "the file's times, in ns: {:?}", &times[..3]);

    let sql = format!("SELECT tick, payload FROM rs_event WHERE kind = {ANNOTATION} ORDER BY seq");
    let told: Vec<u64> =
        place.rows(&sql).iter().map(|row| row[0].as_u64().expect("a tick")).collect();
    let changes: Vec<u64> =
        oracle.changes.iter().map(|(tick, _)| *tick).filter(|tick| *tick <= ticks as u64).collect();
    // The first value is told, too.
    assert!(
        told.split_first() == Some((&1, &changes)),
        "is_anomaly: {told:?}, in the file {changes:?}"
    );

    let pairs = place.rows(
        "SELECT count(*), count(DISTINCT a.agent_id), sum(a.matrix_crc32 <> b.matrix_crc32), \
         sum(a.cs_mean IS NOT b.cs_mean), sum(a.cs_mean IS NOT NULL) \
         FROM rs_report a JOIN rs_report b ON a.tick = b.tick AND a.seen_ticks = b.seen_ticks \
         AND a.window_ticks = b.window_ticks AND a.agent_id < b.agent_id",
    );
    let [compared, agents, crcs, means, defined] =
        [0, 1, 2, 3, 4].map(|at| pairs[0][at].as_u64().unwrap_or(0));
    assert!(compared > 0 && agents as usize >= AGENTS - 1 && defined > 0, "{pairs:?}");
    assert_eq!(
        (crcs, means),
        (0, 0),
        "agents that looked at the same data disagree, of {compared} pairs"
    );
}

/// Everything that must be the same in a second run.
fn content(place: &Place, ticks: usize) -> (Vec<Vec<Json>>, [Vec<u8>; 2]) {
    let fields = ["ci", "wave"].map(|name| {
        let file = format!("{name}.npy");
        let shown = place.json(&["field", "show", name, "--npy", &file]);
        assert_eq!(
            (shown["from"].as_str(), number(&shown["tick"])),
            (Some("recording"), ticks as u64)
        );
        std::fs::read(place.folder().join(file)).expect("an array")
    });
    let series = "SELECT s.series_name, d.timestamp, d.value FROM timeseries_data d \
                  JOIN metric_series s USING (series_id) ORDER BY s.series_name, s.series_type, d.timestamp";
    (place.rows(series), fields)
}

#[test]
fn two_runs_of_a_recording_give_the_same_bits() {
    let Some(file) = daphnet() else { return };
    let oracle = Oracle::read(&file);
    let ticks = 1500;
    let contents: Vec<_> = [Place::new(), Place::new()]
        .iter()
        .map(|place| {
            drive(place, &file, ticks);
            assert_recorded(place, &oracle, ticks);
            content(place, ticks)
        })
        .collect();
    assert_eq!(contents[0].0.len(), AGENTS * 5 * ticks);
    assert!(contents[0].0 == contents[1].0, "values differ");
    assert!(contents[0].1 == contents[1].1, "last fields differ");
}

#[test]
fn a_whole_recording_arrives() {
    let Some(file) = daphnet() else { return };
    let oracle = Oracle::read(&file);
    let place = Place::new();
    let ticks = oracle.t_ns.len();
    drive(&place, &file, ticks);
    assert_recorded(&place, &oracle, ticks);
    let shown = place.json(&["field", "show", "ci", "--png", "ci.png"]);
    assert_eq!(shown["from"], "recording", "{shown}");
    let png: PathBuf = place.folder().join("ci.png");
    assert!(std::fs::read(png).expect("a PNG").starts_with(b"\x89PNG"));
}

#[test]
fn annotations_become_events_and_gaps_in_the_data_are_told() {
    let place = Place::new();
    // A 0/1 column that changes at ticks 41, 81, 121 ..., and a signal with cells that are missing or NaN.
    let mut text = String::from("time,left,right,is_anomaly\n");
    for row in 0..240u32 {
        let left = if (100..110).contains(&row) {
            String::new()
        } else {
            format!("{}", (row % 17) as f64 * 0.5)
        };
        let right = if row == 60 { "NaN".into() } else { format!("{}", (row % 23) as f64 - 3.0) };
        text.push_str(&format!(
            "{}.{:03},{left},{right},{}\n",
            row / 100,
            row % 100 * 10,
            row / 40 % 2
        ));
    }
    let file = place.write("signals.csv", &text);
    let done = place.ok(&[
        "up",
        "--drive",
        file.to_str().expect("a path"),
        "--ticks",
        "240",
        "--set",
        "tick.rate_hz=0",
    ]);
    assert!(done.stderr.contains("is_anomaly"), "{}", done.stderr);
    let (_, _, lost) = place.verified();
    assert_eq!(lost, 0);
    let sql = format!("SELECT tick FROM rs_event WHERE kind = {ANNOTATION} ORDER BY seq");
    let told: Vec<u64> =
        place.rows(&sql).iter().map(|row| row[0].as_u64().expect("a tick")).collect();
    assert_eq!(told, [1, 41, 81, 121, 161, 201]);
    let gap = rsw_schemas::event::EventKind::Gap as u16;
    let gaps = place
        .rows(&format!("SELECT tick, hex(payload) FROM rs_event WHERE kind = {gap} ORDER BY seq"));
    assert_eq!(gaps.len(), 2, "one for each stretch without data: {gaps:?}");
    let nulls = place.rows("SELECT count(*) - count(value) FROM timeseries_data");
    assert_eq!(nulls, [[0]], "missing samples are interpolated");
}
