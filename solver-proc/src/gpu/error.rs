//! Everything that can go wrong with a GPU.

use thiserror::Error;

/// Why nothing is computed on a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GpuError {
    /// Built without.
    #[error(
        "this build computes on the CPU alone; build solver-proc with its feature `gpu`, or ask for the CPU"
    )]
    NotBuilt,
    /// No Vulkan driver, or none that finds a device.
    #[error(
        "no Vulkan device was found; install the driver of the graphics card, or Debian's mesa-vulkan-drivers \
         for one in software, or compute on the CPU"
    )]
    NoAdapter,
    /// There is Vulkan, but no GPU.
    #[error(
        "Vulkan's only device, {adapter}, computes on the CPU, where this program's own kernels are faster; \
         ask for the GPU by name to use it all the same"
    )]
    Software {
        /// Its name.
        adapter: String,
    },
    /// The device was found and cannot be used.
    #[error("{adapter} cannot be used: {reason}; compute on the CPU")]
    Unusable {
        /// Its name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The field is larger than the device allows.
    #[error(
        "{what} of a field of {nx} x {ny} cells has no room on {adapter}: {needed} bytes, its limit {limit} is {most}; \
         take a smaller field, or compute on the CPU"
    )]
    Limit {
        /// What is too large: a level, or the cells that the sources feed.
        what: &'static str,
        /// Cells along x.
        nx: usize,
        /// Cells along y.
        ny: usize,
        /// The device's name.
        adapter: String,
        /// What Vulkan's users call the limit.
        limit: &'static str,
        /// What it is.
        most: u64,
        /// What it would have to be.
        needed: u64,
    },
    /// Windows so large that a driver may take the device for hung.
    #[error(
        "metrics.window = {window} keeps {adapter} busy for too long at a time on a field of {nx} x {ny} cells: {loads} \
         loads, of {most} at most before a driver may take it for hung; take a smaller window, or backend = \"cpu\""
    )]
    Window {
        /// Cells along a side of a window.
        window: usize,
        /// Cells along x.
        nx: usize,
        /// Cells along y.
        ny: usize,
        /// The device's name.
        adapter: String,
        /// What all windows of a field load.
        loads: u64,
        /// What they may.
        most: u64,
    },
    /// The device's memory is full.
    #[error(
        "{adapter} has no room for a field of {nx} x {ny} cells, {bytes} bytes; \
         end what else uses it, take a smaller field, or compute on the CPU"
    )]
    Memory {
        /// The device's name.
        adapter: String,
        /// Cells along x.
        nx: usize,
        /// Cells along y.
        ny: usize,
        /// What was asked for.
        bytes: u64,
    },
    /// The device was lost or broke down on the way. What was computed since the last look is gone.
    #[error("{adapter} failed: {reason}; compute on the CPU, or start again")]
    Failed {
        /// Its name.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
}
