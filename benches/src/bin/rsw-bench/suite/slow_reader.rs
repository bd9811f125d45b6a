//! A reader that is overtaken again and again: every loss told exactly, and the writer not held for a moment.

use std::time::Duration;

use rsw_plane::{Polled, StartAt};

use super::Bench;
use crate::link::floor;
use crate::link::{End, WORDS_MAX, ring, value_of};
use crate::pair;
use crate::sample::Case;
use crate::{Failure, clock};

const SLOTS: u64 = 4096;
/// Events between two looks at the clock.
const CHUNK: u64 = 1024;

pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    for (name, slow) in [("no-reader", false), ("slow-reader", true)] {
        let (mut writer, plane) = ring::plane(SLOTS)?;
        let [mut ours, mut theirs] = floor::pair()?;
        let mut reader = plane.ring(StartAt::Oldest);
        let peer = slow.then(|| {
            pair::spawn(bench.cores[1], move || {
                theirs.send(1);
                let mut laps = 0u64;
                let mut end = None;
                loop {
                    match reader.poll() {
                        Polled::Event { sequence, slot } => {
                            let value = value_of(&ring::words::<WORDS_MAX>(&slot));
                            assert!(value == sequence, "a torn event");
                            if end.is_none() {
                                std::thread::sleep(Duration::from_micros(200));
                            }
                        }
                        Polled::Lapped { .. } => laps += 1,
                        Polled::Empty => {
                            if end == Some(reader.next_sequence()) {
                                return vec![reader.received(), reader.lost(), laps];
                            }
                        }
                    }
                    end = end.or_else(|| theirs.peek());
                }
            })
        });
        let peer = peer.transpose()?;
        if peer.is_some() {
            ours.receive();
        }
        let deadline = bench.deadline();
        let (start, mut end, mut events) = (clock::now(), 0, 0u64);
        while end < deadline {
            for _ in 0..CHUNK {
                writer.ring.push(ring::HEAD, bytemuck::cast_slice(&[events; WORDS_MAX]));
                writer.ring.commit();
                events += 1;
            }
            end = clock::now();
        }
        let case = Case::new("slow-reader", name, "throughput")
            .payload(WORDS_MAX * 8)
            .readers(usize::from(slow))
            .beside("no-reader");
        let case = bench.cost(case, clock::ns((end - start) as f64) / events as f64, events);
        if let Some(peer) = peer {
            ours.send(events);
            let [received, lost, laps] = peer.join()?[..] else {
                return Err("the reader said nothing".into());
            };
            if received + lost != events || laps == 0 {
                let told =
                    format!("{events} published, {received} received, {lost} lost in {laps} laps");
                return Err(told.into());
            }
            case.lost(lost);
        }
    }
    Ok(())
}
