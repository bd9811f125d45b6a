//! The supervisor's own socket: one JSON request, one JSON answer, perhaps a descriptor beside it.
//!
//! A request is one packet. An answer is a row of packets: the first byte is `+` (more follows) or `.` (the
//! last one, with the descriptors), the rest is text.

mod client;

mod server;

pub(crate) use client::Client;
pub(crate) use server::{Answer, Server};

/// Bytes of text in one packet of an answer.
const CHUNK_BYTES: usize = 32 * 1024;
/// Longest request.
const REQUEST_BYTES_MAX: usize = 4096;
const MORE: u8 = b'+';
const LAST: u8 = b'.';
