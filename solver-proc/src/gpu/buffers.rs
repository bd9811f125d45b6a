//! Memory of a device, and what a kernel is shown of it.

use bytemuck::Pod;
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindGroupLayout, BindingResource, Buffer,
    BufferDescriptor, BufferUsages,
};

use super::adapter::Gpu;
use super::error::GpuError;
use super::readback::ROOM_BYTES_MAX;

/// `size` bytes that kernels write, that are written from this side and copied from.
pub(super) fn storage(gpu: &Gpu, label: &str, size: u64) -> Buffer {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    buffer(gpu, label, size, usage)
}

/// Rows that no kernel changes, to be read and copied from; never empty, as no binding may be.
pub(super) fn table<T: Pod>(gpu: &Gpu, label: &str, rows: &[T]) -> Buffer {
    let nothing = [T::zeroed()];
    let rows = if rows.is_empty() { &nothing[..] } else { rows };
    let bytes: &[u8] = bytemuck::cast_slice(rows);
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
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

/// Puts `cells` into a buffer of the device, after everything before.
pub(super) fn write(gpu: &Gpu, to: &Buffer, cells: &[f32]) -> Result<(), GpuError> {
    let mut offset = 0;
    for part in cells.chunks(ROOM_BYTES_MAX as usize / size_of::<f32>()) {
        gpu.queue.write_buffer(to, offset, bytemuck::cast_slice(part));
        // What is written passes through memory of the same size: not all of it at once.
        gpu.queue.submit([]);
        gpu.wait()?;
        offset += size_of_val(part) as u64;
    }
    Ok(())
}

/// `size` bytes for these uses.
pub(super) fn buffer(gpu: &Gpu, label: &str, size: u64, usage: BufferUsages) -> Buffer {
    let label = Some(label);
    gpu.device.create_buffer(&BufferDescriptor { label, size, usage, mapped_at_creation: false })
}
