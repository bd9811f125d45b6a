//! Any process killed at any time, again and again, under load: the rest runs on, and every event is accounted for.
//!
//! `RSW_CHAOS_KILLS` sets the number of kills of each test, `RSW_CHAOS_SEED` their order and spacing.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use rsw_tests::{Place, alive, kill, wait_until};

/// One swarm at a time: each loads the machine as much as it can.
static TURN: Mutex<()> = Mutex::new(());

/// Longest time between two kills.
const PAUSE_MS_MAX: u64 = 300;

/// A small field with much to say: thousands of ticks a second, seven events each.
const LOAD: &str = r#"
[field]
size = [48, 48]
[metrics]
tile = 16
window = 5
[source.a]
at = [12, 12]
frequency = 0.05
[source.b]
at = [30, 30]
frequency = 0.08
[agent.watcher]
replicas = 4
"#;

/// What the names of every process begin with, one word for each role.
const EVERYBODY: [&str; 4] = ["kernel", "gateway", "recorder", "watcher"];

/// xorshift64*: the same kills for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the kills did, told by `ps` alone.
#[derive(Default)]
struct Toll {
    kills: BTreeMap<String, u64>,
    ready_kernels: u64,
    ever: Vec<(String, u32)>,
}

/// Kills processes of these roles, each as often as the others, without waiting for any to come back.
fn kill_at_random(place: &Place, random: &mut Random, kills: u64, roles: &[&str]) -> Toll {
    let mut toll = Toll { ever: place.processes(), ..Toll::default() };
    let mut done = 0;
    while done < kills {
        std::thread::sleep(Duration::from_millis(random.below(PAUSE_MS_MAX)));
        let ps = place.json(&["ps"]);
        let rows: Vec<(String, u32, bool)> = ps["processes"]
            .as_array()
            .expect("processes")
            .iter()
            .filter_map(|row| {
                let pid = row["pid"].as_u64()? as u32;
                Some((row["name"].as_str()?.to_owned(), pid, row["state"] == "running"))
            })
            .collect();
        toll.ever.extend(rows.iter().map(|(name, pid, _)| (name.clone(), *pid)));
        let role = roles[random.below(roles.len() as u64) as usize];
        let rows: Vec<_> = rows.iter().filter(|(name, ..)| name.starts_with(role)).collect();
        if rows.is_empty() {
            continue;
        }
        let (name, pid, running) = rows[random.below(rows.len() as u64) as usize];
        kill(*pid);
        wait_until("a killed process is gone", || !alive(*pid));
        *toll.kills.entry(name.clone()).or_default() += 1;
        toll.ready_kernels += u64::from(name == "kernel" && *running);
        done += 1;
    }
    toll
}

/// After the last kill: everything is back, nobody fell who was not killed, ticks go on, `down` leaves nothing.
fn assert_recovered(place: &Place, toll: &mut Toll, before: &BTreeMap<String, u32>) {
    place.wait_until_whole();
    let ps = place.json(&["ps"]);
    for row in ps["processes"].as_array().expect("processes") {
        let name = row["name"].as_str().expect("a name");
        let kills = toll.kills.get(name).copied().unwrap_or(0);
        assert_eq!(row["restarts"].as_u64(), Some(kills), "{name} was killed {kills} times: {row}");
        if kills == 0 {
            assert_eq!(row["pid"].as_u64(), before.get(name).map(|pid| u64::from(*pid)), "{row}");
        }
    }
    let generation = place.generation();
    let killed = toll.kills.get("kernel").copied().unwrap_or(0);
    // A kernel killed before it had a plane leaves its number to the next.
    assert!(
        (1 + toll.ready_kernels..=1 + killed).contains(&generation),
        "{generation} after {killed} kills"
    );
    let tick = place.tick();
    wait_until("ticks go on", || place.tick() > tick);
    wait_until("the swarm says that it is well", || place.json(&["status"])["state"] == "running");
    toll.ever.extend(place.processes());
    place.down_and_gone(&toll.ever);
}

/// Every kernel went on from the last state that the one before it had saved.
fn assert_no_tick_was_forgotten(place: &Place, checkpoint_ticks: u64) {
    let generations = place.generations();
    let mut numbers = 1..;
    let mut reached = 0;
    for row in &generations {
        let (generation, resumed, previous) = *row;
        assert_eq!(Some(generation), numbers.next(), "{generations:?}");
        // The event that tells may be among those that the recording lost; `verify` has those.
        let (Some(resumed), Some(previous)) = (resumed, previous) else { continue };
        assert!(
            resumed <= previous && previous - resumed <= checkpoint_ticks,
            "{row:?} of {generations:?}"
        );
        assert!(previous >= reached, "{row:?} forgets a generation: {generations:?}");
        reached = resumed;
    }
}

/// Kills while the swarm runs with `set`; gives published, recorded, lost.
fn survive(set: &[&str], roles: &[&str]) -> (Place, (u64, u64, u64)) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let kills = from_environment("RSW_CHAOS_KILLS", 100);
    let seed = from_environment("RSW_CHAOS_SEED", 0x5eed_0001);
    println!("RSW_CHAOS_KILLS={kills} RSW_CHAOS_SEED={seed}");
    let place = Place::new();
    place.write("swarm.toml", LOAD);
    let words: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    place.up(&words);
    let before: BTreeMap<String, u32> = place.processes().into_iter().collect();
    let mut toll = kill_at_random(&place, &mut Random(seed), kills, roles);
    println!("killed: {:?}", toll.kills);
    assert_recovered(&place, &mut toll, &before);
    assert_no_tick_was_forgotten(&place, 10);
    let accounted = place.verified();
    println!("published, recorded, lost: {accounted:?}");
    (place, accounted)
}

#[test]
fn a_lossless_recorder_misses_nothing_of_kernels_gateways_and_agents_that_die() {
    let set = ["tick.rate_hz=0", "recorder.mode=lossless", "recorder.gate_timeout_ms=60000"];
    let (place, (_, _, lost)) = survive(&set, &["kernel", "gateway", "watcher"]);
    assert_eq!(lost, 0);
    let holes = place.rows(
        "SELECT (SELECT max(tick) FROM rs_tick) - (SELECT count(*) FROM rs_tick), \
         (SELECT 4 * max(tick) FROM rs_tick) - (SELECT count(*) FROM rs_metric_point)",
    );
    assert_eq!(holes, [[0, 0]], "ticks, and values of agents, without a row");
}

#[test]
fn a_lossless_swarm_at_full_speed_survives_the_death_of_anybody() {
    survive(&["tick.rate_hz=0", "recorder.mode=lossless"], &EVERYBODY);
}

#[test]
fn an_observed_swarm_survives_the_death_of_anybody() {
    survive(&["tick.rate_hz=500"], &EVERYBODY);
}
