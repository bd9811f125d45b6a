//! sqlite-vec, linked into this program: the one foreign function of the crate.

use std::sync::OnceLock;

use crate::database::failure;
use rusqlite::auto_extension::{RawAutoExtension, register_auto_extension};

/// Makes every connection opened from now on know `vec0`. Cheap to call again; thread safe.
///
/// # Errors
/// What SQLite says when it cannot keep the registration (out of memory).
pub fn register() -> Result<(), rusqlite::Error> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    DONE.get_or_init(|| register_once().map_err(|error| error.to_string()))
        .clone()
        .map_err(|text| failure(rusqlite::ffi::SQLITE_ERROR, format!("sqlite-vec: {text}")))
}

#[allow(unsafe_code)]
fn register_once() -> Result<(), rusqlite::Error> {
    let entry = sqlite_vec::sqlite3_vec_init as *const ();
    // SAFETY: sqlite-vec.c defines `int sqlite3_vec_init(sqlite3*, char**, const sqlite3_api_routines*)`,
    // which is exactly `RawAutoExtension`; the crate's Rust declaration merely leaves the arguments out.
    let entry = unsafe { std::mem::transmute::<*const (), RawAutoExtension>(entry) };
    // SAFETY: the entry point neither opens nor closes a database nor touches the list of extensions
    // (it registers functions and modules on the connection it is given), which is all that is asked.
    unsafe { register_auto_extension(entry) }
}
