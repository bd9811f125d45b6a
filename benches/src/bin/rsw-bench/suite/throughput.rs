//! How fast one writer publishes with nobody there, and how fast one reader takes everything, nothing lost.
//!
//! The reader of the second kind says how far it is on a line of its own, as the recorder does, and the writer waits
//! before it would overwrite what was not read: a disruptor between processes. Every word is written and read.

use std::sync::atomic::Ordering;

use bytemuck::Zeroable;
use disruptor::Producer;
use rsw_plane::{PolledBatch, StartAt};
use rsw_schemas::event::Slot;

use super::Bench;
use crate::link::thread::{self, Message};
use crate::link::{STOP, WORDS_MAX, ring, value_of};
use crate::pair::{self, Patience, SharedPage};
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
    for batch in [1, 100] {
        lossless(bench, batch)?;
        if bench.options.peers {
            disruptor(bench, batch)?;
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

/// A writer and a reader that it waits for.
fn lossless(bench: &mut Bench, batch: u64) -> Result<(), Failure> {
    let (mut writer, plane) = ring::plane(SLOTS)?;
    let page = SharedPage::new()?;
    let progress = &page.words()[0];
    let deadline = bench.deadline();
    let peer = pair::spawn(bench.cores[1], move || {
        let (mut value, mut room) = (0u64, SLOTS);
        let mut done = false;
        while !done {
            done = value.is_multiple_of(1024) && clock::now() >= deadline;
            for at in 0..batch {
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
                let word = if done && at + 1 == batch { STOP } else { value };
                writer.ring.push(ring::HEAD, bytemuck::cast_slice(&[word; WORDS_MAX]));
            }
            writer.ring.commit();
        }
        Vec::new()
    })?;
    let mut reader = plane.ring(StartAt::Oldest);
    let mut slots = [Slot::zeroed(); TAKE];
    let (mut expected, mut start, mut told) = (0u64, 0, 0);
    let mut patience = Patience::new();
    'all: loop {
        match reader.poll_batch(&mut slots) {
            PolledBatch::Empty => patience.look(),
            PolledBatch::Lapped { from, to } => {
                return Err(format!("the writer did not wait: {from}..{to} lost").into());
            }
            PolledBatch::Events { count, .. } => {
                if expected == 0 {
                    start = clock::now();
                }
                for slot in &slots[..count] {
                    let value = value_of(&ring::words::<WORDS_MAX>(slot));
                    expected += 1;
                    if value == STOP {
                        break 'all;
                    }
                    assert!(value == expected, "event {value} in the place of {expected}");
                }
                if reader.next_sequence() - told >= TELL {
                    told = reader.next_sequence();
                    progress.store(told, Ordering::Release);
                }
            }
        }
    }
    let took = clock::ns((clock::now() - start) as f64);
    peer.join()?;
    let case = Case::new("throughput", named("ring", batch), "throughput")
        .payload(WORDS_MAX * 8)
        .wait("spin")
        .beside("floor");
    bench.cost(case, took / expected as f64, expected);
    Ok(())
}

/// The disruptor crate, between two threads.
fn disruptor(bench: &mut Bench, batch: u64) -> Result<(), Failure> {
    let (mut producer, mut poller) = thread::disruptor(SLOTS as usize);
    let (core, deadline) = (bench.cores[1], bench.deadline());
    let (events, took) = std::thread::scope(|scope| {
        scope.spawn(move || {
            // The suites before this one pinned a process to this core.
            pair::pin(&[core]).expect("the other core");
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
        });
        let (mut expected, mut start) = (0u64, 0);
        let mut patience = Patience::new();
        loop {
            match poller.take(TAKE as u64) {
                Err(_) => patience.look(),
                Ok(mut events) => {
                    if expected == 0 {
                        start = clock::now();
                    }
                    for event in &mut events {
                        let value = value_of(&event.payload);
                        expected += 1;
                        if value == STOP {
                            return (expected, clock::ns((clock::now() - start) as f64));
                        }
                        assert!(value == expected, "event {value} in the place of {expected}");
                    }
                }
            }
        }
    });
    let case = Case::new("throughput", named("disruptor", batch), "throughput")
        .peer()
        .payload(WORDS_MAX * 8)
        .wait("spin")
        .beside("floor");
    bench.cost(case, took / events as f64, events);
    Ok(())
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
