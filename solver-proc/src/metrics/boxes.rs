//! The box-counting dimension D, of the whole field and of square tiles, by a pyramid of bits.
//!
//! Level k holds one bit for each box of 2^k x 2^k cells: two rows are joined by OR, then every bit
//! with its neighbour 2^(k-1) to the right. D is the slope of log2 N against log2 (1/size), least
//! squares over the sizes of a [`BoxRange`]. Only full boxes count: the field is *cropped*, at its
//! right and lower ends, to multiples of the largest size in the fit, so that a full field has D = 2
//! whatever its size. Tiles are full squares; what is left of them at those ends is cropped too.

use super::bits::Bits;

/// Most levels of a pyramid: boxes with sides of 1 to 65536 cells.
pub const LEVELS_MAX: usize = 17;

/// Box sizes in a fit: sides of 2^first to 2^last cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxRange {
    /// Exponent of the smallest size.
    pub first: u32,
    /// Exponent of the largest size.
    pub last: u32,
}

impl BoxRange {
    /// The powers of two from `min` to `max` cells; `None` if there is none.
    pub fn new(min: usize, max: usize) -> Option<Self> {
        let first = min.max(1).next_power_of_two().ilog2();
        let last = max.checked_ilog2()?.min(LEVELS_MAX as u32 - 1);
        (first <= last).then_some(Self { first, last })
    }
}

/// Boxes that contain a cell of the set, and the line through their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxFit {
    /// Boxes of 2^k x 2^k cells, k from 0; up to the largest size of the fit.
    pub counts: [u64; LEVELS_MAX],
    /// Sizes of the fit; `None` if the range has none.
    pub range: Option<BoxRange>,
}

/// D with the quality of its fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dimension {
    /// The slope; 0 for an empty set.
    pub d: f64,
    /// R^2 of the fit, 1 where all counts are equal; `None` for an empty set, which fits no line.
    pub r2: Option<f64>,
}

impl BoxFit {
    const NOTHING: Self = Self { counts: [0; LEVELS_MAX], range: None };

    /// D; `None` where fewer than two sizes are in the range.
    pub fn dimension(&self) -> Option<Dimension> {
        let range = self.range.filter(|range| range.first < range.last)?;
        let counts = &self.counts[range.first as usize..=range.last as usize];
        if counts.contains(&0) {
            return Some(Dimension { d: 0.0, r2: None });
        }
        let n = counts.len() as f64;
        let middle = (n - 1.0) / 2.0;
        let log = |count: &u64| libm::log2(*count as f64);
        let mean = counts.iter().map(log).sum::<f64>() / n;
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (k, count) in counts.iter().enumerate() {
            // Larger boxes are further left: x = log2 (1/size).
            let (x, y) = (middle - k as f64, log(count) - mean);
            (xx, xy, yy) = (xx + x * x, xy + x * y, yy + y * y);
        }
        let r2 = if yy > 0.0 { xy * xy / (xx * yy) } else { 1.0 };
        Some(Dimension { d: xy / xx, r2: Some(r2) })
    }

    /// Slope between each two sizes of the range, `log2(N_s/N_2s)`; none for an empty set.
    pub fn local_slopes(&self) -> impl Iterator<Item = f64> + '_ {
        let (first, last) = self.range.map_or((0, 0), |r| (r.first as usize, r.last as usize));
        let pairs = self.counts[first..=last].windows(2).filter(|pair| pair[1] > 0);
        pairs.map(|pair| libm::log2(pair[0] as f64 / pair[1] as f64))
    }
}

/// Counts boxes without allocating.
pub struct Pyramid {
    nx: usize,
    ny: usize,
    tile: usize,
    range: Option<BoxRange>,
    tile_range: Option<BoxRange>,
    /// Boxes of the levels that are odd, and of those that are even.
    levels: [Vec<u64>; 2],
    whole: BoxFit,
    tiles: Vec<BoxFit>,
}

impl Pyramid {
    /// A pyramid over `nx` x `ny` cells with tiles of `tile` cells (rounded down to a power of two
    /// that fits into the field), and the sizes of both fits.
    pub fn new(
        nx: usize,
        ny: usize,
        tile: usize,
        range: Option<BoxRange>,
        tile_range: Option<BoxRange>,
    ) -> Self {
        let tile = 1usize << tile.min(nx).min(ny).max(1).ilog2();
        let tiles = (nx / tile) * (ny / tile);
        Self {
            levels: [2, 4].map(|part| vec![0; nx.div_ceil(64) * (ny / part)]),
            whole: BoxFit { range, ..BoxFit::NOTHING },
            tiles: vec![BoxFit { range: tile_range, ..BoxFit::NOTHING }; tiles],
            nx,
            ny,
            tile,
            range,
            tile_range,
        }
    }

    /// Counts the boxes of a set.
    #[inline(always)]
    pub fn count(&mut self, bits: &Bits) {
        let [last, tile_last] = self.last();
        let Self { nx, ny, tile, levels: [odd, even], whole, tiles, .. } = self;
        let (width, area) = (nx.div_ceil(64), [*nx, *ny].map(|side| side >> last << last));
        let size = [width, *ny];
        whole.counts = [0; LEVELS_MAX];
        for level in 0..=last.max(tile_last) {
            let words = match level {
                0 => bits.words(),
                1 => join(level, size, bits.words(), odd),
                _ if level % 2 == 0 => join(level, size, odd, even),
                _ => join(level, size, even, odd),
            };
            let boxes = Boxes { level, width, words };
            if level <= last {
                whole.counts[level as usize] = boxes.count(area);
            }
            if level <= tile_last {
                boxes.count_tiles(*tile, *nx / *tile, tiles);
            }
        }
    }

    /// Largest exponents of a size that are counted, in the whole field and in each tile.
    pub(crate) fn last(&self) -> [u32; 2] {
        [self.range, self.tile_range].map(|range| range.map_or(0, |range| range.last))
    }

    /// Takes over what was counted elsewhere: boxes of the whole field, size by size, and those of each tile.
    #[cfg(feature = "gpu")]
    pub(crate) fn take(&mut self, whole: &[u32], tiles: &[u32]) {
        let [_, tile_last] = self.last();
        let fits = self.tiles.iter_mut().zip(tiles.chunks_exact(tile_last as usize + 1));
        for (fit, counts) in fits.chain([(&mut self.whole, whole)]) {
            for (ours, count) in fit.counts.iter_mut().zip(counts) {
                *ours = u64::from(*count);
            }
        }
    }

    /// The fit over the whole field.
    pub fn whole(&self) -> &BoxFit {
        &self.whole
    }

    /// The fits of the tiles, row by row.
    pub fn tiles(&self) -> &[BoxFit] {
        &self.tiles
    }

    /// Side of a tile in cells.
    pub fn tile(&self) -> usize {
        self.tile
    }

    /// Tiles along x and y.
    pub fn tile_counts(&self) -> [usize; 2] {
        [self.nx / self.tile, self.ny / self.tile]
    }
}

/// The boxes of 2^level x 2^level cells, in rows of words. Up to sides of 64 cells a box is a bit that stays where its first cell is; above
/// that it is a word, and a row begins with as many as it needs.
struct Boxes<'a> {
    level: u32,
    width: usize,
    words: &'a [u64],
}

/// From the boxes of level - 1 to those of `level`, which are returned; of a field of so many words and rows.
#[inline(always)]
fn join<'a>(level: u32, [width, rows]: [usize; 2], from: &[u64], into: &'a mut [u64]) -> &'a [u64] {
    let (half, mask) = (1u32 << (level - 1), spaced(level));
    let rows = into.chunks_exact_mut(width).take(rows >> level);
    for (pair, row) in from.chunks_exact(2 * width).zip(rows) {
        let (upper, lower) = pair.split_at(width);
        if level <= 6 {
            for w in 0..width {
                let both = upper[w] | lower[w];
                row[w] = (both | both >> half) & mask;
            }
        } else {
            let before = width.div_ceil(1 << (level - 7));
            for w in 0..before.div_ceil(2) {
                let second = (2 * w + 1).min(before - 1);
                row[w] = upper[2 * w] | lower[2 * w] | upper[second] | lower[second];
            }
        }
    }
    into
}

impl Boxes<'_> {
    /// Those that hold a cell of the set, in so many columns and rows of cells from the first.
    #[inline(always)]
    fn count(&self, [columns, rows]: [usize; 2]) -> u64 {
        let span = self.span();
        let (whole, rest) = (columns / span, columns % span);
        let mut count = 0;
        for row in self.words.chunks_exact(self.width).take(rows >> self.level) {
            for word in &row[..whole] {
                count += u64::from(word.count_ones());
            }
            if rest > 0 {
                count += u64::from((row[whole] & low(rest)).count_ones());
            }
        }
        count
    }

    /// The same for each of the tiles, `across` in a row of them.
    #[inline(always)]
    fn count_tiles(&self, tile: usize, across: usize, tiles: &mut [BoxFit]) {
        let (level, width, span) = (self.level as usize, self.width, self.span());
        let rows = self.words.chunks_exact((tile >> level) * width);
        for (rows, tiles) in rows.zip(tiles.chunks_exact_mut(across)) {
            for (x, fit) in tiles.iter_mut().enumerate() {
                let first = x * tile / span;
                let mut count = 0;
                if tile > span {
                    for row in rows.chunks_exact(width) {
                        for word in &row[first..first + tile / span] {
                            count += u64::from(word.count_ones());
                        }
                    }
                } else {
                    let (shift, mask) = ((x * tile % span) as u32, low(tile.min(64)));
                    for row in rows.chunks_exact(width) {
                        count += u64::from((row[first] >> shift & mask).count_ones());
                    }
                }
                fit.counts[level] = count;
            }
        }
    }

    /// Cells in a word.
    #[inline(always)]
    fn span(&self) -> usize {
        64.max(1 << self.level)
    }
}

/// The lowest `count` bits, 1 to 64.
fn low(count: usize) -> u64 {
    u64::MAX >> (64 - count)
}

/// Every 2^level-th bit.
fn spaced(level: u32) -> u64 {
    match level {
        0..6 => u64::MAX / low(1 << level),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::meter::tests::{alone, noise};

    /// Boxes of `size` that hold a cell of the set, counted one by one in `columns` x `rows` cells
    /// from (x0, y0).
    fn naive(bits: &Bits, [x0, y0]: [usize; 2], [columns, rows]: [usize; 2], size: usize) -> u64 {
        let held = |bx: usize, by: usize| {
            (0..size * size)
                .any(|i| bits.contains(x0 + bx * size + i % size, y0 + by * size + i / size))
        };
        let boxes = (0..rows / size).flat_map(|by| (0..columns / size).map(move |bx| (bx, by)));
        boxes.filter(|(bx, by)| held(*bx, *by)).count() as u64
    }

    #[test]
    fn counts_are_those_of_a_search_box_by_box() {
        let awkward = [1, 2, 3, 5, 17, 1023, 1025];
        let pairs = awkward.iter().flat_map(|nx| awkward.map(|ny| (*nx, ny)));
        let others = [(64, 64), (65, 130), (100, 70), (300, 260)];
        for (nx, ny) in pairs.chain(others) {
            for tile in [8, 32, 64, 128] {
                let range = BoxRange::new(1, nx.min(ny));
                let tile_range = BoxRange::new(1, tile.min(nx).min(ny));
                let mut bits = Bits::new(nx, ny);
                let field = noise(nx * ny, 7);
                bits.fill(&field, 0.995, &alone());
                let mut pyramid = Pyramid::new(nx, ny, tile, range, tile_range);
                pyramid.count(&bits);
                let last = range.map_or(0, |range| range.last);
                for level in 0..=last {
                    let size = 1 << level;
                    let area = [nx >> last << last, ny >> last << last];
                    assert_eq!(
                        pyramid.whole().counts[level as usize],
                        naive(&bits, [0, 0], area, size),
                        "{nx} x {ny}, boxes of {size}"
                    );
                }
                let side = pyramid.tile();
                let [across, _] = pyramid.tile_counts();
                for (k, fit) in pyramid.tiles().iter().enumerate() {
                    for level in 0..=side.ilog2() {
                        let at = [k % across * side, k / across * side];
                        let expected = naive(&bits, at, [side, side], 1 << level);
                        assert_eq!(fit.counts[level as usize], expected, "tile {k}, level {level}");
                    }
                }
            }
        }
    }

    fn dimension_of(
        nx: usize,
        ny: usize,
        inside: impl Fn(usize, usize) -> bool,
    ) -> Option<Dimension> {
        let field: Vec<f32> =
            (0..nx * ny).map(|i| f32::from(u8::from(inside(i % nx, i / nx)))).collect();
        let mut bits = Bits::new(nx, ny);
        bits.fill(&field, 0.5, &alone());
        let range = BoxRange::new(2, nx.min(ny) / 8);
        let mut pyramid = Pyramid::new(nx, ny, 64, range, range);
        pyramid.count(&bits);
        pyramid.whole().dimension()
    }

    #[test]
    fn dimensions_with_known_values() {
        for (nx, ny) in [(256, 256), (100, 130), (1025, 257)] {
            let full = dimension_of(nx, ny, |_, _| true).unwrap();
            assert_eq!(full, Dimension { d: 2.0, r2: Some(1.0) }, "{nx} x {ny}");
            let row = dimension_of(nx, ny, |_, y| y == 3).unwrap();
            assert!((row.d - 1.0).abs() < 1e-12, "a row has dimension 1");
            let point = dimension_of(nx, ny, |x, y| (x, y) == (3, 5)).unwrap();
            assert_eq!(point, Dimension { d: 0.0, r2: Some(1.0) });
            let empty = dimension_of(nx, ny, |_, _| false).unwrap();
            assert_eq!(empty, Dimension { d: 0.0, r2: None });
        }
    }

    /// The Sierpinski triangle, cells with `x & y == 0`: N = 3^(n-k), D = log2 3 exactly.
    #[test]
    fn a_fractal_with_a_known_dimension() {
        let triangle = dimension_of(256, 256, |x, y| x & y == 0).unwrap();
        assert!((triangle.d - 3f64.log2()).abs() < 1e-12);
        assert!((triangle.r2.unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_scale_is_undefined() {
        assert_eq!(dimension_of(17, 17, |_, _| true), None);
        assert_eq!(dimension_of(1, 1, |_, _| true), None);
        assert_eq!(BoxRange::new(3, 3), None);
        assert_eq!(BoxRange::new(3, 9), Some(BoxRange { first: 2, last: 3 }));
    }

    #[test]
    fn local_slopes_of_a_full_field_are_two() {
        let mut bits = Bits::new(128, 128);
        bits.fill(&[1.0; 128 * 128], 0.5, &alone());
        let range = BoxRange::new(2, 16);
        let mut pyramid = Pyramid::new(128, 128, 64, range, range);
        pyramid.count(&bits);
        assert_eq!(pyramid.whole().local_slopes().collect::<Vec<_>>(), [2.0, 2.0, 2.0]);
    }
}
