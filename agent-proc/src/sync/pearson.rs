//! The correlation of every pair, with holes; slices in, numbers out.

/// A pair with fewer ticks in common has no correlation: two samples always correlate by plus or minus one,
/// and below eight the sampling error of r is about as large as any value it could show.
pub const MIN_COMMON_TICKS: usize = 8;

/// A series whose standard deviation is at most this part of its largest magnitude is constant: what
/// remains after subtracting the mean of doubles is then rounding, which correlates with anything.
pub const CONSTANT_REL: f64 = 1e-12;

/// How an undefined correlation is written: the quiet NaN without payload, so that equal matrices have
/// equal bytes.
pub const UNDEFINED: f64 = f64::from_bits(0x7ff8_0000_0000_0000);

/// Zero-lag Pearson correlation of every pair of rows over the ticks that both have.
///
/// `values` holds `agents` rows of `ticks` values; what is not finite is a hole. `out` gets `agents` rows of
/// `agents` values: symmetric, 1 on the diagonal, within [-1, 1]; [`UNDEFINED`] where a pair has fewer than
/// [`MIN_COMMON_TICKS`] ticks in common or one of the two is constant over them. Each row is standardised
/// once; only pairs with different holes pay for their own, with the same operations in the same order, so
/// that both ways give the same bits.
///
/// # Panics
/// If the lengths of the slices are not `agents * ticks` and `agents * agents`.
pub fn correlate(values: &[f64], agents: usize, ticks: usize, out: &mut [f64]) {
    assert_eq!(values.len(), agents * ticks, "values of {agents} agents over {ticks} ticks");
    assert_eq!(out.len(), agents * agents, "a matrix of {agents} agents");
    let row = |agent: usize| &values[agent * ticks..(agent + 1) * ticks];
    let standard: Vec<Standard> = (0..agents).map(|agent| Standard::of(row(agent))).collect();
    let (mut left, mut right) = (Vec::with_capacity(ticks), Vec::with_capacity(ticks));
    for i in 0..agents {
        out[i * agents + i] = if standard[i].z.is_some() { 1.0 } else { UNDEFINED };
        for j in i + 1..agents {
            let r = if standard[i].holes == standard[j].holes {
                product(standard[i].z.as_deref(), standard[j].z.as_deref())
            } else {
                common(row(i), row(j), &mut left, &mut right);
                let defined = standardise(&mut left) && standardise(&mut right);
                product(defined.then_some(&left[..]), defined.then_some(&right[..]))
            };
            out[i * agents + j] = r;
            out[j * agents + i] = r;
        }
    }
}

/// One row on its own: where its holes are, and the rest with mean 0 and norm 1.
struct Standard {
    /// Places of the holes, ascending.
    holes: Vec<usize>,
    /// `None`: too short or constant.
    z: Option<Vec<f64>>,
}

impl Standard {
    fn of(row: &[f64]) -> Self {
        let holes = (0..row.len()).filter(|&at| !row[at].is_finite()).collect();
        let mut z: Vec<f64> = row.iter().copied().filter(|x| x.is_finite()).collect();
        let defined = standardise(&mut z);
        Self { holes, z: defined.then_some(z) }
    }
}

/// The values at the ticks that both rows have.
fn common(a: &[f64], b: &[f64], left: &mut Vec<f64>, right: &mut Vec<f64>) {
    left.clear();
    right.clear();
    for (&x, &y) in a.iter().zip(b) {
        if x.is_finite() && y.is_finite() {
            left.push(x);
            right.push(y);
        }
    }
}

/// Shifts and scales to mean 0 and norm 1; false if that is not possible, and the values are then spoilt.
///
/// First everything is brought into [-1, 1], so that neither sums nor squares can overflow; the mean is
/// taken twice, which leaves an error of one rounding instead of one per sample.
fn standardise(values: &mut [f64]) -> bool {
    let magnitude = values.iter().fold(0.0f64, |max, x| max.max(x.abs()));
    if values.len() < MIN_COMMON_TICKS || magnitude == 0.0 {
        return false;
    }
    values.iter_mut().for_each(|x| *x /= magnitude);
    let count = values.len() as f64;
    for _ in 0..2 {
        let mean = sum(values) / count;
        values.iter_mut().for_each(|x| *x -= mean);
    }
    let squares = dot(values, values);
    if squares <= count * CONSTANT_REL * CONSTANT_REL {
        return false;
    }
    let norm = squares.sqrt();
    values.iter_mut().for_each(|x| *x /= norm);
    true
}

fn product(left: Option<&[f64]>, right: Option<&[f64]>) -> f64 {
    match (left, right) {
        // Rounding may leave r beyond 1; adding zero turns -0 into 0, which has other bytes.
        (Some(left), Some(right)) => dot(left, right).clamp(-1.0, 1.0) + 0.0,
        _ => UNDEFINED,
    }
}

/// Partial sums in a reduction. The order of additions is part of the result, so it is fixed here and not
/// left to the compiler; eight independent chains keep a superscalar core busy.
const LANES: usize = 8;

fn sum(values: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    for chunk in values.chunks(LANES) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    reduce(lanes)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += x * y;
        }
    }
    reduce(lanes)
}

fn reduce(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[cfg(test)]
#[path = "pearson_tests.rs"]
mod tests;
