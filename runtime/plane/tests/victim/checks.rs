//! What must hold of a plane whose writer died, at whatever instant.

use std::time::Duration;

use bytemuck::Zeroable;
use rsw_schemas::counter::Counter;
use rsw_schemas::event::BatchReady;

use super::script::{self, CELLS, FIRST, SLOTS};
use super::{Journal, Span, Step, Victim};
use crate::plane::{
    BatchError, FrameError, PlaneReader, Polled, RingReader, StartAt, Value, WaitStrategy, Waiter,
};

/// Points behind the store that publishes a batch, in one commit.
const PUBLISHED: [&str; 4] = ["ring.W2", "ring.W3", "counter", "control.wake"];
/// Points behind the store that counts it.
const COUNTED: [&str; 2] = ["counter", "control.wake"];

/// A reader that follows the writer, and checks whatever it gets.
pub(crate) struct Follower {
    ring: RingReader,
    plane: PlaneReader,
    frame: u64,
    ticks: [u64; CELLS as usize],
    copy: Vec<u8>,
}

impl Follower {
    /// One that begins with the first event of the plane.
    pub(crate) fn new(plane: &PlaneReader) -> Self {
        let ring = plane.ring(StartAt::Sequence(FIRST));
        Self { ring, plane: plane.clone(), frame: 0, ticks: [0; CELLS as usize], copy: Vec::new() }
    }

    /// Events returned or told as lost.
    fn events(&self) -> u64 {
        self.ring.next_sequence().wrapping_sub(FIRST)
    }

    /// Polls once; `false` if there was nothing.
    pub(crate) fn poll(&mut self) -> bool {
        let at = self.events();
        match self.ring.poll() {
            Polled::Empty => {
                assert!(script::begins_a_batch(at), "half a batch: it ends before event {at}");
                return false;
            }
            Polled::Event { sequence, slot } => {
                assert_eq!(sequence, FIRST.wrapping_add(at), "an event out of turn");
                script::assert_whole(at, &slot);
                if let Some(ready) = script::described(at, &slot) {
                    self.copy_stream(&ready);
                }
            }
            Polled::Lapped { from, to } => {
                assert_eq!(from, FIRST.wrapping_add(at), "a loss from somewhere else");
                assert!(to.wrapping_sub(from).cast_signed() > 0, "a loss of nothing");
            }
        }
        assert_eq!(self.ring.received() + self.ring.lost(), self.events(), "a loss not told");
        true
    }

    fn copy_stream(&mut self, ready: &BatchReady) {
        match self.plane.batches().copy(ready, &mut self.copy) {
            Ok(()) => assert_eq!(self.copy, script::stream(ready.batch), "torn stream"),
            Err(error) => assert!(matches!(error, BatchError::Overwritten { .. })),
        }
    }

    /// Looks at the board and the field: whole values that never go back.
    pub(crate) fn look(&mut self) {
        for cell in 0..CELLS {
            let Ok(seen) = self.plane.board().read(cell as usize) else { continue };
            let last = &mut self.ticks[cell as usize];
            assert!(seen.tick >= *last, "cell {cell} went back");
            assert_cell(cell, &seen);
            *last = seen.tick;
        }
        match self.plane.fields()[0].copy_latest(&mut self.copy) {
            Ok(info) => {
                assert!(info.frame >= self.frame, "the field went back");
                assert_eq!((info.tick, info.t_ns), (info.frame, info.frame as i64));
                let range = (info.frame as f32, -(info.frame as f32));
                assert_eq!((info.min, info.max), range, "torn head of frame {}", info.frame);
                assert_eq!(self.copy, script::frame(info.frame), "torn frame {}", info.frame);
                self.frame = info.frame;
            }
            Err(FrameError::None) => assert_eq!(self.frame, 0),
            Err(FrameError::Busy) => {}
        }
    }
}

fn assert_cell(cell: u64, seen: &crate::plane::CellValue) {
    let bits = if seen.tick == 0 { 0 } else { script::cell(cell, seen.tick) };
    assert_eq!((seen.value, seen.t_ns), (Value::U64(bits), seen.tick as i64), "torn cell {cell}");
}

/// Checks everything that the dead writer left. `follower` read along; `died_at` is the named point, if it died at
/// one: then nothing is in doubt, and otherwise only whether the one operation under way was done.
pub(crate) fn check(victim: &Victim, follower: &mut Follower, died_at: Option<&str>) {
    let (plane, journal) = (&victim.plane, &victim.journal);
    let events = check_events(plane, journal, died_at);
    while follower.events() < events {
        assert!(follower.poll(), "published events do not come");
    }
    assert!(!follower.poll(), "an event that was never published");
    follower.look();
    check_board(plane, journal, died_at);
    check_frame(plane, journal, died_at);
    check_streams(plane, journal, died_at);
    let spans = [
        (plane.tick(), journal.span(Step::Tick), died_at.map(|name| name == "control")),
        (
            plane.counters()[Counter::Published as usize].value,
            journal.span(Step::Commit),
            died_at.map(|name| COUNTED.contains(&name)),
        ),
    ];
    for (found, span, done) in spans {
        assert!(is(found, span, done), "{found} is not {span:?}, {done:?}");
    }
}

/// Whether `found` is what a step must have left: `done` says whether its decisive store was made, if that is known.
fn is(found: u64, span: Span, done: Option<bool>) -> bool {
    let may = done != Some(false) && found == span.may;
    let sure = done != Some(true) && found == span.sure;
    may || sure
}

/// The end of the ring, and every reader that begins after the death. Returns the number of published events.
fn check_events(plane: &PlaneReader, journal: &Journal, died_at: Option<&str>) -> u64 {
    let commit = journal.span(Step::Commit);
    let events = plane.ring_cursor().wrapping_sub(FIRST);
    let done = died_at.map(|name| PUBLISHED.contains(&name));
    assert!(is(events, commit, done), "{events} published, not {commit:?}, {done:?}");
    let push = journal.span(Step::Push);
    // A named point of a push lies behind its first store, the one that takes the slot from the event before.
    let taken = if died_at.is_some() { push.may..=push.may } else { push.sure..=push.may };
    let taken = (taken.start().saturating_sub(SLOTS))..=(taken.end().saturating_sub(SLOTS));

    let mut late = Follower::new(plane);
    for _ in 0..=events {
        if !late.poll() {
            break;
        }
    }
    assert_eq!(late.events(), events, "a reader that begins late does not come to the end");
    let lost = late.ring.lost();
    assert!(taken.contains(&lost), "{lost} lost of {events} published, {taken:?} expected");

    for start in [StartAt::Latest, StartAt::Oldest, StartAt::Sequence(FIRST.wrapping_add(events))] {
        let mut ring = plane.ring(start);
        assert_eq!(ring.cursor().wrapping_sub(FIRST), events);
        for _ in 0..=SLOTS {
            if ring.poll() == Polled::Empty {
                break;
            }
        }
        assert_eq!(ring.next_sequence().wrapping_sub(FIRST), events, "{start:?}");
        assert_eq!((ring.ready(), ring.poll()), (false, Polled::Empty));
        assert!(!ring.wait(&Waiter::new(WaitStrategy::Block), Duration::ZERO));
    }
    events
}

fn check_board(plane: &PlaneReader, journal: &Journal, died_at: Option<&str>) {
    let span = journal.span(Step::Cell);
    let done = died_at.map(|name| name == "latch.W1");
    for cell in 0..CELLS {
        let seen = plane.board().read(cell as usize).expect("a cell of a dead writer");
        assert_cell(cell, &seen);
        let tick_after = |writes: u64| writes / CELLS + u64::from(cell < writes % CELLS);
        let ticks = Span { sure: tick_after(span.sure), may: tick_after(span.may) };
        assert!(is(seen.tick, ticks, done), "cell {cell}: {seen:?}, not {ticks:?}, {done:?}");
    }
}

fn check_frame(plane: &PlaneReader, journal: &Journal, died_at: Option<&str>) {
    let span = journal.span(Step::Frame);
    let latest = plane.fields()[0].latest();
    let done = died_at.map(|name| name == "frame.W2");
    assert!(is(latest, span, done), "frame {latest}, not {span:?}, {done:?}");
    let mut copy = Vec::new();
    match plane.fields()[0].copy_latest(&mut copy) {
        Ok(info) => assert_eq!((info.frame, copy), (latest, script::frame(latest))),
        Err(error) => assert_eq!((error, latest), (FrameError::None, 0)),
    }
}

/// Every stream that was ever appended: whole, or told as overwritten if the last append needed its place.
fn check_streams(plane: &PlaneReader, journal: &Journal, died_at: Option<&str>) {
    let span = journal.span(Step::Stream);
    let mut copy = Vec::new();
    for number in span.may.saturating_sub(20).max(1)..=span.sure {
        let (position_bytes, _) = script::stream_place(number);
        let len_bytes = script::stream(number).len() as u64;
        let ready = BatchReady { position_bytes, len_bytes, ..BatchReady::zeroed() };
        let kept = match plane.batches().copy(&ready, &mut copy) {
            Ok(()) => {
                assert_eq!(copy, script::stream(number), "torn stream {number}");
                true
            }
            Err(error) => {
                assert_eq!(error, BatchError::Overwritten { position_bytes });
                false
            }
        };
        // Every named point of an append lies behind the store of the tail.
        let kept_after = |append| u64::from(position_bytes >= script::stream_place(append).1);
        let keeps = Span { sure: kept_after(span.sure), may: kept_after(span.may) };
        let done = died_at.map(|_| true);
        assert!(is(u64::from(kept), keeps, done), "stream {number}: {kept}, {span:?}, {done:?}");
    }
}
