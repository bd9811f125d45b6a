//! Any topology comes back from JSON bit for bit: the kernel gets exactly what the supervisor decided.
//! And any text, however broken, is answered with errors inside it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

use std::path::PathBuf;

use proptest::prelude::*;
use rsw_config::{
    AgentInstance, AgentSection, AnnotationSection, AtEnd, Auto, Boundary, Coherence, Dwell, Gain,
    NamedSource, RecorderMode, Resample, Restart, Scale, Source, SourceSection, SwarmConfig,
    Topology, WatchSection, load, resolve,
};

fn finite() -> impl Strategy<Value = f64> {
    any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite())
}

fn auto<T: std::fmt::Debug + Copy>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Auto<T>> {
    proptest::option::of(value).prop_map(|value| value.map_or(Auto::Auto, Auto::Set))
}

prop_compose! {
    fn source()(
        at in any::<[u32; 2]>(),
        frequency in proptest::option::of(finite()),
        ricker in proptest::option::of(finite()),
        amplitude in finite(),
        phase in finite(),
        csv in proptest::option::of("[ -~äø]{1,20}"),
        column in proptest::option::of(".{0,20}"),
        sampled in any::<bool>(),
    ) -> SourceSection {
        SourceSection {
            at, frequency, ricker, amplitude, phase, column,
            csv: csv.map(PathBuf::from),
            resample: if sampled { Resample::Sample } else { Resample::Time },
            scale: if sampled { Scale::None } else { Scale::Standardise },
            at_end: if sampled { AtEnd::Loop } else { AtEnd::Silence },
            ..SourceSection::default()
        }
    }
}

prop_compose! {
    fn config()(
        size in any::<[u32; 2]>(),
        spacing in [finite(), finite()],
        dt in auto(finite()),
        box_max in auto(any::<u32>()),
        reals in proptest::collection::vec(finite(), 8),
        flag in any::<bool>(),
        slots in any::<u64>(),
        name in proptest::option::of(".{0,12}"),
        sources in proptest::collection::btree_map(".{1,8}", source(), 0..4),
        text in ".{0,16}",
    ) -> SwarmConfig {
        let mut config = SwarmConfig { source: sources, ..SwarmConfig::default() };
        config.swarm.name = name;
        config.field.size = size;
        config.field.spacing = spacing;
        config.field.dt = dt;
        config.field.boundary = if flag { Boundary::Sponge } else { Boundary::Periodic };
        config.metrics.box_max = box_max;
        config.metrics.alpha = reals[0];
        config.metrics.tau0 = reals[1];
        config.metrics.gain = if flag { Gain::Envelope } else { Gain::Abs };
        config.metrics.coherence = if flag { Coherence::Raw } else { Coherence::Bounded };
        config.metrics.dwell = if flag { Dwell::Sojourn } else { Dwell::Leaky };
        config.tick.rate_hz = reals[2];
        config.ring.slots = slots;
        config.recorder.mode =
            if flag { RecorderMode::Lossless } else { RecorderMode::Observe };
        config.watch.insert(text.clone(), WatchSection {
            cell: text.clone(), threshold: reals[3], hysteresis: reals[4],
        });
        config.annotation.insert(text.clone(), AnnotationSection {
            csv: PathBuf::from(&text), column: text.clone(),
        });
        config.agent.insert(text.clone(), AgentSection {
            command: vec![text.clone(), "-x".into()],
            at: flag.then_some(size),
            restart: Restart::Always,
            ..AgentSection::default()
        });
        config
    }
}

prop_compose! {
    fn topology()(
        config in config(),
        dt in finite(),
        courant in finite(),
        tick_period_ns in any::<u64>(),
        ticks_limit in proptest::option::of(any::<u64>()),
        agents in proptest::collection::vec((any::<u32>(), ".{0,9}", any::<[u32; 2]>(),
            proptest::option::of(0usize..9)), 0..5),
    ) -> Topology {
        let sources = config.source.iter()
            .map(|(name, source)| NamedSource { name: name.clone(), source: source.clone() })
            .collect();
        let agents = agents.into_iter().map(|(agent_id, name, site, source)| AgentInstance {
            agent_id, group: name.clone(), name, site, source,
        }).collect();
        Topology {
            config, dt, courant, tick_period_ns, ticks_limit, sources, agents,
            project: "p".into(), folder: "/a b/ü".into(), report_ticks: 7,
        }
    }
}

proptest! {
    #[test]
    fn json_is_exact(topology in topology()) {
        let json = serde_json::to_string(&topology).unwrap();
        let back: Topology = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&back, &topology);
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), json);
    }
}

const GOOD: &str = "version = 1\n[swarm]\nname = \"a\"\n[field]\nsize = [32, 16]\ndt = 0.1\n\
    boundary = \"sponge\"\npublish = [\"ci\"]\n[source.s]\nat = [3, 4]\nfrequency = 0.1\n\
    [metrics]\ntile = 8\nbox_max = \"auto\"\n[watch.w]\ncell = \"ci\"\nthreshold = 1\n\
    [agent.x]\nreplicas = 3\ncommand = [\"a\", \"b\"]\nwait = \"hybrid:5us\"\ncpus = \"1,2-3\"\n";

proptest! {
    /// Cuts a piece out of a good file and puts another in: refused or accepted, never a panic.
    #[test]
    fn broken_files_never_panic(
        start in 0..GOOD.len(),
        length in 0..40usize,
        piece in prop_oneof![
            "[\\PC\n]{0,12}",
            prop::sample::select(vec![
                "[", "]", "=", "\"", "\n", ".", "-1", "1e999", "nan", "[[a]]", "{ a = 1 }", "0",
                "99999999999999999999999", "0xffffffffffffffff", "true", "1979-05-27", "[agent]",
            ]).prop_map(String::from),
        ],
        set in ".{0,20}",
    ) {
        let folder = tempfile::tempdir().unwrap();
        let end = (start + length).min(GOOD.len());
        let text = format!("{}{piece}{}", &GOOD[..start], &GOOD[end..]);
        std::fs::write(folder.path().join("swarm.toml"), &text).unwrap();
        let mut source = Source::in_folder(folder.path());
        source.set = vec![set.clone(), format!("field.size={set}"), format!("agent.x.wait={set}")];
        source.environment = vec![(format!("RSW__{set}"), piece.clone())];
        source.scale = vec![format!("x={set}")];
        for source in [source, Source::in_folder(folder.path())] {
            match load(source) {
                Ok(loaded) => {
                    let topology = resolve(&loaded);
                    prop_assert!(topology.courant <= 1.0);
                }
                Err(errors) => {
                    prop_assert!(!errors.diagnostics.is_empty());
                    for diagnostic in errors.diagnostics {
                        prop_assert!(!diagnostic.to_string().is_empty());
                        if let (Some(file), Some(span)) = (&diagnostic.file, &diagnostic.span) {
                            prop_assert!(file.text.get(span.clone()).is_some(), "{diagnostic:?}");
                        }
                    }
                }
            }
        }
    }
}
