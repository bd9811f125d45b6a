//! A field as a set: one bit a cell, 64 to a word, every row on its own words.

use super::sweep::BLOCK;
use crate::workers::{STRIPS_MAX, Workers, strip_rows};

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

    /// Becomes the set of `field` (row-major) above `theta`; returns the largest magnitude there.
    pub fn fill(&mut self, field: &[f32], theta: f32, workers: &Workers) -> f32 {
        let least = magnitude_bits(theta).max(1);
        let mut peaks = [[0u32; BLOCK]; STRIPS_MAX];
        let jobs = self.strips(field).zip(peaks.iter_mut());
        let arch = workers.arch();
        workers.each(
            jobs,
            #[inline(always)]
            |(strip, peak)| {
                strip.each(
                    #[inline(always)]
                    |_, word, cells| [*word] = above(arch, cells, [least], peak),
                );
            },
        );
        f32::from_bits(peaks.as_flattened().iter().fold(0, |peak, lane| peak.max(*lane)))
    }

    /// The words of each strip with the cells they stand for, from the last strip to the first.
    pub(crate) fn strips<'a>(&'a mut self, field: &'a [f32]) -> impl Iterator<Item = Strip<'a>> {
        let (nx, width, rows) = (self.nx, self.nx.div_ceil(64), strip_rows(self.ny));
        let words = self.words.chunks_mut(rows * width).zip(field.chunks(rows * nx));
        let strips = words.enumerate().map(move |(k, (words, field))| Strip {
            nx,
            first: k * rows * width,
            words,
            field,
        });
        strips.rev()
    }

    /// Takes in the cell with bit `at % 64` of word `at / 64`.
    pub(crate) fn insert(&mut self, at: usize) {
        self.words[at / 64] |= 1 << (at % 64);
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

/// The words of a strip of rows, and the cells they stand for.
pub(crate) struct Strip<'a> {
    nx: usize,
    first: usize,
    words: &'a mut [u64],
    field: &'a [f32],
}

impl Strip<'_> {
    /// Does `work` on every word, with its index and its cells, from the last row to the first: the
    /// metrics then begin with the rows that were looked at last, which are still in the cache.
    #[inline(always)]
    pub(crate) fn each(self, mut work: impl FnMut(usize, &mut u64, &[f32; 64])) {
        let width = self.nx.div_ceil(64);
        let rows = self.words.chunks_exact_mut(width).zip(self.field.chunks_exact(self.nx));
        for (y, (words, row)) in rows.enumerate().rev() {
            let (whole, rest) = row.as_chunks::<64>();
            let first = self.first + y * width;
            for (x, (word, cells)) in words.iter_mut().zip(whole).enumerate() {
                work(first + x, word, cells);
            }
            if let (Some(word), false) = (words.get_mut(whole.len()), rest.is_empty()) {
                // Silence, which is in no set.
                let mut cells = [0.0; 64];
                cells[..rest.len()].copy_from_slice(rest);
                work(first + whole.len(), word, &cells);
            }
        }
    }
}

/// For each of the patterns, the cells whose magnitude is at or above it. Raises `peak` to the largest.
#[inline(always)]
pub(crate) fn above<const N: usize>(
    arch: pulp::Arch,
    cells: &[f32; 64],
    patterns: [u32; N],
    peak: &mut [u32; BLOCK],
) -> [u64; N] {
    let (blocks, _) = cells.as_chunks::<BLOCK>();
    let mut words = [0; N];
    // Loops and no iterators: what is not inlined here would be compiled without these instructions.
    #[cfg(target_arch = "x86_64")]
    if let pulp::Arch::V4(simd) = arch {
        let positive = simd.splat_u32x16(0x7fff_ffff);
        let mut largest: pulp::u32x16 = pulp::cast(*peak);
        for (k, block) in blocks.iter().enumerate() {
            let magnitudes = simd.and_u32x16(pulp::cast(*block), positive);
            largest = pulp::cast(
                simd.avx512f._mm512_max_epu32(pulp::cast(largest), pulp::cast(magnitudes)),
            );
            for (word, least) in words.iter_mut().zip(patterns) {
                let pulp::b16(bits) = simd.cmp_ge_u32x16(magnitudes, simd.splat_u32x16(least));
                *word |= u64::from(bits) << (k * BLOCK);
            }
        }
        *peak = pulp::cast(largest);
        return words;
    }
    let _ = arch;
    let mut magnitudes = [[0u32; BLOCK]; 4];
    for (magnitudes, cells) in magnitudes.iter_mut().zip(blocks) {
        for l in 0..BLOCK {
            magnitudes[l] = magnitude_bits(cells[l]);
            peak[l] = peak[l].max(magnitudes[l]);
        }
    }
    for (word, least) in words.iter_mut().zip(patterns) {
        *word = pack(magnitudes.as_flattened(), least);
    }
    words
}

/// 64 cells as bits. A byte for each cell first, because that is a loop of vectors, then eight bytes
/// to eight bits by one multiplication.
#[inline(always)]
fn pack(magnitudes: &[u32], least: u32) -> u64 {
    let mut bytes = [0u8; 64];
    for (byte, magnitude) in bytes.iter_mut().zip(magnitudes) {
        *byte = u8::from(*magnitude >= least);
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
