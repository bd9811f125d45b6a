//! The matrix against the textbook formula, its symmetries, and everything that has no correlation.

use proptest::prelude::*;

use super::*;

/// The textbook, for one pair: means, then sums of products over the common ticks.
fn naive(a: &[f64], b: &[f64]) -> f64 {
    let both: Vec<(f64, f64)> = a
        .iter()
        .zip(b)
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .map(|(&x, &y)| (x, y))
        .collect();
    let n = both.len() as f64;
    let (mx, my) =
        (both.iter().map(|p| p.0).sum::<f64>() / n, both.iter().map(|p| p.1).sum::<f64>() / n);
    let sxy: f64 = both.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let sxx: f64 = both.iter().map(|(x, _)| (x - mx).powi(2)).sum();
    let syy: f64 = both.iter().map(|(_, y)| (y - my).powi(2)).sum();
    sxy / (sxx * syy).sqrt()
}

fn run(rows: &[Vec<f64>]) -> Vec<f64> {
    let ticks = rows.first().map_or(0, Vec::len);
    let mut out = vec![7.0; rows.len() * rows.len()];
    correlate(&rows.concat(), rows.len(), ticks, &mut out);
    out
}

fn bits(matrix: &[f64]) -> Vec<u64> {
    matrix.iter().map(|r| r.to_bits()).collect()
}

/// Rows of values around 3, with holes of every kind in about one place of six.
fn rows() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let value = prop_oneof![
        10 => (0.0..6.0f64).prop_map(|x| x),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
    ];
    (1usize..7, 0usize..40).prop_flat_map(move |(agents, ticks)| {
        prop::collection::vec(prop::collection::vec(value.clone(), ticks), agents)
    })
}

proptest! {
    #[test]
    fn every_pair_is_the_textbooks(rows in rows()) {
        let (matrix, n) = (run(&rows), rows.len());
        for i in 0..n {
            for j in 0..n {
                let r = matrix[i * n + j];
                prop_assert_eq!(r.to_bits(), matrix[j * n + i].to_bits());
                let common = rows[i].iter().zip(&rows[j]).filter(|(x, y)| (*x + *y).is_finite()).count();
                if common < MIN_COMMON_TICKS {
                    prop_assert_eq!(r.to_bits(), UNDEFINED.to_bits());
                } else {
                    prop_assert!((r - naive(&rows[i], &rows[j])).abs() < 1e-12, "{} {}", i, j);
                    prop_assert!(r.abs() <= 1.0 && (i != j || r == 1.0));
                }
            }
        }
    }

    #[test]
    fn the_order_of_agents_moves_elements_and_changes_none(rows in rows(), turn in 0usize..7) {
        let n = rows.len();
        let mut turned = rows.clone();
        turned.rotate_left(turn % n);
        let (matrix, other) = (run(&rows), run(&turned));
        for i in 0..n {
            for j in 0..n {
                let (a, b) = ((i + turn % n) % n, (j + turn % n) % n);
                prop_assert_eq!(other[i * n + j].to_bits(), matrix[a * n + b].to_bits());
            }
        }
    }

    #[test]
    fn scale_and_offset_change_nothing_but_the_sign(
        rows in rows(), scale in 1e-3..1e3f64, offset in -1e3..1e3f64, flip: bool,
    ) {
        let n = rows.len();
        let scale = if flip { -scale } else { scale };
        let mut moved = rows.clone();
        moved[0].iter_mut().for_each(|x| *x = *x * scale + offset);
        let (matrix, other) = (run(&rows), run(&moved));
        for j in 1..n {
            let expected = matrix[j] * scale.signum();
            prop_assert!(other[j].is_nan() == expected.is_nan());
            prop_assert!(expected.is_nan() || (other[j] - expected).abs() < 1e-8);
        }
    }

    /// A hole in the others sends the pair (0, 1) down the other way; its bits stay.
    #[test]
    fn the_short_way_and_the_long_way_give_the_same_bits(
        a in prop::collection::vec(0.0..6.0f64, 30), b in prop::collection::vec(0.0..6.0f64, 30),
        at in 0usize..31,
    ) {
        let whole = run(&[a.clone(), b.clone()]);
        // The long way: one more tick, which only one of the two has.
        let (mut longer_a, mut longer_b) = (a, b);
        longer_a.insert(at, 4.5);
        longer_b.insert(at, f64::NAN);
        let long = run(&[longer_a, longer_b]);
        prop_assert_eq!(whole[1].to_bits(), long[1].to_bits());
    }
}

#[test]
fn a_constant_correlates_with_nothing() {
    let moving: Vec<f64> = (0..300).map(|t| f64::from(t).sin()).collect();
    // 0.1 is not a binary fraction: its mean over 300 is off by a rounding, its variance is not zero.
    for constant in [0.1, 0.0, -3.3e300, 1e-310] {
        let matrix = run(&[vec![constant; 300], moving.clone()]);
        assert_eq!(bits(&matrix), bits(&[UNDEFINED, UNDEFINED, UNDEFINED, 1.0]), "{constant}");
    }
    let nearly: Vec<f64> = (0..300).map(|t| 1.0 + f64::from(t % 2) * 2e-16).collect();
    assert!(run(&[nearly, moving.clone()])[1].is_nan());
    // Constant over the common ticks only.
    let mut late: Vec<f64> = vec![2.0; 300];
    late[0] = 5.0;
    let mut blind = moving;
    blind[0] = f64::NAN;
    let matrix = run(&[late, blind]);
    assert_eq!(bits(&matrix), bits(&[1.0, UNDEFINED, UNDEFINED, 1.0]));
}

#[test]
fn the_ends_of_the_range_do_not_overflow() {
    let wave: Vec<f64> = (0..64).map(|t| f64::from(t).sin()).collect();
    let scaled = |by: f64| wave.iter().map(|x| x * by).collect::<Vec<f64>>();
    let matrix = run(&[wave.clone(), scaled(f64::MAX), scaled(1e-300), scaled(-1.0)]);
    for (other, expected) in [(1, 1.0), (2, 1.0), (3, -1.0)] {
        assert!((matrix[other] - expected).abs() < 1e-12, "{other}: {}", matrix[other]);
    }
}

#[test]
fn none_and_one_and_too_few() {
    assert!(run(&[]).is_empty());
    assert_eq!(run(&[vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]), [1.0]);
    assert!(run(&[vec![1.0, 2.0], vec![2.0, 1.0]]).iter().all(|r| r.is_nan()));
    let seven: Vec<f64> = (0..7).map(f64::from).collect();
    assert!(run(&[seven.clone(), seven]).iter().all(|r| r.is_nan()));
    assert!(run(&[vec![], vec![]]).iter().all(|r| r.is_nan()));
}
