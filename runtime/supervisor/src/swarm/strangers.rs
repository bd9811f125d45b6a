//! Processes that an agent made and left behind: as subreaper, the supervisor becomes their parent.
//!
//! Only an agent with `isolation = "none"` can make any. While the swarm runs the supervisor only collects those
//! that have ended; on the way down it ends the rest.

use std::os::fd::AsFd;

use rsw_os::signal::Signal;

use super::Swarm;

impl Swarm {
    /// Collects adopted processes that have ended; with `kill`, ends those that have not. Returns how many are
    /// still there.
    pub(super) fn reap_strangers(&self, kill: bool) -> usize {
        let ours: Vec<u32> = self
            .children
            .iter()
            .filter_map(|child| child.running())
            .map(|running| running.pid)
            .collect();
        let mut left = 0;
        for pid in rsw_os::process::children(std::process::id()).unwrap_or_default() {
            if ours.contains(&pid) {
                continue;
            }
            let Ok(pidfd) = rsw_os::pidfd::open(pid) else { continue };
            if kill {
                let _ = rsw_os::pidfd::send_signal(pidfd.as_fd(), Signal::Kill);
            }
            if !matches!(rsw_os::pidfd::try_wait(pidfd.as_fd()), Ok(Some(_))) {
                left += 1;
            }
        }
        left
    }
}
