//! The writer thread on its own: when it commits, and what it does on a full disk.
#![allow(clippy::unwrap_used)] // helpers outside of #[test] functions are tests, too

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::process::wait_until;
use common::{events, facts, t_ns, tick_slots};
use recorder::database::{self, FILE_NAME, sibling};
use recorder::entry::{Entry, Frame, GapCause};
use recorder::spool::{Spool, spool};
use recorder::store::Store;
use recorder::verify::verify;
use recorder::writer::Writer;
use rsw_attach::{RecorderPageWriter, RecorderWord};

fn writer(dir: &Path, store: Store, stopping: bool) -> (Spool, Writer) {
    let (page, _) = RecorderPageWriter::create("recorder-test").unwrap();
    let (control, _) = rsw_os::packet::pair().unwrap();
    let (filling, emptying) = spool(1 << 14);
    let writer = Writer {
        spool: emptying,
        store,
        page: Arc::new(page),
        control: Arc::new(control),
        stopping: Arc::new(AtomicBool::new(stopping)),
        path: dir.join(FILE_NAME),
    };
    (filling, writer)
}

fn frame(shade: f32) -> Entry {
    let data = std::iter::repeat_n(shade.to_le_bytes(), 256 * 128).flatten().collect();
    Entry::Frame(Box::new(Frame {
        name: "ci".into(),
        unit: "1".into(),
        tick: 1,
        t_ns: t_ns(1),
        nx: 256,
        ny: 128,
        min: shade,
        max: shade,
        data,
    }))
}

#[test]
fn whatever_is_there_is_committed_and_shown_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut spool, writer) = writer(dir.path(), common::store(dir.path(), 1), false);
    let page = writer.page.clone();
    let thread = std::thread::spawn(move || writer.run().unwrap());
    let mut give = |entry| assert!(spool.push(entry).unwrap().is_none());
    give(Entry::Plane(facts(1, 0)));
    for seq in (0..40).step_by(4) {
        // Each waits for the one before, as a kernel with a ring of four slots would.
        give(events(seq, tick_slots(1, seq + 1)));
        wait_until("events", || page.load(RecorderWord::Durable) == seq + 3);
        give(Entry::Gap { from: seq + 3, to: seq + 4, cause: GapCause::Overrun });
        wait_until("a gap and nothing else", || page.load(RecorderWord::Durable) == seq + 4);
    }
    drop(spool);
    assert_eq!(thread.join().unwrap().cursor().unwrap().recorded, 30);
}

#[test]
fn on_a_full_disk_the_log_is_moved_into_the_database_before_anybody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(dir.path())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no right to mount a small file system");
        return;
    }
    let mut store = common::store(dir.path(), 1);
    store.commit(&[Entry::Plane(facts(1, 0)), frame(0.0)], 5).unwrap();
    store.commit(&[frame(0.5)], 5).unwrap(); // To replace it takes room for two.
    assert!(store.checkpoint(true).unwrap());
    // Ten copies of one frame in the log, and the database has its room already.
    for shade in 1..=10u8 {
        store.commit(&[frame(f32::from(shade))], 5).unwrap();
    }
    let log = sibling(&dir.path().join(FILE_NAME), "-wal");
    assert!(std::fs::metadata(&log).unwrap().len() > 10 * 256 * 128 * 4);
    let mut ballast = std::fs::File::create(dir.path().join("ballast")).unwrap();
    std::io::copy(&mut std::io::repeat(1), &mut ballast).unwrap_err();
    // A writer that was told to stop does not wait for a disk for ever; here it need not wait at all.
    let (mut spool, writer) = writer(dir.path(), store, true);
    let page = writer.page.clone();
    assert!(spool.push(frame(11.0)).unwrap().is_none());
    drop(spool);
    drop(writer.run().unwrap());
    assert_eq!(page.load(RecorderWord::Trouble), 0);
    let db = database::open_read_only(dir.path()).unwrap();
    let shade: f64 = db.query_row("SELECT max FROM rs_field", [], |row| row.get(0)).unwrap();
    assert_eq!(shade, 11.0);
    assert!(verify(&db).unwrap().ok);
    drop((db, ballast));
    assert!(std::process::Command::new("umount").arg(dir.path()).status().unwrap().success());
}
