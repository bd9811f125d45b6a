//! The birth certificate of a plane: how it is laid out, sealed, probed, and checked before the first read.
//!
//! A plane is a memfd that was sized, filled in and sealed `FUTURE_WRITE|SHRINK|GROW|SEAL` before anybody
//! else saw it: nobody can map it writable, truncate it under a reader, or take the seals off. Whoever attaches
//! believes nothing that the segment says about itself until it fits what `fstat` and the seals say.
//!
//! # Death
//!
//! A writer that dies before the seals takes the plane with it: nobody else had its descriptor. Nothing here changes
//! afterwards.
//!
//! # Checked by
//!
//! `tests/mapped.rs`; what is no plane, or lies about itself: `tests/hostile.rs`, `fuzz/` (`.ci/fuzz-attach`).

use std::os::fd::OwnedFd;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};
use rsw_os::{OsError, memfd};
use rsw_schemas::board::{CellDesc, CellLine};
use rsw_schemas::control::ControlLines;
use rsw_schemas::counter::CounterLine;
use rsw_schemas::event::Slot;
use rsw_schemas::field::FieldDesc;
use rsw_schemas::header::{
    HEADER_BYTES, MAGIC, PlaneHeader, REGION_ALIGN_BYTES, REGIONS_MAX, Region, RegionKind,
};
use rsw_schemas::{ABI_MAJOR, ABI_MINOR, LAYOUT_HASH};

use crate::frame;
use crate::memory::{Backing, RoRegion, RwRegion};
use crate::sync::AtomicU64;
use crate::writer::PlaneSpec;

/// No plane is larger: 64 GiB.
pub const PLANE_BYTES_MAX: u64 = 1 << 36;

/// Why a plane could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The description contradicts itself.
    #[error("plane not made: {0}")]
    Spec(String),
    /// The operating system said no.
    #[error("plane of {total_bytes} bytes not made: {source}")]
    Os {
        /// Size asked for.
        total_bytes: u64,
        /// What failed.
        #[source]
        source: OsError,
    },
    /// Mapping failed.
    #[error("plane of {total_bytes} bytes not mapped: {source}")]
    Map {
        /// Size asked for.
        total_bytes: u64,
        /// What failed.
        #[source]
        source: std::io::Error,
    },
}

/// Why a file is not a plane this build can read.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The operating system said no.
    #[error("plane not attached: {0}")]
    Os(#[from] OsError),
    /// Mapping failed.
    #[error("plane of {total_bytes} bytes not mapped: {source}")]
    Map {
        /// Size of the file.
        total_bytes: u64,
        /// What failed.
        #[source]
        source: std::io::Error,
    },
    /// The file could still be written or resized by somebody.
    #[error("plane refused: it lacks the seals that keep it from being written or resized")]
    NotSealed,
    /// Too small, too large, or not what the header says.
    #[error("plane refused: the file has {file_bytes} bytes, {expected}")]
    Size {
        /// What `fstat` says.
        file_bytes: u64,
        /// What was expected.
        expected: String,
    },
    /// Not all of it has memory: what is missing would have to be found while reading, or be a fault.
    #[error(
        "plane refused: of its {file_bytes} bytes only {reserved_bytes} have memory behind them"
    )]
    Holes {
        /// What `fstat` says.
        file_bytes: u64,
        /// What has memory.
        reserved_bytes: u64,
    },
    /// Made by a machine with other pages.
    #[error(
        "plane refused: it was made for pages of {theirs_bytes} bytes, this machine has {ours_bytes}"
    )]
    Pages {
        /// Page size of the plane.
        theirs_bytes: u32,
        /// Page size here.
        ours_bytes: u32,
    },
    /// Not a plane at all.
    #[error("plane refused: it begins with {found:02x?}, not with \"RSWPLANE\"")]
    Magic {
        /// The first bytes.
        found: [u8; 8],
    },
    /// Another version, or another layout.
    #[error(
        "plane refused: it has ABI {theirs_major}.{theirs_minor} layout {theirs_hash:016x}, \
         this program has ABI {ABI_MAJOR}.{ABI_MINOR} layout {LAYOUT_HASH:016x}; \
         run programs of one build"
    )]
    Layout {
        /// ABI major of the plane.
        theirs_major: u32,
        /// ABI minor of the plane.
        theirs_minor: u32,
        /// Layout hash of the plane.
        theirs_hash: u64,
    },
    /// The constant part is damaged.
    #[error("plane refused: header checksum is {found:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// What the header says.
        found: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// A region, or an entry of its directory, does not fit.
    #[error("plane refused: region {region} {reason}")]
    Region {
        /// Name of the region.
        region: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// A mapping of a plane: the writer's is writable, everybody else's is not.
struct Mapping(MmapRaw);

// SAFETY: a mapping stays where it is until it is dropped.
unsafe impl Backing for Mapping {
    fn words(&self) -> &[AtomicU64] {
        let first = self.0.as_ptr().cast::<AtomicU64>();
        // SAFETY: the mapping is page-aligned, lives as long as `self`, cannot shrink (the writer made it, or
        // its SHRINK seal was checked before), and holds plain integers; every access to it is an atomic one
        // of 64 bits. Through a read-only mapping only loads happen: it is only ever behind an `RoRegion`.
        unsafe { core::slice::from_raw_parts(first, self.0.len() / 8) }
    }
}

/// Where everything of a plane lies, computed once by the writer.
pub(crate) struct Plan {
    pub(crate) regions: [Region; REGIONS_MAX],
    pub(crate) total_bytes: u64,
    /// For each field, the bytes from the start of its region to its first frame.
    pub(crate) field_offsets_bytes: Vec<u64>,
}

impl Plan {
    pub(crate) fn new(spec: &PlaneSpec, counters: usize) -> Result<Self, CreateError> {
        if !spec.ring_slots.is_power_of_two() || spec.ring_slots < 8 {
            return Err(CreateError::Spec(format!(
                "ring of {} slots; a power of two of at least 8 is needed",
                spec.ring_slots
            )));
        }
        let directory_bytes = (spec.fields.len() * size_of::<FieldDesc>()) as u64;
        let mut fields_bytes = directory_bytes.next_multiple_of(REGION_ALIGN_BYTES);
        let mut field_offsets_bytes = Vec::new();
        for field in &spec.fields {
            if field.frames < 2 {
                return Err(CreateError::Spec(format!("field \"{}\" needs 2 frames", field.name)));
            }
            field_offsets_bytes.push(fields_bytes);
            let pool = frame::stride_bytes(field.data_bytes()) * u64::from(field.frames);
            fields_bytes += pool.next_multiple_of(REGION_ALIGN_BYTES);
        }
        let cell_bytes = (size_of::<CellDesc>() + size_of::<CellLine>()) as u64;
        let cells = spec.cells.len() as u64;
        let sizes = [
            (RegionKind::Control, 0, size_of::<ControlLines>() as u64),
            (RegionKind::Counters, counters as u64, (counters * size_of::<CounterLine>()) as u64),
            (RegionKind::Board, cells, cells * cell_bytes),
            (RegionKind::Ring, spec.ring_slots, spec.ring_slots * size_of::<Slot>() as u64),
            (RegionKind::Fields, spec.fields.len() as u64, fields_bytes),
            (RegionKind::Batches, 0, spec.arena_bytes.max(REGION_ALIGN_BYTES)),
        ];
        let mut regions: [Region; REGIONS_MAX] = bytemuck::Zeroable::zeroed();
        let mut offset_bytes = HEADER_BYTES as u64;
        for (region, (kind, entries, size_bytes)) in regions.iter_mut().zip(sizes) {
            *region =
                Region { kind: kind as u32, entry_count: entries as u32, offset_bytes, size_bytes };
            offset_bytes = (offset_bytes + size_bytes).next_multiple_of(REGION_ALIGN_BYTES);
        }
        if offset_bytes > PLANE_BYTES_MAX {
            return Err(CreateError::Spec(format!(
                "it would have {offset_bytes} bytes, more than {PLANE_BYTES_MAX}; make the field smaller"
            )));
        }
        Ok(Self { regions, total_bytes: offset_bytes, field_offsets_bytes })
    }
}

/// A fresh, zeroed, populated segment, not sealed yet.
pub(crate) fn create(total_bytes: u64) -> Result<(OwnedFd, RwRegion), CreateError> {
    let os = |source| CreateError::Os { total_bytes, source };
    let fd = memfd::create("rsw-plane", total_bytes).map_err(os)?;
    // Every page exists from here on: no SIGBUS later, however full the machine gets.
    memfd::allocate(&fd, total_bytes).map_err(os)?;
    let map = MmapOptions::new()
        .len(total_bytes as usize)
        .populate()
        .map_raw(&fd)
        .map_err(|source| CreateError::Map { total_bytes, source })?;
    Ok((fd, RwRegion::mapped(Arc::new(Mapping(map)))))
}

/// Seals the segment, re-opens it read-only and proves that the new descriptor cannot be written.
pub(crate) fn seal(fd: OwnedFd, total_bytes: u64) -> Result<OwnedFd, CreateError> {
    let os = |source| CreateError::Os { total_bytes, source };
    memfd::seal_plane(&fd).map_err(os)?;
    let read_only = memfd::reopen_read_only(&fd).map_err(os)?;
    memfd::probe_read_only(&read_only).map_err(os)?;
    Ok(read_only)
}

/// A checked header with the read-only memory it describes.
pub(crate) struct Segment {
    pub(crate) header: PlaneHeader,
    memory: RoRegion,
}

impl Segment {
    /// Checks seals, size, memory, magic, version, layout, checksum, size again and pages, in this order.
    pub(crate) fn attach(fd: &OwnedFd) -> Result<Self, AttachError> {
        if !memfd::seals(fd)?.has_plane_seals() {
            return Err(AttachError::NotSealed);
        }
        let file_bytes = memfd::size_bytes(fd)?;
        if !(HEADER_BYTES as u64..=PLANE_BYTES_MAX).contains(&file_bytes) {
            let expected = format!("expected {HEADER_BYTES} to {PLANE_BYTES_MAX}");
            return Err(AttachError::Size { file_bytes, expected });
        }
        // After the seals: nobody can punch a hole any more.
        let reserved_bytes = memfd::reserved_bytes(fd)?;
        if reserved_bytes < file_bytes {
            return Err(AttachError::Holes { file_bytes, reserved_bytes });
        }
        let map = MmapOptions::new()
            .len(file_bytes as usize)
            .populate()
            .map_raw_read_only(fd)
            .map_err(|source| AttachError::Map { total_bytes: file_bytes, source })?;
        let memory = RoRegion::mapped(Arc::new(Mapping(map)));
        let header = read_header(&memory, file_bytes)?;
        Ok(Self { header, memory })
    }

    /// The region of one kind and its number of entries, checked to lie inside and to hold them.
    pub(crate) fn region(&self, kind: RegionKind) -> Result<(RoRegion, usize), AttachError> {
        let wrong = |reason: String| AttachError::Region { region: region_name(kind), reason };
        let table = &self.header.regions[..(self.header.region_count as usize).min(REGIONS_MAX)];
        let mut found = table.iter().filter(|region| region.kind == kind as u32);
        let region = found.next().ok_or_else(|| wrong("is missing".into()))?;
        if found.next().is_some() {
            return Err(wrong("is there twice".into()));
        }
        let aligned = region.offset_bytes.is_multiple_of(REGION_ALIGN_BYTES);
        let total = self.memory.word_count() as u64 * 8;
        let end = region.offset_bytes.checked_add(region.size_bytes);
        if !aligned
            || region.offset_bytes < HEADER_BYTES as u64
            || end.is_none_or(|end| end > total)
        {
            return Err(wrong(format!(
                "lies at {} with {} bytes, outside the plane of {total} bytes",
                region.offset_bytes, region.size_bytes
            )));
        }
        let entries = region.entry_count as usize;
        if needed_bytes(kind, entries).is_none_or(|needed| needed as u64 > region.size_bytes) {
            return Err(wrong(format!(
                "has {} bytes, too few for {entries} entries",
                region.size_bytes
            )));
        }
        if kind == RegionKind::Ring && !entries.is_power_of_two() {
            return Err(wrong(format!("has {entries} slots, not a power of two")));
        }
        let part = self
            .memory
            .part((region.offset_bytes / 8) as usize, (region.size_bytes / 8) as usize)
            .ok_or_else(|| wrong("lies outside the plane".into()))?;
        Ok((part, entries))
    }
}

fn needed_bytes(kind: RegionKind, entries: usize) -> Option<usize> {
    match kind {
        RegionKind::Control => Some(size_of::<ControlLines>()),
        RegionKind::Counters => entries.checked_mul(size_of::<CounterLine>()),
        RegionKind::Board => entries.checked_mul(size_of::<CellDesc>() + size_of::<CellLine>()),
        RegionKind::Ring => entries.checked_mul(size_of::<Slot>()),
        RegionKind::Fields => entries.checked_mul(size_of::<FieldDesc>()),
        RegionKind::Batches => Some(size_of::<rsw_schemas::batch::ArenaHeader>()),
    }
}

fn read_header(memory: &RoRegion, file_bytes: u64) -> Result<PlaneHeader, AttachError> {
    let mut words = [0u64; size_of::<PlaneHeader>() / 8];
    memory.copy_words(0, &mut words);
    let header: PlaneHeader = bytemuck::cast(words);
    if header.magic != MAGIC {
        return Err(AttachError::Magic { found: header.magic });
    }
    if header.abi_major != ABI_MAJOR || header.layout_hash != LAYOUT_HASH {
        return Err(AttachError::Layout {
            theirs_major: header.abi_major,
            theirs_minor: header.abi_minor,
            theirs_hash: header.layout_hash,
        });
    }
    let computed = header.checksum();
    if header.crc32 != computed {
        return Err(AttachError::Checksum { found: header.crc32, computed });
    }
    if header.total_bytes != file_bytes {
        let expected = format!("its header says {}", header.total_bytes);
        return Err(AttachError::Size { file_bytes, expected });
    }
    let (theirs_bytes, ours_bytes) = (header.page_bytes, rsw_os::process::page_bytes() as u32);
    if theirs_bytes != ours_bytes {
        return Err(AttachError::Pages { theirs_bytes, ours_bytes });
    }
    Ok(header)
}

const fn region_name(kind: RegionKind) -> &'static str {
    match kind {
        RegionKind::Control => "control",
        RegionKind::Counters => "counters",
        RegionKind::Board => "board",
        RegionKind::Ring => "ring",
        RegionKind::Fields => "fields",
        RegionKind::Batches => "batches",
    }
}

/// The constant part of a plane of `spec`, checksum included.
pub(crate) fn header(spec: &PlaneSpec, plan: &Plan) -> Result<PlaneHeader, OsError> {
    let pid = std::process::id();
    let mut header = PlaneHeader {
        magic: MAGIC,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        layout_hash: LAYOUT_HASH,
        total_bytes: plan.total_bytes,
        page_bytes: rsw_os::process::page_bytes() as u32,
        region_count: RegionKind::ALL.len() as u32,
        boot_id: rsw_os::process::boot_id()?,
        run_id: spec.run_id,
        generation: spec.generation,
        writer_pid: pid,
        reserved: 0,
        writer_start_ticks: rsw_os::process::start_ticks(pid)?,
        created_mono_ns: rsw_os::clock::mono_ns(),
        created_wall_ns: rsw_os::clock::wall_ns(),
        first_sequence: spec.first_sequence,
        nx: spec.nx,
        ny: spec.ny,
        tick_period_ns: spec.tick_period_ns,
        regions: plan.regions,
        reserved_tail: 0,
        crc32: 0,
    };
    header.crc32 = header.checksum();
    Ok(header)
}
