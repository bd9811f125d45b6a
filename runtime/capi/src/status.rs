//! What every call answers: a status, and after an error words that say what and why.

use core::ffi::{CStr, c_char};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rsw_os::OsError;

/// Done.
pub const RSW_OK: i32 = 0;
/// Nothing new; later perhaps.
pub const RSW_EMPTY: i32 = 1;
/// Events were overwritten before they were read; rsw_ring_stats says which.
pub const RSW_LAPPED: i32 = 2;
/// Nothing new, and the kernel shows no sign of life; what was read stays the last good state.
pub const RSW_STALE: i32 = 3;
/// A new generation of the plane was taken up; go on as before.
pub const RSW_REATTACHED: i32 = 4;
/// The swarm has ended; nothing will come.
pub const RSW_ENDED: i32 = 5;

/// A pointer that must not be NULL is.
pub const RSW_E_NULL: i32 = -1;
/// The handle is closed, or never was one.
pub const RSW_E_HANDLE: i32 = -2;
/// Another thread is inside the handle, or a value changed during every try; try again.
pub const RSW_E_BUSY: i32 = -3;
/// An argument has no meaning.
pub const RSW_E_ARGUMENT: i32 = -4;
/// There is no such swarm, cell, field or counter.
pub const RSW_E_NOT_FOUND: i32 = -5;
/// Library and swarm are of different builds; the words name both.
pub const RSW_E_VERSION: i32 = -6;
/// The swarm belongs to another user.
pub const RSW_E_PERMISSION: i32 = -7;
/// There was a swarm; it is dead.
pub const RSW_E_DEAD: i32 = -8;
/// The swarm is starting and not there yet; try again.
pub const RSW_E_STARTING: i32 = -9;
/// Nobody answered in time.
pub const RSW_E_TIMEOUT: i32 = -10;
/// Not offered to this agent; the words say why.
pub const RSW_E_UNSUPPORTED: i32 = -11;
/// Too many: handles, loans, guests.
pub const RSW_E_LIMIT: i32 = -12;
/// The caller's buffer is too small.
pub const RSW_E_BUFFER: i32 = -13;
/// The swarm was started anew with other cells or fields: find them again.
pub const RSW_E_CHANGED: i32 = -14;
/// What arrived is not what the protocol promises.
pub const RSW_E_PROTOCOL: i32 = -15;
/// The system said no; the words say what was asked of it.
pub const RSW_E_SYSTEM: i32 = -16;
/// A bug of the library; the words say where.
pub const RSW_E_BUG: i32 = -17;

/// A status, what it is called and what it means, in a sentence.
const TEXTS: [(i32, &CStr); 23] = [
    (RSW_OK, c"done"),
    (RSW_EMPTY, c"nothing new"),
    (RSW_LAPPED, c"events were lost"),
    (RSW_STALE, c"nothing new, and the kernel shows no sign of life"),
    (RSW_REATTACHED, c"a new generation of the plane was taken up"),
    (RSW_ENDED, c"the swarm has ended"),
    (RSW_E_NULL, c"a pointer is NULL"),
    (RSW_E_HANDLE, c"the handle is closed, or never was one"),
    (RSW_E_BUSY, c"busy, try again"),
    (RSW_E_ARGUMENT, c"an argument has no meaning"),
    (RSW_E_NOT_FOUND, c"not found"),
    (RSW_E_VERSION, c"library and swarm are of different builds"),
    (RSW_E_PERMISSION, c"the swarm belongs to another user"),
    (RSW_E_DEAD, c"the swarm is dead"),
    (RSW_E_STARTING, c"the swarm is starting"),
    (RSW_E_TIMEOUT, c"nobody answered in time"),
    (RSW_E_UNSUPPORTED, c"not offered to this agent"),
    (RSW_E_LIMIT, c"too many"),
    (RSW_E_BUFFER, c"the buffer is too small"),
    (RSW_E_CHANGED, c"the swarm has other cells or fields now"),
    (RSW_E_PROTOCOL, c"what arrived is not what the protocol promises"),
    (RSW_E_SYSTEM, c"the system said no"),
    (RSW_E_BUG, c"a bug of the library"),
];

/// What a status means, in a few words; never NULL. Any thread, never blocks, safe in signal handlers. The text lives
/// for ever.
#[unsafe(no_mangle)]
pub extern "C" fn rsw_status_str(status: i32) -> *const c_char {
    let known = TEXTS.iter().find(|text| text.0 == status);
    known.map_or(c"no status of this library", |text| text.1).as_ptr()
}

/// What went wrong in the last call of this thread that answered an error: what, where, and what to do; never NULL,
/// empty before the first error. Any thread (each has its own), never blocks, not for signal handlers. The text lives
/// until the next error of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn rsw_last_error() -> *const c_char {
    // A thread that is ending has no words left.
    let words = LAST.try_with(|last| match last.try_borrow() {
        Ok(words) if !words.is_empty() => words.as_ptr().cast(),
        _ => EMPTY.as_ptr(),
    });
    words.unwrap_or(EMPTY.as_ptr())
}

const EMPTY: &CStr = c"";

thread_local! {
    /// Words of the last error, ended by a zero.
    static LAST: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A status below zero, and its words.
#[derive(Debug)]
pub(crate) struct Error {
    status: i32,
    words: String,
}

impl From<OsError> for Error {
    fn from(error: OsError) -> Self {
        Self::new(RSW_E_SYSTEM, error.to_string())
    }
}

/// A status, or an error.
pub(crate) type Answer<T = i32> = Result<T, Error>;

impl Error {
    pub(crate) fn new(status: i32, words: impl Into<String>) -> Self {
        Self { status, words: words.into() }
    }

    pub(crate) fn null(what: &str) -> Self {
        Self::new(RSW_E_NULL, format!("{what} is NULL"))
    }

    pub(crate) fn status(&self) -> i32 {
        self.status
    }

    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    #[cold]
    fn tell(self) -> i32 {
        let mut words = self.words.into_bytes();
        words.retain(|&byte| byte != 0);
        words.push(0);
        let _ = LAST.try_with(|last| {
            if let Ok(mut last) = last.try_borrow_mut() {
                *last = words;
            }
        });
        self.status
    }
}

/// The outermost layer of every function: an error becomes its status, a panic becomes one too.
#[inline]
pub(crate) fn call(work: impl FnOnce() -> Answer) -> i32 {
    // What a panic may leave half done is ours alone, and every handle is given up on the way out.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => error.tell(),
        Err(panic) => panicked(&*panic),
    }
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> i32 {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let words = words.unwrap_or("no words");
    Error::new(RSW_E_BUG, format!("please report this bug of librsw: {words}")).tell()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> String {
        // SAFETY: the library's text, ended by a zero, read before the next error of this thread.
        unsafe { CStr::from_ptr(rsw_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn errors_and_panics_become_statuses_with_words() {
        assert_eq!(words(), "");
        assert_eq!(call(|| Ok(RSW_EMPTY)), RSW_EMPTY);
        assert_eq!(call(|| Err(Error::new(RSW_E_LIMIT, "a\0b"))), RSW_E_LIMIT);
        assert_eq!(words(), "ab");
        assert_eq!(call(|| panic!("at {}", 7)), RSW_E_BUG);
        assert!(words().ends_with("at 7"));
        std::thread::spawn(|| assert_eq!(words(), "")).join().unwrap();
    }

    #[test]
    fn every_status_has_a_text_of_its_own() {
        for (at, (status, text)) in TEXTS.iter().enumerate() {
            assert!(TEXTS[..at].iter().all(|other| other.0 != *status && other.1 != *text));
            assert_eq!(rsw_status_str(*status), text.as_ptr());
        }
    }
}
