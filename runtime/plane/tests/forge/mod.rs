//! Forged planes: the bytes of a real one, changed at will, sealed like one; and a reader that calls everything.
//!
//! Whoever includes this names the crate `plane` at its root.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use rsw_os::memfd;
use rsw_schemas::board::CellType;
use rsw_schemas::event::{BatchReady, EventKind, Slot};
use rsw_schemas::field::Dtype;
use rsw_schemas::header::{PlaneHeader, RegionKind};

use crate::plane::{
    AttachError, CellSpec, CellValue, EventHead, FieldSpec, PlaneReader, PlaneSpec, PlaneWriter,
    PolledBatch, StartAt, Value, WaitStrategy, Waiter,
};

/// Slots of the forged ring.
pub(crate) const SLOTS: u64 = 8;

/// The bytes of a small plane with something in each region.
pub(crate) fn genuine() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let field = |name: &str, dtype, nx, ny| FieldSpec {
            name: name.into(),
            unit: "",
            dtype,
            nx,
            ny,
            frames: 3,
        };
        let cell = |name, cell_type| CellSpec { name, unit: "", cell_type, meaning: "A cell." };
        let spec = PlaneSpec {
            run_id: [7; 16],
            generation: 3,
            first_sequence: 1000,
            nx: 8,
            ny: 4,
            tick_period_ns: 10_000_000,
            ring_slots: SLOTS,
            cells: vec![cell("ci", CellType::F64), cell("n", CellType::I64)],
            fields: vec![
                field("wave", Dtype::F32, 8, 4),
                field(".checkpoint", Dtype::Bytes, 100, 1),
            ],
            arena_bytes: 4096,
        };
        let (mut writer, fd) = PlaneWriter::create(&spec).expect("a plane");
        for tick in 1..=11_u64 {
            writer.fields[0].publish(tick, 0, [0.0, 1.0], &[tick as u8; 128]);
            writer.fields[1].publish(tick, 0, [0.0, 0.0], &[tick as u8; 70]);
            writer.board.set_f64(0, 0.5, tick, 0);
            let position_bytes = writer.batches.append(&[3; 500]).expect("it fits");
            let ready = BatchReady { position_bytes, len_bytes: 500, ..BatchReady::zeroed() };
            let kind = EventKind::BatchReady as u16;
            let head = EventHead { kind, source: 0, generation: 3, t_ns: 5 };
            writer.ring.push(head, bytemuck::bytes_of(&ready));
            writer.commit();
        }
        let mut bytes = vec![0; memfd::size_bytes(&fd).expect("a size") as usize];
        File::from(fd).read_exact_at(&mut bytes, 0).expect("read");
        bytes
    })
}

/// A sealed file with these bytes.
pub(crate) fn sealed(bytes: &[u8]) -> OwnedFd {
    let file = File::from(memfd::create("forged", bytes.len() as u64).expect("a memfd"));
    file.write_all_at(bytes, 0).expect("written");
    let fd = OwnedFd::from(file);
    memfd::seal_plane(&fd).expect("sealed");
    fd
}

/// The POD at `offset_bytes`.
pub(crate) fn read<T: Pod>(bytes: &[u8], offset_bytes: usize) -> T {
    bytemuck::pod_read_unaligned(&bytes[offset_bytes..offset_bytes + size_of::<T>()])
}

/// Changes the POD at `offset_bytes`.
pub(crate) fn edit<T: Pod>(bytes: &mut [u8], offset_bytes: usize, change: impl FnOnce(&mut T)) {
    let mut value: T = read(bytes, offset_bytes);
    change(&mut value);
    bytes[offset_bytes..offset_bytes + size_of::<T>()].copy_from_slice(bytemuck::bytes_of(&value));
}

/// Changes the header, and makes its checksum right again.
pub(crate) fn edit_header(bytes: &mut [u8], change: impl FnOnce(&mut PlaneHeader)) {
    edit(bytes, 0, |header: &mut PlaneHeader| {
        change(header);
        header.crc32 = header.checksum();
    });
}

/// Where a region of the genuine plane lies.
pub(crate) fn region(kind: RegionKind) -> std::ops::Range<usize> {
    let header: PlaneHeader = read(genuine(), 0);
    let region = header.regions[kind as usize - 1];
    region.offset_bytes as usize..(region.offset_bytes + region.size_bytes) as usize
}

/// Attaches, and calls everything that a reader can call, a bounded number of times. Whatever it finds, it must come
/// back; and a reader's sum holds also over lies. `per_call` runs after each call.
pub(crate) fn exercise(fd: OwnedFd, mut per_call: impl FnMut()) -> Result<(), AttachError> {
    let plane = PlaneReader::attach(fd)?;
    let _ = (plane.state(), plane.tick(), plane.heartbeat_mono_ns(), plane.counters());
    let mut copy = Vec::new();
    for field in plane.fields() {
        let _ = (field.name(), field.unit(), field.is_f32(), field.latest());
        if let Ok(info) = field.copy_latest(&mut copy) {
            assert!(copy.len() == info.len_bytes && copy.len() <= field.data_bytes());
        }
        per_call();
        let mut words = vec![0; field.data_bytes().div_ceil(8)];
        let _ = field.copy_latest_into(&mut words);
        per_call();
    }
    let board = plane.board();
    for cell in 0..=board.cells().len() {
        let _ = board.read(cell);
        per_call();
    }
    let mut cells = vec![CellValue { value: Value::U64(0), tick: 0, t_ns: 0 }; board.cells().len()];
    let _ = board.snapshot(&mut cells);
    let first = plane.header().first_sequence;
    let cursor = plane.ring_cursor();
    let starts = [
        StartAt::Latest,
        StartAt::Oldest,
        StartAt::Sequence(first),
        StartAt::Sequence(cursor.wrapping_add(3)),
        StartAt::Sequence(first.wrapping_sub(1 << 62)),
    ];
    let mut slots = [Slot::zeroed(); 3];
    for start in starts {
        let mut ring = plane.ring(start);
        let begin = ring.next_sequence();
        for _ in 0..3 * ring.capacity().min(64) {
            let _ = (ring.lag(), ring.ready(), ring.cursor());
            let _ = ring.wait(&Waiter::new(WaitStrategy::Block), Duration::ZERO);
            per_call();
            if let crate::plane::Polled::Event { slot, .. } = ring.poll() {
                let ready = bytemuck::pod_read_unaligned(&slot.payload[..size_of::<BatchReady>()]);
                let _ = plane.batches().copy(&ready, &mut copy);
            }
            per_call();
            if let PolledBatch::Events { count, .. } = ring.poll_batch(&mut slots) {
                assert!(count <= slots.len());
            }
            per_call();
            let passed = ring.next_sequence().wrapping_sub(begin);
            assert_eq!(ring.received().wrapping_add(ring.lost()), passed);
        }
    }
    Ok(())
}

/// Numbers that lie best: borders, and what overflows when multiplied or added to.
pub(crate) const LIES: [u64; 16] = [
    0,
    1,
    2,
    7,
    8,
    4095,
    4096,
    4097,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 62,
    1 << 63,
    u64::MAX - 4095,
    u64::MAX - 1,
    u64::MAX,
];
