//! Every system call of the swarm, with no policy: what to ask of Linux, never when or why.
//!
//! # Goals
//! One place to audit; typed errors that name the operation and its object; no allocation in what runs
//! while the swarm runs ([`clock`], [`futex`], [`packet::send`]).
//!
//! # Non-goals
//! Other systems than Linux; retries, logging and decisions, which belong to the callers.
//!
//! Every function is safe to call from any thread unless it says otherwise.

pub mod affinity;
pub mod clock;
pub mod epoll;
pub mod error;
pub mod eventfd;
pub mod futex;
pub mod listener;
pub mod lock;
pub mod membarrier;
pub mod memfd;
pub mod memory;
pub mod packet;
pub mod pidfd;
pub mod poll;
pub mod process;
pub mod replace;
pub mod shm;
pub mod signal;

pub use error::OsError;
pub use listener::Listener;
pub use signal::Signal;
