//! Neighbouring groups of columns merge into larger ones, pass by pass, until they are windows.

use std::ops::Range;

use super::rows::Pair;
use crate::cells::Buffer;
use crate::metrics::sweep::{BLOCK, fma, sweep, sweep_by};

/// Groups of columns become groups of more.
pub(super) struct Pass {
    /// How much wider the row is than the field: groups that begin left of it.
    wider: usize,
    unions: Unions,
}

enum Unions {
    /// With the same group, `size` further.
    Two(Union),
    /// With those `size` and twice as much further.
    Three(Trio),
    /// With the one column that follows.
    Column(Union),
}

/// Three groups of `size` columns. Where an edge clips them: the shares of the outer two, and what the
/// pairs add (first with second, second with third, first with third).
struct Trio {
    size: usize,
    tables: [Buffer; 5],
}

/// The shares of one union: those in the middle of the field, and those at each column.
struct Union {
    shift: usize,
    middle: Share,
    parts: Buffer,
    factors: Buffer,
}

/// `p` and `k` of a union.
#[derive(Clone, Copy)]
struct Share {
    part: f32,
    factor: f32,
}

/// The passes from single columns to groups of `side`, over rows of `nx` cells.
pub(super) fn passes(nx: usize, side: usize) -> Vec<Pass> {
    let half = side / 2;
    let inside = |i: usize, size: usize| inside(nx, half, i, size);
    let union = |wide: usize, before: usize, joins: usize| {
        let share = |i| Share::of(inside(i, before), inside(i + before, joins));
        let table = |value: &dyn Fn(Share) -> f32| {
            let mut cells = Buffer::new(wide, 8);
            cells.iter_mut().enumerate().for_each(|(i, cell)| *cell = value(share(i)));
            cells
        };
        let middle = Share::of(before, joins);
        let (parts, factors) = (table(&|share| share.part), table(&|share| share.factor));
        Union { shift: before, middle, parts, factors }
    };
    let mut passes = Vec::new();
    let mut size = 1;
    for factor in factors(side) {
        let grown = match factor {
            Growth::Twice => 2 * size,
            Growth::Thrice => 3 * size,
            Growth::One => size + 1,
        };
        let wider = side - grown;
        let wide = (nx + wider).next_multiple_of(BLOCK);
        let unions = match factor {
            Growth::Twice => Unions::Two(union(wide, size, size)),
            Growth::Thrice => {
                let counts = |i: usize| [i, i + size, i + 2 * size].map(|i| inside(i, size));
                Unions::Three(Trio::new(wide, size, counts))
            }
            Growth::One => Unions::Column(union(wide, size, 1)),
        };
        passes.push(Pass { wider, unions });
        size = grown;
    }
    passes
}

/// Columns of the field among the `size` that begin at column `i`, counted from -`half`.
pub(super) fn inside(nx: usize, half: usize, i: usize, size: usize) -> usize {
    (i + size).min(half + nx).saturating_sub(i.max(half))
}

impl Pass {
    /// Merges the groups `from` the pass before, or with single columns, `into` those of this pass; every
    /// column has so many rows.
    #[inline(always)]
    pub(super) fn run(
        &self,
        nx: usize,
        half: usize,
        rows: f32,
        [from, columns]: [&Pair; 2],
        into: &mut Pair,
    ) {
        let wide = (nx + self.wider).next_multiple_of(BLOCK);
        let grown = 2 * half + 1 - self.wider;
        // Groups that neither edge clips; the others, in blocks of their own, have shares of their own.
        let first = half.next_multiple_of(BLOCK).min(wide);
        let last = (half + nx + 1).saturating_sub(grown).min(wide.saturating_sub(BLOCK)).max(first);
        for (range, middle) in [(0..first, false), (first..last, true), (last..wide, false)] {
            self.part(range, middle, rows, [from, columns], into);
        }
    }

    /// The groups of a range, of columns with so many rows; `middle` says that all groups are whole.
    #[inline(always)]
    fn part(
        &self,
        range: Range<usize>,
        middle: bool,
        rows: f32,
        [from, columns]: [&Pair; 2],
        into: &mut Pair,
    ) {
        let [m, s] = [&from.first[range.clone()], &from.second[range.clone()]];
        let out = [&mut into.first[range.clone()], &mut into.second[range.clone()]];
        let (pair, union) = match &self.unions {
            Unions::Two(union) => (from, union),
            Unions::Column(union) => (columns, union),
            Unions::Three(trio) => {
                let [one, two] = [trio.size, 2 * trio.size];
                let (a, b) = (from.first.at(&range, one), from.second.at(&range, one));
                let (c, d) = (from.first.at(&range, two), from.second.at(&range, two));
                if middle {
                    let count = rows * trio.size as f32;
                    sweep(
                        [m, s, a, b, c, d],
                        [],
                        out,
                        #[inline(always)]
                        |[m, s, a, b, c, d], []| ([], unite_alike(count, [m, a, c], s + b + d)),
                    );
                } else {
                    let table = |k: usize| &trio.tables[k][range.clone()];
                    let [p, q, f, g, h] = [table(0), table(1), table(2), table(3), table(4)];
                    sweep_by::<BLOCK, _, _, _>(
                        [m, s, a, b, c, d, p, q, f, g, h],
                        [],
                        out,
                        #[inline(always)]
                        |[m, s, a, b, c, d, p, q, f, g, h], []| {
                            let factors = [f * rows, g * rows, h * rows];
                            ([], unite_three([p, q], factors, [m, a, c], s + b + d))
                        },
                    );
                }
                return;
            }
        };
        let shift = union.shift;
        let (a, b) = (pair.first.at(&range, shift), pair.second.at(&range, shift));
        if middle {
            let share = union.middle.times(rows);
            sweep(
                [m, s, a, b],
                [],
                out,
                #[inline(always)]
                |[m, s, a, b], []| ([], share.unite([m, s], [a, b])),
            );
        } else {
            let [p, f] = union.tables(&range);
            sweep_by::<BLOCK, _, _, _>(
                [m, s, a, b, p, f],
                [],
                out,
                #[inline(always)]
                |[m, s, a, b, part, factor], []| {
                    let share = Share { part, factor }.times(rows);
                    ([], share.unite([m, s], [a, b]))
                },
            );
        }
    }
}

/// Mean and sum of squares of the union of three groups of `count` cells each, from their means and
/// the sum of their sums of squares: with l and r how far the outer means are from the middle one,
/// `M = .. + n (l-r)^2/2 + n (l+r)^2/6`.
#[inline(always)]
fn unite_alike(count: f32, [a, b, c]: [f32; 3], squares: f32) -> [f32; 2] {
    let (l, r) = (a - b, c - b);
    let (apart, both) = (l - r, l + r);
    let squares = fma(apart * (count * (1.0 / 2.0)), apart, squares);
    [fma(both, 1.0 / 3.0, b), fma(both * (count * (1.0 / 6.0)), both, squares)]
}

/// The same of three groups of different size: the mean is `b + p l + q r` with the shares of the outer
/// groups, and every pair adds `n_i n_j/n` times the square of what is between.
#[inline(always)]
fn unite_three(
    [p, q]: [f32; 2],
    [first, second, outer]: [f32; 3],
    [a, b, c]: [f32; 3],
    squares: f32,
) -> [f32; 2] {
    let (l, r) = (a - b, c - b);
    let apart = l - r;
    let squares = fma(first * l, l, fma(second * r, r, squares));
    [fma(p, l, fma(q, r, b)), fma(outer * apart, apart, squares)]
}

impl Trio {
    /// The shares of three groups of `size` columns; `counts` has the columns inside of the field.
    fn new(wide: usize, size: usize, counts: impl Fn(usize) -> [usize; 3]) -> Self {
        let mut tables: [Buffer; 5] = std::array::from_fn(|_| Buffer::new(wide, 8));
        for i in 0..wide {
            let [a, b, c] = counts(i).map(|count| count as f64);
            let share = |value: f64| if a + b + c > 0.0 { value / (a + b + c) } else { 0.0 };
            let values = [share(a), share(c), share(a * b), share(b * c), share(a * c)];
            for (table, value) in tables.iter_mut().zip(values) {
                table[i] = value as f32;
            }
        }
        Self { size, tables }
    }
}

impl Union {
    /// Shares of the groups in a range.
    #[inline(always)]
    fn tables(&self, range: &Range<usize>) -> [&[f32]; 2] {
        [&self.parts[range.clone()], &self.factors[range.clone()]]
    }
}

impl Share {
    /// Of the union of `a` cells with `b` cells.
    fn of(a: usize, b: usize) -> Self {
        let (a, b) = (a as f64, b as f64);
        let share = |value: f64| if b > 0.0 { (value / (a + b)) as f32 } else { 0.0 };
        Self { part: share(b), factor: share(a * b) }
    }

    /// The same where every column is a group of so many rows.
    #[inline(always)]
    fn times(self, rows: f32) -> Self {
        Self { factor: self.factor * rows, ..self }
    }

    /// Mean and sum of squares of the union of two groups.
    #[inline(always)]
    fn unite(self, [mean_a, squares_a]: [f32; 2], [mean_b, squares_b]: [f32; 2]) -> [f32; 2] {
        let apart = mean_b - mean_a;
        let squares = fma(self.factor * apart, apart, squares_a + squares_b);
        [fma(self.part, apart, mean_a), squares]
    }
}

/// How a group grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    Twice,
    Thrice,
    One,
}

/// How one column grows into `side`.
fn factors(side: usize) -> Vec<Growth> {
    let (before, last) = match side {
        0 | 1 => return Vec::new(),
        _ if side.is_multiple_of(3) => (side / 3, Growth::Thrice),
        _ if side.is_multiple_of(2) => (side / 2, Growth::Twice),
        _ => (side - 1, Growth::One),
    };
    let mut all = factors(before);
    all.push(last);
    all
}
