//! The writer thread: takes entries out of the spool and commits them, whatever the disk does meanwhile.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::TryRecvError;
use rsw_attach::codec::{self, CodecError, Sent};
use rsw_attach::{RecorderPageWriter, RecorderWord};
use rsw_os::clock;
use rsw_schemas::wire::{GenerationNote, PacketKind};
use rusqlite::ErrorCode;

use crate::database::sibling;
use crate::entry::Entry;
use crate::spool::SpoolReader;
use crate::store::{Cursor, Store, StoreError};

/// A batch with this many events is committed although there are more.
const BATCH_EVENTS_MAX: usize = 10_000;
/// Pauses between attempts at a commit that the disk refuses.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a stop waits for a disk that refuses.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// The log is moved into the database after about this many bytes of rows ...
const CHECKPOINT_BYTES: u64 = 8 << 20;
/// ... and with more force when readers have let it grow beyond this.
const LOG_BYTES_MAX: u64 = 256 << 20;
/// What an event adds to the log, about, with its share of half-filled pages.
const EVENT_BYTES: u64 = 256;
/// What a commit adds, however small: the last page of every table and index it touches. Measured with one
/// tick of nine agents to a commit: 131 kB.
const COMMIT_BYTES: u64 = 128 << 10;

/// Words of [`RecorderWord::Trouble`].
const TROUBLE_NONE: u64 = 0;
const TROUBLE_DISK_FULL: u64 = 1;
const TROUBLE_DATABASE: u64 = 2;

/// Why the writer gave up. Everything before the cursor is in the database; nothing after it is.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// An error that waiting does not cure.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// The disk refused until the stop ran out of patience.
    #[error("{events} events are not recorded, the disk refused them to the end: {source}")]
    GaveUp {
        /// Events in the batch that was not committed.
        events: u64,
        /// What it said last.
        source: StoreError,
    },
    /// The socket broke.
    #[error("socket to the supervisor: {0}")]
    Socket(#[from] CodecError),
}

/// Everything the thread owns.
pub struct Writer {
    /// The emptying end of the spool.
    pub spool: SpoolReader,
    /// The record.
    pub store: Store,
    /// The recorder's page.
    pub page: Arc<RecorderPageWriter>,
    /// Socket to the supervisor, for what is done.
    pub control: Arc<OwnedFd>,
    /// Set when the process was told to stop.
    pub stopping: Arc<AtomicBool>,
    /// The database, whose log is watched.
    pub path: PathBuf,
}

/// Entries that are committed together.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    events: usize,
    last: bool,
}

impl Writer {
    /// Commits until the spool's other end is gone and everything is in the database; then gives the record back.
    ///
    /// # Errors
    /// [`WriterError`].
    pub fn run(mut self) -> Result<Store, WriterError> {
        let mut logged_bytes = 0;
        loop {
            let batch = self.collect();
            if !batch.entries.is_empty() {
                let cursor = self.commit(&batch)?;
                self.show(cursor);
                self.release(&batch.entries)?;
                logged_bytes += COMMIT_BYTES + batch.entries.iter().map(log_bytes).sum::<u64>();
                for entry in batch.entries {
                    if let Entry::Events(block) = entry {
                        let _ = self.spool.used.try_send(block.slots);
                    }
                }
                if logged_bytes > CHECKPOINT_BYTES {
                    self.checkpoint();
                    logged_bytes = 0;
                }
            }
            if batch.last {
                return Ok(self.store);
            }
        }
    }

    /// Waits for a first entry and takes what came since the last commit with it. No wait for more: a lossless
    /// kernel may be waiting for this commit, and while one is under way the next batch gathers by itself.
    fn collect(&self) -> Batch {
        let mut batch = Batch::default();
        let mut next = self.spool.entries.recv().map_err(|_| TryRecvError::Disconnected);
        while let Ok(entry) = next {
            if let Entry::Events(block) = &entry {
                batch.events += block.slots.len();
            }
            batch.entries.push(entry);
            if batch.events >= BATCH_EVENTS_MAX {
                return batch;
            }
            next = self.spool.entries.try_recv();
        }
        batch.last = next.is_err_and(|error| error.is_disconnected());
        batch
    }

    /// Commits, again and again while the disk is what refuses.
    fn commit(&mut self, batch: &Batch) -> Result<Option<Cursor>, WriterError> {
        let mut pause = PAUSE_MIN;
        let mut stopping_since = None;
        let mut log_emptied = false;
        loop {
            let source = match self.store.commit(&batch.entries, clock::wall_ns()) {
                Ok(cursor) => {
                    self.trouble(TROUBLE_NONE, "");
                    return Ok(cursor);
                }
                Err(error) => error,
            };
            let Some(trouble) = curable(&source) else { return Err(source.into()) };
            // The log may hold many copies of a page of which the database needs one.
            if trouble == TROUBLE_DISK_FULL
                && matches!(self.store.checkpoint(true), Ok(true))
                && !log_emptied
            {
                log_emptied = true;
                continue;
            }
            self.trouble(trouble, &source.to_string());
            if self.stopping.load(Ordering::Acquire) {
                let since = *stopping_since.get_or_insert_with(Instant::now);
                if since.elapsed() > STOP_PATIENCE {
                    return Err(WriterError::GaveUp { events: batch.events as u64, source });
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Says on the page, and once on stderr, how it stands with the disk.
    fn trouble(&self, trouble: u64, text: &str) {
        let before = self.page.load(RecorderWord::Trouble);
        if before == trouble {
            return;
        }
        self.page.store(RecorderWord::Trouble, trouble);
        match trouble {
            TROUBLE_NONE => {
                rsw_os::process::note(format_args!("recorder: the disk takes commits again"))
            }
            _ => rsw_os::process::note(format_args!(
                "recorder: {} cannot be written ({text}); events wait in memory, trying again",
                self.path.display()
            )),
        }
    }

    fn show(&self, cursor: Option<Cursor>) {
        let Some(cursor) = cursor else { return };
        self.page.store(RecorderWord::Recorded, cursor.recorded);
        self.page.store(RecorderWord::Lost, cursor.lost);
        self.page.store(RecorderWord::Durable, cursor.next);
        let drained = self.page.load(RecorderWord::Drained);
        self.page.store(RecorderWord::Spooled, drained.saturating_sub(cursor.next));
    }

    /// Tells the supervisor which generations it may forget.
    fn release(&self, entries: &[Entry]) -> Result<(), WriterError> {
        for entry in entries {
            if let Entry::GenerationEnd(note) = entry {
                self.send_done(note)?;
            }
        }
        Ok(())
    }

    fn send_done(&self, note: &GenerationNote) -> Result<(), WriterError> {
        loop {
            match codec::send(self.control.as_fd(), PacketKind::GenerationDone, note, &[])? {
                // Without a supervisor nobody waits for it; the control thread will stop us.
                Sent::Done | Sent::Closed => return Ok(()),
                Sent::WouldBlock => std::thread::sleep(PAUSE_MIN),
            }
        }
    }

    /// Between commits, never inside one. A full disk shows at the next commit, so errors are left to it.
    fn checkpoint(&self) {
        let log = std::fs::metadata(sibling(&self.path, "-wal")).map_or(0, |meta| meta.len());
        let _ = self.store.checkpoint(log > LOG_BYTES_MAX);
    }
}

/// About how much an entry adds to the log.
fn log_bytes(entry: &Entry) -> u64 {
    match entry {
        Entry::Events(block) => block.slots.len() as u64 * EVENT_BYTES,
        Entry::Frame(frame) => frame.data.len() as u64,
        _ => EVENT_BYTES,
    }
}

/// The word for an error that time or somebody's broom may cure; `None` for one that stays.
fn curable(error: &StoreError) -> Option<u64> {
    let StoreError::Sqlite(error) = error else { return None };
    match error.sqlite_error_code()? {
        ErrorCode::DiskFull => Some(TROUBLE_DISK_FULL),
        ErrorCode::SystemIoFailure
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::CannotOpen
        | ErrorCode::OutOfMemory
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly => Some(TROUBLE_DATABASE),
        _ => None,
    }
}
