//! Places for things that nobody placed: an even lattice, clear of the edges.

/// `count` cells of a field of `size` cells, row by row, in a lattice whose shape follows the field's.
///
/// Every cell is inside the field; in a field with fewer cells than `count`, cells repeat.
pub(crate) fn lattice(count: usize, size: [u32; 2]) -> Vec<[u32; 2]> {
    if count == 0 {
        return Vec::new();
    }
    let aspect = f64::from(size[0]) / f64::from(size[1].max(1));
    let columns = ((count as f64 * aspect).sqrt().round() as usize).clamp(1, count);
    let rows = count.div_ceil(columns);
    let place = |index: usize, parts: usize, cells: u32| {
        let cell = (index * 2 + 1) as u64 * u64::from(cells) / (2 * parts as u64);
        u32::try_from(cell).unwrap_or(u32::MAX).min(cells.saturating_sub(1))
    };
    (0..count)
        .map(|i| {
            let (row, column) = (i / columns, i % columns);
            // The last row may be short: it is spread over the whole width.
            let in_row = if row + 1 == rows { count - row * columns } else { columns };
            [place(column, in_row, size[0]), place(row, rows, size[1])]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_in_a_square_are_three_by_three() {
        let places = lattice(9, [256, 256]);
        assert_eq!(places[0], [42, 42]);
        assert_eq!(places[4], [128, 128]);
        assert_eq!(places[8], [213, 213]);
    }

    #[test]
    fn always_inside_and_never_the_same_while_there_is_room() {
        for size in [[256, 256], [64, 512], [512, 64]] {
            for count in 1..200 {
                let mut places = lattice(count, size);
                assert!(places.iter().all(|p| p[0] < size[0] && p[1] < size[1]));
                places.sort_unstable();
                places.dedup();
                assert_eq!(places.len(), count, "{size:?}");
            }
        }
        assert_eq!(lattice(3, [1, 1]), [[0, 0]; 3]);
        assert!(lattice(0, [8, 8]).is_empty());
    }
}
