//! What every ring promises to every reader: one suite, over each kind of memory and each wait strategy.

use std::sync::Arc;
use std::time::Duration;

use bytemuck::Zeroable;
use rsw_plane::memory::RwRegion;
use rsw_plane::ring::{BODY_WORDS, SHORT_BYTES};
use rsw_plane::{
    EventHead, PlaneReader, PlaneSpec, PlaneWriter, Polled, PolledBatch, RingReader, RingWriter,
    StartAt, WaitStrategy, Waiter,
};
use rsw_schemas::event::{PAYLOAD_BYTES, Slot};

const SLOTS: u64 = 8;
/// First sequences: the plain one, and those whose wraps could be got wrong (of the number, its sign, its stamp).
const FIRSTS: [u64; 5] = [0, u64::MAX - 4, (1 << 63) - 5, (1 << 62) - 3, u64::MAX / 2 + 1];
/// Lengths of payload around every border.
const LENGTHS: [usize; 7] =
    [0, 1, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, PAYLOAD_BYTES - 1, PAYLOAD_BYTES];
/// Nothing here comes close; a wait that ends by it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The writing end of some ring.
trait Write: Send + 'static {
    fn ring(&mut self) -> &mut RingWriter;
    fn commit(&mut self) -> u64;

    /// Pushes `count` events, which say what they are in every byte.
    fn push(&mut self, count: u64) {
        for _ in 0..count {
            let sequence = self.ring().next_sequence();
            let (payload, len) = payload(sequence);
            let head = EventHead {
                kind: 7,
                source: sequence as u32,
                generation: 2,
                t_ns: sequence.cast_signed(),
            };
            assert_eq!(self.ring().push(head, &payload[..len]), sequence);
        }
    }

    fn publish(&mut self, count: u64) {
        self.push(count);
        assert_eq!(self.commit(), count);
    }
}

/// Makes readers of that ring.
type Readers = Arc<dyn Fn(StartAt) -> RingReader + Send + Sync>;

/// A kind of memory.
trait Plane {
    type Writer: Write;
    fn make(slots: u64, first: u64) -> (Self::Writer, Readers);
}

/// A plane in a sealed memfd, mapped twice.
struct Mapped;

impl Write for PlaneWriter {
    fn ring(&mut self) -> &mut RingWriter {
        &mut self.ring
    }

    fn commit(&mut self) -> u64 {
        PlaneWriter::commit(self)
    }
}

impl Plane for Mapped {
    type Writer = PlaneWriter;

    fn make(slots: u64, first: u64) -> (PlaneWriter, Readers) {
        let spec = PlaneSpec {
            run_id: [0; 16],
            generation: 1,
            first_sequence: first,
            nx: 1,
            ny: 1,
            tick_period_ns: 1,
            ring_slots: slots,
            cells: Vec::new(),
            fields: Vec::new(),
            arena_bytes: 4096,
        };
        let (writer, fd) = PlaneWriter::create(&spec).expect("a plane");
        let plane = PlaneReader::attach(fd).expect("attached");
        (writer, Arc::new(move |start| plane.ring(start)))
    }
}

/// Words on the heap, with nobody who wakes sleepers: they look again by themselves.
struct Heap;

impl Write for RingWriter {
    fn ring(&mut self) -> &mut RingWriter {
        self
    }

    fn commit(&mut self) -> u64 {
        RingWriter::commit(self)
    }
}

impl Plane for Heap {
    type Writer = RingWriter;

    fn make(slots: u64, first: u64) -> (RingWriter, Readers) {
        let ring = RwRegion::heap(slots as usize * (1 + BODY_WORDS));
        let control = RwRegion::heap(2);
        let writer = RingWriter::new(ring.clone(), control.clone(), first);
        let (ring, control) = (ring.read_only(), control.read_only());
        let from = move |start| RingReader::new(ring.clone(), control.clone(), 0, 1, first, start);
        let readers = move |start| {
            let end = from(first).cursor();
            from(match start {
                StartAt::Latest => end,
                StartAt::Oldest => end.wrapping_sub(end.wrapping_sub(first).min(slots)),
                StartAt::Sequence(sequence) => sequence,
            })
        };
        (writer, Arc::new(readers))
    }
}

fn payload(sequence: u64) -> ([u8; PAYLOAD_BYTES], usize) {
    let seed = sequence.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let len = LENGTHS[(seed >> 61) as usize % LENGTHS.len()];
    let mut payload = [0; PAYLOAD_BYTES];
    for (at, byte) in payload[..len].iter_mut().enumerate() {
        *byte = seed.rotate_left(at as u32 * 11) as u8 ^ at as u8;
    }
    (payload, len)
}

/// Panics unless `slot` is the whole event `sequence` and nothing else.
fn assert_whole(sequence: u64, slot: &Slot) {
    let (payload, len) = payload(sequence);
    assert_eq!(slot.stamp, sequence.wrapping_mul(2).wrapping_add(2));
    assert_eq!((slot.kind, slot.flags, slot.reserved, slot.generation), (7, 0, 0, 2));
    assert_eq!((slot.source, slot.t_ns), (sequence as u32, sequence.cast_signed()), "torn");
    assert_eq!((usize::from(slot.len_bytes), slot.payload), (len, payload), "torn {sequence}");
}

/// A reader that waits by one strategy, and checks what holds of every answer.
struct Reader<'w> {
    ring: RingReader,
    waiter: &'w Waiter,
    start: u64,
}

impl<'w> Reader<'w> {
    fn new(readers: &Readers, waiter: &'w Waiter, start: StartAt) -> Self {
        let ring = readers(start);
        Self { start: ring.next_sequence(), ring, waiter }
    }

    fn poll(&mut self) -> Polled {
        let before = self.ring.next_sequence();
        let polled = self.ring.poll();
        let after = self.ring.next_sequence();
        match &polled {
            Polled::Empty => assert_eq!(after, before),
            Polled::Event { sequence, slot } => {
                assert_eq!((*sequence, after), (before, before.wrapping_add(1)));
                assert_whole(*sequence, slot);
            }
            Polled::Lapped { from, to } => {
                assert_eq!((*from, *to), (before, after));
                assert!(after.wrapping_sub(before).cast_signed() > 0, "a loss of nothing");
            }
        }
        self.check_sum();
        polled
    }

    fn check_sum(&self) {
        let (received, lost) = (self.ring.received(), self.ring.lost());
        let passed = self.ring.next_sequence().wrapping_sub(self.start);
        assert_eq!(received.wrapping_add(lost), passed, "a loss that is not told");
    }

    /// Waits for what must be there, and polls it.
    fn next(&mut self) -> Polled {
        assert!(self.ring.wait(self.waiter, PATIENCE), "nothing came");
        self.poll()
    }

    fn expect_events(&mut self, first: u64, count: u64) {
        for ahead in 0..count {
            let polled = self.next();
            let sequence = first.wrapping_add(ahead);
            assert!(
                matches!(polled, Polled::Event { sequence: s, .. } if s == sequence),
                "{polled:?} is not event {sequence}"
            );
        }
    }

    fn expect_lap(&mut self, from: u64, count: u64) {
        let to = from.wrapping_add(count);
        assert_eq!(self.next(), Polled::Lapped { from, to });
    }

    fn expect_nothing(&mut self) {
        assert!(!self.ring.wait(self.waiter, Duration::ZERO));
        assert_eq!((self.ring.ready(), self.poll()), (false, Polled::Empty));
    }
}

fn lapped_by_exactly_n_is_told_n<P: Plane>(waiter: &Waiter) {
    for first in FIRSTS {
        for lost in 0..=3 * SLOTS {
            let (mut writer, readers) = P::make(SLOTS, first);
            let mut reader = Reader::new(&readers, waiter, StartAt::Sequence(first));
            for _ in 0..SLOTS + lost {
                writer.publish(1);
            }
            if lost > 0 {
                reader.expect_lap(first, lost);
            }
            reader.expect_events(first.wrapping_add(lost), SLOTS);
            reader.expect_nothing();
            assert_eq!((reader.ring.received(), reader.ring.lost()), (SLOTS, lost));
        }
    }
}

/// What the interleaving is, chance decides; `races.rs` of `rsw-plane-points` makes it happen.
fn a_read_that_races_the_overwrite_is_rejected<P: Plane>(waiter: &Waiter) {
    const EVENTS: u64 = 40_000;
    let first = FIRSTS[1];
    let (mut writer, readers) = P::make(SLOTS, first);
    let mut reader = Reader::new(&readers, waiter, StartAt::Oldest);
    let thread = std::thread::spawn(move || {
        let mut left = EVENTS;
        while left > 0 {
            let count = left.min(left % 5 + 1);
            writer.publish(count);
            left -= count;
        }
    });
    while reader.ring.next_sequence().wrapping_sub(first) < EVENTS {
        reader.next();
    }
    thread.join().expect("the writer");
    reader.expect_nothing();
    assert_eq!(reader.ring.received() + reader.ring.lost(), EVENTS);
}

/// Taken but not committed: the old event is gone, the new one not there yet.
fn an_uncommitted_overwrite_is_a_lap<P: Plane>(waiter: &Waiter) {
    for first in FIRSTS {
        for taken in 1..=SLOTS {
            let (mut writer, readers) = P::make(SLOTS, first);
            let mut reader = Reader::new(&readers, waiter, StartAt::Oldest);
            writer.publish(SLOTS);
            writer.push(taken);
            for lost in 0..taken {
                reader.expect_lap(first.wrapping_add(lost), 1);
            }
            reader.expect_events(first.wrapping_add(taken), SLOTS - taken);
            reader.expect_nothing();
            writer.commit();
            reader.expect_events(first.wrapping_add(SLOTS), taken);
            reader.expect_nothing();
        }
    }
}

fn who_joins_late_gets_what_it_asked_for<P: Plane>(waiter: &Waiter) {
    for first in FIRSTS {
        for published in [0, 1, SLOTS - 1, SLOTS, SLOTS + 1, 3 * SLOTS] {
            let (mut writer, readers) = P::make(SLOTS, first);
            for _ in 0..published {
                writer.publish(1);
            }
            let end = first.wrapping_add(published);
            let held = published.min(SLOTS);
            let oldest = end.wrapping_sub(held);

            let mut latest = Reader::new(&readers, waiter, StartAt::Latest);
            latest.expect_nothing();
            let mut all = Reader::new(&readers, waiter, StartAt::Oldest);
            all.expect_events(oldest, held);
            all.expect_nothing();
            assert_eq!(all.ring.lost(), 0);
            for behind in 0..=published {
                let start = StartAt::Sequence(end.wrapping_sub(behind));
                let mut reader = Reader::new(&readers, waiter, start);
                if behind > held {
                    reader.expect_lap(end.wrapping_sub(behind), behind - held);
                }
                reader.expect_events(end.wrapping_sub(behind.min(held)), behind.min(held));
                reader.expect_nothing();
            }
            // Before this ring began: another ring held it, and it is lost here.
            let mut early = Reader::new(&readers, waiter, StartAt::Sequence(first.wrapping_sub(3)));
            early.expect_lap(first.wrapping_sub(3), 3);
            // Not published yet: it begins when that comes.
            let mut ahead = Reader::new(&readers, waiter, StartAt::Sequence(end.wrapping_add(2)));
            ahead.expect_nothing();
            writer.publish(2);
            ahead.expect_nothing();
            writer.publish(1);
            while ahead.ring.received() == 0 {
                ahead.next();
            }
            assert_eq!((ahead.ring.next_sequence(), ahead.ring.lost()), (end.wrapping_add(3), 0));
            latest.expect_events(end, 3);
        }
    }
}

fn sequences_wrap_unnoticed<P: Plane>(waiter: &Waiter) {
    for border in [0, 1 << 63, 1 << 62] {
        for before in 0..2 * SLOTS {
            let first = 0_u64.wrapping_add(border).wrapping_sub(before);
            let (mut writer, readers) = P::make(SLOTS, first);
            let mut reader = Reader::new(&readers, waiter, StartAt::Latest);
            for at in 0..4 * SLOTS {
                writer.publish(1);
                assert_eq!(reader.ring.lag(), 1);
                reader.expect_events(first.wrapping_add(at), 1);
                assert_eq!((reader.ring.lag(), reader.ring.lost()), (0, 0));
            }
            assert_eq!(reader.ring.cursor(), first.wrapping_add(4 * SLOTS));
        }
    }
}

fn two_readers_go_at_their_own_speed<P: Plane>(waiter: &Waiter) {
    for first in FIRSTS {
        let (mut writer, readers) = P::make(SLOTS, first);
        let mut fast = Reader::new(&readers, waiter, StartAt::Oldest);
        let mut slow = Reader::new(&readers, waiter, StartAt::Oldest);
        let mut at = first;
        for round in 0..40 {
            let count = round % SLOTS + 1;
            writer.publish(count);
            fast.expect_events(at, count);
            at = at.wrapping_add(count);
            if round % 3 == 0 {
                slow.next();
            }
        }
        while slow.poll() != Polled::Empty {}
        fast.expect_nothing();
        assert_eq!((fast.ring.lost(), fast.ring.next_sequence()), (0, at));
        assert_eq!(slow.ring.next_sequence(), at);
        assert!(slow.ring.lost() > 0 && slow.ring.received() >= SLOTS);
    }
}

fn half_a_batch_is_never_seen<P: Plane>(waiter: &Waiter) {
    for first in FIRSTS {
        for size in 1..=SLOTS {
            let (mut writer, readers) = P::make(SLOTS, first);
            let mut reader = Reader::new(&readers, waiter, StartAt::Oldest);
            for batch in 0..5 {
                let at = first.wrapping_add(batch * size);
                for _ in 0..size {
                    writer.push(1);
                    reader.expect_nothing();
                    let late = Reader::new(&readers, waiter, StartAt::Latest).ring;
                    assert_eq!((late.next_sequence(), reader.ring.cursor()), (at, at));
                }
                assert_eq!(writer.commit(), size);
                assert_eq!(writer.commit(), 0);
                let mut out = [Slot::zeroed(); SLOTS as usize + 2];
                if batch % 2 == 0 {
                    let count = size as usize;
                    assert!(reader.ring.wait(waiter, PATIENCE));
                    let polled = reader.ring.poll_batch(&mut out);
                    assert_eq!(polled, PolledBatch::Events { first: at, count });
                    for (ahead, slot) in out[..count].iter().enumerate() {
                        assert_whole(at.wrapping_add(ahead as u64), slot);
                    }
                    assert_eq!(reader.ring.poll_batch(&mut out), PolledBatch::Empty);
                } else {
                    reader.expect_events(at, size);
                }
                reader.check_sum();
                reader.expect_nothing();
            }
            assert_eq!(reader.ring.lost(), 0);
        }
    }
}

/// More than a lap at once: the writer commits on the way, and tells the rest.
fn a_batch_longer_than_a_lap_is_laps<P: Plane>(waiter: &Waiter) {
    for first in FIRSTS {
        for over in 1..=2 * SLOTS {
            let (mut writer, readers) = P::make(SLOTS, first);
            let mut reader = Reader::new(&readers, waiter, StartAt::Oldest);
            writer.push(SLOTS + over);
            writer.commit();
            reader.expect_lap(first, over);
            reader.expect_events(first.wrapping_add(over), SLOTS);
            reader.expect_nothing();
        }
    }
}

fn a_reader_that_stops_for_ever_harms_nobody<P: Plane>(waiter: &Waiter) {
    const EVENTS: u64 = 20_000;
    for first in FIRSTS {
        let (mut writer, readers) = P::make(SLOTS, first);
        let mut stopped = Reader::new(&readers, waiter, StartAt::Oldest);
        let mut reader = Reader::new(&readers, waiter, StartAt::Oldest);
        writer.publish(2);
        stopped.expect_events(first, 1);
        reader.expect_events(first, 2);
        for at in 2..EVENTS {
            writer.publish(1);
            reader.expect_events(first.wrapping_add(at), 1);
        }
        assert_eq!((reader.ring.received(), reader.ring.lost()), (EVENTS, 0));
        // Should it ever come back, it is told all that it slept through.
        stopped.expect_lap(first.wrapping_add(1), EVENTS - 1 - SLOTS);
        stopped.expect_events(first.wrapping_add(EVENTS - SLOTS), SLOTS);
    }
}

/// A slot that held a long event holds a short one next, and the other way round.
fn short_and_long_payloads_mix<P: Plane>(waiter: &Waiter) {
    let (mut writer, readers) = P::make(SLOTS, 0);
    let mut reader = Reader::new(&readers, waiter, StartAt::Oldest);
    let lens = (0..=PAYLOAD_BYTES).flat_map(|len| [len, PAYLOAD_BYTES - len, len]);
    for (sequence, len) in lens.enumerate() {
        // Not by `push`, whose lengths are its own; each slot gets each border in its turn.
        let bytes = [sequence as u8 | 1; PAYLOAD_BYTES];
        let head = EventHead { kind: 7, source: 0, generation: 2, t_ns: 0 };
        writer.ring().push(head, &bytes[..len]);
        writer.commit();
        assert!(reader.ring.wait(waiter, PATIENCE));
        let Polled::Event { slot, .. } = reader.ring.poll() else { panic!("event {sequence}") };
        assert_eq!((usize::from(slot.len_bytes), &slot.payload[..len]), (len, &bytes[..len]));
        assert!(slot.payload[len..].iter().all(|byte| *byte == 0), "bytes of another event");
    }
}

fn received_plus_lost_is_what_went_by<P: Plane>(waiter: &Waiter) {
    let mut seed = 0x1234_5678_9abc_def1_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for round in 0..40 {
        let first = FIRSTS[round % FIRSTS.len()].wrapping_sub(random(20));
        let (mut writer, readers) = P::make(SLOTS, first);
        let mut many: Vec<Reader<'_>> = Vec::new();
        let mut out = [Slot::zeroed(); 2 * SLOTS as usize];
        for _ in 0..60 {
            writer.push(random(12));
            if random(3) > 0 {
                writer.commit();
            }
            if many.len() < 4 {
                let back = random(2 * SLOTS);
                let end = writer.ring().next_sequence();
                let starts =
                    [StartAt::Latest, StartAt::Oldest, StartAt::Sequence(end.wrapping_sub(back))];
                many.push(Reader::new(&readers, waiter, starts[random(3) as usize]));
            }
            for reader in &mut many {
                for _ in 0..random(6) {
                    reader.poll();
                }
                let room = random(2 * SLOTS) as usize;
                let at = reader.ring.next_sequence();
                if let PolledBatch::Events { first, count } =
                    reader.ring.poll_batch(&mut out[..room])
                {
                    assert_eq!(first, at);
                    for (ahead, slot) in out[..count].iter().enumerate() {
                        assert_whole(at.wrapping_add(ahead as u64), slot);
                    }
                }
                reader.check_sum();
            }
        }
        writer.commit();
        for reader in &mut many {
            while reader.poll() != Polled::Empty || reader.ring.ready() {}
            assert_eq!(reader.ring.next_sequence(), writer.ring().next_sequence());
            assert_eq!(reader.ring.lag(), 0);
        }
    }
}

/// The suite, over one kind of memory and one strategy.
macro_rules! conformance {
    ($($name:ident: $plane:ty, $strategy:expr;)*) => { $(
        mod $name {
            use super::*;

            conformance! { @each $plane, $strategy;
                lapped_by_exactly_n_is_told_n
                a_read_that_races_the_overwrite_is_rejected
                an_uncommitted_overwrite_is_a_lap
                who_joins_late_gets_what_it_asked_for
                sequences_wrap_unnoticed
                two_readers_go_at_their_own_speed
                half_a_batch_is_never_seen
                a_batch_longer_than_a_lap_is_laps
                a_reader_that_stops_for_ever_harms_nobody
                short_and_long_payloads_mix
                received_plus_lost_is_what_went_by
            }
        }
    )* };
    (@each $plane:ty, $strategy:expr; $($case:ident)*) => { $(
        #[test]
        fn $case() {
            super::$case::<$plane>(&Waiter::new($strategy));
        }
    )* };
}

conformance! {
    mapped_busy_spin: Mapped, WaitStrategy::BusySpin;
    mapped_yield: Mapped, WaitStrategy::Yield;
    mapped_hybrid: Mapped, WaitStrategy::HybridSpin(Duration::from_micros(5));
    mapped_block: Mapped, WaitStrategy::Block;
    heap_busy_spin: Heap, WaitStrategy::BusySpin;
    heap_yield: Heap, WaitStrategy::Yield;
    heap_hybrid: Heap, WaitStrategy::HybridSpin(Duration::from_micros(5));
    heap_block: Heap, WaitStrategy::Block;
}
