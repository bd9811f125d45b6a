//! The field on a GPU: steps, memory and metrics there, and on this side what is published and what agents are told.

use std::time::Instant;

use super::host::{Host, Ticked, has_diverged};
use crate::gpu::{Choice, DeviceMeter, DeviceWave, Gpu, GpuError, Wanted};
use crate::metrics::meter::CellMetrics;
use crate::source::Feeds;

/// The wave and its meter on a device.
pub(super) struct Device {
    wave: DeviceWave,
    meter: DeviceMeter,
    wanted: Wanted,
    newer: Newer,
}

/// Which side has something that the other does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newer {
    Neither,
    Host,
    Device,
}

impl Device {
    /// The field of `host`, fed by the sources of `feeds`, with agents at `sites`.
    pub(super) fn open(
        choice: Choice,
        host: &Host,
        feeds: &Feeds,
        sites: &[[usize; 2]],
        wanted: Wanted,
    ) -> Result<Self, GpuError> {
        let wave = DeviceWave::new(&Gpu::open(choice)?, &host.wave, feeds)?;
        let meter = DeviceMeter::new(&wave, &host.wave, &host.meter, sites, wanted)?;
        Ok(Self { wave, meter, wanted, newer: Newer::Neither })
    }

    /// A tick of `steps` steps, taken in and, if `evaluated`, measured; `host` gets what is wanted.
    pub(super) fn tick(
        &mut self,
        host: &mut Host,
        feeds: &Feeds,
        steps: usize,
        evaluated: bool,
    ) -> Result<Ticked, GpuError> {
        if self.newer == Newer::Host {
            self.wave.upload(&host.wave)?;
            self.meter.upload(&host.meter)?;
        }
        self.newer = Newer::Device;
        self.wave.advance(feeds, steps)?;
        self.meter.submit(&self.wave, &mut host.meter, evaluated)?;
        // The device has the metrics to go on with meanwhile.
        self.wave.wait()?;
        let solved = Instant::now();
        let reading = self.meter.collect(&self.wave, &mut host.wave, &mut host.meter)?;
        let magnitude = reading.magnitude;
        let diverged = has_diverged(magnitude);
        if !diverged {
            return Ok(Ticked { magnitude, diverged, solved, evaluation: reading.evaluation });
        }
        host.wave.rest();
        host.meter.clear();
        self.wave.rest();
        self.meter.clear();
        self.meter.submit(&self.wave, &mut host.meter, evaluated)?;
        let reading = self.meter.collect(&self.wave, &mut host.wave, &mut host.meter)?;
        Ok(Ticked { magnitude, diverged, solved, evaluation: reading.evaluation })
    }

    /// `host` was changed: the next tick begins with it.
    pub(super) fn renew(&mut self) {
        self.newer = Newer::Host;
    }

    /// Brings everything to `host`.
    pub(super) fn settle(&mut self, host: &mut Host) -> Result<(), GpuError> {
        if self.newer == Newer::Device {
            self.wave.read_back(&mut host.wave)?;
            self.meter.read_back(&mut host.meter)?;
            self.newer = Newer::Neither;
        }
        Ok(())
    }

    /// Whether `host` has this field after every tick: that it may have it now, after a checkpoint, is nothing to
    /// build on.
    pub(super) fn shows(&self, name: &str) -> bool {
        let Wanted { wave, ci, coherence, gain, dwell } = self.wanted;
        match name {
            "wave" => wave,
            "ci" => ci,
            "coherence" => coherence,
            "gain" => gain,
            "dwell" => dwell,
            _ => true,
        }
    }

    /// What is known of the `k`th site, which is at `cell`.
    pub(super) fn site(&self, host: &Host, k: usize, cell: usize) -> CellMetrics {
        match self.newer {
            Newer::Host => host.site(k, cell),
            Newer::Neither | Newer::Device => self.meter.site(k),
        }
    }

    /// What the wave is computed with, in a few words.
    pub(super) fn kernel(&self, host: &Host) -> String {
        self.wave.kernel(&host.wave)
    }
}
