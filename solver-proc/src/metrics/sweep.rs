//! One pass over rows of cells, several in and several out, as whole vectors of arithmetic.
//!
//! The work of a cell is a plain function of its values; what is here only feeds it. A block of cells
//! is copied out of every row, worked on, and copied back: nothing in between can alias, so that the
//! compiler turns the function into straight vector code however many rows there are. Every cell is
//! worked on alone, in one fixed order of operations, so that no width of vectors changes a bit.
//!
//! Products and sums are fused ([`fma`]): one rounding instead of two, and half of the instructions.
//! A processor without the instruction (before 2013) gets the same bits from a function, slowly.

/// Cells in a block.
pub(crate) const BLOCK: usize = 16;

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
    summed(
        inputs,
        state,
        outputs,
        &mut [],
        #[inline(always)]
        |inputs, state| {
            let (state, outputs) = cell(inputs, state);
            (state, outputs, [])
        },
    );
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
    let mut count = usize::MAX;
    for row in &inputs {
        count = count.min(row.len());
    }
    for row in state.iter().chain(&outputs) {
        count = count.min(row.len());
    }
    let (blocks, rest) = (count / BLOCK, count % BLOCK);
    let mut totals = *sums;
    for b in 0..blocks {
        let mut block = Block::<I, S, O, R>::EMPTY;
        for k in 0..I {
            block.inputs[k] = inputs[k].as_chunks().0[b];
        }
        for k in 0..S {
            block.state[k] = state[k].as_chunks().0[b];
        }
        block.work(&cell);
        for k in 0..S {
            state[k].as_chunks_mut().0[b] = block.state[k];
        }
        for k in 0..O {
            outputs[k].as_chunks_mut().0[b] = block.outputs[k];
        }
        for k in 0..R {
            for l in 0..BLOCK {
                totals[k][l] += block.sums[k][l];
            }
        }
    }
    *sums = totals;
    if rest == 0 {
        return;
    }
    // The cells after the last whole block, among zeros that nobody sees.
    let cells = blocks * BLOCK..count;
    let mut block = Block::<I, S, O, R>::EMPTY;
    for k in 0..I {
        block.inputs[k][..rest].copy_from_slice(&inputs[k][cells.clone()]);
    }
    for k in 0..S {
        block.state[k][..rest].copy_from_slice(&state[k][cells.clone()]);
    }
    block.work(&cell);
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

/// Cells that are worked on together.
struct Block<const I: usize, const S: usize, const O: usize, const R: usize> {
    inputs: [Lanes; I],
    state: [Lanes; S],
    outputs: [Lanes; O],
    sums: [Lanes; R],
}

impl<const I: usize, const S: usize, const O: usize, const R: usize> Block<I, S, O, R> {
    const EMPTY: Self = Self {
        inputs: [[0.0; BLOCK]; I],
        state: [[0.0; BLOCK]; S],
        outputs: [[0.0; BLOCK]; O],
        sums: [[0.0; BLOCK]; R],
    };

    #[inline(always)]
    fn work(&mut self, cell: &impl Fn([f32; I], [f32; S]) -> ([f32; S], [f32; O], [f32; R])) {
        for l in 0..BLOCK {
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
