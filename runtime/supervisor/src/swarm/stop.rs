//! The way down: agents, gateway, kernel, recorder; each asked, then told, then killed.

use std::os::fd::AsFd;
use std::time::Duration;

use rsw_attach::RecorderWord;
use rsw_os::clock::mono_ns;
use rsw_os::signal::Signal;
use rsw_schemas::exit;
use rsw_schemas::wire::PacketKind;

use super::child::{Child, Role};
use super::events::AWAY_NS;
use super::{Phase, Swarm, Turn, leftovers};
use crate::view::error::CliError;

/// Time between asking and killing, unless the user says otherwise.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// The recorder may take this much longer: it writes down everything that was published.
const RECORDER_GRACE: Duration = Duration::from_secs(60);

/// Starts of a recorder on the way down, when the one that ran ended too early.
const RECORDER_TRIES: u32 = 3;

/// Who is being stopped, and until when patience lasts.
pub(super) struct Stopping {
    stage: Stage,
    asked: bool,
    deadline_mono_ns: u64,
    grace: Duration,
    killed: bool,
    recorder_tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Agents,
    Gateway,
    Kernel,
    Recorder,
}

impl Stage {
    fn of(role: Role) -> Self {
        match role {
            Role::Agent(_) => Self::Agents,
            Role::Gateway => Self::Gateway,
            Role::Kernel => Self::Kernel,
            Role::Recorder => Self::Recorder,
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Agents => Some(Self::Gateway),
            Self::Gateway => Some(Self::Kernel),
            Self::Kernel => Some(Self::Recorder),
            Self::Recorder => None,
        }
    }
}

impl Swarm {
    /// Starts the way down; a second call changes nothing.
    pub(super) fn begin_stop(&mut self, grace: Duration) {
        if self.phase == Phase::Stopping {
            return;
        }
        self.phase = Phase::Stopping;
        self.stopping = Some(Stopping {
            stage: Stage::Agents,
            asked: false,
            deadline_mono_ns: 0,
            grace,
            killed: false,
            recorder_tries: 0,
        });
    }

    /// The second Ctrl-C: now.
    pub(super) fn kill_all(&mut self) {
        for child in &self.children {
            if let Some(running) = child.running() {
                let _ = rsw_os::pidfd::send_signal(running.pidfd.as_fd(), Signal::Kill);
            }
        }
        if let Some(stopping) = &mut self.stopping {
            stopping.killed = true;
        }
    }

    /// One step of the way down.
    pub(super) fn step_down(&mut self) -> Turn {
        let Some(mut stopping) = self.stopping.take() else { return Turn::Done(exit::FAILURE) };
        loop {
            let stage = stopping.stage;
            let now = mono_ns();
            if !stopping.asked {
                stopping.asked = true;
                let grace = if stage == Stage::Recorder { RECORDER_GRACE } else { stopping.grace };
                stopping.deadline_mono_ns = now + grace.as_nanos() as u64;
                for child in self.children.iter_mut().filter(|c| Stage::of(c.role) == stage) {
                    ask(child);
                }
            }
            let mut left = self
                .children
                .iter()
                .filter(|child| Stage::of(child.role) == stage && child.running().is_some());
            if let Some(child) = left.next() {
                // A machine that stood still took their time as well.
                let deadline = stopping.deadline_mono_ns.max(self.back_mono_ns + AWAY_NS);
                if now > deadline {
                    for child in left.chain([child]) {
                        if let Some(running) = child.running() {
                            let _ = rsw_os::pidfd::send_signal(running.pidfd.as_fd(), Signal::Kill);
                        }
                    }
                }
                self.stopping = Some(stopping);
                return Turn::On;
            }
            // Children of killed strangers come to us in turn, so they are looked for until there are none.
            if stage == Stage::Agents
                && self.reap_strangers(true) > 0
                && now <= stopping.deadline_mono_ns
            {
                self.stopping = Some(stopping);
                return Turn::On;
            }
            if stage == Stage::Recorder && self.record_the_rest(&mut stopping) {
                self.stopping = Some(stopping);
                return Turn::On;
            }
            match stage.next() {
                Some(next) => (stopping.stage, stopping.asked) = (next, false),
                None => break,
            }
        }
        leftovers::remove(&self.project);
        if stopping.killed {
            return Turn::Done(exit::INTERRUPTED);
        }
        Turn::Done(self.failure.as_ref().map_or(exit::OK, |failure| failure.code))
    }
}

impl Swarm {
    /// A recorder that ended before everything was written down is started again: the planes are still held.
    /// Returns whether it was; after [`RECORDER_TRIES`] the loss is the swarm's failure.
    fn record_the_rest(&mut self, stopping: &mut Stopping) -> bool {
        let Some(index) = self.children.iter().position(|child| child.role == Role::Recorder)
        else {
            return false;
        };
        let published = self.planes.current().map_or(0, |plane| plane.reader.ring_cursor());
        let durable = self.recorder_page.as_ref().map_or(0, |p| p.load(RecorderWord::Durable));
        let missing = published.saturating_sub(durable);
        if missing == 0 || stopping.killed {
            return false;
        }
        stopping.recorder_tries += 1;
        if stopping.recorder_tries <= RECORDER_TRIES && self.launch(index).is_ok() {
            stopping.asked = false;
            return true;
        }
        if self.failure.is_none() {
            let words = format!(
                "the recorder ended before {missing} of {published} events were written down"
            );
            let error = CliError::new(exit::FAILURE, "not-recorded", words);
            self.failure =
                Some(error.hint("runtime logs recorder shows why, runtime verify what there is"));
        }
        false
    }
}

/// Our own programs finish in order on a packet; an agent gets the signal that every program knows.
fn ask(child: &mut Child) {
    if let Some(control) = child.control() {
        control.send_empty(PacketKind::Stop, Vec::new());
    } else if let Some(running) = child.running() {
        let _ = rsw_os::pidfd::send_signal(running.pidfd.as_fd(), Signal::Terminate);
    }
}
