//! The wave on a GPU, and its metrics: the scheme of [`crate::wave`] and what [`crate::metrics`] measures, in single
//! precision, through wgpu and Vulkan.
//!
//! Goals: one dispatch a step, in place, so that a step moves twelve bytes a cell; many steps in a
//! submission; a submission for the metrics; nothing crosses the bus but what is asked for. The CPU is the oracle: what it computes is
//! computed here in the same order, but a compiler for GPUs may fuse a product and a sum, so the
//! last bits differ. Non-goals: double precision, which WGSL does not have; time tiling; bands.
//!
//! Reading order: `error` (what can go wrong), `adapter` (which device, what it allows), `kernel` (a pipeline),
//! `program` (the kernels for one medium), `feeds` (what the sources add, cut up by workgroup), `buffers` (a device's
//! memory), `readback` (the way back), `wave` (the levels and the steps), `meter` (the metrics), `bandwidth` (what
//! the steps are measured against).
//! The kernels: `step.wgsl` with `edges.wgsl` and `law.wgsl`; `magnitude.wgsl`; of the metrics, in the order in which they
//! run, `metrics/memory.wgsl`, `quantile.wgsl`, `boxes.wgsl`, `dimension.wgsl`, `energy.wgsl`, `index.wgsl`, `sites.wgsl`.
//! Without the feature `gpu` there is the error alone.

mod error;

#[cfg(feature = "gpu")]
mod adapter;

#[cfg(feature = "gpu")]
mod kernel;

#[cfg(feature = "gpu")]
mod program;

#[cfg(feature = "gpu")]
mod feeds;

#[cfg(feature = "gpu")]
mod buffers;

#[cfg(feature = "gpu")]
mod readback;

#[cfg(feature = "gpu")]
mod wave;

#[cfg(feature = "gpu")]
mod meter;

#[cfg(feature = "gpu")]
mod bandwidth;

pub use error::GpuError;

#[cfg(feature = "gpu")]
pub use adapter::{Choice, Gpu};
#[cfg(feature = "gpu")]
pub use meter::{DeviceMeter, Reading, Wanted};
#[cfg(feature = "gpu")]
pub use wave::DeviceWave;
