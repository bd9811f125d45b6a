//! What the sources add, as a device reads it: points in the order of the workgroups that cover them, so that a
//! workgroup without sources finds that out with one look.

use bytemuck::{Pod, Zeroable};

use super::program::{TILE, groups};
use crate::grid::Grid;
use crate::source::Feeds;

/// One cell of one source, as `Point` of `step.wgsl`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub(super) struct DevicePoint {
    pub(super) cell: u32,
    pub(super) source: u32,
    /// Relative to the heaviest point of the source: a product with the signal in single precision
    /// then neither overflows nor underflows where the share itself does not.
    pub(super) weight: f32,
}

/// The points of all sources, cut up by workgroup.
pub(super) struct Points {
    pub(super) points: Vec<DevicePoint>,
    /// Where in `points` each workgroup begins, and one more.
    pub(super) first: Vec<u32>,
    /// The heaviest point of each source: what its signals are multiplied by.
    pub(super) scales: Vec<f64>,
}

impl Points {
    /// Points of `feeds` on `grid`. Those of one cell stay in the order of the sources.
    pub(super) fn new(feeds: &Feeds, grid: &Grid) -> Self {
        let mut scales = vec![0.0f64; feeds.sources()];
        for (_, source, weight) in feeds.points() {
            scales[source] = scales[source].max(weight.abs());
        }
        let [across, down] = groups(grid).map(|count| count as usize);
        let group_of = |[x, y]: [usize; 2]| y / TILE[1] * across + x / TILE[0];
        let mut points: Vec<(usize, DevicePoint)> = feeds
            .points()
            .map(|(place, source, weight)| {
                // A source of amplitude zero has no heaviest point.
                let weight = if scales[source] > 0.0 { weight / scales[source] } else { 0.0 };
                let cell = grid.index(place[0], place[1]) as u32;
                let point = DevicePoint { cell, source: source as u32, weight: weight as f32 };
                (group_of(place), point)
            })
            .collect();
        points.sort_by_key(|(group, _)| *group);
        let begin = |group: usize| points.partition_point(|(of, _)| *of < group) as u32;
        Self {
            first: (0..=across * down).map(begin).collect(),
            points: points.iter().map(|(_, point)| *point).collect(),
            scales,
        }
    }

    /// The signals of a step as the device multiplies them, into `out`.
    pub(super) fn scale(&self, signals: &[f64], out: &mut [f32]) {
        for ((out, signal), scale) in out.iter_mut().zip(signals).zip(&self.scales) {
            *out = (signal * scale) as f32;
        }
    }
}
