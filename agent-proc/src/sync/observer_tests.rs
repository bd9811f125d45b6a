//! Which ticks are reported, when, and that everybody reports the same.

use super::*;

fn ci(tick: u64, agent: u32) -> f64 {
    (tick as f64 * 0.11 * f64::from(agent)).cos() + 0.01 * (tick % 7) as f64
}

fn run(observer: &mut Observer, samples: impl IntoIterator<Item = (u64, u32)>) -> Vec<SyncResult> {
    samples.into_iter().filter_map(|(tick, id)| observer.observe(tick, id, ci(tick, id))).collect()
}

fn ticks(results: &[SyncResult]) -> Vec<u64> {
    results.iter().map(|result| result.last_tick).collect()
}

fn all(ticks: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = (u64, u32)> {
    ticks.flat_map(|tick| (1..=3).map(move |id| (tick, id)))
}

#[test]
fn a_report_is_made_with_the_last_sample_of_its_tick() {
    let mut observer = Observer::new(3, 32, 10);
    assert!(run(&mut observer, all(1..=9).chain([(10, 3), (10, 1)])).is_empty());
    assert_eq!(ticks(&run(&mut observer, [(10, 2)])), [10]);
    assert!(run(&mut observer, [(10, 2)]).is_empty(), "the same tick was reported twice");
    assert_eq!(ticks(&run(&mut observer, all(11..=40))), [20, 30, 40]);
}

#[test]
fn agents_over_the_same_samples_report_the_same() {
    let in_order = run(&mut Observer::new(3, 32, 10), all(1..=200));
    let backwards = (1..=200u64).flat_map(|tick| [(tick, 3), (tick, 2), (tick, 1)]);
    assert_eq!(in_order, run(&mut Observer::new(3, 32, 10), backwards));
    // One that came late agrees as soon as its window is full.
    let late = run(&mut Observer::new(3, 32, 10), all(57..=200));
    assert_eq!(ticks(&late)[0], 60);
    let full = |results: &[SyncResult]| {
        results.iter().filter(|r| r.last_tick >= 90).cloned().collect::<Vec<_>>()
    };
    assert_eq!(full(&in_order), full(&late));
    assert!(late[0].seen_ticks < 32);
}

#[test]
fn a_lost_sample_delays_its_report_and_leaves_a_hole() {
    let mut observer = Observer::new(3, 32, 10);
    let lossy = all(1..=60).filter(|&(tick, id)| (tick, id) != (40, 2));
    let results = run(&mut observer, lossy);
    assert_eq!(ticks(&results), [10, 20, 30, 40, 50, 60]);
    // The sample that made the report due did not take the place of the window's first tick.
    let mut window = Window::new(3, 32);
    for (tick, id) in all(1..=40).filter(|&sample| sample != (40, 2)) {
        window.push(tick, id, ci(tick, id));
    }
    assert_eq!(results[3], matrix(&window, 40, 32));
}

#[test]
fn of_reports_missed_in_one_gap_only_the_last_is_made() {
    let mut observer = Observer::new(3, 32, 10);
    run(&mut observer, all(1..=15));
    let results = run(&mut observer, all(36..=41));
    assert_eq!(ticks(&results), [30, 40]);
    assert_eq!((results[0].seen_ticks, results[1].seen_ticks), (15, 7 + 5));
    // A gap longer than the window leaves nothing to report.
    assert!(run(&mut observer, all(101..=109)).is_empty());
}

#[test]
fn ticks_that_a_restarted_kernel_runs_again_are_reported_again() {
    let mut observer = Observer::new(3, 32, 10);
    run(&mut observer, all(1..=45));
    let again = run(&mut observer, all(38..=50));
    assert_eq!(ticks(&again), [40, 50]);
    assert_eq!(again[1], run(&mut Observer::new(3, 32, 10), all(1..=50))[4]);
}

#[test]
fn strangers_are_ignored() {
    let mut observer = Observer::new(3, 32, 1);
    assert!(run(&mut observer, [(0, 1), (1, 0), (1, 4)]).is_empty());
    assert_eq!(observer.tick(), 0);
    assert!(Observer::new(0, 32, 1).observe(1, 1, 1.0).is_none());
}
