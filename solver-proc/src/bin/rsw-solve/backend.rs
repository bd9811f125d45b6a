//! Who takes the steps of a run: threads of this process, or a GPU.

#[cfg(feature = "gpu")]
use solver_proc::gpu::{Choice, DeviceWave, Gpu};
use solver_proc::real::Real;
use solver_proc::source::Feeds;
use solver_proc::wave::Wave;
use solver_proc::workers::Workers;

use crate::Failure;

/// Moves a wave on. Between its calls the levels may be elsewhere than in the wave: see
/// [`Backend::settle`].
pub(crate) trait Backend<T: Real> {
    /// What computes, in a few words.
    fn kernel(&self, wave: &Wave<T>) -> String;

    /// `steps` steps, done when it returns.
    fn advance(&mut self, wave: &mut Wave<T>, feeds: &Feeds, steps: usize) -> Result<(), Failure>;

    /// The largest |u|; NaN if any value is not finite.
    fn magnitude(&mut self, wave: &Wave<T>) -> Result<f64, Failure>;

    /// Brings both levels into `wave`.
    fn settle(&mut self, wave: &mut Wave<T>) -> Result<(), Failure>;
}

/// Threads of this process.
pub(crate) struct Cpu<'a>(pub(crate) &'a Workers);

impl<T: Real> Backend<T> for Cpu<'_> {
    fn kernel(&self, wave: &Wave<T>) -> String {
        wave.kernel(self.0)
    }

    fn advance(&mut self, wave: &mut Wave<T>, feeds: &Feeds, steps: usize) -> Result<(), Failure> {
        self.0.enter(|| wave.advance(self.0, feeds, steps));
        Ok(())
    }

    fn magnitude(&mut self, wave: &Wave<T>) -> Result<f64, Failure> {
        Ok(wave.magnitude(self.0))
    }

    fn settle(&mut self, _: &mut Wave<T>) -> Result<(), Failure> {
        Ok(())
    }
}

/// The best device that Vulkan has, software included: who asks for it by name gets it.
#[cfg(feature = "gpu")]
pub(crate) fn gpu<'a>(wave: &Wave, feeds: &Feeds) -> Result<Box<dyn Backend<f32> + 'a>, Failure> {
    Ok(Box::new(DeviceWave::new(&Gpu::open(Choice::Any)?, wave, feeds)?))
}

/// Without the feature there is none.
#[cfg(not(feature = "gpu"))]
pub(crate) fn gpu<'a>(_: &Wave, _: &Feeds) -> Result<Box<dyn Backend<f32> + 'a>, Failure> {
    Err(solver_proc::gpu::GpuError::NotBuilt.into())
}

#[cfg(feature = "gpu")]
impl Backend<f32> for DeviceWave {
    fn kernel(&self, wave: &Wave) -> String {
        Self::kernel(self, wave)
    }

    fn advance(&mut self, _: &mut Wave, feeds: &Feeds, steps: usize) -> Result<(), Failure> {
        Self::advance(self, feeds, steps)?;
        Ok(self.wait()?)
    }

    fn magnitude(&mut self, _: &Wave) -> Result<f64, Failure> {
        Ok(Self::magnitude(self)?)
    }

    fn settle(&mut self, wave: &mut Wave) -> Result<(), Failure> {
        Ok(self.read_back(wave)?)
    }
}
