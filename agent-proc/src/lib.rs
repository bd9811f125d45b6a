//! The built-in agent's mathematics: what it makes of the metrics it receives; and, with the feature `tokio`, the
//! event ring for agents of one's own that live in an event loop.
//!
//! Goals: numbers that two agents over the same data agree on to the last bit. Non-goals: no process, and in the
//! mathematics no socket and no clock: those are the program's (`main.rs`).
//!
//! Reading order: [`sync`], [`feed`], [`report`], `ring`.

#![forbid(unsafe_code)]
// It panics once nobody reads it: `rsw_os::process::note` does not.
#![deny(clippy::print_stderr)]

pub mod sync;

pub mod feed;

pub mod report;

#[cfg(feature = "tokio")]
pub mod ring;
