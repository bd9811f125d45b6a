//! Borrowed fields: what it costs a subscriber to take and give back a loan that the other process has just sent, through
//! our domain and through iceoryx2 as it comes. The size must not matter.

use std::path::Path;

use rsw_loans::{LoanDomain, LoanInfo};

use super::Bench;
use crate::link::{End, STOP, floor, iox};
use crate::pair;
use crate::sample::{Case, Hist, histogram};
use crate::{Failure, clock};

/// From one cache line to 4 MiB.
const BYTES: [usize; 4] = [64, 4 << 10, 256 << 10, 4 << 20];

pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    for bytes in BYTES {
        let samples = ours(bench, bytes)?;
        bench.add(
            Case::new("loan", "loan", "closed-loop")
                .payload(bytes)
                .wait("spin")
                .beside("iceoryx2-loan"),
            samples,
        );
        if bench.options.peers {
            let samples = theirs(bench, bytes)?;
            let case = Case::new("loan", "iceoryx2-loan", "closed-loop").peer();
            bench.add(case.payload(bytes).wait("spin"), samples);
        }
    }
    Ok(())
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

fn ours(bench: &Bench, bytes: usize) -> Result<Hist, Failure> {
    let shm = Path::new("/dev/shm");
    let root = match shm.is_dir() {
        true => tempfile::tempdir_in(shm)?,
        false => tempfile::tempdir()?,
    };
    let [mut flag, other] = floor::pair()?;
    let (path, nx) = (root.path().to_owned(), bytes as u32 / 4);
    let peer = pair::spawn(bench.cores[1], move || {
        let domain = LoanDomain::new(&path, 1).expect("a domain");
        let mut field = domain.publish_field("bench", nx, 1, 1).expect("a publisher");
        let mut frame = 0;
        serve(other, || {
            frame += 1;
            let info = LoanInfo { frame, nx, ny: 1, ..LoanInfo::default() };
            field.publish(info, |_| true).expect("a loan");
        })
    })?;
    flag.receive();
    let domain = LoanDomain::new(root.path(), 1)?;
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

fn theirs(bench: &Bench, bytes: usize) -> Result<Hist, Failure> {
    let domain = iox::Domain::new()?;
    let [mut flag, other] = floor::pair()?;
    let (names, words) = (domain.clone(), bytes / 8);
    let peer = pair::spawn(bench.cores[1], move || {
        let node = names.node().expect("a node");
        let publisher = iox::publisher(&node, "bench", words).expect("a publisher");
        serve(other, || {
            let loan = publisher.loan_slice_uninit(words).expect("a loan");
            loan.write_from_fn(|_| 7).send().expect("a subscriber");
        })
    })?;
    flag.receive();
    let node = domain.node()?;
    let subscriber = iox::subscriber(&node, "bench")?;
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
