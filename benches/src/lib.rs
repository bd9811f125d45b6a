//! What the measurements share: the machine's name, a median with its spread, a hash of results.

#![forbid(unsafe_code)]

use std::fmt;

/// Model and number of this machine's processors, for the head of a table.
pub fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.unwrap_or("processor of unknown model"))
}

/// A median of several runs, with the smallest and the largest of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Smallest.
    pub min: f64,
    /// The middle one, the upper of two.
    pub median: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`; `None` of none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        Some(Self { min, median: values[values.len() / 2], max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.1} ({:.1}..{:.1})", self.median, self.min, self.max);
        f.pad(&text)
    }
}

/// FNV-1a over the bits of a field, so that a faster program can be seen to compute the same.
pub fn hash(field: &[f32], seed: u64) -> u64 {
    let bytes = field.iter().flat_map(|cell| cell.to_bits().to_le_bytes());
    bytes.fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_middle_in_the_middle() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(spread.to_string(), "2.0 (1.0..3.0)");
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_hash_sees_one_bit() {
        assert_ne!(hash(&[0.0, 1.0], 7), hash(&[-0.0, 1.0], 7));
    }
}
