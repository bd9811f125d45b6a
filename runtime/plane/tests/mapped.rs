//! A real plane in a real memfd: made, sealed, attached, read; and every way of not being one, refused.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rsw_os::memfd;
use rsw_plane::{
    AttachError, CellSpec, EventHead, FieldSpec, PlaneReader, PlaneSpec, PlaneWriter, Polled,
    StartAt, Value, WaitStrategy, Waiter,
};
use rsw_schemas::board::CellType;
use rsw_schemas::control::KernelState;
use rsw_schemas::counter::Counter;
use rsw_schemas::event::{BatchReady, EventKind};
use rsw_schemas::field::Dtype;
use rsw_schemas::header::PlaneHeader;

fn spec() -> PlaneSpec {
    PlaneSpec {
        run_id: [7; 16],
        generation: 3,
        first_sequence: 1000,
        nx: 8,
        ny: 4,
        tick_period_ns: 10_000_000,
        ring_slots: 64,
        cells: vec![CellSpec {
            name: "ci",
            unit: "",
            cell_type: CellType::F64,
            meaning: "Mean CI.",
        }],
        fields: vec![FieldSpec {
            name: "wave".into(),
            unit: "",
            dtype: Dtype::F32,
            nx: 8,
            ny: 4,
            frames: 3,
        }],
        arena_bytes: 8192,
    }
}

fn head(kind: EventKind) -> EventHead {
    EventHead { kind: kind as u16, source: 0, generation: 3, t_ns: 5 }
}

#[test]
fn what_the_writer_commits_the_reader_gets() {
    let (mut writer, fd) = PlaneWriter::create(&spec()).expect("a plane");
    let plane = PlaneReader::attach(fd).expect("attached");
    assert_eq!((plane.generation(), plane.ring_cursor(), plane.tick()), (3, 1000, 0));
    assert_eq!(plane.state(), Some(KernelState::Starting));
    let mut ring = plane.ring(StartAt::Oldest);
    assert!(!ring.wait(&Waiter::new(WaitStrategy::Block), Duration::from_millis(1)));

    let cells: Vec<f32> = (0..32).map(|cell| cell as f32).collect();
    writer.fields[0].publish(9, 90, [0.0, 31.0], bytemuck::cast_slice(&cells));
    let position = writer.batches.append(b"a stream").expect("it fits");
    let ready =
        BatchReady { position_bytes: position, len_bytes: 8, ..bytemuck::Zeroable::zeroed() };
    writer.ring.push(head(EventKind::BatchReady), bytemuck::bytes_of(&ready));
    writer.board.set_f64(0, 0.25, 9, 90);
    writer.control.set_tick(9);
    assert_eq!(writer.commit(), 1);

    assert!(ring.wait(&Waiter::new(WaitStrategy::Block), Duration::from_secs(5)));
    let Polled::Event { sequence: 1000, slot } = ring.poll() else { panic!("the event") };
    let told: BatchReady = bytemuck::pod_read_unaligned(&slot.payload[..size_of::<BatchReady>()]);
    let mut out = Vec::new();
    plane.batches().copy(&told, &mut out).expect("the batch");
    assert_eq!(out, b"a stream");
    let field = plane.field("wave").expect("the field");
    assert_eq!(field.copy_latest(&mut out).expect("a frame").tick, 9);
    assert_eq!(out, bytemuck::cast_slice::<f32, u8>(&cells));
    let cell = plane.board().find("ci").expect("the cell");
    assert_eq!(plane.board().read(cell).expect("a value").value, Value::F64(0.25));
    let published = &plane.counters()[Counter::Published as usize];
    assert_eq!((published.name.as_str(), published.value), ("published", 1));
    assert_eq!(plane.tick(), 9);
}

#[test]
fn a_batch_longer_than_a_lap_is_counted_whole() {
    let (mut writer, fd) = PlaneWriter::create(&spec()).expect("a plane");
    let plane = PlaneReader::attach(fd).expect("attached");
    for count in [1, 64, 65, 200] {
        for _ in 0..count {
            writer.ring.push(head(EventKind::Tick), &[]);
        }
        assert_eq!(writer.commit(), count);
        assert_eq!(writer.commit(), 0);
    }
    let published = plane.counters()[Counter::Published as usize].value;
    assert_eq!((published, plane.ring_cursor()), (330, 1330));
}

#[test]
fn a_sleeping_reader_is_woken_by_a_commit() {
    let (mut writer, fd) = PlaneWriter::create(&spec()).expect("a plane");
    let plane = PlaneReader::attach(fd).expect("attached");
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut ring = plane.ring(StartAt::Latest);
            let woken = ring.wait(&Waiter::new(WaitStrategy::Block), Duration::from_secs(30));
            // The writer does not wait for us: by now it may have lapped this small ring.
            woken && ring.poll() != Polled::Empty
        });
        while !reader.is_finished() {
            writer.ring.push(head(EventKind::Tick), &[]);
            writer.commit();
            std::thread::yield_now();
        }
        assert!(reader.join().expect("the reader"));
    });
}

/// A sealed file with the bytes of a real plane, changed by `change`.
fn forged(size_bytes: Option<u64>, change: impl FnOnce(&mut Vec<u8>)) -> OwnedFd {
    let (_writer, fd) = PlaneWriter::create(&spec()).expect("a plane");
    let size = memfd::size_bytes(&fd).expect("a size");
    let mut bytes = vec![0u8; size as usize];
    let file = std::fs::File::from(fd);
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).expect("read");
    change(&mut bytes);
    let size = size_bytes.unwrap_or(size);
    let copy = memfd::create("forged", size).expect("a memfd");
    let length = bytes.len().min(size as usize);
    let copy = std::fs::File::from(copy);
    std::os::unix::fs::FileExt::write_all_at(&copy, &bytes[..length], 0).expect("write");
    let copy = OwnedFd::from(copy);
    memfd::seal_plane(&copy).expect("sealed");
    copy
}

fn set_header(bytes: &mut [u8], change: impl FnOnce(&mut PlaneHeader)) {
    let size = size_of::<PlaneHeader>();
    let mut header: PlaneHeader = bytemuck::pod_read_unaligned(&bytes[..size]);
    change(&mut header);
    header.crc32 = header.checksum();
    bytes[..size].copy_from_slice(bytemuck::bytes_of(&header));
}

#[test]
fn every_flipped_header_bit_is_refused() {
    for bit in 0..size_of::<PlaneHeader>() * 8 {
        let fd = forged(None, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        assert!(PlaneReader::attach(fd).is_err(), "bit {bit} went unnoticed");
    }
}

#[test]
fn what_is_not_a_plane_is_refused_by_name() {
    let unsealed = memfd::create("unsealed", 8192).expect("a memfd");
    assert!(matches!(PlaneReader::attach(unsealed), Err(AttachError::NotSealed)));
    let short = forged(Some(100), |_| {});
    assert!(matches!(PlaneReader::attach(short), Err(AttachError::Size { file_bytes: 100, .. })));
    let truncated = forged(Some(8192), |_| {});
    assert!(matches!(PlaneReader::attach(truncated), Err(AttachError::Size { .. })));
    let other = forged(None, |bytes| set_header(bytes, |header| header.abi_major += 1));
    assert!(matches!(PlaneReader::attach(other), Err(AttachError::Layout { .. })));
    let outside = |kind: usize| {
        forged(None, |bytes| {
            set_header(bytes, |header| header.regions[kind].offset_bytes = u64::MAX - 4095)
        })
    };
    for kind in 0..6 {
        assert!(matches!(PlaneReader::attach(outside(kind)), Err(AttachError::Region { .. })));
        let crowded = forged(None, |bytes| {
            set_header(bytes, |header| header.regions[kind].entry_count = u32::MAX);
        });
        let got = PlaneReader::attach(crowded);
        // Control and batches have no entries to count.
        assert!(got.is_err() || kind == 0 || kind == 5, "region {kind}");
    }
}

#[test]
fn random_directories_never_fault() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..300 {
        let fd = forged(None, |bytes| {
            for _ in 0..64 {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let at = 4096 + (seed >> 20) as usize % (bytes.len() - 4096);
                bytes[at] = (seed >> 56) as u8;
            }
        });
        let Ok(plane) = PlaneReader::attach(fd) else { continue };
        let mut out = Vec::new();
        for field in plane.fields() {
            let _ = field.copy_latest(&mut out);
        }
        for cell in 0..plane.board().cells().len() {
            let _ = plane.board().read(cell);
        }
        let mut ring = plane.ring(StartAt::Oldest);
        for _ in 0..200 {
            let _ = ring.poll();
        }
        let _ = plane.counters();
    }
}
