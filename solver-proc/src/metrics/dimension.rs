//! D between the tiles, and what the index makes of it: that of a tile in its centre, linear in between the centres of
//! tiles and constant outside of them.

use super::boxes::Pyramid;
use super::index::Index;
use super::sweep::{fma, sweep};
use crate::cells::Buffer;

/// D between the tiles.
pub struct DimensionMap {
    nx: usize,
    tile: usize,
    counts: [usize; 2],
    /// D of each tile, 0 where it is undefined.
    values: Vec<f32>,
    /// Weight of the second of the tiles beside each column.
    parts: Vec<f32>,
    undefined: bool,
}

impl DimensionMap {
    /// A map over the tiles of `pyramid`, for rows of `nx` cells.
    pub fn new(nx: usize, pyramid: &Pyramid) -> Self {
        let (tile, counts) = (pyramid.tile(), pyramid.tile_counts());
        let undefined = pyramid.tiles().iter().any(|fit| fit.dimension().is_none());
        let values = vec![0.0; counts[0] * counts[1]];
        let mut map = Self { nx, tile, counts, values, parts: Vec::new(), undefined };
        map.parts = (0..nx).map(|x| map.between(x, counts[0]).2).collect();
        map
    }

    /// Whether the tiles have fewer than two box sizes.
    pub fn is_undefined(&self) -> bool {
        self.undefined
    }

    /// Takes D from the fits.
    pub fn update(&mut self, pyramid: &Pyramid) {
        for (value, fit) in self.values.iter_mut().zip(pyramid.tiles()) {
            *value = fit.dimension().map_or(0.0, |dimension| dimension.d as f32);
        }
    }

    /// D at cell (x, y).
    pub fn at(&self, x: usize, y: usize) -> f32 {
        let (above, below, part) = self.between(y, self.counts[1]);
        let (left, right, across) = self.between(x, self.counts[0]);
        let value = |row: usize| {
            let tiles = &self.values[row * self.counts[0]..];
            mix(tiles[left], tiles[right], across)
        };
        mix(value(above), value(below), part)
    }

    /// Becomes the weight `alpha D^bD` of row `y`.
    #[inline(always)]
    pub(crate) fn row(&self, y: usize, index: &Index, weights: &mut Weights) {
        let (above, below, part) = self.between(y, self.counts[1]);
        weights.part = part;
        if weights.rows != Some([above, below]) {
            weights.rows = Some([above, below]);
            self.across(above, &mut weights.base);
            self.across(below, &mut weights.slope);
            for (base, slope) in weights.base.iter_mut().zip(weights.slope.iter_mut()) {
                (*base, *slope) = (index.alpha * *base, index.alpha * (*slope - *base));
            }
        }
        if index.d_exponent != 1.0 {
            weights.rows = None;
            self.across(above, &mut weights.base);
            self.across(below, &mut weights.slope);
            for (base, slope) in weights.base.iter_mut().zip(weights.slope.iter_mut()) {
                let d = mix(*base, *slope, part);
                (*base, *slope) = (index.alpha * libm::powf(d, index.d_exponent), 0.0);
            }
        }
    }

    /// D along the centres of a row of tiles.
    #[inline(always)]
    fn across(&self, row: usize, out: &mut [f32]) {
        let tiles = &self.values[row * self.counts[0]..][..self.counts[0]];
        let mut x = 0;
        while x < self.nx {
            let (left, right, _) = self.between(x, self.counts[0]);
            let (a, b) = (tiles[left], tiles[right]);
            // Up to the next centre of a tile both tiles stay the same.
            let end =
                if left == right && x > 0 { self.nx } else { self.tile * left + self.tile * 3 / 2 };
            let end = if x == 0 { self.tile.div_ceil(2) } else { end }.clamp(x + 1, self.nx);
            sweep(
                [&self.parts[x..end]],
                [],
                [&mut out[x..end]],
                #[inline(always)]
                |[part], []| ([], [mix(a, b, part)]),
            );
            x = end;
        }
    }

    /// The tiles around index `i` and the weight of the second.
    #[inline(always)]
    fn between(&self, i: usize, count: usize) -> (usize, usize, f32) {
        // In half cells from the centre of the first tile.
        let from_centre = (2 * i + 1) as isize - self.tile as isize;
        if from_centre <= 0 {
            return (0, 0, 0.0);
        }
        let (first, rest) =
            (from_centre as usize / (2 * self.tile), from_centre as usize % (2 * self.tile));
        if first + 1 >= count {
            return (count - 1, count - 1, 0.0);
        }
        (first, first + 1, rest as f32 / (2 * self.tile) as f32)
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

#[inline(always)]
fn mix(a: f32, b: f32, part: f32) -> f32 {
    fma(part, b - a, a)
}

/// `alpha D^bD` along a row: `base + part * slope`.
pub(crate) struct Weights {
    pub(crate) base: Buffer,
    pub(crate) slope: Buffer,
    pub(crate) part: f32,
    /// The rows of tiles it was made of.
    rows: Option<[usize; 2]>,
}

impl Weights {
    pub(crate) fn new(nx: usize) -> Self {
        Self { base: Buffer::new(nx, 0), slope: Buffer::new(nx, 1), part: 0.0, rows: None }
    }

    /// The map has changed.
    pub(crate) fn forget(&mut self) {
        self.rows = None;
    }
}

#[cfg(test)]
mod tests {
    use rsw_config::MetricsSection;

    use super::*;
    use crate::metrics::boxes::BoxRange;

    #[test]
    fn a_row_of_the_map_is_the_map_at_each_cell() {
        for (nx, ny, tile) in [(1, 1, 64), (5, 7, 1), (200, 140, 64), (256, 256, 64), (33, 40, 8)] {
            let range = BoxRange::new(1, tile);
            let pyramid = Pyramid::new(nx, ny, tile, range, range);
            let mut map = DimensionMap::new(nx, &pyramid);
            for (k, value) in map.values_mut().iter_mut().enumerate() {
                *value = 1.0 + ((k * 37) % 11) as f32 / 11.0;
            }
            let index = Index::new(&MetricsSection::default());
            let mut weights = Weights::new(nx);
            for y in 0..ny {
                map.row(y, &index, &mut weights);
                for x in 0..nx {
                    let d = mix(weights.base[x], weights.base[x] + weights.slope[x], weights.part);
                    let error = (d - map.at(x, y)).abs();
                    assert!(error < 4e-7, "{nx} x {ny}, tile {tile}, cell {x}, {y}: {d}");
                }
            }
        }
    }

    #[test]
    fn between_two_centres_the_map_is_linear() {
        let range = BoxRange::new(1, 8);
        let pyramid = Pyramid::new(16, 8, 8, range, range);
        let mut map = DimensionMap::new(16, &pyramid);
        map.values_mut().copy_from_slice(&[1.0, 2.0]);
        // Centres lie at 3.5 and 11.5.
        let expected = |x: f32| (1.0 + (x - 3.5) / 8.0).clamp(1.0, 2.0);
        for x in 0..16 {
            assert_eq!(map.at(x, 3), expected(x as f32));
        }
    }
}
