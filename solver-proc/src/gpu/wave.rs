//! Both levels of a wave in the memory of a device, and the steps that move them on.

use bytemuck::{cast_slice, cast_slice_mut};
use wgpu::{
    BindGroup, BindingResource, Buffer, BufferBinding, BufferSize, CommandEncoderDescriptor,
    ComputePassDescriptor, SubmissionIndex,
};

use super::adapter::{Gpu, level_bytes};
use super::buffers::{bind, storage, table, write};
use super::error::GpuError;
use super::feeds::Points;
use super::program::{Program, weights};
use super::readback::{ROOM_BYTES_MAX, Readback};
use crate::source::Feeds;
use crate::wave::Wave;

/// Most steps in a submission: a submission costs some ten microseconds, a step of a field that is worth
/// a GPU about as much or more.
const SUBMIT_STEPS_MAX: usize = 64;
/// Most cell updates in a submission: about a second on the slowest GPUs, which a driver takes for a hung
/// program after a few.
pub(super) const SUBMIT_CELLS_MAX: usize = 1 << 31;

/// A wave on a device. What runs it is a [`Wave`] on this side, which has its grid, its medium and its
/// start, and takes the levels back.
pub struct DeviceWave {
    gpu: Gpu,
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
    readback: Readback,
    /// The last of the steps.
    submitted: Option<SubmissionIndex>,
}

impl DeviceWave {
    /// `wave` as it is, on `gpu`, fed by the sources of `feeds`.
    ///
    /// # Errors
    /// A field beyond the limits or the memory of the device, or a device that fails.
    pub fn new(gpu: &Gpu, wave: &Wave, feeds: &Feeds) -> Result<Self, GpuError> {
        let grid = wave.grid();
        gpu.check(grid)?;
        let points = Points::new(feeds, grid);
        let table_bytes = size_of_val(&points.points[..]) as u64;
        gpu.check_bytes(grid, "the cells that the sources feed", table_bytes)?;
        let level_bytes = level_bytes(grid);
        // What is written passes through memory of the device, too.
        let passing_bytes = 2 * level_bytes.min(ROOM_BYTES_MAX);
        let bytes = 2 * level_bytes + passing_bytes + table_bytes;
        let (device_wave, uploaded) = gpu.with_room(grid, bytes, || {
            let mut made = Self::make(gpu, wave, points, level_bytes);
            let uploaded = made.upload(wave);
            (made, uploaded)
        })?;
        uploaded.map(|()| device_wave)
    }

    fn make(gpu: &Gpu, wave: &Wave, points: Points, level_bytes: u64) -> Self {
        let program = Program::new(gpu, wave, !points.points.is_empty());
        let levels = ["level 0", "level 1"].map(|label| storage(gpu, label, level_bytes));
        let tables = [
            table(gpu, "weights", &weights(wave)),
            table(gpu, "first points", &points.first),
            table(gpu, "points", &points.points),
        ];
        let border = gpu.device.limits().min_storage_buffer_offset_alignment as usize;
        let signal_stride =
            (points.scales.len().max(1) * size_of::<f32>()).next_multiple_of(border);
        let submit_steps = (SUBMIT_CELLS_MAX / wave.grid().cells()).clamp(1, SUBMIT_STEPS_MAX);
        let signal_buffer = storage(gpu, "signals", (signal_stride * submit_steps) as u64);
        let most = storage(gpu, "most", size_of::<u32>() as u64);
        let step_group = |present: usize| {
            let [weights, first, points] = tables.each_ref().map(Buffer::as_entire_binding);
            let [here, next] = [&levels[present], &levels[1 - present]];
            // A window of one step, which each dispatch puts elsewhere.
            let signals = BindingResource::Buffer(BufferBinding {
                buffer: &signal_buffer,
                offset: 0,
                size: BufferSize::new(signal_stride as u64),
            });
            let [here, next] = [here.as_entire_binding(), next.as_entire_binding()];
            bind(gpu, &program.step.layout, &[here, next, weights, first, points, signals])
        };
        let magnitude_group = |present: usize| {
            let resources = [levels[present].as_entire_binding(), most.as_entire_binding()];
            bind(gpu, &program.magnitude.layout, &resources)
        };
        Self {
            step_groups: [0, 1].map(step_group),
            magnitude_groups: [0, 1].map(magnitude_group),
            signals: vec![0.0; signal_stride / size_of::<f32>() * submit_steps],
            readback: Readback::new(gpu, level_bytes),
            submitted: None,
            gpu: gpu.clone(),
            present: 0,
            program,
            levels,
            points,
            signal_stride,
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
        let [now, before] = self.levels();
        write(&self.gpu, now, wave.u())?;
        write(&self.gpu, before, wave.previous())
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
        self.submitted = Some(self.gpu.queue.submit([encoder.finish()]));
    }

    /// Waits for the steps, and not for what was handed over after them.
    ///
    /// # Errors
    /// A device that fails.
    pub fn wait(&self) -> Result<(), GpuError> {
        self.gpu.wait_for(self.submitted.clone())
    }

    /// Puts both levels to rest, after everything before.
    pub fn rest(&mut self) {
        let mut encoder =
            self.gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
        self.levels.iter().for_each(|level| encoder.clear_buffer(level, 0, None));
        self.gpu.queue.submit([encoder.finish()]);
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
        self.readback.fetch(&self.gpu, &[&self.most], &mut [cast_slice_mut(&mut bits)])?;
        let most = f32::from_bits(bits[0]);
        Ok(if most.is_finite() { f64::from(most) } else { f64::NAN })
    }

    /// Takes both levels back into `wave`. Waits for the steps.
    ///
    /// # Errors
    /// A device that fails; `wave` may then hold a part of either state.
    pub fn read_back(&mut self, wave: &mut Wave) -> Result<(), GpuError> {
        let [u, previous] = wave.levels_mut().map(cast_slice_mut);
        self.readback.fetch(&self.gpu, &self.levels(), &mut [u, previous])
    }

    /// What computes, in a few words: the form of the scheme and the device.
    pub fn kernel(&self, wave: &Wave) -> String {
        format!("{} f32 wgsl, {}", wave.form(), self.gpu.name())
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The field now, and the level before it.
    pub(super) fn levels(&self) -> [&Buffer; 2] {
        [&self.levels[self.present], &self.levels[1 - self.present]]
    }

    /// Both levels by their place, which of them is the field now changes with every step.
    pub(super) fn places(&self) -> (&[Buffer; 2], usize) {
        (&self.levels, self.present)
    }
}
