//! A field as a set: one bit a cell, 64 to a word, every row on its own words.

use crate::workers::{Workers, strip_rows};

/// Bit patterns of single-precision magnitudes order as the magnitudes do, NaN above infinity.
#[inline(always)]
pub(crate) fn magnitude_bits(value: f32) -> u32 {
    value.to_bits() & 0x7fff_ffff
}

/// The cells with `|u| >= theta` and `|u| > 0`: a silent cell belongs to no set.
pub struct Bits {
    nx: usize,
    ny: usize,
    words: Vec<u64>,
}

impl Bits {
    /// An empty set of cells.
    pub fn new(nx: usize, ny: usize) -> Self {
        Self { nx, ny, words: vec![0; nx.div_ceil(64) * ny] }
    }

    /// Becomes the set of `field` (row-major) above `theta`.
    pub fn fill(&mut self, field: &[f32], theta: f32, workers: &Workers) {
        let least = magnitude_bits(theta).max(1);
        let (nx, width) = (self.nx, self.nx.div_ceil(64));
        let rows = strip_rows(self.ny);
        let jobs = self.words.chunks_mut(rows * width).zip(field.chunks(rows * nx));
        workers.each(
            jobs,
            #[inline(always)]
            |(words, field)| {
                for (words, row) in words.chunks_exact_mut(width).zip(field.chunks_exact(nx)) {
                    for (word, cells) in words.iter_mut().zip(row.chunks(64)) {
                        *word = pack(cells, least);
                    }
                }
            },
        );
    }

    /// Whether cell (x, y) is in the set.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        self.words[y * self.nx.div_ceil(64) + x / 64] >> (x % 64) & 1 == 1
    }

    /// Cells in the set.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The words, row by row; bit `x % 64` of word `x / 64` is cell x. Bits past a row are zero.
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}

/// At most 64 cells as bits. A byte for each cell first, because that is a loop of vectors, then
/// eight bytes to eight bits by one multiplication.
#[inline(always)]
fn pack(cells: &[f32], least: u32) -> u64 {
    let mut bytes = [0u8; 64];
    if let Ok(cells) = <&[f32; 64]>::try_from(cells) {
        for (byte, cell) in bytes.iter_mut().zip(cells) {
            *byte = u8::from(magnitude_bits(*cell) >= least);
        }
    } else {
        for (byte, cell) in bytes.iter_mut().zip(cells) {
            *byte = u8::from(magnitude_bits(*cell) >= least);
        }
    }
    let (eights, _) = bytes.as_chunks::<8>();
    eights.iter().rev().fold(0, |word, eight| {
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word << 8 | gathered
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::meter::tests::alone;

    #[test]
    fn every_cell_has_its_bit_at_awkward_widths() {
        for nx in [1, 2, 3, 5, 17, 63, 64, 65, 130] {
            let ny = 3;
            let field: Vec<f32> =
                (0..nx * ny).map(|i| ((i * 7919) % 13) as f32 / 6.0 - 1.0).collect();
            let mut bits = Bits::new(nx, ny);
            bits.fill(&field, 0.5, &alone());
            let mut count = 0;
            for (i, value) in field.iter().enumerate() {
                assert_eq!(bits.contains(i % nx, i / nx), value.abs() >= 0.5, "cell {i} of {nx}");
                count += u64::from(value.abs() >= 0.5);
            }
            assert_eq!(bits.count(), count, "no bit past the row");
        }
    }

    #[test]
    fn silence_is_in_no_set() {
        let mut bits = Bits::new(70, 2);
        bits.fill(&[0.0; 140], 0.0, &alone());
        assert_eq!(bits.count(), 0);
        bits.fill(&[-0.0; 140], 0.0, &alone());
        assert_eq!(bits.count(), 0);
    }
}
