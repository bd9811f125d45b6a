//! What can be asked of `runtime analyze`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;
use rsw_config::{Auto, BandSection, MetricsSection};
use solver_proc::metrics::MetricsError;

use crate::Failure;

/// Seconds from frame to frame where nothing says so: a tick of a swarm without a file.
const FRAME_SECONDS: f64 = 0.01;

/// Measures the complexity index of fields, and what it is made of: dimension, coherence, gain, dwell; and their structure factor.
#[derive(Debug, Parser)]
#[command(name = "runtime analyze", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Options {
    /// Fields, [ny, nx] of f32 or f64, measured in single precision; several files, or [frames, ny, nx], are a
    /// sequence
    #[arg(value_name = "FIELD.npy", required = true)]
    pub(crate) fields: Vec<PathBuf>,
    /// Cells of the set: |u| above 0 and of at least X, or of at least the quantile P of |u| (q:P)
    #[arg(long, value_name = "X|q:P", allow_hyphen_values = true)]
    threshold: Option<String>,
    /// Box sizes of the fit in cells, powers of two from MIN to MAX
    #[arg(long, value_name = "MIN:MAX", value_parser = boxes, allow_hyphen_values = true)]
    boxes: Option<[u32; 2]>,
    /// Side of a tile for the local D, a power of two
    #[arg(long, value_name = "CELLS", allow_hyphen_values = true)]
    tile: Option<u32>,
    /// Side of the window for coherence and gain, odd
    #[arg(long, value_name = "CELLS", allow_hyphen_values = true)]
    window: Option<u32>,
    /// A swarm file whose metrics, tick and, in a sequence, bands are meant
    #[arg(long, value_name = "FILE.toml")]
    params: Option<PathBuf>,
    /// Field time from frame to frame [default: a tick of --params, or 0.01]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_hyphen_values = true)]
    frame_seconds: Option<f64>,
    /// Takes the structure factor through a Hann window, for fields that are not periodic
    #[arg(long)]
    pub(crate) hann: bool,
    /// Writes the fields of the last frame to PREFIX-ci.npy, -coherence, -gain, -dimension,
    /// -structure-factor; of a sequence -dwell, too, and -ci_total with bands
    #[arg(long, value_name = "PREFIX")]
    pub(crate) out_prefix: Option<String>,
    /// Prints one line of JSON (rsw.analyze/1)
    #[arg(long)]
    pub(crate) json: bool,
}

const AFTER_HELP: &str = "\
A flag wins over --params, and that over the defaults. Every definition: solver-proc/SCIENCE.md

A single field has no past: its index is alpha D^bD G C, as if it had always been so. In a sequence
the dwell time tau grows from the first frame on, and the index is alpha D^bD G C (1 - exp(-tau/tau0)),
as in a swarm that ticks once a frame.

Example:
  runtime analyze u-*.npy --threshold q:0.9 --boxes 2:64 --json";

/// What is measured, and how long a frame lasts.
pub(crate) struct Parameters {
    pub(crate) section: MetricsSection,
    pub(crate) bands: BTreeMap<String, BandSection>,
    pub(crate) frame_seconds: f64,
}

impl Options {
    /// The flags over the file over the defaults.
    pub(crate) fn parameters(&self) -> Result<Parameters, Failure> {
        let (mut section, mut frame_seconds) = (MetricsSection::default(), FRAME_SECONDS);
        let mut bands = BTreeMap::new();
        if let Some(path) = &self.params {
            if !path.exists() {
                return Err(format!("--params {}: there is no such file", path.display()).into());
            }
            let folder = std::env::current_dir()?;
            // No swarm ticks as slowly or as fast as frames may follow: its bands are then judged with the frames.
            let rate = self.frame_seconds.map(|seconds| match 1.0 / seconds {
                rate @ 1e-3..=1e6 => format!("tick.rate_hz={rate}"),
                _ => "tick.rate_hz=0".to_owned(),
            });
            let source = rsw_config::Source {
                file: Some(path.clone()),
                set: rate.into_iter().collect(),
                ..rsw_config::Source::in_folder(folder)
            };
            let loaded = rsw_config::load(source)?;
            frame_seconds = rsw_config::resolve(&loaded).tick_period_ns as f64 * 1e-9;
            (section, bands) = (loaded.config.metrics, loaded.config.band);
        }
        if let Some(threshold) = &self.threshold {
            section.threshold.clone_from(threshold);
        }
        if let Some([min, max]) = self.boxes {
            (section.box_min, section.box_max) = (min, Auto::Set(max));
        }
        section.tile = self.tile.unwrap_or(section.tile);
        section.window = self.window.unwrap_or(section.window);
        let frame_seconds = self.frame_seconds.unwrap_or(frame_seconds);
        Ok(Parameters { section, bands, frame_seconds })
    }

    /// An error about `[metrics]`, in the words of the flags that were given.
    pub(crate) fn in_flags(&self, error: &MetricsError) -> String {
        let given = [
            ("threshold", self.threshold.is_some()),
            ("tile", self.tile.is_some()),
            ("window", self.window.is_some()),
        ];
        let told = error.to_string();
        let flags = given.into_iter().filter(|(_, given)| *given);
        flags.fold(told, |told, (key, _)| {
            told.replace(&format!("metrics.{key}"), &format!("--{key}"))
        })
    }
}

fn seconds(words: &str) -> Result<f64, String> {
    let seconds = words.parse().ok().filter(|seconds| (1e-9..=1e9).contains(seconds));
    seconds.ok_or_else(|| format!("`{words}` is not a time from 1e-9 to 1e9 seconds"))
}

fn boxes(words: &str) -> Result<[u32; 2], String> {
    let bad = || format!("`{words}` is not MIN:MAX, such as 2:64");
    let (min, max) = words.split_once(':').ok_or_else(bad)?;
    let [min, max] = [min, max].map(|word| word.parse::<u32>().ok().filter(|size| *size > 0));
    let (min, max) = min.zip(max).ok_or_else(bad)?;
    match min.next_power_of_two() <= max {
        true => Ok([min, max]),
        false => Err(format!("no power of two lies from {min} to {max}")),
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
    fn flags_are_read_or_refused() {
        assert_eq!(boxes("2:64"), Ok([2, 64]));
        assert!(boxes("3:3").unwrap_err().contains("no power of two"));
        assert!(boxes("64").is_err() && boxes("0:4").is_err() && boxes("a:b").is_err());
        let options = Options::parse_from(["analyze", "u.npy", "--tile", "16", "--boxes", "1:8"]);
        let Parameters { section, frame_seconds, .. } = options.parameters().unwrap();
        assert_eq!((section.tile, section.box_min, section.window), (16, 1, 9));
        assert_eq!(frame_seconds, 0.01);
    }
}
