//! The matrix of one window, and what an agent reports of it.

use super::pearson::{UNDEFINED, correlate};
use super::window::Window;

/// |r| is cut here before `atanh`: two identical series have r = 1, whose z is infinite and would drown
/// every other pair. So the mean over identical series is this value and not quite 1.
pub const R_ABS_MAX: f64 = 1.0 - 1e-12;

/// How synchronised the swarm is over one window.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncResult {
    /// Last tick of the window.
    pub last_tick: u64,
    /// Ticks in the window.
    pub window_ticks: u32,
    /// Ticks of the window with a sample of at least one agent.
    pub seen_ticks: u32,
    /// Pairs with a defined correlation.
    pub pairs_defined: u32,
    /// Fisher z mean over the defined pairs; `None` if there is none.
    pub cs_mean: Option<f64>,
    /// Smallest correlation.
    pub r_min: Option<f64>,
    /// Largest correlation.
    pub r_max: Option<f64>,
    /// CRC-32 (IEEE) of the matrix: row-major little-endian f64, undefined as [`UNDEFINED`].
    pub matrix_crc32: u32,
    ids: Vec<u32>,
    matrix: Matrix,
}

/// Row-major, square; a type of its own because undefined elements equal each other.
#[derive(Debug, Clone)]
struct Matrix(Vec<f64>);

impl PartialEq for Matrix {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|r| r.to_bits()).eq(other.0.iter().map(|r| r.to_bits()))
    }
}

impl SyncResult {
    /// Agents in the matrix, in its order: those with a sample in the window.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Agents in the matrix.
    pub fn agents(&self) -> u32 {
        self.ids.len() as u32
    }

    /// The matrix, row-major; undefined as [`UNDEFINED`].
    pub fn matrix(&self) -> &[f64] {
        &self.matrix.0
    }

    /// Correlation of two agents, if both are in the matrix and it is defined.
    pub fn r(&self, a: u32, b: u32) -> Option<f64> {
        let (a, b) = (self.place(a)?, self.place(b)?);
        defined(self.matrix.0[a * self.ids.len() + b])
    }

    /// Fisher z mean over the defined pairs that contain this agent.
    pub fn cs_self(&self, agent_id: u32) -> Option<f64> {
        let (place, count) = (self.place(agent_id)?, self.ids.len());
        let row = &self.matrix.0[place * count..(place + 1) * count];
        fisher_mean((0..count).filter(|&other| other != place).map(|other| row[other]))
    }

    fn place(&self, agent_id: u32) -> Option<usize> {
        self.ids.binary_search(&agent_id).ok()
    }
}

/// Correlates every pair of agents over the ticks in (`last_tick - window_ticks`, `last_tick`].
///
/// Ticks that `window` does not remember are holes. Time: O(agents^2 * window_ticks).
pub fn matrix(window: &Window, last_tick: u64, window_ticks: u32) -> SyncResult {
    let first_tick = last_tick.saturating_sub(u64::from(window_ticks)) + 1;
    let ticks = (last_tick + 1 - first_tick) as usize;
    let mut ids = Vec::new();
    let mut values = Vec::new();
    let mut seen = vec![false; ticks];
    for id in window.agents() {
        let start = values.len();
        for (tick, seen) in (first_tick..).zip(&mut seen) {
            let sample = window.get(tick, id);
            *seen |= sample.is_some();
            values.push(sample.unwrap_or(UNDEFINED));
        }
        if values[start..].iter().all(|x| x.is_nan()) {
            values.truncate(start);
        } else {
            ids.push(id);
        }
    }
    let mut elements = vec![UNDEFINED; ids.len() * ids.len()];
    correlate(&values, ids.len(), ticks, &mut elements);
    let seen_ticks = seen.iter().filter(|&&seen| seen).count() as u32;
    SyncResult { last_tick, window_ticks, seen_ticks, ..summarise(ids, elements) }
}

/// What follows from the matrix alone.
fn summarise(ids: Vec<u32>, elements: Vec<f64>) -> SyncResult {
    let count = ids.len();
    let pairs = || {
        let upper = (0..count).flat_map(|i| (i + 1..count).map(move |j| i * count + j));
        upper.filter_map(|at| defined(elements[at]))
    };
    let mut crc = crc32fast::Hasher::new();
    elements.iter().for_each(|r| crc.update(&r.to_le_bytes()));
    SyncResult {
        last_tick: 0,
        window_ticks: 0,
        seen_ticks: 0,
        pairs_defined: pairs().count() as u32,
        cs_mean: fisher_mean(pairs()),
        r_min: pairs().reduce(f64::min),
        r_max: pairs().reduce(f64::max),
        matrix_crc32: crc.finalize(),
        ids,
        matrix: Matrix(elements),
    }
}

/// tanh of the mean of atanh r, over the correlations that are defined (not NaN); `None` without any.
///
/// |r| is cut at [`R_ABS_MAX`]. The result is never NaN.
pub fn fisher_mean(correlations: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u64);
    for r in correlations.into_iter().filter_map(defined) {
        sum += r.clamp(-R_ABS_MAX, R_ABS_MAX).atanh();
        count += 1;
    }
    (count > 0).then(|| (sum / count as f64).tanh())
}

fn defined(r: f64) -> Option<f64> {
    (!r.is_nan()).then_some(r)
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
