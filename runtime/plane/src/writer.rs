//! The kernel's door: makes a plane and holds every writing end of it.

use core::mem::offset_of;
use std::os::fd::OwnedFd;

use rsw_os::OsError;
use rsw_schemas::board::{CellDesc, CellLine, CellType};
use rsw_schemas::control::{ControlLines, KernelState};
use rsw_schemas::counter::{Counter, CounterLine};
use rsw_schemas::field::{Dtype, FieldDesc};
use rsw_schemas::header::{PlaneHeader, RegionKind};
use rsw_schemas::text;

use crate::arena::ArenaWriter;
use crate::frame::{self, FieldWriter};
use crate::latch;
use crate::memory::{RwRegion, store_bytes, words_of};
use crate::ring::RingWriter;
use crate::segment::{self, CreateError, Plan};
use crate::sync::{Ordering, point};

/// What a plane is to hold.
#[derive(Debug, Clone)]
pub struct PlaneSpec {
    /// Identity of the run.
    pub run_id: [u8; 16],
    /// 1 for the first kernel of a run.
    pub generation: u64,
    /// Sequence of the first event.
    pub first_sequence: u64,
    /// Field cells along x.
    pub nx: u32,
    /// Field cells along y.
    pub ny: u32,
    /// Nominal field time of a tick.
    pub tick_period_ns: u64,
    /// Slots of the ring, a power of two.
    pub ring_slots: u64,
    /// Board cells.
    pub cells: Vec<CellSpec>,
    /// Published fields.
    pub fields: Vec<FieldSpec>,
    /// Bytes of the batch arena, its header included.
    pub arena_bytes: u64,
}

/// One board cell to be.
#[derive(Debug, Clone)]
pub struct CellSpec {
    /// Unique name, at most 39 bytes.
    pub name: &'static str,
    /// Unit, empty for a plain number.
    pub unit: &'static str,
    /// Type of its value.
    pub cell_type: CellType,
    /// One sentence.
    pub meaning: &'static str,
}

/// One published field to be.
#[derive(Debug, Clone)]
pub struct FieldSpec {
    /// Unique name, at most 31 bytes.
    pub name: String,
    /// Unit.
    pub unit: &'static str,
    /// Element type.
    pub dtype: Dtype,
    /// Cells along x; the length for [`Dtype::Bytes`].
    pub nx: u32,
    /// Cells along y; 1 for [`Dtype::Bytes`].
    pub ny: u32,
    /// Frames in the pool, at least 2.
    pub frames: u32,
}

impl FieldSpec {
    /// Bytes of a full frame.
    pub fn data_bytes(&self) -> u64 {
        u64::from(self.nx) * u64::from(self.ny) * self.dtype.cell_bytes()
    }
}

/// Every writing end of one plane. Not `Clone`: there is one writer.
pub struct PlaneWriter {
    /// The event ring.
    pub ring: RingWriter,
    /// Heartbeat, tick, state and wake word.
    pub control: ControlWriter,
    /// The StateBoard.
    pub board: BoardWriter,
    /// The fields, in the order of the spec.
    pub fields: Vec<FieldWriter>,
    /// The batch arena.
    pub batches: ArenaWriter,
    /// The counters.
    pub counters: CountersWriter,
    header: PlaneHeader,
    /// Events below this are counted as published.
    counted: u64,
}

impl PlaneWriter {
    /// Makes, maps, fills in, seals and probes a plane; the descriptor is read-only, for everybody else.
    pub fn create(spec: &PlaneSpec) -> Result<(Self, OwnedFd), CreateError> {
        let plan = Plan::new(spec, Counter::ALL.len())?;
        let total_bytes = plan.total_bytes;
        let (fd, memory) = segment::create(total_bytes)?;
        let region = |kind: RegionKind| {
            let at = &plan.regions[kind as usize - 1];
            memory.part((at.offset_bytes / 8) as usize, (at.size_bytes / 8) as usize)
        };
        let counters = CountersWriter::new(region(RegionKind::Counters));
        let board = BoardWriter::new(&region(RegionKind::Board), &spec.cells);
        let fields = make_fields(&region(RegionKind::Fields), spec, &plan);
        let batches = ArenaWriter::new(region(RegionKind::Batches));
        let lines = region(RegionKind::Control);
        let cursor = lines.part(offset_of!(ControlLines, cursor) / 8, 1);
        let ring = RingWriter::new(region(RegionKind::Ring), cursor, spec.first_sequence);
        let control = ControlWriter { region: lines };
        control.beat(rsw_os::clock::mono_ns());
        control.set_state(KernelState::Starting);
        // Last, so that whatever finds a header finds everything behind it.
        let header = segment::header(spec, &plan)
            .map_err(|source| CreateError::Os { total_bytes, source })?;
        store_bytes(memory.words(), 0, bytemuck::bytes_of(&header));
        let read_only = segment::seal(fd, total_bytes)?;
        let counted = spec.first_sequence;
        Ok((Self { ring, control, board, fields, batches, counters, header, counted }, read_only))
    }

    /// The constant part, as written.
    pub fn header(&self) -> &PlaneHeader {
        &self.header
    }

    /// Publishes all pushed events and wakes sleeping readers: the one system call of a batch. Returns how many events
    /// that were, those included that the ring published on the way because the batch was longer than a lap. A writer that
    /// dies in here may leave the counter one batch short; the ring's end is right.
    pub fn commit(&mut self) -> u64 {
        self.ring.commit();
        let end = self.ring.next_sequence();
        let count = end.wrapping_sub(self.counted);
        if count > 0 {
            self.counters.add(Counter::Published, count);
            self.control.wake();
            self.counted = end;
        }
        count
    }
}

fn make_fields(region: &RwRegion, spec: &PlaneSpec, plan: &Plan) -> Vec<FieldWriter> {
    let mut writers = Vec::with_capacity(spec.fields.len());
    for (at, field) in spec.fields.iter().enumerate() {
        let stride_bytes = frame::stride_bytes(field.data_bytes());
        let entry = FieldDesc {
            name: text::pack(&field.name),
            unit: text::pack(field.unit),
            dtype: field.dtype as u32,
            frame_count: field.frames,
            nx: field.nx,
            ny: field.ny,
            first_frame_bytes: plan.field_offsets_bytes[at],
            stride_bytes,
            data_bytes: field.data_bytes(),
            latest: 0,
            reserved: [0; 4],
        };
        let desc = region.part(at * words_of::<FieldDesc>(), words_of::<FieldDesc>());
        store_bytes(desc.words(), 0, bytemuck::bytes_of(&entry));
        let pool_words = (stride_bytes / 8) as usize * field.frames as usize;
        let frames = region.part((entry.first_frame_bytes / 8) as usize, pool_words);
        writers.push(FieldWriter::new(desc, frames, &entry));
    }
    writers
}

/// Heartbeat, tick, state and wake word.
pub struct ControlWriter {
    region: RwRegion,
}

impl ControlWriter {
    fn store(&self, offset_bytes: usize, value: u64) {
        self.region.words()[offset_bytes / 8].store(value, Ordering::Release);
        point("control");
    }

    /// A sign of life.
    pub fn beat(&self, mono_ns: u64) {
        self.store(offset_of!(ControlLines, heartbeat_mono_ns), mono_ns);
    }

    /// The last committed tick.
    pub fn set_tick(&self, tick: u64) {
        self.store(offset_of!(ControlLines, tick), tick);
    }

    /// What the kernel is doing.
    pub fn set_state(&self, state: KernelState) {
        self.store(offset_of!(ControlLines, state), state as u64);
    }

    /// Changes the wake word, then wakes everybody who sleeps on it.
    pub fn wake(&self) {
        let word = &self.region.words()[offset_of!(ControlLines, wake) / 8];
        word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        point("control.wake");
        // A wake that fails costs a sleeper its bounded wait, nothing else.
        #[cfg(not(loom))]
        let _ = rsw_os::futex::wake_all(rsw_os::futex::low_half(word));
    }
}

/// The StateBoard's writing end.
pub struct BoardWriter {
    cells: Vec<RwRegion>,
}

impl BoardWriter {
    fn new(region: &RwRegion, specs: &[CellSpec]) -> Self {
        let first_line = specs.len() * words_of::<CellDesc>();
        let cells = specs.iter().enumerate().map(|(at, spec)| {
            let desc = CellDesc {
                name: text::pack(spec.name),
                unit: text::pack(spec.unit),
                cell_type: spec.cell_type as u32,
                reserved: 0,
                meaning: text::pack(spec.meaning),
            };
            store_bytes(region.words(), at * words_of::<CellDesc>(), bytemuck::bytes_of(&desc));
            region.part(first_line + at * words_of::<CellLine>(), words_of::<CellLine>())
        });
        Self { cells: cells.collect() }
    }

    /// Writes the bits of a value into a cell, by its index in the spec.
    #[inline]
    pub fn set_bits(&self, cell: usize, bits: u64, tick: u64, t_ns: i64) {
        latch::write(self.cells[cell].words(), &[bits, tick, t_ns as u64]);
    }

    /// Writes a number.
    #[inline]
    pub fn set_f64(&self, cell: usize, value: f64, tick: u64, t_ns: i64) {
        self.set_bits(cell, value.to_bits(), tick, t_ns);
    }
}

/// The counters' writing end.
pub struct CountersWriter {
    region: RwRegion,
}

impl CountersWriter {
    fn new(region: RwRegion) -> Self {
        for counter in Counter::ALL {
            let (name, unit, meaning) = counter.describe();
            let line = CounterLine {
                value: 0,
                id: *counter as u32,
                reserved: 0,
                name: text::pack(name),
                unit: text::pack(unit),
                meaning: text::pack(meaning),
            };
            let first = *counter as usize * words_of::<CounterLine>();
            store_bytes(region.words(), first, bytemuck::bytes_of(&line));
        }
        Self { region }
    }

    /// Adds to a counter. One writer, so a load and a store are enough.
    #[inline]
    pub fn add(&self, counter: Counter, count: u64) {
        let word = &self.region.words()[counter as usize * words_of::<CounterLine>()];
        word.store(word.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
        point("counter");
    }

    /// The value of a counter.
    pub fn get(&self, counter: Counter) -> u64 {
        self.region.words()[counter as usize * words_of::<CounterLine>()].load(Ordering::Relaxed)
    }
}

impl PlaneWriter {
    /// Locks every page of the plane in memory for as long as this process maps it.
    ///
    /// # Errors
    /// The limit of locked memory (`RLIMIT_MEMLOCK`) does not allow it.
    pub fn lock_memory(&self) -> Result<(), OsError> {
        // The control lines lie in the mapping at a known distance from its beginning.
        let control = &self.header.regions[RegionKind::Control as usize - 1];
        let first = self.control.region.words().as_ptr().addr() - control.offset_bytes as usize;
        rsw_os::memory::lock(first, self.header.total_bytes as usize)
    }
}
