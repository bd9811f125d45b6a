//! Whether the ports and loans of a domain may change threads: a choice between freedom and a few locks.

use iceoryx2::service::Service;

use crate::file_service::{Confined, Movable};

/// Where the ports and loans of a [`crate::LoanDomain`] may be used: [`AnyThread`] or [`OneThread`]. Domains of
/// both kinds share loans with each other.
pub trait Threads: Variant {}

/// Ports and loans may be sent to other threads. Receiving and releasing a loan locks four uncontended mutexes
/// of this process.
#[derive(Debug)]
pub enum AnyThread {}

/// Ports and loans stay on the thread that made them. Receiving and releasing a loan locks nothing.
#[derive(Debug)]
pub enum OneThread {}

impl Threads for AnyThread {}
impl Threads for OneThread {}

/// Seals [`Threads`], and names the variant of iceoryx2 behind it.
pub trait Variant {
    /// The variant.
    type Service: Service;
}

impl Variant for AnyThread {
    type Service = Movable;
}

impl Variant for OneThread {
    type Service = Confined;
}
