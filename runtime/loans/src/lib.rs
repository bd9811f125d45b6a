//! Fields and record batches as borrowed memory: iceoryx2 loans in a domain of their own.
//!
//! The gateway publishes, agents subscribe. A loan is stable for as long as it is held, so `&[f32]` over
//! a field is sound, and its tenth reader costs nothing. The price is iceoryx2's shared bookkeeping, which
//! a subscriber maps writable: a hostile one can break the publisher. The publisher is therefore the
//! gateway, which may die; the kernel never publishes here.
//!
//! # The domain
//!
//! Everything lies below `<root>/<incarnation>/` (see [`LoanDomain`]): a path rule can confine a process to
//! it, two swarms never meet, and cleaning up is removing the folder, even while readers still map what
//! is in it. Put `root` on a tmpfs. Nothing appears in `/dev/shm` outside it and no socket is made; the
//! variant of the iceoryx2 service that achieves this is `file_service.rs`.
//!
//! # Threads
//!
//! [`LoanDomain::new`] gives ports and loans that are `Send`, as Arrow's buffers must be; [`LoanDomain::confined`]
//! gives fields only, bound to one thread, whose receive takes no lock. It is the choice that iceoryx2 offers
//! as `ipc_threadsafe` and `ipc`; `runtime bench loan` shows all four side by side.
//!
//! # System calls
//!
//! Observed with `strace -f` (x86-64, glibc, release build). Under Landlock the two reads of `/proc` fail
//! and are done without.
//!
//! | phase | calls |
//! |---|---|
//! | [`LoanDomain::new`], `confined` | `mkdir statx access newfstatat openat read write close mmap munmap fcntl(F_GETFD, F_SETLK) fchmod fsync getpid readlink(/proc/self/exe)`, reads `/proc/self/status` |
//! | subscribe, publish (set-up) | `access newfstatat openat(O_CREAT) lseek read write close mmap fcntl(F_GETFD) fchmod fsync ftruncate`, reads `/proc/self/status` |
//! | receive, read, release | none, while the set of publishers stays the same (3 million rounds observed) |
//! | drop of a domain or a port | `unlink rmdir openat getdents64 close munmap access newfstatat fcntl fchmod read` |
//!
//! # Goals and non-goals
//!
//! Goals: bounded memory, exact counts of what a reader missed, a dead reader that harms nobody. Non-goals:
//! waking readers (they follow the ring of the plane) and surviving a hostile subscriber.

#![forbid(unsafe_code)]

mod domain;
mod error;
mod field;

mod batch;

mod port;

mod tally;

mod file_service;

mod threads;

pub use batch::{BatchInfo, BatchLoan, BatchPublisher, BatchSubscriber, METRICS};
pub use domain::LoanDomain;
pub use error::{DecodeError, DomainError, PublishError, ReceiveError, ServiceError};
pub use field::{FieldLoan, FieldPublisher, FieldSubscriber, LoanInfo};
pub use threads::{AnyThread, OneThread, Threads};
