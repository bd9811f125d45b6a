//! The built-in agent's mathematics: what it makes of the metrics it receives.
//!
//! Goals: numbers that two agents over the same data agree on to the last bit. Non-goals: no process, no
//! socket, no clock: those are the program's (`main.rs`).
//!
//! Reading order: [`sync`], [`feed`].

#![forbid(unsafe_code)]

pub mod sync;

pub mod feed;
