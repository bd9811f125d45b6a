//! What the writer writes, so that every value in the plane can be told from its number alone.

use rsw_schemas::board::CellType;
use rsw_schemas::event::{BatchReady, EventKind, PAYLOAD_BYTES, Slot};
use rsw_schemas::field::Dtype;

use super::{Journal, Step};
use crate::plane::{CellSpec, EventHead, FieldSpec, PlaneSpec, PlaneWriter};

/// Small, so that the ring is lapped in every fourth batch.
pub(crate) const SLOTS: u64 = 16;
/// Close to the end of the numbers, so that most runs cross it.
pub(crate) const FIRST: u64 = u64::MAX - 60;
/// Cells on the board.
pub(crate) const CELLS: u64 = 3;
/// Bytes of the arena behind its header.
const ARENA_BYTES: u64 = 4096 - 256;
/// Events in a batch, over and over: one, a few, a whole lap.
const BATCHES: [u64; 6] = [1, 2, 5, SLOTS, 3, 7];
/// Lengths of payload: none, short to the byte, one more, full.
const LENGTHS: [usize; 5] = [0, 8, 32, 33, PAYLOAD_BYTES];

/// The writer's plane.
pub(crate) fn spec() -> PlaneSpec {
    let cell = |name| CellSpec { name, unit: "", cell_type: CellType::U64, meaning: "Bits." };
    PlaneSpec {
        run_id: [7; 16],
        generation: 3,
        first_sequence: FIRST,
        nx: 8,
        ny: 4,
        tick_period_ns: 10_000_000,
        ring_slots: SLOTS,
        cells: ["a", "b", "c"].map(cell).into(),
        fields: vec![FieldSpec {
            name: "bytes".into(),
            unit: "",
            dtype: Dtype::Bytes,
            nx: 1000,
            ny: 1,
            frames: 2,
        }],
        arena_bytes: 4096,
    }
}

/// Number of the first event of `tick` (from 1), counted from 0.
pub(crate) fn batch_start(tick: u64) -> u64 {
    let (rounds, rest) = ((tick - 1) / BATCHES.len() as u64, (tick - 1) % BATCHES.len() as u64);
    rounds * BATCHES.iter().sum::<u64>() + BATCHES[..rest as usize].iter().sum::<u64>()
}

/// The tick whose batch holds that event.
pub(crate) fn tick_of(event: u64) -> u64 {
    let mut tick = event / BATCHES.iter().sum::<u64>() * BATCHES.len() as u64 + 1;
    while batch_start(tick + 1) <= event {
        tick += 1;
    }
    tick
}

/// Whether a batch begins with that event.
pub(crate) fn begins_a_batch(event: u64) -> bool {
    batch_start(tick_of(event)) == event
}

/// `len` bytes that no other number has.
fn bytes(number: u64, len: usize) -> Vec<u8> {
    let seed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..len).map(|at| seed.rotate_left(at as u32 * 11) as u8 ^ at as u8).collect()
}

/// What frame `number` holds.
pub(crate) fn frame(number: u64) -> Vec<u8> {
    bytes(number, 1000 - (number % 5) as usize * 31)
}

/// What stream `number` holds; three of the longest fit the arena.
pub(crate) fn stream(number: u64) -> Vec<u8> {
    bytes(number ^ 0x5555, stream_len(number))
}

fn stream_len(number: u64) -> usize {
    100 + (number % 3) as usize * 500
}

/// Where stream `number` lies, and the position below which nothing is kept once it is being appended.
pub(crate) fn stream_place(number: u64) -> (u64, u64) {
    let mut end = 0_u64;
    let mut position = 0;
    for at in 1..=number {
        let len = (stream_len(at) as u64).next_multiple_of(64);
        let to_the_wrap = ARENA_BYTES - end % ARENA_BYTES;
        position = if to_the_wrap < len { end + to_the_wrap } else { end };
        end = position + len;
    }
    (position, end.saturating_sub(ARENA_BYTES))
}

/// The bits of a cell at a tick.
pub(crate) fn cell(cell: u64, tick: u64) -> u64 {
    (tick * CELLS + cell).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The stream that an event describes, if it describes one: the first of a batch does.
pub(crate) fn described(event: u64, slot: &Slot) -> Option<BatchReady> {
    begins_a_batch(event)
        .then(|| bytemuck::pod_read_unaligned(&slot.payload[..size_of::<BatchReady>()]))
}

/// Panics unless `slot` is event number `event` in every byte.
pub(crate) fn assert_whole(event: u64, slot: &Slot) {
    let (kind, len) = match described(event, slot) {
        Some(ready) => {
            let tick = tick_of(event);
            assert_eq!((ready.batch, ready.len_bytes), (tick, stream_len(tick) as u64));
            (EventKind::BatchReady, size_of::<BatchReady>())
        }
        None => {
            let len = LENGTHS[(event % 5) as usize];
            assert_eq!(slot.payload[..len], bytes(event, len), "torn event {event}");
            (EventKind::Report, len)
        }
    };
    let told = (slot.kind, slot.source, slot.generation, slot.t_ns, usize::from(slot.len_bytes));
    assert_eq!(told, (kind as u16, event as u32, 3, event as i64, len), "torn event {event}");
    assert!(slot.payload[len..].iter().all(|byte| *byte == 0), "torn event {event}");
}

/// The writer's own state.
pub(crate) struct Script {
    ticks: u64,
    pushed: u64,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self { ticks: 0, pushed: 0 }
    }

    /// Ticks done.
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks
    }

    /// One tick, in the order of the kernel: frame, cells, stream, events, one commit, the tick's number.
    pub(crate) fn tick(&mut self, writer: &mut PlaneWriter, journal: &Journal) {
        let tick = self.ticks + 1;
        let t_ns = tick as i64;
        let data = frame(tick);
        journal.step(Step::Frame, tick, || {
            writer.fields[0].publish(tick, t_ns, [tick as f32, -(tick as f32)], &data)
        });
        for at in 0..CELLS {
            let write = (tick - 1) * CELLS + at + 1;
            journal.step(Step::Cell, write, || {
                writer.board.set_bits(at as usize, cell(at, tick), tick, t_ns);
            });
        }
        let data = stream(tick);
        let position_bytes = journal
            .step(Step::Stream, tick, || writer.batches.append(&data))
            .expect("smaller than the arena");
        for event in batch_start(tick)..batch_start(tick + 1) {
            let ready = BatchReady {
                batch: tick,
                position_bytes,
                len_bytes: data.len() as u64,
                ..bytemuck::Zeroable::zeroed()
            };
            let (kind, payload) = if begins_a_batch(event) {
                (EventKind::BatchReady, bytemuck::bytes_of(&ready).to_vec())
            } else {
                (EventKind::Report, bytes(event, LENGTHS[(event % 5) as usize]))
            };
            let head = EventHead {
                kind: kind as u16,
                source: event as u32,
                generation: 3,
                t_ns: event as i64,
            };
            self.pushed += 1;
            journal.step(Step::Push, self.pushed, || writer.ring.push(head, &payload));
        }
        journal.step(Step::Commit, self.pushed, || writer.commit());
        journal.step(Step::Tick, tick, || writer.control.set_tick(tick));
        self.ticks = tick;
    }
}
