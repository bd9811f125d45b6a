//! A writer's process is killed right after every single store of every protocol, in turn: nothing is in doubt then,
//! so each death has one right answer.

use rsw_plane_points as plane;

#[path = "../../tests/victim/mod.rs"]
mod victim;

use std::collections::BTreeMap;

use plane::points;
use victim::Victim;
use victim::checks::{Follower, check};

/// Where the writer dies: a name, a colon, how often it comes there alive and once more.
const DIE_AT: &str = "RSW_VICTIM_DIES_AT";
/// Enough ticks for every kind of batch, and for the ring to be lapped twice.
const TICKS: u64 = 7;

/// Every point behind a store. What each must have published, the checks know.
const POINTS: [&str; 20] = [
    "arena.W0",
    "bytes.end",
    "bytes.half",
    "control",
    "control.wake",
    "counter",
    "frame.W0",
    "frame.W1",
    "frame.W2",
    "frame.len",
    "frame.range",
    "frame.t_ns",
    "frame.tick",
    "latch.W1",
    "latch.body",
    "ring.W0",
    "ring.W1",
    "ring.W2",
    "ring.W3",
    "ring.body",
];

#[test]
fn writer_process() {
    // Making the plane comes to points, too; nobody has its descriptor then.
    let before = std::cell::RefCell::new(BTreeMap::new());
    let arm = || {
        *before.borrow_mut() = points::hits();
        if let Ok(place) = std::env::var(DIE_AT) {
            let (name, count) = place.split_once(':').expect("a name and a count");
            points::arm(name, count.parse().expect("a count"), || points::die());
        }
    };
    victim::writer_process(arm, || {
        let before = before.borrow();
        let made = |name| before.get(name).copied().unwrap_or(0);
        let lines = points::hits().into_iter().map(|(name, count)| (name, count - made(name)));
        lines.map(|(name, count)| format!("{name} {count}\n")).collect()
    });
}

#[test]
fn a_writer_killed_after_any_store_leaves_a_plane_that_tells_the_truth() {
    let unharmed = Victim::spawn(TICKS, &[]);
    unharmed.go();
    let told = unharmed.finish();
    let hits: BTreeMap<&str, u64> = told
        .lines()
        .map(|line| line.split_once(' ').expect("a name and a count"))
        .map(|(name, count)| (name, count.parse().expect("a count")))
        .collect();
    assert!(hits.keys().eq(POINTS.iter()), "other points than expected: {hits:?}");
    let mut kills = 0;
    for (name, count) in hits {
        for hit in 1..=count {
            let mut victim = Victim::spawn(TICKS, &[(DIE_AT, &format!("{name}:{hit}"))]);
            let mut follower = Follower::new(&victim.plane);
            victim.go();
            while !victim.ended() {
                follower.poll();
                follower.look();
            }
            victim.reap();
            println!("died at {name}, time {hit}");
            check(&victim, &mut follower, Some(name));
            kills += 1;
        }
    }
    println!("{kills} kills");
}
