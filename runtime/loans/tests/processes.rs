//! Loans between real processes: the test binary starts itself again as publisher and subscribers.

// A test that cannot go on panics; the helpers below are part of the tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use arrow_array::{Array, Float64Array, RecordBatch, UInt64Array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use rsw_loans::{
    BatchInfo, BatchLoan, BatchPublisher, BatchSubscriber, FieldLoan, FieldPublisher,
    FieldSubscriber, LoanDomain, LoanInfo, ReceiveError, ServiceError, Threads,
};

const NX: u32 = 64;
const NY: u32 = 32;
const AGENTS: usize = 2;
const BATCH_BYTES: usize = 64 << 10;
const SUBSCRIBERS_MAX: usize = AGENTS + 8;
const ROLE: &str = "RSW_LOANS_TEST_ROOT";
const ANSWER: &str = "@ ";

// ---- what a spawned process does -------------------------------------------------------------

/// Not a test of its own: with [`ROLE`] in the environment it obeys the commands of its parent.
#[test]
fn role() {
    let Some(root) = std::env::var_os(ROLE) else { return };
    let mut actor = Actor { root: root.into(), ..Actor::default() };
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = actor.obey(&words);
        println!("{ANSWER}{answer}");
    }
}

#[derive(Default)]
struct Actor {
    root: PathBuf,
    domain: Option<LoanDomain>,
    fields_out: Option<FieldPublisher>,
    batches_out: Option<BatchPublisher>,
    fields_in: Option<FieldSubscriber>,
    batches_in: Option<BatchSubscriber>,
    held: Vec<FieldLoan>,
    batches: Vec<BatchLoan>,
}

impl Actor {
    fn obey(&mut self, words: &[&str]) -> String {
        match *words {
            ["publish", incarnation] => {
                let domain = LoanDomain::new(&self.root, incarnation.parse().unwrap()).unwrap();
                self.fields_out = Some(domain.publish_field("wave", NX, NY, AGENTS).unwrap());
                self.batches_out =
                    Some(domain.publish_batches("metrics", BATCH_BYTES, AGENTS).unwrap());
                self.domain = Some(domain);
                "ok".into()
            }
            ["subscribe", incarnation] => self.subscribe(incarnation.parse().unwrap()),
            ["confine"] => confine(&self.root),
            ["frame", number] => self.frame(number.parse().unwrap()),
            ["batch", number] => self.batch(number.parse().unwrap()),
            ["skip", count] => {
                self.batches_out.as_mut().unwrap().skip(count.parse().unwrap());
                "ok".into()
            }
            ["refresh"] => format!("{:?}", self.fields_out.as_ref().unwrap().refresh()),
            ["clear"] => self.domain.as_ref().unwrap().clear_dead().to_string(),
            ["take"] => self.take(),
            ["latest"] => match self.fields_in.as_mut().unwrap().receive_latest() {
                Ok(Some(loan)) => describe(&loan),
                Ok(None) => "none".into(),
                Err(error) => error.to_string(),
            },
            ["held", index] => describe(&self.held[index.parse::<usize>().unwrap()]),
            ["batches"] => self.drain_batches(),
            ["missed"] => {
                let (fields, batches) = (self.fields_in.as_ref(), self.batches_in.as_ref());
                let (fields, batches) = (fields.unwrap(), batches.unwrap());
                format!(
                    "{} {} {} {}",
                    fields.received(),
                    fields.missed(),
                    batches.received(),
                    batches.missed()
                )
            }
            ["spin", rounds] => self.spin(rounds.parse().unwrap()),
            _ => format!("unknown command {words:?}"),
        }
    }

    fn subscribe(&mut self, incarnation: u64) -> String {
        let domain = match LoanDomain::new(&self.root, incarnation) {
            Ok(domain) => domain,
            Err(error) => return format!("{error:?}"),
        };
        match (domain.subscribe_field("wave"), domain.subscribe_batches("metrics")) {
            (Ok(fields), Ok(batches)) => {
                (self.fields_in, self.batches_in) = (Some(fields), Some(batches));
                self.domain = Some(domain);
                "ok".into()
            }
            (Err(ServiceError::Absent { .. }), Err(ServiceError::Absent { .. })) => "absent".into(),
            (fields, batches) => format!("{:?} {:?}", fields.err(), batches.err()),
        }
    }

    fn frame(&mut self, number: u64) -> String {
        let info = LoanInfo {
            generation: 3,
            frame: number,
            tick: 10 * number,
            t_ns: -1,
            nx: NX,
            ny: NY,
            min: cell(number, 0),
            max: cell(number, (NX * NY - 1) as usize),
        };
        let sent = self.fields_out.as_mut().unwrap().publish(info, |cells| {
            for (index, out) in cells.iter_mut().enumerate() {
                *out = cell(number, index);
            }
            true
        });
        format!("{:?}", sent.unwrap())
    }

    fn batch(&mut self, number: u64) -> String {
        let stream = stream_of(number);
        let info = BatchInfo {
            generation: 3,
            batch: number,
            first_tick: number,
            last_tick: number,
            rows: 3,
            schema: 1,
        };
        let sent = self.batches_out.as_mut().unwrap().publish(info, stream.len(), |bytes| {
            bytes.copy_from_slice(&stream);
            true
        });
        format!("{:?}", sent.unwrap())
    }

    fn take(&mut self) -> String {
        match self.fields_in.as_mut().unwrap().receive() {
            Ok(Some(loan)) => {
                let text = describe(&loan);
                self.held.push(loan);
                text
            }
            Ok(None) => "none".into(),
            Err(ReceiveError::HoldsTooMany { held_max, .. }) => format!("holds {held_max}"),
            Err(error) => error.to_string(),
        }
    }

    /// Receives every batch that waits, one at a time; answers with the first and the last number.
    fn drain_batches(&mut self) -> String {
        let mut numbers = Vec::new();
        while let Some(loan) = self.batches_in.as_mut().unwrap().receive().unwrap() {
            let number = loan.info().batch;
            assert_eq!(loan.record_batch().unwrap(), rows_of(number));
            numbers.push(number);
        }
        format!("{:?} {:?} {}", numbers.first(), numbers.last(), numbers.len())
    }

    /// The steady state, for strace: everything an agent does with loans once it is connected.
    fn spin(&mut self, rounds: u64) -> String {
        let mut sum = 0.0f64;
        for _ in 0..rounds {
            if let Some(loan) = self.fields_in.as_mut().unwrap().receive_latest().unwrap() {
                sum += f64::from(loan.data()[7]);
            }
            while let Some(loan) = self.batches_in.as_mut().unwrap().receive().unwrap() {
                sum += loan.data().len() as f64;
                self.batches.push(loan);
                self.batches.truncate(2);
            }
        }
        format!("{sum}")
    }
}

/// What the launcher's sandbox takes from an agent, as far as it concerns loans.
fn confine(root: &Path) -> String {
    use landlock::{
        ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
        RulesetStatus,
    };
    let limit = rustix::process::Rlimit { current: Some(64 << 20), maximum: Some(64 << 20) };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(ABI::V3)).unwrap();
    let rule = PathBeneath::new(PathFd::new(root).unwrap(), AccessFs::from_all(ABI::V3));
    let status = ruleset.create().unwrap().add_rule(rule).unwrap().restrict_self().unwrap();
    match status.ruleset {
        RulesetStatus::NotEnforced => "no landlock".into(),
        _ => format!("confined {}", fs::read_dir("/dev/shm").is_err()),
    }
}

fn cell(frame: u64, index: usize) -> f32 {
    frame as f32 * 10_000.0 + index as f32
}

fn describe<T: Threads>(loan: &FieldLoan<T>) -> String {
    let (info, data) = (loan.info(), loan.data());
    assert_eq!(data.len(), (NX * NY) as usize);
    for (index, value) in data.iter().enumerate() {
        assert_eq!(*value, cell(info.frame, index), "frame {} is torn", info.frame);
    }
    assert_eq!((info.generation, info.tick, info.t_ns), (3, 10 * info.frame, -1));
    assert_eq!((info.min, info.max), (data[0], data[data.len() - 1]));
    format!("frame {}", info.frame)
}

fn rows_of(number: u64) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("tick", DataType::UInt64, false),
        Field::new("ci", DataType::Float64, true),
    ]);
    let ticks = UInt64Array::from(vec![number; 3]);
    let values = Float64Array::from(vec![Some(number as f64), None, Some(0.5)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ticks), Arc::new(values)]).unwrap()
}

fn stream_of(number: u64) -> Vec<u8> {
    let rows = rows_of(number);
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

// ---- the parent's view of it -----------------------------------------------------------------

struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    fn start(root: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["role", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.stdin, "{command}").unwrap();
        loop {
            let mut line = String::new();
            let bytes = self.stdout.read_line(&mut line).unwrap();
            assert!(bytes > 0, "the process died of `{command}`");
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim().to_owned();
            }
        }
    }

    fn maps(&self) -> String {
        fs::read_to_string(format!("/proc/{}/maps", self.child.id())).unwrap()
    }
}

/// SIGKILL: nothing of the process's own clean-up runs.
impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A root on the tmpfs that the swarm uses.
fn root() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("rsw-loans-test-").tempdir_in("/dev/shm").unwrap()
}

fn publisher_and_subscriber(root: &Path) -> (Process, Process) {
    let (mut publisher, mut subscriber) = (Process::start(root), Process::start(root));
    assert_eq!(publisher.ask("publish 1"), "ok");
    assert_eq!(subscriber.ask("subscribe 1"), "ok");
    (publisher, subscriber)
}

// ---- the tests -------------------------------------------------------------------------------

#[test]
fn fields_cross_processes_and_the_oldest_give_way() {
    let root = root();
    let (mut publisher, mut subscriber) = publisher_and_subscriber(root.path());
    assert_eq!(subscriber.ask("take"), "none");
    assert_eq!(publisher.ask("frame 1"), "Some(1)");
    assert_eq!(subscriber.ask("take"), "frame 1");
    for number in 2..=9 {
        assert_eq!(publisher.ask(&format!("frame {number}")), "Some(1)");
    }
    assert_eq!(subscriber.ask("latest"), "frame 9");
    assert_eq!(subscriber.ask("missed"), "3 6 0 0");
    assert_eq!(subscriber.ask("held 0"), "frame 1", "a held frame never changes");
}

#[test]
fn a_late_joiner_gets_the_newest_frame_without_a_new_one() {
    let root = root();
    let mut publisher = Process::start(root.path());
    publisher.ask("publish 1");
    publisher.ask("frame 4");
    publisher.ask("frame 5");
    let mut subscriber = Process::start(root.path());
    assert_eq!(subscriber.ask("subscribe 1"), "ok");
    assert_eq!(publisher.ask("refresh"), "Ok(())");
    assert_eq!(subscriber.ask("latest"), "frame 5");
    assert_eq!(subscriber.ask("missed"), "1 0 0 0");
}

#[test]
fn a_subscriber_may_hold_four_frames_and_is_told_so() {
    let root = root();
    let (mut publisher, mut subscriber) = publisher_and_subscriber(root.path());
    for number in 1..=4 {
        publisher.ask(&format!("frame {number}"));
        assert_eq!(subscriber.ask("take"), format!("frame {number}"));
    }
    publisher.ask("frame 5");
    assert_eq!(subscriber.ask("take"), "holds 4");
    assert_eq!(subscriber.ask("held 3"), "frame 4");
}

#[test]
fn batches_decode_and_every_missed_one_is_counted() {
    let root = root();
    let (mut publisher, mut subscriber) = publisher_and_subscriber(root.path());
    publisher.ask("batch 1");
    assert_eq!(subscriber.ask("batches"), "Some(1) Some(1) 1");
    for number in 2..=100 {
        publisher.ask(&format!("batch {number}"));
    }
    assert_eq!(subscriber.ask("batches"), "Some(37) Some(100) 64");
    assert_eq!(subscriber.ask("missed"), "0 0 65 35");
    publisher.ask("skip 4");
    publisher.ask("batch 105");
    assert_eq!(subscriber.ask("batches"), "Some(105) Some(105) 1");
    assert_eq!(subscriber.ask("missed"), "0 0 66 39");
}

#[test]
fn a_killed_publisher_leaves_held_loans_and_a_new_incarnation_takes_over() {
    let root = root();
    let (mut publisher, mut subscriber) = publisher_and_subscriber(root.path());
    publisher.ask("frame 1");
    assert_eq!(subscriber.ask("take"), "frame 1");
    drop(publisher);
    let mut successor = Process::start(root.path());
    assert_eq!(successor.ask("publish 2"), "ok");
    assert_eq!(LoanDomain::remove_others(root.path(), 2).unwrap(), 1);
    assert_eq!(subscriber.ask("held 0"), "frame 1", "removing the folder leaves what is mapped");
    assert_eq!(subscriber.ask("take"), "none");
    assert_eq!(subscriber.ask("subscribe 2"), "ok");
    assert_eq!(successor.ask("frame 7"), "Some(1)");
    assert_eq!(subscriber.ask("latest"), "frame 7");
}

#[test]
fn subscribers_killed_with_full_hands_starve_nobody_and_are_cleared() {
    let root = root();
    let (mut publisher, mut survivor) = publisher_and_subscriber(root.path());
    let mut frame = 0;
    for _ in 0..SUBSCRIBERS_MAX + 3 {
        let mut victim = Process::start(root.path());
        assert_eq!(victim.ask("subscribe 1"), "ok");
        for _ in 0..4 {
            frame += 1;
            assert_eq!(publisher.ask(&format!("frame {frame}")), "Some(2)");
            assert!(victim.ask("take").starts_with("frame "));
            assert_eq!(survivor.ask("latest"), format!("frame {frame}"));
        }
        drop(victim);
        frame += 1;
        assert_ne!(publisher.ask(&format!("frame {frame}")), "None", "the dead starve nobody");
        assert_eq!(survivor.ask("latest"), format!("frame {frame}"));
        assert_eq!(publisher.ask("clear"), "1");
    }
    assert_eq!(survivor.ask("missed"), format!("{frame} 0 0 0"));
}

#[test]
fn two_domains_do_not_meet() {
    let (left, right) = (root(), root());
    let (mut publisher, mut subscriber) = publisher_and_subscriber(left.path());
    let mut stranger = Process::start(right.path());
    assert_eq!(stranger.ask("subscribe 1"), "absent", "another root");
    assert_eq!(subscriber.ask("subscribe 2"), "absent", "another incarnation");
    assert_eq!(stranger.ask("publish 1"), "ok", "the same name in another root");
    stranger.ask("frame 99");
    publisher.ask("frame 1");
    assert_eq!(subscriber.ask("latest"), "frame 1");
}

#[test]
fn a_confined_agent_connects_and_everything_lies_below_the_root() {
    let root = root();
    let mut publisher = Process::start(root.path());
    publisher.ask("publish 1");
    let mut agent = Process::start(root.path());
    let confined = agent.ask("confine");
    assert!(confined == "confined true" || confined == "no landlock", "{confined}");
    assert_eq!(agent.ask("subscribe 1"), "ok");
    publisher.ask("frame 1");
    publisher.ask("batch 1");
    assert_eq!(agent.ask("latest"), "frame 1");
    assert_eq!(agent.ask("batches"), "Some(1) Some(1) 1");
    let inside = root.path().to_str().unwrap();
    for process in [&publisher, &agent] {
        let maps = process.maps();
        let shared: Vec<&str> = maps.lines().filter(|line| line.contains("s 0")).collect();
        assert!(shared.iter().any(|line| line.contains(".data")), "{maps}");
        for line in shared {
            assert!(line.contains(inside), "mapped outside the root: {line}");
        }
    }
    let data = agent.maps();
    let data: Vec<&str> = data.lines().filter(|line| line.ends_with(".data")).collect();
    assert_eq!(data.len(), 2, "{data:?}");
    assert!(data.iter().all(|line| line.contains(" r--s ")), "payloads are read-only: {data:?}");
    // subscribers * (buffer + held) + 2 chunks of payload and two header lines each, for both services.
    let needed = (SUBSCRIBERS_MAX as u64 * (2 + 4) + 2) * (u64::from(NX * NY) * 4 + 256)
        + (SUBSCRIBERS_MAX as u64 * (64 + 8) + 2) * (BATCH_BYTES as u64 + 256);
    let files = fs::read_dir(root.path().join("1")).unwrap().map(Result::unwrap);
    let sizes = files.filter(|file| file.path().extension().is_some_and(|name| name == "data"));
    let sizes: u64 = sizes.map(|file| file.metadata().unwrap().len()).sum();
    assert!(sizes < needed + (64 << 10), "{sizes} bytes of loans where {needed} do");
    for entry in fs::read_dir("/dev/shm").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with("rsw_") && !name.starts_with("iox2_"), "{name} lies outside");
    }
}

#[test]
fn domains_of_one_thread_and_of_any_share_fields_both_ways() {
    let root = root();
    let mut publisher = Process::start(root.path());
    assert_eq!(publisher.ask("publish 1"), "ok");
    let domain = LoanDomain::confined(root.path(), 1).unwrap();
    let mut wave = domain.subscribe_field("wave").unwrap();
    publisher.ask("frame 1");
    let loan = wave.receive().unwrap().unwrap();
    assert_eq!(describe(&loan), "frame 1");
    let mut own = domain.publish_field("own", NX, NY, AGENTS).unwrap();
    let mut heard = LoanDomain::new(root.path(), 1).unwrap().subscribe_field("own").unwrap();
    let info = LoanInfo { frame: 7, nx: NX, ny: NY, ..LoanInfo::default() };
    let sent = own.publish(info, |cells| {
        cells.fill(7.0);
        true
    });
    assert_eq!(sent.unwrap(), Some(1));
    // What is free to change threads does.
    let loan = heard.receive().unwrap().unwrap();
    let sum = std::thread::spawn(move || loan.data().iter().sum::<f32>()).join().unwrap();
    assert_eq!(sum, 7.0 * (NX * NY) as f32);
}

#[test]
fn a_decoded_column_is_the_shared_memory_itself() {
    let root = root();
    let mut publisher = Process::start(root.path());
    publisher.ask("publish 1");
    let domain = LoanDomain::new(root.path(), 1).unwrap();
    let mut subscriber = domain.subscribe_batches("metrics").unwrap();
    publisher.ask("batch 1");
    let loan = subscriber.receive().unwrap().unwrap();
    let inside = loan.data().as_ptr_range();
    let rows = loan.record_batch().unwrap();
    let again = loan.record_batch().unwrap();
    drop(loan);
    for column in [rows.column(0), rows.column(1), again.column(1)] {
        let data = column.to_data();
        for buffer in data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer())) {
            let bytes = buffer.as_slice().as_ptr_range();
            assert!(inside.start <= bytes.start && bytes.end <= inside.end, "{column:?} is a copy");
        }
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let address = inside.start as usize;
    let line = maps.lines().find(|line| {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let hex = |text| usize::from_str_radix(text, 16).unwrap();
        (hex(from)..hex(to)).contains(&address)
    });
    assert!(line.unwrap().contains(" r--s ") && line.unwrap().ends_with(".data"), "{line:?}");

    // The columns hold the loan: its memory is not given to another batch while they live.
    for number in 2..=200 {
        publisher.ask(&format!("batch {number}"));
    }
    assert_eq!(rows, rows_of(1));
    drop((rows, again));
    let mut held = Vec::new();
    let refused = loop {
        match subscriber.receive() {
            Ok(Some(loan)) => held.push(loan.record_batch().unwrap()),
            Ok(None) => panic!("the queue holds 64"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, ReceiveError::HoldsTooMany { held_max: 8, .. }), "{refused}");
    assert_eq!(held.len(), 8);
}

#[test]
fn what_is_not_one_record_batch_is_refused() {
    let root = root();
    let domain = LoanDomain::new(root.path(), 1).unwrap();
    let mut publisher = domain.publish_batches("metrics", BATCH_BYTES, AGENTS).unwrap();
    let mut subscriber = domain.subscribe_batches("metrics").unwrap();
    let whole = stream_of(1);
    let schema_only = StreamWriter::try_new(Vec::new(), &rows_of(1).schema()).unwrap();
    let schema_only = schema_only.into_inner().unwrap();
    for bytes in [b"not arrow".as_slice(), &whole[..whole.len() / 2], &schema_only, &[]] {
        let sent = publisher.publish(BatchInfo::default(), bytes.len(), |out| {
            out.copy_from_slice(bytes);
            true
        });
        assert_eq!(sent.unwrap(), Some(1));
        assert!(subscriber.receive().unwrap().unwrap().record_batch().is_err());
    }
    let declined = publisher.publish(BatchInfo::default(), 8, |_| false).unwrap();
    assert_eq!(declined, None);
    assert!(subscriber.receive().unwrap().is_none());
    assert!(publisher.publish(BatchInfo::default(), BATCH_BYTES + 1, |_| true).is_err());
}
