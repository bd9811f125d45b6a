//! The complexity index band by band: what a fast band has counts only where every slower one has something too.
//!
//! Band n sees the field through its band-pass (`bandpass`). With its own dimension, gain, coherence and dwell time (SCIENCE.md, The complexity index),
//! `CI_n = alpha_n D_n^bD G_n C_n (1 - exp(-tau_n/tau0_n)) prod over slower m of CI_m/(CI_m + K_m)`, and in all
//! `CI_total = sum w_n CI_n`, cell by cell. Bands are slower or faster by their lower edge, then by their upper one.

use std::collections::BTreeMap;

use rsw_config::{Auto, BAND_SHARE_MIN, BandSection, MetricsSection};

use super::bandpass::BandPass;
use super::meter::{Kept, Meter, MetricsError};
use crate::cells::Cells;
use crate::workers::Workers;

/// Measures fields of one size, band by band.
pub struct Bands {
    bands: Vec<Band>,
    total: Cells,
    /// What the slower bands let through.
    open: Cells,
    total_mean: f64,
}

/// One band.
struct Band {
    name: String,
    filter: BandPass,
    meter: Meter,
    weight: f32,
    half: f32,
    mean: f64,
}

impl Bands {
    /// So many fields of single precision are in `count` bands, at most.
    pub(crate) fn fields_max(count: usize) -> usize {
        let filter = BandPass::STATES + 1;
        2 + count * (filter + Meter::fields_max(Kept::NONE))
    }

    /// The bands of a swarm file, slowest first; `tick_seconds` is the field time of a tick.
    ///
    /// # Errors
    /// A band that begins below a millionth of the tick rate, is no wider than nothing or does not end below half of
    /// that rate; or a parameter that has no meaning.
    pub fn new(
        nx: usize,
        ny: usize,
        metrics: &MetricsSection,
        sections: &BTreeMap<String, BandSection>,
        tick_seconds: f64,
    ) -> Result<Self, MetricsError> {
        let mut sections: Vec<(&String, &BandSection)> = sections.iter().collect();
        sections.sort_by(|(_, a), (_, b)| {
            a.low_hz.total_cmp(&b.low_hz).then(a.high_hz.total_cmp(&b.high_hz))
        });
        let band = |(name, section): (&String, &BandSection)| {
            let [low, high] = [section.low_hz, section.high_hz].map(|hz| hz * tick_seconds);
            if !(low >= BAND_SHARE_MIN && low < high && high < 0.5) {
                return Err(MetricsError::Band {
                    name: name.clone(),
                    low_hz: section.low_hz,
                    high_hz: section.high_hz,
                    limit_hz: 0.5 / tick_seconds,
                });
            }
            let own = MetricsSection {
                alpha: section.alpha,
                tau0: tau0(section, metrics),
                ..metrics.clone()
            };
            Ok(Band {
                name: name.clone(),
                filter: BandPass::new(nx, ny, low, high),
                meter: Meter::new(nx, ny, &own, tick_seconds, Kept::NONE)?,
                weight: section.weight as f32,
                half: section.half as f32,
                mean: 0.0,
            })
        };
        Ok(Self {
            bands: sections.into_iter().map(band).collect::<Result<_, _>>()?,
            total: Cells::new(nx * ny, 15),
            open: Cells::new(nx * ny, 16),
            total_mean: 0.0,
        })
    }

    /// Takes the field of a tick into every band, without measuring.
    pub fn remember(&mut self, u: &[f32], workers: &Workers) {
        for Band { filter, meter, .. } in &mut self.bands {
            filter.take(u, workers);
            meter.remember(filter.filtered(), workers);
        }
    }

    /// Takes the field of a tick into every band and measures them all.
    pub fn measure(&mut self, u: &[f32], workers: &Workers) {
        for Band { filter, meter, .. } in &mut self.bands {
            filter.take(u, workers);
            meter.survey(filter.filtered(), workers);
            meter.measure(filter.filtered(), workers);
        }
        self.add_up();
    }

    /// Everything that the next ticks depend on, in one order; what was evaluated last, too, if `evaluated`.
    pub(crate) fn fields(&self, evaluated: bool) -> impl Iterator<Item = &[f32]> {
        self.bands.iter().flat_map(move |band| {
            let memory = band.meter.memory().fields().iter().map(|field| &**field);
            let last = evaluated.then(|| band.meter.evaluated()).into_iter().flatten();
            band.filter.fields().chain(memory).chain(last)
        })
    }

    /// Takes over such fields, field by field, and the number of ticks; [`Bands::resume`] must follow.
    pub(crate) fn restore(
        &mut self,
        ticks: u64,
        evaluated: bool,
        mut next: impl FnMut(&mut [f32]),
    ) {
        for Band { filter, meter, .. } in &mut self.bands {
            filter.fields_mut().for_each(&mut next);
            let (age, fields) = meter.memory_mut().state_mut();
            *age = ticks;
            fields.iter_mut().for_each(|field| next(field));
            if evaluated {
                meter.evaluated_mut().into_iter().for_each(&mut next);
            }
        }
    }

    /// Computes what follows from restored fields.
    pub(crate) fn resume(&mut self, evaluated: bool, workers: &Workers) {
        if !evaluated {
            for Band { filter, meter, .. } in &mut self.bands {
                meter.evaluate(filter.filtered(), workers);
            }
        }
        self.add_up();
    }

    /// Back to a field that was always silent.
    pub fn clear(&mut self) {
        for Band { filter, meter, .. } in &mut self.bands {
            filter.clear();
            meter.clear();
        }
    }

    /// `CI_total` of every cell at the last evaluation.
    pub fn total(&self) -> &[f32] {
        &self.total
    }

    /// Its mean.
    pub fn total_mean(&self) -> f64 {
        self.total_mean
    }

    /// Name and mean `CI_n` of every band, slowest first.
    pub fn means(&self) -> impl Iterator<Item = (&str, f64)> {
        self.bands.iter().map(|band| (&*band.name, band.mean))
    }

    fn add_up(&mut self) {
        let Self { bands, total, open, total_mean } = self;
        total.fill(0.0);
        open.fill(1.0);
        let cells = total.len() as f64;
        for Band { meter, weight, half, mean, .. } in bands {
            let mut sum = 0.0;
            for ((total, open), ci) in total.iter_mut().zip(open.iter_mut()).zip(meter.ci()) {
                let gated = ci * *open;
                *total += *weight * gated;
                *open *= gated / (gated + *half);
                sum += f64::from(gated);
            }
            *mean = sum / cells;
        }
        *total_mean = total.iter().map(|ci| f64::from(*ci)).sum::<f64>() / cells;
    }
}

fn tau0(section: &BandSection, metrics: &MetricsSection) -> f64 {
    match section.tau0 {
        Auto::Auto => metrics.tau0,
        Auto::Set(tau0) => tau0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::meter::tests::{alone, noise};

    fn section(low_hz: f64, high_hz: f64) -> BandSection {
        BandSection { low_hz, high_hz, weight: 1.0, alpha: 1.0, tau0: Auto::Auto, half: 0.01 }
    }

    fn three() -> BTreeMap<String, BandSection> {
        let bands = [
            ("slow", section(0.5, 4.0)),
            ("fast", BandSection { weight: 0.5, alpha: 2.0, ..section(13.0, 30.0) }),
            ("middle", BandSection { tau0: Auto::Set(0.05), half: 0.1, ..section(4.0, 13.0) }),
        ];
        bands.into_iter().map(|(name, band)| (name.to_owned(), band)).collect()
    }

    /// Noise that changes at every tick: something in every band.
    fn field(tick: u64) -> Vec<f32> {
        noise(40 * 30, 50 + tick)
    }

    /// Filters, meters and the product of gates put together by hand, in double precision.
    #[test]
    fn the_total_is_the_gated_sum() {
        let metrics = MetricsSection { tile: 16, window: 5, ..MetricsSection::default() };
        let mut bands = Bands::new(40, 30, &metrics, &three(), 0.01).unwrap();
        let mut apart: Vec<(BandSection, BandPass, Meter)> = ["slow", "middle", "fast"]
            .map(|name| {
                let band = three()[name].clone();
                let own = MetricsSection {
                    alpha: band.alpha,
                    tau0: tau0(&band, &metrics),
                    ..metrics.clone()
                };
                let filter = BandPass::new(40, 30, band.low_hz * 0.01, band.high_hz * 0.01);
                (band, filter, Meter::new(40, 30, &own, 0.01, Kept::NONE).unwrap())
            })
            .into();
        for tick in 0..40 {
            match tick % 4 {
                3 => bands.measure(&field(tick), &alone()),
                _ => bands.remember(&field(tick), &alone()),
            }
            for (_, filter, meter) in &mut apart {
                filter.take(&field(tick), &alone());
                meter.remember(filter.filtered(), &alone());
                meter.evaluate(filter.filtered(), &alone());
            }
        }
        let mut means = [0.0; 3];
        for cell in 0..40 * 30 {
            let (mut total, mut open) = (0.0, 1.0);
            for ((band, _, meter), mean) in apart.iter().zip(&mut means) {
                let gated = f64::from(meter.ci()[cell]) * open;
                total += band.weight * gated;
                open *= gated / (gated + band.half);
                *mean += gated / 1200.0;
            }
            let ours = f64::from(bands.total()[cell]);
            assert!((ours - total).abs() <= 1e-5 * total.abs(), "{cell}: {ours}, {total}");
        }
        let names: Vec<&str> = bands.means().map(|(name, _)| name).collect();
        assert_eq!(names, ["slow", "middle", "fast"]);
        for ((_, ours), exact) in bands.means().zip(means) {
            assert!(exact > 0.0 && (ours - exact).abs() <= 1e-5 * exact, "{ours}, {exact}");
        }
    }

    /// Where the slow band is silent, nothing faster counts; and silence is nothing in every band.
    #[test]
    fn a_silent_slow_band_silences_the_faster_ones() {
        let mut bands = Bands::new(40, 30, &MetricsSection::default(), &three(), 0.01).unwrap();
        for tick in 0..20 {
            bands.measure(&field(tick), &alone());
        }
        assert!(bands.means().all(|(_, mean)| mean > 0.0));
        let (silence, slow) = (vec![0.0; 40 * 30], &mut bands.bands[0].meter);
        slow.survey(&silence, &alone());
        slow.measure(&silence, &alone());
        bands.add_up();
        assert!(bands.means().all(|(_, mean)| mean == 0.0));
        assert!(bands.total().iter().all(|ci| *ci == 0.0));
        bands.clear();
        bands.measure(&silence, &alone());
        assert_eq!(bands.total_mean(), 0.0);
    }

    #[test]
    fn bands_beyond_the_tick_rate_are_refused() {
        for (low, high) in [(0.0, 4.0), (4.0, 4.0), (13.0, 50.0)] {
            let sections = BTreeMap::from([("x".to_owned(), section(low, high))]);
            let made = Bands::new(8, 8, &MetricsSection::default(), &sections, 0.01);
            let told = made.err().unwrap().to_string();
            assert!(told.contains("band \"x\"") && told.contains("50 Hz"), "{told}");
        }
    }
}
