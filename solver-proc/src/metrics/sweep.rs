//! One pass over rows of cells, several in and several out, as whole vectors of arithmetic.
//!
//! The work of a cell is a plain function of its values; what is here only feeds it. A block of cells
//! is copied out of every row, worked on, and copied back: nothing in between can alias, so that the
//! compiler turns the function into straight vector code however many rows there are. Every cell is
//! worked on alone, in one fixed order of operations, so that no width of vectors changes a bit.
//!
//! Products and sums are fused ([`fma`]): one rounding instead of two, and half of the instructions.
//! A processor without the instruction (before 2013) gets the same bits from a function, slowly.

// Iterators over the rows of a block would be functions, compiled for the oldest processor.
#![allow(clippy::needless_range_loop)]

/// Cells in a block.
pub(crate) const BLOCK: usize = 16;

/// Cells in a block of little work.
const LONG: usize = 64;

/// Cells that are added up in single precision, lane by lane, before they go into a double.
pub(crate) const SUMMED_MAX: usize = 64 * BLOCK;

/// Sums of one output over a row, cell `i` in lane `i % BLOCK`.
pub(crate) type Lanes = [f32; BLOCK];

/// `a b + c`, rounded once.
#[inline(always)]
pub(crate) fn fma(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}

/// The value, or 0 where it is below.
#[inline(always)]
pub(crate) fn positive(value: f32) -> f32 {
    if value > 0.0 { value } else { 0.0 }
}

/// Does `cell` on every cell of the rows, all of one length: takes the inputs and the state, gives
/// the new state and the outputs.
#[inline(always)]
pub(crate) fn sweep<const I: usize, const S: usize, const O: usize>(
    inputs: [&[f32]; I],
    state: [&mut [f32]; S],
    outputs: [&mut [f32]; O],
    cell: impl Fn([f32; I], [f32; S]) -> ([f32; S], [f32; O]),
) {
    let mut rows = Rows { inputs, state, outputs };
    let count = rows.count();
    let cell = |inputs, state| {
        let (state, outputs) = cell(inputs, state);
        (state, outputs, [])
    };
    // A short loop over a block can be unrolled cell by cell, and blocks then gathered: hence long ones, wherever there
    // are cells enough.
    let long = count / LONG * LONG;
    rows.blocks::<LONG, 0>(0, long, &mut [], &cell);
    if long == count {
        return;
    }
    if S == 0 && long > 0 {
        // The last cells, some of them again: without a state they come to the same.
        rows.blocks::<LONG, 0>(count - LONG, count, &mut [], &cell);
    } else {
        rows.blocks::<BLOCK, 0>(long, count, &mut [], &cell);
    }
}

/// [`sweep`], with sums: what `cell` gives last is added to the lanes of `sums`.
///
/// A lane takes in one cell of [`BLOCK`]: rows should be short enough for single precision.
#[inline(always)]
pub(crate) fn summed<const I: usize, const S: usize, const O: usize, const R: usize>(
    inputs: [&[f32]; I],
    state: [&mut [f32]; S],
    outputs: [&mut [f32]; O],
    sums: &mut [Lanes; R],
    cell: impl Fn([f32; I], [f32; S]) -> ([f32; S], [f32; O], [f32; R]),
) {
    let mut rows = Rows { inputs, state, outputs };
    let count = rows.count();
    rows.blocks::<BLOCK, R>(0, count, sums, &cell);
}

/// [`sweep`] over one block.
#[inline(always)]
pub(crate) fn block<const I: usize, const O: usize>(
    inputs: [&[f32; BLOCK]; I],
    cell: impl Fn([f32; I]) -> [f32; O],
) -> [[f32; BLOCK]; O] {
    let mut block = Block::<BLOCK, I, 0, O, 0>::EMPTY;
    for k in 0..I {
        block.inputs[k] = *inputs[k];
    }
    block.work(&|inputs, []| ([], cell(inputs), []));
    block.outputs
}

/// The rows of a sweep.
struct Rows<'a, const I: usize, const S: usize, const O: usize> {
    inputs: [&'a [f32]; I],
    state: [&'a mut [f32]; S],
    outputs: [&'a mut [f32]; O],
}

impl<const I: usize, const S: usize, const O: usize> Rows<'_, I, S, O> {
    /// Cells of the shortest.
    #[inline(always)]
    fn count(&self) -> usize {
        let mut count = usize::MAX;
        for row in &self.inputs {
            count = count.min(row.len());
        }
        for row in &self.state {
            count = count.min(row.len());
        }
        for row in &self.outputs {
            count = count.min(row.len());
        }
        count
    }

    /// The cells from `first` to `end`, in blocks of `B`; the last one may be short.
    #[inline(always)]
    fn blocks<const B: usize, const R: usize>(
        &mut self,
        first: usize,
        end: usize,
        sums: &mut [[f32; B]; R],
        cell: &impl Fn([f32; I], [f32; S]) -> ([f32; S], [f32; O], [f32; R]),
    ) {
        let Self { inputs, state, outputs } = self;
        let (blocks, rest) = ((end - first) / B, (end - first) % B);
        let mut totals = *sums;
        for b in 0..blocks {
            let mut block = Block::<B, I, S, O, R>::EMPTY;
            for k in 0..I {
                block.inputs[k] = inputs[k][first..].as_chunks().0[b];
            }
            for k in 0..S {
                block.state[k] = state[k][first..].as_chunks().0[b];
            }
            block.work(cell);
            for k in 0..S {
                state[k][first..].as_chunks_mut().0[b] = block.state[k];
            }
            for k in 0..O {
                outputs[k][first..].as_chunks_mut().0[b] = block.outputs[k];
            }
            for k in 0..R {
                for l in 0..B {
                    totals[k][l] += block.sums[k][l];
                }
            }
        }
        *sums = totals;
        if rest == 0 {
            return;
        }
        // The cells after the last whole block, among zeros that nobody sees.
        let cells = first + blocks * B..end;
        let mut block = Block::<B, I, S, O, R>::EMPTY;
        for k in 0..I {
            block.inputs[k][..rest].copy_from_slice(&inputs[k][cells.clone()]);
        }
        for k in 0..S {
            block.state[k][..rest].copy_from_slice(&state[k][cells.clone()]);
        }
        block.work(cell);
        for k in 0..S {
            state[k][cells.clone()].copy_from_slice(&block.state[k][..rest]);
        }
        for k in 0..O {
            outputs[k][cells.clone()].copy_from_slice(&block.outputs[k][..rest]);
        }
        for k in 0..R {
            for l in 0..rest {
                sums[k][l] += block.sums[k][l];
            }
        }
    }
}

/// Cells that are worked on together.
struct Block<const B: usize, const I: usize, const S: usize, const O: usize, const R: usize> {
    inputs: [[f32; B]; I],
    state: [[f32; B]; S],
    outputs: [[f32; B]; O],
    sums: [[f32; B]; R],
}

impl<const B: usize, const I: usize, const S: usize, const O: usize, const R: usize>
    Block<B, I, S, O, R>
{
    const EMPTY: Self = Self {
        inputs: [[0.0; B]; I],
        state: [[0.0; B]; S],
        outputs: [[0.0; B]; O],
        sums: [[0.0; B]; R],
    };

    #[inline(always)]
    fn work(&mut self, cell: &impl Fn([f32; I], [f32; S]) -> ([f32; S], [f32; O], [f32; R])) {
        for l in 0..B {
            let (mut inputs, mut state) = ([0.0; I], [0.0; S]);
            for k in 0..I {
                inputs[k] = self.inputs[k][l];
            }
            for k in 0..S {
                state[k] = self.state[k][l];
            }
            let (state, outputs, sums) = cell(inputs, state);
            for k in 0..S {
                self.state[k][l] = state[k];
            }
            for k in 0..O {
                self.outputs[k][l] = outputs[k];
            }
            for k in 0..R {
                self.sums[k][l] = sums[k];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_worked_on_once_at_every_length() {
        for count in [0, 1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 1023, 1025] {
            let a: Vec<f32> = (0..count + 5).map(|i| i as f32).collect();
            let mut state = vec![1.0f32; count];
            let mut out = vec![-1.0f32; count];
            let mut sums = [[0.0; BLOCK]];
            summed([&a], [&mut state], [&mut out], &mut sums, |[a], [s]| ([s + a], [2.0 * a], [a]));
            assert!((0..count).all(|i| state[i] == 1.0 + i as f32 && out[i] == 2.0 * i as f32));
            let sum: f32 = sums[0].iter().sum();
            assert_eq!(sum, (count * count.saturating_sub(1) / 2) as f32);
            sweep([], [&mut state], [], |[], [s]| ([s - 1.0], []));
            assert!((0..count).all(|i| state[i] == i as f32));
        }
    }
}
