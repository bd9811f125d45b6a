//! Models of the shipped protocols: every interleaving and every allowed reordering of a small case, by loom.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p rsw-plane --lib models`
//!
//! With `--cfg loom --cfg shuttle` the same models run twenty times as long over random schedules, by shuttle; it reorders
//! nothing, so the orderings stay for loom to check.
//!
//! Each model names its forbidden outcome. Beside it stand the orderings that it rests on: with any one of them
//! taken away the forbidden outcome must show up, or the model proves nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytemuck::Zeroable;
use rsw_schemas::event::BatchReady;
use rsw_schemas::field::FieldDesc;

use crate::arena::{self, ArenaWriter};
use crate::frame::{self, FieldReader, FieldWriter};
use crate::latch;
use crate::memory::{RwRegion, words_of};
use crate::ring::{PolledBatch, RingReader, RingWriter};
#[cfg(not(shuttle))]
use crate::sync::modelled::seed_bug;
use crate::sync::modelled::{Death, checker, die_after};
use crate::sync::{AtomicU64, Ordering};

/// How often a model does something: a few times where every schedule is tried.
const fn times(few: u64) -> u64 {
    if cfg!(shuttle) { few * 20 } else { few }
}

#[cfg(shuttle)]
fn check(model: impl Fn() + Sync + Send + 'static) {
    shuttle::check_random(model, 50_000);
}

#[cfg(not(shuttle))]
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// The model must fail without the ordering.
#[cfg(not(shuttle))]
fn must_fail(label: &'static str, model: fn()) {
    seed_bug(Some(label));
    let caught = catch_unwind(AssertUnwindSafe(|| check(model)));
    seed_bug(None);
    assert!(caught.is_err(), "the model does not notice that {label} is missing");
}

/// Forbidden: a value with words of two writes; a sequence that goes back.
fn latch_model() {
    let cell = RwRegion::heap(5);
    let reader = cell.read_only();
    let writer = checker::thread::spawn(move || {
        for value in 1..=times(3) {
            latch::write(cell.words(), &[value, value]);
        }
    });
    let mut last = 0;
    for _ in 0..times(2) {
        if let Some((sequence, [a, b])) = latch::read::<2>(reader.words()) {
            assert_eq!(a, b, "words of two writes");
            assert_eq!(a, sequence, "a copy that is not the one its sequence names");
            assert!(sequence >= last, "the sequence went back");
            last = sequence;
        }
    }
    writer.join().expect("the writer");
}

#[test]
fn latch_is_whole() {
    check(latch_model);
}

#[cfg(not(shuttle))]
#[test]
fn latch_rests_on_its_orderings() {
    for label in ["latch.W0", "latch.W1", "latch.R1", "latch.R2"] {
        must_fail(label, latch_model);
    }
}

/// Forbidden: an event with words of two; a wrong sequence; a loss that is not told.
fn ring_model() {
    let (slots, control) = (RwRegion::heap(2 * 3), RwRegion::heap(2));
    let mut reader = RingReader::new(slots.read_only(), control.read_only(), 0, 1, 0, 0);
    let mut writer = RingWriter::new(slots, control, 0);
    let thread = checker::thread::spawn(move || {
        for value in 0..times(3) {
            writer.push_body(&[value, value]);
            writer.commit();
        }
    });
    let mut body = [0; 2];
    let mut expected = 0;
    for _ in 0..times(3) {
        match reader.poll_body(&mut body) {
            PolledBatch::Empty => {}
            PolledBatch::Events { first, .. } => {
                assert_eq!(first, expected, "an event out of turn");
                assert_eq!(body, [first; 2], "words of two events");
                expected = first + 1;
            }
            PolledBatch::Lapped { from, to } => {
                assert_eq!(from, expected, "a loss from somewhere else");
                assert!(to > from, "a loss of nothing");
                expected = to;
            }
        }
        assert_eq!(reader.received() + reader.lost(), reader.next_sequence(), "a loss not told");
    }
    thread.join().expect("the writer");
}

#[test]
fn events_are_whole_and_laps_exact() {
    check(ring_model);
}

#[cfg(not(shuttle))]
#[test]
fn the_ring_rests_on_its_orderings() {
    for label in ["ring.W0", "ring.R2"] {
        must_fail(label, ring_model);
    }
}

/// Forbidden: an event of a batch without its words, whether the reader comes in order or by a lap; half a batch.
fn batch_model() {
    let (slots, control) = (RwRegion::heap(2 * 3), RwRegion::heap(2));
    let mut reader = RingReader::new(slots.read_only(), control.read_only(), 0, 1, 0, 0);
    let mut writer = RingWriter::new(slots, control, 0);
    let thread = checker::thread::spawn(move || {
        for batch in (0..times(2)).map(|batch| batch * 2) {
            writer.push_body(&[batch, batch]);
            writer.push_body(&[batch + 1, batch + 1]);
            writer.commit();
        }
    });
    let mut body = [0; 2];
    let mut in_batch = false;
    for _ in 0..times(3) {
        match reader.poll_body(&mut body) {
            PolledBatch::Empty => assert!(!in_batch, "half a batch"),
            PolledBatch::Events { first, .. } => {
                assert_eq!(body, [first; 2], "an event without its words");
                in_batch = first % 2 == 0;
            }
            PolledBatch::Lapped { .. } => in_batch = false,
        }
    }
    thread.join().expect("the writer");
}

#[test]
fn batches_are_seen_whole() {
    check(batch_model);
    #[cfg(not(shuttle))]
    for label in ["ring.W1", "ring.W2", "ring.R1"] {
        must_fail(label, batch_model);
    }
}

/// Forbidden: a cursor that leads the events below it, so that a reader which begins there misses one unheard.
fn cursor_model() {
    let (slots, control) = (RwRegion::heap(2 * 3), RwRegion::heap(2));
    let mut reader = RingReader::new(slots.read_only(), control.read_only(), 0, 1, 0, 0);
    let mut writer = RingWriter::new(slots, control, 0);
    let thread = checker::thread::spawn(move || {
        writer.push_body(&[7, 7]);
        writer.commit();
    });
    if reader.lag() > 0 {
        let polled = reader.poll_body(&mut [0; 2]);
        assert!(matches!(polled, PolledBatch::Events { first: 0, .. }), "{polled:?}");
    }
    thread.join().expect("the writer");
}

#[test]
fn the_cursor_never_leads() {
    check(cursor_model);
    #[cfg(not(shuttle))]
    for label in ["ring.W3", "ring.R0"] {
        must_fail(label, cursor_model);
    }
}

/// A writer dies after its `stores`-th store, a successor goes on in a ring of its own at the end that `end` finds,
/// and a reader is told of it; it takes what the old ring still has if `drains`, and switches. Forbidden: a sequence
/// twice, or never; an event that no writer of its ring published; a loss, since nothing was overwritten.
fn generation_model(stores: u64, end: fn(&RingReader) -> u64, drains: bool) {
    let rings = [0; 2].map(|_| (RwRegion::heap(4 * 3), RwRegion::heap(2)));
    let open = |ring: usize, first| {
        let (slots, control): &(RwRegion, RwRegion) = &rings[ring];
        RingReader::new(slots.read_only(), control.read_only(), 0, 1, first, first)
    };
    let mut reader = open(0, 0);
    let (post_mortem, successor) = (open(0, 0), rings[1].clone());
    let mut writer = RingWriter::new(rings[0].0.clone(), rings[0].1.clone(), 0);
    // What a socket is in the product: a message, behind everything that its sender did before.
    let told = checker::sync::Arc::new(AtomicU64::new(u64::MAX));
    let tell = told.clone();
    let thread = checker::thread::spawn(move || {
        die_after(Some(stores));
        let died = catch_unwind(AssertUnwindSafe(|| {
            for sequences in [0..1, 1..3] {
                sequences.for_each(|sequence| {
                    writer.push_body(&[sequence, 1]);
                });
                writer.commit();
            }
        }));
        die_after(None);
        assert!(died.is_err_and(|death| death.is::<Death>()), "{stores} stores end nobody");
        let first = end(&post_mortem);
        let mut writer = RingWriter::new(successor.0, successor.1, first);
        tell.store(first, Ordering::Release);
        writer.push_body(&[first, 2]);
        writer.commit();
        first
    });
    let mut seen = Vec::new();
    let mut poll = |reader: &mut RingReader| {
        let mut body = [0; 2];
        match reader.poll_body(&mut body) {
            PolledBatch::Empty => return false,
            PolledBatch::Events { first, .. } => {
                assert_eq!((first, body[0]), (seen.len() as u64, first), "a sequence out of turn");
                seen.push(body[1]);
            }
            PolledBatch::Lapped { from, to } => panic!("{from}..{to} lost, and nothing was"),
        }
        true
    };
    poll(&mut reader);
    let switch = |reader: &mut RingReader, poll: &mut dyn FnMut(&mut RingReader) -> bool| {
        let first = told.load(Ordering::Acquire);
        if first != u64::MAX {
            while drains && poll(reader) {}
            let start = reader.next_sequence();
            let (slots, control) = &rings[1];
            *reader = RingReader::new(slots.read_only(), control.read_only(), 0, 1, first, start);
        }
        first != u64::MAX
    };
    let mut switched = switch(&mut reader, &mut poll);
    poll(&mut reader);
    let first = thread.join().expect("the writers");
    if !switched {
        switched = switch(&mut reader, &mut poll);
    }
    while poll(&mut reader) {}
    assert!(switched && first <= 3, "the successor begins at {first}");
    let generations: Vec<u64> = (0..first).map(|_| 1).chain([2]).collect();
    assert_eq!(seen, generations, "an event that nobody published, or one missing");
}

/// Stores of the first writer: five for an event and its commit, nine for a batch of two.
const STORES: u64 = 14;

#[test]
fn sequences_run_on_whatever_store_the_writer_dies_after() {
    for stores in 1..=STORES {
        check(move || generation_model(stores, RingReader::cursor, true));
    }
}

#[cfg(not(shuttle))]
#[test]
fn a_change_of_generation_rests_on_stamps_and_on_draining() {
    let fails = |model: fn(u64)| {
        (1..=STORES)
            .any(|stores| catch_unwind(AssertUnwindSafe(|| check(move || model(stores)))).is_err())
    };
    // Of a writer that died between its stamp and its cursor, the cursor alone says too little.
    assert!(fails(|stores| generation_model(
        stores,
        |ring| ring.next_sequence() + ring.lag(),
        true
    )));
    assert!(fails(|stores| generation_model(stores, RingReader::cursor, false)));
}

/// Forbidden: a frame with words of two, or with the head of another.
fn frame_model() {
    let mut entry = FieldDesc::zeroed();
    (entry.frame_count, entry.data_bytes) = (2, 8);
    entry.stride_bytes = frame::stride_bytes(8);
    let desc = RwRegion::heap(words_of::<FieldDesc>());
    let frames = RwRegion::heap(entry.stride_bytes as usize / 8 * 2);
    let reader = FieldReader::new(desc.read_only(), frames.read_only(), entry);
    let mut writer = FieldWriter::new(desc, frames, &entry);
    let thread = checker::thread::spawn(move || {
        for value in 1..=times(3) {
            writer.publish(value, 0, [0.0; 2], &value.to_ne_bytes());
        }
    });
    let mut out = [0u64; 1];
    if let Ok(info) = reader.copy_latest_into(&mut out) {
        assert_eq!(info.tick, info.frame, "the head of another frame");
        assert_eq!(out[0], info.frame, "the data of another frame");
    }
    thread.join().expect("the writer");
}

#[test]
fn frames_are_whole() {
    check(frame_model);
}

#[cfg(not(shuttle))]
#[test]
fn frames_rest_on_their_orderings() {
    for label in ["frame.W0", "frame.R2", "frame.W2", "frame.R0"] {
        must_fail(label, frame_model);
    }
}

/// Forbidden: a stream with bytes of another.
fn arena_model() {
    let head_words = words_of::<rsw_schemas::batch::ArenaHeader>();
    let region = RwRegion::heap(head_words + 8);
    let mut writer = ArenaWriter::new(region.clone());
    let first = writer.append(&[1; 8]).expect("it fits");
    let cursor = checker::sync::Arc::new(AtomicU64::new(1));
    let seen = cursor.clone();
    let thread = checker::thread::spawn(move || {
        writer.append(&[2; 8]).expect("it fits");
        seen.store(2, Ordering::Release);
    });
    let ready = BatchReady { position_bytes: first, len_bytes: 8, ..BatchReady::zeroed() };
    let mut out = Vec::new();
    if arena::copy(&region.read_only(), &ready, &mut out).is_ok() {
        assert_eq!(out, [1; 8], "bytes of another stream");
    }
    thread.join().expect("the writer");
}

#[test]
fn streams_are_whole() {
    check(arena_model);
}

#[cfg(not(shuttle))]
#[test]
fn streams_rest_on_their_orderings() {
    for label in ["arena.W0", "arena.R2"] {
        must_fail(label, arena_model);
    }
}
