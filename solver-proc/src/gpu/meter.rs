//! The metrics of a wave on a device, measured there: what [`Meter`] and [`EnergyMeter`](crate::energy::EnergyMeter) do on
//! this side, in a submission a tick.
//!
//! A [`Meter`] on this side decides everything and takes over what comes back: counts, sums and sites, a few numbers,
//! from which it has D and the means in double precision, and of the fields those that somebody wants.

mod energy;
mod kernels;
mod store;

use bytemuck::{bytes_of, cast_slice_mut};
use wgpu::{Buffer, CommandEncoderDescriptor, ComputePassDescriptor};

use super::adapter::Gpu;
use super::buffers::write;
use super::error::GpuError;
use super::readback::{ROOM_BYTES_MAX, Readback};
use super::wave::DeviceWave;
use crate::metrics::meter::CellMetrics;
use crate::metrics::{Meter, Summary};
use crate::wave::Wave;
use energy::Energy;
use kernels::Kernels;
use store::{FOUND, Results, SUMMED, Store};

/// The fields that come back at every tick, those of the metrics if they were evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The wave.
    pub wave: bool,
    /// The index.
    pub ci: bool,
    /// The coherence, which the meter on this side must keep.
    pub coherence: bool,
    /// The gain, which the meter on this side must keep.
    pub gain: bool,
    /// The dwell time.
    pub dwell: bool,
}

/// What a tick came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Largest |u|; not finite if any cell is not, and the memory then is spoilt and must be cleared.
    pub magnitude: f32,
    /// The scalars and the energy, if the tick was evaluated.
    pub evaluation: Option<(Summary, f64)>,
}

/// Measures a [`DeviceWave`].
pub struct DeviceMeter {
    gpu: Gpu,
    kernels: Kernels,
    store: Store,
    energy: Energy,
    wanted: Wanted,
    readback: Readback,
    results: Results,
    /// Whether the tick that was handed over is evaluated.
    evaluated: bool,
}

impl DeviceMeter {
    /// What `meter` measures, for `wave` on the device of `device_wave`; with the metrics at `sites`.
    ///
    /// # Errors
    /// A field beyond the limits or the memory of the device, or a device that fails.
    pub fn new(
        device_wave: &DeviceWave,
        wave: &Wave,
        meter: &Meter,
        sites: &[[usize; 2]],
        wanted: Wanted,
    ) -> Result<Self, GpuError> {
        let (gpu, grid) = (device_wave.gpu(), wave.grid());
        store::check(gpu, grid, meter)?;
        kernels::check(gpu, grid, meter)?;
        let bytes = store::bytes(grid, meter) + ROOM_BYTES_MAX;
        let (levels, _) = device_wave.places();
        gpu.with_room(grid, bytes, || {
            let store = Store::new(gpu, grid, meter, sites);
            let of_tick = Self::sources(&store, wanted, device_wave, true);
            let of_tick = of_tick.iter().map(|buffer| buffer.size()).sum::<u64>();
            let of_memory = store.memory.iter().map(Buffer::size).sum();
            Self {
                kernels: Kernels::new(gpu, wave, meter, levels, &store),
                energy: Energy::new(wave),
                results: Results::new(&store),
                readback: Readback::new(gpu, of_tick.max(of_memory)),
                gpu: gpu.clone(),
                evaluated: false,
                store,
                wanted,
            }
        })
    }

    /// Hands over a tick: takes the field of `device_wave` into the memory and, if `evaluated`, measures it.
    /// [`DeviceMeter::collect`] must follow.
    ///
    /// # Errors
    /// A device that has failed, perhaps in an earlier call.
    pub fn submit(
        &mut self,
        device_wave: &DeviceWave,
        meter: &mut Meter,
        evaluated: bool,
    ) -> Result<(), GpuError> {
        let Self { gpu, store, .. } = self;
        gpu.queue.write_buffer(&store.newest, 0, bytes_of(&meter.begin_elsewhere()));
        let mut encoder = gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
        encoder.clear_buffer(&store.most, 0, None);
        if evaluated {
            store.counters().for_each(|counter| encoder.clear_buffer(counter, 0, None));
            let size = store.search.size();
            encoder.copy_buffer_to_buffer(&store.begun, 0, &store.search, 0, size);
        }
        let (_, present) = device_wave.places();
        {
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            self.kernels.record(&mut pass, present, evaluated);
        }
        let sources = Self::sources(&self.store, self.wanted, device_wave, evaluated);
        self.readback.record(&mut encoder, &sources);
        self.gpu.queue.submit([encoder.finish()]);
        self.evaluated = evaluated;
        self.gpu.sound()
    }

    /// Waits for the tick that was handed over, and brings the fields that are wanted into `wave` and `meter`.
    ///
    /// # Errors
    /// A device that fails; `wave` and `meter` may then hold a part.
    pub fn collect(
        &mut self,
        device_wave: &DeviceWave,
        wave: &mut Wave,
        meter: &mut Meter,
    ) -> Result<Reading, GpuError> {
        let (evaluated, wanted) = (self.evaluated, self.wanted);
        let sources = Self::sources(&self.store, wanted, device_wave, evaluated);
        let [u, _] = wave.levels_mut();
        let fields = meter.fields_mut();
        let mut sinks = self.results.sinks(evaluated);
        let wanted = wanted.of([u, fields.dwell, fields.ci, fields.coherence, fields.gain]);
        sinks.extend(wanted.take(shown(evaluated)).flatten().map(cast_slice_mut));
        self.readback.collect(&self.gpu, &sources, &mut sinks)?;
        let results = &self.results;
        let evaluation = evaluated.then(|| {
            meter.take_boxes(f32::from_bits(results.search[0]), &results.whole, &results.tiles);
            let cells = wave.grid().cells() as f64;
            let summary = meter.summary(totals(&results.sums).map(|total| total / cells));
            let most = [results.most[0], results.most_before[0]];
            (summary, self.energy.of(most, totals(&results.energies)))
        });
        Ok(Reading { magnitude: f32::from_bits(results.most[0]), evaluation })
    }

    /// The metrics at the `k`th of the sites, coherence, gain and index as of the last evaluation.
    pub fn site(&self, k: usize) -> CellMetrics {
        let [u, ci, coherence, gain, dwell] =
            std::array::from_fn(|at| self.results.found[FOUND * k + at]);
        CellMetrics { u, ci, coherence, gain, dwell }
    }

    /// Puts the memory of `meter`, and what it has evaluated last, onto the device.
    ///
    /// # Errors
    /// A device that fails.
    pub fn upload(&mut self, meter: &Meter) -> Result<(), GpuError> {
        for (buffer, cells) in self.store.memory.iter().zip(meter.memory().fields()) {
            write(&self.gpu, buffer, cells)?;
        }
        let [ci, coherence, gain, _] = meter.evaluated();
        for (buffer, cells) in self.store.outputs.iter().zip([ci, coherence, gain]) {
            write(&self.gpu, buffer, cells)?;
        }
        Ok(())
    }

    /// Takes the memory back into `meter`, and the fields that were evaluated last.
    ///
    /// # Errors
    /// A device that fails; `meter` may then hold a part of either state.
    pub fn read_back(&mut self, meter: &mut Meter) -> Result<(), GpuError> {
        let memory = self.store.memory.iter();
        let into = meter.memory_mut().state_mut().1.iter_mut();
        let mut sinks: Vec<&mut [u8]> = into.map(|cells| cast_slice_mut(cells)).collect();
        self.readback.fetch(&self.gpu, &memory.collect::<Vec<_>>(), &mut sinks)?;
        let [ci, coherence, gain, _] = meter.evaluated_mut();
        for (buffer, cells) in self.store.outputs.iter().zip([ci, coherence, gain]) {
            if !cells.is_empty() {
                self.readback.fetch(&self.gpu, &[buffer], &mut [cast_slice_mut(cells)])?;
            }
        }
        Ok(())
    }

    /// Back to a field that was always silent, after everything before.
    pub fn clear(&mut self) {
        let mut encoder =
            self.gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
        self.store.memory.iter().for_each(|field| encoder.clear_buffer(field, 0, None));
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// What comes back of a tick: results, then fields.
    fn sources<'a>(
        store: &'a Store,
        wanted: Wanted,
        device_wave: &'a DeviceWave,
        evaluated: bool,
    ) -> Vec<&'a Buffer> {
        let [u, _] = device_wave.levels();
        let ([_, _, _, dwell], [ci, coherence, gain]) = (&store.memory, &store.outputs);
        let mut sources = Results::sources(store, evaluated);
        let fields = wanted.of([u, dwell, ci, coherence, gain]);
        sources.extend(fields.take(shown(evaluated)).flatten());
        sources
    }
}

impl Wanted {
    /// Which of these, in the order of wave, dwell time, CI, coherence and gain, are wanted.
    fn of<T>(self, fields: [T; 5]) -> impl Iterator<Item = Option<T>> {
        let wanted = [self.wave, self.dwell, self.ci, self.coherence, self.gain];
        fields.into_iter().zip(wanted).map(|(field, wanted)| wanted.then_some(field))
    }
}

/// How many of the fields change at a tick: without an evaluation, wave and dwell time.
fn shown(evaluated: bool) -> usize {
    if evaluated { 5 } else { 2 }
}

/// Sums of sums, in double precision and in their order.
fn totals(sums: &[f32]) -> [f64; SUMMED] {
    let mut totals = [0.0; SUMMED];
    for group in sums.chunks_exact(SUMMED) {
        for (total, sum) in totals.iter_mut().zip(group) {
            *total += f64::from(*sum);
        }
    }
    totals
}
