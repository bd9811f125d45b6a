//! The meter against definitions worked out cell by cell, and values known beforehand.

use rsw_config::{Coherence, Dwell, Gain};

use super::*;

/// Workers on the calling thread.
pub(crate) fn alone() -> Workers {
    Workers::single().unwrap()
}

/// Reproducible noise in [-1, 1).
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn section() -> MetricsSection {
    MetricsSection { tile: 8, window: 5, threshold: "0.3".into(), ..MetricsSection::default() }
}

/// Every output of one evaluation against the definitions of SCIENCE.md (The complexity index), window by window.
fn check_against_definitions(nx: usize, ny: usize, section: &MetricsSection) {
    let mut meter = Meter::new(nx, ny, section, 0.01, Kept::ALL).unwrap();
    let workers = alone();
    let mut u = Vec::new();
    for tick in 0..5 {
        u = noise(nx * ny, 100 + tick);
        meter.remember(&u, &workers);
    }
    let summary = meter.evaluate(&u, &workers);
    let half = section.window as usize / 2;
    let mut means = [0.0; 4];
    for y in 0..ny {
        for x in 0..nx {
            let cells: Vec<usize> = (y.saturating_sub(half)..(y + half + 1).min(ny))
                .flat_map(|row| {
                    (x.saturating_sub(half)..(x + half + 1).min(nx)).map(move |c| row * nx + c)
                })
                .collect();
            let mean = |term: &dyn Fn(usize) -> f64| {
                cells.iter().map(|cell| term(*cell)).sum::<f64>() / cells.len() as f64
            };
            let value = |cell: usize| f64::from(u[cell]);
            let middle = mean(&value);
            let variance = mean(&|cell| (value(cell) - middle).powi(2));
            let gain = match section.gain {
                Gain::Rms => mean(&|cell| value(cell).powi(2)).sqrt(),
                Gain::Abs => mean(&|cell| value(cell).abs()),
                Gain::Envelope => mean(&|cell| f64::from(meter.memory().envelope()[cell])),
            } / section.a_ref;
            let coherence = match section.coherence {
                Coherence::Bounded => section.s0.powi(2) / (section.s0.powi(2) + variance),
                Coherence::Raw => 1.0 / (variance + section.coherence_eps),
            };
            let tau = f64::from(meter.dwell()[y * nx + x]);
            let d = meter.dimension_at(x, y).unwrap_or(0.0);
            let ci = section.alpha
                * d.powf(section.d_exponent)
                * gain
                * coherence
                * (1.0 - (-tau / section.tau0).exp());
            let i = y * nx + x;
            for (name, ours, exact) in [
                ("gain", meter.gain()[i], gain),
                ("coherence", meter.coherence()[i], coherence),
                ("ci", meter.ci()[i], ci),
            ] {
                let error = (f64::from(ours) - exact).abs();
                assert!(
                    error <= 2e-5 * exact.abs().max(1e-3),
                    "{name} at {x}, {y} of {nx} x {ny}: {ours}, {exact}"
                );
            }
            for (total, term) in means.iter_mut().zip([ci, coherence, gain, tau]) {
                *total += term / (nx * ny) as f64;
            }
        }
    }
    let ours = [summary.ci_mean, summary.coherence_mean, summary.gain_mean, summary.dwell_mean];
    for (ours, exact) in ours.into_iter().zip(means) {
        assert!((ours - exact).abs() <= 2e-5 * exact.max(1e-3), "{ours}, {exact}");
    }
}

#[test]
fn outputs_are_the_definitions_at_awkward_sizes() {
    let sides = [1, 2, 3, 5, 17, 33];
    for (nx, ny) in sides.iter().flat_map(|nx| sides.iter().map(move |ny| (*nx, *ny))) {
        check_against_definitions(nx, ny, &section());
    }
    check_against_definitions(40, 150, &section());
    check_against_definitions(1025, 17, &section());
    check_against_definitions(3, 1023, &section());
}

#[test]
fn every_form_is_its_definition() {
    for gain in [Gain::Rms, Gain::Abs, Gain::Envelope] {
        for coherence in [Coherence::Bounded, Coherence::Raw] {
            for (dwell, d_exponent) in [(Dwell::Leaky, 1.0), (Dwell::Sojourn, 1.7)] {
                let section = MetricsSection {
                    gain,
                    coherence,
                    dwell,
                    d_exponent,
                    a_ref: 2.0,
                    alpha: 3.0,
                    threshold: "q:0.6".into(),
                    ..section()
                };
                check_against_definitions(37, 29, &section);
            }
        }
    }
}

/// Silence: nothing, exactly. Constant A: D = 2, C = 1, G = |A|/A_ref.
#[test]
fn silence_and_a_constant_field() {
    for threshold in ["q:0.75", "0", "0.1"] {
        for (nx, ny) in [(64, 64), (50, 67), (131, 70)] {
            let section =
                MetricsSection { threshold: threshold.into(), ..MetricsSection::default() };
            let mut meter = Meter::new(nx, ny, &section, 0.01, Kept::ALL).unwrap();
            let workers = alone();
            let silent = vec![0.0; nx * ny];
            for _ in 0..20 {
                meter.remember(&silent, &workers);
            }
            let summary = meter.evaluate(&silent, &workers);
            assert_eq!((summary.ci_mean, summary.d_global, summary.gain_mean), (0.0, 0.0, 0.0));
            assert!(meter.ci().iter().all(|ci| *ci == 0.0));
            let constant = vec![0.7; nx * ny];
            for _ in 0..500 {
                meter.remember(&constant, &workers);
            }
            let summary = meter.evaluate(&constant, &workers);
            assert_eq!((summary.d_global, summary.d_r2), (2.0, 1.0), "{threshold} {nx} x {ny}");
            assert!(meter.coherence().iter().all(|c| *c == 1.0));
            assert!(meter.gain().iter().all(|g| (g - 0.7).abs() < 1e-6));
            assert_eq!(meter.dimension_at(nx / 2, ny - 1), Some(2.0));
            assert!(summary.ci_mean > 0.0);
        }
    }
}

#[test]
fn a_loud_corner_leaves_silence_exactly_silent() {
    let (nx, ny) = (70, 70);
    let mut u = vec![0.0f32; nx * ny];
    u[0] = 1e6;
    let mut meter = Meter::new(nx, ny, &MetricsSection::default(), 0.01, Kept::ALL).unwrap();
    let workers = alone();
    meter.remember(&u, &workers);
    meter.evaluate(&u, &workers);
    assert!(meter.gain()[69 * nx + 69] == 0.0 && meter.coherence()[69 * nx + 69] == 1.0);
    assert_eq!(meter.gain()[6 * nx], 0.0, "two rows past the window");
}

/// Neither threads nor vector instructions: the wave under it, too.
#[test]
fn how_it_is_computed_changes_no_bit() {
    let (nx, ny) = (45, 333);
    let run = |workers: Workers| {
        let grid = crate::grid::Grid::new(nx, ny, 1.0, 1.2).unwrap();
        let medium = crate::wave::Medium {
            speed: 1.0,
            dt: 0.6,
            damping: 0.01,
            boundary: rsw_config::Boundary::Sponge,
            sponge_width: 9,
            sponge_damping: 0.5,
            feedback: crate::feedback::Feedback::None,
        };
        let (u0, zero) = (noise(nx * ny, 77), vec![0.0; nx * ny]);
        let mut wave = crate::wave::Wave::new(grid, medium).unwrap();
        wave.start(&u0, &zero, &zero);
        let mut meter = Meter::new(nx, ny, &section(), 0.01, Kept::ALL).unwrap();
        let mut summary = Summary::default();
        for _ in 0..20 {
            wave.step(&workers, |_| {});
            meter.remember(wave.u(), &workers);
            summary = meter.evaluate(wave.u(), &workers);
        }
        let energy = crate::energy::EnergyMeter::new(ny).measure(&wave, &workers);
        let bits = |field: &[f32]| field.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let fields = [wave.u(), meter.ci(), meter.coherence(), meter.gain(), meter.dwell()];
        (format!("{summary:?} {energy:?}"), fields.map(bits))
    };
    let mut kinds = Workers::of_every_kind().into_iter();
    let plain = run(kinds.next().unwrap());
    for kind in kinds {
        let name = kind.instructions();
        assert_eq!(run(kind), plain, "{name}");
    }
    for threads in [2, 3, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(run(Workers::new(std::sync::Arc::new(pool))), plain, "{threads} threads");
    }
}

/// One sweep that takes in and measures is the tick taken in first and measured then.
#[test]
fn measuring_at_once_is_remembering_and_evaluating() {
    let (nx, ny) = (131, 150);
    for (gain, dwell) in [
        (Gain::Rms, Dwell::Leaky),
        (Gain::Rms, Dwell::Sojourn),
        (Gain::Abs, Dwell::Leaky),
        (Gain::Envelope, Dwell::Sojourn),
    ] {
        let section = MetricsSection { gain, dwell, threshold: "q:0.6".into(), ..section() };
        let meter = || Meter::new(nx, ny, &section, 0.01, Kept::ALL).unwrap();
        let (mut once, mut twice, workers) = (meter(), meter(), alone());
        for tick in 0..6 {
            let u = noise(nx * ny, 30 + tick);
            let peak = once.survey(&u, &workers);
            let summary = once.measure(&u, &workers);
            assert_eq!(twice.remember(&u, &workers), peak);
            assert_eq!(twice.evaluate(&u, &workers), summary);
            assert_eq!(once.evaluated(), twice.evaluated());
            assert_eq!(once.dwell(), twice.dwell());
        }
    }
}

/// What is not kept changes nothing else, and sites have it whether it is kept or not.
#[test]
fn fields_that_are_not_kept_are_measured_all_the_same() {
    let (nx, ny) = (1500, 70);
    let sites = [[1499, 69], [0, 0], [1023, 64], [1024, 64], [0, 0], [700, 3]];
    let run = |kept| {
        let mut meter = Meter::new(nx, ny, &section(), 0.01, kept).unwrap();
        meter.watch(sites.into_iter());
        let (mut summary, workers) = (Summary::default(), alone());
        for tick in 0..3 {
            let u = noise(nx * ny, tick);
            meter.survey(&u, &workers);
            summary = meter.measure(&u, &workers);
        }
        (meter, summary)
    };
    let (all, summary) = run(Kept::ALL);
    for (coherence, gain) in [(false, false), (true, false), (false, true)] {
        let (some, other) = run(Kept { coherence, gain });
        assert_eq!((other, some.ci(), some.dwell()), (summary, all.ci(), all.dwell()));
        assert_eq!(some.coherence(), if coherence { all.coherence() } else { &[] });
        assert_eq!(some.gain(), if gain { all.gain() } else { &[] });
        for (k, [x, y]) in sites.into_iter().enumerate() {
            let cell = y * nx + x;
            assert_eq!(some.site(k), [all.coherence()[cell], all.gain()[cell]], "{x}, {y}");
        }
    }
}

#[test]
fn one_box_size_is_undefined_and_makes_no_index() {
    let section = MetricsSection { box_max: Auto::Set(2), ..MetricsSection::default() };
    let mut meter = Meter::new(32, 32, &section, 0.01, Kept::ALL).unwrap();
    let workers = alone();
    let u = noise(32 * 32, 1);
    meter.remember(&u, &workers);
    let summary = meter.evaluate(&u, &workers);
    assert!(summary.d_global.is_nan() && summary.d_r2.is_nan());
    assert_eq!((meter.dimension_at(3, 3), summary.ci_mean), (None, 0.0));
}

#[test]
fn meaningless_parameters_are_refused_by_name() {
    let refused = |change: fn(&mut MetricsSection)| {
        let mut section = MetricsSection::default();
        change(&mut section);
        Meter::new(16, 16, &section, 0.01, Kept::ALL).err().unwrap().to_string()
    };
    assert!(refused(|s| s.tau0 = 0.0).contains("metrics.tau0 = 0"));
    assert!(refused(|s| s.window = 8).contains("odd"));
    assert!(refused(|s| s.tile = 48).contains("power of two"));
    assert!(refused(|s| s.threshold = "loud".into()).contains("q:P"));
    assert!(refused(|s| s.alpha = f64::NAN).contains("metrics.alpha"));
}
