//! What a cell remembers from tick to tick: its envelope and its dwell time.
//!
//! Envelope (SCIENCE.md, The complexity index): `E <- delta E + (1-delta) max(u, 0)` with `delta = exp(-1/envelope_ticks)`:
//! the accumulation `delta E + ReLU(A)` times (1-delta), so that a constant u > 0 has E = u.
//!
//! Dwell: with the weights `q^k`, `q = exp(-1/lambda)`, of the last ticks, the mean m
//! and variance v of E are followed by a recursion without cancellation; then
//! `V = (E-m)^2 + v` is the mean of `(E(t) - E(t-k))^2`, `s = 1/(1 + V/A0^2)` the similarity, and
//! tau grows by the field time of a tick: leaky `tau <- q tau + dt s`, or sojourn, in which it falls
//! to zero as soon as `s < s_min` or `E < theta`. Start-up: after n ticks the weights add up to
//! `1-q^n` and not to 1, which the weight `w = (1-q)/(1-q^n)` of the newest tick makes good.
//!
//! A row is swept over twice, first for E, m and v, then for tau: short chains of operations, of which
//! a processor has several under way at once; of one long chain it sees too little.

use std::ops::Range;

use rsw_config::{Dwell, MetricsSection};

use super::bits::magnitude_bits;
use super::sweep::{SUMMED_MAX, fma, positive, sweep};
use crate::cells::{Buffer, Cells};
use crate::workers::{STRIPS_MAX, Workers, strip_rows, strips};

/// Taken off the envelope and its mean at every tick, and its square off the variance: what decays
/// ends in exact zero and not in slow subnormal numbers.
const GRAIN: f32 = 1e-18;

/// Envelope, mean, variance and dwell time of every cell.
pub struct Memory {
    nx: usize,
    ny: usize,
    rule: Rule,
    ticks: u64,
    fields: [Cells; Memory::FIELDS],
    /// What one strip needs between its two sweeps.
    spread: Vec<Buffer>,
}

/// The memory of some cells.
pub(crate) struct State<'a> {
    fields: [&'a mut [f32]; Memory::FIELDS],
    /// Room for `1 + V/A0^2` of at most [`SUMMED_MAX`] cells.
    spread: &'a mut [f32],
}

impl State<'_> {
    /// That of some of the cells, at most [`SUMMED_MAX`].
    #[inline(always)]
    pub(crate) fn part(&mut self, cells: Range<usize>) -> State<'_> {
        let [e, m, v, tau] = &mut self.fields;
        let spread = &mut self.spread[..cells.len()];
        let fields =
            [&mut e[cells.clone()], &mut m[cells.clone()], &mut v[cells.clone()], &mut tau[cells]];
        State { fields, spread }
    }
}

/// The parameters, in the units of the recursion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) dwell: Dwell,
    lambda: f64,
    pub(crate) delta: f32,
    pub(crate) leak: f32,
    pub(crate) tick_seconds: f32,
    pub(crate) inverse_a0_squared: f32,
    pub(crate) s_min: f32,
    pub(crate) theta: f32,
}

/// What one tick does to a cell.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    rule: Rule,
    /// Weight of this tick among all since the start.
    pub(crate) newest: f32,
}

impl Memory {
    /// Fields of state: envelope, mean, variance, dwell.
    pub(crate) const FIELDS: usize = 4;

    /// An empty memory; `tick_seconds` is the field time of a tick.
    pub fn new(nx: usize, ny: usize, section: &MetricsSection, tick_seconds: f64) -> Self {
        let decay = |ticks: f64| libm::exp(-1.0 / ticks) as f32;
        let rule = Rule {
            dwell: section.dwell,
            lambda: section.dwell_lambda,
            delta: decay(section.envelope_ticks),
            leak: decay(section.dwell_lambda),
            tick_seconds: tick_seconds as f32,
            inverse_a0_squared: section.dwell_a0.powi(-2).min(f64::from(f32::MAX)) as f32,
            s_min: section.dwell_s_min as f32,
            theta: section.dwell_theta as f32,
        };
        let fields = std::array::from_fn(|k| Cells::new(nx * ny, 2 + k));
        let spread = strips(ny).map(|_| Buffer::new(SUMMED_MAX, 0)).collect();
        Self { nx, ny, rule, ticks: 0, fields, spread }
    }

    /// One tick: takes in the field `u` and returns its largest magnitude; not finite if any cell
    /// is not, in which case the memory is spoilt and must be cleared.
    pub fn remember(&mut self, u: &[f32], workers: &Workers) -> f32 {
        let chunk = strip_rows(self.ny) * self.nx;
        let mut peaks = [0u32; STRIPS_MAX];
        let step = self.begin();
        let jobs = u.chunks(chunk).zip(self.strips()).zip(peaks.iter_mut());
        workers.each(
            jobs,
            #[inline(always)]
            |((u, mut state), peak)| {
                *peak = u.iter().fold(0, |peak, u| peak.max(magnitude_bits(*u)));
                for first in (0..u.len()).step_by(SUMMED_MAX) {
                    let cells = first..(first + SUMMED_MAX).min(u.len());
                    step.row(&u[cells.clone()], state.part(cells));
                }
            },
        );
        f32::from_bits(peaks.into_iter().fold(0, u32::max))
    }

    /// The next tick begins: what it does to every cell.
    pub(crate) fn begin(&mut self) -> Step {
        self.ticks += 1;
        let share = |n: f64| -libm::expm1(-n / self.rule.lambda);
        let newest = (share(1.0) / share(self.ticks as f64)) as f32;
        Step { rule: self.rule, newest }
    }

    /// The state of each strip.
    pub(crate) fn strips(&mut self) -> impl Iterator<Item = State<'_>> {
        let chunk = strip_rows(self.ny) * self.nx;
        let [envelope, mean, variance, dwell] = &mut self.fields;
        let first = envelope.chunks_mut(chunk).zip(mean.chunks_mut(chunk));
        let second = variance.chunks_mut(chunk).zip(dwell.chunks_mut(chunk));
        let states = first.zip(second).zip(&mut self.spread);
        states.map(|(((e, m), (v, tau)), spread)| State { fields: [e, m, v, tau], spread })
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ticks = 0;
        self.fields.iter_mut().for_each(|field| field.fill(0.0));
    }

    /// The envelope E: of a constant u > 0 it comes to u.
    pub fn envelope(&self) -> &[f32] {
        &self.fields[0]
    }

    /// The dwell time in field seconds.
    pub fn dwell(&self) -> &[f32] {
        &self.fields[3]
    }

    #[cfg(feature = "gpu")]
    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Ticks since the start, or since the last [`Memory::clear`].
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks
    }

    pub(crate) fn fields(&self) -> &[Cells; Self::FIELDS] {
        &self.fields
    }

    pub(crate) fn state_mut(&mut self) -> (&mut u64, &mut [Cells; Self::FIELDS]) {
        (&mut self.ticks, &mut self.fields)
    }
}

impl Step {
    /// Part of a row of cells. The form of the dwell is chosen outside of the loop. Returns the dwell times.
    #[inline(always)]
    pub(crate) fn row<'a>(self, u: &[f32], state: State<'a>) -> &'a [f32] {
        let State { fields: [e, m, v, tau], spread } = state;
        sweep(
            [u],
            [&mut *e, m, v],
            [&mut *spread],
            #[inline(always)]
            |[u], state| self.settle(u, state),
        );
        let Rule { leak, tick_seconds, s_min, theta, .. } = self.rule;
        match self.rule.dwell {
            Dwell::Leaky => sweep(
                [spread],
                [&mut *tau],
                [],
                #[inline(always)]
                |[spread], [tau]| ([fma(leak, tau, tick_seconds * reciprocal(spread))], []),
            ),
            Dwell::Sojourn => sweep(
                [spread, e],
                [&mut *tau],
                [],
                #[inline(always)]
                |[spread, e], [tau]| {
                    let (alike, loud) = (reciprocal(spread) >= s_min, e >= theta);
                    ([if alike & loud { tau + tick_seconds } else { 0.0 }], [])
                },
            ),
        }
        tau
    }

    /// One cell: envelope, mean, variance, and `1 + V/A0^2`, whose reciprocal is the similarity s.
    ///
    /// With `d = E - m_old` the recursion is `m = m_old + w d`, `v = (1-w)(v_old + w d^2)`, and then
    /// `V = (E-m)^2 + v = (1-w)^2 d^2 + v = (1-w)(v_old + d^2)`.
    #[inline(always)]
    fn settle(self, u: f32, [e, m, v]: [f32; 3]) -> ([f32; 3], [f32; 1]) {
        let Self { rule, newest } = self;
        let old = 1.0 - newest;
        let e = positive(fma(rule.delta, e, fma(1.0 - rule.delta, positive(u), -GRAIN)));
        let d = e - m;
        let square = d * d;
        let spread = fma(v + square, old * rule.inverse_a0_squared, 1.0);
        let m = positive(fma(newest, d, m) - GRAIN);
        let v = positive(fma(old, fma(newest, square, v), -GRAIN * GRAIN));
        ([e, m, v], [spread])
    }
}

/// `1/x` for x from 1 to 1e30 (more counts as that), to 2e-7 of its value: the bits of a first guess, off by an eighth, and
/// two steps of third order, `y <- y (1 + e + e^2)` with `e = 1 - x y`, after which e^9 is nothing.
/// Arithmetic only: a processor divides sixteen numbers in the time of thirty of these operations.
#[inline(always)]
pub(crate) fn reciprocal(x: f32) -> f32 {
    let x = if x < 1e30 { x } else { 1e30 };
    let mut y = f32::from_bits(0x7ef3_11c7u32.wrapping_sub(x.to_bits()));
    for _ in 0..2 {
        let e = fma(-x, y, 1.0);
        y = fma(y, fma(e, e, e), y);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::meter::tests::{alone, noise};

    fn section() -> MetricsSection {
        MetricsSection {
            dwell_lambda: 7.0,
            envelope_ticks: 3.0,
            dwell_a0: 0.3,
            ..Default::default()
        }
    }

    /// One cell as the definitions have it: over its whole history, in double precision.
    #[derive(Clone, Default)]
    struct Plain {
        history: Vec<f64>,
        tau: f64,
        /// Single precision may decide otherwise about this stay.
        doubtful: bool,
    }

    impl Plain {
        fn remember(&mut self, u: f32, section: &MetricsSection, tick_seconds: f64) -> f64 {
            let [delta, q] =
                [section.envelope_ticks, section.dwell_lambda].map(|ticks| (-1.0 / ticks).exp());
            let before = self.history.last().copied().unwrap_or_default();
            let envelope = delta * before + (1.0 - delta) * f64::from(u).max(0.0);
            self.history.push(envelope);
            let (mut spread, mut weights) = (0.0, 0.0);
            for (k, past) in self.history.iter().rev().enumerate() {
                let weight = q.powi(k as i32);
                spread += weight * (envelope - past).powi(2);
                weights += weight;
            }
            let alike = 1.0 / (1.0 + spread / weights / section.dwell_a0.powi(2));
            let margins = [alike - section.dwell_s_min, envelope - section.dwell_theta];
            match section.dwell {
                Dwell::Leaky => self.tau = q * self.tau + tick_seconds * alike,
                Dwell::Sojourn if margins.iter().all(|margin| *margin >= 0.0) => {
                    self.tau += tick_seconds;
                }
                Dwell::Sojourn => (self.tau, self.doubtful) = (0.0, false),
            }
            self.doubtful |= margins.iter().any(|margin| margin.abs() < 1e-5);
            envelope
        }
    }

    /// Every cell, after every tick, of a field that swells and falls, here earlier than there.
    fn check_against_history([nx, ny]: [usize; 2], ticks: u64, section: &MetricsSection) {
        let (mut memory, seconds) = (Memory::new(nx, ny, section, 0.01), 0.01);
        let mut cells = vec![Plain::default(); nx * ny];
        let (mut doubts, mut stays, mut moves) = (0, 0, 0);
        for tick in 0..ticks {
            let mut u = noise(nx * ny, 50 + tick);
            for (i, u) in u.iter_mut().enumerate() {
                *u = 0.3 * *u + (0.3 * tick as f32 + 0.01 * (i % 997) as f32).sin() + 0.5;
            }
            memory.remember(&u, &alone());
            for (i, (plain, u)) in cells.iter_mut().zip(&u).enumerate() {
                let envelope = plain.remember(*u, section, seconds);
                let (e, tau) = (f64::from(memory.envelope()[i]), f64::from(memory.dwell()[i]));
                assert!(
                    (e - envelope).abs() < 1e-6,
                    "{nx} x {ny}, tick {tick}, cell {i}: {e}, {envelope}"
                );
                if section.dwell == Dwell::Sojourn && plain.doubtful {
                    doubts += 1;
                    continue;
                }
                let near = (tau - plain.tau).abs() < 1e-6 * (1.0 + plain.tau);
                assert!(near, "{nx} x {ny}, tick {tick}, cell {i}: {tau}, {}", plain.tau);
                *(if plain.tau > 0.0 { &mut stays } else { &mut moves }) += 1;
            }
        }
        let all = ticks * (nx * ny) as u64;
        assert!(100 * doubts <= all, "{doubts} of {all} are too near to call");
        if section.dwell == Dwell::Sojourn {
            assert!(10 * stays > all && 10 * moves > all, "{stays} stay and {moves} move of {all}");
        }
    }

    /// E, and both forms of tau: the sums that the recursion stands for, in whole fields of awkward sizes.
    #[test]
    fn the_recursion_is_the_sum_over_history() {
        let dwell = Dwell::Sojourn;
        let sojourn = MetricsSection { dwell, dwell_s_min: 0.2, dwell_theta: 0.4, ..section() };
        for section in [section(), sojourn] {
            check_against_history([1, 1], 200, &section);
            for nx in [1, 2, 3, 5, 17] {
                for ny in [2, 3, 5, 17] {
                    check_against_history([nx, ny], 30, &section);
                }
            }
            for size in [[1, 1023], [1025, 1], [1023, 17], [17, 1025], [3, 1025]] {
                check_against_history(size, 25, &section);
            }
        }
    }

    /// Leaky, s = 1: the steady state is dt/(1-q). Sojourn: it counts, and starts anew.
    #[test]
    fn steady_states_of_both_forms() {
        let mut leaky = Memory::new(2, 1, &section(), 0.5);
        let sojourn = MetricsSection { dwell: Dwell::Sojourn, ..section() };
        let mut sojourn = Memory::new(2, 1, &sojourn, 0.5);
        for _ in 0..2000 {
            leaky.remember(&[1.0, 0.0], &alone());
            sojourn.remember(&[1.0, 0.0], &alone());
        }
        let steady = 0.5 / (1.0 - (-1f64 / 7.0).exp());
        assert!((f64::from(leaky.dwell()[0]) / steady - 1.0).abs() < 1e-5);
        assert!(sojourn.dwell()[0] > 990.0);
        assert_eq!(sojourn.dwell()[1], 0.0, "a silent cell dwells nowhere");
        sojourn.remember(&[50.0, 0.0], &alone());
        assert_eq!(sojourn.dwell()[0], 0.0, "a jump ends the stay");
    }

    #[test]
    fn a_reciprocal_keeps_its_digits() {
        let mut x = 1.0f32;
        while x < 1e30 {
            let error = (f64::from(reciprocal(x)) * f64::from(x) - 1.0).abs();
            assert!(error < 2e-7, "{x}: {error}");
            x *= 1.0001;
        }
        assert_eq!(reciprocal(1.0), 1.0);
        assert!(reciprocal(f32::INFINITY) == reciprocal(1e30) && reciprocal(1e30) > 0.0);
    }

    #[test]
    fn a_cell_that_is_no_number_shows_in_the_peak() {
        for (bad, shows) in
            [(f32::NAN, f32::is_nan as fn(f32) -> bool), (f32::NEG_INFINITY, f32::is_infinite)]
        {
            let mut memory = Memory::new(5, 3, &section(), 0.01);
            let mut u = vec![1.0f32; 15];
            u[11] = bad;
            assert!(shows(memory.remember(&u, &alone())));
            memory.clear();
            assert_eq!(memory.remember(&[-2.0; 15], &alone()), 2.0);
        }
    }

    #[test]
    fn a_long_silence_ends_in_exact_zero() {
        let mut memory = Memory::new(1, 1, &section(), 0.01);
        for _ in 0..50 {
            memory.remember(&[1.0], &alone());
        }
        for _ in 0..2000 {
            memory.remember(&[0.0], &alone());
        }
        assert!(memory.fields()[..3].iter().all(|field| **field == [0.0]));
    }
}
