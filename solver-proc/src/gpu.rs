//! The wave on a GPU: the scheme of [`crate::wave`] in single precision, through wgpu and Vulkan.
//!
//! Goals: one dispatch a step, in place, so that a step moves twelve bytes a cell; many steps in a
//! submission; nothing crosses the bus but what is asked for. The CPU is the oracle: what it computes is
//! computed here in the same order, but a compiler for GPUs may fuse a product and a sum, so the
//! last bits differ. Non-goals: double precision, which WGSL does not have; time tiling.
//!
//! Reading order: `adapter` (which device, what it allows, what can go wrong), `program` (the kernel
//! for one medium), `feeds` (what the sources add, cut up by workgroup), `wave` (the levels and the steps).
//! The kernels: `step.wgsl` with `edges.wgsl` and `law.wgsl`; `magnitude.wgsl`.

mod adapter;

mod program;

mod feeds;

mod wave;

pub use adapter::{Choice, Gpu, GpuError};
pub use wave::DeviceWave;
