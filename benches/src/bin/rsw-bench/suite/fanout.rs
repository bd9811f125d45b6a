//! What more readers cost the writer: nothing that grows, since a reader stores nowhere that the writer loads.
//!
//! The readers share all cores but the writer's; where they share one, as on a machine of two, most of them are overtaken
//! most of the time. Each must know exactly by how much.

use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::Zeroable;
use rsw_plane::{PolledBatch, RingReader, StartAt};
use rsw_schemas::event::Slot;

use super::Bench;
use crate::link::{WORDS_MAX, ring, value_of};
use crate::pair::{self, SharedWords};
use crate::sample::Case;
use crate::{Failure, clock};

const SLOTS: u64 = 65_536;
/// Events between two looks at the clock.
const CHUNK: u64 = 1024;

pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    for readers in bench.options.readers.clone() {
        let (mut writer, plane) = ring::plane(SLOTS)?;
        let page = SharedWords::page()?;
        let word = &page.words()[0];
        // The pages of the ring are all there before anything is timed.
        fill(&mut writer, SLOTS);
        let start_at = plane.ring_cursor();
        let mut peers = Vec::new();
        let mut others = bench.all_cores.clone();
        others.retain(|core| *core != bench.cores[0]);
        for core in others.iter().copied().cycle().take(readers) {
            let reader = plane.ring(StartAt::Latest);
            peers.push(pair::spawn(core, move || {
                word.fetch_add(1, Ordering::Release);
                follow(reader, word)
            })?);
        }
        while word.load(Ordering::Acquire) < readers as u64 {
            std::thread::yield_now();
        }
        let deadline = bench.deadline();
        let (start, mut events) = (clock::now(), 0);
        let mut end = start;
        while end < deadline {
            fill(&mut writer, CHUNK);
            events += CHUNK;
            end = clock::now();
        }
        // The end of the ring, told once nothing is published any more.
        word.store(plane.ring_cursor() | ENDED, Ordering::Release);
        let case = Case::new("fanout", "publish", "throughput")
            .payload(WORDS_MAX * 8)
            .readers(readers)
            .wait("spin")
            .beside("floor");
        let case = bench.cost(case, clock::ns((end - start) as f64) / events as f64, events);
        for peer in peers {
            let [received, lost] = peer.join()?[..] else {
                return Err("a reader said nothing".into());
            };
            let published = plane.ring_cursor() - start_at;
            if received + lost != published {
                return Err(
                    format!("{published} published, {received} received and {lost} lost").into()
                );
            }
            case.lost(lost);
        }
    }
    Ok(())
}

/// Set in the shared word once it holds the end of the ring.
const ENDED: u64 = 1 << 63;

fn fill(writer: &mut rsw_plane::PlaneWriter, events: u64) {
    for _ in 0..events {
        let value = writer.ring.next_sequence();
        writer.ring.push(ring::HEAD, bytemuck::cast_slice(&[value; WORDS_MAX]));
        writer.ring.commit();
    }
}

fn follow(mut reader: RingReader, word: &AtomicU64) -> Vec<u64> {
    let mut slots = [Slot::zeroed(); 64];
    loop {
        match reader.poll_batch(&mut slots) {
            PolledBatch::Events { first, count } => {
                for (sequence, slot) in (first..).zip(&slots[..count]) {
                    assert!(value_of(&ring::words::<WORDS_MAX>(slot)) == sequence, "a torn event");
                }
            }
            PolledBatch::Lapped { .. } => {}
            PolledBatch::Empty => {
                let told = word.load(Ordering::Acquire);
                if told & ENDED != 0 && reader.next_sequence() == told & !ENDED {
                    return vec![reader.received(), reader.lost()];
                }
                std::thread::yield_now();
            }
        }
    }
}
