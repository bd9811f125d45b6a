//! Which layer wins, where values are said to come from, and what the demonstration is.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

use std::fs;
use std::path::Path;

use rsw_config::{
    AgentIsolation, Auto, Backend, Layer, Loaded, RecorderMode, Source, SwarmConfig,
    effective_toml, load, plane_bytes_estimate, resolve,
};

fn loaded(source: Source) -> Loaded {
    load(source).unwrap_or_else(|errors| panic!("{errors}"))
}

fn folder_with(file: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("swarm.toml"), file).unwrap();
    folder
}

#[test]
fn an_empty_folder_is_the_demonstration() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = loaded(Source::in_folder(folder.path()));
    assert!(loaded.is_demo() && loaded.notes.is_empty());
    let topology = resolve(&loaded);
    assert_eq!(topology.config.field.size, [256, 256]);
    assert_eq!(topology.sources.len(), 3);
    let names: Vec<&str> = topology.agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["watcher-1", "watcher-2", "watcher-3", "watcher-4"]);
    assert_eq!(
        topology.agents.iter().map(|agent| agent.agent_id).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(topology.config.agent["watcher"].isolation, AgentIsolation::Sandboxed);
    assert_eq!(topology.agents[3].site, [192, 192]);
    assert!((topology.courant - 0.7).abs() < 1e-12);
    assert_eq!((topology.tick_period_ns, topology.report_ticks), (10_000_000, 100));
    assert!(plane_bytes_estimate(&topology) > (8 << 20));
}

#[test]
fn the_demonstration_fits_any_field_and_can_be_scaled() {
    let folder = tempfile::tempdir().unwrap();
    for side in [1, 3, 64, 1000] {
        let mut source = Source::in_folder(folder.path());
        source.set = vec![format!("field.size={side},{side}"), "source.a.amplitude=2".into()];
        source.scale = vec!["watcher=9".into()];
        let topology = resolve(&loaded(source));
        assert_eq!(topology.agents.len(), 9);
        assert_eq!(topology.sources[0].source.amplitude, 2.0);
        assert!(topology.sources.iter().all(|s| s.source.at[0] < side && s.source.at[1] < side));
        assert!(topology.agents.iter().all(|a| a.site[0] < side && a.site[1] < side));
    }
}

#[test]
fn the_demonstration_follows_the_speed_of_the_wave() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Source::in_folder(folder.path());
    source.set = vec!["field.wave_speed=0.01".into(), "field.spacing=2,4".into()];
    let topology = resolve(&loaded(source));
    assert_eq!(topology.sources[0].source.frequency, Some(0.01 / 4.0 / 20.0));
}

#[test]
fn later_layers_win_and_are_named() {
    let folder =
        folder_with("[field]\ndamping = 0.1\nwave_speed = 2\n[agent.my-cam]\nreplicas = 2\n");
    let mut source = Source::in_folder(folder.path());
    source.environment = vec![
        ("RSW__AGENT__MY_CAM__REPLICAS".into(), "3".into()),
        ("RSW__FIELD__DAMPING".into(), "0.2".into()),
        ("RSW__FIELD__BACKEND".into(), "cpu".into()),
        ("RSW_FILE".into(), "not ours".into()),
    ];
    source.set = vec!["field.damping=0.3".into(), "cpu.kernel=2".into(), "field.publish=ci".into()];
    source.scale = vec!["my-cam=5".into()];
    source.ticks = Some(7);
    source.project = Some("p1".into());
    let loaded = loaded(source);
    assert_eq!(loaded.config.field.damping, 0.3);
    assert_eq!(loaded.config.field.wave_speed, 2.0);
    assert_eq!(loaded.config.field.backend, Backend::Cpu);
    assert_eq!(loaded.config.field.publish, ["ci"]);
    assert_eq!(loaded.config.cpu.kernel, "2");
    assert_eq!(loaded.config.agent["my-cam"].replicas, 5);
    assert_eq!(loaded.config.recorder.mode, RecorderMode::Lossless);
    let layer = |path: &str| loaded.origins.get(path).layer;
    assert_eq!(layer("field.damping"), Layer::Set);
    assert_eq!(layer("field.wave_speed"), Layer::File);
    assert_eq!(layer("field.backend"), Layer::Environment);
    assert_eq!(layer("agent.my-cam.replicas"), Layer::Flag);
    assert_eq!(layer("field.size"), Layer::Default);
    let topology = resolve(&loaded);
    assert_eq!((topology.project.as_str(), topology.ticks_limit), ("p1", Some(7)));
}

#[test]
fn the_effective_file_reads_back_and_names_origins() {
    let folder = folder_with("[field]\ndt = 0.25\n[source.a]\nfrequency = 0.1\n[agent.w]\n");
    let mut source = Source::in_folder(folder.path());
    source.set = vec!["tick.steps=3".into()];
    let first = loaded(source);
    let text = effective_toml(&first.config, &first.origins);
    let place = format!("# {}/swarm.toml:2", folder.path().display());
    assert!(text.lines().any(|l| l.starts_with("dt = 0.25 ") && l.ends_with(&place)), "{text}");
    assert!(text.lines().any(|l| l.starts_with("steps = 3 ") && l.ends_with("# --set")), "{text}");
    assert!(text.lines().any(|l| l.starts_with("slots = 65536 ") && l.ends_with("# default")));
    let again = folder_with(&text);
    assert_eq!(loaded(Source::in_folder(again.path())).config, first.config);
    let parsed: SwarmConfig = toml::from_str(&text).unwrap();
    assert_eq!(parsed, first.config);
}

#[test]
fn sites_follow_at_then_the_source_of_the_name_then_a_lattice() {
    let folder = folder_with(
        "[source.a]\nat = [5, 6]\nfrequency = 0.1\n[source.b-2]\nat = [7, 8]\nfrequency = 0.1\n\
         [agent.a]\n[agent.b]\nreplicas = 2\n[agent.c]\nat = [1, 2]\n",
    );
    let topology = resolve(&loaded(Source::in_folder(folder.path())));
    let seats: Vec<_> = topology
        .agents
        .iter()
        .map(|agent| (agent.name.as_str(), agent.site, agent.source))
        .collect();
    assert_eq!(
        seats,
        [
            ("a", [5, 6], Some(0)),
            ("b-1", [128, 128], None),
            ("b-2", [7, 8], Some(1)),
            ("c", [1, 2], None)
        ]
    );
}

#[test]
fn paths_start_at_the_swarm_file_and_the_project_is_its_folder() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("my lab");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("rec.csv"), "x\n1\n2\n").unwrap();
    fs::write(inner.join("s.toml"), "[source.a]\ncsv = \"rec.csv\"\ncolumn = \"x\"\n").unwrap();
    let mut source = Source::in_folder(outer.path());
    source.file = Some(Path::new("my lab/s.toml").into());
    let topology = resolve(&loaded(source));
    assert_eq!(topology.folder, inner);
    assert_eq!(topology.project, "my_lab");
    assert_eq!(topology.sources[0].source.csv.as_deref(), Some(&*inner.join("rec.csv")));
}

#[test]
fn the_tick_period_follows_the_rate_or_the_key() {
    let period = |file: &str| {
        let folder = folder_with(file);
        let topology = resolve(&loaded(Source::in_folder(folder.path())));
        (topology.tick_period_ns, topology.report_ticks)
    };
    assert_eq!(period("[tick]\nrate_hz = 50\n"), (20_000_000, 50));
    assert_eq!(period("[tick]\nrate_hz = 0\nperiod_ns = 4000000000\n"), (4_000_000_000, 1));
    assert_eq!(period("[tick]\nrate_hz = 0.001\n"), (1_000_000_000_000, 1));
    assert_eq!(period("[sync]\nreport_ticks = 12\n"), (10_000_000, 12));
}

#[test]
fn a_file_without_sources_says_so() {
    let folder = folder_with("[field]\ndt = \"auto\"\n");
    let loaded = loaded(Source::in_folder(folder.path()));
    assert_eq!(loaded.config.field.dt, Auto::Auto);
    assert_eq!(loaded.notes.len(), 2);
    assert!(!loaded.is_demo());
}
