//! What a meter has in the memory of a device.

use bytemuck::cast_slice_mut;
use wgpu::Buffer;

use super::kernels::{box_passes, energy_groups, index_groups, square_counts, tile_count};
use crate::gpu::adapter::{Gpu, level_bytes};
use crate::gpu::buffers::{storage, table};
use crate::gpu::error::GpuError;
use crate::grid::Grid;
use crate::metrics::Meter;
use crate::metrics::threshold::{Threshold, wanted};

/// Bytes of a number, whole or not.
const WORD: u64 = 4;
/// Bins of `quantile.wgsl`.
const BINS: u64 = 2048;
/// Numbers in a sum of `energy.wgsl` and of `index.wgsl`.
pub(super) const SUMMED: usize = 4;
/// Numbers of a site.
pub(super) const FOUND: usize = 5;

/// Buffers, named as in the kernels.
pub(super) struct Store {
    /// Envelope, mean, variance, dwell time.
    pub(super) memory: [Buffer; 4],
    /// CI, coherence, gain.
    pub(super) outputs: [Buffer; 3],
    pub(super) newest: Buffer,
    /// Largest |u| of the field now, and of the level before.
    pub(super) most: Buffer,
    pub(super) most_before: Buffer,
    /// A search for the threshold as it begins, and as it goes.
    pub(super) begun: Buffer,
    pub(super) search: Buffer,
    pub(super) bins: Buffer,
    pub(super) whole: Buffer,
    pub(super) tiles: Buffer,
    /// For each pass over the boxes.
    pub(super) squares: Vec<Buffer>,
    pub(super) dimensions: Buffer,
    pub(super) energies: Buffer,
    pub(super) sums: Buffer,
    pub(super) cells: Buffer,
    pub(super) found: Buffer,
    pub(super) site_count: usize,
}

/// What comes back of every tick, and of those that are evaluated: bits or numbers.
pub(super) struct Results {
    pub(super) most: Vec<u32>,
    pub(super) found: Vec<f32>,
    pub(super) most_before: Vec<u32>,
    pub(super) search: Vec<u32>,
    pub(super) whole: Vec<u32>,
    pub(super) tiles: Vec<u32>,
    pub(super) energies: Vec<f32>,
    pub(super) sums: Vec<f32>,
}

/// Bytes of the boxes of the tiles.
pub(super) fn tile_bytes(meter: &Meter) -> u64 {
    let [_, last] = meter.pyramid().last();
    tile_count(meter) as u64 * u64::from(last + 1) * WORD
}

/// Bytes of all that [`Store::new`] makes, to some thousands.
pub(super) fn bytes(grid: &Grid, meter: &Meter) -> u64 {
    let groups = [energy_groups(grid), index_groups(grid, meter)];
    let sums: usize = groups.iter().map(|groups| groups.iter().product::<usize>()).sum();
    let numbers = (sums * SUMMED + tile_count(meter)) as u64;
    7 * level_bytes(grid) + tile_bytes(meter) + numbers * WORD
}

impl Store {
    /// Buffers for `meter`, all zero, and for agents at `sites`.
    pub(super) fn new(gpu: &Gpu, grid: &Grid, meter: &Meter, sites: &[[usize; 2]]) -> Self {
        let words = |label: &str, count: usize| storage(gpu, label, count as u64 * WORD);
        let field = |label: &str| storage(gpu, label, level_bytes(grid));
        let [whole_last, _] = meter.pyramid().last();
        let squares = |k: usize| {
            let [across, down] = square_counts(grid, k);
            words("squares", across.div_ceil(32) * down)
        };
        let sums = |groups: [usize; 2]| groups.iter().product::<usize>() * SUMMED;
        let cells: Vec<u32> = sites.iter().map(|[x, y]| grid.index(*x, *y) as u32).collect();
        Self {
            memory: ["envelope", "mean", "variance", "dwell"].map(field),
            outputs: ["ci", "coherence", "gain"].map(field),
            newest: words("newest", 1),
            most: words("most", 1),
            most_before: words("most before", 1),
            begun: table(gpu, "begun", &begun(grid, meter)),
            search: words("search", 4),
            bins: storage(gpu, "bins", BINS * WORD),
            whole: words("whole", whole_last as usize + 1),
            tiles: storage(gpu, "tiles", tile_bytes(meter)),
            squares: (0..box_passes(meter)).map(squares).collect(),
            dimensions: words("dimensions", tile_count(meter)),
            energies: words("energies", sums(energy_groups(grid))),
            sums: words("sums", sums(index_groups(grid, meter))),
            cells: table(gpu, "cells", &cells),
            found: words("found", cells.len().max(1) * FOUND),
            site_count: cells.len(),
        }
    }

    /// What is counted up from nothing at every evaluation.
    pub(super) fn counters(&self) -> impl Iterator<Item = &Buffer> {
        [&self.most_before, &self.whole, &self.tiles].into_iter().chain(&self.squares)
    }
}

impl Results {
    /// Room for what `store` gives.
    pub(super) fn new(store: &Store) -> Self {
        let count = |buffer: &Buffer| (buffer.size() / WORD) as usize;
        let whole = |buffer| vec![0; count(buffer)];
        let singles = |buffer| vec![0.0; count(buffer)];
        Self {
            most: whole(&store.most),
            found: singles(&store.found),
            most_before: whole(&store.most_before),
            search: whole(&store.search),
            whole: whole(&store.whole),
            tiles: whole(&store.tiles),
            energies: singles(&store.energies),
            sums: singles(&store.sums),
        }
    }

    /// The buffers of `store` that they come from.
    pub(super) fn sources(store: &Store, evaluated: bool) -> Vec<&Buffer> {
        let Store { most, found, most_before, search, whole, tiles, energies, sums, .. } = store;
        let all = [most, found, most_before, search, whole, tiles, energies, sums];
        all[..if evaluated { all.len() } else { 2 }].to_vec()
    }

    /// Their bytes, in the same order.
    pub(super) fn sinks(&mut self, evaluated: bool) -> Vec<&mut [u8]> {
        let Self { most, found, most_before, search, whole, tiles, energies, sums } = self;
        let mut sinks = vec![cast_slice_mut(most), cast_slice_mut(found)];
        if evaluated {
            sinks.extend([most_before, search, whole, tiles].map(|words| cast_slice_mut(words)));
            sinks.extend([energies, sums].map(|numbers| cast_slice_mut(numbers)));
        }
        sinks
    }
}

/// `Search` of `quantile.wgsl` before its first pass; of a fixed threshold, as it is in the end.
fn begun(grid: &Grid, meter: &Meter) -> [u32; 4] {
    match meter.threshold() {
        Threshold::Fixed(theta) => [theta.to_bits(), 0, 0, 0],
        Threshold::Quantile(share) => [0, wanted(grid.cells(), share) as u32, 31, 20],
    }
}

/// Refuses fields whose tiles have more boxes than the device counts.
pub(super) fn check(gpu: &Gpu, grid: &Grid, meter: &Meter) -> Result<(), GpuError> {
    gpu.check(grid)?;
    gpu.check_bytes(grid, "the boxes of the tiles", tile_bytes(meter))
}
