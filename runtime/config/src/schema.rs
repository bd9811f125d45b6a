//! Every key of the swarm file with the values it takes: the table that the reader, the suggestions and
//! `validate --print-effective` follow.

use rsw_schemas::wire::{SITES_MAX, WINDOW_TICKS_MAX};

use crate::words;

/// Most agents of a swarm: their ids, seats and mailbox pages are laid out for it.
pub const AGENTS_MAX: u32 = SITES_MAX;
/// Most cells along one side of the field.
pub const SIDE_MAX: u32 = 32_768;
/// Most cells of the field: 1 GiB a layer of f32.
pub const CELLS_MAX: u64 = 1 << 28;

/// Longest period of a tick, in ns: 1000 s.
const PERIOD_NS_MAX: u64 = 1_000_000_000_000;

/// Values a key takes.
pub(crate) enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number in `min..=max`.
    Int(u64, u64),
    /// A power of two in `min..=max`.
    Pow2(u64, u64),
    /// An odd number in `min..=max`.
    Odd(u64, u64),
    /// Any finite number.
    Finite,
    /// A finite number above 0.
    Positive,
    /// A finite number from 0 up to this one.
    UpTo(f64),
    /// 0, or a finite number in `min..=max`.
    ZeroOr(f64, f64),
    /// A finite number in `min..=max`, above 0.
    Within(f64, f64),
    /// Any text that is not empty.
    Text,
    /// Text with a grammar; a bare number counts as text.
    Spec(fn(&str) -> Result<(), String>),
    /// One of these words.
    Word(&'static [&'static str]),
    /// `"auto"` or this.
    Auto(&'static Kind),
    /// Two of these.
    Pair(&'static Kind),
    /// Any number of these.
    List(&'static Kind),
}

/// One key.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What to write instead; shown as the help of every error about the key.
    pub(crate) hint: &'static str,
    /// Whether its table is nothing without it.
    pub(crate) required: bool,
}

/// One table.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// Whether it is `[name.INSTANCE]`.
    pub(crate) named: bool,
    pub(crate) keys: &'static [Key],
}

impl Section {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The table of that name.
pub(crate) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

const fn key(name: &'static str, kind: Kind, hint: &'static str) -> Key {
    Key { name, kind, hint, required: false }
}

const fn required(name: &'static str, kind: Kind, hint: &'static str) -> Key {
    Key { name, kind, hint, required: true }
}

const SIDE: Kind = Kind::Int(1, SIDE_MAX as u64);
const CELL: Kind = Kind::Int(0, SIDE_MAX as u64 - 1);
const CPUS: Kind = Kind::Spec(|text| words::parse_cpus(text).map(drop));
const WAIT: Kind = Kind::Spec(|text| words::parse_wait(text).map(drop));
const THRESHOLD: Kind = Kind::Spec(|text| words::parse_threshold(text).map(drop));
const NAME: Kind = Kind::Spec(words::check_name);
/// Largest number of ticks a window or an interval may have.
const TICKS_MAX: u64 = 1 << 31;

/// Fields that can be published.
pub const FIELDS: &[&str] = &["wave", "ci", "coherence", "gain", "dwell", "ci_total"];

/// What a name may be.
pub(crate) const NAME_HINT: &str = "letters, digits, `_` and `-`, at most 32";
const AT_HINT: &str = "a cell of the field, x then y, such as [64, 64]";
const CPUS_HINT: &str = "auto, off, a core, or a list such as \"2,4-7\"";

/// Every table of the file, in the order in which it is printed.
pub(crate) const SECTIONS: &[Section] = &[
    Section { name: "swarm", named: false, keys: &[key("name", NAME, NAME_HINT)] },
    Section { name: "field", named: false, keys: FIELD },
    Section { name: "tick", named: false, keys: TICK },
    Section { name: "metrics", named: false, keys: METRICS },
    Section { name: "band", named: true, keys: BAND },
    Section { name: "sync", named: false, keys: SYNC },
    Section { name: "source", named: true, keys: SOURCE },
    Section { name: "watch", named: true, keys: WATCH },
    Section { name: "annotation", named: true, keys: ANNOTATION },
    Section {
        name: "ring",
        named: false,
        keys: &[key("slots", Kind::Pow2(64, 1 << 24), "a power of two from 64 to 16777216")],
    },
    Section {
        name: "plane",
        named: false,
        keys: &[key("lock", Kind::Word(&["auto", "yes", "no"]), "auto, yes or no")],
    },
    Section { name: "recorder", named: false, keys: RECORDER },
    Section { name: "cpu", named: false, keys: CPU },
    Section { name: "agent", named: true, keys: AGENT },
];

/// Lengths, and speeds: their squares, and those of their quotients, are numbers.
const LENGTH: Kind = Kind::Within(1e-30, 1e30);

const FIELD: &[Key] = &[
    key("size", Kind::Pair(&SIDE), "cells along x and y, each from 1 to 32768, such as [256, 256]"),
    key("spacing", Kind::Pair(&LENGTH), "dx and dy, from 1e-30 to 1e30, such as [1.0, 1.0]"),
    key("wave_speed", LENGTH, "a speed from 1e-30 to 1e30 in length units per time unit"),
    key(
        "dt",
        Kind::Auto(&Kind::Within(1e-100, 1e100)),
        "\"auto\", or a time step from 1e-100 to 1e100",
    ),
    key("damping", Kind::UpTo(1e6), "a rate from 0 in 1 per time unit"),
    key(
        "boundary",
        Kind::Word(&["dirichlet", "neumann", "periodic", "absorbing", "engquist-majda", "sponge"]),
        "dirichlet, neumann, periodic, absorbing, engquist-majda or sponge",
    ),
    key("sponge_width", Kind::Int(1, 4096), "a width from 1 to 4096 cells"),
    key("sponge_damping", Kind::UpTo(1e6), "a rate from 0 in 1 per time unit"),
    key(
        "feedback",
        Kind::Word(&["none", "sine-gordon", "phi4", "relu"]),
        "none, sine-gordon, phi4 or relu",
    ),
    key("feedback_strength", Kind::Finite, "a finite number in 1 per time unit squared"),
    key("feedback_threshold", Kind::Finite, "a finite number in units of u"),
    key("feedback_limit", Kind::Within(1e-30, 1e30), "a number from 1e-30 to 1e30 in units of u"),
    key("backend", Kind::Word(&["auto", "cpu", "gpu"]), "auto, cpu or gpu"),
    key(
        "publish",
        Kind::List(&Kind::Word(FIELDS)),
        "any of wave, ci, coherence, gain, dwell, ci_total",
    ),
];

const TICK: &[Key] = &[
    key(
        "rate_hz",
        Kind::ZeroOr(1e9 / PERIOD_NS_MAX as f64, 1e6),
        "ticks per second from 0.001 to 1000000; 0 is as fast as it can",
    ),
    key("steps", Kind::Int(1, 100_000), "solver steps a tick, at least 1"),
    key("period_ns", Kind::Int(1, PERIOD_NS_MAX), "nanoseconds from 1 to 1000000000000"),
    key("checkpoint_ticks", Kind::Int(1, TICKS_MAX), "ticks, at least 1"),
];

const METRICS: &[Key] = &[
    key("alpha", Kind::UpTo(1e12), "a number from 0 to 1e12"),
    key("d_exponent", Kind::UpTo(64.0), "a number from 0 to 64"),
    key("tau0", Kind::Within(1e-30, 1e30), "field seconds from 1e-30 to 1e30"),
    key("threshold", THRESHOLD, "a number from 0, or a quantile such as \"q:0.75\""),
    key("box_min", Kind::Int(1, SIDE_MAX as u64), "cells, at least 1"),
    key("box_max", Kind::Auto(&SIDE), "\"auto\", or cells above box_min"),
    key("tile", Kind::Pow2(4, SIDE_MAX as u64), "a power of two from 4 cells"),
    key("window", Kind::Odd(1, 1023), "an odd number of cells up to 1023"),
    key("a_ref", Kind::Within(1e-12, 1e12), "a number from 1e-12 to 1e12"),
    key("s0", Kind::Positive, "a standard deviation above 0"),
    key("gain", Kind::Word(&["rms", "abs", "envelope"]), "rms, abs or envelope"),
    key("coherence", Kind::Word(&["bounded", "raw"]), "bounded or raw"),
    key("coherence_eps", Kind::Within(1e-30, 1e12), "a number from 1e-30 to 1e12"),
    key("dwell", Kind::Word(&["leaky", "sojourn"]), "leaky or sojourn"),
    key("dwell_lambda", Kind::Positive, "ticks above 0"),
    key("dwell_a0", Kind::Positive, "a number above 0"),
    key("dwell_s_min", Kind::UpTo(1.0), "a similarity from 0 to 1"),
    key("dwell_theta", Kind::UpTo(f64::MAX), "a number from 0"),
    key("envelope_ticks", Kind::Positive, "ticks above 0"),
    key("every_ticks", Kind::Int(1, TICKS_MAX), "ticks, at least 1"),
    key("batch_ticks", Kind::Int(1, 65_536), "ticks from 1 to 65536"),
];

const SYNC: &[Key] = &[
    key("window_ticks", Kind::Int(8, WINDOW_TICKS_MAX as u64), "ticks from 8 to 65536"),
    key("report_ticks", Kind::Auto(&Kind::Int(1, TICKS_MAX)), "\"auto\", or ticks from 1"),
];

const SOURCE: &[Key] = &[
    key("at", Kind::Pair(&CELL), AT_HINT),
    key("frequency", Kind::UpTo(f64::MAX), "cycles per time unit, from 0"),
    key("ricker", Kind::Positive, "cycles per time unit, above 0"),
    key("amplitude", Kind::Finite, "a finite number"),
    key("phase", Kind::Finite, "radians"),
    key("radius", Kind::Int(0, 4096), "cells from 0 to 4096"),
    key("csv", Kind::Text, "the path of a CSV file, relative to the swarm file"),
    key("column", Kind::Text, "a column of the CSV file"),
    key("time_column", Kind::Text, "a column of the CSV file"),
    key("resample", Kind::Word(&["time", "sample"]), "time or sample"),
    key("scale", Kind::Word(&["standardise", "none"]), "standardise or none"),
    key("at_end", Kind::Word(&["silence", "loop"]), "silence or loop"),
];

const BAND: &[Key] = &[
    required("low_hz", Kind::Positive, "the lower edge, a frequency above 0"),
    required(
        "high_hz",
        Kind::Positive,
        "the upper edge, above low_hz and below half of the tick rate",
    ),
    key("weight", Kind::UpTo(1e12), "a number from 0 to 1e12"),
    key("alpha", Kind::UpTo(1e12), "a number from 0 to 1e12"),
    key(
        "tau0",
        Kind::Auto(&Kind::Within(1e-30, 1e30)),
        "\"auto\", or field seconds from 1e-30 to 1e30",
    ),
    key("half", Kind::Positive, "a number from 1e-12 to 1e12"),
];

const WATCH: &[Key] = &[
    required("cell", Kind::Text, "a cell of the board; `runtime peek` lists them"),
    required("threshold", Kind::Finite, "a finite number"),
    key("hysteresis", Kind::UpTo(f64::MAX), "a number from 0"),
];

const ANNOTATION: &[Key] = &[
    required("csv", Kind::Text, "the path of a CSV file, relative to the swarm file"),
    required("column", Kind::Text, "a column of 0 and 1 of the CSV file"),
];

const RECORDER: &[Key] = &[
    key("enabled", Kind::Bool, "true or false"),
    key("mode", Kind::Word(&["observe", "lossless"]), "observe or lossless"),
    key("dir", Kind::Text, "a folder, relative to the swarm file"),
    key("durability", Kind::Word(&["power", "process"]), "power or process"),
    key("gate_timeout_ms", Kind::Int(1, 600_000), "milliseconds from 1 to 600000"),
    key("spool_events", Kind::Int(1024, 1 << 26), "events from 1024 to 67108864"),
    key("window_ticks", Kind::Int(8, 65_536), "ticks from 8 to 65536"),
    key("keyframe_ticks", Kind::Int(0, TICKS_MAX), "ticks; 0 keeps only the last frame"),
];

const CPU: &[Key] = &[
    key("kernel", CPUS, CPUS_HINT),
    key("recorder", CPUS, CPUS_HINT),
    key("threads", Kind::Auto(&Kind::Int(1, 1024)), "\"auto\", or threads from 1 to 1024"),
];

const AGENT: &[Key] = &[
    key(
        "command",
        Kind::List(&Kind::Text),
        "a program and its arguments, such as [\"agent-proc\"]",
    ),
    key("replicas", Kind::Int(0, AGENTS_MAX as u64), "a swarm has at most 4096 agents"),
    key("isolation", Kind::Word(&["sandboxed", "strict", "none"]), "sandboxed, strict or none"),
    key("wait", WAIT, "spin, yield, block, or hybrid:T such as \"hybrid:50us\""),
    key("restart", Kind::Word(&["never", "on-failure", "always"]), "never, on-failure or always"),
    key("cpus", CPUS, CPUS_HINT),
    key("at", Kind::Pair(&CELL), AT_HINT),
    key("memory_mib", Kind::Int(16, 1 << 20), "MiB from 16 to 1048576"),
    key("reads", Kind::List(&Kind::Text), "files and folders, relative to the swarm file"),
    key("environment", Kind::List(&Kind::Spec(words::is_assignment)), "such as [\"LANG=C.UTF-8\"]"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::*;

    /// The table and the model must name the same keys: serde would refuse, or never see, the rest.
    #[test]
    fn the_table_and_the_model_agree() {
        let mut config = SwarmConfig::default();
        config.swarm.name = Some("x".into());
        let source = SourceSection {
            frequency: Some(1.0),
            ricker: Some(1.0),
            csv: Some("x".into()),
            column: Some("x".into()),
            time_column: Some("x".into()),
            ..SourceSection::default()
        };
        config.source.insert("x".into(), source);
        let band = BandSection {
            low_hz: 1.0,
            high_hz: 2.0,
            weight: 1.0,
            alpha: 1.0,
            tau0: Auto::Auto,
            half: 1.0,
        };
        config.band.insert("x".into(), band);
        let watch = WatchSection { cell: "x".into(), threshold: 0.0, hysteresis: 0.0 };
        config.watch.insert("x".into(), watch);
        let annotation = AnnotationSection { csv: "x".into(), column: "x".into() };
        config.annotation.insert("x".into(), annotation);
        let agent = AgentSection { at: Some([0, 0]), ..AgentSection::default() };
        config.agent.insert("x".into(), agent);
        let tree = toml::Table::try_from(&config).unwrap();
        let known: BTreeSet<&str> = SECTIONS.iter().map(|section| section.name).collect();
        let written: BTreeSet<&str> = tree.keys().map(String::as_str).collect();
        assert_eq!(written, known.into_iter().chain(["version"]).collect());
        for section in SECTIONS {
            let table = match section.named {
                true => &tree[section.name]["x"],
                false => &tree[section.name],
            };
            let written: BTreeSet<&str> = table.as_table().unwrap().keys().map(|k| &**k).collect();
            let known: BTreeSet<&str> = section.keys.iter().map(|key| key.name).collect();
            assert_eq!(written, known, "[{}]", section.name);
        }
    }

    /// Every word of the table is a word of the model, and every default is a value of the table.
    #[test]
    fn the_words_and_the_defaults_are_valid() {
        for section in SECTIONS {
            for key in section.keys {
                let Kind::Word(words) = key.kind else { continue };
                for word in words {
                    let header = match section.named {
                        true => format!("{}.x", section.name),
                        false => section.name.into(),
                    };
                    let text = format!("[{header}]\n{} = \"{word}\"\n", key.name);
                    toml::from_str::<SwarmConfig>(&text).unwrap();
                }
            }
        }
    }
}
