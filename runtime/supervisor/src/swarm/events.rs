//! What came in, and what follows from it.

use std::os::fd::AsFd;
use std::time::Duration;

use rsw_attach::{CodecError, Incoming, MailboxWord, Message, RecorderPageReader};
use rsw_os::clock::mono_ns;
use rsw_os::signal::Signal;
use rsw_plane::AttachError;
use rsw_schemas::exit;
use rsw_schemas::text;
use rsw_schemas::wire::{GenerationNote, KernelReady, PacketKind, ProcessText, TickMark};

use super::channel::Channel;
use super::child::{ChildState, Role, Verdict, describe};
use super::{ATTACH_NS_MAX, NO_PLANE_FOR_IT, Phase, START_NS_MAX, Swarm, stop};
use crate::view::error::CliError;

/// Time between two looks at heartbeats and deadlines.
const LOOK_NS: u64 = 50_000_000;
/// A process whose heart stood still for this long is killed, and so started again.
const HUNG_NS: u64 = 10_000_000_000;
/// Who did not look for so long was away itself: stopped, or on a machine that stood still.
pub(super) const AWAY_NS: u64 = 1_000_000_000;
/// Time that agents have for a last word after `--ticks`.
const LAST_WORD_NS: u64 = 2_000_000_000;

impl Swarm {
    pub(super) fn on_signals(&mut self) {
        for signal in self.signals.drain() {
            match signal {
                Signal::Interrupt if self.phase == Phase::Stopping => self.kill_all(),
                Signal::Interrupt | Signal::Terminate | Signal::Hangup => {
                    self.begin_stop(stop::GRACE);
                }
                Signal::Child => {
                    self.reap_strangers(false);
                }
                _ => {}
            }
        }
    }

    pub(super) fn on_control(&mut self, index: usize) {
        let role = self.children[index].role;
        if let Some(control) = self.children[index].control() {
            control.flush();
        }
        loop {
            let Some(control) = self.children[index].control() else { return };
            match control.receive() {
                Ok(Incoming::Packet(message)) => self.on_packet(index, message),
                Ok(Incoming::WouldBlock) => return,
                Ok(Incoming::Closed) => {
                    // Its end is noticed through the pidfd; until then there is nothing to hear.
                    if let Some(running) = self.children[index].running_mut() {
                        running.control = None;
                    }
                    return;
                }
                // Guests of whom `ps` then does not know.
                Err(error @ CodecError::NoDescriptor) if role == Role::Gateway => {
                    self.children[index].log.note(&format!("a packet is lost: {error}"));
                }
                Err(error) => {
                    // What was in it is lost, and nobody says it twice.
                    self.children[index].kill(&format!("what it sent cannot be read: {error}"));
                    return;
                }
            }
        }
    }

    fn on_packet(&mut self, index: usize, message: Message) {
        let role = self.children[index].role;
        let kind = message.kind();
        let understood = match (role, kind) {
            (_, PacketKind::Failed) => message.body::<ProcessText>().ok().map(|words| {
                self.children[index].last_words = Some(words);
            }),
            (Role::Kernel, PacketKind::KernelReady) => self.on_kernel_ready(message),
            (Role::Kernel, PacketKind::Finished) => {
                message.body::<TickMark>().ok().map(|mark| self.on_finished(mark))
            }
            // The first says that it is ready; it goes on saying so, as its heartbeat.
            (Role::Gateway, PacketKind::GatewayReady) => {
                self.children[index].ready();
                if let Some(running) = self.children[index].running_mut() {
                    running.heard_mono_ns = Some(mono_ns());
                }
                Some(())
            }
            (Role::Gateway, PacketKind::Attached | PacketKind::Detached) => {
                self.visitors.on_packet(message)
            }
            (Role::Recorder, PacketKind::RecorderReady) => self.on_recorder_ready(message),
            (Role::Recorder, PacketKind::GenerationDone) => {
                message.body::<GenerationNote>().ok().map(|note| self.planes.done(note.generation))
            }
            _ => None,
        };
        if understood.is_none() {
            self.children[index].log.note(&format!("sent a {kind:?} that makes no sense here"));
        }
        self.go_if_ready();
    }

    fn on_kernel_ready(&mut self, message: Message) -> Option<()> {
        let ready = message.body::<KernelReady>().ok()?;
        let [fd] = message.take_fds::<1>().ok()?;
        match self.planes.add(fd, ready) {
            Ok(()) => {}
            // The system had no room for it just now.
            Err(error @ AttachError::Map { .. }) => {
                self.child_mut(Role::Kernel)?.kill(&error.to_string());
                return Some(());
            }
            Err(error) => {
                self.fail(CliError::new(exit::LAYOUT, "plane", error.to_string()));
                return Some(());
            }
        }
        if self.child(Role::Recorder).is_none() {
            self.planes.forget_old();
        }
        let plane = self.planes.current()?;
        let (note, fd) = (plane.note(), plane.open());
        match (self.child_mut(Role::Recorder), fd) {
            (Some(recorder), Some(fd)) => {
                if let Some(control) = recorder.control() {
                    control.send(PacketKind::Generation, note, vec![fd]);
                }
            }
            // The next one is given every plane that is not recorded.
            (Some(recorder), None) => recorder.kill(NO_PLANE_FOR_IT),
            (None, _) => {}
        }
        self.announce_plane();
        self.send_recorder_page();
        let restarted = matches!(self.phase, Phase::Running | Phase::Finishing { .. });
        let kernel = self.child_mut(Role::Kernel)?;
        kernel.ready();
        if restarted && let Some(control) = kernel.control() {
            control.send_empty(PacketKind::Go, Vec::new());
        }
        Some(())
    }

    fn on_recorder_ready(&mut self, message: Message) -> Option<()> {
        let [page] = message.take_fds::<1>().ok()?;
        let Some(reader) =
            page.try_clone().ok().and_then(|fd| RecorderPageReader::from_fd(fd).ok())
        else {
            self.child_mut(Role::Recorder)?.kill("there was no descriptor for its page");
            return Some(());
        };
        self.recorder_page = Some(reader);
        self.recorder_page_fd = Some(page);
        self.child_mut(Role::Recorder)?.ready();
        self.send_recorder_page();
        Some(())
    }

    fn send_recorder_page(&mut self) {
        let Some(page) = &self.recorder_page_fd else { return };
        let Ok(page) = page.try_clone() else {
            // The next one's page is sent again; a kernel that looked at this one would wait for nobody.
            if let Some(recorder) = self.child_mut(Role::Recorder) {
                recorder.kill("there was no descriptor for its page");
            }
            return;
        };
        let kernel = self.child_mut(Role::Kernel).and_then(|child| child.control());
        if let Some(control) = kernel {
            control.send_empty(PacketKind::RecorderPage, vec![page]);
        }
    }

    /// Lets the first tick begin once everybody who must see it is there.
    fn go_if_ready(&mut self) {
        if self.phase != Phase::Starting {
            return;
        }
        let ready = |role| self.child(role).is_none_or(|child| child.state == ChildState::Running);
        let trusted = [Role::Recorder, Role::Kernel, Role::Gateway].into_iter().all(ready);
        let late = mono_ns() - self.started_mono_ns > ATTACH_NS_MAX;
        let agents = self.children.iter().all(|child| match child.role {
            Role::Agent(_) => child.state != ChildState::Starting || late,
            _ => true,
        });
        if trusted && agents {
            self.phase = Phase::Running;
            if let Some(control) = self.child_mut(Role::Kernel).and_then(|child| child.control()) {
                control.send_empty(PacketKind::Go, Vec::new());
            }
        }
    }

    fn on_finished(&mut self, mark: TickMark) {
        if self.phase == Phase::Running {
            let deadline_mono_ns = mono_ns() + LAST_WORD_NS;
            self.phase = Phase::Finishing { cursor: mark.cursor, deadline_mono_ns };
        }
    }

    pub(super) fn on_ended(&mut self, index: usize) {
        let Some(running) = self.children[index].running() else { return };
        let Ok(Some(exit)) = rsw_os::pidfd::try_wait(running.pidfd.as_fd()) else { return };
        // What it said before it ended comes first.
        self.on_control(index);
        self.children[index].read_report();
        let role = self.children[index].role;
        let stopping = self.phase == Phase::Stopping;
        let verdict = self.children[index].ended(exit, stopping);
        self.after_end(role);
        if stopping {
            return;
        }
        if matches!(role, Role::Agent(_)) {
            return;
        }
        let words = self.children[index].last_words;
        let code = words.and_then(|words| u8::try_from(words.exit_code).ok());
        let given_up = verdict == Verdict::GivenUp;
        let code = match code.filter(|_| self.phase == Phase::Starting) {
            // No other start changes it.
            Some(code @ (exit::CONFIG | exit::PERMISSION | exit::LAYOUT)) => code,
            // Whoever had it might have been about to end.
            Some(exit::CONFLICT) if given_up => exit::CONFLICT,
            _ if given_up => exit::RESTART_LIMIT,
            _ => return,
        };
        let error = self.why_ended(index, describe(exit), code);
        self.fail(error);
    }

    /// Those around a process that is gone learn of it.
    fn after_end(&mut self, role: Role) {
        match role {
            Role::Kernel => {
                let Some(note) = self.planes.end() else { return };
                let recorder = self.child_mut(Role::Recorder).and_then(|child| child.control());
                if let Some(control) = recorder {
                    control.send(PacketKind::GenerationEnd, note, Vec::new());
                }
            }
            Role::Agent(agent) => {
                let seat = self.seats[agent].leave();
                let gateway = self.child_mut(Role::Gateway).and_then(|child| child.control());
                if let Some(control) = gateway {
                    control.send(PacketKind::SeatGone, seat, Vec::new());
                }
            }
            Role::Gateway => self.visitors.clear(),
            Role::Recorder => {}
        }
    }

    fn why_ended(&self, index: usize, end: String, code: u8) -> CliError {
        let child = &self.children[index];
        let words = match &child.last_words {
            Some(words) => text::unpack(&words.text),
            None => child.log.last_line().to_owned(),
        };
        let words = if words.is_empty() { end } else { words };
        CliError::new(code, "process-failed", format!("{}: {words}", child.name))
            .hint(format!("runtime logs {} shows what it said", child.name))
    }

    /// What no descriptor tells: deadlines, heartbeats, restarts that are due.
    pub(super) fn look(&mut self) {
        let now = mono_ns();
        self.start_due(now);
        if now - self.looked_mono_ns < LOOK_NS {
            return;
        }
        if now - self.looked_mono_ns > AWAY_NS {
            self.back_mono_ns = now;
        }
        self.looked_mono_ns = now;
        self.look_at_agents();
        self.look_at_rates(now);
        self.go_if_ready();
        let begun = self.started_mono_ns.max(self.back_mono_ns);
        if self.phase == Phase::Starting && now - begun > START_NS_MAX {
            let late = self.children.iter().find(|child| child.state == ChildState::Starting);
            let name = late.map_or("a process", |child| child.name.as_str());
            let error =
                CliError::new(exit::TIMEOUT, "start", format!("{name} was not ready in time"))
                    .hint(format!("runtime logs {name} shows what it said"));
            self.fail(error);
        }
        if let Phase::Finishing { cursor, deadline_mono_ns } = self.phase
            && (now > deadline_mono_ns || self.agents_have_seen(cursor))
        {
            self.begin_stop(stop::GRACE);
        }
        if self.phase != Phase::Stopping {
            self.kill_hung(now);
        }
    }

    /// An agent is ready at its first heartbeat; one that never beats, once its sandbox is in force.
    fn look_at_agents(&mut self) {
        for child in &mut self.children {
            let Role::Agent(agent) = child.role else { continue };
            let mailbox = self.seats[agent].mailbox();
            let beats =
                mailbox.is_some_and(|mailbox| mailbox.load(MailboxWord::HeartbeatMonoNs) > 0);
            let foreign = child.running().is_some_and(|running| running.applied.is_some())
                && self.topology.config.agent.get(&self.topology.agents[agent].group).is_some_and(
                    |section| section.command.first().is_some_and(|word| word != "agent-proc"),
                );
            if child.state == ChildState::Starting && (beats || foreign) {
                child.ready();
            }
        }
    }

    fn agents_have_seen(&self, cursor: u64) -> bool {
        self.seats.iter().filter_map(|seat| seat.mailbox()).all(|mailbox| {
            mailbox.load(MailboxWord::HeartbeatMonoNs) == 0
                || mailbox.load(MailboxWord::Cursor) >= cursor
        })
    }

    /// Ends whoever gave no sign of life for too long, and a kernel or gateway that does not get ready.
    fn kill_hung(&mut self, now: u64) {
        for at in 0..self.children.len() {
            let beat = self.beat_mono_ns(&self.children[at]);
            let child = &mut self.children[at];
            let Some(running) = child.running() else { continue };
            // While we were away, they could have been too.
            let silent = |since: u64| now.saturating_sub(since.max(self.back_mono_ns));
            let deaf = running.control.as_ref().is_some_and(Channel::is_overfull);
            match (beat, running.ready_mono_ns) {
                _ if deaf => child.kill("it does not listen"),
                (Some(beat), Some(ready)) if silent(beat.max(ready)) > HUNG_NS => {
                    child.kill("no sign of life for 10 s");
                }
                (_, None)
                    // A recorder may have a long file to look through first.
                    if silent(running.started_mono_ns) > START_NS_MAX
                        && matches!(child.role, Role::Kernel | Role::Gateway) =>
                {
                    child.kill("it was not ready within 20 s");
                }
                _ => {}
            }
        }
    }

    fn start_due(&mut self, now: u64) {
        if self.phase == Phase::Stopping {
            return;
        }
        for index in 0..self.children.len() {
            if self.children[index].due_in_ns(now) != Some(0) {
                continue;
            }
            self.children[index].restarts += 1;
            if let Err(error) = self.launch(index) {
                let verdict = self.children[index].not_started(&error.to_string());
                let ours = !matches!(self.children[index].role, Role::Agent(_));
                if verdict == Verdict::GivenUp && ours {
                    self.fail(CliError { code: exit::RESTART_LIMIT, ..error });
                    return;
                }
            }
        }
    }

    /// Time until the next restart is due.
    pub(super) fn next_start_in(&self) -> Option<Duration> {
        let now = mono_ns();
        self.children.iter().filter_map(|c| c.due_in_ns(now)).min().map(Duration::from_nanos)
    }
}
