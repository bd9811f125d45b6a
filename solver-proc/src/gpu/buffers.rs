//! Memory of a device, and what a kernel is shown of it.

use bytemuck::Pod;
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindGroupLayout, BindingResource, Buffer,
    BufferDescriptor, BufferUsages, CommandEncoderDescriptor, MapMode,
};

use super::adapter::Gpu;
use super::error::GpuError;

/// `size` bytes that kernels write, that are written from this side and copied from.
pub(super) fn storage(gpu: &Gpu, label: &str, size: u64) -> Buffer {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    buffer(gpu, label, size, usage)
}

/// `size` bytes that this side can look at, see [`fetch`].
pub(super) fn staging(gpu: &Gpu, label: &str, size: u64) -> Buffer {
    buffer(gpu, label, size, BufferUsages::MAP_READ | BufferUsages::COPY_DST)
}

/// Rows that no kernel changes; never empty, as no binding may be.
pub(super) fn table<T: Pod>(gpu: &Gpu, label: &str, rows: &[T]) -> Buffer {
    let nothing = [T::zeroed()];
    let rows = if rows.is_empty() { &nothing[..] } else { rows };
    let bytes: &[u8] = bytemuck::cast_slice(rows);
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST;
    let table = buffer(gpu, label, bytes.len() as u64, usage);
    gpu.queue.write_buffer(&table, 0, bytes);
    table
}

/// What a kernel sees at its bindings, in their order.
pub(super) fn bind(
    gpu: &Gpu,
    layout: &BindGroupLayout,
    resources: &[BindingResource<'_>],
) -> BindGroup {
    let entries: Vec<BindGroupEntry<'_>> = resources
        .iter()
        .zip(0..)
        .map(|(resource, binding)| BindGroupEntry { binding, resource: resource.clone() })
        .collect();
    let group = BindGroupDescriptor { label: None, layout, entries: &entries };
    gpu.device.create_bind_group(&group)
}

/// Copies from a buffer of the device into `out`, by way of `staging`, which must be as long. Waits for
/// everything before.
pub(super) fn fetch(
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

fn buffer(gpu: &Gpu, label: &str, size: u64, usage: BufferUsages) -> Buffer {
    let label = Some(label);
    gpu.device.create_buffer(&BufferDescriptor { label, size, usage, mapped_at_creation: false })
}
