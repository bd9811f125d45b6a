//! The paths of the plane one by one, in one process and on one core: what instructions cost where no cache line moves
//! between cores. What does move is measured by `runtime bench`.
//!
//! `cargo bench -p rsw-benches` runs them, `cargo bench -p rsw-benches -- --test` runs each once.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use rsw_plane::{
    CellSpec, CellValue, EventHead, FieldSpec, PlaneReader, PlaneSpec, PlaneWriter, Polled,
    PolledBatch, RingReader, StartAt, Value,
};
use rsw_schemas::board::CellType;
use rsw_schemas::event::Slot;
use rsw_schemas::field::Dtype;

/// Fits the second cache, so that the memory is not what is measured.
const SLOTS: u64 = 1024;
const CELLS: usize = 64;
const HEAD: EventHead = EventHead { kind: 1, source: 0, generation: 1, t_ns: 0 };
/// Payloads: one that fits the line of the stamp, and the largest.
const PAYLOADS: [usize; 2] = [32, 96];
/// Fields: 256 KiB and 4 MiB.
const SIDES: [u32; 2] = [256, 1024];

fn main() {
    divan::main();
}

fn plane(side: u32) -> (PlaneWriter, PlaneReader) {
    let cell = |at: usize| CellSpec {
        // Names of a plane live as long as its program.
        name: format!("cell-{at}").leak(),
        unit: "",
        cell_type: CellType::F64,
        meaning: "",
    };
    let field = FieldSpec {
        name: "field".into(),
        unit: "",
        dtype: Dtype::F32,
        nx: side,
        ny: side,
        frames: 2,
    };
    let spec = PlaneSpec {
        run_id: [1; 16],
        generation: 1,
        first_sequence: 0,
        nx: side,
        ny: side,
        tick_period_ns: 0,
        ring_slots: SLOTS,
        cells: (0..CELLS).map(cell).collect(),
        fields: vec![field],
        arena_bytes: 4096,
    };
    let (writer, fd) = PlaneWriter::create(&spec).expect("a plane");
    (writer, PlaneReader::attach(fd).expect("its reader"))
}

/// One event, visible at once; nobody is woken.
#[divan::bench(args = PAYLOADS)]
fn publish(bencher: Bencher<'_, '_>, payload: usize) {
    let (mut writer, _reader) = plane(1);
    let bytes = [7u8; 96];
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        writer.ring.push(HEAD, black_box(&bytes[..payload]));
        writer.ring.commit()
    });
}

/// Sixteen events, visible at once.
#[divan::bench(args = PAYLOADS)]
fn publish_16(bencher: Bencher<'_, '_>, payload: usize) {
    let (mut writer, _reader) = plane(1);
    let bytes = [7u8; 96];
    bencher.counter(ItemsCount::new(16u32)).bench_local(|| {
        for _ in 0..16 {
            writer.ring.push(HEAD, black_box(&bytes[..payload]));
        }
        writer.ring.commit()
    });
}

/// As the kernel does it, once a tick: counted, and one wake, though nobody sleeps.
#[divan::bench]
fn publish_and_wake(bencher: Bencher<'_, '_>) {
    let (mut writer, _reader) = plane(1);
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        writer.ring.push(HEAD, black_box(&[7u8; 96]));
        writer.commit()
    });
}

fn fill(writer: &mut PlaneWriter) {
    for _ in 0..SLOTS {
        writer.ring.push(HEAD, &[7u8; 96]);
    }
    writer.ring.commit();
}

/// A full ring, event by event.
#[divan::bench]
fn drain_one_by_one(bencher: Bencher<'_, '_>) {
    let (mut writer, reader) = plane(1);
    fill(&mut writer);
    bencher
        .counter(ItemsCount::new(SLOTS))
        .with_inputs(|| reader.ring(StartAt::Oldest))
        .bench_local_refs(|ring: &mut RingReader| {
            let mut count = 0u64;
            while let Polled::Event { slot, .. } = ring.poll() {
                black_box(slot);
                count += 1;
            }
            assert_eq!(count, SLOTS);
        });
}

/// A full ring in batches of 256.
#[divan::bench]
fn drain_by_256(bencher: Bencher<'_, '_>) {
    let (mut writer, reader) = plane(1);
    fill(&mut writer);
    let mut slots = vec![<Slot as bytemuck::Zeroable>::zeroed(); 256];
    bencher
        .counter(ItemsCount::new(SLOTS))
        .with_inputs(|| reader.ring(StartAt::Oldest))
        .bench_local_refs(|ring: &mut RingReader| {
            let mut drained = 0;
            while let PolledBatch::Events { count, .. } = ring.poll_batch(&mut slots) {
                drained += black_box(count);
            }
            assert_eq!(drained as u64, SLOTS);
        });
}

/// A look at a ring that has nothing new.
#[divan::bench]
fn poll_empty(bencher: Bencher<'_, '_>) {
    let (_writer, reader) = plane(1);
    let mut ring = reader.ring(StartAt::Latest);
    bencher.bench_local(|| matches!(ring.poll(), Polled::Empty));
}

#[divan::bench]
fn board_write_cell(bencher: Bencher<'_, '_>) {
    let (writer, _reader) = plane(1);
    let mut tick = 0;
    bencher.bench_local(|| {
        tick += 1;
        writer.board.set_f64(black_box(3), 0.5, tick, 0);
    });
}

#[divan::bench]
fn board_read_cell(bencher: Bencher<'_, '_>) {
    let (writer, reader) = plane(1);
    writer.board.set_f64(3, 0.5, 1, 0);
    bencher.bench_local(|| reader.board().read(black_box(3)));
}

#[divan::bench]
fn board_snapshot_64(bencher: Bencher<'_, '_>) {
    let (_writer, reader) = plane(1);
    let mut values = [CellValue { value: Value::F64(0.0), tick: 0, t_ns: 0 }; CELLS];
    bencher.bench_local(|| reader.board().snapshot(black_box(&mut values)));
}

fn frame_bytes(side: u32) -> usize {
    (side * side) as usize * 4
}

#[divan::bench(args = SIDES)]
fn field_publish(bencher: Bencher<'_, '_>, side: u32) {
    let (mut writer, _reader) = plane(side);
    let data = vec![7u8; frame_bytes(side)];
    let mut tick = 0;
    bencher.counter(BytesCount::new(data.len())).bench_local(|| {
        tick += 1;
        writer.fields[0].publish(tick, 0, [0.0, 1.0], black_box(&data))
    });
}

#[divan::bench(args = SIDES)]
fn field_copy(bencher: Bencher<'_, '_>, side: u32) {
    let (mut writer, reader) = plane(side);
    writer.fields[0].publish(1, 0, [0.0, 1.0], &vec![7u8; frame_bytes(side)]);
    let mut out = vec![0u64; frame_bytes(side) / 8];
    bencher
        .counter(BytesCount::new(frame_bytes(side)))
        .bench_local(|| reader.fields()[0].copy_latest_into(black_box(&mut out)).is_ok());
}

/// What a copy of that size costs without any protocol.
#[divan::bench(args = SIDES)]
fn field_memcpy(bencher: Bencher<'_, '_>, side: u32) {
    let from = vec![7u64; frame_bytes(side) / 8];
    let mut out = vec![0u64; from.len()];
    bencher
        .counter(BytesCount::new(frame_bytes(side)))
        .bench_local(|| black_box(&mut out).copy_from_slice(black_box(&from)));
}
