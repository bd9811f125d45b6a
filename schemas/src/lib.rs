//! The bytes that cross process borders, and what they mean.
//!
//! Goals: every layout in one crate, asserted at compile time, hashed, and printable. Non-goals: no
//! atomics, no system calls, no serialisation code: who reads or writes these bytes, and in which
//! order, is the business of `rsw-plane` and `rsw-attach`.
//!
//! Reading order: [`header`], [`control`], [`event`], [`board`], [`field`], [`batch`], [`counter`],
//! [`page`], [`wire`].

#![forbid(unsafe_code)]

pub mod layout;
pub mod text;

pub mod header;

pub mod control;

pub mod event;

pub mod board;

pub mod field;

pub mod batch;

pub mod counter;

pub mod page;

pub mod wire;

pub mod exit;

/// Major version of the plane and of the handshake: a difference is refused.
pub const ABI_MAJOR: u32 = 0;
/// Minor version: additions only; the layout hash decides whether two builds may meet.
pub const ABI_MINOR: u32 = 1;

/// Every POD of the ABI, in reading order. The layout hash, the golden dump and the C header follow it.
pub const STRUCTS: &[layout::StructMap] = &[
    header::PlaneHeader::MAP,
    header::Region::MAP,
    control::ControlLines::MAP,
    event::Slot::MAP,
    event::Tick::MAP,
    event::FieldReady::MAP,
    event::BatchReady::MAP,
    event::AgentMetric::MAP,
    event::ThresholdCrossed::MAP,
    event::Report::MAP,
    event::Alert::MAP,
    event::Presence::MAP,
    event::SourceChanged::MAP,
    event::Annotation::MAP,
    event::Gap::MAP,
    event::Generation::MAP,
    board::CellDesc::MAP,
    board::CellLine::MAP,
    board::CellCopy::MAP,
    field::FieldDesc::MAP,
    field::FrameHeader::MAP,
    batch::ArenaHeader::MAP,
    counter::CounterLine::MAP,
    page::MailboxPage::MAP,
    page::RecorderPage::MAP,
    wire::Packet::MAP,
    wire::Hello::MAP,
    wire::Welcome::MAP,
    wire::Refused::MAP,
    wire::PlaneChanged::MAP,
    wire::AgentReport::MAP,
    wire::KernelReady::MAP,
    wire::ProcessText::MAP,
    wire::TickMark::MAP,
    wire::AgentSeat::MAP,
    wire::GenerationNote::MAP,
    wire::Admitted::MAP,
];

/// Hash of every layout above: two builds may share a plane only if theirs are equal.
pub const LAYOUT_HASH: u64 = {
    let mut hash = layout::fnv1a(0xcbf2_9ce4_8422_2325, b"rsw.plane");
    let mut i = 0;
    while i < STRUCTS.len() {
        hash = layout::hash_struct(hash, &STRUCTS[i]);
        i += 1;
    }
    hash
};

/// Every layout as text, for `runtime version -v` and the golden test.
pub fn dump() -> String {
    let mut out = format!("abi {ABI_MAJOR}.{ABI_MINOR}\n\n");
    for map in STRUCTS {
        out.push_str(&layout::ruler(map));
        out.push('\n');
    }
    out
}
