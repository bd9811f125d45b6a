//! The engine: ticks, sites, events, divergence, threads, and states that are saved and continued.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{band, pool, recorded, topology};
use rsw_config::{AnnotationSection, AtEnd, Topology};
use solver_proc::engine::{Engine, EngineError, EngineEvent, RestoreError};
use solver_proc::source::SourceError;

const FIELDS: [&str; 5] = ["wave", "ci", "coherence", "gain", "dwell"];

/// Everything that an engine shows, as bits.
fn shown(engine: &Engine) -> (Vec<Vec<u32>>, String, i64) {
    let bits = |field: &[f32]| field.iter().map(|v| v.to_bits()).collect();
    let fields = FIELDS.iter().chain(&["ci_total"]).filter_map(|name| engine.field(name));
    (fields.map(bits).collect(), format!("{:?}", engine.site_metrics()), engine.t_ns())
}

/// A report without its durations.
fn report(engine: &mut Engine) -> String {
    let report = engine.tick().unwrap();
    format!("{:?}", solver_proc::engine::TickReport { solver_ns: 0, metrics_ns: 0, ..report })
}

fn engine(topology: &Topology) -> Engine {
    Engine::new(topology, pool(1)).unwrap()
}

#[test]
fn a_tick_makes_waves_and_numbers() {
    let topology = topology(80, 70);
    let mut engine = engine(&topology);
    for tick in 1..=60 {
        let report = engine.tick().unwrap();
        assert_eq!((report.tick, report.t_ns), (tick, tick as i64 * 10_000_000));
        assert!(report.evaluated && !report.diverged);
        assert!(report.energy > 0.0 && report.u_abs_max > 0.0);
    }
    let report = engine.tick().unwrap();
    assert!(report.ci_mean > 0.0 && report.d_global > 0.5 && report.d_global <= 2.0);
    assert!(report.d_r2 > 0.5 && report.coherence_mean <= 1.0 && report.dwell_mean > 0.0);
    let [first, second] = engine.site_metrics() else { panic!("two agents") };
    assert_eq!((first.agent_id, second.agent_id), (1, 2));
    assert_eq!(first.ci, f64::from(engine.field("ci").unwrap()[23 * 80 + 20]));
    let expected = first.d * first.g * first.c * (1.0 - (-first.tau / 0.1).exp());
    assert!((first.ci / expected - 1.0).abs() < 1e-5);
    // The oscillator at the end of tick 61, without its amplitude.
    let sine = (std::f64::consts::TAU * 0.05 * 61.0 * 8.0 * topology.dt).sin();
    assert!((first.drive - sine).abs() < 1e-9 && second.drive.is_nan());
    let [low, high] = engine.range("wave").unwrap();
    assert_eq!(f64::from(high.max(-low)), report.u_abs_max);
    assert!(engine.field("speed").is_none() && engine.range("speed").is_none());
}

#[test]
fn threads_change_no_bit() {
    let topology = topology(90, 270);
    let run = |threads| {
        let mut engine = Engine::new(&topology, pool(threads)).unwrap();
        let reports: Vec<String> = (0..30).map(|_| report(&mut engine)).collect();
        (reports, shown(&engine))
    };
    let one = run(1);
    assert_eq!(run(1), one);
    assert_eq!(run(2), one);
    assert_eq!(run(4), one);
}

#[test]
fn a_restored_engine_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("s.csv");
    std::fs::write(&csv, "t,a,mark\n0,1,0\n1,,0\n2,3,1\n3,9,1\n4,2,0\n").unwrap();
    for (every_ticks, bands) in [(1, 0), (3, 0), (1, 2), (3, 2)] {
        let mut topology = topology(65, 67);
        topology.config.metrics.every_ticks = every_ticks;
        topology.config.band = (0..bands).map(|k| band(k, 1.0 + 8.0 * f64::from(k))).collect();
        let mut source = recorded("c", csv.clone(), "a", [30, 30]);
        source.source.at_end = AtEnd::Loop;
        topology.sources.push(source);
        topology
            .config
            .annotation
            .insert("mark".into(), AnnotationSection { csv: csv.clone(), column: "mark".into() });
        let mut whole = engine(&topology);
        for _ in 0..23 {
            whole.tick().unwrap();
        }
        let mut state = vec![0; whole.checkpoint_bytes()];
        whole.save(&mut state).unwrap();
        let mut other = engine(&topology);
        other.tick().unwrap();
        other.restore(&state).unwrap();
        assert_eq!(shown(&other), shown(&whole), "at once, every {every_ticks}");
        assert_eq!(other.tick_number(), 23);
        drop(whole.events());
        for _ in 0..20 {
            assert_eq!(report(&mut other), report(&mut whole));
            assert_eq!(other.events().collect::<Vec<_>>(), whole.events().collect::<Vec<_>>());
            assert_eq!(shown(&other), shown(&whole));
        }
    }
}

#[test]
fn damaged_and_foreign_states_are_refused_and_change_nothing() {
    let mut first = engine(&topology(40, 30));
    for _ in 0..5 {
        first.tick().unwrap();
    }
    let mut state = vec![0; first.checkpoint_bytes()];
    first.save(&mut state).unwrap();
    let before = shown(&first);
    for byte in
        (0..36).chain((36..state.len()).step_by(997)).filter(|byte| !(36..40).contains(byte))
    {
        let mut damaged = state.clone();
        damaged[byte] ^= 0x10;
        assert!(first.restore(&damaged).is_err(), "byte {byte}");
        assert_eq!(shown(&first), before);
    }
    for length in [0, 1, 39, 40, state.len() - 1] {
        assert!(
            matches!(first.restore(&state[..length]), Err(RestoreError::Length { .. })),
            "{length}"
        );
    }
    let mut other = engine(&topology(30, 40));
    assert!(matches!(other.restore(&state), Err(RestoreError::Shape { .. })));
    let mut sparse = topology(40, 30);
    sparse.config.metrics.every_ticks = 2;
    assert!(matches!(engine(&sparse).restore(&state), Err(RestoreError::Shape { .. })));
}

#[test]
fn a_diverging_field_is_told_and_put_to_rest() {
    let mut topology = topology(40, 40);
    topology.sources[0].source.amplitude = 1e30;
    let mut engine = engine(&topology);
    let first = engine.tick().unwrap();
    assert!(first.diverged && first.u_abs_max > 1e12);
    assert_eq!((first.ci_mean, first.energy), (0.0, 0.0));
    for name in FIELDS {
        let [low, high] = engine.range(name).unwrap();
        assert!(low.is_finite() && high.is_finite());
    }
    assert!(engine.field("wave").unwrap().iter().all(|u| *u == 0.0));
    topology.sources[0].source.amplitude = 1e300;
    let mut engine = Engine::new(&topology, pool(1)).unwrap();
    assert!(
        (0..10).all(|_| engine.tick().unwrap().diverged),
        "infinity and NaN are seen at once, each time"
    );
    assert!(engine.field("dwell").unwrap().iter().all(|tau| tau.is_finite()));
}

#[test]
fn a_recording_gives_the_time_the_events_and_the_marks() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("s.csv");
    let text = "time,a,mark\n100.0,1,0\n100.5,,0\n101.0,3,1\n101.5,4,1\n102.0,1,0\n";
    std::fs::write(&csv, text).unwrap();
    let mut topology = topology(40, 40);
    topology.sources = vec![recorded("a", csv.clone(), "a", [20, 20])];
    topology.folder = folder.path().into();
    topology
        .config
        .annotation
        .insert("freeze".into(), AnnotationSection { csv: "s.csv".into(), column: "mark".into() });
    let mut engine = engine(&topology);
    let mut told = Vec::new();
    let mut gaps = Vec::new();
    for tick in 1..=7u64 {
        let report = engine.tick().unwrap();
        assert_eq!(report.t_ns, 100_000_000_000 + (tick as i64 - 1) * 500_000_000);
        gaps.push(engine.site_metrics()[0].drive_gap);
        told.extend(engine.events().map(|event| (tick, event)));
        assert_eq!(engine.events().count(), 0, "each is handed out once");
    }
    assert_eq!(gaps, [false, true, false, false, false, false, false]);
    let mark = |value| EngineEvent::Annotation { name: "freeze".into(), value };
    let ticks: Vec<u64> = told.iter().map(|(tick, _)| *tick).collect();
    assert_eq!(ticks, [1, 1, 2, 3, 5, 6, 6]);
    assert_eq!(told[0].1, EngineEvent::SourceChanged { source: 0, on: true });
    assert_eq!(told[1].1, mark(0.0));
    assert!(
        matches!(told[2].1, EngineEvent::Gap { source: 0, gap, .. } if (gap.from_tick, gap.to_tick) == (2, 3))
    );
    assert_eq!((&told[3].1, &told[4].1), (&mark(1.0), &mark(0.0)));
    assert_eq!(told[5].1, EngineEvent::SourceEnded { source: 0 });
    assert_eq!(told[6].1, EngineEvent::SourceChanged { source: 0, on: false });
    assert!(engine.notes()[0].contains("1 samples of \"a\" are missing"));
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Topology)| {
        let mut topology = topology(40, 40);
        change(&mut topology);
        Engine::new(&topology, pool(1)).err().unwrap()
    };
    assert!(matches!(refused(&|t| t.dt = 0.8), EngineError::Medium(_)));
    let outside = refused(&|t| t.sources[1].source.at = [40, 0]);
    assert!(matches!(outside, EngineError::Source(SourceError::Outside { .. })), "{outside}");
    let edge = refused(&|t| {
        t.sources[0].source.at = [0, 5];
        t.sources[0].source.radius = 0;
    });
    assert!(matches!(edge, EngineError::Source(SourceError::OnEdge { .. })), "{edge}");
    let silent = refused(&|t| t.sources[0].source.frequency = None);
    assert!(silent.to_string().contains("source \"a\""), "{silent}");
    assert!(matches!(refused(&|t| t.agents[0].site = [3, 99]), EngineError::Agent { .. }));
    assert!(matches!(refused(&|t| t.agents[0].source = Some(9)), EngineError::Agent { .. }));
    assert!(matches!(refused(&|t| t.config.tick.steps = 0), EngineError::NoSteps));
    assert!(matches!(refused(&|t| t.config.metrics.s0 = -1.0), EngineError::Metrics(_)));
    assert!(matches!(refused(&|t| t.config.field.spacing = [1.0, 0.0]), EngineError::Grid(_)));
}

/// A soft source at one cell of a quiet field: after one step `dt^2 q/(1+a)`, halved by the start of
/// second order; a fraction of the tick later the recorded signal has risen by that fraction.
#[test]
fn sources_push_as_the_formula_says() {
    let mut oscillator = topology(21, 21);
    oscillator.config.tick.steps = 1;
    oscillator.config.field.spacing = [2.0, 1.0];
    oscillator.config.field.damping = 0.3;
    oscillator.dt = 0.6;
    oscillator.sources.truncate(1);
    oscillator.agents.clear();
    let source = &mut oscillator.sources[0].source;
    (source.at, source.radius, source.amplitude) = ([10, 10], 0, 5.0);
    source.phase = std::f64::consts::FRAC_PI_2;
    let mut engine = engine(&oscillator);
    engine.tick().unwrap();
    let a = 0.5 * 0.3 * 0.6;
    // u- is half of dt^2 q: the scheme keeps (1-a)/(1+a) of it away.
    let push = 0.6f64.powi(2) * 5.0 / 2.0 / (1.0 + a);
    let expected = push - (1.0 - a) / (1.0 + a) * 0.5 * 0.6f64.powi(2) * 5.0 / 2.0;
    let u = f64::from(engine.field("wave").unwrap()[10 * 21 + 10]);
    assert!((u / expected - 1.0).abs() < 1e-5, "{u}, {expected}");
}

/// The real recording, all nine channels, a second of it; skipped where it is absent.
#[test]
fn nine_real_channels_drive_nine_sites() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/daphnet_s06r02e0.csv");
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return;
    }
    let mut topology = topology(96, 96);
    // Nine full tiles; with the default of 64 there is one, which may hold none of the set for a while, and
    // then D, and with it CI, is rightly 0 everywhere.
    topology.config.metrics.tile = 32;
    let columns = [
        "ankle_horiz_fwd",
        "ankle_vert",
        "ankle_horiz_lateral",
        "leg_horiz_fwd",
        "leg_vert",
        "leg_horiz_lateral",
        "trunk_horiz_fwd",
        "trunk_vert",
        "trunk_horiz_lateral",
    ];
    topology.tick_period_ns = 15_625_000;
    topology.sources = columns
        .iter()
        .zip(0u32..)
        .map(|(column, k)| {
            recorded(column, path.clone(), column, [16 + 32 * (k % 3), 16 + 32 * (k / 3)])
        })
        .collect();
    topology.config.annotation.insert(
        "freeze".into(),
        AnnotationSection { csv: path.clone(), column: "is_anomaly".into() },
    );
    let mut engine = engine(&topology);
    let mut marks = 0;
    for _ in 0..128 {
        let report = engine.tick().unwrap();
        assert!(!report.diverged && report.ci_mean.is_finite());
        marks += engine.events().filter(|e| matches!(e, EngineEvent::Annotation { .. })).count();
    }
    assert_eq!(marks, 1, "the first value of the annotation");
    assert_eq!(engine.t_ns(), 281_984_000_000);
    assert!(engine.tick().unwrap().ci_mean > 0.0);
}

/// The default tile of 64 and any window are cut to a field of 17 x 17, which changes no bit.
#[test]
fn a_small_field_cuts_tile_and_window() {
    let end = |tile, window| {
        let mut topology = topology(17, 17);
        (topology.config.metrics.tile, topology.config.metrics.window) = (tile, window);
        let mut engine = engine(&topology);
        let reports: Vec<String> = (0..30).map(|_| report(&mut engine)).collect();
        let site = engine.site_metrics()[0];
        assert!(!site.d_undefined && site.d.is_finite() && site.g > 0.0, "{site:?}");
        (reports, shown(&engine))
    };
    assert_eq!(end(64, 9), end(16, 9));
    assert_eq!(end(1024, 1023), end(16, 33));
}
