//! The ring over all generations: one cursor and one count of what was received and lost.

use std::time::Duration;

use rsw_plane::{PlaneReader, PolledBatch, RingReader, StartAt, Waiter};
use rsw_schemas::event::Slot;

/// Events taken in one poll.
const BATCH: usize = 256;
/// Polls in one [`RingView::take`], so that a kernel that is faster than we are cannot keep us from our
/// heartbeat.
const POLLS_MAX: usize = 64;

/// Received and lost, of the readers that were replaced.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    received: u64,
    lost: u64,
}

pub(super) struct RingView {
    plane: PlaneReader,
    reader: RingReader,
    before: Total,
    slots: Vec<Slot>,
}

impl RingView {
    /// Begins with the next event of this plane.
    pub(super) fn new(plane: PlaneReader) -> Self {
        let reader = plane.ring(StartAt::Latest);
        let slots = vec![bytemuck::Zeroable::zeroed(); BATCH];
        Self { plane, reader, before: Total::default(), slots }
    }

    pub(super) fn plane(&self) -> &PlaneReader {
        &self.plane
    }

    /// True if there is something to take; see [`RingReader::wait`].
    pub(super) fn wait(&mut self, waiter: &mut Waiter, timeout: Duration) -> bool {
        self.reader.wait(waiter, timeout)
    }

    /// Hands out what is there, up to a bound; what was overwritten is counted as lost.
    pub(super) fn take(&mut self, mut each: impl FnMut(&Slot)) {
        for _ in 0..POLLS_MAX {
            match self.reader.poll_batch(&mut self.slots) {
                PolledBatch::Empty => return,
                PolledBatch::Events { count, .. } => self.slots[..count].iter().for_each(&mut each),
                PolledBatch::Lapped { .. } => {}
            }
        }
    }

    /// Goes on with the next generation. The caller took everything of the old one before: its writer is
    /// dead, so that what is there is all there will be.
    pub(super) fn switch(&mut self, plane: PlaneReader) {
        self.before = Total { received: self.received(), lost: self.lost() };
        // Sequences run on across the generations of a run; another run has nothing to do with ours.
        let start = if plane.header().run_id == self.plane.header().run_id {
            StartAt::Sequence(self.reader.next_sequence())
        } else {
            StartAt::Latest
        };
        self.reader = plane.ring(start);
        self.plane = plane;
    }

    /// Sequence of the next event it will take.
    pub(super) fn cursor(&self) -> u64 {
        self.reader.next_sequence()
    }

    /// True if there is something to take.
    pub(super) fn ready(&self) -> bool {
        self.reader.ready()
    }

    pub(super) fn lag(&self) -> u64 {
        self.reader.lag()
    }

    pub(super) fn received(&self) -> u64 {
        self.before.received + self.reader.received()
    }

    pub(super) fn lost(&self) -> u64 {
        self.before.lost + self.reader.lost()
    }
}
