//! What was measured, as a document for scripts and as lines for people.

use rsw_config::MetricsSection;
use serde_json::{Value, json};
use solver_proc::metrics::boxes::{BoxFit, Dimension};
use solver_proc::metrics::spectrum::{Ring, Spectrum};
use solver_proc::metrics::{Bands, Meter, Summary};

/// Everything of `rsw.analyze/1`; what is measured frame by frame is that of the last.
pub(crate) struct Document {
    size: [usize; 2],
    frames: Vec<Measured>,
    whole: BoxFit,
    tile: usize,
    tiles: [usize; 2],
    /// D of each tile; NaN where undefined.
    dimensions: Vec<f64>,
    window: u32,
    rings: Vec<Ring>,
}

/// The scalars of one frame.
pub(crate) struct Measured {
    summary: Summary,
    /// Mean CI of every band, slowest first, and of their sum.
    bands: Vec<(String, f64)>,
    total: f64,
}

impl Measured {
    pub(crate) fn new(summary: Summary, bands: Option<&Bands>) -> Self {
        let means = bands.iter().flat_map(|bands| bands.means());
        Self {
            summary,
            bands: means.map(|(name, mean)| (name.to_owned(), mean)).collect(),
            total: bands.map_or(0.0, Bands::total_mean),
        }
    }

    /// As JSON; `past` says that the dwell time means something.
    fn json(&self, past: bool) -> Value {
        let Summary { coherence_mean, gain_mean, dwell_mean, ci_mean, .. } = self.summary;
        let mut means = json!({"C": coherence_mean, "G": gain_mean, "CI": ci_mean});
        if past {
            means["tau"] = json!(dwell_mean);
        }
        if !self.bands.is_empty() {
            let band = |(name, mean): &(String, f64)| json!({"name": name, "CI": mean});
            means["bands"] = self.bands.iter().map(band).collect();
            means["CI_total"] = json!(self.total);
        }
        means
    }

    fn line(&self, frame: usize) -> String {
        let Summary { theta, d_global, coherence_mean, gain_mean, dwell_mean, ci_mean, .. } =
            self.summary;
        let means =
            [coherence_mean, gain_mean, dwell_mean, ci_mean].map(|mean| format!(" {mean:>9.3e}"));
        format!("{frame:>5}  {theta:>9.3e} {d_global:>9.4}{}", means.concat())
    }
}

impl Document {
    pub(crate) fn new(
        size: [usize; 2],
        section: &MetricsSection,
        meter: &Meter,
        frames: Vec<Measured>,
        spectrum: &Spectrum,
    ) -> Self {
        let pyramid = meter.pyramid();
        Self {
            size,
            frames,
            whole: *pyramid.whole(),
            tile: pyramid.tile(),
            tiles: pyramid.tile_counts(),
            dimensions: pyramid.tiles().iter().map(|fit| slope(fit.dimension())).collect(),
            window: section.window,
            rings: spectrum.rings(),
        }
    }

    pub(crate) fn is_sequence(&self) -> bool {
        self.frames.len() > 1
    }

    /// Tiles along x and y.
    pub(crate) fn tiles(&self) -> [usize; 2] {
        self.tiles
    }

    pub(crate) fn dimensions(&self) -> &[f64] {
        &self.dimensions
    }

    /// The document `rsw.analyze/1`; what is undefined is null.
    pub(crate) fn json(&self) -> String {
        let last = self.last();
        let [nx, ny] = self.size;
        let [across, down] = self.tiles;
        let mut document = json!({
            "schema": "rsw.analyze/1",
            "nx": nx,
            "ny": ny,
            "threshold": last.summary.theta,
            "box_counts": self.counts().map(|[size, count]| json!({"size": size, "count": count})).collect::<Vec<_>>(),
            "D": last.summary.d_global,
            "D_r2": last.summary.d_r2,
            "local_slopes": self.whole.local_slopes().collect::<Vec<_>>(),
            "tiles": {"nx": across, "ny": down, "size": self.tile, "D": self.dimensions},
            "window": self.window,
            "mean": last.json(self.is_sequence()),
            "structure_factor": self.rings.iter().map(|ring| ring.mean).collect::<Vec<_>>(),
            "structure_factor_modes": self.rings.iter().map(|ring| ring.modes).collect::<Vec<_>>(),
        });
        if self.is_sequence() {
            let frame = |(frame, measured): (usize, &Measured)| {
                let mut row = measured.json(true);
                row["frame"] = json!(frame);
                row["D"] = json!(measured.summary.d_global);
                row["D_r2"] = json!(measured.summary.d_r2);
                row["threshold"] = json!(measured.summary.theta);
                row
            };
            document["frames"] = self.frames.iter().enumerate().map(frame).collect();
        }
        document.to_string()
    }

    /// The same for people: a line a frame, then what is known of the last.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        let [nx, ny] = self.size;
        if self.is_sequence() {
            lines.push(
                "frame  threshold         D         C         G    tau, s        CI".to_owned(),
            );
            lines.extend(self.frames.iter().enumerate().map(|(k, frame)| frame.line(k)));
            lines.push(format!("{nx} x {ny}, {} frames; of the last:", self.frames.len()));
        } else {
            lines.push(format!("{nx} x {ny}"));
        }
        lines.extend(self.dimension_lines());
        let Measured { summary, bands, total } = self.last();
        let Summary { coherence_mean, gain_mean, dwell_mean, ci_mean, .. } = summary;
        let dwell = match self.is_sequence() {
            true => format!(", tau {dwell_mean:.6e} s"),
            false => String::new(),
        };
        lines.push(format!(
            "means: C {coherence_mean:.6e}, G {gain_mean:.6e}{dwell}, CI {ci_mean:.6e}"
        ));
        if !bands.is_empty() {
            let means = listed(bands.iter().map(|(name, mean)| format!("{name} {mean:.6e}")));
            lines.push(format!("bands: {means}; in all {total:.6e}"));
        }
        // Ring 0 is no wave.
        let rings = self.rings.iter().enumerate().skip(1).filter(|(_, ring)| ring.mean > 0.0);
        if let Some((ring, most)) = rings.max_by(|a, b| a.1.mean.total_cmp(&b.1.mean)) {
            let mean = most.mean;
            lines.push(format!(
                "structure factor: largest at {ring} waves along the longer side, {mean:.6e}"
            ));
        }
        lines.join("\n")
    }

    fn dimension_lines(&self) -> Vec<String> {
        let Summary { d_global, d_r2, theta, .. } = self.last().summary;
        let counts = listed(self.counts().map(|[size, count]| format!("{size}: {count}")));
        let slopes = listed(self.whole.local_slopes().map(|slope| format!("{slope:.4}")));
        let mut lines = match d_global.is_nan() {
            true => vec![
                "D undefined: fewer than two box sizes; CI is 0 where a tile has none".to_owned(),
            ],
            false => vec![
                format!("D {d_global:.6} (R^2 {d_r2:.6}) of the cells with |u| >= {theta:.6e}"),
                format!("boxes {counts}"),
                format!("local slopes {slopes}"),
            ],
        };
        let defined = || self.dimensions.iter().copied().filter(|d| d.is_finite());
        if let [Some(low), Some(high)] = [defined().reduce(f64::min), defined().reduce(f64::max)] {
            let ([across, down], tile) = (self.tiles, self.tile);
            lines.push(format!(
                "D of {across} x {down} tiles of {tile} cells: {low:.4} to {high:.4}"
            ));
        }
        lines
    }

    fn last(&self) -> &Measured {
        // There is a frame, or there would be no document.
        &self.frames[self.frames.len() - 1]
    }

    /// Sizes of the fit in cells, and the boxes of each that hold a cell of the set.
    fn counts(&self) -> impl Iterator<Item = [u64; 2]> + '_ {
        let sizes = self.whole.range.into_iter().flat_map(|range| range.first..=range.last);
        sizes.map(|k| [1 << k, self.whole.counts[k as usize]])
    }
}

fn slope(dimension: Option<Dimension>) -> f64 {
    dimension.map_or(f64::NAN, |dimension| dimension.d)
}

fn listed(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}
