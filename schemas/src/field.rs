//! Published fields: a directory, then for each field a pool of stamped frames.

use crate::layout::layout;

/// Element type of a field. The numbers are ABI.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE single.
    F32 = 1,
    /// Opaque bytes: a checkpoint.
    Bytes = 2,
}

impl Dtype {
    /// The type behind a number, if it is one.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::F32),
            2 => Some(Self::Bytes),
            _ => None,
        }
    }

    /// Bytes of one cell.
    pub const fn cell_bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bytes => 1,
        }
    }
}

/// Name of the field entry that holds the kernel's checkpoints; not an image, never loaned.
pub const CHECKPOINT: &str = ".checkpoint";

layout! {
    /// What one field is, and where its frames are: constant but for `latest`.
    pub struct FieldDesc: 128 {
        /// Unique name.
        pub name: [u8; 32],
        /// Unit.
        pub unit: [u8; 16],
        /// A [`Dtype`] as its number.
        pub dtype: u32,
        /// Frames in the pool, at least 2.
        pub frame_count: u32,
        /// Cells along x (the fast axis); for `Dtype::Bytes` the length.
        pub nx: u32,
        /// Cells along y.
        pub ny: u32,
        /// Bytes from the start of the region to the first frame.
        pub first_frame_bytes: u64,
        /// Bytes from one frame's header to the next.
        pub stride_bytes: u64,
        /// Bytes of data in a frame.
        pub data_bytes: u64,
        /// Number of the latest complete frame, 0 before the first. Atomic; written by the kernel.
        pub latest: u64,
        /// Zero.
        pub reserved: [u64; 4],
    }
}

layout! {
    /// Head of one frame; the data follow it.
    ///
    /// `stamp` is `2k+1` while frame `k` is being written and `2k+2` when it is complete.
    pub struct FrameHeader: 128 {
        /// Busy or complete, and for which frame.
        pub stamp: u64,
        /// The tick that made it.
        pub tick: u64,
        /// Field time of that tick.
        pub t_ns: i64,
        /// Valid bytes of data.
        pub len_bytes: u64,
        /// Smallest and largest cell, as f32 bits in the lower and upper half.
        pub range_bits: u64,
        /// Rest of the line.
        pub pad: [u64; 11],
    }
}
