//! The plane: one sealed memfd, one writer, many readers that cannot write.
//!
//! Goals: a reader is never lied to (a complete value, or what it lost, or how old it is); no system call,
//! allocation or lock on the publish and read paths, but one wake-up per committed batch; a writer that dies
//! after any store leaves every structure readable. Non-goals: no Arrow, no configuration, no async runtime,
//! and no repair: a restarted kernel makes a new plane.
//!
//! Memory that another process writes is never a `&T` here. Every shared word is an atomic, every bulk copy is
//! opaque to the compiler and revalidated.
//!
//! Reading order: [`memory`] (what a region of words is), the four protocols [`latch`], [`ring`], [`frame`],
//! [`arena`], then [`segment`] (birth certificate and seals), [`wait`], and the two doors [`PlaneWriter`] and
//! [`PlaneReader`].

mod copy;
mod sync;

#[cfg(named_points)]
pub mod points;

pub mod memory;

pub mod latch;

pub mod ring;

pub mod frame;

pub mod arena;

#[cfg(not(loom))]
pub mod wait;

#[cfg(not(loom))]
pub mod segment;

#[cfg(not(loom))]
mod reader;
#[cfg(not(loom))]
mod writer;

#[cfg(all(test, loom))]
mod models;

pub use arena::BatchError;
pub use frame::{FieldReader, FieldWriter, FrameError, FrameInfo};
#[cfg(not(loom))]
pub use reader::{
    BatchReader, BoardError, BoardReader, CellInfo, CellValue, CounterValue, PlaneReader, StartAt,
    Value,
};
#[cfg(not(loom))]
pub use ring::{EventHead, Polled};
pub use ring::{PolledBatch, RingReader, RingWriter};
#[cfg(not(loom))]
pub use segment::{AttachError, CreateError};
#[cfg(not(loom))]
pub use wait::{WaitStrategy, Waiter, Wakes};
#[cfg(not(loom))]
pub use writer::{
    BoardWriter, CellSpec, ControlWriter, CountersWriter, FieldSpec, PlaneSpec, PlaneWriter,
};
