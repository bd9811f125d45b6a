//! What these cores do to a program that never stops: gaps between two readings of the clock in a tight loop.

use std::time::Duration;

use super::Bench;
use crate::sample::{Case, Hist, from_words, histogram, to_words};
use crate::{Failure, clock, pair};

const LOOK: Duration = Duration::from_millis(100);

fn gaps() -> Hist {
    let mut gaps = histogram();
    let mut last = clock::now();
    let end = last + clock::ticks(LOOK.as_nanos() as f64);
    while last < end {
        let now = clock::now();
        gaps.saturating_record(now - last);
        last = now;
    }
    gaps
}

pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    let [ours, theirs] = bench.cores;
    let case = |core: usize| Case::new("floor", format!("jitter-core-{core}"), "idle").readers(0);
    // Both cores at the same time, as in what follows.
    let peer = pair::spawn(theirs, || to_words(&gaps()))?;
    let here = gaps();
    bench.add(case(ours), here);
    bench.add(case(theirs), from_words(&peer.join()?));
    Ok(())
}
