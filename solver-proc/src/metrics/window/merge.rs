//! Neighbouring groups of columns merge into larger ones, pass by pass, until they are windows.

use std::ops::Range;

use super::rows::Pair;
use crate::metrics::sweep::{BLOCK, block, fma, sweep};

/// Groups of columns become groups of more.
pub(super) struct Pass {
    /// Groups of a row, in whole blocks: from the first that reaches into the field.
    wide: usize,
    /// Those that neither edge clips, in whole blocks.
    middle: Range<usize>,
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

/// Two groups, `shift` columns apart: their shares, and those of the blocks that are not in the middle.
struct Union {
    shift: usize,
    share: Share,
    ends: Vec<End<2>>,
}

/// Three groups of `size` columns. Where an edge clips them: the shares of the outer two, and what the
/// pairs add (first with second, second with third, first with third).
struct Trio {
    size: usize,
    ends: Vec<End<5>>,
}

/// A block of groups, some of which an edge clips: what each takes of those that it is made of.
#[repr(align(64))]
struct End<const TABLES: usize> {
    tables: [[f32; BLOCK]; TABLES],
    first: usize,
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
    let mut passes = Vec::new();
    let mut size = 1;
    for growth in factors(side) {
        let grown = match growth {
            Growth::Twice => 2 * size,
            Growth::Thrice => 3 * size,
            Growth::One => size + 1,
        };
        let wide = (nx + side - grown).next_multiple_of(BLOCK);
        let first = half.next_multiple_of(BLOCK).min(wide);
        let last = ((half + nx + 1).saturating_sub(grown) / BLOCK * BLOCK).clamp(first, wide);
        let ends = || (0..first).chain(last..wide).step_by(BLOCK);
        let union = |joins: usize| Union {
            shift: size,
            share: Share::of(size, joins),
            ends: ends().map(|first| End::clipped(first, size, joins, inside)).collect(),
        };
        let unions = match growth {
            Growth::Twice => Unions::Two(union(size)),
            Growth::Thrice => {
                let ends = ends().map(|first| End::of_three(first, size, inside)).collect();
                Unions::Three(Trio { size, ends })
            }
            Growth::One => Unions::Column(union(1)),
        };
        passes.push(Pass { wide, middle: first..last, unions });
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
    pub(super) fn run(&self, rows: f32, [from, columns]: [&Pair; 2], into: &mut Pair) {
        let [mean, squares] = into.both();
        let out = [&mut mean[..self.wide], &mut squares[..self.wide]];
        match &self.unions {
            Unions::Two(union) => union.run(&self.middle, rows, [from, from], out),
            Unions::Column(union) => union.run(&self.middle, rows, [from, columns], out),
            Unions::Three(trio) => trio.run(&self.middle, rows, from, out),
        }
    }
}

impl Trio {
    #[inline(always)]
    fn run(&self, middle: &Range<usize>, rows: f32, from: &Pair, into: [&mut [f32]; 2]) {
        let [m, s] = from.parts();
        let [mean, squares] = into;
        let [one, two] = [self.size, 2 * self.size];
        let count = rows * self.size as f32;
        sweep(
            [
                part(m, middle, 0),
                part(m, middle, one),
                part(m, middle, two),
                part(s, middle, 0),
                part(s, middle, one),
                part(s, middle, two),
            ],
            [],
            [&mut mean[middle.clone()], &mut squares[middle.clone()]],
            #[inline(always)]
            |[a, b, c, p, q, r], []| ([], unite_alike(count, [a, b, c], p + q + r)),
        );
        for end in &self.ends {
            let at = end.first;
            let [p, q, f, g, h] = &end.tables;
            let united = block(
                [
                    one_block(m, at),
                    one_block(m, at + one),
                    one_block(m, at + two),
                    one_block(s, at),
                    one_block(s, at + one),
                    one_block(s, at + two),
                    p,
                    q,
                    f,
                    g,
                    h,
                ],
                #[inline(always)]
                |[a, b, c, x, y, z, p, q, f, g, h]| {
                    unite_three([p, q], [f * rows, g * rows, h * rows], [a, b, c], x + y + z)
                },
            );
            [*one_block_mut(mean, at), *one_block_mut(squares, at)] = united;
        }
    }
}

impl Union {
    #[inline(always)]
    fn run(
        &self,
        middle: &Range<usize>,
        rows: f32,
        [from, joins]: [&Pair; 2],
        into: [&mut [f32]; 2],
    ) {
        let ([m, s], [a, b]) = (from.parts(), joins.parts());
        let [mean, squares] = into;
        let share = self.share.times(rows);
        sweep(
            [
                part(m, middle, 0),
                part(s, middle, 0),
                part(a, middle, self.shift),
                part(b, middle, self.shift),
            ],
            [],
            [&mut mean[middle.clone()], &mut squares[middle.clone()]],
            #[inline(always)]
            |[m, s, a, b], []| ([], share.unite([m, s], [a, b])),
        );
        for end in &self.ends {
            let at = end.first;
            let [parts, factors] = &end.tables;
            let united = block(
                [
                    one_block(m, at),
                    one_block(s, at),
                    one_block(a, at + self.shift),
                    one_block(b, at + self.shift),
                    parts,
                    factors,
                ],
                #[inline(always)]
                |[m, s, a, b, part, factor]| {
                    Share { part, factor }.times(rows).unite([m, s], [a, b])
                },
            );
            [*one_block_mut(mean, at), *one_block_mut(squares, at)] = united;
        }
    }
}

/// The groups of a range, `shift` further.
#[inline(always)]
fn part<'a>(row: &'a [f32], range: &Range<usize>, shift: usize) -> &'a [f32] {
    &row[range.start + shift..range.end + shift]
}

/// A block of groups.
#[inline(always)]
fn one_block(row: &[f32], first: usize) -> &[f32; BLOCK] {
    &row[first..].as_chunks().0[0]
}

/// A block of groups.
#[inline(always)]
fn one_block_mut(row: &mut [f32], first: usize) -> &mut [f32; BLOCK] {
    &mut row[first..].as_chunks_mut().0[0]
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

impl End<2> {
    /// The block from group `first` on, where `size` columns are joined by as many as `joins` that follow; `inside` has the
    /// columns of a group that are in the field.
    fn clipped(
        first: usize,
        size: usize,
        joins: usize,
        inside: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let share = |l| Share::of(inside(first + l, size), inside(first + l + size, joins));
        let shares: [Share; BLOCK] = std::array::from_fn(share);
        Self { tables: [shares.map(|share| share.part), shares.map(|share| share.factor)], first }
    }
}

impl End<5> {
    /// The block from group `first` on, made of three groups of `size` columns.
    fn of_three(first: usize, size: usize, inside: impl Fn(usize, usize) -> usize) -> Self {
        let mut tables = [[0.0; BLOCK]; 5];
        for l in 0..BLOCK {
            let counts = [0, size, 2 * size].map(|shift| inside(first + l + shift, size));
            let [a, b, c] = counts.map(|count| count as f64);
            let share = |value: f64| if a + b + c > 0.0 { value / (a + b + c) } else { 0.0 };
            let values = [share(a), share(c), share(a * b), share(b * c), share(a * c)];
            for (table, value) in tables.iter_mut().zip(values) {
                table[l] = value as f32;
            }
        }
        Self { tables, first }
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
