//! Both levels of a wave in the memory of a device, and the steps that move them on.

use bytemuck::cast_slice;
use wgpu::util::{BufferInitDescriptor, DeviceExt};
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, Buffer, BufferBinding,
    BufferDescriptor, BufferSize, BufferUsages, CommandEncoderDescriptor, ComputePassDescriptor,
    MapMode,
};

use super::adapter::Gpu;
use super::error::GpuError;
use super::feeds::{DevicePoint, Points};
use super::program::{Program, weights};
use crate::grid::Grid;
use crate::source::Feeds;
use crate::wave::Wave;

/// Most steps in a submission: a submission costs some ten microseconds, a step of a field that is worth
/// a GPU about as much or more.
const SUBMIT_STEPS_MAX: usize = 64;
/// Most cell updates in a submission: about a second on the slowest GPUs, which a driver takes for a hung
/// program after a few.
const SUBMIT_CELLS_MAX: usize = 1 << 31;
/// Most bytes that cross the bus at a time, and so the room for them on this side.
const STAGING_BYTES_MAX: u64 = 64 << 20;

/// A wave on a device. What runs it is a [`Wave`] on this side, which has its grid, its medium and its
/// start, and takes the levels back.
pub struct DeviceWave {
    gpu: Gpu,
    grid: Grid,
    program: Program,
    levels: [Buffer; 2],
    /// Which of the levels is the field now.
    present: usize,
    /// For each level as the field now: a step, and the look for the largest magnitude.
    step_groups: [BindGroup; 2],
    magnitude_groups: [BindGroup; 2],
    points: Points,
    /// Signals of the steps of a submission, each step's on a border that a binding may begin at.
    signals: Vec<f32>,
    signal_stride: usize,
    signal_buffer: Buffer,
    submit_steps: usize,
    most: Buffer,
    staging: Buffer,
}

impl DeviceWave {
    /// `wave` as it is, on `gpu`, fed by the sources of `feeds`.
    ///
    /// # Errors
    /// A field beyond the limits or the memory of the device, or a device that fails.
    pub fn new(gpu: &Gpu, wave: &Wave, feeds: &Feeds) -> Result<Self, GpuError> {
        let grid = *wave.grid();
        gpu.check(&grid)?;
        let level_bytes = (grid.cells() * size_of::<f32>()) as u64;
        let staging_bytes = level_bytes.min(STAGING_BYTES_MAX);
        let bytes = 2 * level_bytes + staging_bytes;
        let mut device_wave =
            gpu.with_room(&grid, bytes, || Self::make(gpu, wave, feeds, staging_bytes))?;
        device_wave.upload(wave)?;
        Ok(device_wave)
    }

    fn make(gpu: &Gpu, wave: &Wave, feeds: &Feeds, staging_bytes: u64) -> Self {
        let (grid, device) = (*wave.grid(), &gpu.device);
        let points = Points::new(feeds, &grid);
        let program = Program::new(gpu, wave, !points.points.is_empty());
        let buffer = |label, size, usage| {
            let usage = usage | BufferUsages::COPY_DST;
            device.create_buffer(&BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let table = |label, contents: &[u8]| {
            let usage = BufferUsages::STORAGE;
            device.create_buffer_init(&BufferInitDescriptor { label: Some(label), contents, usage })
        };
        let level = |label| {
            let bytes = (grid.cells() * size_of::<f32>()) as u64;
            buffer(label, bytes, BufferUsages::STORAGE | BufferUsages::COPY_SRC)
        };
        let levels = [level("level 0"), level("level 1")];
        let weights = table("weights", cast_slice(&weights(wave)));
        let first = table("first points", cast_slice(&points.first));
        // A binding is never empty.
        let nothing = [DevicePoint { cell: 0, source: 0, weight: 0.0 }];
        let shown = if points.points.is_empty() { &nothing[..] } else { &points.points[..] };
        let point_table = table("points", cast_slice(shown));
        let border = device.limits().min_storage_buffer_offset_alignment as usize;
        let signal_bytes = (points.scales.len().max(1) * size_of::<f32>()).next_multiple_of(border);
        let submit_steps = (SUBMIT_CELLS_MAX / grid.cells()).clamp(1, SUBMIT_STEPS_MAX);
        let signal_buffer =
            buffer("signals", (signal_bytes * submit_steps) as u64, BufferUsages::STORAGE);
        let signals_of_a_step = BindingResource::Buffer(BufferBinding {
            buffer: &signal_buffer,
            offset: 0,
            size: BufferSize::new(signal_bytes as u64),
        });
        let most = buffer("most", 4, BufferUsages::STORAGE | BufferUsages::COPY_SRC);
        let group = |layout, resources: &[BindingResource<'_>]| {
            let entries: Vec<BindGroupEntry<'_>> = resources
                .iter()
                .zip(0..)
                .map(|(resource, binding)| BindGroupEntry { binding, resource: resource.clone() })
                .collect();
            device.create_bind_group(&BindGroupDescriptor {
                label: None,
                layout,
                entries: &entries,
            })
        };
        let step_group = |present: usize| {
            let resources = [
                levels[present].as_entire_binding(),
                levels[1 - present].as_entire_binding(),
                weights.as_entire_binding(),
                first.as_entire_binding(),
                point_table.as_entire_binding(),
                signals_of_a_step.clone(),
            ];
            group(&program.step.layout, &resources)
        };
        let magnitude_group = |present: usize| {
            let resources = [levels[present].as_entire_binding(), most.as_entire_binding()];
            group(&program.magnitude.layout, &resources)
        };
        Self {
            step_groups: [0, 1].map(step_group),
            magnitude_groups: [0, 1].map(magnitude_group),
            signals: vec![0.0; signal_bytes / size_of::<f32>() * submit_steps],
            signal_stride: signal_bytes,
            staging: buffer("staging", staging_bytes, BufferUsages::MAP_READ),
            gpu: gpu.clone(),
            present: 0,
            grid,
            program,
            levels,
            points,
            signal_buffer,
            submit_steps,
            most,
        }
    }

    /// Puts the levels of `wave` onto the device: after a start, a resumption, or a return to rest.
    ///
    /// # Errors
    /// A device that fails.
    pub fn upload(&mut self, wave: &Wave) -> Result<(), GpuError> {
        let levels = [(self.present, wave.u()), (1 - self.present, wave.previous())];
        for (index, level) in levels {
            let mut offset = 0;
            for part in level.chunks(STAGING_BYTES_MAX as usize / size_of::<f32>()) {
                self.gpu.queue.write_buffer(&self.levels[index], offset, cast_slice(part));
                // What is written passes through memory of the same size: not all of it at once.
                self.gpu.queue.submit([]);
                self.gpu.wait()?;
                offset += size_of_val(part) as u64;
            }
        }
        Ok(())
    }

    /// `steps` steps, each with its share of `feeds`, which must be of the sources that it was made with.
    /// Returns when they are handed over, not when they are done: see [`DeviceWave::wait`].
    ///
    /// # Errors
    /// A device that has failed, perhaps in an earlier call.
    pub fn advance(&mut self, feeds: &Feeds, steps: usize) -> Result<(), GpuError> {
        let mut done = 0;
        while done < steps {
            let count = self.submit_steps.min(steps - done);
            self.submit(feeds, done, count);
            done += count;
        }
        self.gpu.sound()
    }

    /// Steps `first` to `first + count` of `feeds` in one submission and one pass.
    fn submit(&mut self, feeds: &Feeds, first: usize, count: usize) {
        let fed = !self.points.points.is_empty();
        if fed {
            let slots = self.signals.chunks_exact_mut(self.signal_stride / size_of::<f32>());
            for (slot, step) in slots.zip(first..first + count) {
                self.points.scale(feeds.signals(step), slot);
            }
            let used = &cast_slice(&self.signals)[..self.signal_stride * count];
            self.gpu.queue.write_buffer(&self.signal_buffer, 0, used);
        }
        let mut encoder =
            self.gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            pass.set_pipeline(&self.program.step.pipeline);
            let [across, down] = self.program.step.groups;
            for step in 0..count {
                let offset = if fed { step * self.signal_stride } else { 0 };
                pass.set_bind_group(0, &self.step_groups[self.present], &[offset as u32]);
                pass.dispatch_workgroups(across, down, 1);
                self.present = 1 - self.present;
            }
        }
        self.gpu.queue.submit([encoder.finish()]);
    }

    /// Waits for the steps.
    ///
    /// # Errors
    /// A device that fails.
    pub fn wait(&self) -> Result<(), GpuError> {
        self.gpu.wait()
    }

    /// The largest |u|, found on the device; NaN if any value is not finite. Waits for the steps.
    ///
    /// # Errors
    /// A device that fails.
    pub fn magnitude(&mut self) -> Result<f64, GpuError> {
        let mut encoder =
            self.gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
        encoder.clear_buffer(&self.most, 0, None);
        {
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            pass.set_pipeline(&self.program.magnitude.pipeline);
            pass.set_bind_group(0, &self.magnitude_groups[self.present], &[]);
            let [across, down] = self.program.magnitude.groups;
            pass.dispatch_workgroups(across, down, 1);
        }
        self.gpu.queue.submit([encoder.finish()]);
        let mut bits = [0u32];
        fetch(&self.gpu, &self.staging, (&self.most, 0), bytemuck::cast_slice_mut(&mut bits))?;
        let most = f32::from_bits(bits[0]);
        Ok(if most.is_finite() { f64::from(most) } else { f64::NAN })
    }

    /// Takes both levels back into `wave`. Waits for the steps.
    ///
    /// # Errors
    /// A device that fails; `wave` may then hold a part of either state.
    pub fn read_back(&mut self, wave: &mut Wave) -> Result<(), GpuError> {
        let [u, previous] = wave.levels_mut();
        for (index, level) in [(self.present, u), (1 - self.present, previous)] {
            let mut offset = 0;
            for part in level.chunks_mut(STAGING_BYTES_MAX as usize / size_of::<f32>()) {
                let bytes: &mut [u8] = bytemuck::cast_slice_mut(part);
                fetch(&self.gpu, &self.staging, (&self.levels[index], offset), bytes)?;
                offset += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// What computes, in a few words: the form of the scheme and the device.
    pub fn kernel(&self, wave: &Wave) -> String {
        format!("{} f32 wgsl, {}", wave.form(), self.gpu.name())
    }

    /// The grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }
}

/// Copies from a buffer of the device, by way of one that this side can read.
fn fetch(
    gpu: &Gpu,
    staging: &Buffer,
    (from, offset): (&Buffer, u64),
    out: &mut [u8],
) -> Result<(), GpuError> {
    let size = out.len() as u64;
    let mut encoder = gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(from, offset, staging, 0, size);
    gpu.queue.submit([encoder.finish()]);
    // Whether it worked is seen below: what is not mapped cannot be looked at.
    staging.map_async(MapMode::Read, ..size, |_| ());
    gpu.wait()?;
    let seen = staging.get_mapped_range(..size).map_err(|error| gpu.failed(error.to_string()))?;
    out.copy_from_slice(&seen);
    drop(seen);
    staging.unmap();
    Ok(())
}
