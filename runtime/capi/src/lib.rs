//! `librsw`: everything a built-in agent has, for agents in any language, through functions that C can call.
//!
//! Goals: the numbers, the speed and the exact accounting of the built-in agent; a caller's mistake is an error and
//! never undefined behaviour of ours; nothing of Rust shows. Non-goals: no thread of its own, no callback, no log, no
//! policy (who waits how long is the caller's business), and no second implementation of anything: each function hands
//! its arguments to the crate that knows.
//!
//! The header `include/rsw/rsw.h` is made from this crate by `xtask header`; the comments here are its documentation.
//! They speak to a C programmer. Beside it lies `rsw_reader.h`, which is no part of the library: the reading half in C
//! alone, for who links nothing, with the statuses and the structs of `rsw.h`. What a function of this crate promises, the
//! reader's function of that name promises too, and `tests/doors.rs` asks both.
//!
//! Reading order: [`status`], [`abi`], `handle` (why use after close is an error), `link` (the connection behind all
//! handles), then the doors: [`swarm`], [`board`], [`ring`], [`wake`], [`field`], [`dlpack`], [`batch`], [`report`], [`counter`], [`sync`].

#![allow(
    non_camel_case_types,
    clippy::missing_safety_doc,
    reason = "names are C's, and so are the contracts: each comment says what pointers must be"
)]

pub mod status;

pub mod abi;

mod handle;

mod link;

pub mod swarm;

pub mod board;

pub mod ring;

pub mod wake;

pub mod field;

pub mod dlpack;

pub mod batch;

pub mod report;

pub mod counter;

pub mod sync;
