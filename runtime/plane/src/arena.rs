//! The batch arena: variable-length streams one after another in a circle, described by ring events.
//!
//! # Layout
//!
//! [`ArenaHeader`] (capacity and tail), then `capacity_bytes`. Positions are monotonic byte counts; a stream
//! lies at `position % capacity` and never wraps.
//!
//! # States
//!
//! A stream at position `p` is announced by an event or not yet, and is held until `tail > p`.
//!
//! # Invariants
//!
//! - I1: bytes at positions at or above `tail` are complete or not yet announced.
//! - I2: the writer raises `tail` past everything it is about to overwrite before it stores there.
//! - I3: a copy is returned only if `tail` was at or below its position afterwards.
//!
//! # Ordering
//!
//! | store | load | what becomes visible |
//! |---|---|---|
//! | W0: `tail`, then fence(release), then bytes | R2: fence(acquire), then `tail` | a copy that saw newer bytes sees the raised tail |
//! | the stamp of the event that describes the stream, release (`ring.W2`) | that stamp, acquire (`ring.R1`) | the stream |
//!
//! # Death
//!
//! | writer dies after | readers see | who repairs |
//! |---|---|---|
//! | W0, or some bytes | older streams told as overwritten; no event describes the new one | nobody: the next plane is fresh |
//!
//! # Limits
//!
//! Positions count bytes in 64 bits, and do not wrap while anybody lives.
//!
//! # Checked by
//!
//! `arena::tests`; `models`: `streams_are_whole`, and the orderings taken away. Death: `points/tests/death.rs`,
//! `tests/death.rs`. A race each time: `a_stream_overwritten_during_its_copy_is_told`. Lies: `tests/hostile.rs`.

use core::mem::offset_of;

use rsw_schemas::batch::ArenaHeader;
use rsw_schemas::event::BatchReady;

use crate::memory::{RoRegion, RwRegion, store_bytes, words_of};
use crate::sync::{Ordering, fence, point};

/// Streams begin on a multiple of this, so that Arrow buffers in them are aligned.
pub const STREAM_ALIGN_BYTES: u64 = 64;

const HEAD_WORDS: usize = words_of::<ArenaHeader>();
const CAPACITY_WORD: usize = offset_of!(ArenaHeader, capacity_bytes) / 8;
const TAIL_WORD: usize = offset_of!(ArenaHeader, tail) / 8;

/// Why a batch could not be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The writer needed the place again.
    #[error("batch at position {position_bytes} was overwritten before it was copied")]
    Overwritten {
        /// Where it was.
        position_bytes: u64,
    },
    /// The event does not describe a place inside the arena.
    #[error(
        "batch event describes {len_bytes} bytes at position {position_bytes}, outside the arena"
    )]
    Malformed {
        /// Where it should be.
        position_bytes: u64,
        /// How long it should be.
        len_bytes: u64,
    },
}

/// The writing end.
pub struct ArenaWriter {
    region: RwRegion,
    capacity_bytes: u64,
    head: u64,
    tail: u64,
}

impl ArenaWriter {
    /// `region` holds an [`ArenaHeader`] and the arena.
    pub(crate) fn new(region: RwRegion) -> Self {
        let bytes = (region.words().len() - HEAD_WORDS) as u64 * 8;
        let capacity_bytes = bytes - bytes % STREAM_ALIGN_BYTES;
        region.words()[CAPACITY_WORD].store(capacity_bytes, Ordering::Relaxed);
        Self { region, capacity_bytes, head: 0, tail: 0 }
    }

    /// Copies a stream in and returns its position, or `None` if it is larger than the arena. Nobody knows
    /// of it before a committed ring event says so.
    pub fn append(&mut self, bytes: &[u8]) -> Option<u64> {
        let len = (bytes.len() as u64).next_multiple_of(STREAM_ALIGN_BYTES);
        if len > self.capacity_bytes {
            return None;
        }
        let mut position = self.head;
        let room = self.capacity_bytes - position % self.capacity_bytes;
        if room < len {
            position += room;
        }
        self.head = position + len;
        self.tail = self.tail.max(self.head.saturating_sub(self.capacity_bytes));
        let words = self.region.words();
        words[TAIL_WORD].store(self.tail, Ordering::Relaxed);
        point("arena.W0");
        fence("arena.W0", Ordering::Release);
        let first = HEAD_WORDS + (position % self.capacity_bytes / 8) as usize;
        store_bytes(words, first, bytes);
        Some(position)
    }
}

/// Copies the stream that `ready` describes into `out`, replacing its contents.
pub(crate) fn copy(
    region: &RoRegion,
    ready: &BatchReady,
    out: &mut Vec<u8>,
) -> Result<(), BatchError> {
    let (position_bytes, len_bytes) = (ready.position_bytes, ready.len_bytes);
    let malformed = BatchError::Malformed { position_bytes, len_bytes };
    let capacity = capacity_bytes(region).ok_or(malformed)?;
    let at = position_bytes % capacity;
    let end = at.checked_add(len_bytes).ok_or(malformed)?;
    if end > capacity || !at.is_multiple_of(8) {
        return Err(malformed);
    }
    out.resize(len_bytes as usize, 0);
    region.copy_bytes(HEAD_WORDS + (at / 8) as usize, out);
    point("arena.copied");
    fence("arena.R2", Ordering::Acquire);
    if region.load(TAIL_WORD, Ordering::Relaxed) > position_bytes {
        return Err(BatchError::Overwritten { position_bytes });
    }
    Ok(())
}

/// The capacity, bounded by what is really mapped.
pub(crate) fn capacity_bytes(region: &RoRegion) -> Option<u64> {
    let mapped = (region.word_count().checked_sub(HEAD_WORDS)? as u64) * 8;
    let capacity = region.load(CAPACITY_WORD, Ordering::Relaxed);
    (capacity > 0 && capacity <= mapped).then_some(capacity)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use bytemuck::Zeroable;
    use proptest::prelude::*;

    fn ready(position_bytes: u64, len_bytes: u64) -> BatchReady {
        BatchReady { position_bytes, len_bytes, ..BatchReady::zeroed() }
    }

    proptest! {
        #[test]
        fn a_stream_comes_back_whole_or_is_told_overwritten(sizes in prop::collection::vec(1usize..300, 1..60)) {
            let region = RwRegion::heap(HEAD_WORDS + 1024 / 8);
            let mut arena = ArenaWriter::new(region.clone());
            let mut streams: Vec<(u64, Vec<u8>)> = Vec::new();
            let mut out = Vec::new();
            for (number, size) in sizes.into_iter().enumerate() {
                let bytes = vec![number as u8 | 1; size];
                streams.push((arena.append(&bytes).expect("it fits"), bytes));
                for (position, bytes) in &streams {
                    match copy(&region.read_only(), &ready(*position, bytes.len() as u64), &mut out) {
                        Ok(()) => prop_assert_eq!(&out, bytes),
                        Err(error) => prop_assert_eq!(error, BatchError::Overwritten { position_bytes: *position }),
                    }
                }
                let (last, bytes) = &streams[number];
                prop_assert!(copy(&region.read_only(), &ready(*last, bytes.len() as u64), &mut out).is_ok());
            }
        }
    }

    #[test]
    fn a_lying_event_is_refused() {
        let region = RwRegion::heap(HEAD_WORDS + 128);
        let mut arena = ArenaWriter::new(region.clone());
        arena.append(&[1; 64]);
        let mut out = Vec::new();
        for (position, len) in [(0, 1025), (1000, 64), (3, 8), (0, u64::MAX), (u64::MAX, u64::MAX)]
        {
            let got = copy(&region.read_only(), &ready(position, len), &mut out);
            assert!(matches!(got, Err(BatchError::Malformed { .. })), "{position} {len} {got:?}");
        }
        assert!(arena.append(&[0; 2000]).is_none());
    }
}
