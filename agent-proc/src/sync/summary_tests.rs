//! The numbers of a report, from windows small enough to see through.

use super::*;

fn wave(tick: u64, phase: f64) -> f64 {
    (tick as f64 * 0.3 + phase).sin()
}

fn window(phases: &[f64], ticks: std::ops::RangeInclusive<u64>, memory: u32) -> Window {
    let mut window = Window::new(phases.len() as u32, memory);
    for tick in ticks {
        for (id, &phase) in (1..).zip(phases) {
            window.push(tick, id, wave(tick, phase));
        }
    }
    window
}

#[test]
fn equal_agents_are_at_the_cut() {
    let result = matrix(&window(&[0.0, 0.0, 0.0], 1..=64, 64), 64, 64);
    assert_eq!((result.agents(), result.pairs_defined, result.seen_ticks), (3, 3, 64));
    let mean = result.cs_mean.unwrap();
    assert!((mean - R_ABS_MAX).abs() < 1e-15, "{mean}");
    assert_eq!(result.cs_self(2), Some(mean));
}

#[test]
fn means_are_those_of_fisher() {
    let phases = [0.0, 0.9, 2.0];
    let result = matrix(&window(&phases, 1..=64, 64), 64, 64);
    let r = |a, b| result.r(a, b).unwrap();
    let mean = ((r(1, 2).atanh() + r(1, 3).atanh() + r(2, 3).atanh()) / 3.0).tanh();
    assert!((result.cs_mean.unwrap() - mean).abs() < 1e-15);
    let own = ((r(1, 3).atanh() + r(2, 3).atanh()) / 2.0).tanh();
    assert!((result.cs_self(3).unwrap() - own).abs() < 1e-15);
    let all = [r(1, 2), r(1, 3), r(2, 3)];
    assert_eq!(result.r_min, all.into_iter().reduce(f64::min));
    assert_eq!(result.r_max, all.into_iter().reduce(f64::max));
    assert_eq!((result.r(1, 1), result.r(1, 9), result.cs_self(9)), (Some(1.0), None, None));
}

#[test]
fn one_agent_and_no_agent_have_no_mean() {
    for phases in [&[0.0][..], &[]] {
        let result = matrix(&window(phases, 1..=64, 64), 64, 64);
        assert_eq!(result.agents() as usize, phases.len());
        assert_eq!((result.cs_mean, result.r_min, result.r_max), (None, None, None));
        assert_eq!((result.cs_self(1), result.pairs_defined), (None, 0));
    }
}

#[test]
fn only_the_ticks_of_the_window_count() {
    // The swarm before tick 100 was another one.
    let mut all = window(&[0.0, 2.0], 1..=100, 256);
    let tail = window(&[0.0, 0.5], 101..=150, 256);
    for tick in 101..=150 {
        for id in 1..=2 {
            all.push(tick, id, tail.get(tick, id).unwrap());
        }
    }
    assert_eq!(matrix(&all, 150, 50), matrix(&tail, 150, 50));
    assert_ne!(matrix(&all, 150, 51), matrix(&tail, 150, 51));
    // Later ticks do not count either.
    all.push(151, 1, 1e9);
    assert_eq!(matrix(&all, 150, 50), matrix(&tail, 150, 50));
}

#[test]
fn agents_without_a_sample_in_the_window_are_not_in_the_matrix() {
    let mut window = window(&[0.0, 1.0, 2.0], 1..=40, 64);
    for tick in 41..=60 {
        window.push(tick, 1, wave(tick, 0.0));
        window.push(tick, 3, wave(tick, 1.0));
    }
    assert_eq!(matrix(&window, 60, 20).ids(), [1, 3]);
    let result = matrix(&window, 60, 25);
    assert_eq!((result.ids(), result.r(1, 2)), (&[1, 2, 3][..], None));
    assert_eq!((result.pairs_defined, result.seen_ticks), (1, 25));
}

#[test]
fn a_young_run_has_a_short_window() {
    let result = matrix(&window(&[0.0, 1.0], 1..=10, 256), 10, 256);
    assert_eq!((result.window_ticks, result.seen_ticks, result.pairs_defined), (256, 10, 1));
    assert_eq!(matrix(&window(&[0.0, 1.0], 1..=7, 256), 7, 256).pairs_defined, 0);
}

#[test]
fn the_checksum_is_that_of_the_matrix() {
    let result = matrix(&window(&[0.0, 1.0], 1..=5, 64), 5, 64);
    assert_eq!(result.matrix().len(), 4);
    let nan: Vec<u8> = 0x7ff8_0000_0000_0000u64.to_le_bytes().repeat(4);
    assert_eq!(result.matrix_crc32, crc32fast::hash(&nan));
}
