//! Record batches, by the Arrow C data interface: every column lies in the loan, and its release ends it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, RecordBatch, RecordBatchReader, StructArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use rsw_loans::{BatchInfo, BatchLoan, BatchSubscriber, METRICS};
use rsw_plane::{StartAt, WaitStrategy, Waiter};
use rsw_schemas::batch::{ColumnType, METRIC_COLUMNS};

use crate::abi::{self, Growing, abi};
use crate::field::{receive_error, service_error};
use crate::handle::{self, Object};
use crate::link::Link;
use crate::ring::Ring;
use crate::status::{Answer, Error, RSW_E_PROTOCOL, RSW_E_SYSTEM, RSW_EMPTY, RSW_OK, call};
use crate::swarm::{enter, rsw_swarm};

/// A subscription to the metrics batches. One thread at a time.
pub struct rsw_batches {
    _opaque: [u8; 0],
}

/// Arrow C data interface.
pub struct ArrowSchema {
    _opaque: [u8; 0],
}

/// Arrow C data interface.
pub struct ArrowArray {
    _opaque: [u8; 0],
}

/// Arrow C stream interface.
pub struct ArrowArrayStream {
    _opaque: [u8; 0],
}

/// Where a batch comes from.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsw_batch_info {
    /// sizeof(struct rsw_batch_info)
    pub struct_size: u32,
    /// Rows: one for each agent and tick.
    pub rows: u32,
    /// Generation of the plane.
    pub generation: u64,
    /// Number of the batch within its generation, from 1.
    pub batch: u64,
    /// First tick with rows in it.
    pub first_tick: u64,
    /// Last tick with rows in it.
    pub last_tick: u64,
    /// Batches of this subscription that were overwritten before they were taken.
    pub missed: u64,
}
abi!(rsw_batch_info: 48 {
    struct_size: 0,
    rows: 4,
    generation: 8,
    batch: 16,
    first_tick: 24,
    last_tick: 32,
    missed: 40,
});
// SAFETY: it begins with `struct_size`; integers take any bytes.
unsafe impl Growing for rsw_batch_info {}

/// Subscribes to the metrics batches: tick, t_ns, agent_id, d, c, g, tau, ci, u, drive, one row for each agent and tick.
/// RSW_E_UNSUPPORTED if this agent gets no loans.
///
/// One thread at a time; does not wait for other processes; not for signal handlers. *batches lives until
/// rsw_batches_close. Cost: a millisecond or two, the first time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_batches_open(
    swarm: *mut rsw_swarm,
    batches: *mut *mut rsw_batches,
) -> i32 {
    call(|| {
        // SAFETY: this function's contract.
        unsafe { abi::put("batches", batches, core::ptr::null_mut()) }?;
        let link = enter(swarm, |swarm| Ok(swarm.link.clone()))?;
        let handle = handle::open(Batches::new(link)?)?;
        // SAFETY: this function's contract.
        unsafe { abi::put("batches", batches, handle) }?;
        Ok(RSW_OK)
    })
}

/// The oldest batch that waits (at most 64 do), as a struct array with one child a column. RSW_EMPTY if none waits. Its
/// columns lie in the loan and nothing is copied; array->release ends the loan, and may be called by any thread. At most
/// eight batches at once (RSW_E_LIMIT). `schema` and `info` may be NULL; after anything but RSW_OK nothing was written.
///
/// One thread at a time; never blocks; not for signal handlers. Cost: some ten microseconds, to decode.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_batches_next(
    batches: *mut rsw_batches,
    schema: *mut ArrowSchema,
    array: *mut ArrowArray,
    info: *mut rsw_batch_info,
) -> i32 {
    call(|| {
        if array.is_null() {
            return Err(Error::null("array"));
        }
        let found = handle::enter::<Batches, _>(batches, |batches| {
            let Some(loan) = batches.receive()? else { return Ok(None) };
            let batch = loan.record_batch().map_err(|e| protocol(e.to_string()))?;
            Ok(Some((batch, loan.info(), batches.missed())))
        })?;
        let Some((batch, said, missed)) = found else { return Ok(RSW_EMPTY) };
        let exported_schema = FFI_ArrowSchema::try_from(batch.schema().as_ref())
            .map_err(|e| protocol(e.to_string()))?;
        let exported = FFI_ArrowArray::new(&StructArray::from(batch).into_data());
        if !info.is_null() {
            // SAFETY: this function's contract.
            unsafe { abi::write("info", info, info_of(said, missed)) }?;
        }
        if !schema.is_null() {
            // SAFETY: this function's contract: room for the struct that the specification defines.
            unsafe { schema.cast::<FFI_ArrowSchema>().write(exported_schema) };
        }
        // SAFETY: as above, and not NULL.
        unsafe { array.cast::<FFI_ArrowArray>().write(exported) };
        Ok(RSW_OK)
    })
}

/// The batches from now on as an Arrow stream, with a subscription of its own. get_next waits for a batch, and ends the
/// stream when none came for `timeout_ns` or the swarm has ended. stream->release ends the subscription; batches taken
/// from it stay until they are released themselves.
///
/// The stream: one thread at a time, get_next blocks as told. This call: as rsw_batches_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_batches_stream(
    swarm: *mut rsw_swarm,
    timeout_ns: u64,
    stream: *mut ArrowArrayStream,
) -> i32 {
    call(|| {
        if stream.is_null() {
            return Err(Error::null("stream"));
        }
        let link = enter(swarm, |swarm| Ok(swarm.link.clone()))?;
        let reader = Reader {
            ring: Ring::new(link.clone(), StartAt::Latest),
            batches: Batches::new(link)?,
            schema: Arc::new(metrics_schema()),
            timeout: Duration::from_nanos(timeout_ns),
        };
        let exported = FFI_ArrowArrayStream::new(Box::new(reader));
        // SAFETY: this function's contract: room for the struct that the specification defines.
        unsafe { stream.cast::<FFI_ArrowArrayStream>().write(exported) };
        Ok(RSW_OK)
    })
}

/// Ends a subscription; its batches stay until they are released. One thread at a time; never blocks; not for signal
/// handlers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsw_batches_close(batches: *mut rsw_batches) -> i32 {
    call(|| handle::close::<Batches>(batches).map(|_| RSW_OK))
}

/// What is behind an `rsw_batches`.
struct Batches {
    link: Arc<Link>,
    /// Of that incarnation of the gateway.
    port: Option<(u64, BatchSubscriber)>,
    /// Missed in earlier incarnations.
    missed_before: u64,
}

impl Object for Batches {
    type C = rsw_batches;
    const KIND: u64 = 6;
    const WHAT: &'static str = "batches";
}

impl Batches {
    fn new(link: Arc<Link>) -> Answer<Self> {
        let mut batches = Self { link, port: None, missed_before: 0 };
        batches.port()?;
        Ok(batches)
    }

    /// The subscription with the gateway that is there now.
    fn port(&mut self) -> Answer<&mut BatchSubscriber> {
        let incarnation = self.link.incarnation();
        if self.port.as_ref().is_none_or(|port| port.0 != incarnation) {
            self.missed_before = self.missed();
            self.port = None;
            let made = self.link.with_loans(|domain, incarnation| {
                Ok((incarnation, domain.subscribe_batches(METRICS).map_err(service_error)?))
            })?;
            self.port = Some(made);
        }
        let gone = || Error::new(RSW_E_SYSTEM, "the subscription is gone; try again");
        self.port.as_mut().map(|port| &mut port.1).ok_or_else(gone)
    }

    fn receive(&mut self) -> Answer<Option<BatchLoan>> {
        let before = self.missed();
        let received = self.port()?.receive().map_err(receive_error);
        self.link.book_missed(self.missed().saturating_sub(before));
        received
    }

    fn missed(&self) -> u64 {
        self.missed_before + self.port.as_ref().map_or(0, |port| port.1.missed())
    }
}

/// Batches as they come, for consumers that pull.
struct Reader {
    batches: Batches,
    /// Tells when to look: batches wake nobody.
    ring: Ring,
    schema: SchemaRef,
    timeout: Duration,
}

/// Longest time between two looks for a batch.
const LOOK: Duration = Duration::from_millis(10);

impl Reader {
    fn receive(&mut self) -> Answer<Option<RecordBatch>> {
        let start = Instant::now();
        loop {
            if let Some(loan) = self.batches.receive()? {
                let batch = loan.record_batch().map_err(|e| protocol(e.to_string()))?;
                if batch.schema() != self.schema {
                    return Err(protocol("a batch has other columns than the stream".into()));
                }
                return Ok(Some(batch));
            }
            let left = self.timeout.saturating_sub(start.elapsed());
            if left.is_zero() || self.batches.link.has_ended() {
                return Ok(None);
            }
            self.ring.wait(&Waiter::new(WaitStrategy::Block), left.min(LOOK))?;
            self.ring.skip();
        }
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        // The caller is a C function of Arrow's, which no panic may cross.
        let received = catch_unwind(AssertUnwindSafe(|| self.receive()));
        match received {
            Ok(Ok(batch)) => batch.map(Ok),
            Ok(Err(error)) => Some(Err(ArrowError::CDataInterface(error.words().to_owned()))),
            Err(_) => Some(Err(ArrowError::CDataInterface("a bug of librsw".to_owned()))),
        }
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// The columns as `rsw_schemas` names them.
fn metrics_schema() -> Schema {
    let fields = METRIC_COLUMNS.iter().map(|(name, column_type, nullable, _)| {
        let data_type = match column_type {
            ColumnType::U64 => DataType::UInt64,
            ColumnType::I64 => DataType::Int64,
            ColumnType::U32 => DataType::UInt32,
            ColumnType::F64 => DataType::Float64,
        };
        Field::new(*name, data_type, *nullable)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn protocol(words: String) -> Error {
    Error::new(RSW_E_PROTOCOL, words)
}

fn info_of(said: BatchInfo, missed: u64) -> rsw_batch_info {
    rsw_batch_info {
        struct_size: 0,
        rows: said.rows,
        generation: said.generation,
        batch: said.batch,
        first_tick: said.first_tick,
        last_tick: said.last_tick,
        missed,
    }
}
