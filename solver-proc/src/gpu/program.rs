//! The kernels for one medium on one grid: everything that does not change is a constant of the pipeline.

use super::adapter::Gpu;
use super::kernel::{Binding, Kernel, READ, WRITTEN, reducer_groups};
use crate::boundary::{Edges, Wrap};
use crate::feedback::Feedback;
use crate::grid::Grid;
use crate::stencil::{Uniform, Weights};
use crate::wave::{Kernel as Scheme, Wave};

/// Cells that a workgroup of `step.wgsl` covers: x is contiguous, so that rows load whole.
pub(super) const TILE: [usize; 2] = [64, 4];
/// The step, with everything that it knows beforehand.
const STEP: &str =
    concat!(include_str!("step.wgsl"), include_str!("edges.wgsl"), include_str!("law.wgsl"));
pub(super) const MAGNITUDE: &str = include_str!("magnitude.wgsl");

/// Bindings of `step.wgsl`: here, next, weights, first points, points, signals.
const STEP_BINDINGS: [Binding; 6] =
    [READ, WRITTEN, READ, READ, READ, Binding { moves: true, ..READ }];
/// Bindings of `magnitude.wgsl`: level, most.
pub(super) const MAGNITUDE_BINDINGS: [Binding; 2] = [READ, WRITTEN];

/// Both kernels.
pub(super) struct Program {
    pub(super) step: Kernel,
    pub(super) magnitude: Kernel,
}

impl Program {
    /// The kernels for `wave`; `fed` by sources or not.
    pub(super) fn new(gpu: &Gpu, wave: &Wave, fed: bool) -> Self {
        let grid = wave.grid();
        let constants = constants(wave, fed);
        Self {
            step: Kernel::new(gpu, ("step", STEP), &constants, &STEP_BINDINGS, groups(grid)),
            magnitude: Kernel::new(
                gpu,
                ("magnitude", MAGNITUDE),
                &[],
                &MAGNITUDE_BINDINGS,
                reducer_groups(grid),
            ),
        }
    }
}

/// Workgroups of a step, along x and y: on the largest grid 1024 x 16384, and Vulkan promises 65535 each.
pub(super) fn groups(grid: &Grid) -> [u32; 2] {
    [grid.nx.div_ceil(TILE[0]) as u32, grid.ny.div_ceil(TILE[1]) as u32]
}

/// The scheme's weights at each depth into the sponge, as `step.wgsl` has them: one entry without a sponge.
pub(super) fn weights(wave: &Wave) -> Vec<[f32; 4]> {
    let (grid, medium) = (wave.grid(), wave.medium());
    let weights = match wave.scheme() {
        Scheme::Square(Uniform(weights)) => vec![*weights],
        Scheme::Rect(Uniform(weights)) => vec![*weights],
        Scheme::Layered(layers, _) => {
            let at = |extra: &f64| Weights::new(grid, medium, medium.damping + extra);
            layers.gamma.iter().map(at).collect()
        }
    };
    weights.iter().map(|w| [w.keep, w.x, w.y, w.push]).collect()
}

/// The `override`s of `step.wgsl`, `edges.wgsl` and `law.wgsl`.
fn constants(wave: &Wave, fed: bool) -> Vec<(&'static str, f64)> {
    let (grid, medium) = (wave.grid(), wave.medium());
    let wrap = match Wrap::new(medium.boundary) {
        Wrap::Written => 0,
        Wrap::Mirror => 1,
        Wrap::Around => 2,
    };
    let edges = match wave.edges() {
        Edges::Free => 0,
        Edges::Held => 1,
        Edges::Mur(_) => 2,
        Edges::EngquistMajda(_) => 3,
    };
    let [across_x, across_y, corner, along_x, along_y] = match wave.edges() {
        Edges::Free | Edges::Held => [0.0; 5],
        Edges::Mur(factors) | Edges::EngquistMajda(factors) => {
            [factors.x.across, factors.y.across, factors.corner, factors.x.along, factors.y.along]
        }
    };
    let mut constants = vec![
        ("NX", grid.nx as f64),
        ("NY", grid.ny as f64),
        ("WRAP", f64::from(wrap)),
        ("EDGES", f64::from(edges)),
        ("SQUARE", f64::from(u8::from(matches!(wave.scheme(), Scheme::Square(_))))),
        ("SPONGE", (weights(wave).len() - 1) as f64),
        ("FED", f64::from(u8::from(fed))),
        ("ACROSS_X", f64::from(across_x)),
        ("ACROSS_Y", f64::from(across_y)),
        ("CORNER", f64::from(corner)),
        ("ALONG_X", f64::from(along_x)),
        ("ALONG_Y", f64::from(along_y)),
    ];
    constants.extend(law(&medium.feedback));
    constants
}

/// The `override`s of `law.wgsl`.
pub(super) fn law(feedback: &Feedback) -> [(&'static str, f64); 4] {
    let (law, [strength, threshold, limit]) = match *feedback {
        Feedback::None => (0, [0.0; 3]),
        Feedback::SineGordon { strength } => (1, [strength, 0.0, 0.0]),
        Feedback::Phi4 { strength, .. } => (2, [strength, 0.0, 0.0]),
        Feedback::Relu { strength, threshold, limit } => (3, [strength, threshold, limit]),
    };
    let [strength, threshold, limit] = [strength, threshold, limit].map(single);
    let law = f64::from(law);
    [("LAW", law), ("STRENGTH", strength), ("THRESHOLD", threshold), ("LIMIT", limit)]
}

/// Rounded as the CPU rounds it, or a constant would be refused as no number of single precision; so is an infinity.
pub(super) fn single(value: f64) -> f64 {
    f64::from((value as f32).clamp(f32::MIN, f32::MAX))
}
