//! The recorder and AgentDB: what outlives the ring.
//!
//! Goals: every event of a run is one row or inside one gap row, whatever dies and whenever; the ring is
//! drained by a thread that never touches a disk; the file explains itself to stock SQLite. Non-goals:
//! no query language of its own, no decision about the swarm, no wait imposed on anyone (a lossless kernel
//! reads this process's page and waits by itself).
//!
//! Reading order: the record ([`entry`] to [`vec_extension`]), the process ([`spool`] to [`record`]), the
//! commands ([`query`] to [`failure`]).

#![deny(unsafe_code)]
// It panics once nobody reads it: `rsw_os::process::note` does not.
#![deny(clippy::print_stderr)]

pub mod entry;

pub mod store;

pub mod rows;

pub mod window;

pub mod fingerprint;

pub mod structure;

pub mod database;

pub mod topology;

pub mod crc;

pub mod decode;

pub mod value;

pub mod vec_extension;

pub mod spool;

pub mod drain;

pub mod writer;

pub mod record;

pub mod query;

pub mod verify;

pub mod frame;

pub mod windows;

pub mod runs;

pub mod output;

pub mod failure;
