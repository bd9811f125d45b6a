//! The complexity fingerprint: one window of one agent as a unit vector of 128 numbers, so that windows
//! with the same kind of dynamics lie close together.
//!
//! The window is five series, in this order: D (box-counting dimension), C (coherence), G (gain), tau
//! (dwell time, field seconds), CI (complexity index), one value a tick, NaN where undefined; and the
//! structure factor of the nearest stored frame of the field (`ci`, else `wave`), around the agent's site
//! for an agent and of the whole field for agent 0.
//!
//! | dims | block | one dimension |
//! |---|---|---|
//! | 0-31 | texture | ring i of the frame: `log10(share + 1e-6) + 3`, ring = `(i, i+1]/64` cycles per cell |
//! | 32-76 | level | for each series its 9 quantiles at `(i + 0.5)/9`, on the scale below |
//! | 77-106 | movement | for each series: `log10(sd + 1e-3) + 1`, skewness/1.5, autocorrelation at lag 1, 2, 4, 8, each /0.5 |
//! | 107-117 | rhythm | of CI: 8 octaves of power from the fastest down, `log10(share + 1e-4) + 2`; `(spectral entropy - 0.5)/0.25`; `(centroid - 0.1)/0.1` with the centroid in cycles per tick; correlation with time /0.5 |
//! | 118-127 | coupling | correlations of D-C, D-G, D-tau, D-CI, C-G, C-tau, C-CI, G-tau, G-CI, tau-CI, each /0.5 |
//!
//! Scales (fixed, never fitted to a file, so that fingerprints of different recordings compare):
//! D `(x - 1.5)/0.5`; C `(x - 0.5)/0.3`; G `log10(x + 1e-4) + 1`; tau `log10(x + 1e-3) + 1`;
//! CI `log10(x + 1e-4) + 2`. Movement, rhythm and coupling are taken on these scales.
//!
//! Every dimension is cut to [-3, 3]; what is undefined (fewer than 8 values, no variance, no frame) is 0,
//! the reference. Each block is divided by the root of its length and weighted (1, 1, 1, 0.7, 0.7), so that
//! no block wins by being long; then the whole is divided by its length. Same input, same bits.

use realfft::RealFftPlanner;

use crate::structure::{RINGS, hann};

/// Dimensions.
pub const DIMENSIONS: usize = 128;
/// Series in a window.
pub const SERIES: usize = 5;
/// Fewer finite values than this are no series.
pub const VALUES_MIN: usize = 8;
/// Shares of a flat spectrum at or below this standard deviation are noise of the arithmetic.
const SD_MIN: f64 = 1e-9;
const QUANTILES: usize = 9;
const LAGS: [usize; 4] = [1, 2, 4, 8];
const OCTAVES: usize = 8;
const CI: usize = 4;

/// First dimension, length, weight and name of each block.
const BLOCKS: [(usize, usize, f64, &str); 5] = [
    (0, RINGS, 1.0, "texture"),
    (32, SERIES * QUANTILES, 1.0, "level"),
    (77, SERIES * (2 + LAGS.len()), 1.0, "movement"),
    (107, OCTAVES + 3, 0.7, "rhythm"),
    (118, SERIES * (SERIES - 1) / 2, 0.7, "coupling"),
];
const _: () = assert!(BLOCKS[4].0 + BLOCKS[4].1 == DIMENSIONS);

/// The five series of a window: D, C, G, tau, CI. NaN where undefined; all of one length.
pub type Window = [Vec<f64>; SERIES];

/// The fingerprint of a window; see the module. `None` when no series has [`VALUES_MIN`] values, or when the
/// vector would be zero. Every component is finite and the length is 1 within rounding.
pub fn fingerprint(window: &Window, rings: Option<&[f64; RINGS]>) -> Option<[f32; DIMENSIONS]> {
    let scaled: Vec<Vec<f64>> =
        window.iter().enumerate().map(|(i, s)| s.iter().map(|&x| scale(i, x)).collect()).collect();
    let finite: Vec<Vec<f64>> =
        scaled.iter().map(|s| s.iter().copied().filter(|x| x.is_finite()).collect()).collect();
    if finite.iter().all(|series| series.len() < VALUES_MIN) {
        return None;
    }
    let mut all = Vec::with_capacity(DIMENSIONS);
    match rings {
        Some(rings) => all.extend(rings.iter().map(|share| (share + 1e-6).log10() + 3.0)),
        None => all.extend([0.0; RINGS]),
    }
    finite.iter().for_each(|series| all.extend(level(series)));
    finite.iter().for_each(|series| all.extend(movement(series)));
    all.extend(rhythm(&finite[CI]));
    for a in 0..SERIES {
        for b in a + 1..SERIES {
            all.push(correlation(&scaled[a], &scaled[b]).unwrap_or(0.0) / 0.5);
        }
    }
    weigh(&mut all);
    let length = all.iter().map(|x| x * x).sum::<f64>().sqrt();
    if all.len() != DIMENSIONS || !length.is_finite() || length < SD_MIN {
        return None;
    }
    let mut out = [0f32; DIMENSIONS];
    for (to, from) in out.iter_mut().zip(&all) {
        *to = (from / length) as f32;
    }
    is_unit(&out).then_some(out)
}

/// Whether a vector may go into AgentDB: finite and of length 1.
pub fn is_unit(vector: &[f32]) -> bool {
    let square: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    square.is_finite() && (square - 1.0).abs() < 1e-4
}

/// The vector as AgentDB keeps it: f32, little-endian.
pub fn to_bytes(vector: &[f32; DIMENSIONS]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The vector behind the bytes, if there are 128 numbers.
pub fn from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let (words, rest) = bytes.as_chunks::<4>();
    let whole = words.len() == DIMENSIONS && rest.is_empty();
    whole.then(|| words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

/// The blocks as JSON, for `rs_meta`.
pub fn describe() -> String {
    let blocks: Vec<_> = BLOCKS
        .iter()
        .map(|(first, len, weight, name)| {
            serde_json::json!({"block": name, "first": first, "count": len, "weight": weight})
        })
        .collect();
    serde_json::json!({
        "version": 1, "dimensions": DIMENSIONS, "norm": "unit, L2; cosine = 1 - distance^2/2",
        "series": ["D", "C", "G", "tau", "CI"], "blocks": blocks,
        "texture": "log10(share+1e-6)+3 of power in ring (i,i+1]/64 cycles per cell",
        "level": "per series, quantiles (i+0.5)/9",
        "movement": "per series: log10(sd+1e-3)+1, skewness/1.5, autocorrelation at 1,2,4,8 over 0.5",
        "rhythm": "CI: log10(share+1e-4)+2 of 8 octaves from the fastest, entropy, centroid, trend",
        "coupling": "correlations DC DG Dtau DCI CG Ctau CCI Gtau GCI tauCI over 0.5",
        "scales": "D (x-1.5)/0.5; C (x-0.5)/0.3; G log10(x+1e-4)+1; tau log10(x+1e-3)+1; CI log10(x+1e-4)+2",
    })
    .to_string()
}

fn scale(series: usize, x: f64) -> f64 {
    let log = |floor: f64, shift: f64| (x.max(0.0) + floor).log10() + shift;
    if !x.is_finite() {
        return f64::NAN;
    }
    match series {
        0 => (x - 1.5) / 0.5,
        1 => (x - 0.5) / 0.3,
        2 => log(1e-4, 1.0),
        3 => log(1e-3, 1.0),
        _ => log(1e-4, 2.0),
    }
}

fn level(values: &[f64]) -> [f64; QUANTILES] {
    let mut out = [0.0; QUANTILES];
    if values.len() < VALUES_MIN {
        return out;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    for (i, quantile) in out.iter_mut().enumerate() {
        let place = (i as f64 + 0.5) / QUANTILES as f64 * (sorted.len() - 1) as f64;
        let (low, part) = (place.floor() as usize, place.fract());
        let high = (low + 1).min(sorted.len() - 1);
        *quantile = sorted[low] * (1.0 - part) + sorted[high] * part;
    }
    out
}

fn movement(values: &[f64]) -> [f64; 2 + LAGS.len()] {
    let mut out = [0.0; 2 + LAGS.len()];
    if values.len() < VALUES_MIN {
        return out;
    }
    let (mean, sd) = moments(values);
    out[0] = (sd + 1e-3).log10() + 1.0;
    if sd > SD_MIN {
        let third = values.iter().map(|x| ((x - mean) / sd).powi(3)).sum::<f64>();
        out[1] = third / values.len() as f64 / 1.5;
        for (i, lag) in LAGS.into_iter().enumerate() {
            out[2 + i] = autocorrelation(values, mean, sd, lag) / 0.5;
        }
    }
    out
}

fn autocorrelation(values: &[f64], mean: f64, sd: f64, lag: usize) -> f64 {
    let Some(later) = values.get(lag..) else { return 0.0 };
    let sum: f64 = values.iter().zip(later).map(|(a, b)| (a - mean) * (b - mean)).sum();
    sum / (values.len() as f64 * sd * sd)
}

fn rhythm(ci: &[f64]) -> [f64; OCTAVES + 3] {
    let mut out = [0.0; OCTAVES + 3];
    let Some(power) = spectrum(ci) else { return out };
    let count = ci.len();
    let frequency = |bin: usize| bin as f64 / count as f64;
    let mut octaves = [0.0; OCTAVES];
    for (bin, share) in power.iter().enumerate().skip(1) {
        let octave = (0.5 / frequency(bin)).log2().floor().clamp(0.0, OCTAVES as f64 - 1.0);
        octaves[octave as usize] += share;
    }
    for (to, share) in out.iter_mut().zip(octaves) {
        *to = (share + 1e-4).log10() + 2.0;
    }
    let entropy: f64 = power.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum();
    let bins = (power.len() - 1).max(2) as f64;
    out[OCTAVES] = (entropy / bins.ln() - 0.5) / 0.25;
    let centroid: f64 = power.iter().enumerate().map(|(bin, p)| p * frequency(bin)).sum();
    out[OCTAVES + 1] = (centroid - 0.1) / 0.1;
    let time: Vec<f64> = (0..count).map(|i| i as f64).collect();
    out[OCTAVES + 2] = correlation(ci, &time).unwrap_or(0.0) / 0.5;
    out
}

/// Shares of power by frequency of a mean-free, Hann-windowed series; bin 0 is 0.
fn spectrum(values: &[f64]) -> Option<Vec<f64>> {
    if values.len() < VALUES_MIN {
        return None;
    }
    let (mean, sd) = moments(values);
    if sd <= SD_MIN {
        return None;
    }
    let plan = RealFftPlanner::<f64>::new().plan_fft_forward(values.len());
    let window = hann(values.len());
    let mut input: Vec<f64> =
        values.iter().zip(&window).map(|(x, w)| (x - mean) / sd * w).collect();
    let mut output = plan.make_output_vec();
    plan.process(&mut input, &mut output).ok()?;
    let mut power: Vec<f64> = output.iter().map(|value| value.norm_sqr()).collect();
    power[0] = 0.0;
    let total: f64 = power.iter().sum();
    (total > 0.0).then(|| power.iter().map(|p| p / total).collect())
}

/// Mean and standard deviation (divided by n).
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
    (mean, (square / count).sqrt())
}

/// Pearson's correlation over the places where both are finite.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let both = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
    let (a, b): (Vec<f64>, Vec<f64>) =
        a.iter().copied().zip(b.iter().copied()).filter(both).unzip();
    if a.len() < VALUES_MIN {
        return None;
    }
    let ((mean_a, sd_a), (mean_b, sd_b)) = (moments(&a), moments(&b));
    if sd_a <= SD_MIN || sd_b <= SD_MIN {
        return None;
    }
    let sum: f64 = a.iter().zip(&b).map(|(x, y)| (x - mean_a) * (y - mean_b)).sum();
    Some(sum / (a.len() as f64 * sd_a * sd_b))
}

fn weigh(all: &mut [f64]) {
    for (first, len, weight, _) in BLOCKS {
        let factor = weight / (len as f64).sqrt();
        for x in all.iter_mut().skip(first).take(len) {
            *x = x.clamp(-3.0, 3.0) * factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A deterministic noise in [-1, 1).
    fn noise(seed: u64, i: usize) -> f64 {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(i as u64);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    fn window(seed: u64, shift: usize, make: impl Fn(f64, f64) -> f64) -> Window {
        let base = |i: usize| make((i + shift) as f64, noise(seed, i));
        let series = |f: &dyn Fn(f64) -> f64| (0..128).map(|i| f(base(i))).collect::<Vec<_>>();
        [
            series(&|x| 1.5 + 0.2 * x),
            series(&|x| 0.5 - 0.2 * x),
            series(&|x| 0.3 + 0.1 * x),
            series(&|x| 0.2 + 0.05 * x),
            series(&|x| 0.05 + 0.03 * x),
        ]
    }

    fn slow(seed: u64, shift: usize) -> Window {
        window(seed, shift, |t, n| (t * std::f64::consts::TAU / 32.0).sin() + 0.05 * n)
    }

    fn jitter(seed: u64) -> Window {
        window(seed, 0, |_, n| n)
    }

    fn distance(a: &Window, b: &Window) -> f64 {
        let (a, b) = (fingerprint(a, None).unwrap(), fingerprint(b, None).unwrap());
        a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn same_input_same_bits_and_unit() {
        let rings = [1.0 / 32.0; RINGS];
        let a = fingerprint(&slow(1, 0), Some(&rings)).unwrap();
        assert_eq!(a, fingerprint(&slow(1, 0), Some(&rings)).unwrap());
        assert!(is_unit(&a));
        assert_eq!(from_bytes(&to_bytes(&a)).unwrap(), a);
        assert_eq!(from_bytes(&[0; 511]), None);
    }

    #[test]
    fn a_regime_is_nearer_to_itself_than_to_another() {
        let other_noise = distance(&slow(1, 0), &slow(2, 0));
        let other_phase = distance(&slow(1, 0), &slow(1, 11));
        let noises = distance(&jitter(3), &jitter(4));
        let other_regime = distance(&slow(1, 0), &jitter(1));
        for near in [other_noise, other_phase, noises] {
            assert!(near * 2.0 < other_regime, "{near} against {other_regime}");
        }
    }

    #[test]
    fn the_texture_counts() {
        let mut coarse = [1e-9; RINGS];
        coarse[0] = 1.0;
        let mut fine = [1e-9; RINGS];
        fine[31] = 1.0;
        let a = fingerprint(&slow(1, 0), Some(&coarse)).unwrap();
        let b = fingerprint(&slow(1, 0), Some(&fine)).unwrap();
        assert_ne!(a, b);
    }

    #[test]
    fn undefined_values_are_the_reference_and_never_nan() {
        let mut window = slow(1, 0);
        window[0] = vec![f64::NAN; 128];
        window[2] = vec![f64::INFINITY; 128];
        window[3] = vec![0.0; 128];
        let vector = fingerprint(&window, None).unwrap();
        assert!(vector.iter().all(|x| x.is_finite()));
        assert!(vector[32..41].iter().all(|&x| x == 0.0), "D has no level");
        let nothing: Window = std::array::from_fn(|_| vec![f64::NAN; 128]);
        assert_eq!(fingerprint(&nothing, None), None);
        let short: Window = std::array::from_fn(|_| vec![1.0; 7]);
        assert_eq!(fingerprint(&short, None), None);
        let flat: Window = std::array::from_fn(|_| vec![1.0; 128]);
        assert!(is_unit(&fingerprint(&flat, None).unwrap()));
    }

    #[test]
    fn the_quantiles_are_quantiles() {
        let values: Vec<f64> = (0..=90).map(f64::from).collect();
        let found = level(&values);
        assert!((found[0] - 5.0).abs() < 1e-9 && (found[4] - 45.0).abs() < 1e-9);
    }

    #[test]
    fn the_description_is_json() {
        let value: serde_json::Value = serde_json::from_str(&describe()).unwrap();
        assert_eq!(value["dimensions"], 128);
    }

    proptest::proptest! {
        #[test]
        fn any_window_gives_a_unit_vector_or_none(
            values in proptest::collection::vec(proptest::num::f64::ANY, 40),
            n in 0usize..40,
        ) {
            let window: Window = std::array::from_fn(|i| {
                values.iter().cycle().skip(i * 7).take(n).copied().collect()
            });
            if let Some(vector) = fingerprint(&window, None) {
                assert!(is_unit(&vector));
            }
        }
    }
}
