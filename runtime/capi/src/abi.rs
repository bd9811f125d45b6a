//! What crosses the border: structs that may grow, texts, arrays; and the versions.
//!
//! A struct that may grow begins with `struct_size`, which the caller sets to the `sizeof` he was compiled with. Of a
//! shorter one the rest counts as zero on the way in and is left out on the way out. A longer one comes from a newer
//! header: on the way in what this library does not know must be zero, on the way out it is left as it was.

use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;

use rsw_schemas::{ABI_MAJOR, ABI_MINOR, LAYOUT_HASH};

use crate::status::{Answer, Error, RSW_E_ARGUMENT, RSW_E_BUFFER, RSW_E_VERSION};

/// No struct of this library will be larger.
const STRUCT_BYTES_MAX: u32 = 4096;

/// Version of the plane and of the handshake that this library speaks: major << 16 | minor. Any thread, never blocks,
/// safe in signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn rsw_abi_version() -> u32 {
    ABI_MAJOR << 16 | ABI_MINOR
}

/// Hash of every layout of the plane; library and swarm share a plane only if theirs are equal (RSW_LAYOUT_HASH is the
/// one that the header was made with). Any thread, never blocks, safe in signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn rsw_layout_hash() -> u64 {
    LAYOUT_HASH
}

/// Asserts size and offsets of a struct of the ABI, here and (copied by `xtask header`) in C.
macro_rules! abi {
    ($name:ident: $size:literal { $($field:ident: $offset:literal),* $(,)? }) => {
        const _: () = assert!(size_of::<$name>() == $size);
        $(const _: () = assert!(core::mem::offset_of!($name, $field) == $offset);)*
    };
}
pub(crate) use abi;

/// A `#[repr(C)]` struct of the header that begins with `uint32_t struct_size`.
///
/// # Safety
/// It does, and any bytes are a valid value of it.
pub(crate) unsafe trait Growing: Copy {}

/// Reads a struct that may have been compiled against another header.
///
/// # Safety
/// `from` is NULL, or points at a `struct_size` and as many bytes as that says.
pub(crate) unsafe fn read<T: Growing>(what: &str, from: *const T) -> Answer<T> {
    // SAFETY: as this function.
    let size = unsafe { size_of_struct(what, from) }?;
    let mut value = MaybeUninit::<T>::zeroed();
    let known = size.min(size_of::<T>());
    // SAFETY: `from` can be read for `size` bytes by the contract, `value` can be written for its own size, and `known`
    // is the smaller of the two; they do not overlap.
    unsafe { core::ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast(), known) };
    for at in known..size {
        let byte = from.cast::<u8>().wrapping_add(at);
        // SAFETY: below `size`, so inside what the caller gave us.
        if unsafe { byte.read() } != 0 {
            let words = format!(
                "{what} sets something at byte {at} that this library does not know: install a newer librsw"
            );
            return Err(Error::new(RSW_E_VERSION, words));
        }
    }
    // SAFETY: any bytes are a `T` by `Growing`'s contract, and all of them were zeroed or copied.
    Ok(unsafe { value.assume_init() })
}

/// Writes as much of a struct as the caller has room for, and leaves its `struct_size` alone.
///
/// # Safety
/// `to` is NULL, or points at a `struct_size` and as many writable bytes as that says.
pub(crate) unsafe fn write<T: Growing>(what: &str, to: *mut T, value: T) -> Answer<()> {
    // SAFETY: as this function.
    let size = unsafe { size_of_struct(what, to.cast_const()) }?;
    let known = size.min(size_of::<T>());
    let head = size_of::<u32>();
    let from = (&raw const value).cast::<u8>().wrapping_add(head);
    let to = to.cast::<u8>().wrapping_add(head);
    // SAFETY: `known` is at least `head`, and not more than either side has; they do not overlap, since `value` is ours.
    unsafe { core::ptr::copy_nonoverlapping(from, to, known - head) };
    Ok(())
}

/// # Safety
/// As [`read`].
unsafe fn size_of_struct<T: Growing>(what: &str, from: *const T) -> Answer<usize> {
    if from.is_null() {
        return Err(Error::null(what));
    }
    // SAFETY: not NULL, so by the contract it points at a `struct_size`.
    let size = unsafe { from.cast::<u32>().read_unaligned() };
    if !(4..=STRUCT_BYTES_MAX).contains(&size) {
        let words = format!("{what}: struct_size is {size}; set it to sizeof(*{what})");
        return Err(Error::new(RSW_E_ARGUMENT, words));
    }
    Ok(size as usize)
}

/// Writes a plain value.
///
/// # Safety
/// `to` is NULL, or can be written.
pub(crate) unsafe fn put<T: Copy>(what: &str, to: *mut T, value: T) -> Answer<()> {
    if to.is_null() {
        return Err(Error::null(what));
    }
    // SAFETY: not NULL, so by the contract it can be written; `write_unaligned` asks nothing of its alignment.
    unsafe { to.write_unaligned(value) };
    Ok(())
}

/// The caller's array to write to.
///
/// # Safety
/// `first` is NULL, or points at `count` values that nobody else touches during the call. Any bytes are a valid `T`.
#[inline]
pub(crate) unsafe fn array_mut<'a, T>(
    what: &str,
    first: *mut T,
    count: usize,
) -> Answer<&'a mut [T]> {
    check_array(what, first.cast_const(), count)?;
    // SAFETY: the contract, and checked: not NULL, aligned, not longer than the address space.
    Ok(unsafe { core::slice::from_raw_parts_mut(first, count) })
}

/// The caller's array to read from.
///
/// # Safety
/// `first` is NULL, or points at `count` values that nobody changes during the call. Any bytes are a valid `T`.
pub(crate) unsafe fn array<'a, T>(what: &str, first: *const T, count: usize) -> Answer<&'a [T]> {
    check_array(what, first, count)?;
    // SAFETY: as above.
    Ok(unsafe { core::slice::from_raw_parts(first, count) })
}

#[inline]
fn check_array<T>(what: &str, first: *const T, count: usize) -> Answer<()> {
    if first.is_null() {
        return Err(Error::null(what));
    }
    if !first.is_aligned() {
        return Err(Error::new(RSW_E_ARGUMENT, format!("{what} is not aligned for its type")));
    }
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Error::new(RSW_E_ARGUMENT, format!("{what}: {count} elements fit nowhere")));
    }
    Ok(())
}

/// A text of the caller; `None` for NULL.
///
/// # Safety
/// `text` is NULL, or ends with a zero.
pub(crate) unsafe fn text(what: &str, text: *const c_char) -> Answer<Option<String>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so by the contract it ends with a zero; it is copied before anything else happens.
    let bytes = unsafe { CStr::from_ptr(text) };
    let owned = bytes.to_str().map(str::to_owned);
    owned
        .map(Some)
        .map_err(|_| Error::new(RSW_E_ARGUMENT, format!("{what} is no UTF-8: {bytes:?}")))
}

/// As [`text`], of one that must be there.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn name(what: &str, from: *const c_char) -> Answer<String> {
    // SAFETY: as this function.
    unsafe { text(what, from) }?.ok_or_else(|| Error::null(what))
}

/// Packs a name into a fixed array of the header, always ended by a zero.
pub(crate) fn pack<const N: usize>(text: &str) -> [c_char; N] {
    rsw_schemas::text::pack::<N>(text).map(|byte| byte as c_char)
}

/// An error unless `capacity` places are enough.
pub(crate) fn room(what: &str, capacity: usize, needed: usize) -> Answer<()> {
    if capacity >= needed {
        return Ok(());
    }
    let words = format!("{what} has room for {capacity}, {needed} are needed");
    Err(Error::new(RSW_E_BUFFER, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{RSW_E_NULL, RSW_E_VERSION};

    #[repr(C)]
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Two {
        struct_size: u32,
        first: u32,
        second: u64,
    }
    // SAFETY: it begins with `struct_size`, and all its fields are integers.
    unsafe impl Growing for Two {}

    #[test]
    fn an_older_struct_is_completed_with_zeros_and_never_overrun() {
        let mut two = Two { struct_size: 8, first: 7, second: 9 };
        // SAFETY: a whole struct, of which fewer bytes are announced.
        let got = unsafe { read("two", &raw const two) }.unwrap();
        assert_eq!((got.first, got.second), (7, 0));
        // SAFETY: as above.
        unsafe { write("two", &raw mut two, Two { struct_size: 0, first: 1, second: 2 }) }.unwrap();
        assert_eq!(two, Two { struct_size: 8, first: 1, second: 9 });
    }

    #[test]
    fn a_newer_struct_must_not_ask_for_what_is_unknown() {
        let mut words = [0u64; 4];
        words[0] = 32;
        let at: *const Two = words.as_ptr().cast();
        // SAFETY: 32 bytes, as announced.
        assert!(unsafe { read("two", at) }.is_ok());
        words[3] = 1;
        let at: *const Two = words.as_ptr().cast();
        // SAFETY: as above.
        assert_eq!(unsafe { read("two", at) }.unwrap_err().status(), RSW_E_VERSION);
    }

    #[test]
    fn sizes_without_sense_and_null_are_refused() {
        for struct_size in [0, 3, STRUCT_BYTES_MAX + 1] {
            let two = Two { struct_size, first: 0, second: 0 };
            // SAFETY: refused before anything but the size is read.
            let refused = unsafe { read("two", &raw const two) }.unwrap_err();
            assert_eq!(refused.status(), RSW_E_ARGUMENT);
        }
        // SAFETY: NULL is allowed.
        let null = unsafe { read::<Two>("two", core::ptr::null()) }.unwrap_err();
        assert_eq!(null.status(), RSW_E_NULL);
    }
}
