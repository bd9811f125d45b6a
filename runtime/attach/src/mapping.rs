//! One page of a memory file, seen only as atomic words; the one file of this crate with `unsafe` in it.
//!
//! # Layout
//! `PAGE_BYTES / 8` words of 64 bits, native byte order; what each word means is the caller's business.
//!
//! # Invariants
//! - I1 The mapping is `PAGE_BYTES` long and starts on a page border, for as long as the value lives.
//! - I2 The file under it can neither shrink nor grow: the caller checked the seals before it mapped.
//! - I3 No reference to the bytes other than `&AtomicU64` exists in this process.
//!
//! # Ordering
//! | release | acquire | becomes visible |
//! |---|---|---|
//! | W1 `store` | R1 `load` | what the writer read or wrote before it published the word |
//!
//! # Death
//! Words are independent: a writer that dies between two stores leaves each word old or new, never torn.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};
use rsw_schemas::page::PAGE_BYTES;

/// Words in a page.
pub(crate) const WORDS: usize = PAGE_BYTES / 8;

/// A shared mapping of one page.
#[derive(Debug)]
pub(crate) struct WordMap {
    raw: MmapRaw,
    writable: bool,
}

impl WordMap {
    /// Maps the file for reading only. The caller has checked size and seals (I2).
    pub(crate) fn read_only(file: &OwnedFd) -> io::Result<Self> {
        let raw = MmapOptions::new().len(PAGE_BYTES).map_raw_read_only(file.as_raw_fd())?;
        Ok(Self { raw, writable: false })
    }

    /// Maps the file for reading and writing. The caller has checked size and seals (I2).
    pub(crate) fn read_write(file: &OwnedFd) -> io::Result<Self> {
        let raw = MmapOptions::new().len(PAGE_BYTES).map_raw(file.as_raw_fd())?;
        Ok(Self { raw, writable: true })
    }

    /// The word's value now. Panics if `index` is not in the page: indices are constants of our build.
    pub(crate) fn load(&self, index: usize) -> u64 {
        // The documented exception for atomics on read-only pages covers relaxed loads of word size;
        // the fence makes this one an acquire.
        let value = self.word(index).load(Ordering::Relaxed);
        fence(Ordering::Acquire); // R1
        value
    }

    /// Publishes the word. Panics on a read-only mapping: the types of `page` keep it from happening.
    pub(crate) fn store(&self, index: usize, value: u64) {
        assert!(self.writable, "a store into a page that is mapped read-only");
        self.word(index).store(value, Ordering::Release); // W1
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS, "word {index} of a page of {WORDS}");
        let base = self.raw.as_mut_ptr().cast::<u64>();
        // SAFETY: the assertion above bounds `index`, so with I1 the result stays inside the mapping.
        let word = unsafe { base.add(index) };
        // SAFETY: I1 makes the address aligned to 8 and valid while `self` is borrowed, I2 that touching it
        // cannot raise SIGBUS; I3 and the peers' use of this same type that every access in every process
        // is atomic. On a read-only mapping `store` is unreachable by its assertion, and `load` uses a
        // relaxed load of word size only.
        unsafe { AtomicU64::from_ptr(word) }
    }
}
