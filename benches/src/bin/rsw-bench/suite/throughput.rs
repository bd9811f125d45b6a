//! How fast one writer publishes with nobody there, and how fast one reader takes everything, nothing lost.
//!
//! The reader of the second kind says how far it is on a line of its own, as the recorder does, and the writer waits
//! before it would overwrite what was not read: a disruptor between processes. Every word is written and read.

use std::sync::atomic::Ordering;

use bytemuck::Zeroable;
use disruptor::Producer;
use rsw_plane::{PolledBatch, RingReader, StartAt};
use rsw_schemas::event::Slot;

use super::Bench;
use crate::link::bare::{Plain, Stamped};
use crate::link::thread::{self, Message};
use crate::link::{STOP, WORDS_MAX, ring, value_of};
use crate::pair::{self, Patience, SharedWords};
use crate::sample::Case;
use crate::{Failure, clock};

/// Slots of every ring here, ours and the peers'.
const SLOTS: u64 = 65_536;
/// Slots of a ring that fits into a core's second cache: what the instructions cost, without the memory.
const SMALL: u64 = 4096;
const BATCHES: [u64; 3] = [1, 16, 100];
/// Events that the reader takes at once.
const TAKE: usize = 64;
/// How often the reader says how far it is.
const TELL: u64 = 1024;

pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    for bytes in bench.options.payload.clone() {
        for (batch, slots) in BATCHES.into_iter().flat_map(|batch| [(batch, SLOTS), (batch, SMALL)])
        {
            match bytes / 8 {
                1 => publish::<1>(bench, batch, slots),
                2 => publish::<2>(bench, batch, slots),
                4 => publish::<4>(bench, batch, slots),
                8 => publish::<8>(bench, batch, slots),
                _ => publish::<12>(bench, batch, slots),
            }?;
        }
    }
    store(bench, SLOTS)?;
    store(bench, SMALL)?;
    stamped(bench)?;
    for batch in [1, 100] {
        plain(bench, batch)?;
        ours(bench, batch)?;
        if bench.options.peers {
            disruptor(bench, batch, false)?;
            disruptor(bench, batch, true)?;
        }
    }
    if bench.options.peers {
        crossbeam(bench)?;
    }
    Ok(())
}

/// Name of a case with its batch.
fn named(name: &str, batch: u64) -> String {
    if batch == 1 { name.to_owned() } else { format!("{name}-batch-{batch}") }
}

/// The writer alone.
fn publish<const WORDS: usize>(bench: &mut Bench, batch: u64, slots: u64) -> Result<(), Failure> {
    let (mut writer, _plane) = ring::plane(slots)?;
    let deadline = bench.deadline();
    let (start, mut value) = (clock::now(), 0u64);
    let mut end = start;
    while end < deadline {
        for _ in 0..4096 / batch {
            for _ in 0..batch {
                value += 1;
                writer.ring.push(ring::HEAD, bytemuck::cast_slice(&[value; WORDS]));
            }
            writer.ring.commit();
        }
        end = clock::now();
    }
    let name = if slots == SMALL { "publish-in-l2" } else { "publish" };
    let case = Case::new("throughput", named(name, batch), "throughput")
        .payload(WORDS * 8)
        .readers(0)
        .beside("floor");
    bench.cost(case, clock::ns((end - start) as f64) / value as f64, value);
    Ok(())
}

/// Storing slots and nothing else, alone: what the memory takes of [`publish`].
fn store(bench: &mut Bench, slots: u64) -> Result<(), Failure> {
    let mut writes = Plain::new(slots)?;
    let deadline = bench.deadline();
    let (start, mut value) = (clock::now(), 0u64);
    let mut end = start;
    while end < deadline {
        for at in 1..=4096 {
            value += 1;
            writes.send(value, at % 16 == 0);
        }
        end = clock::now();
    }
    let name = if slots == SMALL { "bare-plain-in-l2" } else { "bare-plain" };
    let case = Case::new("throughput", named(name, 16), "throughput")
        .payload(WORDS_MAX * 8)
        .readers(0)
        .beside("floor");
    bench.cost(case, clock::ns((end - start) as f64) / value as f64, value);
    Ok(())
}

/// The reading end of a stream.
trait Takes {
    /// Hands over values that are there, at most [`TAKE`]; none is no error.
    fn take(&mut self, each: impl FnMut(u64)) -> Result<(), Failure>;
}

/// A writer and a reader that it waits for. `send` writes a value and, if the flag says so, publishes what it wrote.
fn lossless(
    bench: &mut Bench,
    case: Case,
    batch: u64,
    mut send: impl FnMut(u64, bool),
    mut reader: impl Takes,
) -> Result<(), Failure> {
    let page = SharedWords::page()?;
    let progress = &page.words()[0];
    let deadline = bench.deadline();
    let peer = pair::spawn(bench.cores[1], move || {
        let (mut value, mut room) = (0u64, SLOTS);
        let mut done = false;
        while !done {
            done = value.is_multiple_of(1024) && clock::now() >= deadline;
            for at in 1..=batch {
                if room == 0 {
                    let mut patience = Patience::new();
                    // A batch must fit, and the reader must not be asked for every event.
                    while room < SLOTS / 4 {
                        room = SLOTS - (value - progress.load(Ordering::Acquire));
                        patience.look();
                    }
                }
                value += 1;
                room -= 1;
                send(if done && at == batch { STOP } else { value }, at == batch);
            }
        }
        Vec::new()
    })?;
    let (mut expected, mut start, mut told, mut stopped) = (0u64, 0, 0, false);
    let mut patience = Patience::new();
    while !stopped {
        let before = expected;
        reader.take(|value| {
            expected += 1;
            stopped = value == STOP;
            assert!(stopped || value == expected, "event {value} in the place of {expected}");
        })?;
        if expected == before {
            patience.look();
        } else if before == 0 {
            start = clock::now();
        }
        if expected - told >= TELL {
            told = expected;
            progress.store(told, Ordering::Release);
        }
    }
    let took = clock::ns((clock::now() - start) as f64);
    peer.join()?;
    bench.cost(case, took / expected as f64, expected);
    Ok(())
}

fn streaming(name: &str, batch: u64) -> Case {
    Case::new("throughput", named(name, batch), "throughput")
        .payload(WORDS_MAX * 8)
        .wait("spin")
        .beside("floor")
}

/// Our ring.
fn ours(bench: &mut Bench, batch: u64) -> Result<(), Failure> {
    let (mut writer, plane) = ring::plane(SLOTS)?;
    let reader = Ours { ring: plane.ring(StartAt::Oldest), slots: [Slot::zeroed(); TAKE] };
    let send = move |value, publish| {
        writer.ring.push(ring::HEAD, bytemuck::cast_slice(&[value; WORDS_MAX]));
        if publish {
            writer.ring.commit();
        }
    };
    lossless(bench, streaming("ring", batch), batch, send, reader)
}

struct Ours {
    ring: RingReader,
    slots: [Slot; TAKE],
}

impl Takes for Ours {
    #[inline(always)]
    fn take(&mut self, mut each: impl FnMut(u64)) -> Result<(), Failure> {
        match self.ring.poll_batch(&mut self.slots) {
            PolledBatch::Empty => Ok(()),
            PolledBatch::Lapped { from, to } => {
                Err(format!("the writer did not wait: {from}..{to} lost").into())
            }
            PolledBatch::Events { count, .. } => {
                for slot in &self.slots[..count] {
                    each(value_of(&ring::words::<WORDS_MAX>(slot)));
                }
                Ok(())
            }
        }
    }
}

/// Slots with a stamp, and nothing else.
fn stamped(bench: &mut Bench) -> Result<(), Failure> {
    let reads = Stamped::new(SLOTS)?;
    let mut writes = reads.clone();
    lossless(bench, streaming("bare-stamped", 1), 1, move |value, _| writes.send(value), reads)
}

/// Slots behind a counter, copied: the bound of the machine.
fn plain(bench: &mut Bench, batch: u64) -> Result<(), Failure> {
    let reads = Plain::new(SLOTS)?;
    let mut writes = reads.clone();
    let send = move |value, publish| writes.send(value, publish);
    lossless(bench, streaming("bare-plain", batch), batch, send, reads)
}

macro_rules! takes_one_by_one {
    ($($stream:ty),*) => {$(
        impl Takes for $stream {
            #[inline(always)]
            fn take(&mut self, mut each: impl FnMut(u64)) -> Result<(), Failure> {
                for _ in 0..TAKE {
                    let Some(words) = self.receive() else { break };
                    each(value_of(&words));
                }
                Ok(())
            }
        }
    )*};
}
takes_one_by_one!(Stamped, Plain);

/// The disruptor crate, between two threads: its consumer either owns a thread, as its documentation shows it, or is
/// polled for `TAKE` events at a time, as our reader is.
fn disruptor(bench: &mut Bench, batch: u64, polled: bool) -> Result<(), Failure> {
    let [reads, writes] = bench.cores;
    let deadline = bench.deadline();
    let produce = move |mut producer: thread::Disruptor| {
        // The suites before this one pinned a process to this core.
        pair::pin(&[writes]).expect("the other core");
        let mut value = 0u64;
        let mut done = false;
        while !done {
            done = value.is_multiple_of(1024) && clock::now() >= deadline;
            if batch == 1 {
                value += 1;
                let word = if done { STOP } else { value };
                producer.publish(|event| event.payload = [word; WORDS_MAX]);
            } else {
                producer.batch_publish(batch as usize, |events| {
                    for (at, event) in (1..).zip(events) {
                        value += 1;
                        let word = if done && at == batch { STOP } else { value };
                        event.payload = [word; WORDS_MAX];
                    }
                });
            }
        }
    };
    let mut tally = Tally::default();
    let (name, (events, took)) = if polled {
        let (producer, mut poller) = thread::disruptor(SLOTS as usize);
        let result = std::thread::scope(|scope| {
            scope.spawn(move || produce(producer));
            let mut patience = Patience::new();
            loop {
                match poller.take(TAKE as u64) {
                    Err(_) => patience.look(),
                    Ok(mut events) => {
                        for event in &mut events {
                            if let Some(result) = tally.take(value_of(&event.payload)) {
                                return result;
                            }
                        }
                    }
                }
            }
        });
        ("disruptor-polled", result)
    } else {
        let (done, result) = std::sync::mpsc::channel();
        let producer = thread::disruptor_with(SLOTS as usize, reads, move |event, _, _| {
            if let Some(result) = tally.take(value_of(&event.payload)) {
                // Who waits for it is there until it came.
                let _ = done.send(result);
            }
        });
        // This thread gives up its core to the consumer's, and sleeps.
        let result = std::thread::scope(|scope| {
            scope.spawn(move || produce(producer));
            result.recv()
        });
        ("disruptor", result?)
    };
    bench.cost(streaming(name, batch).peer(), took / events as f64, events);
    Ok(())
}

/// What a consumer saw.
#[derive(Default)]
struct Tally {
    events: u64,
    start: u64,
}

impl Tally {
    /// One more event; at the last one, how many there were, and in how many nanoseconds.
    #[inline(always)]
    fn take(&mut self, value: u64) -> Option<(u64, f64)> {
        if self.events == 0 {
            self.start = clock::now();
        }
        self.events += 1;
        if value == STOP {
            return Some((self.events, clock::ns((clock::now() - self.start) as f64)));
        }
        assert!(value == self.events, "event {value} in the place of {}", self.events);
        None
    }
}

/// crossbeam's bounded channel, between two threads.
fn crossbeam(bench: &mut Bench) -> Result<(), Failure> {
    let (sends, receives) = crossbeam_channel::bounded::<Message>(SLOTS as usize);
    let (core, deadline) = (bench.cores[1], bench.deadline());
    let (events, took) = std::thread::scope(|scope| {
        scope.spawn(move || {
            pair::pin(&[core]).expect("the other core");
            let mut value = 0u64;
            while !value.is_multiple_of(1024) || clock::now() < deadline {
                value += 1;
                if sends.send([value; WORDS_MAX]).is_err() {
                    return;
                }
            }
        });
        let (mut expected, mut start) = (0u64, 0);
        while let Ok(message) = receives.recv() {
            if expected == 0 {
                start = clock::now();
            }
            expected += 1;
            assert!(value_of(&message) == expected, "a message out of turn");
        }
        (expected, clock::ns((clock::now() - start) as f64))
    });
    let case = Case::new("throughput", "crossbeam", "throughput")
        .peer()
        .payload(WORDS_MAX * 8)
        .wait("block")
        .beside("floor");
    bench.cost(case, took / events as f64, events);
    Ok(())
}
