//! A writer's process is killed at random instants, hundreds of times: whatever store it was at, readers are not lied
//! to and do not hang. `RSW_NIGHTLY=1` makes it ten thousand kills.
//!
//! The kills at every named store are in `rsw-plane-points`.

use rsw_plane as plane;

mod victim;

use victim::checks::{Follower, check};
use victim::{Step, Victim};

#[test]
fn writer_process() {
    victim::writer_process(|| {}, || "3 ticks".into());
}

#[test]
fn a_writer_killed_at_any_instant_leaves_a_plane_that_tells_the_truth() {
    let nightly = std::env::var("RSW_NIGHTLY").is_ok_and(|value| value == "1");
    let kills = if nightly { 10_000 } else { 500 };
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut under_way = 0;
    let steps = [Step::Push, Step::Commit, Step::Frame, Step::Cell, Step::Stream, Step::Tick];
    for _ in 0..kills {
        let mut victim = Victim::spawn(0, &[]);
        let mut follower = Follower::new(&victim.plane);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // By the writer's own progress, so that a busy machine changes nothing; the instant within an operation is
        // left to chance.
        let (pushes, polls) = ((seed >> 32) % 400, (seed >> 48) % 20);
        victim.go();
        while victim.journal.span(Step::Push).may < pushes && !victim.ended() {
            follower.poll();
            follower.look();
        }
        for _ in 0..polls {
            follower.poll();
        }
        victim.kill();
        while !victim.ended() {
            follower.poll();
        }
        victim.reap();
        check(&victim, &mut follower, None);
        under_way += u64::from(steps.iter().any(|step| {
            let span = victim.journal.span(*step);
            span.sure != span.may
        }));
    }
    let finished = Victim::spawn(3, &[]);
    finished.go();
    assert_eq!(finished.finish(), "3 ticks");
    println!("{kills} kills, {under_way} of them inside an operation");
    assert!(under_way > 0, "no kill was inside an operation: the test proves nothing");
}
