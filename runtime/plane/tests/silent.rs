//! Invariant 5: publishing and reading make no system call and allocate nothing.
//!
//! A process of its own does both in strict seccomp mode, where the system ends it at any call but `read`, `write` and
//! `exit`, and under an allocator that counts.

#[path = "silent/counting.rs"]
mod counting;

use bytemuck::Zeroable;
use counting::allocations;
use rsw_plane::{
    CellSpec, CellValue, EventHead, FieldSpec, PlaneReader, PlaneSpec, PlaneWriter, PolledBatch,
    StartAt, Value,
};
use rsw_schemas::board::CellType;
use rsw_schemas::event::Slot;
use rsw_schemas::field::Dtype;

/// What both ends do in a few ticks; the number of events read, or 0 if anything was wrong.
fn work(writer: &mut PlaneWriter, plane: &PlaneReader, room: &mut Room) -> u8 {
    let mut ring = plane.ring(StartAt::Oldest);
    let before = allocations();
    let mut read = 0;
    for tick in 1..=5u64 {
        writer.fields[0].publish(tick, 1, [0.0; 2], &room.frame);
        writer.board.set_f64(0, 0.5, tick, 1);
        for payload in [&room.frame[..96], &room.frame[..8]] {
            writer.ring.push(EventHead { kind: 1, source: 0, generation: 1, t_ns: 1 }, payload);
        }
        writer.ring.commit();
        let Ok(position) = plane.board().snapshot(&mut room.cells) else { return 0 };
        let Ok(info) = room.field.copy_latest_into(&mut room.words) else { return 0 };
        if position.newest != tick || info.tick != tick || plane.board().read(0).is_err() {
            return 0;
        }
        while let PolledBatch::Events { count, .. } = ring.poll_batch(&mut room.slots) {
            read += count as u8;
        }
    }
    if allocations() == before { read } else { 0 }
}

/// Everything that is needed, made before.
struct Room {
    frame: Vec<u8>,
    words: Vec<u64>,
    cells: Vec<CellValue>,
    slots: Vec<Slot>,
    field: rsw_plane::FieldReader,
}

#[test]
fn publishing_and_reading_ask_the_system_for_nothing() {
    let spec = PlaneSpec {
        run_id: [1; 16],
        generation: 1,
        first_sequence: 0,
        nx: 64,
        ny: 64,
        tick_period_ns: 0,
        ring_slots: 64,
        cells: vec![CellSpec {
            name: "ci",
            unit: "",
            cell_type: CellType::F64,
            meaning: "Mean CI.",
        }],
        fields: vec![FieldSpec {
            name: "wave".into(),
            unit: "",
            dtype: Dtype::F32,
            nx: 64,
            ny: 64,
            frames: 2,
        }],
        arena_bytes: 4096,
    };
    let (mut writer, fd) = PlaneWriter::create(&spec).expect("a plane");
    let plane = PlaneReader::attach(fd).expect("attached");
    let mut room = Room {
        frame: vec![7; 64 * 64 * 4],
        words: vec![0; 64 * 64 / 2],
        cells: vec![CellValue { value: Value::U64(0), tick: 0, t_ns: 0 }],
        slots: vec![Slot::zeroed(); 8],
        field: plane.field("wave").expect("the field").clone(),
    };
    // SAFETY: the child touches memory that was made before, makes the calls below and no other, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: a call that takes away what this process may do.
        let strict = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
        let code = if strict == 0 { work(&mut writer, &plane, &mut room) } else { 0 };
        // SAFETY: ends this thread, the only one of the child; `exit_group` would not be allowed.
        unsafe { libc::syscall(libc::SYS_exit, libc::c_long::from(code)) };
    }
    assert!(pid > 0, "no second process");
    let mut status = 0;
    // SAFETY: a child of ours, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "a system call ended it: wait status {status}");
    assert_eq!(
        libc::WEXITSTATUS(status),
        10,
        "two events a tick were read, and nothing was allocated"
    );
}
