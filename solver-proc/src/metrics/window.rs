//! Mean and variance over a w x w window around every cell, clipped at the edges, at a cost that hardly
//! grows with w, in single precision.
//!
//! Nothing is ever taken back. Two groups of cells with a share k and p = 1 - k of their union merge
//! by `m = m_a + p (m_b - m_a)`, `v = k v_a + p v_b + k p (m_b - m_a)^2` (Chan, Golub and LeVeque
//! 1979): no term is negative, so a variance keeps its digits on any offset (running sums lose them
//! all, science 5.5), and next to any noise silence has exactly none. Along a row, groups of 1, 2, 4,
//! ... cells are doubled and put together as the binary digits of w say; down the columns each group
//! of w rows keeps its merged suffixes, the next group its merged prefix, and a window is one of each
//! (van Herk's scheme). Cells outside of the field are groups of none.

use std::ops::Range;

use crate::cells::Cells;

/// What is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// u.
    Value,
    /// |u|.
    Magnitude,
    /// The envelope.
    Envelope,
}

/// Rows are padded to a multiple of this, so that loops over them are whole vectors.
const PAD: usize = 32;

/// The window, and the shares by which groups along a row merge.
pub struct Window {
    nx: usize,
    ny: usize,
    side: usize,
    steps: Vec<Step>,
}

/// What one binary digit of the window's side does.
struct Step {
    /// Cells in a group.
    size: usize,
    /// If the digit is set: the share of the group that joins those put together so far.
    joins: Option<Cells>,
    /// Share of the right group in the doubled one; `None` at the last digit.
    doubles: Option<Cells>,
}

/// Room for the moments of one quantity in one strip.
pub struct Moments {
    quantity: Quantity,
    /// Row by row, the moments along the row; from the bottom up, of all rows from there.
    slots: Vec<Pair>,
    prefix: Pair,
    level: Pair,
    doubled: Pair,
    window: Pair,
}

/// A mean and a variance for every column.
struct Pair {
    mean: Cells,
    variance: Cells,
}

/// The fields that quantities are made of, row-major.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The wave.
    pub u: &'a [f32],
    /// The envelope.
    pub envelope: &'a [f32],
}

impl Window {
    /// A window of `side` cells (odd) over fields of `nx` x `ny`, cut to what reaches every cell from
    /// every other.
    pub fn new(nx: usize, ny: usize, side: usize) -> Self {
        let side = side.min(2 * nx.max(ny) - 1);
        let half = side / 2;
        // Cells of the field among the `size` that begin at padded column `i`.
        let inside = |i: usize, size: usize| (i + size).min(half + nx).saturating_sub(i.max(half));
        let (count, padded) = (padded(nx), padded(nx + side));
        let mut steps = Vec::new();
        let (mut size, mut before) = (1, 0);
        while size <= side {
            let joins = (side & size != 0)
                .then(|| table(count, |i| share(inside(i, before), inside(i + before, size))));
            let doubles = (2 * size <= side)
                .then(|| table(padded, |i| share(inside(i, size), inside(i + size, size))));
            before += side & size;
            steps.push(Step { size, joins, doubles });
            size *= 2;
        }
        Self { nx, ny, side, steps }
    }

    /// Room for the moments of `quantity` in a strip.
    pub fn moments(&self, quantity: Quantity) -> Moments {
        let row = |place| Pair::new(padded(self.nx), place);
        // The longest group is read that far beyond the end of a row.
        let level = |place| Pair::new(padded(self.nx + self.side) + self.side, place);
        Moments {
            quantity,
            slots: (0..self.side).map(|slot| row(slot % 2)).collect(),
            prefix: row(2),
            level: level(2),
            doubled: level(3),
            window: row(3),
        }
    }

    /// Makes the moments of the windows around row `y` of a strip; rows must be asked for in order.
    #[inline(always)]
    pub fn advance(
        &self,
        moments: &mut Moments,
        strip: &Range<usize>,
        y: usize,
        inputs: Inputs<'_>,
    ) {
        let (side, half) = (self.side, self.side / 2);
        let phase = (y - strip.start) % side;
        let first = y - phase;
        if phase == 0 {
            // The rows that windows of the last group reached are in their slots already.
            let known = if y == strip.start { 0 } else { side - 1 };
            for slot in known..side {
                self.fill_slot(moments, slot, y + slot, inputs);
            }
            for slot in (0..side - 1).rev() {
                let (here, below) = moments.slots.split_at_mut(slot + 1);
                let rows = y + slot;
                let part = share(self.rows(rows..rows + 1), self.rows(rows + 1..y + side));
                here[slot].join(&below[0], part);
            }
            moments.window.copy_from(&moments.slots[0]);
            return;
        }
        let (slot, row) = (phase - 1, first + side + phase - 1);
        self.fill_slot(moments, slot, row, inputs);
        let Moments { slots, prefix, window, .. } = moments;
        match slot {
            0 => prefix.copy_from(&slots[0]),
            _ => {
                let part = share(self.rows(first + side..row), self.rows(row..row + 1));
                prefix.join(&slots[slot], part);
            }
        }
        debug_assert_eq!(row, y + half + half);
        let part = share(self.rows(y..first + side), self.rows(first + side..row + 1));
        window.merge(&slots[phase], prefix, part);
    }

    /// Rows of the field in a range that counts from half a window above it.
    #[inline(always)]
    fn rows(&self, rows: Range<usize>) -> usize {
        let half = self.side / 2;
        rows.end.min(half + self.ny).saturating_sub(rows.start.max(half))
    }

    /// The moments along row `row` (counted from half a window above the field) into a slot.
    #[inline(always)]
    fn fill_slot(&self, moments: &mut Moments, slot: usize, row: usize, inputs: Inputs<'_>) {
        let half = self.side / 2;
        let Moments { quantity, slots, level, doubled, .. } = moments;
        let out = &mut slots[slot];
        let Some(row) = row.checked_sub(half).filter(|row| *row < self.ny) else {
            out.mean.fill(0.0);
            out.variance.fill(0.0);
            return;
        };
        level.mean.fill(0.0);
        level.variance.fill(0.0);
        quantity.copy(inputs, row * self.nx, &mut level.mean[half..][..self.nx]);
        let mut offset = 0;
        for step in &self.steps {
            if let Some(parts) = &step.joins {
                match offset {
                    0 => {
                        let count = out.mean.len();
                        out.mean.copy_from_slice(&level.mean[..count]);
                        out.variance.copy_from_slice(&level.variance[..count]);
                    }
                    _ => join(out, [&level.mean[offset..], &level.variance[offset..]], parts),
                }
                offset += step.size;
            }
            if let Some(parts) = &step.doubles {
                double(doubled, level, step.size, parts);
                std::mem::swap(level, doubled);
            }
        }
    }
}

impl Moments {
    /// Means around the row that was asked for last.
    pub fn mean(&self) -> &[f32] {
        &self.window.mean
    }

    /// Variances around the row that was asked for last.
    pub fn variance(&self) -> &[f32] {
        &self.window.variance
    }
}

impl Pair {
    /// Zeros; `place` as for [`Cells::new`], in pairs.
    fn new(count: usize, place: usize) -> Self {
        Self { mean: Cells::new(count, 2 * place), variance: Cells::new(count, 2 * place + 1) }
    }

    #[inline(always)]
    fn copy_from(&mut self, other: &Self) {
        self.mean.copy_from_slice(&other.mean);
        self.variance.copy_from_slice(&other.variance);
    }

    /// Takes in `other`, whose share of the union is `part`.
    #[inline(always)]
    fn join(&mut self, other: &Self, part: f32) {
        let count = self.mean.len();
        let (mean, variance) = (&mut self.mean[..count], &mut self.variance[..count]);
        let (mean_b, variance_b) = (&other.mean[..count], &other.variance[..count]);
        for i in 0..count {
            [mean[i], variance[i]] =
                merge([mean[i], variance[i]], [mean_b[i], variance_b[i]], part);
        }
    }

    /// Becomes the union of `a` and `b`; the share of `b` is `part`.
    #[inline(always)]
    fn merge(&mut self, a: &Self, b: &Self, part: f32) {
        let count = self.mean.len();
        let (mean, variance) = (&mut self.mean[..count], &mut self.variance[..count]);
        let (mean_a, variance_a) = (&a.mean[..count], &a.variance[..count]);
        let (mean_b, variance_b) = (&b.mean[..count], &b.variance[..count]);
        for i in 0..count {
            [mean[i], variance[i]] =
                merge([mean_a[i], variance_a[i]], [mean_b[i], variance_b[i]], part);
        }
    }
}

/// Takes in groups with their own share in every column.
#[inline(always)]
fn join(out: &mut Pair, [mean_b, variance_b]: [&[f32]; 2], parts: &[f32]) {
    let count = parts.len();
    let (mean, variance) = (&mut out.mean[..count], &mut out.variance[..count]);
    let (mean_b, variance_b) = (&mean_b[..count], &variance_b[..count]);
    for i in 0..count {
        [mean[i], variance[i]] =
            merge([mean[i], variance[i]], [mean_b[i], variance_b[i]], parts[i]);
    }
}

/// Groups of twice the cells.
#[inline(always)]
fn double(out: &mut Pair, level: &Pair, size: usize, parts: &[f32]) {
    let count = parts.len();
    let (mean, variance) = (&mut out.mean[..count], &mut out.variance[..count]);
    let (mean_a, variance_a) = (&level.mean[..count], &level.variance[..count]);
    let (mean_b, variance_b) = (&level.mean[size..][..count], &level.variance[size..][..count]);
    for i in 0..count {
        [mean[i], variance[i]] =
            merge([mean_a[i], variance_a[i]], [mean_b[i], variance_b[i]], parts[i]);
    }
}

/// Mean and variance of the union of two groups.
#[inline(always)]
fn merge([mean_a, variance_a]: [f32; 2], [mean_b, variance_b]: [f32; 2], part: f32) -> [f32; 2] {
    let (keep, apart) = (1.0 - part, mean_b - mean_a);
    // Kept normal: the square of what is all but equal would be a slow subnormal single.
    let apart = if apart.abs() < APART_MIN { 0.0 } else { apart };
    let step = part * apart;
    [mean_a + step, (keep * variance_a + part * variance_b) + (keep * step) * apart]
}

/// Means closer than this count as equal: far below a reference that anyone sets, and its square is
/// a normal single even after the shares of the widest window.
const APART_MIN: f32 = 1e-15;

/// Share of `b` in a union with `a`; none of nothing.
#[inline(always)]
fn share(a: usize, b: usize) -> f32 {
    if b == 0 { 0.0 } else { (b as f64 / (a + b) as f64) as f32 }
}

fn table(count: usize, value: impl Fn(usize) -> f32) -> Cells {
    let mut cells = Cells::new(count, 8);
    cells.iter_mut().enumerate().for_each(|(i, cell)| *cell = value(i));
    cells
}

fn padded(count: usize) -> usize {
    count.next_multiple_of(PAD)
}

impl Quantity {
    #[inline(always)]
    fn copy(self, inputs: Inputs<'_>, first: usize, out: &mut [f32]) {
        let count = out.len();
        match self {
            Self::Value => out.copy_from_slice(&inputs.u[first..][..count]),
            Self::Envelope => out.copy_from_slice(&inputs.envelope[first..][..count]),
            Self::Magnitude => {
                for (out, u) in out.iter_mut().zip(&inputs.u[first..][..count]) {
                    *out = u.abs();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::meter::tests::noise;

    #[test]
    fn moments_are_those_of_every_window_cell_by_cell() {
        let shapes = [(1, 1), (2, 1), (3, 5), (17, 23), (70, 40)];
        for (nx, ny) in shapes {
            let (u, envelope) = (noise(nx * ny, 3), noise(nx * ny, 4));
            let inputs = Inputs { u: &u, envelope: &envelope };
            for side in [1, 3, 5, 7, 9, 15, 31] {
                let window = Window::new(nx, ny, side);
                for quantity in [Quantity::Value, Quantity::Magnitude, Quantity::Envelope] {
                    for strip in [0..ny, 0..ny / 2, ny / 2..ny] {
                        let mut moments = window.moments(quantity);
                        for y in strip.clone() {
                            window.advance(&mut moments, &strip, y, inputs);
                            check_row(&window, &moments, y, inputs);
                        }
                    }
                }
            }
        }
    }

    /// In double precision, two passes over every window.
    fn exact(
        window: &Window,
        quantity: Quantity,
        [x, y]: [usize; 2],
        inputs: Inputs<'_>,
    ) -> [f64; 2] {
        let (nx, ny, half) = (window.nx, window.ny, window.side / 2);
        let mut values = Vec::new();
        for row in y.saturating_sub(half)..(y + half + 1).min(ny) {
            for column in x.saturating_sub(half)..(x + half + 1).min(nx) {
                let u = f64::from(inputs.u[row * nx + column]);
                values.push(match quantity {
                    Quantity::Value => u,
                    Quantity::Magnitude => u.abs(),
                    Quantity::Envelope => f64::from(inputs.envelope[row * nx + column]),
                });
            }
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        [mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count]
    }

    fn check_row(window: &Window, moments: &Moments, y: usize, inputs: Inputs<'_>) {
        for x in 0..window.nx {
            let [mean, variance] = exact(window, moments.quantity, [x, y], inputs);
            let (ours, spread) = (f64::from(moments.mean()[x]), f64::from(moments.variance()[x]));
            // Values are below 1: a mean is off by some units of 2^-24, a variance relatively.
            assert!((ours - mean).abs() < 4e-7, "{x}, {y}, side {}: {ours}, {mean}", window.side);
            assert!(
                (spread - variance).abs() <= 2e-6 * variance,
                "{x}, {y}, side {}: {spread}, {variance}",
                window.side
            );
        }
    }

    /// The case of science 5.5: a wave of 1e-3 on an offset of 1. A mean near 1 is right to a unit of
    /// 2^-23, so a variance (from 2e-8 up) is right to that over the standard deviation.
    #[test]
    fn a_small_variance_on_a_large_offset_survives() {
        let n = 64;
        let u: Vec<f32> =
            (0..n * n).map(|i| (1.0 + 1e-3 * (0.1 * (i % n) as f64).sin()) as f32).collect();
        let inputs = Inputs { u: &u, envelope: &u };
        let window = Window::new(n, n, 9);
        let mut moments = window.moments(Quantity::Value);
        for y in 0..n {
            window.advance(&mut moments, &(0..n), y, inputs);
            for x in 0..n {
                let [_, variance] = exact(&window, Quantity::Value, [x, y], inputs);
                let error = f64::from(moments.variance()[x]) / variance - 1.0;
                assert!(
                    error.abs() < f64::from(f32::EPSILON) / variance.sqrt(),
                    "{x}, {y}: {error} of {variance}"
                );
            }
        }
    }
}
