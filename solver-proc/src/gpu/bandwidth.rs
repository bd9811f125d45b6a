//! What the memory of a device gives: what a step, which does nothing but read and write, is measured against.

use std::time::Instant;

use wgpu::CommandEncoderDescriptor;

use super::adapter::{Gpu, level_bytes};
use super::buffers::storage;
use super::error::GpuError;
use crate::grid::Grid;

/// Copies in a run, and runs, of which the best counts.
const COPIES: u32 = 16;
const RUNS: usize = 5;

impl Gpu {
    /// Bytes a second that the device moves when it copies a level of `grid` to another, read and written
    /// counted.
    ///
    /// # Errors
    /// A level beyond the limits or the memory of the device, or a device that fails.
    pub fn copy_bandwidth(&self, grid: &Grid) -> Result<f64, GpuError> {
        self.check(grid)?;
        let size = level_bytes(grid);
        let [from, to] = self
            .with_room(grid, 2 * size, || ["from", "to"].map(|label| storage(self, label, size)))?;
        let mut best = 0.0f64;
        // The first run fills caches and page tables, and does not count.
        for run in 0..=RUNS {
            let begun = Instant::now();
            let mut encoder =
                self.device.create_command_encoder(&CommandEncoderDescriptor::default());
            for _ in 0..COPIES {
                encoder.copy_buffer_to_buffer(&from, 0, &to, 0, size);
            }
            self.queue.submit([encoder.finish()]);
            self.wait()?;
            let bytes = 2.0 * size as f64 * f64::from(COPIES);
            if run > 0 {
                best = best.max(bytes / begun.elapsed().as_secs_f64());
            }
        }
        Ok(best)
    }
}
