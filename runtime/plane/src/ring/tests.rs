//! Laps, batches and cursors of one ring in one process, and a property test of what is told.

use bytemuck::Zeroable;
use proptest::prelude::*;
use rsw_schemas::event::PAYLOAD_BYTES;

use super::*;
use crate::memory::RwRegion;
use crate::sync::Ordering;

fn ring(slots: usize, first: u64) -> (RingWriter, impl Fn(u64) -> RingReader) {
    let slot_region = RwRegion::heap(slots * SLOT_WORDS);
    let control = RwRegion::heap(16);
    let writer = RingWriter::new(slot_region.clone(), control.clone(), first);
    let reader = move |start| {
        RingReader::new(slot_region.read_only(), control.read_only(), 0, 1, first, start)
    };
    (writer, reader)
}

fn head(value: u64) -> EventHead {
    EventHead { kind: 1, source: 2, generation: 3, t_ns: value as i64 }
}

fn push(writer: &mut RingWriter) {
    let value = writer.next_sequence();
    let payload = [value; 12];
    writer.push(head(value), bytemuck::cast_slice(&payload));
}

#[test]
fn nothing_is_seen_before_commit() {
    let (mut writer, reader) = ring(8, 0);
    let mut reader = reader(0);
    push(&mut writer);
    assert_eq!(reader.poll(), Polled::Empty);
    assert_eq!(writer.commit(), 1);
    let Polled::Event { sequence: 0, slot } = reader.poll() else { panic!("one event") };
    assert_eq!((slot.kind, slot.len_bytes, slot.source, slot.generation), (1, 96, 2, 3));
    assert_eq!(reader.poll(), Polled::Empty);
}

#[test]
fn lapped_by_exactly_n_is_told_n_also_across_the_wrap() {
    for first in [0, u64::MAX - 3, u64::MAX / 2 - 5, 1 << 62] {
        for extra in 0..20 {
            let (mut writer, reader) = ring(8, first);
            let mut reader = reader(first);
            for _ in 0..8 + extra {
                push(&mut writer);
            }
            writer.commit();
            if extra > 0 {
                let to = first.wrapping_add(extra);
                assert_eq!(reader.poll(), Polled::Lapped { from: first, to });
            }
            for offset in extra..extra + 8 {
                let Polled::Event { sequence, slot } = reader.poll() else { panic!("an event") };
                assert_eq!(sequence, first.wrapping_add(offset));
                assert_eq!(slot.t_ns as u64, sequence);
            }
            assert_eq!(reader.poll(), Polled::Empty);
            assert_eq!((reader.lost(), reader.received()), (extra, 8));
        }
    }
}

#[test]
fn an_uncommitted_overwrite_is_a_lap_of_what_it_really_overwrote() {
    let (mut writer, reader) = ring(8, 0);
    let mut reader = reader(0);
    for _ in 0..8 {
        push(&mut writer);
    }
    writer.commit();
    for _ in 0..3 {
        push(&mut writer); // overwrites 0, 1, 2, not committed
    }
    // Each slot speaks for itself: 0 says that 8 overwrote it, and so on.
    for lost in 0..3 {
        assert_eq!(reader.poll(), Polled::Lapped { from: lost, to: lost + 1 });
    }
    assert!(matches!(reader.poll(), Polled::Event { sequence: 3, .. }));
}

#[test]
fn what_an_earlier_ring_held_is_told_up_to_the_first_of_this_one() {
    let (mut writer, reader) = ring(8, 100);
    let mut reader = reader(97);
    push(&mut writer);
    push(&mut writer);
    writer.commit();
    assert_eq!(reader.poll(), Polled::Lapped { from: 97, to: 100 });
    assert!(matches!(reader.poll(), Polled::Event { sequence: 100, .. }));
}

#[test]
fn a_writer_that_died_in_a_slot_publishes_nothing() {
    let (mut writer, reader) = ring(8, 0);
    let mut reader = reader(0);
    push(&mut writer);
    writer.commit();
    // Dies after W0 of sequence 1.
    writer.slot(1)[0].store(busy(1), Ordering::Relaxed);
    assert!(matches!(reader.poll(), Polled::Event { sequence: 0, .. }));
    assert_eq!(reader.poll(), Polled::Empty);
    assert_eq!(reader.cursor(), 1);
}

#[test]
fn a_batch_whose_cursor_never_came_is_published_whole() {
    let (mut writer, reader) = ring(8, 5);
    let mut early = reader(5);
    for _ in 0..3 {
        push(&mut writer);
    }
    assert_eq!((early.poll(), early.cursor()), (Polled::Empty, 5));
    // Dies after W2.
    writer.slot(5)[0].store(complete(5), Ordering::Release);
    let mut late = reader(early.cursor() - 3);
    assert_eq!((early.cursor(), early.lag()), (8, 0));
    for sequence in 5..8 {
        for reader in [&mut early, &mut late] {
            assert!(reader.ready());
            assert!(matches!(reader.poll(), Polled::Event { sequence: s, .. } if s == sequence));
        }
    }
    assert!(!early.ready());
}

#[test]
fn a_reader_that_begins_inside_a_batch_waits_for_its_commit() {
    let (mut writer, reader) = ring(8, 0);
    let mut reader = reader(1);
    push(&mut writer);
    push(&mut writer);
    assert_eq!((reader.poll(), reader.ready()), (Polled::Empty, false));
    writer.commit();
    assert!(reader.ready());
    assert!(matches!(reader.poll(), Polled::Event { sequence: 1, .. }));
}

#[test]
fn a_batch_is_never_longer_than_a_lap() {
    let (mut writer, reader) = ring(8, 0);
    let mut reader = reader(0);
    for _ in 0..11 {
        push(&mut writer);
    }
    assert_eq!((writer.pending(), reader.cursor()), (3, 8));
    assert_eq!(reader.poll(), Polled::Lapped { from: 0, to: 1 });
    writer.commit();
    assert_eq!(reader.poll(), Polled::Lapped { from: 1, to: 3 });
    assert!(matches!(reader.poll(), Polled::Event { sequence: 3, .. }));
}

#[test]
fn a_short_event_leaves_the_second_line_alone() {
    let (mut writer, reader) = ring(8, 0);
    let mut reader = reader(0);
    for round in 0..2 {
        for len in [PAYLOAD_BYTES, SHORT_BYTES + 1, SHORT_BYTES, 1, 0, PAYLOAD_BYTES, 7, 8] {
            let payload = vec![round * 100 + len as u8 + 1; len];
            writer.push(head(7), &payload);
            writer.commit();
            let Polled::Event { slot, .. } = reader.poll() else { panic!("an event") };
            assert_eq!(&slot.payload[..len], payload);
            assert!(slot.payload[len..].iter().all(|byte| *byte == 0));
        }
    }
    push(&mut writer);
    push(&mut writer);
    writer.push(head(7), &[1; SHORT_BYTES]);
    let second_line: Vec<u64> =
        writer.slot(2)[8..].iter().map(|word| word.load(Ordering::Relaxed)).collect();
    assert_eq!(second_line, [0; 8], "slot 2 never held a long event");
    let reused = writer.slot(1)[15].load(Ordering::Relaxed);
    writer.commit();
    for _ in 0..7 {
        writer.push(head(7), &[1; SHORT_BYTES]);
    }
    assert_eq!(writer.slot(1)[15].load(Ordering::Relaxed), reused);
}

#[test]
fn two_threads_lose_nothing_unaccounted() {
    const EVENTS: u64 = 300_000;
    let (mut writer, reader) = ring(64, 0);
    let mut reader = reader(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for at in 0..EVENTS {
                push(&mut writer);
                if at % 7 == 0 {
                    writer.commit();
                }
            }
            writer.commit();
        });
        let mut expected = 0;
        while reader.next_sequence() < EVENTS {
            match reader.poll() {
                Polled::Empty => core::hint::spin_loop(),
                Polled::Event { sequence, slot } => {
                    assert_eq!(sequence, expected);
                    let words: &[u64] = bytemuck::cast_slice(&slot.payload);
                    assert!(words.iter().all(|w| *w == sequence), "torn {sequence}: {words:?}");
                    expected = sequence + 1;
                }
                Polled::Lapped { from, to } => {
                    assert!(from == expected && to > from);
                    expected = to;
                }
            }
        }
    });
    assert_eq!(reader.received() + reader.lost(), EVENTS);
}

proptest! {
    #[test]
    fn received_plus_lost_is_published(
        steps in prop::collection::vec((0u64..30, 0usize..40), 1..60),
        first in any::<u64>(),
    ) {
        let (mut writer, reader) = ring(16, first);
        let mut reader = reader(first);
        let mut out = vec![Slot::zeroed(); 40];
        for (publish, read) in steps {
            for _ in 0..publish { push(&mut writer); }
            writer.commit();
            let mut at = reader.next_sequence();
            match reader.poll_batch(&mut out[..read]) {
                PolledBatch::Empty => {}
                PolledBatch::Events { first, count } => {
                    prop_assert_eq!(first, at);
                    for slot in &out[..count] {
                        prop_assert_eq!(slot.t_ns as u64, at);
                        at = at.wrapping_add(1);
                    }
                }
                PolledBatch::Lapped { from, to } => {
                    prop_assert_eq!(from, at);
                    prop_assert_eq!(to, writer.next_sequence().wrapping_sub(16));
                }
            }
            let span = reader.next_sequence().wrapping_sub(first);
            prop_assert_eq!(reader.received() + reader.lost(), span);
            prop_assert_eq!(reader.lag(), writer.next_sequence().wrapping_sub(reader.next_sequence()));
        }
    }
}
