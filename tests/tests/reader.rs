//! `rsw_reader.h` by itself: beside the plane's own numbers, before planes that lie, and behind a writer that runs.
//!
//! The plane's own reader is the oracle: of every plane, forged or not, both must say the same.

use rsw_plane as plane;

#[path = "../../runtime/plane/tests/forge/mod.rs"]
mod forge;

#[path = "../../runtime/plane/tests/forge/patches.rs"]
mod patches;

use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bytemuck::Zeroable;
use rsw_os::{clock, memfd, process};
use rsw_plane::{
    AttachError, CellSpec, CellValue, EventHead, PlaneReader, PlaneSpec, PlaneWriter, PolledBatch,
    StartAt, Value,
};
use rsw_schemas::board::CellType;
use rsw_schemas::control::{ControlLines, KernelState};
use rsw_schemas::event::{EventKind, Slot};
use rsw_schemas::header::RegionKind;
use rsw_tests::c::{Door, command, good, source};
use rsw_tests::{Done, Place};

/// The header is nothing but itself: no `_GNU_SOURCE`, no library, no installation.
fn compiler(program: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(flags).args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-I"]);
    command.arg(source("runtime/capi/include"));
    command
}

#[test]
fn the_header_is_clean_in_c_and_in_cpp_at_every_level_of_optimisation() {
    let place = Place::new();
    let everything = "#include <rsw/rsw_reader.h>\n#include <rsw/rsw.h>\n#include <rsw/rsw_reader.h>\n\
        int main(void)\n{\n    rsw_reader *reader;\n    rsw_reader_ring *ring;\n    struct rsw_event event;\n\
        size_t count;\n    return rsw_reader_connect(\"no such socket\", 0, &reader) != RSW_E_NOT_FOUND || \
        rsw_reader_ring_open(reader, 0, 0, &ring) != RSW_E_NULL || \
        rsw_reader_ring_poll(NULL, &event, 1, &count) != RSW_E_NULL;\n}\n";
    let user = place.write("user.c", everything);
    let program = place.folder().join("user");
    let compilers =
        [("gcc", "-std=c11", "c"), ("g++", "-std=c++17", "c++"), ("clang", "-std=c11", "c")];
    for (name, standard, language) in compilers {
        let here = Command::new(name).arg("--version").output();
        if name == "clang" && !here.is_ok_and(|answer| answer.status.success()) {
            continue;
        }
        for level in ["-O0", "-O1", "-O2", "-O3"] {
            let mut compile = compiler(name, &[standard, level, "-x", language]);
            good(compile.arg(&user).arg("-o").arg(&program));
            good(&mut command(&place, &program, &[]));
        }
    }
    // Who includes a header of the system first, and does not say _GNU_SOURCE, is told.
    let late = place.write("late.c", "#include <stdio.h>\n#include <rsw/rsw_reader.h>\n");
    let refused = compiler("gcc", &["-std=c11", "-fsyntax-only"]).arg(&late).output();
    let refused = Done::of(refused.expect("a compiler"));
    assert!(refused.stderr.contains("compile with -D_GNU_SOURCE"), "{}", refused.stderr);
}

/// Places and kinds are generated from the same layouts (`xtask tidy`); these are numbers of the protocols.
#[test]
fn the_headers_numbers_are_the_planes() {
    let place = Place::new();
    let equal = [
        ("RSW_READER_PLANE_BYTES_MAX", rsw_plane::segment::PLANE_BYTES_MAX),
        ("RSW_READER_CELL_TRIES", u64::from(rsw_plane::latch::RETRIES_MAX)),
        ("RSW_READER_SHORT_BYTES", rsw_plane::ring::SHORT_BYTES as u64),
        ("RSW_READER_SLOT_WORDS", 1 + rsw_plane::ring::BODY_WORDS as u64),
        ("RSW_READER_SLOT_WORDS * 8", size_of::<Slot>() as u64),
        ("RSW_LAYOUT_HASH", rsw_schemas::LAYOUT_HASH),
        ("RSW_F64", CellType::F64 as u64),
        ("RSW_U64", CellType::U64 as u64),
        ("RSW_I64", CellType::I64 as u64),
    ];
    let mut text = String::from("#include <rsw/rsw_reader.h>\n");
    for (name, number) in equal {
        writeln!(text, "RSW_STATIC_ASSERT({name} == UINT64_C({number}), \"{name}\");").expect("it");
    }
    let park_ns = rsw_plane::wait::PARK_MAX.as_nanos();
    writeln!(text, "RSW_STATIC_ASSERT(RSW_READER_SLICE_NS <= {park_ns}, \"park\");").expect("it");
    let asserts = place.write("numbers.c", &text);
    good(compiler("gcc", &["-std=c11", "-fsyntax-only"]).arg(&asserts));
}

/// FNV-1a, as the C program has it.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What `planes.c` must say of these bytes; `None` where it looks at less than we do.
fn told(bytes: &[u8]) -> Option<String> {
    match forge::exercise(forge::sealed(bytes), || {}) {
        Ok(()) => Some(read(&PlaneReader::attach(forge::sealed(bytes)).expect("as before"))),
        // Fields and batches are no business of the header's.
        Err(AttachError::Region { region: "fields" | "batches", .. }) => None,
        Err(AttachError::Layout { .. }) => Some("-6".into()),
        Err(_) => Some("-15".into()),
    }
}

fn read(plane: &PlaneReader) -> String {
    let (generation, tick, cursor) = (plane.generation(), plane.tick(), plane.ring_cursor());
    let cells = plane.board().cells().len();
    let mut said = format!("generation {generation} tick {tick} cursor {cursor} cells {cells}");
    for cell in 0..cells {
        let CellValue { value, tick, t_ns } = plane.board().read(cell).expect("nobody writes");
        let (kind, bits) = match value {
            Value::F64(value) => (CellType::F64, value.to_bits()),
            Value::U64(value) => (CellType::U64, value),
            Value::I64(value) => (CellType::I64, value.cast_unsigned()),
        };
        write!(said, " {}:{bits:016x}:{tick}:{t_ns}", kind as u32).expect("it");
    }
    let first = plane.header().first_sequence;
    let starts = [
        StartAt::Latest,
        StartAt::Oldest,
        StartAt::Sequence(first),
        StartAt::Sequence(cursor.wrapping_add(3)),
        StartAt::Sequence(first.wrapping_sub(1 << 62)),
    ];
    for start in starts {
        read_ring(plane, start, &mut said);
    }
    said
}

fn read_ring(plane: &PlaneReader, start: StartAt, said: &mut String) {
    let mut ring = plane.ring(start);
    let mut slots = [Slot::zeroed(); 3];
    write!(said, " from {}", ring.next_sequence()).expect("it");
    for _ in 0..3 * ring.capacity().min(64) {
        match ring.poll_batch(&mut slots) {
            PolledBatch::Empty => said.push('.'),
            PolledBatch::Lapped { from, to } => write!(said, " -{from}..{to}").expect("it"),
            PolledBatch::Events { first, count } => {
                for (at, slot) in slots[..count].iter_mut().enumerate() {
                    slot.stamp = first.wrapping_add(at as u64);
                }
                let hash = hash(bytemuck::cast_slice(&slots[..count]));
                write!(said, " +{count}:{hash:016x}").expect("it");
            }
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    /// An input of the fuzz target: some patches that lie.
    fn input(&mut self, patches: u64) -> Vec<u8> {
        let mut input = Vec::new();
        for _ in 0..patches {
            let near = 2 * (990 + self.below(40)) + self.below(2);
            let lie = forge::LIES[self.below(forge::LIES.len() as u64) as usize];
            input.extend([self.below(256) as u8, self.below(64) as u8]);
            input.extend([near, lie, self.below(1 << 31)][self.below(3) as usize].to_ne_bytes());
        }
        input
    }
}

/// The genuine plane; what a fuzzer found worth keeping; cut off and stretched, with and without a header that knows; and
/// lies in every structure.
fn planes() -> Vec<Vec<u8>> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut planes = vec![forge::genuine().to_vec()];
    let corpus = std::fs::read_dir(source("runtime/plane/fuzz/corpus")).expect("the corpus");
    let mut corpus: Vec<PathBuf> = corpus.map(|entry| entry.expect("an entry").path()).collect();
    corpus.sort();
    for path in corpus {
        let input = std::fs::read(path).expect("an input");
        let (mode, input) = input.split_first().expect("a mode");
        planes.push(patches::forged(*mode, input));
    }
    for at in 0..200 {
        let size = random.below(forge::genuine().len() as u64 + 8192).to_ne_bytes();
        planes.push(patches::forged(if at % 2 == 0 { 4 } else { 4 | 3 }, &size));
        let end = random.below(forge::genuine().len() as u64) as usize;
        planes.push(forge::genuine()[..end].to_vec());
    }
    for at in 0..1200 {
        let count = 1 + at % 5;
        planes.push(patches::forged(3, &random.input(count)));
    }
    // The stamps lie, and nothing else: such a ring is read.
    let ring = forge::region(RegionKind::Ring).start;
    for _ in 0..300 {
        let mut bytes = forge::genuine().to_vec();
        for slot in 0..forge::SLOTS as usize {
            let near = 2 * (990 + random.below(40));
            let lie = forge::LIES[random.below(forge::LIES.len() as u64) as usize];
            forge::edit(&mut bytes, ring + slot * size_of::<Slot>(), |slot: &mut Slot| {
                slot.stamp = [near, near + 1, lie, slot.stamp][random.below(4) as usize];
                slot.len_bytes = [lie as u16, slot.len_bytes][random.below(2) as usize];
            });
        }
        if random.below(2) == 0 {
            let first = forge::LIES[random.below(forge::LIES.len() as u64) as usize];
            forge::edit_header(&mut bytes, |header| header.first_sequence = first);
        }
        planes.push(bytes);
    }
    planes
}

/// Under AddressSanitizer and UndefinedBehaviorSanitizer: a fault, a load beyond the file or an overflow ends the program.
#[test]
fn of_planes_that_lie_the_header_says_what_the_plane_says() {
    let place = Place::new();
    let program = Door::Reader.test_program(&place, "planes");
    let planes = planes();
    let mut file = Vec::new();
    for plane in &planes {
        file.extend((plane.len() as u64).to_ne_bytes());
        file.extend(plane);
    }
    std::fs::write(place.folder().join("planes"), file).expect("written");
    let said = good(&mut command(&place, &program, &["planes"])).stdout;
    assert_eq!(said.lines().count(), planes.len());
    let (mut read, mut refused) = (0, 0);
    for (at, (line, plane)) in said.lines().zip(&planes).enumerate() {
        let Some(expected) = told(plane) else { continue };
        assert_eq!(line, expected, "plane {at}");
        *if line.starts_with('-') { &mut refused } else { &mut read } += 1;
    }
    assert!(read > 400 && refused > 400, "{read} read, {refused} refused: the test proves little");
}

/// Runs `drain` on a descriptor that it inherits.
fn drain(place: &Place, fd: &OwnedFd) -> Command {
    process::set_inheritable(fd, true).expect("a flag");
    let program = Door::Reader.test_program(place, "drain");
    command(place, &program, &[&fd.as_raw_fd().to_string()])
}

#[test]
fn what_is_not_sealed_or_has_no_memory_is_refused_with_words() {
    let place = Place::new();
    let unsealed = memfd::create("unsealed", 8192).expect("a memfd");
    let hollow = memfd::create("hollow", 1 << 36).expect("a memfd");
    memfd::seal_plane(&hollow).expect("sealed");
    let elsewhere = OwnedFd::from(std::fs::File::open("/dev/null").expect("a file"));
    let words = ["lacks the seals", "only 0 have memory", "lacks the seals"];
    for (fd, words) in [unsealed, hollow, elsewhere].iter().zip(words) {
        let done = Done::of(drain(&place, fd).output().expect("a program"));
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
}

/// A second of silence is none while the writer's process is there; a process of another start time is not the writer.
#[test]
fn the_header_knows_a_live_a_silent_a_dead_and_a_stopped_kernel() {
    const SECOND_NS: u64 = 1_000_000_000;
    let control = forge::region(RegionKind::Control).start;
    let ours = process::start_ticks(std::process::id()).expect("a start time");
    let plane = |state: KernelState, age_s: u64, start_ticks: u64| {
        let mut bytes = forge::genuine().to_vec();
        forge::edit_header(&mut bytes, |header| {
            (header.writer_pid, header.writer_start_ticks) = (std::process::id(), start_ticks);
        });
        forge::edit(&mut bytes, control, |lines: &mut ControlLines| {
            lines.state = state as u64;
            lines.heartbeat_mono_ns = clock::mono_ns().saturating_sub(age_s * SECOND_NS);
        });
        let fd = forge::sealed(&bytes);
        process::set_inheritable(&fd, true).expect("a flag");
        fd
    };
    // An hour of patience: whether the machine is slow just now makes no difference.
    let hour_s = 3600;
    let place = Place::new();
    let program = Door::Reader.test_program(&place, "states");
    let planes = [
        plane(KernelState::Running, hour_s, ours),
        plane(KernelState::Running, hour_s, ours + 1),
        plane(KernelState::Stopped, hour_s, ours + 1),
        plane(KernelState::Starting, hour_s, ours + 1),
    ];
    let words = planes.each_ref().map(|fd| fd.as_raw_fd().to_string());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = good(&mut command(&place, &program, &words)).stdout;
    // Stale and silent, stale and dead, ended and stopped, stale and dead.
    assert_eq!(told, "3 5\n3 6\n5 4\n3 6\n");
    for (state, number) in
        [(KernelState::Starting, 1), (KernelState::Running, 2), (KernelState::Finished, 3)]
    {
        let fresh = plane(state, 0, ours);
        let word = fresh.as_raw_fd().to_string();
        let told = good(&mut command(&place, &program, &[&word])).stdout;
        assert_eq!(told, format!("0 {number}\n"));
    }
}

/// A ring of 64 slots, a writer that never waits, and a reader that is slow now and then: every event is whole or counted.
#[test]
fn behind_a_writer_that_runs_the_account_is_exact() {
    const FIRST: u64 = 1000;
    const COMMITS: u64 = 400_000;
    let spec = PlaneSpec {
        run_id: [7; 16],
        generation: 5,
        first_sequence: FIRST,
        nx: 1,
        ny: 1,
        tick_period_ns: 1,
        ring_slots: 64,
        cells: vec![CellSpec {
            name: "count",
            unit: "",
            cell_type: CellType::U64,
            meaning: "A number.",
        }],
        fields: Vec::new(),
        arena_bytes: 4096,
    };
    let (mut writer, fd) = PlaneWriter::create(&spec).expect("a plane");
    let mut next = FIRST;
    let mut publish = |writer: &mut PlaneWriter, count: u64| {
        for _ in 0..count {
            let words: [u64; 12] = std::array::from_fn(|at| next + at as u64);
            let words = &words[..if next % 2 == 1 { 12 } else { 4 }];
            let kind = EventKind::Tick as u16;
            let head =
                EventHead { kind, source: next as u32, generation: 5, t_ns: (next * 3) as i64 };
            assert_eq!(writer.ring.push(head, bytemuck::cast_slice(words)), next);
            next += 1;
        }
        writer.commit();
        next
    };
    // More than a lap before anybody looks.
    publish(&mut writer, 200);
    let place = Place::new();
    let mut child =
        drain(&place, &fd).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    assert_eq!(line, "begun\n");
    let mut end = FIRST;
    for tick in 1..=COMMITS {
        end = publish(&mut writer, 1 + tick % 7);
        writer.board.set_bits(0, tick * 7, tick, (tick * 11) as i64);
    }
    writer.control.set_state(KernelState::Stopped);
    writer.control.wake();
    line.clear();
    said.read_line(&mut line).expect("a line");
    let done = Done::of(child.wait_with_output().expect("it ends"));
    assert_eq!(done.code, 0, "{line}{}", done.stderr);
    let numbers: Vec<u64> =
        line.split([' ', ',']).filter_map(|word| word.trim().parse().ok()).collect();
    let [received, lost, to, tick] = numbers[..] else { panic!("{line}") };
    assert_eq!((received + lost, to, tick), (end - FIRST, end, COMMITS), "{line}");
    assert!(lost >= 200 - 64 && received > 0, "{line}");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("nothing");
    assert_eq!(rest, "");
}
