//! What a cell remembers from tick to tick: its envelope and its dwell time.
//!
//! Envelope (science 1.2): `E <- delta E + (1-delta) max(u, 0)` with `delta = exp(-1/envelope_ticks)`:
//! the accumulation `delta E + ReLU(A)` times (1-delta), so that a constant u > 0 has E = u.
//!
//! Dwell (science 1.3): with the weights `q^k`, `q = exp(-1/lambda)`, of the last ticks, the mean m
//! and variance v of E are followed by a recursion without cancellation; then
//! `V = (E-m)^2 + v` is the mean of `(E(t) - E(t-k))^2`, `s = 1/(1 + V/A0^2)` the similarity, and
//! tau grows by the field time of a tick: leaky `tau <- q tau + dt s`, or sojourn, in which it falls
//! to zero as soon as `s < s_min` or `E < theta`. Start-up: after n ticks the weights add up to
//! `1-q^n` and not to 1, which the weight `w = (1-q)/(1-q^n)` of the newest tick makes good.

use rsw_config::{Dwell, MetricsSection};

use super::bits::magnitude_bits;
use crate::cells::Cells;
use crate::workers::{STRIPS_MAX, Workers, strip_rows};

/// Magnitudes below this become zero, so that no decay ends in slow subnormal numbers; its square,
/// the floor of the variance, is still a normal one.
const FLUSH: f32 = 1e-18;

/// Envelope, mean, variance and dwell time of every cell.
pub struct Memory {
    nx: usize,
    ny: usize,
    rule: Rule,
    ticks: u64,
    fields: [Cells; Memory::FIELDS],
}

/// The parameters, in the units of the recursion.
#[derive(Debug, Clone, Copy)]
struct Rule {
    dwell: Dwell,
    lambda: f64,
    delta: f32,
    leak: f32,
    tick_seconds: f32,
    inverse_a0_squared: f32,
    s_min: f32,
    theta: f32,
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
            inverse_a0_squared: section.dwell_a0.powi(-2) as f32,
            s_min: section.dwell_s_min as f32,
            theta: section.dwell_theta as f32,
        };
        Self { nx, ny, rule, ticks: 0, fields: std::array::from_fn(|k| Cells::new(nx * ny, 2 + k)) }
    }

    /// One tick: takes in the field `u` and returns its largest magnitude; not finite if any cell
    /// is not, in which case the memory is spoilt and must be cleared.
    pub fn remember(&mut self, u: &[f32], workers: &Workers) -> f32 {
        self.ticks += 1;
        let share = |n: f64| -libm::expm1(-n / self.rule.lambda);
        let newest = (share(1.0) / share(self.ticks as f64)) as f32;
        let chunk = strip_rows(self.ny) * self.nx;
        let mut peaks = [0u32; STRIPS_MAX];
        let rule = self.rule;
        let [envelope, mean, variance, dwell] = &mut self.fields;
        let cells = envelope.chunks_mut(chunk).zip(mean.chunks_mut(chunk));
        let cells = cells.zip(variance.chunks_mut(chunk).zip(dwell.chunks_mut(chunk)));
        let jobs = u.chunks(chunk).zip(cells).zip(peaks.iter_mut());
        workers.each(
            jobs,
            #[inline(always)]
            |((u, ((envelope, mean), (variance, dwell))), peak)| {
                *peak = rule.strip(newest, u, [envelope, mean, variance, dwell]);
            },
        );
        f32::from_bits(peaks.into_iter().fold(0, u32::max))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ticks = 0;
        self.fields.iter_mut().for_each(|field| field.fill(0.0));
    }

    /// The envelope, normalised: (1-delta) E of science 1.2.
    pub fn envelope(&self) -> &[f32] {
        &self.fields[0]
    }

    /// The dwell time in field seconds.
    pub fn dwell(&self) -> &[f32] {
        &self.fields[3]
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

impl Rule {
    /// A strip of cells; returns the largest magnitude of u as its bit pattern.
    #[inline(always)]
    fn strip(self, newest: f32, u: &[f32], state: [&mut [f32]; Memory::FIELDS]) -> u32 {
        // The form of the dwell is chosen outside of the loop, which then becomes vectors.
        match self.dwell {
            Dwell::Leaky => {
                self.cells(newest, u, state, |tau, s, _| self.leak * tau + self.tick_seconds * s)
            }
            Dwell::Sojourn => self.cells(newest, u, state, |tau, s, e| {
                let (alike, loud) = (s >= self.s_min, e >= self.theta);
                if alike & loud { tau + self.tick_seconds } else { 0.0 }
            }),
        }
    }

    /// `dwell_of` gives the new dwell time from the old one, the similarity and the envelope.
    #[inline(always)]
    fn cells(
        self,
        newest: f32,
        u: &[f32],
        state: [&mut [f32]; Memory::FIELDS],
        dwell_of: impl Fn(f32, f32, f32) -> f32,
    ) -> u32 {
        let count = u.len();
        let [envelope, mean, variance, dwell] = state;
        let (envelope, mean) = (&mut envelope[..count], &mut mean[..count]);
        let (variance, dwell) = (&mut variance[..count], &mut dwell[..count]);
        let mut peak = 0u32;
        let (old, gain) = (1.0 - newest, 1.0 - self.delta);
        for i in 0..count {
            peak = peak.max(magnitude_bits(u[i]));
            let e = flush(self.delta * envelope[i] + gain * u[i].max(0.0));
            let step = e - mean[i];
            let m = flush(mean[i] + newest * step);
            let v = old * (variance[i] + newest * (step * step));
            let v = if v < FLUSH * FLUSH { 0.0 } else { v };
            let away = e - m;
            let spread = away * away + v;
            let s = 1.0 / (1.0 + spread * self.inverse_a0_squared);
            (envelope[i], mean[i], variance[i]) = (e, m, v);
            dwell[i] = dwell_of(dwell[i], s, e);
        }
        peak
    }
}

#[inline(always)]
fn flush(value: f32) -> f32 {
    if value.abs() < FLUSH { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::meter::tests::alone;

    fn section() -> MetricsSection {
        MetricsSection {
            dwell_lambda: 7.0,
            envelope_ticks: 3.0,
            dwell_a0: 0.3,
            ..Default::default()
        }
    }

    /// The sums that the recursion stands for, over the whole history, in double precision.
    #[test]
    fn the_recursion_is_the_sum_over_history() {
        let section = section();
        let mut memory = Memory::new(1, 1, &section, 0.01);
        let (delta, q) = ((-1f64 / 3.0).exp(), (-1f64 / 7.0).exp());
        let (mut envelope, mut tau, mut history) = (0.0, 0.0, Vec::<f64>::new());
        for tick in 0..200 {
            let u = (0.3 * f64::from(tick)).sin() + 0.5;
            memory.remember(&[u as f32], &alone());
            envelope = delta * envelope + (1.0 - delta) * f64::from(u as f32).max(0.0);
            history.push(envelope);
            let weights: f64 = (0..history.len()).map(|k| q.powi(k as i32)).sum();
            let spread: f64 = history
                .iter()
                .rev()
                .enumerate()
                .map(|(k, past)| q.powi(k as i32) * (envelope - past).powi(2))
                .sum::<f64>()
                / weights;
            tau = q * tau + 0.01 / (1.0 + spread / 0.09);
            assert!((f64::from(memory.envelope()[0]) - envelope).abs() < 1e-6);
            assert!((f64::from(memory.dwell()[0]) - tau).abs() < 1e-6 * (1.0 + tau), "tick {tick}");
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
