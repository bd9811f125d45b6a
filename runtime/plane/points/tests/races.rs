//! A read that races the overwrite is rejected: the writer is let run between a reader's copy and its second look, so
//! the race happens every time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytemuck::Zeroable;
use rsw_plane_points::{
    BatchError, CellSpec, EventHead, FieldSpec, FrameError, PlaneReader, PlaneSpec, PlaneWriter,
    Polled, StartAt, Value, frame, latch, points,
};
use rsw_schemas::board::CellType;
use rsw_schemas::event::{BatchReady, EventKind};
use rsw_schemas::field::Dtype;

const SLOTS: u64 = 8;

fn plane() -> (Rc<RefCell<PlaneWriter>>, PlaneReader) {
    let spec = PlaneSpec {
        run_id: [0; 16],
        generation: 1,
        first_sequence: 0,
        nx: 4,
        ny: 1,
        tick_period_ns: 1,
        ring_slots: SLOTS,
        cells: vec![CellSpec {
            name: "n",
            unit: "",
            cell_type: CellType::U64,
            meaning: "A number.",
        }],
        fields: vec![FieldSpec {
            name: "bytes".into(),
            unit: "",
            dtype: Dtype::Bytes,
            nx: 64,
            ny: 1,
            frames: 2,
        }],
        arena_bytes: 4096,
    };
    let (writer, fd) = PlaneWriter::create(&spec).expect("a plane");
    (Rc::new(RefCell::new(writer)), PlaneReader::attach(fd).expect("attached"))
}

fn push(writer: &mut PlaneWriter, count: u64) {
    for _ in 0..count {
        let value = writer.ring.next_sequence();
        let head = EventHead {
            kind: EventKind::Report as u16,
            source: 0,
            generation: 1,
            t_ns: value as i64,
        };
        writer.ring.push(head, &[value as u8; 96]);
    }
}

/// Runs `action` at every hit of `name` on this thread, and counts them.
fn at_every(name: &'static str, count: &Rc<Cell<u32>>, action: impl FnMut() + 'static) {
    let (count, action) = (count.clone(), Rc::new(RefCell::new(action)));
    fn again(name: &'static str, count: Rc<Cell<u32>>, action: Rc<RefCell<dyn FnMut()>>) {
        points::arm(name, 1, move || {
            count.set(count.get() + 1);
            (action.borrow_mut())();
            again(name, count, action);
        });
    }
    again(name, count, action);
}

#[test]
fn an_event_overwritten_during_its_copy_is_a_lap() {
    for (pushed, committed) in [(1, false), (1, true), (5, true)] {
        let (writer, plane) = plane();
        push(&mut writer.borrow_mut(), SLOTS);
        writer.borrow_mut().commit();
        let mut ring = plane.ring(StartAt::Sequence(0));
        points::arm("ring.copied", 1, move || {
            push(&mut writer.borrow_mut(), pushed);
            if committed {
                writer.borrow_mut().commit();
            }
        });
        // An uncommitted overwrite takes what it took, too.
        assert_eq!(ring.poll(), Polled::Lapped { from: 0, to: pushed });
        let Polled::Event { sequence, slot } = ring.poll() else { panic!("the oldest event") };
        assert_eq!((sequence, slot.payload), (pushed, [pushed as u8; 96]));
        assert_eq!((ring.received(), ring.lost()), (1, pushed));
    }
}

#[test]
fn a_batch_poll_keeps_what_it_had_before_the_race() {
    let (writer, plane) = plane();
    push(&mut writer.borrow_mut(), SLOTS);
    writer.borrow_mut().commit();
    let mut ring = plane.ring(StartAt::Sequence(0));
    // The third copy is overtaken; the two before it were whole when they were taken.
    points::arm("ring.copied", 3, move || {
        push(&mut writer.borrow_mut(), 3);
        writer.borrow_mut().commit();
    });
    let mut out = [rsw_schemas::event::Slot::zeroed(); SLOTS as usize];
    use rsw_plane_points::PolledBatch::{Events, Lapped};
    assert_eq!(ring.poll_batch(&mut out), Events { first: 0, count: 2 });
    assert!((0..2).all(|at| out[at].payload == [at as u8; 96]));
    assert_eq!(ring.poll_batch(&mut out), Lapped { from: 2, to: 3 });
    assert_eq!(ring.poll_batch(&mut out), Events { first: 3, count: 8 });
}

#[test]
fn a_cell_written_twice_during_a_copy_is_read_again() {
    let (writer, plane) = plane();
    writer.borrow().board.set_bits(0, 1, 1, 1);
    let read = || plane.board().read(0);
    // One write goes to the hidden copy; the second spoils what is being read.
    for writes in [1, 2] {
        let first = read().expect("a value").tick;
        let racer = writer.clone();
        points::arm("latch.copied", 1, move || {
            for tick in first + 1..=first + writes {
                racer.borrow().board.set_bits(0, tick, tick, tick as i64);
            }
        });
        let seen = read().expect("a value");
        assert_eq!((seen.value, seen.tick), (Value::U64(first + writes), first + writes));
    }
    // A writer that does so every time is given up on, not waited for.
    let (racer, looks) = (writer.clone(), Rc::new(Cell::new(0)));
    at_every("latch.copied", &looks, move || {
        racer.borrow().board.set_bits(0, 9, 9, 9);
    });
    assert!(read().is_err());
    assert_eq!(looks.get(), latch::RETRIES_MAX);
}

#[test]
fn a_frame_overwritten_during_its_copy_is_copied_again() {
    let (writer, plane) = plane();
    let field = &plane.fields()[0];
    fn publish(writer: &Rc<RefCell<PlaneWriter>>, fills: std::ops::Range<u8>) {
        for fill in fills {
            writer.borrow_mut().fields[0].publish(1, 0, [0.0; 2], &[fill; 64]);
        }
    }
    publish(&writer, 1..2);
    let racer = writer.clone();
    points::arm("frame.copied", 1, move || publish(&racer, 2..4));
    let mut out = Vec::new();
    assert_eq!(field.copy_latest(&mut out).map(|info| info.frame), Ok(3));
    assert_eq!(out, [3; 64]);

    let (racer, looks) = (writer.clone(), Rc::new(Cell::new(0)));
    at_every("frame.copied", &looks, move || publish(&racer, 7..9));
    assert_eq!(field.copy_latest(&mut out), Err(FrameError::Busy));
    assert_eq!(looks.get(), frame::RETRIES_MAX);
}

#[test]
fn a_stream_overwritten_during_its_copy_is_told() {
    let (writer, plane) = plane();
    let position_bytes = writer.borrow_mut().batches.append(&[1; 2000]).expect("it fits");
    let ready = BatchReady { position_bytes, len_bytes: 2000, ..BatchReady::zeroed() };
    let mut out = Vec::new();
    plane.batches().copy(&ready, &mut out).expect("whole");
    let racer = writer.clone();
    points::arm("arena.copied", 1, move || {
        racer.borrow_mut().batches.append(&[2; 2000]).expect("it fits");
    });
    let got = plane.batches().copy(&ready, &mut out);
    assert_eq!(got, Err(BatchError::Overwritten { position_bytes }));
}
