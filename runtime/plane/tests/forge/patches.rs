//! What a fuzzer's input makes of a genuine plane: a mode, then patches of 10 bytes: which structure (see [`anchors`]), an
//! offset in words of 32 bits, a value. So most of what is tried passes the first checks, and lies deeper.

use rsw_schemas::board::{CellDesc, CellLine};
use rsw_schemas::event::Slot;
use rsw_schemas::field::FieldDesc;
use rsw_schemas::header::{PlaneHeader, RegionKind};

use crate::forge;

/// Make the header's checksum right.
const RIGHT_CHECKSUM: u8 = 1;
/// Make the header's size right.
const RIGHT_SIZE: u8 = 2;
/// The first patch gives the size of the file.
const RESIZE: u8 = 4;
/// The input lies at the front of the file as it is.
const RAW: u8 = 8;
const PATCH_BYTES: usize = 10;
const FILE_BYTES_MAX: u64 = 1 << 17;

/// The bytes of the plane to be.
pub(crate) fn forged(mode: u8, mut input: &[u8]) -> Vec<u8> {
    let mut bytes = forge::genuine().to_vec();
    if mode & RESIZE != 0 && input.len() >= 8 {
        bytes.resize((forge::read::<u64>(input, 0) % FILE_BYTES_MAX) as usize, 0);
        input = &input[8..];
    }
    if mode & RAW != 0 {
        let len = input.len().min(bytes.len());
        bytes[..len].copy_from_slice(&input[..len]);
    } else {
        let anchors = anchors();
        for patch in input.as_chunks::<PATCH_BYTES>().0 {
            let at =
                anchors[usize::from(patch[0]) % anchors.len()] + usize::from(patch[1] % 64) * 4;
            if let Some(place) = bytes.get_mut(at..at + 8) {
                place.copy_from_slice(&patch[2..]);
            }
        }
    }
    let size = bytes.len() as u64;
    if bytes.len() >= 4096 && mode & (RIGHT_SIZE | RIGHT_CHECKSUM) != 0 {
        forge::edit(&mut bytes, 0, |header: &mut PlaneHeader| {
            if mode & RIGHT_SIZE != 0 {
                header.total_bytes = size;
            }
            header.crc32 = header.checksum();
        });
    }
    bytes
}

/// Where every structure of the genuine plane begins: two for the header, then the regions in their order.
fn anchors() -> Vec<usize> {
    let start = |kind| forge::region(kind).start;
    let mut anchors = vec![0, core::mem::offset_of!(PlaneHeader, regions)];
    anchors.extend([start(RegionKind::Control), start(RegionKind::Counters)]);
    let lines = start(RegionKind::Board) + 2 * size_of::<CellDesc>();
    anchors.extend((0..2).map(|cell| start(RegionKind::Board) + cell * size_of::<CellDesc>()));
    anchors.extend((0..2).map(|cell| lines + cell * size_of::<CellLine>()));
    let slots = 0..forge::SLOTS as usize;
    anchors.extend(slots.map(|slot| start(RegionKind::Ring) + slot * size_of::<Slot>()));
    for field in 0..2 {
        let desc = start(RegionKind::Fields) + field * size_of::<FieldDesc>();
        anchors.push(desc);
        let entry: FieldDesc = forge::read(forge::genuine(), desc);
        let first = start(RegionKind::Fields) + entry.first_frame_bytes as usize;
        anchors.extend((0..3).map(|frame| first + frame * entry.stride_bytes as usize));
    }
    anchors.push(start(RegionKind::Batches));
    anchors
}
