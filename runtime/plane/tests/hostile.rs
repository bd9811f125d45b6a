//! Planes that lie. An attach refuses them by name, with both sides; what it cannot know it reads, and stays bounded:
//! never a fault, a panic or an endless loop.
//!
//! How many looks one call may take is in `rsw-plane-points`; what nobody thought of, in the fuzz target.

use rsw_plane as plane;

mod forge;

use std::os::fd::OwnedFd;

use forge::{LIES, SLOTS, edit, edit_header, exercise, genuine, region, sealed};
use rsw_os::memfd;
use rsw_plane::{AttachError, PlaneReader};
use rsw_schemas::board::CellDesc;
use rsw_schemas::event::Slot;
use rsw_schemas::field::{FieldDesc, FrameHeader};
use rsw_schemas::header::{HEADER_BYTES, PlaneHeader, REGIONS_MAX, RegionKind};
use rsw_schemas::{ABI_MAJOR, ABI_MINOR, LAYOUT_HASH};

fn forged(change: impl FnOnce(&mut Vec<u8>)) -> OwnedFd {
    let mut bytes = genuine().to_vec();
    change(&mut bytes);
    sealed(&bytes)
}

fn refused(fd: OwnedFd) -> AttachError {
    PlaneReader::attach(fd).err().expect("a plane that lies was attached")
}

/// The message, which must name both sides.
fn message(fd: OwnedFd, sides: [&dyn std::fmt::Display; 2]) {
    let text = refused(fd).to_string();
    for side in sides {
        assert!(text.contains(&side.to_string()), "{text} does not name {side}");
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

#[test]
fn a_genuine_plane_is_read() {
    exercise(sealed(genuine()), || {}).expect("attached");
}

#[test]
fn every_flipped_header_bit_is_refused() {
    for bit in 0..size_of::<PlaneHeader>() * 8 {
        let fd = forged(|bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        assert!(PlaneReader::attach(fd).is_err(), "bit {bit} went unnoticed");
    }
}

#[test]
fn what_is_not_a_plane_is_refused_by_name() {
    let unsealed = memfd::create("unsealed", 8192).expect("a memfd");
    assert!(matches!(refused(unsealed), AttachError::NotSealed));
    let other = forged(|bytes| bytes[..8].copy_from_slice(b"RSWPLAN0"));
    assert!(matches!(refused(other), AttachError::Magic { found } if found == *b"RSWPLAN0"));
    for kind in 0..6 {
        let outside = forged(|bytes| {
            edit_header(bytes, |header| header.regions[kind].offset_bytes = u64::MAX - 4095);
        });
        assert!(matches!(refused(outside), AttachError::Region { .. }));
        let crowded = forged(|bytes| {
            edit_header(bytes, |header| header.regions[kind].entry_count = u32::MAX);
        });
        // Control and batches have no entries to count.
        assert_eq!(exercise(crowded, || {}).is_ok(), kind == 0 || kind == 5, "region {kind}");
    }
}

#[test]
fn random_bytes_never_fault() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..300 {
        let fd = forged(|bytes| {
            for _ in 0..64 {
                let at = HEADER_BYTES + random.below(bytes.len() - HEADER_BYTES);
                bytes[at] = random.below(256) as u8;
            }
        });
        let _ = exercise(fd, || {});
    }
}

#[test]
fn a_size_that_is_not_the_headers_is_refused_with_both() {
    let size = genuine().len();
    for other in [HEADER_BYTES, HEADER_BYTES + 1, size - 4096, size - 1, size + 1, size + 4096] {
        let fd = forged(|bytes| bytes.resize(other, 0));
        message(fd, [&other, &size]);
        // The header goes along with it: then the regions do not fit, or nothing is missing.
        let fd = forged(|bytes| {
            bytes.resize(other, 0);
            edit_header(bytes, |header| header.total_bytes = other as u64);
        });
        assert_eq!(exercise(fd, || {}).is_ok(), other >= size, "{other}");
    }
    for other in [0, 1, 100, HEADER_BYTES - 1] {
        let fd = forged(|bytes| bytes.truncate(other));
        message(fd, [&other, &HEADER_BYTES]);
    }
    let huge = memfd::create("huge", (1 << 36) + 4096).expect("a memfd");
    memfd::seal_plane(&huge).expect("sealed");
    message(huge, [&((1_u64 << 36) + 4096), &(1_u64 << 36)]);
}

#[test]
fn memory_that_is_not_there_is_refused() {
    // A promise of 64 GiB costs nothing to make, and everything to read.
    for size in [8192_u64, 1 << 36] {
        let hollow = memfd::create("hollow", size).expect("a memfd");
        memfd::seal_plane(&hollow).expect("sealed");
        assert!(matches!(refused(hollow), AttachError::Holes { reserved_bytes: 0, .. }));
    }
    let fd = memfd::create("half", 2 * genuine().len() as u64).expect("a memfd");
    let file = std::fs::File::from(fd);
    std::os::unix::fs::FileExt::write_all_at(&file, genuine(), 0).expect("written");
    memfd::seal_plane(&file).expect("sealed");
    message(file.into(), [&(2 * genuine().len()), &genuine().len()]);
}

#[test]
fn another_build_or_machine_is_refused_with_both() {
    let ours = format!("{ABI_MAJOR}.{ABI_MINOR} layout {LAYOUT_HASH:016x}");
    let fd = forged(|bytes| edit_header(bytes, |header| header.abi_major = 77));
    message(fd, [&"77.", &ours]);
    let fd = forged(|bytes| {
        edit_header(bytes, |header| (header.abi_minor, header.layout_hash) = (88, 0xabc))
    });
    message(fd, [&".88 layout 0000000000000abc", &ours]);
    // Additions only: the layout hash decides whether two builds may meet.
    let fd = forged(|bytes| edit_header(bytes, |header| header.abi_minor = 88));
    exercise(fd, || {}).expect("another minor version of the same layout");
    for pages in [0, 1, 65536, u32::MAX] {
        let fd = forged(|bytes| edit_header(bytes, |header| header.page_bytes = pages));
        message(fd, [&pages, &rsw_os::process::page_bytes()]);
    }
    let fd = forged(|bytes| edit(bytes, 0, |header: &mut PlaneHeader| header.crc32 ^= 1));
    assert!(matches!(refused(fd), AttachError::Checksum { found, computed } if found != computed));
}

#[test]
fn lying_regions_are_refused_or_read_within_the_plane() {
    for at in 0..REGIONS_MAX {
        for lie in LIES {
            for part in 0..4 {
                let fd = forged(|bytes| {
                    edit_header(bytes, |header| {
                        let region = &mut header.regions[at];
                        match part {
                            0 => region.kind = lie as u32,
                            1 => region.entry_count = lie as u32,
                            2 => region.offset_bytes = lie,
                            _ => region.size_bytes = lie,
                        }
                    });
                });
                let _ = exercise(fd, || {});
            }
        }
    }
    for count in [0, 1, 5, 6, 8, 9, u32::MAX] {
        let fd = forged(|bytes| edit_header(bytes, |header| header.region_count = count));
        assert_eq!(exercise(fd, || {}).is_ok(), count >= 6, "{count} regions");
    }
    let fd = forged(|bytes| edit_header(bytes, |header| header.regions[6] = header.regions[0]));
    assert!(exercise(fd, || {}).is_ok(), "beyond the count, nobody looks");
    let fd = forged(|bytes| {
        edit_header(bytes, |header| {
            header.regions[6] = header.regions[3];
            header.region_count = 7;
        });
    });
    assert!(refused(fd).to_string().contains("ring is there twice"));
}

#[test]
fn lying_fields_are_refused_by_name() {
    let first = region(RegionKind::Fields).start;
    type Lie = fn(&mut FieldDesc, u64);
    let lies: [(&str, Lie); 7] = [
        ("frame_count", |entry, lie| entry.frame_count = lie as u32),
        ("nx", |entry, lie| entry.nx = lie as u32),
        ("ny", |entry, lie| entry.ny = lie as u32),
        ("dtype", |entry, lie| entry.dtype = lie as u32),
        ("first_frame_bytes", |entry, lie| entry.first_frame_bytes = lie),
        ("stride_bytes", |entry, lie| entry.stride_bytes = lie),
        ("data_bytes", |entry, lie| entry.data_bytes = lie),
    ];
    for (name, change) in lies {
        for lie in LIES {
            let mut bytes = genuine().to_vec();
            edit(&mut bytes, first, |entry: &mut FieldDesc| change(entry, lie));
            // Other frames that lie in the region as well are a plane of their own.
            let harmless = bytes == genuine()
                || (name == "frame_count" && (2..=8).contains(&(lie as u32)))
                || name == "first_frame_bytes" && lie <= 4096 && lie.is_multiple_of(8);
            match exercise(sealed(&bytes), || {}) {
                Ok(()) => assert!(harmless, "{name} = {lie} was believed"),
                Err(error) => {
                    assert!(!harmless, "{name} = {lie}: {error}");
                    assert!(error.to_string().contains("field \"wave\""), "{error}");
                }
            }
        }
    }
    // What changes while the plane lives cannot be checked at the attach: it is read with care.
    for lie in LIES {
        let desc = region(RegionKind::Fields).start;
        let fd = forged(|bytes| edit(bytes, desc, |entry: &mut FieldDesc| entry.latest = lie));
        exercise(fd, || {}).expect("attached");
        let pool = desc + 4096;
        let stride = size_of::<FrameHeader>() + 128;
        for frame in 0..3 {
            let fd = forged(|bytes| {
                edit(bytes, pool + frame * stride, |head: &mut FrameHeader| head.len_bytes = lie);
            });
            exercise(fd, || {}).expect("attached");
            let fd = forged(|bytes| {
                edit(bytes, pool + frame * stride, |head: &mut FrameHeader| head.stamp = lie);
            });
            exercise(fd, || {}).expect("attached");
        }
    }
}

#[test]
fn lying_cells_and_arenas_are_refused_by_name() {
    let board = region(RegionKind::Board).start;
    for (lie, cell) in LIES.into_iter().flat_map(|lie| [(lie, 0), (lie, 1)]) {
        let fd = forged(|bytes| {
            edit(bytes, board + cell * size_of::<CellDesc>(), |desc: &mut CellDesc| {
                desc.cell_type = lie as u32;
            });
        });
        if let Err(error) = exercise(fd, || {}) {
            assert!(error.to_string().contains(["cell \"ci\"", "cell \"n\""][cell]), "{error}");
        }
    }
    let arena = region(RegionKind::Batches);
    let room = (arena.len() - size_of::<rsw_schemas::batch::ArenaHeader>()) as u64;
    for lie in LIES {
        let fd = forged(|bytes| edit(bytes, arena.start, |capacity: &mut u64| *capacity = lie));
        assert_eq!(exercise(fd, || {}).is_ok(), (1..=room).contains(&lie), "capacity {lie}");
        let tail = arena.start + 128;
        let fd = forged(|bytes| edit(bytes, tail, |tail: &mut u64| *tail = lie));
        exercise(fd, || {}).expect("attached");
    }
}

#[test]
fn a_ring_of_garbage_is_read_in_bounds() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let ring = region(RegionKind::Ring).start;
    let cursor = region(RegionKind::Control).start;
    let control = region(RegionKind::Control).len();
    for round in 0..1500 {
        let fd = forged(|bytes| {
            for slot in 0..SLOTS as usize {
                edit(bytes, ring + slot * size_of::<Slot>(), |slot: &mut Slot| {
                    let near = 2 * (990 + random.below(40) as u64);
                    slot.stamp = [near, near + 1, LIES[random.below(LIES.len())], slot.stamp]
                        [random.below(4)];
                    slot.len_bytes = [random.below(65536) as u16, slot.len_bytes][random.below(2)];
                    slot.payload[random.below(56)] = random.below(256) as u8;
                });
            }
            if round % 3 == 0 {
                let word = cursor + random.below(control / 8) * 8;
                edit(bytes, word, |word: &mut u64| *word = LIES[random.below(LIES.len())]);
            }
            if round % 5 == 0 {
                let first = LIES[random.below(LIES.len())];
                edit_header(bytes, |header| header.first_sequence = first);
            }
        });
        exercise(fd, || {}).expect("attached");
    }
}

#[test]
fn random_directories_never_fault() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut read = 0;
    for _ in 0..1500 {
        let fd = forged(|bytes| {
            for _ in 0..1 + random.below(6) {
                let kind = RegionKind::ALL[random.below(6)];
                let range = region(kind);
                // The directory lies at the front; the rest is data.
                let at = range.start + random.below(range.len().min(512) / 4) * 4;
                let lie = LIES[random.below(LIES.len())] as u32;
                edit(bytes, at, |word: &mut u32| {
                    *word = [lie, *word ^ 1 << random.below(32)][random.below(2)]
                });
            }
            if random.below(2) == 0 {
                let at = random.below(REGIONS_MAX * 6) * 4;
                edit_header(bytes, |header| {
                    let table: &mut [u8] = bytemuck::cast_slice_mut(&mut header.regions);
                    edit(table, at, |word: &mut u32| *word ^= 1 << random.below(32));
                });
            }
        });
        read += u32::from(exercise(fd, || {}).is_ok());
    }
    assert!((100..1400).contains(&read), "{read} of 1500 were read: the test proves little");
}
