//! Memory of this process: kept from being swapped out.

use std::ffi::c_void;

use crate::OsError;
use rustix::process::{Resource, getrlimit};

/// Locks the pages that hold `size_bytes` bytes from `address` on in memory, until they are unmapped; pages that
/// are not there yet are made. Pages of a shared mapping stay in memory for everybody who maps them.
///
/// # Errors
/// `OutOfMemory` or `PermissionDenied` if [`lock_limit_bytes`] does not allow it, `OutOfMemory`, too, if nothing
/// is mapped there. Then nothing more is locked than before.
pub fn lock(address: usize, size_bytes: usize) -> Result<(), OsError> {
    let first = std::ptr::without_provenance_mut::<c_void>(address);
    // SAFETY: nothing is read, written, mapped or unmapped, at whatever address: the kernel only takes a mark
    // off or puts it on pages, and refuses an address where this process has none.
    unsafe { rustix::mm::mlock(first, size_bytes) }
        .map_err(|errno| OsError::new("lock in memory", format!("{size_bytes} bytes"), errno))
}

/// Bytes that this process may lock in memory; `None`: no limit. With `CAP_IPC_LOCK` it does not count.
pub fn lock_limit_bytes() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked_bytes() -> u64 {
        crate::process::status(std::process::id()).unwrap().locked_bytes
    }

    #[test]
    fn locked_pages_are_counted_until_they_are_unmapped() {
        let page_bytes = crate::process::page_bytes();
        if lock_limit_bytes().is_some_and(|limit| limit < 8 * page_bytes as u64) {
            eprintln!("skipped: this process may lock less than 8 pages");
            return;
        }
        let before = locked_bytes();
        let memory = vec![0_u8; 8 * page_bytes];
        let inside = memory.as_ptr().addr().next_multiple_of(page_bytes);
        lock(inside, 4 * page_bytes).unwrap();
        assert_eq!(locked_bytes(), before + 4 * page_bytes as u64);
        // The allocator keeps the pages, and may give them to somebody else: the mark must go.
        // SAFETY: these pages were locked above, by nobody else.
        unsafe {
            rustix::mm::munlock(std::ptr::without_provenance_mut(inside), 4 * page_bytes).unwrap();
        }
        assert_eq!(locked_bytes(), before);
        let error = lock(0, page_bytes).unwrap_err();
        assert!(error.to_string().starts_with("cannot lock in memory"), "{error}");
    }
}
