//! Borrowed fields: what it costs a subscriber to take and give back a loan that the other process has just sent, through
//! our domain and through iceoryx2 as it comes; each bound to one thread, and free to change threads. Payloads of ours begin
//! a cache line, for Arrow; those of iceoryx2 follow its header, or are aligned too. The size must not matter.

use std::path::Path;

use iceoryx2::prelude::{ipc, ipc_threadsafe};
use iceoryx2::service::Service;
use rsw_loans::{DomainError, LoanDomain, LoanInfo, Threads};

use super::Bench;
use crate::link::iox::{Element, Line};
use crate::link::{End, STOP, floor, iox};
use crate::pair;
use crate::sample::{Case, Hist, histogram};
use crate::{Failure, clock};

/// From one cache line to 4 MiB.
const BYTES: [usize; 4] = [64, 4 << 10, 256 << 10, 4 << 20];

pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    for bytes in BYTES {
        let samples = ours(bench, bytes, LoanDomain::confined)?;
        add(bench, "loan", Some("iceoryx2-loan"), bytes, samples);
        let samples = ours(bench, bytes, LoanDomain::new)?;
        add(bench, "loan-movable", Some("iceoryx2-loan-movable"), bytes, samples);
        if bench.options.peers {
            let samples = theirs::<ipc::Service, u64>(bench, bytes)?;
            add(bench, "iceoryx2-loan", None, bytes, samples);
            let samples = theirs::<ipc::Service, Line>(bench, bytes)?;
            add(bench, "iceoryx2-loan-aligned", None, bytes, samples);
            let samples = theirs::<ipc_threadsafe::Service, u64>(bench, bytes)?;
            add(bench, "iceoryx2-loan-movable", None, bytes, samples);
        }
    }
    Ok(())
}

fn add(
    bench: &mut Bench,
    name: &'static str,
    beside: Option<&'static str>,
    bytes: usize,
    samples: Hist,
) {
    let case = Case::new("loan", name, "closed-loop").payload(bytes).wait("spin");
    let case = match beside {
        Some(peer) => case.beside(peer),
        None => case.peer(),
    };
    bench.add(case, samples);
}

/// Asks for a loan, waits until it was sent, and times `take` until `bench.duration` is over.
fn requests(
    bench: &Bench,
    flag: &mut floor::Floor,
    mut take: impl FnMut() -> Result<bool, Failure>,
) -> Result<Hist, Failure> {
    let mut samples = histogram();
    let deadline = bench.deadline();
    let mut request = 1;
    while clock::now() < deadline {
        request += 1;
        flag.send(request);
        flag.receive();
        let start = clock::now();
        let got = take()?;
        let took = clock::now() - start;
        if !got {
            return Err("a loan that was sent did not come".into());
        }
        samples.saturating_record(took);
    }
    flag.send(STOP);
    Ok(samples)
}

/// Serves requests by `send` until told to stop.
fn serve(mut flag: floor::Floor, mut send: impl FnMut()) -> Vec<u64> {
    flag.send(1);
    // The other side subscribes now.
    flag.receive();
    send();
    flag.send(2);
    loop {
        let request = flag.receive();
        if request == STOP {
            return Vec::new();
        }
        send();
        flag.send(request + 1);
    }
}

fn ours<T: Threads>(
    bench: &Bench,
    bytes: usize,
    enter: fn(&Path, u64) -> Result<LoanDomain<T>, DomainError>,
) -> Result<Hist, Failure> {
    let shm = Path::new("/dev/shm");
    let root = match shm.is_dir() {
        true => tempfile::tempdir_in(shm)?,
        false => tempfile::tempdir()?,
    };
    let [mut flag, other] = floor::pair()?;
    let (path, nx) = (root.path().to_owned(), bytes as u32 / 4);
    let peer = pair::spawn(bench.cores[1], move || {
        let domain = enter(&path, 1).expect("a domain");
        let mut field = domain.publish_field("bench", nx, 1, 1).expect("a publisher");
        let mut frame = 0;
        serve(other, || {
            frame += 1;
            let info = LoanInfo { frame, nx, ny: 1, ..LoanInfo::default() };
            field.publish(info, |_| true).expect("a loan");
        })
    })?;
    flag.receive();
    let domain = enter(root.path(), 1)?;
    let mut field = domain.subscribe_field("bench")?;
    flag.send(1);
    flag.receive();
    while field.receive()?.is_some() {}
    let samples = requests(bench, &mut flag, || {
        Ok(field.receive()?.is_some_and(|loan| {
            core::hint::black_box(loan.data()[0]);
            true
        }))
    })?;
    peer.join()?;
    Ok(samples)
}

fn theirs<S: Service, E: Element>(bench: &Bench, bytes: usize) -> Result<Hist, Failure> {
    let domain = iox::Domain::new()?;
    let [mut flag, other] = floor::pair()?;
    let (names, len) = (domain.clone(), bytes / size_of::<E>());
    let peer = pair::spawn(bench.cores[1], move || {
        let node = names.node::<S>().expect("a node");
        let publisher = iox::publisher::<S, E>(&node, "bench", len).expect("a publisher");
        serve(other, || {
            let loan = publisher.loan_slice_uninit(len).expect("a loan");
            loan.write_from_fn(|_| E::from(7)).send().expect("a subscriber");
        })
    })?;
    flag.receive();
    let node = domain.node::<S>()?;
    let subscriber = iox::subscriber::<S, E>(&node, "bench")?;
    flag.send(1);
    flag.receive();
    while subscriber.receive()?.is_some() {}
    let samples = requests(bench, &mut flag, || {
        Ok(subscriber.receive()?.is_some_and(|sample| {
            core::hint::black_box(sample.payload()[0]);
            true
        }))
    })?;
    peer.join()?;
    Ok(samples)
}
