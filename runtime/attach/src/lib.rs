//! The packets on the swarm's sockets and the pages that flow against the plane: both sides of each.
//!
//! Goals: one place that checks what arrives from another process before anyone looks at it. Non-goals:
//! no policy (who is admitted, who is restarted), no thread, no loop: callers own their sockets.
//!
//! Reading order: [`codec`], [`page`], [`wake`], [`client`], [`place`].

#![deny(unsafe_code)]

pub mod codec;

pub mod page;

#[allow(unsafe_code)]
mod mapping;

pub mod wake;

pub mod client;

pub mod place;

pub use client::{Abi, AttachError, Attached, Client, ClientEvent};
pub use codec::{CodecError, Incoming, Message, Sent};
pub use page::{
    Mailbox, MailboxReader, MailboxWord, PageError, PageReader, PageWriter, RecorderPageReader,
    RecorderPageWriter, RecorderWord,
};
pub use wake::{WakeFd, WakeSource};
