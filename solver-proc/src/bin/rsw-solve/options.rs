//! What can be asked of `runtime solve`, and the words it is asked in.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Parser, ValueEnum};
use rsw_config::{Boundary, Resample, Scale, SourceSection};
use solver_proc::feedback::Feedback;
use solver_proc::wave::Tiling;
use solver_proc::workers::Workers;

/// Most steps: so many are counted exactly in double precision.
const STEPS_MAX: u64 = 1 << 52;

/// Solves `u_tt = c^2 lap u - gamma u_t + f(u) + s` on a grid, from .npy arrays to .npy arrays.
#[derive(Debug, Parser)]
#[command(name = "runtime solve", version, long_version = KERNELS.as_str(), after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Options {
    /// The field at the start, [ny, nx] of f32 or f64
    #[arg(long, value_name = "U0.npy")]
    pub(crate) init: PathBuf,
    /// Its velocity u_t at the start [default: at rest]
    #[arg(long, value_name = "V0.npy", conflicts_with = "previous")]
    pub(crate) velocity: Option<PathBuf>,
    /// The field one step before the start, as --out-previous writes it
    #[arg(long, value_name = "U1.npy")]
    pub(crate) previous: Option<PathBuf>,
    /// A soft source; may be repeated
    #[arg(long, value_name = "SOURCE", value_parser = source)]
    pub(crate) source: Vec<SourceSection>,
    /// Steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=STEPS_MAX))]
    pub(crate) steps: u64,
    /// Steps that were taken before: where the sources' clock, the rows of their recordings and the
    /// names of files begin [default: 0; --previous with --source has none]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=STEPS_MAX))]
    pub(crate) start_step: Option<u64>,
    /// Wave speed in length units per time unit
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true)]
    pub(crate) c: f64,
    /// Spacing along x
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true)]
    pub(crate) dx: f64,
    /// Spacing along y [default: as along x]
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) dy: Option<f64>,
    /// Time step [default: 0.7 of the largest stable one]
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) dt: Option<f64>,
    /// Damping in 1 per time unit
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true)]
    pub(crate) gamma: f64,
    /// What the edges do
    #[arg(long, value_enum, default_value = "dirichlet")]
    pub(crate) boundary: Edge,
    /// Width of the sponge in cells
    #[arg(long, default_value_t = 20, value_name = "CELLS")]
    pub(crate) sponge_width: usize,
    /// Peak extra damping of the sponge in 1 per time unit
    #[arg(long, default_value_t = 0.5, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) sponge_damping: f64,
    /// Nonlinear term: none, sine-gordon:K, phi4:K:UMAX, relu:K:THRESHOLD:LIMIT
    #[arg(long, default_value = "none", value_parser = feedback)]
    pub(crate) feedback: Feedback,
    /// Precision [default: that of --init]
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<Precision>,
    /// Threads [default: 1 below 512 x 512 cells, else all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: Option<u16>,
    /// Steps in one pass over the field: auto, off or a number; the result has the same bits
    #[arg(long, default_value = "auto", value_parser = tiling)]
    pub(crate) tile: Tiling,
    /// Where it is computed; gpu is the best device that Vulkan has, in single precision
    #[arg(long, value_enum, default_value = "cpu")]
    pub(crate) backend: Backend,
    /// Where the last field goes
    #[arg(long, value_name = "U.npy")]
    pub(crate) out: Option<PathBuf>,
    /// Where the field one step before the last goes
    #[arg(long, value_name = "P.npy")]
    pub(crate) out_previous: Option<PathBuf>,
    /// Also writes the field after every K steps, to PREFIX-STEP.npy
    #[arg(long, value_name = "K", requires = "out_prefix", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) every: Option<u64>,
    /// Begins the names of those files
    #[arg(long, value_name = "PREFIX", requires = "every")]
    pub(crate) out_prefix: Option<String>,
    /// Prints one line of JSON (rsw.solve/1)
    #[arg(long)]
    pub(crate) json: bool,
}

/// The version, and what of it runs on this machine, for `runtime version -v`.
static KERNELS: LazyLock<String> = LazyLock::new(|| {
    let (version, widest) = (env!("CARGO_PKG_VERSION"), Workers::widest());
    let gpu = if cfg!(feature = "gpu") { "vulkan" } else { "none" };
    format!("{version}\nkernels: {widest} (of avx512, avx2, baseline); gpu {gpu}")
});

const AFTER_HELP: &str = "\
A source is a list of KEY=VALUE: at=X:Y and one of frequency=F (an oscillator, cycles per time unit),
ricker=F (a pulse that peaks at 1.2/F), csv=FILE,column=NAME (one sample a step);
and amplitude=A, phase=RADIANS, radius=CELLS (a disc; 0 is one cell, the default).

Edges of a dirichlet field keep the values that --init has there.

Example:
  runtime solve --init u0.npy --steps 1000 --boundary sponge --source at=64:64,frequency=0.05 --out u.npy";

/// What the edges do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Edge {
    Dirichlet,
    Neumann,
    Periodic,
    #[value(aliases = ["mur", "mur1", "mur-1"])]
    Absorbing,
    #[value(aliases = ["em2", "mur2", "mur-2"])]
    EngquistMajda,
    Sponge,
}

impl From<Edge> for Boundary {
    fn from(edge: Edge) -> Self {
        match edge {
            Edge::Dirichlet => Self::Dirichlet,
            Edge::Neumann => Self::Neumann,
            Edge::Periodic => Self::Periodic,
            Edge::Absorbing => Self::Absorbing,
            Edge::EngquistMajda => Self::EngquistMajda,
            Edge::Sponge => Self::Sponge,
        }
    }
}

/// Precision of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    F32,
    F64,
}

/// Where it is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    Cpu,
    Gpu,
}

fn tiling(word: &str) -> Result<Tiling, String> {
    match word {
        "auto" => Ok(Tiling::Auto),
        "off" => Ok(Tiling::Off),
        _ => match word.parse() {
            Ok(depth) if depth > 0 => Ok(Tiling::Depth(depth)),
            _ => Err("auto, off, or a number of steps from 1".into()),
        },
    }
}

fn number(word: &str) -> Result<f64, String> {
    match word.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("`{word}` is not a finite number")),
    }
}

fn feedback(word: &str) -> Result<Feedback, String> {
    let mut words = word.split(':');
    let name = words.next().unwrap_or_default();
    let numbers = words.map(number).collect::<Result<Vec<f64>, _>>()?;
    match (name, &numbers[..]) {
        ("none", []) => Ok(Feedback::None),
        ("sine-gordon", []) => Ok(Feedback::SineGordon { strength: 1.0 }),
        ("sine-gordon", [strength]) => Ok(Feedback::SineGordon { strength: *strength }),
        ("phi4", []) => Ok(Feedback::Phi4 { strength: 1.0, u_max: 2.0 }),
        ("phi4", [strength]) => Ok(Feedback::Phi4 { strength: *strength, u_max: 2.0 }),
        ("phi4", [strength, u_max]) if *u_max > 0.0 => {
            Ok(Feedback::Phi4 { strength: *strength, u_max: *u_max })
        }
        ("relu", [strength, threshold, limit]) if *limit > 0.0 => {
            Ok(Feedback::Relu { strength: *strength, threshold: *threshold, limit: *limit })
        }
        _ => Err("none, sine-gordon:K, phi4:K:UMAX or relu:K:THRESHOLD:LIMIT".into()),
    }
}

fn source(words: &str) -> Result<SourceSection, String> {
    let mut section = SourceSection {
        radius: 0,
        resample: Resample::Sample,
        scale: Scale::None,
        ..SourceSection::default()
    };
    let mut keys = Vec::new();
    for word in words.split(',') {
        let (key, value) =
            word.split_once('=').ok_or_else(|| format!("`{word}` is not KEY=VALUE"))?;
        if keys.contains(&key) {
            return Err(format!("`{key}` is given twice"));
        }
        keys.push(key);
        let whole = |value: &str| {
            value.parse::<u32>().map_err(|_| format!("`{value}` is not a number of cells"))
        };
        match key {
            "at" => {
                let (x, y) = value.split_once(':').ok_or("at is X:Y, such as at=64:64")?;
                section.at = [whole(x)?, whole(y)?];
            }
            "frequency" => section.frequency = Some(number(value)?),
            "ricker" => section.ricker = Some(number(value)?).filter(|frequency| *frequency > 0.0),
            "csv" => section.csv = Some(value.into()),
            "column" => section.column = Some(value.into()),
            "amplitude" => section.amplitude = number(value)?,
            "phase" => section.phase = number(value)?,
            "radius" => section.radius = whole(value)?,
            _ => {
                return Err(format!(
                    "`{key}` is unknown: at, frequency, ricker, csv, column, amplitude, phase, radius"
                ));
            }
        }
    }
    if section.ricker.is_none() && keys.contains(&"ricker") {
        return Err("ricker is a frequency above 0; its pulse peaks at 1.2/ricker".into());
    }
    if section.csv.is_some() != section.column.is_some() {
        return Err("a recording is both: csv=FILE and column=NAME".into());
    }
    if !keys.contains(&"at") {
        return Err("it has no place: at=X:Y".into());
    }
    match [section.frequency.is_some(), section.ricker.is_some(), section.csv.is_some()]
        .into_iter()
        .filter(|given| *given)
        .count()
    {
        0 => Err("it has no signal: frequency=F, ricker=F, or csv=FILE,column=NAME".into()),
        1 => Ok(section),
        _ => Err("it has more than one signal: give one of frequency, ricker and csv; a place may have several \
                  sources"
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn words_are_read_or_refused() {
        assert_eq!(tiling("off"), Ok(Tiling::Off));
        assert_eq!(tiling("8"), Ok(Tiling::Depth(8)));
        assert!(tiling("0").is_err() && tiling("-1").is_err());
        let relu = Feedback::Relu { strength: 0.5, threshold: 0.1, limit: 2.0 };
        assert_eq!(feedback("relu:0.5:0.1:2"), Ok(relu));
        assert_eq!(feedback("sine-gordon"), Ok(Feedback::SineGordon { strength: 1.0 }));
        assert!(feedback("relu:0.5").is_err() && feedback("phi4:nan").is_err());
        let section = source("at=3:4,frequency=0.1,radius=2").unwrap();
        assert_eq!((section.at, section.frequency, section.radius), ([3, 4], Some(0.1), 2));
        assert!(source("frequency=0.1").unwrap_err().contains("no place"));
        assert!(source("at=3:4,speed=1").unwrap_err().contains("`speed` is unknown"));
        assert!(source("at=3:4").unwrap_err().contains("no signal"));
        assert!(source("at=3:4,at=5:6,ricker=1").unwrap_err().contains("`at` is given twice"));
        assert!(source("at=3:4,ricker=0").unwrap_err().contains("above 0"));
        assert!(source("at=3:4,csv=a.csv").unwrap_err().contains("column=NAME"));
        assert!(source("at=3:4,ricker=1,frequency=1").unwrap_err().contains("more than one"));
    }
}
