//! Small state and fields, by copy: one cell, 64 cells, whole frames.

use std::time::Duration;

use rsw_plane::{CellSpec, CellValue, FieldSpec, PlaneReader, PlaneSpec, PlaneWriter, Value};
use rsw_schemas::board::CellType;
use rsw_schemas::field::Dtype;

use super::Bench;
use crate::link::{End, floor, ring};
use crate::pair;
use crate::sample::{Case, histogram};
use crate::{Failure, clock};

/// Names of a board's cells.
const CELLS: [&str; 64] = {
    let mut names = [""; 64];
    let all = "c00c01c02c03c04c05c06c07c08c09c10c11c12c13c14c15c16c17c18c19c20c21c22c23c24c25c26c27c28c29c30c31\
               c32c33c34c35c36c37c38c39c40c41c42c43c44c45c46c47c48c49c50c51c52c53c54c55c56c57c58c59c60c61c62c63";
    let mut rest = all;
    let mut at = 0;
    while at < names.len() {
        let (name, more) = rest.split_at(3);
        (names[at], rest) = (name, more);
        at += 1;
    }
    names
};
/// Reads between two readings of the clock, where one read is too short to be timed alone.
const CHUNK: u64 = 1024;
/// Period of the writer of the busy rows: 1 MHz.
const WRITE_PERIOD_NS: f64 = 1000.0;
/// Bytes of the fields.
const FIELDS: [usize; 2] = [256 << 10, 4 << 20];

pub(super) fn run(bench: &mut Bench) -> Result<(), Failure> {
    cells(bench)?;
    for bytes in FIELDS {
        fields(bench, bytes)?;
    }
    Ok(())
}

fn plane() -> Result<(PlaneWriter, std::os::fd::OwnedFd), Failure> {
    let cells = CELLS.map(|name| CellSpec {
        name,
        unit: "",
        cell_type: CellType::U64,
        meaning: "A benchmark's.",
    });
    Ok(PlaneWriter::create(&PlaneSpec { cells: cells.to_vec(), ..ring::spec(8) })?)
}

fn cells(bench: &mut Bench) -> Result<(), Failure> {
    let (writer, fd) = plane()?;
    let reader = PlaneReader::attach(fd)?;
    for cell in 0..CELLS.len() {
        writer.board.set_bits(cell, 1, 1, 1);
    }
    let mut out = vec![CellValue { value: Value::U64(0), tick: 0, t_ns: 0 }; CELLS.len()];
    let board = reader.board();

    let deadline = bench.deadline();
    let (start, mut reads, mut sum) = (clock::now(), 0u64, 0u64);
    let mut end = start;
    while end < deadline {
        for read in 0..CHUNK {
            let cell = board.read(core::hint::black_box(read as usize % CELLS.len()))?;
            sum = sum.wrapping_add(cell.tick);
        }
        reads += CHUNK;
        end = clock::now();
    }
    core::hint::black_box(sum);
    let case = Case::new("board", "board-cell", "throughput").payload(8).beside("floor");
    bench.cost(case, clock::ns((end - start) as f64) / reads as f64, reads);

    let mut snapshots = |bench: &mut Bench, name: &str| -> Result<(), Failure> {
        let deadline = bench.deadline();
        let mut samples = histogram();
        let mut start = clock::now();
        while start < deadline {
            core::hint::black_box(board.snapshot(&mut out)?);
            let end = clock::now();
            samples.saturating_record(end - start);
            start = clock::now();
        }
        let case = Case::new("board", name, "closed-loop").payload(8 * CELLS.len()).beside("floor");
        bench.add(case, samples);
        Ok(())
    };
    snapshots(bench, "board-snapshot")?;

    // Now with a writer that changes one cell after the other, a million times a second.
    let [mut ours, mut theirs] = floor::pair()?;
    let peer = pair::spawn(bench.cores[1], move || {
        let period = clock::ticks(WRITE_PERIOD_NS);
        theirs.send(1);
        let (mut due, mut writes) = (clock::now(), 0u64);
        while theirs.peek().is_none() {
            due += period;
            while clock::now() < due {}
            writes += 1;
            writer.board.set_bits(writes as usize % CELLS.len(), writes, writes, 0);
        }
        vec![writes]
    })?;
    ours.receive();
    snapshots(bench, "board-snapshot-busy")?;
    ours.send(1);
    peer.join()?;
    Ok(())
}

fn fields(bench: &mut Bench, bytes: usize) -> Result<(), Failure> {
    let field = FieldSpec {
        name: "field".into(),
        unit: "",
        dtype: Dtype::Bytes,
        nx: bytes as u32,
        ny: 1,
        frames: 2,
    };
    let (mut writer, fd) =
        PlaneWriter::create(&PlaneSpec { fields: vec![field], ..ring::spec(8) })?;
    let plane = PlaneReader::attach(fd)?;
    let field = plane.field("field").ok_or("the plane has no field")?;
    let frame = vec![7u8; bytes];
    writer.fields[0].publish(1, 1, [0.0; 2], &frame);
    let mut words = vec![0u64; bytes / 8];
    let mut other = vec![0u8; bytes];
    let time = |bench: &mut Bench, name: &str, copy: &mut dyn FnMut() -> Result<(), Failure>| {
        let mut samples = histogram();
        // The first goes over pages that nobody touched before.
        copy()?;
        let deadline = clock::now()
            + clock::ticks(bench.options.duration.min(Duration::from_millis(200)).as_nanos() as f64);
        loop {
            let start = clock::now();
            copy()?;
            let end = clock::now();
            samples.saturating_record(end - start);
            if end > deadline {
                break;
            }
        }
        let case = Case::new("board", name, "closed-loop").payload(bytes).beside("memcpy");
        let case = if name == "memcpy" { case.peer() } else { case };
        bench.add(case, samples);
        Ok::<_, Failure>(())
    };
    time(bench, "memcpy", &mut || {
        other.copy_from_slice(core::hint::black_box(&frame));
        core::hint::black_box(&mut other);
        Ok(())
    })?;
    time(bench, "field-copy", &mut || {
        core::hint::black_box(field.copy_latest_into(&mut words)?);
        Ok(())
    })?;
    time(bench, "field-publish", &mut || {
        writer.fields[0].publish(2, 2, [0.0; 2], core::hint::black_box(&frame));
        Ok(())
    })?;
    Ok(())
}
