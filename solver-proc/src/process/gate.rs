//! The one bounded wait of the kernel: for a lossless recorder to make room in the ring.
//!
//! Room is made by what is durable, not by what the recorder has drained: drained events are in its memory, and a
//! recorder that is killed must find them in the ring again.

use std::time::Duration;

use rsw_attach::RecorderWord;
use rsw_config::{RecorderMode, Topology};
use rsw_os::clock::mono_ns;
use rsw_plane::PlaneWriter;
use rsw_schemas::counter::Counter;

use super::links::{Links, Listen};

/// How long to sleep between two looks at the recorder's page.
const LOOK: Duration = Duration::from_micros(50);

/// What came of asking for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Go on: there is room, nobody asked for a gate, or it was given up before.
    Free,
    /// The recorder took longer than it may: from here on it may lose events, which it will count.
    GivenUp,
}

/// Knows how far the recorder is.
pub(super) struct Gate {
    lossless: bool,
    timeout_ns: u64,
    durable: u64,
    given_up: bool,
}

impl Gate {
    /// A gate by the swarm file.
    pub(super) fn new(topology: &Topology, first_sequence: u64) -> Self {
        let recorder = &topology.config.recorder;
        Self {
            lossless: recorder.enabled && recorder.mode == RecorderMode::Lossless,
            timeout_ns: recorder.gate_timeout_ms.saturating_mul(1_000_000),
            durable: first_sequence,
            given_up: false,
        }
    }

    /// Makes sure that one more event fits, waiting at most the time the swarm file gives.
    pub(super) fn ask(&mut self, plane: &mut PlaneWriter, links: &mut Links) -> Room {
        if !self.lossless || self.fits(plane) {
            return Room::Free;
        }
        self.look(links);
        if self.fits(plane) {
            self.given_up = false;
            return Room::Free;
        }
        if self.given_up { Room::Free } else { self.wait(plane, links) }
    }

    fn wait(&mut self, plane: &mut PlaneWriter, links: &mut Links) -> Room {
        // What is pushed must be seen, or the recorder could not write it down.
        plane.commit();
        let start = mono_ns();
        plane.counters.add(Counter::GateWaits, 1);
        while !self.fits(plane) && !self.given_up {
            self.given_up = mono_ns() - start > self.timeout_ns;
            plane.control.beat(mono_ns());
            if links.stop {
                std::thread::sleep(LOOK);
            } else if links.wait(LOOK, Listen::Supervisor).is_err() {
                // An order may bring the page of a restarted recorder; without a supervisor none will come.
                links.stop = true;
            }
            self.look(links);
        }
        plane.counters.add(Counter::GateWaitNs, mono_ns() - start);
        if self.given_up {
            plane.counters.add(Counter::GateTimeouts, 1);
            return Room::GivenUp;
        }
        Room::Free
    }

    fn fits(&self, plane: &PlaneWriter) -> bool {
        let ahead = plane.ring.next_sequence().wrapping_sub(self.durable).cast_signed();
        ahead < plane.ring.capacity().cast_signed()
    }

    fn look(&mut self, links: &Links) {
        let Some(page) = &links.recorder else { return };
        let durable = page.load(RecorderWord::Durable);
        if durable.wrapping_sub(self.durable).cast_signed() > 0 {
            self.durable = durable;
        }
    }
}
