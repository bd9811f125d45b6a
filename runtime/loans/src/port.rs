//! One publisher and its subscribers, whatever the loans hold: sizes, numbering, counting, errors.

use core::fmt::Debug;

use iceoryx2::port::DegradationAction;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::{AllocationStrategy, Node, PortFactory, ServiceName, ZeroCopySend};
use iceoryx2::sample::Sample;
use iceoryx2::service::Service;
use iceoryx2::service::builder::publish_subscribe::PublishSubscribeOpenError;

use crate::error::{PublishError, ReceiveError, ServiceError};
use crate::tally::Tally;

/// Element of every payload: a cache line, the alignment that Arrow recommends for its buffers.
///
/// The alignment is part of the type because iceoryx2's own setting (`payload_alignment`) pads every
/// element to it: a chunk of 64-byte-aligned `f32` takes sixteen times its data.
#[derive(Debug, Clone, Copy, Default, ZeroCopySend, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C)]
#[repr(align(64))]
#[type_name("rsw.LoanLine.1")]
pub(crate) struct Line([u64; 8]);

const LINE_BYTES: usize = size_of::<Line>();

/// Nodes beyond the subscribers': the publisher's, and its successor's while the old one lingers.
const SPARE_NODES: usize = 4;

/// The bounds of a service.
///
/// The publisher's memory holds `subscribers * (buffer + held_max) + history + 1` loans, the worst case:
/// a subscriber that dies with its hands full takes nothing from the others. The file is sparse and
/// free loans are reused last-in-first-out, so only what is really in use costs memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Bytes in a loan at most.
    pub(crate) bytes_max: usize,
    /// Subscribers at most.
    pub(crate) subscribers: usize,
    /// Loans waiting for one subscriber; the oldest gives way.
    pub(crate) buffer: usize,
    /// Loans one subscriber may hold.
    pub(crate) held_max: usize,
    /// Loans kept for late joiners.
    pub(crate) history: usize,
}

/// What lies before the payload in shared memory.
#[derive(Debug, Clone, Copy, Default, ZeroCopySend)]
#[repr(C)]
#[type_name("rsw.LoanHeader.1")]
pub(crate) struct Header<I: Debug + ZeroCopySend> {
    /// Counts what this publisher had to publish, without a gap.
    number: u64,
    /// Bytes of the payload that mean something; the rest of the last line is zero.
    len_bytes: u64,
    info: I,
}

/// A received loan; its release is its drop.
pub(crate) struct Loan<S: Service, I: Debug + ZeroCopySend>(Sample<S, [Line], Header<I>>);

impl<S: Service, I: Debug + Copy + ZeroCopySend> Loan<S, I> {
    pub(crate) fn info(&self) -> I {
        self.0.user_header().info
    }

    /// The payload; empty if its header claims more than there is.
    pub(crate) fn bytes(&self) -> &[u8] {
        let len_bytes = usize::try_from(self.0.user_header().len_bytes).unwrap_or(usize::MAX);
        bytemuck::cast_slice(self.0.payload()).get(..len_bytes).unwrap_or_default()
    }
}

/// The publishing side.
pub(crate) struct Outlet<S: Service, I: Debug + ZeroCopySend> {
    port: Publisher<S, [Line], Header<I>>,
    name: String,
    bytes_max: usize,
    next: u64,
}

impl<S: Service, I: Debug + Default + ZeroCopySend> Outlet<S, I> {
    pub(crate) fn new(node: &Node<S>, name: String, sizes: Sizes) -> Result<Self, ServiceError> {
        let service = node
            .service_builder(&service_name(&name)?)
            .publish_subscribe::<[Line]>()
            .user_header::<Header<I>>()
            .max_publishers(1)
            .max_subscribers(sizes.subscribers)
            .max_nodes(sizes.subscribers + SPARE_NODES)
            .subscriber_max_buffer_size(sizes.buffer)
            .subscriber_max_borrowed_samples(sizes.held_max)
            .history_size(sizes.history)
            .enable_safe_overflow(true)
            .create()
            .map_err(|source| ServiceError::Create { name: name.clone(), source })?;
        let port = service
            .publisher_builder()
            .initial_max_slice_len(sizes.bytes_max.div_ceil(LINE_BYTES))
            .allocation_strategy(AllocationStrategy::Static)
            .max_loaned_samples(1)
            .create()
            .map_err(|source| ServiceError::Publisher { name: name.clone(), source })?;
        Ok(Self { port, name, bytes_max: sizes.bytes_max, next: 0 })
    }

    /// Lends the zeroed words of `len_bytes` bytes to `fill` and sends them if it says what they are.
    /// Returns how many subscribers got them; `None` if `fill` declined.
    ///
    /// The zeroing is the price of a crate without `unsafe`: 0.04 ms for 256 x 256 cells and 0.9 ms for
    /// 1024 x 1024, about as much as the copy that follows (two shared cores of a virtual machine).
    pub(crate) fn publish(
        &mut self,
        len_bytes: usize,
        fill: impl FnOnce(&mut [u64]) -> Option<I>,
    ) -> Result<Option<usize>, PublishError> {
        let name = || self.name.clone();
        let bytes_max = self.bytes_max;
        if len_bytes > bytes_max {
            return Err(PublishError::TooLong { name: name(), len_bytes, bytes_max });
        }
        let mut loan = (self.port.loan_slice(len_bytes.div_ceil(LINE_BYTES)))
            .map_err(|source| PublishError::Loan { name: name(), source })?;
        let words: &mut [u64] = bytemuck::cast_slice_mut(loan.payload_mut());
        let Some(info) = fill(&mut words[..len_bytes.div_ceil(8)]) else {
            return Ok(None);
        };
        *loan.user_header_mut() = Header { number: self.next, len_bytes: len_bytes as u64, info };
        let receivers =
            loan.send().map_err(|source| PublishError::Send { name: name(), source })?;
        self.next += 1;
        Ok(Some(receivers))
    }

    /// Books `count` loans that could not be made, so that every subscriber counts them as missed.
    pub(crate) fn skip(&mut self, count: u64) {
        self.next = self.next.saturating_add(count);
    }

    /// Connects new subscribers and gives them the history, without a new loan.
    pub(crate) fn refresh(&self) -> Result<(), PublishError> {
        (self.port.update_connections())
            .map_err(|source| PublishError::Connect { name: self.name.clone(), source })
    }
}

/// The subscribing side.
pub(crate) struct Inlet<S: Service, I: Debug + ZeroCopySend> {
    port: Subscriber<S, [Line], Header<I>>,
    name: String,
    held_max: usize,
    tally: Tally,
}

impl<S: Service, I: Debug + ZeroCopySend> Inlet<S, I> {
    /// Opens the service and connects to its publisher now, so that a later receive needs no system call.
    pub(crate) fn new(node: &Node<S>, name: String) -> Result<Self, ServiceError> {
        let service = node
            .service_builder(&service_name(&name)?)
            .publish_subscribe::<[Line]>()
            .user_header::<Header<I>>()
            .open()
            .map_err(|source| open_error(&name, source))?;
        let limits = service.static_config();
        let held_max = limits.subscriber_max_borrowed_samples();
        let port = service
            .subscriber_builder()
            .buffer_size(limits.subscriber_max_buffer_size())
            .history_request(limits.history_size())
            .set_degradation_handler(|_, _| DegradationAction::DegradeAndFail)
            .create()
            .map_err(|source| ServiceError::Subscriber { name: name.clone(), source })?;
        port.update_connections()
            .map_err(|source| ServiceError::Connect { name: name.clone(), source })?;
        Ok(Self { port, name, held_max, tally: Tally::default() })
    }

    /// The oldest waiting loan.
    pub(crate) fn receive(&mut self) -> Result<Option<Loan<S, I>>, ReceiveError> {
        let received = self.port.receive();
        let loan = received.map_err(|error| ReceiveError::new(&self.name, self.held_max, error))?;
        Ok(loan.map(|loan| {
            // The payload begins a line of its own, on which its first reader would wait after it waited for the
            // header's line. Asked for here, both travel at once: a fifth of the receive (`runtime bench loan`).
            core::hint::black_box(loan.payload().first().map(|line| line.0[0]));
            self.tally.arrived(loan.user_header().number);
            Loan(loan)
        }))
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}

fn open_error(name: &str, source: PublishSubscribeOpenError) -> ServiceError {
    let name = name.to_owned();
    match source {
        PublishSubscribeOpenError::DoesNotExist => ServiceError::Absent { name },
        source => ServiceError::Open { name, source },
    }
}

fn service_name(name: &str) -> Result<ServiceName, ServiceError> {
    ServiceName::new(name).map_err(|_| ServiceError::Name { name: name.to_owned() })
}
