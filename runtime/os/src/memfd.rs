//! Memory files: created by one process, sealed, then handed to others as read-only descriptors.
//!
//! Why seals and not just `O_RDONLY`: any holder of a read-only descriptor may re-open
//! `/proc/self/fd/N` for writing unless the object itself refuses (measured, with the same and with
//! another uid, and under Landlock). Seal before anyone else maps: a writable mapping made earlier
//! stays writable.

use crate::OsError;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use std::ffi::c_void;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A memory file of `size_bytes` zero bytes, writable, close-on-exec, not executable, not yet sealed.
///
/// No memory is reserved: follow with [`allocate`], or a full machine shows as SIGBUS later.
pub fn create(name: &str, size_bytes: u64) -> Result<OwnedFd, OsError> {
    let base = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fail = |errno: Errno| OsError::new("create memory file", format!("{name:?}"), errno);
    let fd = match rustix::fs::memfd_create(name, base | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know MFD_NOEXEC_SEAL.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, base),
        other => other,
    }
    .map_err(fail)?;
    rustix::fs::ftruncate(&fd, size_bytes).map_err(|errno| {
        OsError::new("size memory file", format!("{name:?} to {size_bytes} bytes"), errno)
    })?;
    Ok(fd)
}

/// Reserves the memory behind the first `size_bytes` bytes, so that a full machine is an error here
/// (see [`OsError::is_no_space`]) and not a SIGBUS at the first touch.
///
/// The room is checked first: memory files have no quota, so the kernel would hand out its last page
/// and then kill processes, of anybody, to find more. Two processes that reserve at the same moment
/// may both pass the check.
pub fn allocate(fd: impl AsFd, size_bytes: u64) -> Result<(), OsError> {
    let operation = "reserve shared memory of";
    let object = || format!("{size_bytes} bytes");
    let no_space =
        |reason: String| OsError::refused(operation, object(), ErrorKind::StorageFull, reason);
    let available_bytes = crate::shm::available_memory_bytes()?;
    if !fits(size_bytes, available_bytes) {
        return Err(no_space(format!(
            "only {available_bytes} bytes are free; free some or ask for a smaller plane"
        )));
    }
    match rustix::fs::fallocate(fd, rustix::fs::FallocateFlags::empty(), 0, size_bytes) {
        Ok(()) => Ok(()),
        Err(Errno::NOSPC | Errno::NOMEM) => {
            Err(no_space("no free memory; free some or ask for a smaller plane".into()))
        }
        Err(errno) => Err(OsError::new(operation, object(), errno)),
    }
}

/// Seals against every later writable mapping, write and resize, and against further seals.
/// The writable mapping that the caller already holds stays writable: it is the only one, for ever.
pub fn seal_plane(fd: impl AsFd) -> Result<(), OsError> {
    seal(fd, PLANE_SEALS)
}

/// Seals against resize and further seals; contents stay writable by whoever holds the descriptor.
pub fn seal_size(fd: impl AsFd) -> Result<(), OsError> {
    seal(fd, SIZE_SEALS)
}

/// The seals of a memory file; fails with `InvalidInput` on anything that is not one.
pub fn seals(fd: impl AsFd) -> Result<Seals, OsError> {
    let fd = fd.as_fd();
    rustix::fs::fcntl_get_seals(fd)
        .map(Seals)
        .map_err(|errno| OsError::new("read the seals of", describe(&fd), errno))
}

/// The seals found on a memory file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seals(SealFlags);

impl Seals {
    /// True if nobody can map it writable any more nor resize it. Other seals may be there too
    /// (`MFD_NOEXEC_SEAL` adds one), so this is a subset test.
    pub fn has_plane_seals(self) -> bool {
        self.0.contains(PLANE_SEALS)
    }

    /// True if it cannot be resized, so that a mapping of it can never raise SIGBUS.
    pub fn has_size_seals(self) -> bool {
        self.0.contains(SIZE_SEALS)
    }

    /// The raw `F_SEAL_*` bits, for diagnostics.
    pub fn bits(self) -> u32 {
        self.0.bits()
    }
}

/// A new, read-only open file description of the same object, close-on-exec.
///
/// Each reader gets its own: `flock` and status flags on a shared description would be shared too.
pub fn reopen_read_only(fd: impl AsFd) -> Result<OwnedFd, OsError> {
    let fd = fd.as_fd();
    reopen(&fd, OFlags::RDONLY)
        .map_err(|errno| OsError::new("re-open read-only", describe(&fd), errno))
}

/// The size of the object in bytes, from the kernel and never from the contents.
pub fn size_bytes(fd: impl AsFd) -> Result<u64, OsError> {
    let fd = fd.as_fd();
    let stat = rustix::fs::fstat(fd)
        .map_err(|errno| OsError::new("read the size of", describe(&fd), errno))?;
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

/// Bytes of the object that have memory behind them; less than its size if it has holes, which would be filled, or
/// fail, at the first touch.
pub fn reserved_bytes(fd: impl AsFd) -> Result<u64, OsError> {
    const BLOCK_BYTES: u64 = 512; // st_blocks has this unit whatever the file system's is
    let fd = fd.as_fd();
    let stat = rustix::fs::fstat(fd)
        .map_err(|errno| OsError::new("read the size of", describe(&fd), errno))?;
    Ok(u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK_BYTES))
}

/// Attacks `fd` the way a hostile reader would and fails, naming the attack, if one works.
///
/// Tried: a writable mapping, `mprotect` of a read-only mapping, a re-open for writing followed by a
/// writable mapping and by a write. Contents are not changed even if an attack works (the write puts
/// back the byte it read). Needed because `F_SEAL_FUTURE_WRITE` was silently ignored for huge-page
/// memory files before Linux 5.13 (kernel commit 22247efd822e).
pub fn probe_read_only(fd: impl AsFd) -> Result<(), OsError> {
    let fd = fd.as_fd();
    if size_bytes(fd)? == 0 {
        return Err(OsError::refused(
            PROBE,
            describe(&fd),
            ErrorKind::InvalidInput,
            "the file is empty",
        ));
    }
    if map_attempt(&fd, ProtFlags::READ | ProtFlags::WRITE, false) {
        return Err(writable(&fd, "a writable mapping could be made"));
    }
    if map_attempt(&fd, ProtFlags::READ, true) {
        return Err(writable(&fd, "mprotect made a read-only mapping writable"));
    }
    let Ok(again) = reopen(&fd, OFlags::RDWR) else {
        return Ok(());
    };
    if map_attempt(&again, ProtFlags::READ | ProtFlags::WRITE, false) {
        return Err(writable(&fd, "a re-open through /proc could be mapped writable"));
    }
    let mut byte = [0_u8];
    let read = rustix::io::pread(&again, &mut byte, 0);
    if read == Ok(1) && rustix::io::pwrite(&again, &byte, 0).is_ok() {
        return Err(writable(&fd, "a re-open through /proc could be written"));
    }
    Ok(())
}

/// What a reservation leaves to everybody else; the kernel starts to kill before the very last page.
const MEMORY_LEFT_BYTES: u64 = 64 << 20;

fn fits(size_bytes: u64, available_bytes: u64) -> bool {
    size_bytes <= available_bytes.saturating_sub(MEMORY_LEFT_BYTES)
}

const PROBE: &str = "prove read-only";

const PLANE_SEALS: SealFlags =
    SealFlags::FUTURE_WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

const SIZE_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

fn seal(fd: impl AsFd, seals: SealFlags) -> Result<(), OsError> {
    let fd = fd.as_fd();
    rustix::fs::fcntl_add_seals(fd, seals)
        .map_err(|errno| OsError::new("seal", describe(&fd), errno))
}

fn reopen(fd: &impl AsFd, mode: OFlags) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    rustix::fs::open(path, mode | OFlags::CLOEXEC, Mode::empty())
}

/// True if a shared mapping with `protection` works and, if asked, can be made writable afterwards.
fn map_attempt(fd: &impl AsFd, protection: ProtFlags, then_protect: bool) -> bool {
    const PROBE_BYTES: usize = 1;
    // SAFETY: the kernel chooses the address, so no existing mapping is replaced, and nothing ever
    // reads or writes through the new one.
    let mapped = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut::<c_void>(),
            PROBE_BYTES,
            protection,
            MapFlags::SHARED,
            fd,
            0,
        )
    };
    let Ok(address) = mapped else {
        return false;
    };
    let works = !then_protect || {
        // SAFETY: `address` is the mapping made above, which nobody else knows of.
        unsafe {
            rustix::mm::mprotect(address, PROBE_BYTES, MprotectFlags::READ | MprotectFlags::WRITE)
        }
        .is_ok()
    };
    // SAFETY: unmaps exactly the mapping made above; no reference into it was ever made.
    let unmapped = unsafe { rustix::mm::munmap(address, PROBE_BYTES) };
    debug_assert_eq!(unmapped, Ok(()));
    works
}

fn writable(fd: &impl AsFd, how: &str) -> OsError {
    OsError::refused(
        PROBE,
        describe(fd),
        ErrorKind::PermissionDenied,
        format!("{how}, so its readers could change it"),
    )
}

fn describe(fd: &impl AsFd) -> String {
    format!("file descriptor {}", fd.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_plane_survives_its_probe() {
        let fd = create("test", 8192).unwrap();
        allocate(&fd, 8192).unwrap();
        seal_plane(&fd).unwrap();
        let reader = reopen_read_only(&fd).unwrap();
        probe_read_only(&reader).unwrap();
        // The writable descriptor itself cannot be mapped writable any more either.
        probe_read_only(&fd).unwrap();
        let seals = seals(&reader).unwrap();
        assert!(seals.has_plane_seals() && seals.has_size_seals());
        assert_eq!(size_bytes(&reader).unwrap(), 8192);
        assert_eq!(rustix::fs::ftruncate(&fd, 0), Err(Errno::PERM));
    }

    #[test]
    fn unsealed_file_fails_its_probe() {
        let fd = create("test", 4096).unwrap();
        let reader = reopen_read_only(&fd).unwrap();
        let error = probe_read_only(&reader).unwrap_err();
        assert!(error.to_string().contains("re-open through /proc"), "{error}");
        let error = probe_read_only(&fd).unwrap_err();
        assert!(error.to_string().contains("a writable mapping"), "{error}");
        assert!(!seals(&fd).unwrap().has_plane_seals());
    }

    #[test]
    fn holes_are_seen_and_cannot_be_made_behind_the_seals() {
        let fd = create("test", 16384).unwrap();
        assert_eq!(reserved_bytes(&fd).unwrap(), 0);
        allocate(&fd, 8192).unwrap();
        assert_eq!(reserved_bytes(&fd).unwrap(), 8192);
        allocate(&fd, 16384).unwrap();
        seal_plane(&fd).unwrap();
        let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        assert_eq!(rustix::fs::fallocate(&fd, punch, 0, 4096), Err(Errno::PERM));
        assert_eq!(reserved_bytes(&fd).unwrap(), 16384);
    }

    #[test]
    fn size_seals_leave_contents_writable() {
        let fd = create("test", 4096).unwrap();
        seal_size(&fd).unwrap();
        assert_eq!(rustix::io::pwrite(&fd, b"x", 0), Ok(1));
        assert!(seals(&fd).unwrap().has_size_seals());
        assert!(!seals(&fd).unwrap().has_plane_seals());
        assert!(rustix::fs::ftruncate(&fd, 1).is_err());
    }

    #[test]
    fn impossible_reservation_is_an_error() {
        let fd = create("test", 4096).unwrap();
        // Not merely huge: without our check the kernel refuses this size as negative, at once. A size
        // that it would try to serve takes the machine down when the check breaks.
        let error = allocate(&fd, u64::MAX).unwrap_err();
        assert!(error.is_no_space(), "{error}");
        assert!(fits(0, 0) && fits(1, MEMORY_LEFT_BYTES + 1));
        assert!(!fits(1, 0) && !fits(2, MEMORY_LEFT_BYTES + 1));
    }

    #[test]
    fn seals_of_what_is_no_memory_file_are_refused() {
        let (pipe, _writer) = rustix::pipe::pipe().unwrap();
        let error = seals(&pipe).unwrap_err();
        assert!(error.to_string().starts_with("cannot read the seals of"), "{error}");
    }
}
