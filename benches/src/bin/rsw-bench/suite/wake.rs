//! A reader that sleeps: how long after the commit it has its event, beside a bare futex and, for one that lives in
//! an event loop, a bare eventfd; and what it costs while idle.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rsw_attach::WakeSource;
use rsw_plane::{Polled, StartAt, WaitStrategy, Waiter};
use rustix::event::{Timespec, epoll};

use super::Bench;
use crate::link::{End, STOP, WORDS_MAX, floor, ring, value_of};
use crate::pair::{self, SharedWords};
use crate::sample::{Case, from_words, histogram, to_words};
use crate::{Failure, clock};

/// Time between two events: long enough for the reader to be asleep, and for its core to be.
const INTERVAL: Duration = Duration::from_micros(500);
/// Rate of the ticks that an idle swarm still has.
const TICKS_HZ: u64 = 100;
/// An idle reader is watched this long.
const WATCH: Duration = Duration::from_millis(500);
/// Longest sleep between two looks for the end.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    futex(bench)?;
    eventfd(bench)?;
    bridged(bench)?;
    for wait in [WaitStrategy::Block, WaitStrategy::default()] {
        ring_wake(bench, wait)?;
        for rate_hz in [0, TICKS_HZ] {
            idle(bench, wait, rate_hz)?;
        }
    }
    Ok(())
}

fn name(wait: WaitStrategy) -> &'static str {
    if wait == WaitStrategy::Block { "block" } else { "hybrid:50us" }
}

/// Calls `send` every interval with the moment that it was due, then once with [`STOP`].
fn every(interval: Duration, duration: Duration, mut send: impl FnMut(u64)) {
    let end = clock::now() + clock::ticks(duration.as_nanos() as f64);
    let period = clock::ticks(interval.as_nanos() as f64);
    let mut due = clock::now() + period;
    while due < end {
        while clock::now() < due {}
        send(due);
        due += period;
    }
    send(STOP);
}

fn futex(bench: &mut Bench) -> Result<(), Failure> {
    let pages = [SharedWords::page()?, SharedWords::page()?];
    let [word, stamp] = [&pages[0].words()[0], &pages[1].words()[0]];
    let [mut ours, mut theirs] = floor::pair()?;
    let peer = pair::spawn(bench.cores[1], move || {
        let mut samples = histogram();
        let mut seen = 0;
        theirs.send(1);
        loop {
            let now = word.load(Ordering::Acquire);
            if now == seen {
                // Whatever ends the wait, the word is looked at again.
                let _ = rsw_os::futex::wait(rsw_os::futex::low_half(word), seen as u32, LOOK);
                continue;
            }
            seen = now;
            let sent = stamp.load(Ordering::Acquire);
            if sent == STOP {
                return to_words(&samples);
            }
            samples.saturating_record(clock::now().saturating_sub(sent));
        }
    })?;
    ours.receive();
    let mut sent = 0;
    every(INTERVAL, bench.options.duration, |due| {
        sent += u64::from(due != STOP);
        stamp.store(due, Ordering::Release);
        word.fetch_add(1, Ordering::Release);
        // It cannot fail on a word of ours; the reader looks again by itself anyway.
        let _ = rsw_os::futex::wake_all(rsw_os::futex::low_half(word));
    });
    let samples = from_words(&peer.join()?);
    // One word holds one moment: what came before the reader looked is overwritten.
    let lost = sent - samples.len();
    let case = Case::new("wake", "futex", "open-loop").peer().payload(8).wait("block");
    bench.add(case, samples).lost(lost);
    Ok(())
}

/// Sleeps in `epoll` until the eventfd is readable, and takes what was signalled.
struct EventLoop<'fd> {
    epoll: OwnedFd,
    wake: &'fd OwnedFd,
}

impl<'fd> EventLoop<'fd> {
    fn new(wake: &'fd OwnedFd) -> rustix::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, wake, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        Ok(Self { epoll, wake })
    }

    fn sleep(&self) {
        let look = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK.subsec_nanos()) };
        let mut events = [const { std::mem::MaybeUninit::uninit() }; 1];
        // Whatever ends the wait, the caller looks again.
        let _ = epoll::wait(&self.epoll, &mut events, Some(&look));
        let _ = rsw_os::eventfd::clear(self.wake);
    }
}

/// One process signals, the other sleeps in `epoll`: what the bridge cannot be faster than.
fn eventfd(bench: &mut Bench) -> Result<(), Failure> {
    let page = SharedWords::page()?;
    let stamp = &page.words()[0];
    let wake = rsw_os::eventfd::create()?;
    let [mut ours, mut theirs] = floor::pair()?;
    let events = EventLoop::new(&wake)?;
    let peer = pair::spawn(bench.cores[1], move || {
        let (mut samples, mut seen) = (histogram(), 0);
        theirs.send(1);
        loop {
            events.sleep();
            let sent = stamp.load(Ordering::Acquire);
            if sent == STOP {
                return to_words(&samples);
            }
            if sent != seen {
                samples.saturating_record(clock::now().saturating_sub(sent));
                seen = sent;
            }
        }
    })?;
    ours.receive();
    let mut sent = 0;
    every(INTERVAL, bench.options.duration, |due| {
        sent += u64::from(due != STOP);
        stamp.store(due, Ordering::Release);
        // It cannot fail on an eventfd of ours; the reader looks again by itself anyway.
        let _ = rsw_os::eventfd::signal(&wake);
    });
    let samples = from_words(&peer.join()?);
    let lost = sent - samples.len();
    let case = Case::new("wake", "eventfd", "open-loop").peer().payload(8).wait("epoll");
    bench.add(case, samples).lost(lost);
    Ok(())
}

/// The way an event takes to an agent in an event loop: commit, futex, bridge, eventfd, `epoll`, poll. The bridge is a
/// third process as the gateway is, on the reader's core, since the writer's is busy being on time.
fn bridged(bench: &mut Bench) -> Result<(), Failure> {
    let (mut writer, plane) = ring::plane(1024)?;
    let wake = rsw_os::eventfd::create()?;
    let [mut ours, mut theirs] = floor::pair()?;
    let mut source = WakeSource::new(&plane);
    let theirs_wake = wake.try_clone()?;
    let bridge = pair::spawn(bench.cores[1], move || {
        while source.pass_on(&theirs_wake, LOOK).is_ok() {}
        Vec::new()
    })?;
    let mut reader = plane.ring(StartAt::Oldest);
    let events = EventLoop::new(&wake)?;
    let peer = pair::spawn(bench.cores[1], move || {
        let mut samples = histogram();
        theirs.send(1);
        loop {
            events.sleep();
            while let Polled::Event { slot, .. } = reader.poll() {
                let sent = value_of(&ring::words::<WORDS_MAX>(&slot));
                if sent == STOP {
                    return to_words(&samples);
                }
                samples.saturating_record(clock::now().saturating_sub(sent));
            }
        }
    })?;
    ours.receive();
    every(INTERVAL, bench.options.duration, |due| {
        writer.ring.push(ring::HEAD, bytemuck::cast_slice(&[due; WORDS_MAX]));
        writer.commit();
    });
    let samples = from_words(&peer.join()?);
    drop(bridge);
    let case = Case::new("wake", "ring", "open-loop")
        .payload(WORDS_MAX * 8)
        .wait("eventfd")
        .beside("eventfd");
    bench.add(case, samples);
    Ok(())
}

fn ring_wake(bench: &mut Bench, wait: WaitStrategy) -> Result<(), Failure> {
    let (mut writer, plane) = ring::plane(1024)?;
    let [mut ours, mut theirs] = floor::pair()?;
    let mut reader = plane.ring(StartAt::Oldest);
    let peer = pair::spawn(bench.cores[1], move || {
        let waiter = Waiter::new(wait);
        let mut samples = histogram();
        theirs.send(1);
        loop {
            reader.wait(&waiter, LOOK);
            while let Polled::Event { slot, .. } = reader.poll() {
                let sent = value_of(&ring::words::<WORDS_MAX>(&slot));
                if sent == STOP {
                    return to_words(&samples);
                }
                samples.saturating_record(clock::now().saturating_sub(sent));
            }
        }
    })?;
    ours.receive();
    every(INTERVAL, bench.options.duration, |due| {
        writer.ring.push(ring::HEAD, bytemuck::cast_slice(&[due; WORDS_MAX]));
        writer.commit();
    });
    let samples = from_words(&peer.join()?);
    let case = Case::new("wake", "ring", "open-loop")
        .payload(WORDS_MAX * 8)
        .wait(name(wait))
        .beside("futex");
    bench.add(case, samples);
    Ok(())
}

/// What a reader takes of its core while `rate_hz` events a second come.
fn idle(bench: &mut Bench, wait: WaitStrategy, rate_hz: u64) -> Result<(), Failure> {
    let (mut writer, plane) = ring::plane(1024)?;
    let [mut ours, mut theirs] = floor::pair()?;
    let mut reader = plane.ring(StartAt::Oldest);
    let peer = pair::spawn(bench.cores[1], move || {
        let waiter = Waiter::new(wait);
        theirs.send(1);
        let (start, used) = (clock::now(), cpu_ns());
        loop {
            reader.wait(&waiter, LOOK);
            while let Polled::Event { slot, .. } = reader.poll() {
                if value_of(&ring::words::<WORDS_MAX>(&slot)) == STOP {
                    return vec![cpu_ns() - used, clock::ns((clock::now() - start) as f64) as u64];
                }
            }
        }
    })?;
    ours.receive();
    let mut publish = |value: u64| {
        writer.ring.push(ring::HEAD, bytemuck::cast_slice(&[value; WORDS_MAX]));
        writer.commit();
    };
    for _ in 0..(WATCH.as_secs_f64() * rate_hz as f64) as u64 {
        std::thread::sleep(Duration::from_secs(1) / rate_hz as u32);
        publish(0);
    }
    if rate_hz == 0 {
        std::thread::sleep(WATCH);
    }
    publish(STOP);
    let [used_ns, wall_ns] = peer.join()?[..] else { return Err("the reader said nothing".into()) };
    let case =
        if rate_hz == 0 { "idle-reader".to_owned() } else { format!("reader-at-{rate_hz}-hz") };
    let case = Case::new("wake", case, "idle").wait(name(wait));
    bench.case(case).cpu(used_ns as f64 / wall_ns as f64 * 100.0);
    Ok(())
}

/// CPU time of this process so far.
fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
