//! Batch loans: Arrow IPC streams that decode into record batches without a copy of their columns.

use core::fmt;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use bytes::Bytes;
use iceoryx2::prelude::{Node, ZeroCopySend};

use crate::error::{DecodeError, PublishError, ReceiveError, ServiceError};
use crate::file_service::Movable;
use crate::port::{Inlet, Loan, Outlet, Sizes};

/// Name of the service that carries the per-agent metrics.
pub const METRICS: &str = "metrics";

/// A subscriber's queue: enough to sleep through a second at the default rate of batches.
const BUFFER: usize = 64;
/// Batches one subscriber may hold at once.
const HELD_MAX: usize = 8;

/// What a batch loan holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ZeroCopySend)]
#[repr(C)]
#[type_name("rsw.BatchInfo.1")]
pub struct BatchInfo {
    /// Generation of the plane that the batch comes from.
    pub generation: u64,
    /// Number of the batch within its generation, from 1.
    pub batch: u64,
    /// First tick with rows in it.
    pub first_tick: u64,
    /// Last tick with rows in it.
    pub last_tick: u64,
    /// Rows.
    pub rows: u32,
    /// Schema of the rows, as the plane's events number it.
    pub schema: u32,
}

/// The one publisher of a kind of batches in its incarnation. `Send`, used by one thread at a time.
pub struct BatchPublisher(Outlet<Movable, BatchInfo>);

impl BatchPublisher {
    pub(crate) fn new(
        node: &Node<Movable>,
        kind: &str,
        bytes_max: usize,
        subscribers: usize,
    ) -> Result<Self, ServiceError> {
        let sizes =
            Sizes { bytes_max, subscribers, buffer: BUFFER, held_max: HELD_MAX, history: 0 };
        Outlet::new(node, service(kind), sizes).map(Self)
    }

    /// Lends `len_bytes` zeroed bytes to `fill` and sends them if it returns true. Returns how many
    /// subscribers got the loan; `None` if `fill` declined. Never waits for a subscriber.
    ///
    /// # Errors
    /// The stream exceeds the service, or iceoryx2's shared bookkeeping is damaged.
    pub fn publish(
        &mut self,
        info: BatchInfo,
        len_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> bool,
    ) -> Result<Option<usize>, PublishError> {
        self.0.publish(len_bytes, |words| {
            fill(&mut bytemuck::cast_slice_mut(words)[..len_bytes]).then_some(info)
        })
    }

    /// Books `count` batches that could not be lent, so that every subscriber counts them as missed.
    pub fn skip(&mut self, count: u64) {
        self.0.skip(count);
    }

    /// Connects new subscribers, for when no new batch comes soon.
    ///
    /// # Errors
    /// A subscriber cannot be connected.
    pub fn refresh(&self) -> Result<(), PublishError> {
        self.0.refresh()
    }
}

/// One process's subscription to batches. `Send`, used by one thread at a time.
pub struct BatchSubscriber(Inlet<Movable, BatchInfo>);

impl BatchSubscriber {
    pub(crate) fn new(node: &Node<Movable>, kind: &str) -> Result<Self, ServiceError> {
        Inlet::new(node, service(kind)).map(Self)
    }

    /// The oldest batch that waits; at most 64 do.
    ///
    /// # Errors
    /// Eight batches are held already (a record batch holds its loan), or the publisher cannot be reached.
    pub fn receive(&mut self) -> Result<Option<BatchLoan>, ReceiveError> {
        Ok(self
            .0
            .receive()?
            .map(|loan| BatchLoan { info: loan.info(), stream: Bytes::from_owner(Owner(loan)) }))
    }

    /// Batches received so far.
    pub fn received(&self) -> u64 {
        self.0.tally().received()
    }

    /// Batches published since the first one received that never arrived: overwritten in the queue, or
    /// lost by the gateway before it could lend them.
    pub fn missed(&self) -> u64 {
        self.0.tally().missed()
    }
}

/// A borrowed batch. Clones share the loan; so do the columns decoded from it. The last of them to go
/// releases it. `Send` and `Sync`.
#[derive(Clone)]
pub struct BatchLoan {
    info: BatchInfo,
    stream: Bytes,
}

impl BatchLoan {
    /// Where the batch comes from.
    pub fn info(&self) -> BatchInfo {
        self.info
    }

    /// The Arrow IPC stream.
    pub fn data(&self) -> &[u8] {
        &self.stream
    }

    /// Decodes the stream. The columns lie in the loan: a stream whose buffers are not aligned for that
    /// is refused rather than copied.
    ///
    /// # Errors
    /// The stream is not Arrow IPC, is not aligned, or does not hold exactly one record batch.
    pub fn record_batch(&self) -> Result<RecordBatch, DecodeError> {
        let number = self.info.batch;
        let arrow = |source| DecodeError::Arrow { batch: number, source };
        let mut rest = Buffer::from(self.stream.clone());
        let mut decoder = StreamDecoder::new().with_require_alignment(true);
        let mut batches = Vec::with_capacity(1);
        while let Some(batch) = decoder.decode(&mut rest).map_err(arrow)? {
            batches.push(batch);
        }
        decoder.finish().map_err(arrow)?;
        match batches.pop() {
            Some(batch) if batches.is_empty() => Ok(batch),
            last => {
                let found = batches.len() + usize::from(last.is_some());
                Err(DecodeError::Count { batch: number, found })
            }
        }
    }
}

impl fmt::Debug for BatchLoan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BatchLoan").field(&self.info).finish()
    }
}

/// Lets a loan own the bytes that Arrow's buffers point into.
struct Owner(Loan<Movable, BatchInfo>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

fn service(kind: &str) -> String {
    format!("batch/{kind}")
}
