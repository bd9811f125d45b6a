//! Stamped field frames: a pool a field, the writer fills the oldest, readers copy the latest and revalidate.
//!
//! # Layout
//!
//! A [`FieldDesc`] in the directory (its `latest` word is the only one that changes), then `frame_count`
//! frames of `stride_bytes`: a [`FrameHeader`] line, then the data, row-major.
//!
//! # States
//!
//! Frame `k` (from 1) lies in place `k % frame_count`; its stamp is `2k+1` while it is written, `2k+2` when
//! it is complete. `latest` is the last complete one.
//!
//! # Invariants
//!
//! - I1: the data of frame `k` are stored to only under stamp `2k+1`.
//! - I2: `latest = k` only after stamp `2k+2`.
//! - I3: a copy is returned only if the stamp was `2k+2` before and after it.
//!
//! # Ordering
//!
//! | store | load | what becomes visible |
//! |---|---|---|
//! | W0: stamp = `2k+1`, then fence(release), then head and data | R2: fence(acquire), then stamp | a copy that saw newer data sees the newer stamp |
//! | W2: `latest = k`, release | R0: `latest`, acquire | frame `k`: stamp, head and data |
//!
//! The stamp itself needs no ordering of its own (W1, R1 are relaxed): `latest` publishes it.
//!
//! # Death
//!
//! | writer dies after | readers see | who repairs |
//! |---|---|---|
//! | W0, or some data | `latest`, which is another frame and complete (the pool has at least two) | nobody: the next plane is fresh |
//! | W1 | the frame before | nobody |
//! | W2 | the frame | nobody |
//!
//! # Limits
//!
//! Stamps repeat after 2^63 frames. A reader that is outrun [`RETRIES_MAX`] times gives up: bounded, never a spin.
//!
//! # Checked by
//!
//! `frame::tests`; `models`: `frames_are_whole`, and the orderings taken away. Death: `points/tests/death.rs`,
//! `tests/death.rs`. A race each time: `a_frame_overwritten_during_its_copy_is_copied_again`. Lies: `tests/hostile.rs`.

use core::mem::offset_of;

use rsw_schemas::control::LINE_BYTES;
use rsw_schemas::field::{Dtype, FieldDesc, FrameHeader};
use rsw_schemas::text;

use crate::memory::{RoRegion, RwRegion, store_bytes, words_of};
use crate::sync::{Ordering, acquire, fence, point, release};

/// Tries before a reader gives up: each fails only if the writer went through the whole pool during a copy.
pub const RETRIES_MAX: u32 = 16;

const HEAD_WORDS: usize = words_of::<FrameHeader>();
const LATEST_WORD: usize = offset_of!(FieldDesc, latest) / 8;
const TICK_WORD: usize = offset_of!(FrameHeader, tick) / 8;
const T_NS_WORD: usize = offset_of!(FrameHeader, t_ns) / 8;
const LEN_WORD: usize = offset_of!(FrameHeader, len_bytes) / 8;
const RANGE_WORD: usize = offset_of!(FrameHeader, range_bits) / 8;

/// What is known of a frame beside its data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameInfo {
    /// Number of the frame, from 1 in each generation.
    pub frame: u64,
    /// The tick that made it.
    pub tick: u64,
    /// Field time of that tick.
    pub t_ns: i64,
    /// Smallest cell.
    pub min: f32,
    /// Largest cell.
    pub max: f32,
    /// Valid bytes of data.
    pub len_bytes: usize,
}

/// Why a frame could not be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No frame was published yet.
    #[error("no frame yet")]
    None,
    /// The writer outran every try.
    #[error("the writer overwrote the frame during each of {RETRIES_MAX} copies; try again")]
    Busy,
}

/// Bytes from one frame to the next, for frames of `data_bytes`.
pub(crate) const fn stride_bytes(data_bytes: u64) -> u64 {
    (LINE_BYTES as u64 + data_bytes).next_multiple_of(LINE_BYTES as u64)
}

/// The writing end of one field.
pub struct FieldWriter {
    desc: RwRegion,
    frames: RwRegion,
    frame_count: u64,
    stride_words: usize,
    data_bytes: usize,
    last: u64,
}

impl FieldWriter {
    /// `desc` is the field's directory entry, already filled in; `frames` its pool.
    pub(crate) fn new(desc: RwRegion, frames: RwRegion, entry: &FieldDesc) -> Self {
        Self {
            desc,
            frames,
            frame_count: u64::from(entry.frame_count),
            stride_words: (entry.stride_bytes / 8) as usize,
            data_bytes: entry.data_bytes as usize,
            last: 0,
        }
    }

    /// Copies `data` into the next frame and publishes it; returns its number. At most the field's size
    /// (more is a bug of the caller). No system call, no allocation.
    pub fn publish(&mut self, tick: u64, t_ns: i64, range: [f32; 2], data: &[u8]) -> u64 {
        assert!(data.len() <= self.data_bytes, "a frame holds at most {} bytes", self.data_bytes);
        let frame = self.last + 1;
        let first = (frame % self.frame_count) as usize * self.stride_words;
        let words = &self.frames.words()[first..first + self.stride_words];
        words[0].store(frame.wrapping_mul(2).wrapping_add(1), Ordering::Relaxed);
        point("frame.W0");
        fence("frame.W0", Ordering::Release);
        words[TICK_WORD].store(tick, Ordering::Relaxed);
        point("frame.tick");
        words[T_NS_WORD].store(t_ns as u64, Ordering::Relaxed);
        point("frame.t_ns");
        words[LEN_WORD].store(data.len() as u64, Ordering::Relaxed);
        point("frame.len");
        let bits = u64::from(range[0].to_bits()) | u64::from(range[1].to_bits()) << 32;
        words[RANGE_WORD].store(bits, Ordering::Relaxed);
        point("frame.range");
        store_bytes(words, HEAD_WORDS, data);
        words[0].store(frame.wrapping_mul(2).wrapping_add(2), Ordering::Relaxed); // W1
        point("frame.W1");
        self.desc.words()[LATEST_WORD].store(frame, release("frame.W2"));
        point("frame.W2");
        self.last = frame;
        frame
    }
}

/// The reading end of one field.
#[derive(Clone)]
pub struct FieldReader {
    desc: RoRegion,
    frames: RoRegion,
    entry: FieldDesc,
}

impl FieldReader {
    /// `entry` was checked by the attach: at least two frames, all of them inside `frames`.
    pub(crate) fn new(desc: RoRegion, frames: RoRegion, entry: FieldDesc) -> Self {
        Self { desc, frames, entry }
    }

    /// Name of the field.
    pub fn name(&self) -> String {
        text::unpack(&self.entry.name)
    }

    /// Unit of a cell.
    pub fn unit(&self) -> String {
        text::unpack(&self.entry.unit)
    }

    /// Cells along x, the fast axis.
    pub fn nx(&self) -> u32 {
        self.entry.nx
    }

    /// Cells along y.
    pub fn ny(&self) -> u32 {
        self.entry.ny
    }

    /// Whether its frames are f32 cells (and not opaque bytes).
    pub fn is_f32(&self) -> bool {
        self.entry.dtype == Dtype::F32 as u32
    }

    /// Bytes of a full frame.
    pub fn data_bytes(&self) -> usize {
        self.entry.data_bytes as usize
    }

    /// Number of the latest complete frame, 0 before the first.
    pub fn latest(&self) -> u64 {
        self.desc.load(LATEST_WORD, acquire("frame.R0"))
    }

    /// Replaces `out` by a complete copy of the latest frame. Bounded; never blocks. What `out` holds after an
    /// error is unspecified.
    pub fn copy_latest(&self, out: &mut Vec<u8>) -> Result<FrameInfo, FrameError> {
        for _ in 0..RETRIES_MAX {
            let frame = self.latest();
            if frame == 0 {
                return Err(FrameError::None);
            }
            if let Some(info) = self.copy_frame(frame, |frames, first, len| {
                out.resize(len, 0);
                frames.copy_bytes(first, out);
            }) {
                return Ok(info);
            }
        }
        Err(FrameError::Busy)
    }

    /// As [`Self::copy_latest`], straight into the caller's words (a loan, say): at least a full frame, rounded
    /// up to words (fewer is a bug of the caller). What `out` holds after an error is unspecified.
    pub fn copy_latest_into(&self, out: &mut [u64]) -> Result<FrameInfo, FrameError> {
        let needed = self.data_bytes().div_ceil(8);
        assert!(out.len() >= needed, "a frame of {} needs {needed} words", self.name());
        for _ in 0..RETRIES_MAX {
            let frame = self.latest();
            if frame == 0 {
                return Err(FrameError::None);
            }
            if let Some(info) = self.copy_frame(frame, |frames, first, len| {
                frames.copy_bytes(first, bytemuck::cast_slice_mut(&mut out[..len.div_ceil(8)]));
            }) {
                return Ok(info);
            }
        }
        Err(FrameError::Busy)
    }

    /// As [`Self::copy_latest`], straight into the caller's bytes: at least a full frame (fewer is a bug of the caller).
    pub fn copy_latest_to(&self, out: &mut [u8]) -> Result<FrameInfo, FrameError> {
        let needed = self.data_bytes();
        assert!(out.len() >= needed, "a frame of {} needs {needed} bytes", self.name());
        for _ in 0..RETRIES_MAX {
            let frame = self.latest();
            if frame == 0 {
                return Err(FrameError::None);
            }
            if let Some(info) = self.copy_frame(frame, |frames, first, len| {
                frames.copy_bytes(first, &mut out[..len]);
            }) {
                return Ok(info);
            }
        }
        Err(FrameError::Busy)
    }

    fn copy_frame(
        &self,
        frame: u64,
        copy: impl FnOnce(&RoRegion, usize, usize),
    ) -> Option<FrameInfo> {
        let stride_words = (self.entry.stride_bytes / 8) as usize;
        let first = (frame % u64::from(self.entry.frame_count)) as usize * stride_words;
        let complete = frame.wrapping_mul(2).wrapping_add(2);
        if self.frames.load(first, Ordering::Relaxed) != complete {
            return None;
        }
        let word = |at: usize| self.frames.load(first + at, Ordering::Relaxed);
        let len_bytes = (word(LEN_WORD) as usize).min(self.data_bytes());
        let range = word(RANGE_WORD);
        let info = FrameInfo {
            frame,
            tick: word(TICK_WORD),
            t_ns: word(T_NS_WORD) as i64,
            min: f32::from_bits(range as u32),
            max: f32::from_bits((range >> 32) as u32),
            len_bytes,
        };
        copy(&self.frames, first + HEAD_WORDS, len_bytes);
        point("frame.copied");
        fence("frame.R2", Ordering::Acquire);
        (self.frames.load(first, Ordering::Relaxed) == complete).then_some(info)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    fn field(data_bytes: u64, frame_count: u32) -> (FieldWriter, FieldReader) {
        let mut entry = FieldDesc::zeroed();
        entry.frame_count = frame_count;
        entry.data_bytes = data_bytes;
        entry.stride_bytes = stride_bytes(data_bytes);
        let desc = RwRegion::heap(words_of::<FieldDesc>());
        let frames = RwRegion::heap((entry.stride_bytes / 8) as usize * frame_count as usize);
        let reader = FieldReader::new(desc.read_only(), frames.read_only(), entry);
        (FieldWriter::new(desc, frames, &entry), reader)
    }

    #[test]
    fn the_latest_frame_comes_back_whole() {
        let (mut writer, reader) = field(20, 2);
        let mut out = Vec::new();
        assert_eq!(reader.copy_latest(&mut out), Err(FrameError::None));
        for frame in 1..6u64 {
            writer.publish(frame * 10, -5, [1.0, 2.0], &[frame as u8; 20]);
            let info = reader.copy_latest(&mut out).expect("a frame");
            assert_eq!((info.frame, info.tick, info.t_ns), (frame, frame * 10, -5));
            assert_eq!((info.min, info.max), (1.0, 2.0));
            assert_eq!(out, vec![frame as u8; 20]);
            let mut place = [0xff; 23];
            assert_eq!(reader.copy_latest_to(&mut place), Ok(info));
            assert_eq!((&place[..20], &place[20..]), (&out[..], &[0xff; 3][..]));
        }
    }

    #[test]
    fn a_frame_in_the_making_is_not_the_latest() {
        let (mut writer, reader) = field(16, 2);
        writer.publish(1, 0, [0.0; 2], &[7; 16]);
        // Dies after W0 and some data of frame 2.
        writer.frames.words()[0].store(5, Ordering::Relaxed);
        writer.frames.words()[HEAD_WORDS].store(99, Ordering::Relaxed);
        let mut out = Vec::new();
        assert_eq!(reader.copy_latest(&mut out).expect("frame 1").frame, 1);
        assert_eq!(out, [7; 16]);
    }

    #[test]
    fn readers_never_see_two_frames_mixed() {
        let (mut writer, reader) = field(4096, 3);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for frame in 1..20_000u64 {
                    let data = [frame; 512];
                    writer.publish(frame, 0, [0.0; 2], bytemuck::cast_slice(&data));
                }
            });
            let mut out = Vec::new();
            let mut last = 0;
            while last < 19_999 {
                if let Ok(info) = reader.copy_latest(&mut out) {
                    let words: &[u8] = &out;
                    assert!(words.chunks(8).all(|w| w == info.frame.to_ne_bytes()), "torn");
                    assert!(info.frame >= last && info.tick == info.frame);
                    last = info.frame;
                }
            }
        });
    }
}
