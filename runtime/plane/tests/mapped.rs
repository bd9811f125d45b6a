//! A real plane in a real memfd: made, sealed, attached, read. What is not one is in `hostile.rs`.

use std::time::Duration;

use rsw_plane::{
    CellSpec, EventHead, FieldSpec, PlaneReader, PlaneSpec, PlaneWriter, Polled, StartAt, Value,
    WaitStrategy, Waiter,
};
use rsw_schemas::board::CellType;
use rsw_schemas::control::KernelState;
use rsw_schemas::counter::Counter;
use rsw_schemas::event::{BatchReady, EventKind};
use rsw_schemas::field::Dtype;

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
