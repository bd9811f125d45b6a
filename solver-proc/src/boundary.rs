//! What the edges do: whose neighbour is whose, held edges, first-order Mur, the sponge.

use rsw_config::Boundary;

use crate::grid::Grid;
use crate::wave::{Medium, Rows, Weights};

/// Neighbours along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// The outermost cells have no neighbours: a condition writes them.
    Written,
    /// Node mirror, `u[-1] = u[1]`.
    Mirror,
    /// Around the torus.
    Around,
}

impl Wrap {
    pub(crate) fn new(boundary: Boundary) -> Self {
        match boundary {
            Boundary::Dirichlet | Boundary::Absorbing | Boundary::Sponge => Self::Written,
            Boundary::Neumann => Self::Mirror,
            Boundary::Periodic => Self::Around,
        }
    }

    /// The two neighbours of index `i` among `count`, or none where an edge condition decides.
    /// An axis of one cell has no second difference: the cell is its own neighbour.
    #[inline(always)]
    pub(crate) fn neighbours(self, i: usize, count: usize) -> Option<[usize; 2]> {
        if i > 0 && i + 1 < count {
            return Some([i - 1, i + 1]);
        }
        match self {
            Self::Written => None,
            _ if count == 1 => Some([0, 0]),
            Self::Mirror if i == 0 => Some([1, 1]),
            Self::Mirror => Some([i - 1, i - 1]),
            Self::Around if i == 0 => Some([count - 1, 1]),
            Self::Around => Some([i - 1, 0]),
        }
    }
}

/// Dirichlet: every edge cell keeps the value it has (zero from rest). It is written every step,
/// because the level underneath is two steps old.
pub(crate) fn hold(grid: &Grid, u: &[f32], next: &mut [f32]) {
    let (nx, last) = (grid.nx, grid.cells() - grid.nx);
    next[..nx].copy_from_slice(&u[..nx]);
    next[last..].copy_from_slice(&u[last..]);
    for row in (0..grid.cells()).step_by(nx) {
        next[row] = u[row];
        next[row + nx - 1] = u[row + nx - 1];
    }
}

/// First-order Mur: `u0+ = u1 + (c dt - h)/(c dt + h) (u1+ - u0)` with `u1` the cell inside, along x
/// and y on the edges and along the diagonal in the corners. Reflects (1-cos)/(1+cos) of a plane wave.
/// A field with a side below 3 has nothing inside and stays as it is.
pub(crate) struct Mur {
    x: f32,
    y: f32,
    corner: f32,
}

impl Mur {
    pub(crate) fn new(grid: &Grid, medium: &Medium) -> Self {
        let way = medium.speed * medium.dt;
        let factor = |h: f64| ((way - h) / (way + h)) as f32;
        Self { x: factor(grid.dx), y: factor(grid.dy), corner: factor(grid.dx.hypot(grid.dy)) }
    }

    pub(crate) fn absorb(&self, grid: &Grid, u: &[f32], next: &mut [f32]) {
        let (nx, ny) = (grid.nx, grid.ny);
        if nx < 3 || ny < 3 {
            return hold(grid, u, next);
        }
        let mut leave = |edge: usize, inside: usize, factor: f32| {
            next[edge] = u[inside] + factor * (next[inside] - u[edge]);
        };
        for y in 1..ny - 1 {
            let (first, last) = (y * nx, y * nx + nx - 1);
            leave(first, first + 1, self.x);
            leave(last, last - 1, self.x);
        }
        let bottom = (ny - 1) * nx;
        for x in 1..nx - 1 {
            leave(x, x + nx, self.y);
            leave(bottom + x, bottom + x - nx, self.y);
        }
        leave(0, nx + 1, self.corner);
        leave(nx - 1, 2 * nx - 2, self.corner);
        leave(bottom, bottom - nx + 1, self.corner);
        leave(bottom + nx - 1, bottom - 2, self.corner);
    }
}

/// A layer of width L along every edge in which gamma rises as `gmax (d/L)^2`, d the depth into the
/// layer (the larger one in a corner); outside of it lies a held edge. A wave that crosses it, is
/// reflected and comes back keeps `exp(-(1/c) int gamma dx)` of its amplitude (science 4.5).
pub(crate) struct Sponge {
    nx: usize,
    ny: usize,
    width: usize,
    /// Extra gamma at each depth, 0..=width.
    gamma: Vec<f64>,
    /// Weights of a whole row, one row for each depth of the row.
    profiles: Vec<Profile>,
}

/// Weights of a row, column by column, one array for each so that they load as vectors.
struct Profile {
    keep: Vec<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Sponge {
    pub(crate) fn new(grid: &Grid, medium: &Medium) -> Self {
        let (nx, ny) = (grid.nx, grid.ny);
        let width = medium.sponge_width.min(nx.max(ny));
        let share = |depth: usize| depth as f64 / width.max(1) as f64;
        let gamma: Vec<f64> =
            (0..=width).map(|depth| medium.sponge_damping * share(depth).powi(2)).collect();
        let profiles = (0..=width)
            .map(|row| {
                let depth_at = |x| row.max(depth(x, nx, width));
                let gamma_at = |x| medium.damping + gamma[depth_at(x)];
                let row: Vec<Weights> =
                    (0..nx).map(|x| Weights::new(grid, medium, gamma_at(x))).collect();
                Profile {
                    keep: row.iter().map(|w| w.keep).collect(),
                    x: row.iter().map(|w| w.x).collect(),
                    y: row.iter().map(|w| w.y).collect(),
                }
            })
            .collect();
        Self { nx, ny, width, gamma, profiles }
    }

    /// Extra gamma at cell (x, y).
    pub(crate) fn gamma_at(&self, x: usize, y: usize) -> f64 {
        self.gamma[depth(x, self.nx, self.width).max(depth(y, self.ny, self.width))]
    }

    #[inline(always)]
    pub(crate) fn update(&self, y: usize, rows: &Rows<'_>, next: &mut [f32], edges: Wrap) {
        let profile = &self.profiles[depth(y, self.ny, self.width)];
        let count = next.len();
        let (keep, along_x, along_y) =
            (&profile.keep[..count], &profile.x[..count], &profile.y[..count]);
        rows.update(next, edges, |x| Weights { keep: keep[x], x: along_x[x], y: along_y[x] });
    }
}

/// Depth into the layer at index `i` of `count`: `width` on the edge, 0 where the layer is left.
fn depth(i: usize, count: usize, width: usize) -> usize {
    width.saturating_sub(i.min(count - 1 - i))
}
