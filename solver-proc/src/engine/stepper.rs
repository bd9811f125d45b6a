//! Who takes the steps of a tick: threads of this process, or a GPU.

use rsw_config::Backend;

use crate::gpu::GpuError;
#[cfg(feature = "gpu")]
use crate::gpu::{Choice, DeviceWave, Gpu};
use crate::source::Feeds;
use crate::wave::Wave;
use crate::workers::Workers;

/// Fewest cells for which `auto` looks for a GPU. Below, both levels fit into the caches of a processor, where
/// steps in tiles do not wait for memory; and both cross the bus at every tick, for the metrics.
#[cfg(feature = "gpu")]
const AUTO_CELLS_MIN: usize = 2048 * 2048;

/// Takes the steps; after each tick the wave on this side is whole.
pub(super) enum Stepper {
    Cpu,
    #[cfg(feature = "gpu")]
    Gpu {
        device_wave: Box<DeviceWave>,
        /// The wave on this side was changed, and the device does not know.
        stale: bool,
    },
}

impl Stepper {
    /// What `backend` asks for. `auto` never fails: where a GPU cannot be had, it is the CPU.
    pub(super) fn open(backend: Backend, wave: &Wave, feeds: &Feeds) -> Result<Self, GpuError> {
        match backend {
            Backend::Cpu => Ok(Self::Cpu),
            Backend::Auto => Ok(Self::auto(wave, feeds)),
            Backend::Gpu => Self::gpu(wave, feeds),
        }
    }

    /// `steps` steps, each with its share of `feeds`, and both levels taken back.
    pub(super) fn advance(
        &mut self,
        workers: &Workers,
        wave: &mut Wave,
        feeds: &Feeds,
        steps: usize,
    ) -> Result<(), GpuError> {
        match self {
            Self::Cpu => {
                workers.enter(|| wave.advance(workers, feeds, steps));
                Ok(())
            }
            #[cfg(feature = "gpu")]
            Self::Gpu { device_wave, stale } => {
                if std::mem::take(stale) {
                    device_wave.upload(wave)?;
                }
                device_wave.advance(feeds, steps)?;
                device_wave.read_back(wave)
            }
        }
    }

    /// The levels on this side were changed: the next steps begin with them.
    pub(super) fn renew(&mut self) {
        #[cfg(feature = "gpu")]
        if let Self::Gpu { stale, .. } = self {
            *stale = true;
        }
    }

    /// What the wave is computed with, in a few words.
    pub(super) fn kernel(&self, wave: &Wave, workers: &Workers) -> String {
        match self {
            Self::Cpu => wave.kernel(workers),
            #[cfg(feature = "gpu")]
            Self::Gpu { device_wave, .. } => device_wave.kernel(wave),
        }
    }

    #[cfg(feature = "gpu")]
    fn auto(wave: &Wave, feeds: &Feeds) -> Self {
        if wave.grid().cells() < AUTO_CELLS_MIN {
            return Self::Cpu;
        }
        Self::on(Choice::Real, wave, feeds).unwrap_or(Self::Cpu)
    }

    #[cfg(not(feature = "gpu"))]
    fn auto(_: &Wave, _: &Feeds) -> Self {
        Self::Cpu
    }

    #[cfg(feature = "gpu")]
    fn gpu(wave: &Wave, feeds: &Feeds) -> Result<Self, GpuError> {
        Self::on(Choice::Any, wave, feeds)
    }

    #[cfg(feature = "gpu")]
    fn on(choice: Choice, wave: &Wave, feeds: &Feeds) -> Result<Self, GpuError> {
        let device_wave = DeviceWave::new(&Gpu::open(choice)?, wave, feeds)?;
        Ok(Self::Gpu { device_wave: Box::new(device_wave), stale: false })
    }

    #[cfg(not(feature = "gpu"))]
    fn gpu(_: &Wave, _: &Feeds) -> Result<Self, GpuError> {
        Err(GpuError::NotBuilt)
    }
}
