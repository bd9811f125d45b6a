//! What a process that died or stood still costs: nothing that was saved, and nothing without a word.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rsw_os::Signal;
use rsw_tests::{Place, alive, kill, number, signal, wait_until};
use serde_json::Value as Json;

/// A small field with a source that sits between two agents.
const SMALL: &str = r#"
[field]
size = [64, 64]
[metrics]
tile = 16
[source.a]
at = [20, 20]
frequency = 0.05
[source.b]
at = [44, 40]
frequency = 0.08
[agent.watcher]
replicas = 3
"#;

/// Every value that a run gave to an agent, in order.
const VALUES: &str = "SELECT agent_id, tick, t_ns, d, c, g, tau, ci, u, drive FROM rs_metric_point ORDER BY tick, agent_id";
const TICKS: &str = "SELECT tick, t_ns, ci_mean, d_global, d_r2, coherence_mean, gain_mean, dwell_mean, energy, \
                     u_abs_max FROM rs_tick ORDER BY tick";

fn small() -> Place {
    let place = Place::new();
    place.write("swarm.toml", SMALL);
    place
}

/// What a run left: two tables of rows, and its last frames.
type Outcome = (Vec<Vec<Json>>, Vec<Vec<Json>>, Vec<Vec<u8>>);

/// Runs 400 ticks; what was recorded, bit for bit.
fn run_of_400(disturb: impl FnOnce(&Place)) -> Outcome {
    let place = small();
    let child = place.foreground(&["--ticks", "400", "--set", "tick.rate_hz=200"]);
    place.wait_until_it_answers();
    disturb(&place);
    let done = rsw_tests::Done::of(child.wait_with_output().expect("an end"));
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    let (_, _, lost) = place.verified();
    assert_eq!(lost, 0);
    let fields = ["ci", "wave"].map(|name| {
        let file = format!("{name}.npy");
        let shown = place.json(&["field", "show", name, "--recorded", "--npy", &file]);
        assert_eq!(number(&shown["tick"]), 400);
        std::fs::read(place.folder().join(file)).expect("an array")
    });
    (place.rows(VALUES), place.rows(TICKS), fields.into())
}

#[test]
fn a_run_whose_kernel_was_killed_gives_the_same_bits() {
    let calm = run_of_400(|_| {});
    let disturbed = run_of_400(|place| {
        for at in [1, 60, 200] {
            wait_until("some ticks", || place.tick() >= at);
            kill(place.pid("kernel"));
        }
        wait_until("the last generation", || place.generation() == 4);
    });
    assert_eq!((calm.0.len(), calm.1.len()), (1200, 400));
    assert!(calm.0 == disturbed.0, "the agents' values differ");
    assert!(calm.1 == disturbed.1, "the ticks' values differ");
    assert!(calm.2 == disturbed.2, "the last fields differ");
}

#[test]
fn a_kernel_killed_before_it_saved_anything_passes_on_what_it_got() {
    let place = small();
    place.up(&["--set", "tick.rate_hz=20", "--set", "tick.checkpoint_ticks=20"]);
    wait_until("the first saved state", || place.tick() >= 22);
    for next in 2..5 {
        kill(place.pid("kernel"));
        wait_until("the next generation", || place.generation() == next);
        assert!(place.tick() >= 20, "the swarm forgot where it was: tick {}", place.tick());
    }
    place.down_and_gone(&place.processes());
    place.verified();
    for (_, resumed, previous) in place.generations().into_iter().skip(1) {
        let (resumed, previous) = (resumed.expect("a tick"), previous.expect("a tick"));
        assert!(resumed >= 20 && resumed.is_multiple_of(20), "{resumed}");
        assert!((resumed..=resumed + 20).contains(&previous), "{previous}");
    }
}

/// `events tail --follow`, and the lines it has printed so far.
struct Tail {
    child: Child,
    lines: Arc<Mutex<Vec<Json>>>,
}

impl Tail {
    fn start(place: &Place) -> Self {
        let mut command =
            place.command(&["events", "tail", "--json", "--from", "oldest", "--follow"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the runtime");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let filled = lines.clone();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("a JSON document a line");
                filled.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
        });
        Self { child, lines }
    }

    fn lines(&self) -> Vec<Json> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ticks_of(&self, generation: u64) -> usize {
        let of = |line: &&Json| line["kind"] == "tick" && line["generation"] == generation;
        self.lines().iter().filter(of).count()
    }
}

#[test]
fn a_tail_across_kernels_repeats_nothing_and_tells_every_gap() {
    let place = small();
    place.up(&["--set", "tick.rate_hz=0", "--set", "ring.slots=4096"]);
    let mut tail = Tail::start(&place);
    for generation in 1..4 {
        wait_until("ticks of this generation", || tail.ticks_of(generation) > 50);
        kill(place.pid("kernel"));
    }
    wait_until("ticks of the last generation", || tail.ticks_of(4) > 50);
    signal(tail.child.id(), Signal::Interrupt);
    assert_eq!(tail.child.wait().expect("an end").code(), Some(0), "Ctrl-C ends a stream well");
    let mut expected = None;
    for line in tail.lines() {
        let (from, to) = match line.get("lost") {
            Some(lost) => (number(&lost["from"]), number(&lost["to"])),
            None => (number(&line["sequence"]), number(&line["sequence"]) + 1),
        };
        assert!(
            to > from && expected.is_none_or(|expected| from == expected),
            "{expected:?}: {line}"
        );
        expected = Some(to);
    }
}

#[test]
fn a_kernel_that_stands_still_is_seen_and_heals() {
    let place = small();
    place.up(&[]);
    let kernel = place.pid("kernel");
    signal(kernel, Signal::Stop);
    wait_until("peek says stale", || place.json(&["peek"])["state"] == "stale");
    let mut status = Json::Null;
    wait_until("the swarm is degraded", || {
        status = place.json(&["status"]);
        status["state"] == "degraded"
    });
    assert!(status["reasons"].to_string().contains("kernel"), "{status}");
    signal(kernel, Signal::Continue);
    wait_until("the swarm is well again", || place.json(&["status"])["state"] == "running");
    assert_eq!((place.pid("kernel"), place.generation()), (kernel, 1));
    assert_eq!(place.json(&["peek"])["state"], "live");
    place.ok(&["down"]);
    place.verified();
}

#[test]
fn a_kernel_that_stands_still_too_long_is_replaced() {
    let place = small();
    place.up(&[]);
    let kernel = place.pid("kernel");
    signal(kernel, Signal::Stop);
    wait_until("it is killed", || !alive(kernel));
    wait_until("its successor ticks", || place.generation() == 2);
    place.wait_until_whole();
    assert!(place.ok(&["logs", "kernel"]).stdout.contains("no sign of life"));
    place.down_and_gone(&place.processes());
    place.verified();
}

#[test]
fn an_agent_that_stands_still_holds_nobody_up() {
    let place = small();
    place.up(&["--set", "tick.rate_hz=400", "--set", "ring.slots=1024"]);
    let names = ["watcher-1", "watcher-2", "watcher-3"];
    let [stopped, others @ ..] = names.map(|name| place.pid(name));
    let tick = place.tick();
    signal(stopped, Signal::Stop);
    let lag = |name: &str| place.process(name)["lag_events"].as_u64().expect("a lag");
    wait_until("its lag is longer than the ring", || lag("watcher-1") > 2048);
    assert!(place.tick() > tick, "the kernel waited for an agent");
    for name in &names[1..] {
        wait_until("the others follow", || lag(name) < 1024);
        assert_eq!(place.process(name)["lost_events"], 0, "{name} lost events");
    }
    assert_eq!(place.json(&["status"])["state"], "running");
    signal(stopped, Signal::Continue);
    wait_until("it catches up", || lag("watcher-1") < 1024);
    let row = place.process("watcher-1");
    assert!(
        row["lost_events"].as_u64().is_some_and(|lost| lost > 1024),
        "the loss is counted: {row}"
    );
    assert_eq!(names.map(|name| place.pid(name)), [stopped, others[0], others[1]]);
    place.down_and_gone(&place.processes());
    place.verified();
}

#[test]
fn a_recorder_killed_on_the_way_down_still_gets_the_last_event() {
    for last in [Signal::Kill, Signal::Terminate] {
        let place = small();
        let child = place.foreground(&["--json", "--set", "tick.rate_hz=0"]);
        place.wait_until_it_answers();
        wait_until("some ticks", || place.tick() > 500);
        let recorder = place.pid("recorder");
        signal(child.id(), Signal::Terminate);
        signal(recorder, last);
        let done = rsw_tests::Done::of(child.wait_with_output().expect("an end"));
        assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
        let end: Json = done
            .stdout
            .lines()
            .last()
            .and_then(|line| serde_json::from_str(line).ok())
            .expect("JSON");
        assert_eq!(end["schema"], "rsw.run/1", "{end}");
        let (published, recorded, lost) = place.verified();
        let told = ["published", "recorded", "lost"].map(|key| number(&end[key]));
        assert_eq!(
            told,
            [published, recorded, lost],
            "what the kernel published is what the recording knows"
        );
    }
}

/// A machine that stands still (a paused container, a frozen guest) ends nobody: whoever looks late looks again.
#[test]
fn a_swarm_that_stood_still_as_a_whole_goes_on() {
    let place = small();
    place.up(&[]);
    let supervisor = place.json(&["ps"])["supervisor_pid"].as_u64().expect("a pid") as u32;
    let processes = place.processes();
    let everybody = |sent: Signal| {
        for (_, pid) in &processes {
            signal(*pid, sent);
        }
    };
    signal(supervisor, Signal::Stop);
    everybody(Signal::Stop);
    std::thread::sleep(std::time::Duration::from_millis(10_500));
    // The supervisor first: it finds hearts that have not beaten for longer than it bears.
    signal(supervisor, Signal::Continue);
    std::thread::sleep(std::time::Duration::from_millis(500));
    everybody(Signal::Continue);
    let tick = place.tick();
    wait_until("it goes on", || place.tick() > tick + 10);
    assert_eq!(place.processes(), processes, "they are the same processes");
    place.ok(&["down"]);
    let (_, _, lost) = place.verified();
    assert_eq!(lost, 0);
}
