//! Every store of a protocol has its named point, and every look of a reader is counted.

use rsw_plane_points as plane;

#[path = "../../tests/forge/mod.rs"]
mod forge;

use std::cell::Cell;

use forge::{LIES, SLOTS, edit, edit_header, exercise, genuine, region, sealed};
use plane::{frame, latch, points};
use rsw_schemas::event::Slot;
use rsw_schemas::header::RegionKind;

/// Stores that nobody can die in and be seen: the plane is being made, and no one else has its descriptor.
const BEFORE_THE_SEALS: [&str; 3] = [
    "ring.slot(sequence)[0].store(busy(sequence.wrapping_sub(count)), Ordering::Relaxed);",
    "ring.cursor.words()[0].store(first_sequence, release(\"ring.W3\"));",
    "region.words()[CAPACITY_WORD].store(capacity_bytes, Ordering::Relaxed);",
];

#[test]
fn every_store_has_a_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut stores = 0;
    for file in ["ring.rs", "latch.rs", "frame.rs", "arena.rs", "memory.rs", "writer.rs"] {
        let text = std::fs::read_to_string(folder.join(file)).expect("a source file");
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let orders = line.contains("Ordering::") || line.contains("release(");
            if !line.contains(".store(") || !orders || BEFORE_THE_SEALS.contains(line) {
                continue;
            }
            stores += 1;
            let named = lines.get(at + 1).is_some_and(|next| next.starts_with("point(\""));
            assert!(named, "{file}:{}: no named point behind this store: {line}", at + 1);
        }
    }
    assert!(stores > 10, "only {stores} stores were found: the test proves nothing");
}

/// How often this thread looked at shared memory to find one thing whole.
fn looks() -> u64 {
    let hits = points::hits();
    let names = ["ring.copied", "latch.copied", "frame.copied", "arena.copied"];
    names.iter().map(|name| hits.get(name).copied().unwrap_or(0)).sum()
}

/// A watchdog that counts, so that no machine is too slow for it.
#[test]
fn no_call_over_garbage_looks_for_ever() {
    let most = u64::from(frame::RETRIES_MAX.max(latch::RETRIES_MAX)).max(SLOTS + 1);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let (ring, fields) = (region(RegionKind::Ring).start, region(RegionKind::Fields).start);
    for _ in 0..500 {
        let mut bytes = genuine().to_vec();
        for slot in 0..SLOTS as usize {
            let stamp = [2 * (990 + random(40) as u64), LIES[random(LIES.len())]][random(2)];
            edit(&mut bytes, ring + slot * size_of::<Slot>(), |word: &mut u64| *word = stamp);
        }
        for _ in 0..4 {
            let word = fields + 4096 + random(96) * 8;
            edit(&mut bytes, word, |word: &mut u64| *word = LIES[random(LIES.len())]);
        }
        let first = [1000, LIES[random(LIES.len())]][random(2)];
        edit_header(&mut bytes, |header| header.first_sequence = first);
        let last = Cell::new(looks());
        exercise(sealed(&bytes), || {
            let now = looks();
            let took = now - last.replace(now);
            assert!(took <= most, "one call looked {took} times");
        })
        .expect("attached");
    }
}
