//! A memory barrier that every thread of this process passes at once, so that a frequent side of a protocol can go
//! without one and the rare side pays for both.

use crate::OsError;
use rustix::thread::{MembarrierCommand, membarrier};

/// When this returns, every other running thread of the process has passed a full barrier; one that does not run will
/// have, before it does. Some microseconds, and an interrupt to each core that runs a thread of ours.
///
/// # Errors
/// The kernel or a filter does not offer it.
pub fn all_threads() -> Result<(), OsError> {
    let fail = |errno| OsError::new("pass a barrier in", "all threads of this process", errno);
    // Registering again is cheap and harmless; a forked child is another process and has to.
    membarrier(MembarrierCommand::RegisterPrivateExpedited).map_err(fail)?;
    membarrier(MembarrierCommand::PrivateExpedited).map_err(fail)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_kernel_has_it() {
        super::all_threads().unwrap();
        super::all_threads().unwrap();
    }
}
