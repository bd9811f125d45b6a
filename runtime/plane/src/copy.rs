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

#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
use crate::sync::Ordering;
use crate::sync::{AtomicU64, point};

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

/// Stores a few words, two at a time: half the stores, and so twice the events in the store buffer of a processor that
/// waits for cache lines.
#[inline(always)]
pub(crate) fn store_words(to: &[AtomicU64], from: &[u64]) {
    assert!(to.len() == from.len());
    let ((to, to_rest), (from, from_rest)) = (to.as_chunks(), from.as_chunks());
    for (to, from) in to.iter().zip(from) {
        store_pair(to, *from);
        point("ring.body");
    }
    for (to, from) in to_rest.iter().zip(from_rest) {
        to.store(*from, crate::sync::Ordering::Relaxed);
        point("ring.body");
    }
}

/// Loads a few words, two at a time.
#[inline(always)]
pub(crate) fn load_words(to: &mut [u64], from: &[AtomicU64]) {
    assert!(to.len() == from.len());
    let ((to, to_rest), (from, from_rest)) = (to.as_chunks_mut(), from.as_chunks());
    for (to, from) in to.iter_mut().zip(from) {
        *to = load_pair(from);
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = from.load(crate::sync::Ordering::Relaxed);
    }
}

/// Asks for both cache lines of a slot; changes nothing, waits for nothing.
#[inline(always)]
pub(crate) fn prefetch(slot: &[AtomicU64]) {
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let first = slot.as_ptr().cast::<i8>();
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(first) };
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(64)) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
    let _ = slot;
}

#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
#[inline(always)]
fn store_pair(to: &[AtomicU64; 2], value: [u64; 2]) {
    let value: core::arch::x86_64::__m128i = bytemuck::cast(value);
    // SAFETY: both words can be stored to (see [`store`]). The pair may be seen half written; the stamp tells.
    unsafe {
        core::arch::asm!(
            "movups [{to}], {value}",
            to = in(reg) to.as_ptr(),
            value = in(xmm_reg) value,
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
#[inline(always)]
fn load_pair(from: &[AtomicU64; 2]) -> [u64; 2] {
    let value: core::arch::x86_64::__m128i;
    // SAFETY: both words can be read. Loads are not reordered with loads, and the stamp is looked at again.
    unsafe {
        core::arch::asm!(
            "movups {value}, [{from}]",
            from = in(reg) from.as_ptr(),
            value = out(xmm_reg) value,
            options(nostack, preserves_flags, readonly)
        );
    }
    bytemuck::cast(value)
}

/// As above, word by word.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
fn store_pair(to: &[AtomicU64; 2], value: [u64; 2]) {
    for (to, value) in to.iter().zip(value) {
        to.store(value, Ordering::Relaxed);
    }
}

/// As above, word by word.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
fn load_pair(from: &[AtomicU64; 2]) -> [u64; 2] {
    core::array::from_fn(|at| from[at].load(Ordering::Relaxed))
}

fn store_rest(words: &[AtomicU64], rest: &[u8]) {
    if let (Some(last), false) = (words.last(), rest.is_empty()) {
        let mut raw = [0; 8];
        raw[..rest.len()].copy_from_slice(rest);
        last.store(u64::from_ne_bytes(raw), crate::sync::Ordering::Relaxed);
    }
}
