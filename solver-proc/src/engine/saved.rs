//! The engine's state as bytes, and back.
//!
//! What is saved: tick, age of the memory, the scalars of the last evaluation, both levels of the
//! wave, the memory, filters and memories of the bands. CI, coherence and gain follow from these
//! where every tick is evaluated, and are computed again; where not, they are saved too. Sources
//! need nothing: they are functions of the tick.

use super::Engine;
use super::host::Host;
use crate::checkpoint::{RestoreError, Shape};
use crate::gpu::GpuError;
use crate::metrics::Summary;

/// Scalars in a state, eight bytes each.
const SCALARS: usize = 2 + 8;
/// Flag: the fields of the last evaluation are there.
const WITH_EVALUATION: u32 = 1;

impl Engine {
    /// Bytes of a saved state; constant for an engine.
    pub fn checkpoint_bytes(&self) -> usize {
        self.shape().bytes()
    }

    /// Saves the state into `out`. On the CPU it allocates nothing.
    ///
    /// # Errors
    /// A GPU that fails.
    ///
    /// # Panics
    /// Unless `out` is exactly [`Engine::checkpoint_bytes`] long.
    pub fn save(&mut self, out: &mut [u8]) -> Result<(), GpuError> {
        self.executor.settle(&mut self.host)?;
        let Host { wave, meter, .. } = &self.host;
        self.shape().seal(out, |body| {
            body.u64(self.tick);
            body.u64(meter.memory().ticks());
            for scalar in self.scalars() {
                body.f64(scalar);
            }
            body.field(wave.u());
            body.field(wave.previous());
            for field in meter.memory().fields() {
                body.field(field);
            }
            if self.saves_evaluation() {
                for field in meter.evaluated() {
                    body.field(field);
                }
            }
            for field in self.band_fields() {
                body.field(field);
            }
        });
        Ok(())
    }

    /// Continues from a saved state: from here on every field and every number has the same bits as
    /// in the engine that saved it, if the same device computes them. On a GPU the fields that follow from the state
    /// are the CPU's until the next evaluation. `bytes` may come from anywhere, and from an engine on any device.
    ///
    /// # Errors
    /// Bytes that are not a state of an engine of this shape; the engine is then as it was.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        let mut body = self.shape().open(bytes)?;
        self.tick = body.u64();
        let age = body.u64();
        let scalars = std::array::from_fn(|_| body.f64());
        for level in self.host.wave.levels_mut() {
            body.field(level);
        }
        self.executor.renew();
        let (ticks, fields) = self.host.meter.memory_mut().state_mut();
        *ticks = age;
        for field in fields {
            body.field(field);
        }
        if self.saves_evaluation() {
            for field in self.host.meter.evaluated_mut() {
                body.field(field);
            }
        } else if self.tick > 0 {
            self.host.evaluate();
        }
        let evaluated = self.saves_evaluation();
        if let Some(bands) = &mut self.bands {
            bands.restore(age, evaluated, |field| body.field(field));
            if self.tick > 0 {
                bands.resume(evaluated, &self.host.workers);
            }
        }
        self.set_scalars(scalars);
        let t_end = self.tick as f64 * f64::from(self.steps) * self.host.wave.medium().dt;
        if self.tick > 0 {
            for source in &mut self.sources {
                source.begin_tick(self.tick, t_end);
            }
            self.update_sites();
        }
        self.events.clear();
        Ok(())
    }

    fn band_fields(&self) -> impl Iterator<Item = &[f32]> {
        let evaluated = self.saves_evaluation();
        self.bands.iter().flat_map(move |bands| bands.fields(evaluated))
    }

    fn saves_evaluation(&self) -> bool {
        self.every_ticks > 1
    }

    fn scalars(&self) -> [f64; SCALARS - 2] {
        let s = &self.summary;
        let means = [s.ci_mean, s.coherence_mean, s.gain_mean, s.dwell_mean];
        let [a, b, c, d] = means;
        [a, b, c, d, s.d_global, s.d_r2, f64::from(s.theta), self.energy]
    }

    fn set_scalars(&mut self, scalars: [f64; SCALARS - 2]) {
        let [ci_mean, coherence_mean, gain_mean, dwell_mean, d_global, d_r2, theta, energy] =
            scalars;
        let theta = theta as f32;
        self.summary =
            Summary { ci_mean, coherence_mean, gain_mean, dwell_mean, d_global, d_r2, theta };
        self.energy = energy;
    }

    fn shape(&self) -> Shape {
        let Host { wave, meter, .. } = &self.host;
        let cells = wave.grid().cells();
        let state = cells * (2 + meter.memory().fields().len());
        let evaluation: usize = meter.evaluated().iter().map(|field| field.len()).sum();
        let bands: usize = self.band_fields().map(<[f32]>::len).sum();
        let (flags, singles) = match self.saves_evaluation() {
            true => (WITH_EVALUATION, state + evaluation + bands),
            false => (0, state + bands),
        };
        Shape {
            nx: self.nx() as u32,
            ny: self.ny() as u32,
            flags,
            body_bytes: SCALARS * size_of::<u64>() + singles * size_of::<f32>(),
        }
    }
}
