//! Field loans: the newest frames of one published field, borrowed as `&[f32]`.

use core::fmt;

use iceoryx2::prelude::{Node, ZeroCopySend};

use crate::error::{PublishError, ReceiveError, ServiceError};
use crate::port::{Inlet, Loan, Outlet, Sizes};
use crate::threads::{AnyThread, Threads};

const CELL_BYTES: usize = size_of::<f32>();
/// A subscriber's queue: older frames than these have lost their worth.
const BUFFER: usize = 2;
/// Frames one subscriber may hold at once.
const HELD_MAX: usize = 4;

/// What a field loan holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, ZeroCopySend)]
#[repr(C)]
#[type_name("rsw.LoanInfo.1")]
pub struct LoanInfo {
    /// Generation of the plane that the frame comes from.
    pub generation: u64,
    /// Number of the frame within its field and generation, from 1.
    pub frame: u64,
    /// The tick that made it.
    pub tick: u64,
    /// Field time of that tick, nanoseconds.
    pub t_ns: i64,
    /// Cells along x, the fast axis.
    pub nx: u32,
    /// Cells along y.
    pub ny: u32,
    /// Smallest cell.
    pub min: f32,
    /// Largest cell.
    pub max: f32,
}

/// The one publisher of a field in its incarnation. Used by one thread at a time; `Send` on [`AnyThread`].
pub struct FieldPublisher<T: Threads = AnyThread>(Outlet<T::Service, LoanInfo>);

impl<T: Threads> FieldPublisher<T> {
    pub(crate) fn new(
        node: &Node<T::Service>,
        field: &str,
        cells: usize,
        subscribers: usize,
    ) -> Result<Self, ServiceError> {
        let sizes = Sizes {
            bytes_max: cells * CELL_BYTES,
            subscribers,
            buffer: BUFFER,
            held_max: HELD_MAX,
            history: 1,
        };
        Outlet::new(node, service(field), sizes).map(Self)
    }

    /// Lends zeroed cells to `fill`, `info.nx * info.ny` of them, and sends them if it returns true.
    /// Returns how many subscribers got the loan; `None` if `fill` declined. Never waits for a subscriber.
    ///
    /// # Errors
    /// The frame exceeds the service, or iceoryx2's shared bookkeeping is damaged.
    pub fn publish(
        &mut self,
        info: LoanInfo,
        fill: impl FnOnce(&mut [f32]) -> bool,
    ) -> Result<Option<usize>, PublishError> {
        let cells = info.nx as usize * info.ny as usize;
        self.publish_words(info.nx, info.ny, |words| {
            fill(&mut bytemuck::cast_slice_mut(words)[..cells]).then_some(info)
        })
    }

    /// As [`Self::publish`], for who knows what it lends only once it is copied: `fill` gets the zeroed words
    /// of `nx * ny` cells, two cells a word, and answers what they are.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn publish_words(
        &mut self,
        nx: u32,
        ny: u32,
        fill: impl FnOnce(&mut [u64]) -> Option<LoanInfo>,
    ) -> Result<Option<usize>, PublishError> {
        self.0.publish(nx as usize * ny as usize * CELL_BYTES, fill)
    }

    /// Connects new subscribers and hands them the newest frame, for when no new one comes soon.
    ///
    /// # Errors
    /// A subscriber cannot be connected.
    pub fn refresh(&self) -> Result<(), PublishError> {
        self.0.refresh()
    }
}

/// One process's subscription to a field. Used by one thread at a time; `Send` on [`AnyThread`].
pub struct FieldSubscriber<T: Threads = AnyThread>(Inlet<T::Service, LoanInfo>);

impl<T: Threads> FieldSubscriber<T> {
    pub(crate) fn new(node: &Node<T::Service>, field: &str) -> Result<Self, ServiceError> {
        Inlet::new(node, service(field)).map(Self)
    }

    /// The oldest frame that waits; at most two do.
    ///
    /// # Errors
    /// Four loans are held already, or the publisher cannot be reached.
    pub fn receive(&mut self) -> Result<Option<FieldLoan<T>>, ReceiveError> {
        Ok(self.0.receive()?.map(FieldLoan))
    }

    /// The newest frame that waits; older ones are received and released.
    ///
    /// # Errors
    /// Four loans are held already (three while several wait), or the publisher cannot be reached.
    pub fn receive_latest(&mut self) -> Result<Option<FieldLoan<T>>, ReceiveError> {
        let mut latest = None;
        while let Some(loan) = self.receive()? {
            latest = Some(loan);
        }
        Ok(latest)
    }

    /// Frames received so far.
    pub fn received(&self) -> u64 {
        self.0.tally().received()
    }

    /// Frames that gave way to newer ones before this subscriber took them.
    pub fn missed(&self) -> u64 {
        self.0.tally().missed()
    }
}

/// A borrowed frame: it does not change and does not go away until it is dropped. `Send` on [`AnyThread`].
pub struct FieldLoan<T: Threads = AnyThread>(Loan<T::Service, LoanInfo>);

impl<T: Threads> FieldLoan<T> {
    /// Where the frame comes from and how it is laid out.
    pub fn info(&self) -> LoanInfo {
        self.0.info()
    }

    /// The cells, row by row, x fastest.
    pub fn data(&self) -> &[f32] {
        bytemuck::cast_slice(self.0.bytes())
    }
}

impl<T: Threads> fmt::Debug for FieldLoan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FieldLoan").field(&self.info()).finish()
    }
}

fn service(field: &str) -> String {
    format!("field/{field}")
}
