//! Who moves the field on and measures it: threads of this process, or a GPU.

use rsw_config::{Backend, Topology};

#[cfg(feature = "gpu")]
use super::device::Device;
use super::host::{Host, Ticked};
use crate::gpu::GpuError;
#[cfg(feature = "gpu")]
use crate::gpu::{Choice, Wanted};
use crate::metrics::meter::CellMetrics;
use crate::source::Feeds;

/// Fewest cells for which `auto` looks for a GPU. Below, the field fits into the caches of a processor, where
/// nothing waits for memory, and a tick on a device is mostly the way there and back.
#[cfg(feature = "gpu")]
const AUTO_CELLS_MIN: usize = 2048 * 2048;

/// Does a tick; what is published of it then is on this side.
pub(super) enum Executor {
    Cpu,
    #[cfg(feature = "gpu")]
    Gpu(Box<Device>),
}

impl Executor {
    /// What the swarm asks for, with agents at `sites`. `auto` never fails: where a GPU cannot be had, it is the CPU.
    pub(super) fn open(
        topology: &Topology,
        host: &Host,
        feeds: &Feeds,
        sites: &[[usize; 2]],
    ) -> Result<Self, GpuError> {
        match topology.config.field.backend {
            Backend::Cpu => Ok(Self::Cpu),
            Backend::Auto => Ok(Self::auto(topology, host, feeds, sites)),
            Backend::Gpu => Self::gpu(topology, host, feeds, sites),
        }
    }

    /// A tick of `steps` steps, each with its share of `feeds`, taken in and, if `evaluated`, measured.
    pub(super) fn tick(
        &mut self,
        host: &mut Host,
        feeds: &Feeds,
        steps: usize,
        evaluated: bool,
    ) -> Result<Ticked, GpuError> {
        match self {
            Self::Cpu => Ok(host.tick(feeds, steps, evaluated)),
            #[cfg(feature = "gpu")]
            Self::Gpu(device) => device.tick(host, feeds, steps, evaluated),
        }
    }

    /// What is on this side was changed: the next tick begins with it.
    pub(super) fn renew(&mut self) {
        #[cfg(feature = "gpu")]
        if let Self::Gpu(device) = self {
            device.renew();
        }
    }

    /// Brings everything to this side.
    pub(super) fn settle(&mut self, host: &mut Host) -> Result<(), GpuError> {
        match self {
            Self::Cpu => {
                let _ = host;
                Ok(())
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(device) => device.settle(host),
        }
    }

    /// Whether this field is on this side after every tick.
    pub(super) fn shows(&self, name: &str) -> bool {
        match self {
            Self::Cpu => {
                let _ = name;
                true
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(device) => device.shows(name),
        }
    }

    /// What is known of the `k`th site, which is at `cell`.
    pub(super) fn site(&self, host: &Host, k: usize, cell: usize) -> CellMetrics {
        match self {
            Self::Cpu => host.site(k, cell),
            #[cfg(feature = "gpu")]
            Self::Gpu(device) => device.site(host, k, cell),
        }
    }

    /// What the wave is computed with, in a few words.
    pub(super) fn kernel(&self, host: &Host) -> String {
        match self {
            Self::Cpu => host.wave.kernel(&host.workers),
            #[cfg(feature = "gpu")]
            Self::Gpu(device) => device.kernel(host),
        }
    }

    #[cfg(feature = "gpu")]
    fn auto(topology: &Topology, host: &Host, feeds: &Feeds, sites: &[[usize; 2]]) -> Self {
        if host.wave.grid().cells() < AUTO_CELLS_MIN {
            return Self::Cpu;
        }
        Self::on(Choice::Real, topology, host, feeds, sites).unwrap_or(Self::Cpu)
    }

    #[cfg(not(feature = "gpu"))]
    fn auto(_: &Topology, _: &Host, _: &Feeds, _: &[[usize; 2]]) -> Self {
        Self::Cpu
    }

    #[cfg(feature = "gpu")]
    fn gpu(
        topology: &Topology,
        host: &Host,
        feeds: &Feeds,
        sites: &[[usize; 2]],
    ) -> Result<Self, GpuError> {
        Self::on(Choice::Any, topology, host, feeds, sites)
    }

    #[cfg(not(feature = "gpu"))]
    fn gpu(_: &Topology, _: &Host, _: &Feeds, _: &[[usize; 2]]) -> Result<Self, GpuError> {
        Err(GpuError::NotBuilt)
    }

    #[cfg(feature = "gpu")]
    fn on(
        choice: Choice,
        topology: &Topology,
        host: &Host,
        feeds: &Feeds,
        sites: &[[usize; 2]],
    ) -> Result<Self, GpuError> {
        let published =
            |name: &str| topology.config.field.publish.iter().any(|field| field == name);
        let wanted = Wanted {
            // Bands are the CPU's, and filter the wave.
            wave: published("wave") || !topology.config.band.is_empty(),
            ci: published("ci"),
            coherence: published("coherence"),
            gain: published("gain"),
            dwell: published("dwell"),
        };
        Device::open(choice, host, feeds, sites, wanted).map(|device| Self::Gpu(Box::new(device)))
    }
}
