//! The lending thread: follows the plane's ring and turns its newest frames and every batch into loans.
//!
//! A field is copied once, straight from the plane into the loan, when its newest frame was not lent yet; a
//! thread that falls behind skips to the newest. Batches are lent one by one; one that could not be is
//! booked as missed, so that every subscriber counts it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytemuck::Zeroable;
use rsw_config::Topology;
use rsw_loans::{BatchInfo, BatchPublisher, FieldPublisher, LoanDomain, LoanInfo, METRICS};
use rsw_os::OsError;
use rsw_os::clock::mono_ns;
use rsw_plane::{FieldReader, PlaneReader, PolledBatch, RingReader, StartAt, WaitStrategy, Waiter};
use rsw_schemas::event::{BatchReady, EventKind, Slot};

use crate::error::GatewayError;

/// Longest wait for the ring, hence for an order.
const WAIT: Duration = Duration::from_millis(50);
/// Late joiners get the newest frame of a field that stands still this soon, and the dead are cleared
/// again: a process may still hold its lock when its socket ends.
const HOUSEKEEPING: Duration = Duration::from_millis(500);
/// Events taken at once.
const EVENTS_MAX: usize = 256;
/// Bytes of one agent's row in a batch (all columns and validity bits), generously.
const ROW_BYTES: usize = 96;
/// Schema, record batch head and padding of a batch, generously.
const BATCH_HEAD_BYTES: usize = 16 << 10;

/// What the thread is told.
enum Order {
    Plane(Box<PlaneReader>),
    ClearDead,
    Stop,
}

/// What was lent and lost in this incarnation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LenderCounts {
    /// Frames lent.
    pub(crate) frames: u64,
    /// Batches lent.
    pub(crate) batches: u64,
    /// Batches overwritten, damaged or too large before they could be lent.
    pub(crate) batches_lost: u64,
}

/// The thread's handle.
pub(crate) struct Lender {
    orders: Sender<Order>,
    thread: JoinHandle<Result<LenderCounts, GatewayError>>,
    /// Hangs up when the thread ends.
    alive: OwnedFd,
    beat: Arc<AtomicU64>,
}

impl Lender {
    /// Creates the loan services for the fields of `plane` and starts to lend. `from_start`: lend what is
    /// still in the ring too.
    pub(crate) fn start(
        domain: LoanDomain,
        topology: &Topology,
        plane: PlaneReader,
        from_start: bool,
    ) -> Result<Self, GatewayError> {
        let work = Work::new(domain, topology, plane, from_start)?;
        let beat = work.beat.clone();
        let (alive, theirs) = rsw_os::packet::pair()?;
        let (orders, inbox) = channel();
        let thread = std::thread::Builder::new().name("lender".into()).spawn(move || {
            let result = work.run(&inbox);
            drop(theirs);
            result
        });
        let thread = thread.map_err(|source| OsError::new("start thread", "\"lender\"", source))?;
        Ok(Self { orders, thread, alive, beat })
    }

    /// Switches to a new generation once everything of the old one is lent.
    pub(crate) fn switch(&self, plane: PlaneReader) {
        // A thread that is gone is noticed by its hang-up.
        let _ = self.orders.send(Order::Plane(Box::new(plane)));
    }

    /// `CLOCK_MONOTONIC` of the thread's last sign of life.
    pub(crate) fn beat_mono_ns(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }

    /// Frees what dead subscribers held.
    pub(crate) fn clear_dead(&self) {
        let _ = self.orders.send(Order::ClearDead);
    }

    /// Ends the thread and waits for it; the loans' files go with it.
    pub(crate) fn finish(self) -> Result<LenderCounts, GatewayError> {
        let _ = self.orders.send(Order::Stop);
        self.thread.join().unwrap_or(Err(GatewayError::LenderPanicked))
    }
}

/// Readable once the thread has ended.
impl AsFd for Lender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.alive.as_fd()
    }
}

/// One published field: where it comes from and where it goes.
struct Field {
    reader: FieldReader,
    publisher: FieldPublisher,
    /// Newest frame that was lent, in the current generation.
    lent: u64,
}

struct Work {
    domain: LoanDomain,
    plane: PlaneReader,
    ring: RingReader,
    /// By index in the plane's directory; `None` for what is not lent.
    fields: Vec<Option<Field>>,
    batches: BatchPublisher,
    next_batch: u64,
    scratch: Vec<u8>,
    counts: LenderCounts,
    beat: Arc<AtomicU64>,
}

impl Work {
    fn new(
        domain: LoanDomain,
        topology: &Topology,
        plane: PlaneReader,
        from_start: bool,
    ) -> Result<Self, GatewayError> {
        let agents = topology.agents.len();
        let mut fields = Vec::new();
        for reader in plane.fields() {
            fields.push(if is_lent(reader) {
                let (name, nx, ny) = (reader.name(), reader.nx(), reader.ny());
                let publisher = domain.publish_field(&name, nx, ny, agents)?;
                Some(Field { reader: reader.clone(), publisher, lent: 0 })
            } else {
                None
            });
        }
        let rows = agents * topology.config.metrics.batch_ticks as usize;
        let bytes_max = rows * ROW_BYTES + BATCH_HEAD_BYTES;
        let batches = domain.publish_batches(METRICS, bytes_max, agents)?;
        let start = if from_start { StartAt::Oldest } else { StartAt::Latest };
        let ring = plane.ring(start);
        // A successor cannot know which batch comes next; the first it sees sets the count.
        let next_batch = u64::from(from_start);
        let (scratch, counts) = (Vec::new(), LenderCounts::default());
        let beat = Arc::new(AtomicU64::new(mono_ns()));
        Ok(Self { domain, plane, ring, fields, batches, next_batch, scratch, counts, beat })
    }

    fn run(mut self, orders: &Receiver<Order>) -> Result<LenderCounts, GatewayError> {
        let waiter = Waiter::new(WaitStrategy::default());
        let mut kept_at = Instant::now();
        let mut clear_again = false;
        loop {
            self.drain()?;
            match orders.try_recv() {
                Ok(Order::Plane(plane)) => self.switch(*plane)?,
                Ok(Order::ClearDead) => {
                    self.domain.clear_dead();
                    clear_again = true;
                }
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return Ok(self.counts),
                Err(TryRecvError::Empty) => {}
            }
            if kept_at.elapsed() >= HOUSEKEEPING {
                kept_at = Instant::now();
                self.refresh()?;
                if std::mem::take(&mut clear_again) {
                    self.domain.clear_dead();
                }
            }
            self.ring.wait(&waiter, WAIT);
        }
    }

    /// Lends everything that the ring announces, until it is empty.
    fn drain(&mut self) -> Result<(), GatewayError> {
        let mut slots = [Slot::zeroed(); EVENTS_MAX];
        loop {
            self.beat.store(mono_ns(), Ordering::Relaxed);
            match self.ring.poll_batch(&mut slots) {
                PolledBatch::Empty => break,
                // Lost batches show as a gap in their numbers, lost frames as newer ones.
                PolledBatch::Lapped { .. } => {}
                PolledBatch::Events { count, .. } => {
                    for slot in &slots[..count] {
                        if slot.kind == EventKind::BatchReady as u16 {
                            let bytes = &slot.payload[..size_of::<BatchReady>()];
                            self.lend_batch(&bytemuck::pod_read_unaligned(bytes))?;
                        }
                    }
                }
            }
        }
        self.lend_fields()
    }

    fn lend_fields(&mut self) -> Result<(), GatewayError> {
        let generation = self.plane.generation();
        for field in self.fields.iter_mut().flatten() {
            if field.reader.latest() > field.lent && field.lend(generation, &mut self.scratch)? {
                self.counts.frames += 1;
            }
        }
        Ok(())
    }

    fn lend_batch(&mut self, ready: &BatchReady) -> Result<(), GatewayError> {
        if self.next_batch > 0 {
            self.lost_batches(ready.batch.saturating_sub(self.next_batch));
        }
        self.next_batch = ready.batch.saturating_add(1);
        let copied = self.plane.batches().copy(ready, &mut self.scratch);
        if copied.is_err() || crc32fast::hash(&self.scratch) != ready.crc32 {
            self.lost_batches(1);
            return Ok(());
        }
        let info = BatchInfo {
            generation: self.plane.generation(),
            batch: ready.batch,
            first_tick: ready.first_tick,
            last_tick: ready.last_tick,
            rows: ready.rows,
            schema: ready.schema,
        };
        let stream = &self.scratch;
        let lent = self.batches.publish(info, stream.len(), |bytes| {
            bytes.copy_from_slice(stream);
            true
        });
        match lent {
            Ok(_) => self.counts.batches += 1,
            Err(rsw_loans::PublishError::TooLong { .. }) => self.lost_batches(1),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn lost_batches(&mut self, count: u64) {
        self.batches.skip(count);
        self.counts.batches_lost += count;
    }

    /// The old writer is gone, so the last drain of its ring is complete.
    fn switch(&mut self, plane: PlaneReader) -> Result<(), GatewayError> {
        self.drain()?;
        let generation = plane.generation();
        let same = plane.fields().len() == self.fields.len();
        for (field, reader) in self.fields.iter_mut().zip(plane.fields()) {
            match field {
                Some(field) if same && field.is_same(reader) => {
                    field.reader = reader.clone();
                    field.lent = 0;
                }
                None if same && !is_lent(reader) => {}
                _ => return Err(GatewayError::FieldsChanged { generation }),
            }
        }
        self.ring = plane.ring(StartAt::Oldest);
        self.next_batch = 1;
        self.plane = plane;
        Ok(())
    }

    fn refresh(&self) -> Result<(), GatewayError> {
        for field in self.fields.iter().flatten() {
            field.publisher.refresh()?;
        }
        Ok(self.batches.refresh()?)
    }
}

impl Field {
    /// Lends the newest frame; false if the writer was too fast for a copy, and the next event tries again.
    fn lend(&mut self, generation: u64, scratch: &mut Vec<u8>) -> Result<bool, GatewayError> {
        let (nx, ny) = (self.reader.nx(), self.reader.ny());
        let reader = &self.reader;
        let mut lent = None;
        self.publisher.publish_words(nx, ny, |words| {
            let frame = if reader.data_bytes().is_multiple_of(8) {
                reader.copy_latest_into(words).ok()?
            } else {
                // Whole words would miss the last cell.
                let frame = reader.copy_latest(scratch).ok()?;
                bytemuck::cast_slice_mut(words).get_mut(..scratch.len())?.copy_from_slice(scratch);
                frame
            };
            lent = Some(frame.frame);
            let (tick, t_ns, min, max) = (frame.tick, frame.t_ns, frame.min, frame.max);
            Some(LoanInfo { generation, frame: frame.frame, tick, t_ns, nx, ny, min, max })
        })?;
        self.lent = lent.unwrap_or(self.lent);
        Ok(lent.is_some())
    }

    fn is_same(&self, other: &FieldReader) -> bool {
        let shape = |field: &FieldReader| (field.name(), field.nx(), field.ny(), field.is_f32());
        shape(&self.reader) == shape(other)
    }
}

/// Cells are lent, opaque bytes (the checkpoint) are not.
fn is_lent(reader: &FieldReader) -> bool {
    reader.is_f32()
}
