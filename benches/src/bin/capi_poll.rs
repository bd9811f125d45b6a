//! What the C door costs: polling available events through `rsw_ring_poll` beside the Rust call, in one process, over the
//! same ring, in turns.
//!
//! `cargo run --release --bin capi_poll`. No swarm: the gateway's side of the handshake is played here.

use std::hint::black_box;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use bytemuck::Zeroable;
use rsw::ring::{
    RSW_FROM_OLDEST, rsw_event, rsw_ring, rsw_ring_close, rsw_ring_open, rsw_ring_poll,
};
use rsw::status::RSW_OK;
use rsw::swarm::{RSW_CONNECT_OBSERVER, rsw_close, rsw_connect, rsw_options, rsw_swarm};
use rsw_attach::codec::{self, Incoming};
use rsw_os::memfd;
use rsw_plane::{EventHead, PlaneReader, PlaneSpec, PlaneWriter, Polled, PolledBatch, StartAt};
use rsw_schemas::event::Slot;
use rsw_schemas::text;
use rsw_schemas::wire::{PacketKind, Welcome};

/// Events a round; the ring holds them all.
const EVENTS: usize = 1 << 15;
const ROUNDS: usize = 101;
const BATCH: usize = 64;

type Poll = unsafe extern "C" fn(*mut rsw_ring, *mut rsw_event, usize, *mut usize) -> i32;

fn main() {
    let (mut writer, fd) = PlaneWriter::create(&PlaneSpec {
        run_id: [1; 16],
        generation: 1,
        first_sequence: 0,
        nx: 8,
        ny: 8,
        tick_period_ns: 1,
        ring_slots: EVENTS as u64 * 2,
        cells: Vec::new(),
        fields: Vec::new(),
        arena_bytes: 1 << 16,
    })
    .expect("a plane");
    for at in 0..EVENTS {
        let head = EventHead { kind: 1, source: 0, generation: 1, t_ns: at as i64 };
        writer.ring.push(head, &[at as u8; 96]);
    }
    writer.commit();
    let swarm = attach(&fd);
    let plane =
        PlaneReader::attach(memfd::reopen_read_only(&fd).expect("a plane")).expect("a plane");
    let poll: Poll = black_box(rsw_ring_poll);

    println!("{ROUNDS} rounds of {EVENTS} events of 96 bytes; nanoseconds an event, median\n");
    let through_c = |batch| through_c(swarm, poll, batch);
    compare("one event a call, by `poll`", || rust_one(&plane), || through_c(1));
    compare("one event a call, by `poll_batch`", || rust_batch(&plane, 1), || through_c(1));
    compare("64 events a call", || rust_batch(&plane, BATCH), || through_c(BATCH));
    // SAFETY: a handle, which the library checks.
    unsafe { rsw_close(swarm) };
}

/// In turns, so that whatever else the machine does hits both.
fn compare(what: &str, rust: impl Fn() -> f64, c: impl Fn() -> f64) {
    let (mut rust, mut c): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(|_| (rust(), c())).unzip();
    rust.sort_by(f64::total_cmp);
    c.sort_by(f64::total_cmp);
    let (rust, c) = (rust[ROUNDS / 2], c[ROUNDS / 2]);
    println!("{what}: Rust {rust:.2}, C {c:.2}, C / Rust {:.2}", c / rust);
}

fn rust_one(plane: &PlaneReader) -> f64 {
    let mut ring = plane.ring(StartAt::Oldest);
    let start = Instant::now();
    for _ in 0..EVENTS {
        let Polled::Event { slot, .. } = black_box(&mut ring).poll() else { panic!("an event") };
        black_box(&slot);
    }
    start.elapsed().as_nanos() as f64 / EVENTS as f64
}

fn rust_batch(plane: &PlaneReader, batch: usize) -> f64 {
    let mut ring = plane.ring(StartAt::Oldest);
    let mut slots = [Slot::zeroed(); BATCH];
    let start = Instant::now();
    for _ in 0..EVENTS / batch {
        let polled = black_box(&mut ring).poll_batch(&mut slots[..batch]);
        assert!(matches!(polled, PolledBatch::Events { count, .. } if count == batch));
        black_box(&slots);
    }
    start.elapsed().as_nanos() as f64 / EVENTS as f64
}

fn through_c(swarm: *mut rsw_swarm, poll: Poll, batch: usize) -> f64 {
    let mut ring = std::ptr::null_mut();
    // SAFETY: a handle, and a place for another.
    let opened = unsafe { rsw_ring_open(swarm, RSW_FROM_OLDEST, 0, &raw mut ring) };
    assert_eq!(opened, RSW_OK);
    let mut events = [Slot::zeroed(); BATCH];
    let first = events.as_mut_ptr().cast::<rsw_event>();
    let mut count = 0;
    let start = Instant::now();
    for _ in 0..EVENTS / batch {
        // SAFETY: a handle, room for `batch` events, which have the layout of slots, and a place for the count.
        let status = unsafe { poll(ring, first, batch, &raw mut count) };
        assert!(status == RSW_OK && count == batch);
        black_box(&events);
    }
    let ns = start.elapsed().as_nanos() as f64 / EVENTS as f64;
    // SAFETY: a handle, which the library checks.
    unsafe { rsw_ring_close(ring) };
    ns
}

/// Attaches an observer, with the gateway's side played here.
fn attach(plane: &impl AsFd) -> *mut rsw_swarm {
    let (ours, theirs) = rsw_os::packet::pair().expect("a socket pair");
    let total_bytes = memfd::size_bytes(plane).expect("its size");
    let welcome = Welcome {
        agent_id: 0,
        isolation: 3,
        generation: 1,
        total_bytes,
        window_ticks: 8,
        report_ticks: 8,
        site_count: 0,
        loans: 0,
        incarnation: 1,
        loan_root: [0; 200],
        name: [0; 64],
        wait: text::pack("block"),
        hello_flags: RSW_CONNECT_OBSERVER,
        wake_fd: 0,
    };
    // The answer may be there before the question.
    let read_only = memfd::reopen_read_only(plane).expect("a plane");
    let sent = codec::send(ours.as_fd(), PacketKind::Welcome, &welcome, &[read_only.as_fd()]);
    assert!(sent.is_ok());
    // SAFETY: all zeros are valid options.
    let mut options: rsw_options = unsafe { std::mem::zeroed() };
    options.struct_size = size_of::<rsw_options>() as u32;
    options.flags = RSW_CONNECT_OBSERVER;
    options.socket_fd = theirs.as_raw_fd();
    let mut swarm = std::ptr::null_mut();
    // SAFETY: whole options, and a place for a handle.
    let connected = unsafe { rsw_connect(&raw const options, &raw mut swarm) };
    assert_eq!(connected, RSW_OK);
    assert!(matches!(codec::recv(ours.as_fd(), 0), Ok(Incoming::Packet(_))), "the hello");
    // The gateway's end stays open for as long as the process lives.
    std::mem::forget(ours);
    swarm
}
