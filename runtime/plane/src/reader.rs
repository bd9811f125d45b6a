//! Everybody's door: attaches to a plane, and hands out its reading ends.

use core::mem::offset_of;
use std::os::fd::OwnedFd;

use rsw_schemas::board::{CellDesc, CellLine, CellType};
use rsw_schemas::control::{ControlLines, KernelState};
use rsw_schemas::counter::CounterLine;
use rsw_schemas::event::{BatchReady, Slot};
use rsw_schemas::field::{Dtype, FieldDesc};
use rsw_schemas::header::{PlaneHeader, RegionKind};
use rsw_schemas::text;

use crate::arena::{self, BatchError};
use crate::frame::{self, FieldReader};
use crate::latch;
use crate::memory::{RoRegion, words_of};
use crate::ring::RingReader;
use crate::segment::{AttachError, Segment};
use crate::sync::Ordering;
use crate::wait::Wakes;

/// Where a ring reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// With the next event to be published.
    Latest,
    /// With the oldest event still held.
    Oldest,
    /// With this sequence; what is no longer held is told as a lap by the first poll.
    Sequence(u64),
}

/// A checked, read-only plane. Cheap to clone; safe to share between threads.
#[derive(Clone)]
pub struct PlaneReader {
    header: PlaneHeader,
    control: RoRegion,
    counters: RoRegion,
    ring: RoRegion,
    board: BoardReader,
    fields: Vec<FieldReader>,
    batches: RoRegion,
}

impl PlaneReader {
    /// Maps `fd` read-only after every check that can be made; see [`AttachError`].
    pub fn attach(fd: OwnedFd) -> Result<Self, AttachError> {
        let segment = Segment::attach(&fd)?;
        let wrong = |region, reason: &str| AttachError::Region { region, reason: reason.into() };
        let (control, _) = segment.region(RegionKind::Control)?;
        let (counters, _) = segment.region(RegionKind::Counters)?;
        let (board, cells) = segment.region(RegionKind::Board)?;
        let (ring, slots) = segment.region(RegionKind::Ring)?;
        let (fields, field_count) = segment.region(RegionKind::Fields)?;
        let (batches, _) = segment.region(RegionKind::Batches)?;
        if arena::capacity_bytes(&batches).is_none() {
            return Err(wrong("batches", "names a capacity beyond its end"));
        }
        let ring = ring
            .part(0, slots * words_of::<Slot>())
            .ok_or_else(|| wrong("ring", "is shorter than its slots"))?;
        Ok(Self {
            header: segment.header,
            control,
            counters,
            ring,
            board: BoardReader::new(&board, cells)?,
            fields: attach_fields(&fields, field_count)?,
            batches,
        })
    }

    /// The constant part.
    pub fn header(&self) -> &PlaneHeader {
        &self.header
    }

    /// Generation of this plane.
    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// What the kernel says it is doing.
    pub fn state(&self) -> Option<KernelState> {
        KernelState::from_word(self.control_word(offset_of!(ControlLines, state)))
    }

    /// Last committed tick.
    pub fn tick(&self) -> u64 {
        self.control_word(offset_of!(ControlLines, tick))
    }

    /// `CLOCK_MONOTONIC` of the kernel's last sign of life.
    pub fn heartbeat_mono_ns(&self) -> u64 {
        self.control_word(offset_of!(ControlLines, heartbeat_mono_ns))
    }

    /// Sequence of the next event to be published. Right also after the kernel's death, at any instant.
    pub fn ring_cursor(&self) -> u64 {
        self.ring_from(self.header.first_sequence).cursor()
    }

    /// Slots of the ring.
    pub fn ring_capacity(&self) -> u64 {
        (self.ring.word_count() / words_of::<Slot>()) as u64
    }

    /// A ring reader with a cursor of its own.
    pub fn ring(&self, start: StartAt) -> RingReader {
        let cursor = self.ring_cursor();
        let published = cursor.wrapping_sub(self.header.first_sequence);
        let start = match start {
            StartAt::Latest => cursor,
            StartAt::Oldest => cursor.wrapping_sub(published.min(self.ring_capacity())),
            StartAt::Sequence(sequence) => sequence,
        };
        self.ring_from(start)
    }

    fn ring_from(&self, start: u64) -> RingReader {
        RingReader::new(
            self.ring.clone(),
            self.control.clone(),
            offset_of!(ControlLines, cursor) / 8,
            offset_of!(ControlLines, wake) / 8,
            self.header.first_sequence,
            start,
        )
    }

    /// Watches for commits without reading events.
    pub fn wakes(&self) -> Wakes {
        Wakes::new(self.control.clone(), offset_of!(ControlLines, wake) / 8)
    }

    /// The StateBoard.
    pub fn board(&self) -> &BoardReader {
        &self.board
    }

    /// Every field, the checkpoint included.
    pub fn fields(&self) -> &[FieldReader] {
        &self.fields
    }

    /// One field by name.
    pub fn field(&self, name: &str) -> Option<&FieldReader> {
        self.fields.iter().find(|field| field.name() == name)
    }

    /// The batch arena.
    pub fn batches(&self) -> BatchReader {
        BatchReader { region: self.batches.clone() }
    }

    /// Every counter with its value now.
    pub fn counters(&self) -> Vec<CounterValue> {
        let line_words = words_of::<CounterLine>();
        let mut counters = Vec::new();
        for at in 0..self.counters.word_count() / line_words {
            let mut words = [0u64; words_of::<CounterLine>()];
            self.counters.copy_words(at * line_words, &mut words);
            let line: CounterLine = bytemuck::cast(words);
            counters.push(CounterValue {
                id: line.id,
                name: text::unpack(&line.name),
                unit: text::unpack(&line.unit),
                meaning: text::unpack(&line.meaning),
                value: line.value,
            });
        }
        counters
    }

    fn control_word(&self, offset_bytes: usize) -> u64 {
        self.control.load(offset_bytes / 8, Ordering::Acquire)
    }
}

fn attach_fields(region: &RoRegion, count: usize) -> Result<Vec<FieldReader>, AttachError> {
    let wrong = |reason: String| AttachError::Region { region: "fields", reason };
    let desc_words = words_of::<FieldDesc>();
    let mut fields = Vec::new();
    for at in 0..count {
        let desc = region
            .part(at * desc_words, desc_words)
            .ok_or_else(|| wrong(format!("has no room for entry {at}")))?;
        let mut words = [0u64; words_of::<FieldDesc>()];
        desc.copy_words(0, &mut words);
        let entry: FieldDesc = bytemuck::cast(words);
        let name = text::unpack(&entry.name);
        let dtype = Dtype::from_u32(entry.dtype)
            .ok_or_else(|| wrong(format!("has a field \"{name}\" of type {}", entry.dtype)))?;
        let cells = u64::from(entry.nx) * u64::from(entry.ny);
        if cells.checked_mul(dtype.cell_bytes()) != Some(entry.data_bytes) {
            return Err(wrong(format!(
                "has a field \"{name}\" of {} x {} cells with {} bytes a frame",
                entry.nx, entry.ny, entry.data_bytes
            )));
        }
        let fits = entry.frame_count >= 2
            && entry.first_frame_bytes.is_multiple_of(8)
            && entry.data_bytes <= region.word_count() as u64 * 8
            && entry.stride_bytes == frame::stride_bytes(entry.data_bytes);
        let pool_bytes = entry.stride_bytes.checked_mul(u64::from(entry.frame_count));
        let pool = pool_bytes.filter(|_| fits).and_then(|bytes| {
            region.part((entry.first_frame_bytes / 8) as usize, (bytes / 8) as usize)
        });
        let frames = pool.ok_or_else(|| wrong(format!("has a field \"{name}\" outside it")))?;
        fields.push(FieldReader::new(desc, frames, entry));
    }
    Ok(fields)
}

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterValue {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// One sentence.
    pub meaning: String,
    /// Its value.
    pub value: u64,
}

/// The batch arena's reading end.
#[derive(Clone)]
pub struct BatchReader {
    region: RoRegion,
}

impl BatchReader {
    /// Replaces `out` by a complete copy of the stream that a [`BatchReady`] event describes.
    pub fn copy(&self, ready: &BatchReady, out: &mut Vec<u8>) -> Result<(), BatchError> {
        arena::copy(&self.region, ready, out)
    }
}

/// What a cell is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellInfo {
    /// Unique name.
    pub name: String,
    /// Unit, empty for a plain number.
    pub unit: String,
    /// Type of its value.
    pub cell_type: CellType,
    /// One sentence.
    pub meaning: String,
}

/// A cell's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// IEEE double.
    F64(f64),
    /// Unsigned.
    U64(u64),
    /// Signed.
    I64(i64),
}

/// A cell's value with the tick that wrote it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellValue {
    /// The value.
    pub value: Value,
    /// The tick that wrote it; 0 if nobody did yet.
    pub tick: u64,
    /// Field time of that tick.
    pub t_ns: i64,
}

/// Why a cell could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// No such cell.
    #[error("the board has no cell {0}")]
    NoSuchCell(usize),
    /// The writer outran every try.
    #[error("cell {0} changed during each of {max} reads; try again", max = latch::RETRIES_MAX)]
    Busy(usize),
}

/// The StateBoard's reading end.
#[derive(Clone)]
pub struct BoardReader {
    cells: Vec<CellInfo>,
    lines: RoRegion,
}

/// The ticks that the cells of a snapshot come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotTicks {
    /// The oldest.
    pub oldest: u64,
    /// The newest; all cells are of one tick if it equals `oldest`.
    pub newest: u64,
}

impl BoardReader {
    fn new(region: &RoRegion, count: usize) -> Result<Self, AttachError> {
        let wrong = |reason: String| AttachError::Region { region: "board", reason };
        let mut cells = Vec::new();
        for at in 0..count {
            let mut words = [0u64; words_of::<CellDesc>()];
            region.copy_words(at * words_of::<CellDesc>(), &mut words);
            let desc: CellDesc = bytemuck::cast(words);
            let name = text::unpack(&desc.name);
            let cell_type = CellType::from_u32(desc.cell_type).ok_or_else(|| {
                wrong(format!("has a cell \"{name}\" of type {}", desc.cell_type))
            })?;
            cells.push(CellInfo {
                name,
                unit: text::unpack(&desc.unit),
                cell_type,
                meaning: text::unpack(&desc.meaning),
            });
        }
        let lines = region
            .part(count * words_of::<CellDesc>(), count * words_of::<CellLine>())
            .ok_or_else(|| wrong(format!("has no room for {count} cells")))?;
        Ok(Self { cells, lines })
    }

    /// Every cell, in order.
    pub fn cells(&self) -> &[CellInfo] {
        &self.cells
    }

    /// Index of a cell by name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.cells.iter().position(|cell| cell.name == name)
    }

    /// A complete value. Bounded; never blocks, never allocates.
    #[inline]
    pub fn read(&self, cell: usize) -> Result<CellValue, BoardError> {
        let info = self.cells.get(cell).ok_or(BoardError::NoSuchCell(cell))?;
        let lines = self.lines.words().as_chunks::<{ words_of::<CellLine>() }>().0;
        let (_, [bits, tick, t_ns]) = latch::read(&lines[cell]).ok_or(BoardError::Busy(cell))?;
        let value = match info.cell_type {
            CellType::F64 => Value::F64(f64::from_bits(bits)),
            CellType::U64 => Value::U64(bits),
            CellType::I64 => Value::I64(bits as i64),
        };
        Ok(CellValue { value, tick, t_ns: t_ns as i64 })
    }

    /// Every cell's value, into the first places of `out`, which must hold as many as there are (fewer is a bug of the
    /// caller). Each value is complete; whether all are of one tick, the answer tells. Bounded; never blocks, never
    /// allocates.
    pub fn snapshot(&self, out: &mut [CellValue]) -> Result<SnapshotTicks, BoardError> {
        let mut ticks = SnapshotTicks { oldest: u64::MAX, newest: 0 };
        for (cell, value) in out[..self.cells.len()].iter_mut().enumerate() {
            *value = self.read(cell)?;
            ticks.oldest = ticks.oldest.min(value.tick);
            ticks.newest = ticks.newest.max(value.tick);
        }
        Ok(ticks)
    }
}
