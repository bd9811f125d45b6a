//! A kernel: a pipeline, what it binds, and how many workgroups it takes to cover a field.

use wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType,
    BufferBindingType, ComputePipeline, ComputePipelineDescriptor, PipelineCompilationOptions,
    PipelineLayoutDescriptor, ShaderModuleDescriptor, ShaderSource, ShaderStages,
};

use super::adapter::Gpu;
use crate::grid::Grid;

/// Threads in a workgroup of a kernel in which each thread takes many cells, of any row.
const REDUCERS: usize = 256;
/// Most workgroups of such a kernel: more than any device runs at once.
const REDUCER_GROUPS_MAX: usize = 1024;

pub(super) const READ: Binding = Binding { written: false, moves: false };
pub(super) const WRITTEN: Binding = Binding { written: true, moves: false };

/// How a kernel sees a buffer.
#[derive(Clone, Copy)]
pub(super) struct Binding {
    pub(super) written: bool,
    /// Whether each dispatch looks at another part of it.
    pub(super) moves: bool,
}

/// A pipeline and what it binds.
pub(super) struct Kernel {
    pub(super) pipeline: ComputePipeline,
    pub(super) layout: BindGroupLayout,
    /// Workgroups of a dispatch over the whole field.
    pub(super) groups: [u32; 2],
}

impl Kernel {
    /// `name` is its entry point in `source`; a kernel sets the memory of its workgroups itself.
    pub(super) fn new(
        gpu: &Gpu,
        (name, source): (&str, &str),
        constants: &[(&str, f64)],
        bindings: &[Binding],
        groups: [u32; 2],
    ) -> Self {
        let entries: Vec<BindGroupLayoutEntry> = bindings
            .iter()
            .zip(0..)
            .map(|(buffer, binding)| BindGroupLayoutEntry {
                binding,
                visibility: ShaderStages::COMPUTE,
                ty: BindingType::Buffer {
                    ty: BufferBindingType::Storage { read_only: !buffer.written },
                    has_dynamic_offset: buffer.moves,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let label = Some(name);
        let layout = gpu
            .device
            .create_bind_group_layout(&BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = gpu.device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let module = gpu.device.create_shader_module(ShaderModuleDescriptor {
            label,
            source: ShaderSource::Wgsl(source.into()),
        });
        let pipeline = gpu.device.create_compute_pipeline(&ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(name),
            compilation_options: PipelineCompilationOptions {
                constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Self { pipeline, layout, groups }
    }
}

/// Workgroups of a kernel in which each thread takes many cells.
pub(super) fn reducer_groups(grid: &Grid) -> [u32; 2] {
    [grid.cells().div_ceil(REDUCERS).min(REDUCER_GROUPS_MAX) as u32, 1]
}
