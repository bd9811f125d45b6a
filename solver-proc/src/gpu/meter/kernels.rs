//! The kernels that measure, for one meter on one field: what is constant in them, and which buffers each is shown.

use rsw_config::{Boundary, Dwell, Gain};
use wgpu::{BindGroup, Buffer, ComputePass};

use super::store::Store;
use crate::boundary::Wrap;
use crate::gpu::adapter::Gpu;
use crate::gpu::buffers::bind;
use crate::gpu::error::GpuError;
use crate::gpu::kernel::{Binding, Kernel, READ, WRITTEN, reducer_groups};
use crate::gpu::program::{MAGNITUDE, MAGNITUDE_BINDINGS, law, single};
use crate::gpu::wave::SUBMIT_CELLS_MAX;
use crate::grid::Grid;
use crate::metrics::Meter;
use crate::metrics::threshold::Threshold;
use crate::wave::Wave;

const MEMORY: &str = include_str!("../metrics/memory.wgsl");
const QUANTILE: &str = include_str!("../metrics/quantile.wgsl");
const BOXES: &str = include_str!("../metrics/boxes.wgsl");
const DIMENSION: &str = include_str!("../metrics/dimension.wgsl");
const ENERGY: &str = concat!(include_str!("../metrics/energy.wgsl"), include_str!("../law.wgsl"));
const INDEX: &str = include_str!("../metrics/index.wgsl");
const SITES: &str = include_str!("../metrics/sites.wgsl");

/// Passes of the search for a quantile, see `quantile.wgsl`.
const SEARCHES: usize = 3;
/// Sizes of box that a pass of `boxes.wgsl` joins, as an exponent: it has squares of 64 x 64 bits.
const SQUARE: u32 = 6;
/// Columns of cells in a workgroup of `energy.wgsl` and `index.wgsl`, and rows in one of the former.
const COLUMNS: usize = 64;
const ENERGY_ROWS: usize = 16;
/// Most rows in a workgroup of `index.wgsl`, and the bytes of its memory that they should fit into: what every
/// Vulkan device has.
const INDEX_ROWS_MAX: usize = 16;
const GROUP_BYTES: usize = 16 << 10;
/// Most loads of an evaluation by the columns of its windows, which are one submission: the update of a cell, with about
/// eight loads and stores, is dearer than eight of these, of which neighbours find most in a cache.
const INDEX_LOADS_MAX: u64 = 8 * SUBMIT_CELLS_MAX as u64;
/// Threads in a workgroup of `sites.wgsl`.
const SITE_THREADS: usize = 64;

/// A kernel and what it is shown, for each of the levels as the field now.
struct Stage {
    kernel: Kernel,
    bound: [BindGroup; 2],
}

impl Stage {
    /// `shown` are the buffers, in the order of `bindings`, with this level as the field now.
    fn new<'a>(
        gpu: &Gpu,
        bindings: &[Binding],
        kernel: impl FnOnce(&[Binding]) -> Kernel,
        shown: impl Fn(usize) -> Vec<&'a Buffer>,
    ) -> Self {
        let kernel = kernel(bindings);
        let bound = [0, 1].map(|present| {
            let resources: Vec<_> =
                shown(present).into_iter().map(Buffer::as_entire_binding).collect();
            bind(gpu, &kernel.layout, &resources)
        });
        Self { kernel, bound }
    }

    fn record(&self, pass: &mut ComputePass<'_>, present: usize) {
        let [across, down] = self.kernel.groups;
        pass.set_pipeline(&self.kernel.pipeline);
        pass.set_bind_group(0, &self.bound[present], &[]);
        pass.dispatch_workgroups(across, down, 1);
    }
}

/// All of them, in the order in which they run.
pub(super) struct Kernels {
    memory: Stage,
    /// Histogram and what follows from it; none for a fixed threshold.
    quantile: Option<[Stage; 2]>,
    boxes: Vec<Stage>,
    dimension: Stage,
    /// Largest |u| of the level before.
    before: Stage,
    energy: Stage,
    index: Stage,
    /// None without agents.
    sites: Option<Stage>,
}

impl Kernels {
    /// The kernels for `meter` and the energy of `wave`, on the buffers of `store`; `levels` are those of the wave.
    pub(super) fn new(
        gpu: &Gpu,
        wave: &Wave,
        meter: &Meter,
        levels: &[Buffer; 2],
        store: &Store,
    ) -> Self {
        let grid = wave.grid();
        let Store { memory: [envelope, mean, variance, dwell], .. } = store;
        let [ci, coherence, gain] = &store.outputs;
        let Store { search, bins, whole, tiles, dimensions, .. } = store;
        let reducers = reducer_groups(grid);
        let memory = Stage::new(
            gpu,
            &[READ, WRITTEN, WRITTEN, WRITTEN, WRITTEN, READ, WRITTEN],
            |bindings| Kernel::new(gpu, ("memory", MEMORY), &of_memory(meter), bindings, reducers),
            |u| vec![&levels[u], envelope, mean, variance, dwell, &store.newest, &store.most],
        );
        let searching = |name: &'static str, groups| {
            Stage::new(
                gpu,
                &[READ, WRITTEN, WRITTEN],
                |bindings| Kernel::new(gpu, (name, QUANTILE), &[], bindings, groups),
                |u| vec![&levels[u], search, bins],
            )
        };
        let quantile = matches!(meter.threshold(), Threshold::Quantile(_))
            .then(|| [searching("histogram", reducers), searching("narrow", [1, 1])]);
        let joining = |k: usize| {
            let constants = of_boxes(grid, meter, k as u32 * SQUARE);
            let groups = square_counts(grid, k).map(|count| count as u32);
            Stage::new(
                gpu,
                &[READ, READ, WRITTEN, WRITTEN, WRITTEN],
                |bindings| Kernel::new(gpu, ("boxes", BOXES), &constants, bindings, groups),
                |u| {
                    let below = if k == 0 { &levels[u] } else { &store.squares[k - 1] };
                    vec![below, search, whole, tiles, &store.squares[k]]
                },
            )
        };
        let tile_groups = [tile_count(meter).div_ceil(256).min(1024) as u32, 1];
        let dimension = Stage::new(
            gpu,
            &[READ, WRITTEN],
            |bindings| {
                let constants = of_dimension(meter);
                Kernel::new(gpu, ("dimension", DIMENSION), &constants, bindings, tile_groups)
            },
            |_| vec![tiles, dimensions],
        );
        let before = Stage::new(
            gpu,
            &MAGNITUDE_BINDINGS,
            |bindings| Kernel::new(gpu, ("magnitude", MAGNITUDE), &[], bindings, reducers),
            |u| vec![&levels[1 - u], &store.most_before],
        );
        let energy = Stage::new(
            gpu,
            &[READ, READ, READ, READ, WRITTEN],
            |bindings| {
                let groups = energy_groups(grid).map(|count| count as u32);
                Kernel::new(gpu, ("energy", ENERGY), &of_energy(wave), bindings, groups)
            },
            |u| {
                let most = [&store.most, &store.most_before];
                [&[&levels[u], &levels[1 - u]], &most[..], &[&store.energies]].concat()
            },
        );
        let index = Stage::new(
            gpu,
            &[READ, READ, READ, READ, WRITTEN, WRITTEN, WRITTEN, WRITTEN],
            |bindings| {
                let groups = index_groups(grid, meter).map(|count| count as u32);
                Kernel::new(gpu, ("index", INDEX), &of_index(grid, meter), bindings, groups)
            },
            |u| {
                let from = [&levels[u], envelope, dwell, dimensions];
                [&from[..], &[ci, coherence, gain, &store.sums]].concat()
            },
        );
        let site_groups = [store.site_count.div_ceil(SITE_THREADS) as u32, 1];
        let sites = (store.site_count > 0).then(|| {
            Stage::new(
                gpu,
                &[READ, READ, READ, READ, READ, READ, WRITTEN],
                |bindings| Kernel::new(gpu, ("sites", SITES), &[], bindings, site_groups),
                |u| vec![&levels[u], ci, coherence, gain, dwell, &store.cells, &store.found],
            )
        });
        let boxes = (0..store.squares.len()).map(joining).collect();
        Self { memory, quantile, boxes, dimension, before, energy, index, sites }
    }

    /// The field is taken into the memory, and measured if `evaluated`.
    pub(super) fn record(&self, pass: &mut ComputePass<'_>, present: usize, evaluated: bool) {
        self.memory.record(pass, present);
        if evaluated {
            for stage in self.quantile.iter().cycle().take(SEARCHES).flatten() {
                stage.record(pass, present);
            }
            self.boxes.iter().for_each(|stage| stage.record(pass, present));
            for stage in [&self.dimension, &self.before, &self.energy, &self.index] {
                stage.record(pass, present);
            }
        }
        self.sites.iter().for_each(|stage| stage.record(pass, present));
    }
}

/// Refuses windows whose columns have no room in the memory of a workgroup of this device, and those that would take too
/// long for its driver.
pub(super) fn check(gpu: &Gpu, grid: &Grid, meter: &Meter) -> Result<(), GpuError> {
    let loads = index_loads(grid, meter);
    if loads > INDEX_LOADS_MAX {
        let (window, adapter) = (meter.window_side(), gpu.name().into());
        let (nx, ny, most) = (grid.nx, grid.ny, INDEX_LOADS_MAX);
        return Err(GpuError::Window { window, nx, ny, adapter, loads, most });
    }
    let most = gpu.device.limits().max_compute_workgroup_storage_size as usize;
    let needed = group_bytes(meter, index_rows(meter));
    if needed <= most {
        return Ok(());
    }
    let side = meter.window_side();
    let reason = format!(
        "a workgroup of it has {most} bytes of memory, and windows of {side} x {side} cells need {needed}"
    );
    Err(GpuError::Unusable { adapter: gpu.name().into(), reason })
}

/// Workgroups of `energy.wgsl` along x and y, and so its sums.
pub(super) fn energy_groups(grid: &Grid) -> [usize; 2] {
    [grid.nx.div_ceil(COLUMNS), grid.ny.div_ceil(ENERGY_ROWS)]
}

/// Workgroups of `index.wgsl` along x and y, and so its sums: on the largest grid 32768 at most, and Vulkan promises
/// 65535.
pub(super) fn index_groups(grid: &Grid, meter: &Meter) -> [usize; 2] {
    [grid.nx.div_ceil(COLUMNS), grid.ny.div_ceil(index_rows(meter))]
}

/// Squares along x and y whose boxes pass `k` of `boxes.wgsl` counts.
pub(super) fn square_counts(grid: &Grid, k: usize) -> [usize; 2] {
    [grid.nx, grid.ny].map(|side| side.div_ceil(1 << (SQUARE as usize * (k + 1))))
}

/// Passes of `boxes.wgsl`: each has the next six sizes.
pub(super) fn box_passes(meter: &Meter) -> usize {
    let [whole, tile] = meter.pyramid().last();
    whole.max(tile).div_ceil(SQUARE).max(1) as usize
}

pub(super) fn tile_count(meter: &Meter) -> usize {
    meter.pyramid().tiles().len()
}

fn of_memory(meter: &Meter) -> Vec<(&'static str, f64)> {
    let rule = meter.rule();
    vec![
        ("DELTA", single(rule.delta.into())),
        ("LEAK", single(rule.leak.into())),
        ("TICK_SECONDS", single(rule.tick_seconds.into())),
        ("INVERSE_A0_SQUARED", single(rule.inverse_a0_squared.into())),
        ("SOJOURN", f64::from(u8::from(rule.dwell == Dwell::Sojourn))),
        ("S_MIN", single(rule.s_min.into())),
        ("THETA", single(rule.theta.into())),
    ]
}

fn of_boxes(grid: &Grid, meter: &Meter, first: u32) -> Vec<(&'static str, f64)> {
    let [whole, in_tile] = meter.pyramid().last();
    let side = meter.pyramid().tile().ilog2();
    let [across, down] = meter.pyramid().tile_counts();
    vec![
        ("BITS_X", grid.nx.div_ceil(1 << first) as f64),
        ("BITS_Y", grid.ny.div_ceil(1 << first) as f64),
        ("FIRST", f64::from(first)),
        ("WHOLE_LAST", f64::from(whole)),
        ("TILE_LAST", f64::from(in_tile)),
        ("FULL_X", (grid.nx >> whole) as f64),
        ("FULL_Y", (grid.ny >> whole) as f64),
        ("TILE", f64::from(side)),
        ("IN_ONE", f64::from(u8::from(side < first + SQUARE))),
        ("TILE_SQUARES", f64::from(side.saturating_sub(first + SQUARE))),
        ("TILES_X", across as f64),
        ("TILES_Y", down as f64),
    ]
}

fn of_dimension(meter: &Meter) -> Vec<(&'static str, f64)> {
    let [_, last] = meter.pyramid().last();
    let range = meter.pyramid().tiles().first().and_then(|fit| fit.range);
    vec![
        ("TILES", tile_count(meter) as f64),
        ("SIZES", f64::from(last + 1)),
        ("FIRST", range.map_or(0.0, |range| f64::from(range.first))),
        ("LAST", range.map_or(0.0, |range| f64::from(range.last))),
    ]
}

fn of_energy(wave: &Wave) -> Vec<(&'static str, f64)> {
    let (grid, boundary) = (wave.grid(), wave.medium().boundary);
    let around = Wrap::new(boundary) == Wrap::Around;
    let half_edges =
        matches!(boundary, Boundary::Neumann | Boundary::Absorbing | Boundary::EngquistMajda);
    let mut constants = vec![
        ("NX", grid.nx as f64),
        ("NY", grid.ny as f64),
        ("AROUND", f64::from(u8::from(around))),
        ("HALF_EDGES", f64::from(u8::from(half_edges))),
    ];
    constants.extend(law(&wave.medium().feedback));
    constants
}

fn of_index(grid: &Grid, meter: &Meter) -> Vec<(&'static str, f64)> {
    let (index, half, rows) = (meter.index(), meter.window_side() / 2, index_rows(meter));
    let moments = (COLUMNS + 2 * half) * rows;
    let (gain, levels) = match index.gain() {
        Gain::Rms => (0, 1),
        Gain::Abs => (1, moments),
        Gain::Envelope => (2, moments),
    };
    let [across, down] = meter.pyramid().tile_counts();
    vec![
        ("NX", grid.nx as f64),
        ("NY", grid.ny as f64),
        ("HALF", half as f64),
        ("ROWS", rows as f64),
        ("COLUMNS", (COLUMNS + 2 * half) as f64),
        ("MOMENTS", moments as f64),
        ("LEVELS", levels as f64),
        ("GAIN", f64::from(gain)),
        ("INVERSE_A_REF", single(index.inverse_a_ref.into())),
        ("COHERENCE_SCALE", single(index.coherence_scale.into())),
        ("INVERSE_SPREAD", single(index.inverse_spread.into())),
        ("ALPHA", single(index.alpha.into())),
        ("INVERSE_TAU0", single(index.inverse_tau0.into())),
        ("D_EXPONENT", single(index.d_exponent.into())),
        ("TILE", meter.pyramid().tile() as f64),
        ("TILES_X", across as f64),
        ("TILES_Y", down as f64),
    ]
}

/// Rows of cells in a workgroup of `index.wgsl`: many, so that few columns are taken twice, but two at least.
fn index_rows(meter: &Meter) -> usize {
    let mut rows = INDEX_ROWS_MAX;
    while rows > 2 && group_bytes(meter, rows) > GROUP_BYTES {
        rows /= 2;
    }
    rows
}

/// Loads of an evaluation by `index.wgsl` from the memory of the device, at most: each row of each workgroup has its
/// columns, as high as a window or the field. Far beyond the width of a workgroup that grows with the area of a window.
fn index_loads(grid: &Grid, meter: &Meter) -> u64 {
    let side = meter.window_side();
    let columns = (COLUMNS + 2 * (side / 2)).min(grid.nx);
    let [across, _] = index_groups(grid, meter);
    let fields = if meter.index().gain() == Gain::Envelope { 2 } else { 1 };
    [across, grid.ny, columns, side.min(grid.ny), fields].iter().map(|n| *n as u64).product()
}

/// Memory of a workgroup of `index.wgsl`: its moments, and its sums.
fn group_bytes(meter: &Meter, rows: usize) -> usize {
    let singles = if meter.index().gain() == Gain::Rms { 2 } else { 3 };
    let columns = COLUMNS + 2 * (meter.window_side() / 2);
    columns * rows * singles * size_of::<f32>() + COLUMNS * 4 * size_of::<f32>()
}
