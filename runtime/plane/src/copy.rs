//! Bulk copies between shared words and private bytes.
//!
//! Memory that another process writes may change during a copy, so it is never seen as `&[u8]`. On x86-64 the
//! copy is one instruction, `rep movsb`, which the compiler takes as opaque; it runs at the speed of `memcpy`
//! (see `benches/README.md`), where a loop of relaxed atomic words is not vectorised. Elsewhere, under Miri and
//! under the model checker, it is that loop.
//!
//! # Ordering
//!
//! The stores of a string instruction are not reordered with the stores before and after it (Intel SDM vol. 3,
//! 10.2.4 "Fast-String Operation and Out-of-Order Stores"), so the stamps around a [`store`] keep their order. The
//! manual promises less for its loads, so [`load`] ends with a load fence: the second look at a stamp comes after.

use crate::sync::AtomicU64;
#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
use crate::sync::Ordering;

/// Copies `out.len()` bytes out of `words`, which hold at least that many.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
pub(crate) fn load(words: &[AtomicU64], out: &mut [u8]) {
    assert!(words.len() * 8 >= out.len());
    // SAFETY: `words` can be read and `out` can be written for `out.len()` bytes; they do not overlap, since
    // `out` is borrowed exclusively. Others may store to `words` meanwhile: the instruction then gives some mix of
    // bytes, which is no undefined behaviour outside the abstract machine.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            "lfence",
            inout("rcx") out.len() => _,
            inout("rsi") words.as_ptr() => _,
            inout("rdi") out.as_mut_ptr() => _,
            options(nostack, preserves_flags)
        );
    }
}

/// Copies `bytes` into `words`, which are exactly as many as needed; the rest of a last partial word becomes zero.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
pub(crate) fn store(words: &[AtomicU64], bytes: &[u8]) {
    assert!(words.len() == bytes.len().div_ceil(8));
    let (whole, rest) = bytes.split_at(bytes.len() & !7);
    // SAFETY: `words` lie in memory that this process maps writable (they are behind atomics, so storing
    // through a shared reference is what they are for) and hold `whole`; the two do not overlap, since nobody has
    // `&[u8]` over shared words. Readers may look meanwhile: they find some mix of bytes and revalidate.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rcx") whole.len() => _,
            inout("rsi") whole.as_ptr() => _,
            inout("rdi") words.as_ptr() => _,
            options(nostack, preserves_flags)
        );
    }
    store_rest(words, rest);
}

/// As above, word by word.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
pub(crate) fn load(words: &[AtomicU64], out: &mut [u8]) {
    for (word, chunk) in words.iter().zip(out.chunks_mut(8)) {
        let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}

/// As above, word by word.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
pub(crate) fn store(words: &[AtomicU64], bytes: &[u8]) {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(chunks) {
        word.store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
    }
    store_rest(words, rest);
}

fn store_rest(words: &[AtomicU64], rest: &[u8]) {
    if let (Some(last), false) = (words.last(), rest.is_empty()) {
        let mut raw = [0; 8];
        raw[..rest.len()].copy_from_slice(rest);
        last.store(u64::from_ne_bytes(raw), crate::sync::Ordering::Relaxed);
    }
}
