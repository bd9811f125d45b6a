//! Sums and extremes with a fixed order of operations, wide enough for the compiler to vectorise.

use crate::real::Real;

/// Accumulators a row is dealt out to, cell `i` to lane `i % LANES`.
pub(crate) const LANES: usize = 8;

/// Sum of `(a - b) (c - d)` over four rows of one length: differences in their own, products and their
/// sum in double precision, cell `i` in lane `i % 64`, then lane after lane.
#[inline(always)]
pub(crate) fn sum_products<T: Real>([a, b]: [&[T]; 2], [c, d]: [&[T]; 2]) -> f64 {
    const WIDE: usize = 8 * LANES;
    let mut lanes = [0.0f64; WIDE];
    let pairs = a.chunks(WIDE).zip(b.chunks(WIDE)).zip(c.chunks(WIDE).zip(d.chunks(WIDE)));
    for ((a, b), (c, d)) in pairs {
        add_products(&mut lanes, [a, b, c, d]);
    }
    lanes.iter().sum()
}

/// A loop of unknown length, which the compiler turns into vectors; a known one it unrolls.
#[inline(always)]
fn add_products<T: Real>(lanes: &mut [f64], [a, b, c, d]: [&[T]; 4]) {
    let count = a.len();
    let (lanes, a, b) = (&mut lanes[..count], &a[..count], &b[..count]);
    let (c, d) = (&c[..count], &d[..count]);
    for i in 0..count {
        lanes[i] += (a[i] - b[i]).to_f64() * (c[i] - d[i]).to_f64();
    }
}

/// Largest magnitude; NaN if any value is not finite.
#[inline(always)]
pub(crate) fn magnitude<T: Real>(values: &[T]) -> f64 {
    const WIDE: usize = 8 * LANES;
    let mut high = [T::default(); WIDE];
    // Each value times zero: zero, or NaN.
    let mut broken = [T::default(); WIDE];
    for chunk in values.chunks(WIDE) {
        take_magnitudes(&mut high, &mut broken, chunk);
    }
    if broken.iter().any(|sum| *sum != T::default()) {
        return f64::NAN;
    }
    high.iter().fold(0.0, |most, value| value.to_f64().max(most))
}

#[inline(always)]
fn take_magnitudes<T: Real>(high: &mut [T], broken: &mut [T], chunk: &[T]) {
    let count = chunk.len();
    let (high, broken) = (&mut high[..count], &mut broken[..count]);
    for i in 0..count {
        let value = chunk[i].abs();
        high[i] = if value > high[i] { value } else { high[i] };
        broken[i] = broken[i] + value * T::default();
    }
}

/// Smallest and largest value; `[0, 0]` for none. Values must not be NaN.
#[inline(always)]
pub(crate) fn range(values: &[f32]) -> [f32; 2] {
    let mut low = [f32::INFINITY; LANES];
    let mut high = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    let mut take = |chunk: &[f32]| {
        for ((low, high), value) in low.iter_mut().zip(high.iter_mut()).zip(chunk) {
            *low = if *value < *low { *value } else { *low };
            *high = if *value > *high { *value } else { *high };
        }
    };
    chunks.for_each(&mut take);
    take(rest);
    if values.is_empty() {
        return [0.0, 0.0];
    }
    [low.into_iter().fold(low[0], f32::min), high.into_iter().fold(high[0], f32::max)]
}

#[cfg(test)]
mod tests {
    #[test]
    fn sums_and_ranges_agree_with_the_naive_ones() {
        for count in [0usize, 1, 7, 8, 9, 1000] {
            let row: Vec<f32> = (0..count).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
            let naive: f64 = row.iter().map(|v| f64::from(*v)).sum();
            let (ones, zeros) = (vec![1.0; count], vec![0.0; count]);
            assert_eq!(super::sum_products([&row, &zeros], [&ones, &zeros]), naive);
            let low = row.iter().copied().fold(f32::INFINITY, f32::min);
            let high = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let expected = if count == 0 { [0.0, 0.0] } else { [low, high] };
            assert_eq!(super::range(&row), expected);
        }
    }

    #[test]
    fn magnitudes_are_largest_or_broken() {
        for count in [1usize, 63, 64, 65, 1000] {
            let mut row: Vec<f32> = (0..count).map(|i| (i % 101) as f32 - 77.0).collect();
            assert_eq!(super::magnitude(&row), 77.0);
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, count / 2, count - 1] {
                    let good = std::mem::replace(&mut row[at], bad);
                    assert!(super::magnitude(&row).is_nan());
                    row[at] = good;
                }
            }
        }
        assert_eq!(super::magnitude::<f64>(&[]), 0.0);
    }
}
