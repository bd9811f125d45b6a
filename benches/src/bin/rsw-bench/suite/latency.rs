//! One event from one core to the other.
//!
//! Closed loop: a value goes there and back, and half the trip is the sample; both ways are the same means. Open loop: the
//! writer publishes at a fixed rate, and a sample is the time from when the event was *due* until it was read, so that a
//! writer or reader that stalls is charged for everything that it held up.

use rsw_plane::{PlaneReader, PlaneWriter, Polled, StartAt, WaitStrategy};

use super::Bench;
use crate::link::{self, End, STOP, floor, iox, ring, stream, thread};
use crate::pair::{self, Patience};
use crate::sample::{Case, Hist, from_words, histogram, to_words};
use crate::{Failure, clock};

/// A round trip is two ways.
const WAYS: f64 = 2.0;
/// Rounds between two looks at the clock.
const CHUNK: u64 = 256;

/// Rounds until `bench.duration` is over, after a tenth of it to warm up.
fn rounds(bench: &Bench, mut end: impl End) -> Hist {
    let mut samples = histogram();
    let mut value = 0;
    let mut go = |duration_ns: f64, samples: &mut Option<&mut Hist>| {
        let deadline = clock::now() + clock::ticks(duration_ns);
        while clock::now() < deadline {
            for _ in 0..CHUNK {
                value += 1;
                let start = clock::now();
                end.send(value);
                let back = end.receive();
                let took = clock::now() - start;
                assert!(back == value, "sent {value}, got {back} back");
                if let Some(samples) = samples {
                    samples.saturating_record(took);
                }
            }
        }
    };
    let duration_ns = bench.options.duration.as_nanos() as f64;
    go(duration_ns / 10.0, &mut None);
    go(duration_ns, &mut Some(&mut samples));
    end.send(STOP);
    end.receive();
    samples
}

/// A run between two processes.
fn processes<E: End>(bench: &Bench, [ours, theirs]: [E; 2]) -> Result<Hist, Failure> {
    let peer = pair::spawn(bench.cores[1], move || {
        link::echo(theirs);
        Vec::new()
    })?;
    let samples = rounds(bench, ours);
    peer.join()?;
    Ok(samples)
}

/// A run between two threads.
fn threads<E: End + Send>(bench: &Bench, [ours, theirs]: [E; 2]) -> Result<Hist, Failure> {
    let core = bench.cores[1];
    std::thread::scope(|scope| {
        let peer = scope.spawn(move || {
            let pinned = pair::pin(&[core]).is_ok();
            link::echo(theirs);
            pinned
        });
        let samples = rounds(bench, ours);
        match peer.join() {
            Ok(true) => Ok(samples),
            _ => Err(format!("no thread on core {core}").into()),
        }
    })
}

/// A run through iceoryx2; both sides meet before anything is timed.
fn iceoryx2(bench: &Bench, words: usize) -> Result<Hist, Failure> {
    let domain = iox::Domain::new()?;
    let theirs = domain.clone();
    let peer = pair::spawn(bench.cores[1], move || {
        if let Ok(mut end) = iox::end(&theirs, 1, words) {
            end.receive();
            end.send(1);
            link::echo(end);
        }
        Vec::new()
    })?;
    let mut end = iox::end(&domain, 0, words)?;
    end.meet()?;
    let samples = rounds(bench, end);
    peer.join()?;
    Ok(samples)
}

/// The floor of these cores.
pub(super) fn floor(bench: &mut Bench) -> Result<(), Failure> {
    let samples = processes(bench, floor::pair()?)?;
    bench.add(
        Case::new("floor", "floor", "closed-loop").payload(8).wait("spin").each(WAYS),
        samples,
    );
    Ok(())
}

/// One run of every case.
pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    let case = |name: &str, bytes: usize| {
        Case::new("latency", name, "closed-loop").payload(bytes).each(WAYS).beside("floor")
    };
    for bytes in bench.options.payload.clone() {
        let words = bytes / 8;
        for (wait, name) in [
            (WaitStrategy::BusySpin, "spin"),
            (WaitStrategy::Yield, "yield"),
            (WaitStrategy::default(), "hybrid:50us"),
            (WaitStrategy::Block, "block"),
        ] {
            let samples = match words {
                1 => processes(bench, ring::pair::<1>(wait)?),
                2 => processes(bench, ring::pair::<2>(wait)?),
                4 => processes(bench, ring::pair::<4>(wait)?),
                8 => processes(bench, ring::pair::<8>(wait)?),
                _ => processes(bench, ring::pair::<12>(wait)?),
            }?;
            bench.add(case("ring", bytes).wait(name), samples);
        }
        open_loop(bench, bytes)?;
        if !bench.options.peers {
            continue;
        }
        let samples = iceoryx2(bench, words)?;
        bench.add(case("iceoryx2", bytes).peer().wait("spin"), samples);
        let samples = processes(bench, stream::socket_pair(words)?)?;
        bench.add(case("unix-socket", bytes).peer().wait("block"), samples);
        let samples = processes(bench, stream::pipe_pair(words)?)?;
        bench.add(case("pipe", bytes).peer().wait("block"), samples);
        let samples = threads(bench, thread::disruptors(words))?;
        bench.add(case("disruptor", bytes).peer().wait("spin"), samples);
        let samples = threads(bench, thread::channels(words))?;
        bench.add(case("crossbeam", bytes).peer().wait("spin"), samples);
    }
    Ok(())
}

/// Events at a fixed rate, each with the moment that it was due. The other process reads, through a mapping that it
/// makes itself, so that no page is touched for the first time while it is timed.
fn open_loop(bench: &mut Bench, bytes: usize) -> Result<(), Failure> {
    let (mut writer, fd) = PlaneWriter::create(&ring::spec(65_536))?;
    let theirs = fd.try_clone()?;
    let words = bytes / 8;
    let [mut ours, mut other] = floor::pair()?;
    let peer = pair::spawn(bench.cores[1], move || {
        let Ok(plane) = PlaneReader::attach(theirs) else { return Vec::new() };
        let mut reader = plane.ring(StartAt::Oldest);
        let mut samples = histogram();
        let mut patience = Patience::new();
        other.send(1);
        loop {
            match reader.poll() {
                Polled::Empty => patience.look(),
                Polled::Lapped { .. } => {}
                Polled::Event { slot, .. } => {
                    let payload: [u64; link::WORDS_MAX] = bytemuck::cast(slot.payload);
                    let due = link::value_of(&payload[..words]);
                    if due == STOP {
                        break;
                    }
                    samples.saturating_record(clock::now().saturating_sub(due));
                }
            }
        }
        let mut answer = vec![reader.lost()];
        answer.extend(to_words(&samples));
        answer
    })?;
    ours.receive();
    let rate = bench.options.rate;
    let count = (bench.options.duration.as_secs_f64() * rate as f64).ceil() as u64;
    let period = clock::ticks_per_ns() * 1e9 / rate as f64;
    let start = clock::now() + clock::ticks(1e6);
    for event in 0..=count {
        let due = start + (event as f64 * period) as u64;
        while clock::now() < due {}
        let value = if event == count { STOP } else { due };
        writer.ring.push(ring::HEAD, bytemuck::cast_slice(&[value; link::WORDS_MAX][..words]));
        writer.ring.commit();
    }
    let answer = peer.join()?;
    let (lost, samples) = answer.split_first().ok_or("the reader could not attach")?;
    let case =
        Case::new("latency", "ring", "open-loop").payload(bytes).wait("spin").beside("floor");
    bench.add(case, from_words(samples)).lost(*lost);
    Ok(())
}
