//! The first page of a plane: who made it, what is where. Written once, before the seals; read by all.

use crate::layout::layout;

/// The first eight bytes of every plane.
pub const MAGIC: [u8; 8] = *b"RSWPLANE";
/// The header occupies one page whatever its fields need.
pub const HEADER_BYTES: usize = 4096;
/// Regions start on a multiple of this.
pub const REGION_ALIGN_BYTES: u64 = 4096;
/// Room in the region table.
pub const REGIONS_MAX: usize = 8;

/// What a region holds. The numbers are ABI.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// [`crate::control::ControlLines`].
    Control = 1,
    /// An array of [`crate::counter::CounterLine`].
    Counters = 2,
    /// An array of [`crate::board::CellDesc`], then as many [`crate::board::CellLine`].
    Board = 3,
    /// An array of [`crate::event::Slot`].
    Ring = 4,
    /// An array of [`crate::field::FieldDesc`], then the frames they point at.
    Fields = 5,
    /// [`crate::batch::ArenaHeader`], then the arena.
    Batches = 6,
}

impl RegionKind {
    /// Every kind, each exactly once in a plane, in this order.
    pub const ALL: [RegionKind; 6] =
        [Self::Control, Self::Counters, Self::Board, Self::Ring, Self::Fields, Self::Batches];
}

layout! {
    /// Where one region lies.
    pub struct Region: 24 {
        /// A [`RegionKind`] as its number.
        pub kind: u32,
        /// Entries in the region's directory (counters, cells, slots, fields); 0 where it has none.
        pub entry_count: u32,
        /// Bytes from the start of the plane; a multiple of [`REGION_ALIGN_BYTES`].
        pub offset_bytes: u64,
        /// Bytes in the region.
        pub size_bytes: u64,
    }
}

layout! {
    /// The constant part of a plane. `crc32` covers every byte before it.
    pub struct PlaneHeader: 336 {
        /// [`MAGIC`].
        pub magic: [u8; 8],
        /// [`crate::ABI_MAJOR`] of the writer.
        pub abi_major: u32,
        /// [`crate::ABI_MINOR`] of the writer.
        pub abi_minor: u32,
        /// [`crate::LAYOUT_HASH`] of the writer.
        pub layout_hash: u64,
        /// Size of the whole plane; equals what `fstat` says.
        pub total_bytes: u64,
        /// Page size of the writer's machine.
        pub page_bytes: u32,
        /// Used entries of `regions`.
        pub region_count: u32,
        /// Kernel boot id: sequences and monotonic times compare only within one.
        pub boot_id: [u8; 16],
        /// Identity of the run: all generations of one `runtime up` share it.
        pub run_id: [u8; 16],
        /// 1 for the first kernel of a run, one more for each restart.
        pub generation: u64,
        /// Pid of the writer, as it sees itself.
        pub writer_pid: u32,
        /// Zero.
        pub reserved: u32,
        /// Start time of the writer in clock ticks since boot (`/proc/PID/stat` field 22): tells a reused pid.
        pub writer_start_ticks: u64,
        /// `CLOCK_MONOTONIC` when the plane was made.
        pub created_mono_ns: u64,
        /// `CLOCK_REALTIME` at the same instant.
        pub created_wall_ns: u64,
        /// Sequence of the first event of this generation: the cursor of the one before it.
        pub first_sequence: u64,
        /// Field cells along x.
        pub nx: u32,
        /// Field cells along y.
        pub ny: u32,
        /// Nominal nanoseconds of field time from one tick to the next.
        pub tick_period_ns: u64,
        /// Where everything is.
        pub regions: [Region; REGIONS_MAX],
        /// Zero.
        pub reserved_tail: u32,
        /// CRC-32 (IEEE) of all bytes of this struct before this field.
        pub crc32: u32,
    }
}

impl PlaneHeader {
    /// The checksum that `crc32` must hold.
    pub fn checksum(&self) -> u32 {
        let bytes = bytemuck::bytes_of(self);
        crc32fast::hash(&bytes[..core::mem::offset_of!(PlaneHeader, crc32)])
    }
}
