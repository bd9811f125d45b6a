//! What the edges do: whose neighbour is whose, held edges, edges that let waves out, the sponge.

use rsw_config::Boundary;

use crate::grid::Grid;
use crate::real::Real;
use crate::stencil::{Rows, Weights};
use crate::wave::Medium;

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
            Boundary::Dirichlet
            | Boundary::Absorbing
            | Boundary::EngquistMajda
            | Boundary::Sponge => Self::Written,
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

/// How the outermost cells are written, after the stencil and the sources of the same level.
///
/// They are written at every step, because the level underneath is two steps old. Corners follow the
/// cell inside along the diagonal; no stencil reads them.
pub(crate) enum Edges<T> {
    /// Not at all: they follow the wave equation.
    Free,
    /// Each keeps the value it has: Dirichlet, and what is outside of the sponge.
    Held,
    /// First-order Mur: `u0+ = u1 + (c dt - h)/(c dt + h) (u1+ - u0)` with `u1` the cell inside.
    /// Reflects (1-cos)/(1+cos) of a plane wave.
    Mur(Factors<T>),
    /// Engquist and Majda's second condition as Mur discretised it: first order and a second
    /// difference along the edge. Reflects the square of what first order does.
    EngquistMajda(Factors<T>),
}

/// Weights of the conditions that let waves out.
#[derive(Clone, Copy)]
pub(crate) struct Factors<T> {
    /// On the edges across x.
    pub(crate) x: Factor<T>,
    /// On the edges across y.
    pub(crate) y: Factor<T>,
    /// `(c dt - h)/(c dt + h)` along the diagonal.
    pub(crate) corner: T,
}

/// Weights at one edge: h is the spacing across it, k the one along it.
#[derive(Clone, Copy)]
pub(crate) struct Factor<T> {
    /// `(c dt - h)/(c dt + h)`.
    pub(crate) across: T,
    /// `(c dt)^2 h / (2 k^2 (c dt + h))`.
    pub(crate) along: T,
}

/// What the previous level of a row held in its two outermost cells on either side, before it was
/// overwritten: cells 0, 1, nx - 2, nx - 1.
pub(crate) type OldEnds<T> = [T; 4];

/// The ends of a row of the previous level, before it is overwritten.
#[inline(always)]
pub(crate) fn ends_of<T: Real>(row: &[T]) -> OldEnds<T> {
    let last = row.len() - 1;
    [row[0], row[1], row[last - 1], row[last]]
}

/// An edge row, and the row inside of it.
pub(crate) struct EdgeRow<'a, T> {
    /// The edge row of the present level.
    pub(crate) edge: &'a [T],
    /// The row inside of it of the present level.
    pub(crate) inside: &'a [T],
    /// The row inside of it of the previous level; read by Engquist-Majda alone.
    pub(crate) inside_old: &'a [T],
    /// The row inside of it of the next level.
    pub(crate) inside_next: &'a [T],
}

impl<T: Real> Edges<T> {
    pub(crate) fn new(grid: &Grid, medium: &Medium) -> Self {
        let way = medium.speed * medium.dt;
        let across = |h: f64| T::from_f64((way - h) / (way + h));
        let along = |h: f64, k: f64| T::from_f64(way * way * h / (2.0 * k * k * (way + h)));
        let factors = Factors {
            x: Factor { across: across(grid.dx), along: along(grid.dx, grid.dy) },
            y: Factor { across: across(grid.dy), along: along(grid.dy, grid.dx) },
            corner: across(grid.dx.hypot(grid.dy)),
        };
        match medium.boundary {
            Boundary::Neumann | Boundary::Periodic => Self::Free,
            // A field with a side below 3 has nothing inside.
            _ if grid.nx < 3 || grid.ny < 3 => Self::Held,
            Boundary::Absorbing => Self::Mur(factors),
            Boundary::EngquistMajda => Self::EngquistMajda(factors),
            Boundary::Dirichlet | Boundary::Sponge => Self::Held,
        }
    }

    /// Whether [`EdgeRow::inside_old`] is read.
    pub(crate) fn looks_back(&self) -> bool {
        matches!(self, Self::EngquistMajda(_))
    }

    /// Writes the ends of a row that is no edge row; `old` are those of the previous level.
    #[inline(always)]
    pub(crate) fn ends(&self, rows: &Rows<'_, T>, old: OldEnds<T>, next: &mut [T]) {
        let (here, last) = (rows.here(), next.len() - 1);
        let mut write = |edge: usize, inside: usize, [edge_old, inside_old]: [T; 2]| {
            next[edge] = match self {
                Self::Free => return,
                Self::Held => here[edge],
                Self::Mur(factors) => here[inside] + factors.x.across * (next[inside] - here[edge]),
                Self::EngquistMajda(factors) => {
                    let bent = |x: usize| (rows.north[x] + rows.south[x]) - (here[x] + here[x]);
                    factors.x.second_order(
                        [edge_old, here[edge]],
                        [inside_old, here[inside], next[inside]],
                        bent(edge) + bent(inside),
                    )
                }
            };
        };
        write(0, 1, [old[0], old[1]]);
        write(last, last.saturating_sub(1), [old[3], old[2]]);
    }

    /// Writes an edge row of the next level; `next` holds the previous one.
    #[inline(always)]
    pub(crate) fn row(&self, rows: &EdgeRow<'_, T>, next: &mut [T]) {
        let last = next.len() - 1;
        let EdgeRow { edge, inside, inside_old, inside_next } = *rows;
        let corner = match self {
            Self::Free => return,
            Self::Held => return next.copy_from_slice(edge),
            Self::Mur(factors) => {
                for x in 1..last {
                    next[x] = inside[x] + factors.y.across * (inside_next[x] - edge[x]);
                }
                factors.corner
            }
            Self::EngquistMajda(factors) => {
                let bent = |row: &[T], x: usize| (row[x - 1] + row[x + 1]) - (row[x] + row[x]);
                for x in 1..last {
                    next[x] = factors.y.second_order(
                        [next[x], edge[x]],
                        [inside_old[x], inside[x], inside_next[x]],
                        bent(edge, x) + bent(inside, x),
                    );
                }
                factors.corner
            }
        };
        let mut leave =
            |x: usize, by: usize| next[x] = inside[by] + corner * (inside_next[by] - edge[x]);
        leave(0, 1);
        leave(last, last - 1);
    }
}

impl<T: Real> Factor<T> {
    /// `u0+ = -u1- + r (u1+ + u0-) + (1 - r)(u0 + u1) + s (second differences along the edge)`, with
    /// the levels taken apart so that a uniform field is kept exactly.
    #[inline(always)]
    fn second_order(
        &self,
        [edge_old, edge]: [T; 2],
        [inside_old, inside, inside_next]: [T; 3],
        bent: T,
    ) -> T {
        let moved = (inside_next - inside) + (edge_old - edge);
        (edge + (inside - inside_old)) + (self.across * moved + self.along * bent)
    }
}

/// Weights that differ from cell to cell: a sponge is a layer of width L along every edge in which
/// gamma rises as `gmax (d/L)^2`, d the depth into the layer (the larger one in a corner); outside of
/// it lies a held edge. A wave that crosses it, is reflected and comes back keeps
/// `exp(-(1/c) int gamma dx)` of its amplitude (SCIENCE.md, Edges). Without a sponge the width is 0.
pub(crate) struct Layers<T> {
    nx: usize,
    ny: usize,
    width: usize,
    /// Extra gamma at each depth, 0..=width.
    pub(crate) gamma: Vec<f64>,
    /// Weights of a whole row (keep, x, y, push), one row for each depth of the row.
    profiles: Vec<[Vec<T>; 4]>,
}

impl<T: Real> Layers<T> {
    pub(crate) fn new(grid: &Grid, medium: &Medium) -> Self {
        let (nx, ny) = (grid.nx, grid.ny);
        let width = match medium.boundary {
            Boundary::Sponge => medium.sponge_width.min(nx.max(ny)),
            _ => 0,
        };
        let share = |depth: usize| depth as f64 / width.max(1) as f64;
        let gamma: Vec<f64> =
            (0..=width).map(|depth| medium.sponge_damping * share(depth).powi(2)).collect();
        let profiles = (0..=width)
            .map(|row| {
                let gamma_at = |x| medium.damping + gamma[row.max(depth(x, nx, width))];
                let row: Vec<Weights<T>> =
                    (0..nx).map(|x| Weights::new(grid, medium, gamma_at(x))).collect();
                let of = |part: fn(&Weights<T>) -> T| row.iter().map(part).collect();
                [of(|w| w.keep), of(|w| w.x), of(|w| w.y), of(|w| w.push)]
            })
            .collect();
        Self { nx, ny, width, gamma, profiles }
    }

    /// Extra gamma at cell (x, y).
    pub(crate) fn gamma_at(&self, x: usize, y: usize) -> f64 {
        self.gamma[depth(x, self.nx, self.width).max(depth(y, self.ny, self.width))]
    }

    /// Weights of row `y`: of `u - u-`, along x, along y, of the nonlinear term.
    #[inline(always)]
    pub(crate) fn weights(&self, y: usize) -> [&[T]; 4] {
        self.profiles[depth(y, self.ny, self.width)].each_ref().map(Vec::as_slice)
    }
}

/// Depth into the layer at index `i` of `count`: `width` on the edge, 0 where the layer is left.
#[inline(always)]
fn depth(i: usize, count: usize, width: usize) -> usize {
    width.saturating_sub(i.min(count - 1 - i))
}
