//! What no frame of the metrics can be cheaper than on this machine: its bytes with next to no work, and its
//! operations with no bytes.

use std::hint::black_box;
use std::time::Instant;

use memmap2::{Advice, MmapMut};
use pulp::{Simd, WithSimd};

/// Vector operations of a frame for sixteen cells, as counted by hand in the machine code of its loops (`objdump -d`,
/// AVX-512, Rust 1.95): survey 8, memory 24, windows 33, coherence, gain and index 45. A square root is one of them here, and takes the
/// time of twelve.
pub(crate) const OPERATIONS: usize = 110;
/// Chains of operations under way at once.
const CHAINS: usize = 8;
/// Cells from the beginning of one field's first page to another's: rows of them do not look alike to a processor.
const STAGGER: usize = 112;

/// The fields that a frame moves: u is read; envelope, its mean, its variance and the dwell time are read and written; CI
/// is written.
pub(crate) struct Bytes {
    fields: [MmapMut; FIELDS],
    cells: usize,
}

const FIELDS: usize = 6;

impl Bytes {
    /// Fields of `cells` cells.
    pub(crate) fn new(cells: usize) -> std::io::Result<Self> {
        let field = || {
            let mut map = MmapMut::map_anon((cells + FIELDS * STAGGER) * size_of::<f32>())?;
            // A wish: small pages do as well, slower.
            let _ = map.advise(Advice::HugePage);
            map.fill(0);
            std::io::Result::Ok(map)
        };
        let fields = [field()?, field()?, field()?, field()?, field()?, field()?];
        Ok(Self { fields, cells })
    }

    /// Moves them once; in ns.
    pub(crate) fn sweep(&mut self) -> u64 {
        let cells = self.cells;
        let mut k = 0;
        let fields = self.fields.each_mut().map(|field| {
            let field: &mut [f32] = bytemuck::cast_slice_mut(field);
            k += 1;
            &mut field[(k - 1) * STAGGER..][..cells]
        });
        let begun = Instant::now();
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || touch(fields),
        );
        begun.elapsed().as_nanos() as u64
    }
}

#[inline(always)]
fn touch([u, e, m, v, tau, ci]: [&mut [f32]; FIELDS]) {
    let count = u.len();
    let (e, m, v) = (&mut e[..count], &mut m[..count], &mut v[..count]);
    let (tau, ci) = (&mut tau[..count], &mut ci[..count]);
    for i in 0..count {
        let u = u[i];
        e[i] += u;
        m[i] += u;
        v[i] += u;
        tau[i] += u;
        ci[i] = u;
    }
}

/// As many fused products and sums as a frame of `cells` cells has operations, from registers; in ns. Meant for
/// processors with vectors: without them each is a call.
pub(crate) fn operations(cells: usize) -> u64 {
    let begun = Instant::now();
    pulp::Arch::new().dispatch(Chains(cells));
    begun.elapsed().as_nanos() as u64
}

/// The operations for so many cells.
struct Chains(usize);

impl WithSimd for Chains {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (factor, addend) = (simd.splat_f32s(0.5), simd.splat_f32s(1.0));
        let mut chains = [addend; CHAINS];
        for _ in 0..self.0 * OPERATIONS / (S::F32_LANES * CHAINS) {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, factor, addend);
            }
        }
        black_box(chains);
    }
}
