//! What `ps` and `status` show: read from the plane, the pages and `/proc`, never asked of a child.

use rsw_attach::{MailboxWord, RecorderWord};
use rsw_os::affinity::format_list;
use rsw_os::clock::mono_ns;
use rsw_plane::{PlaneReader, Value};
use rsw_schemas::text;
use rsw_schemas::wire::Isolation;
use serde_json::{Value as Json, json};

use super::child::{Child, ChildState, Role};
use super::readings::Reading;
use super::{Phase, Swarm};

/// A kernel whose heart stood still for this long makes the swarm degraded.
const STALE_NS: u64 = 1_000_000_000;

/// One line of `ps`.
#[derive(Debug, Clone)]
pub(crate) struct ProcessRow(pub(crate) Json);

/// What `status` shows.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// `starting`, `running`, `finishing` or `stopping`.
    pub(crate) phase: &'static str,
    pub(crate) tick: u64,
    pub(crate) generation: u64,
    pub(crate) ci: f64,
    pub(crate) cs: f64,
    pub(crate) published: u64,
    /// Events a second, over the last second or two.
    pub(crate) events_per_s: Option<f64>,
    pub(crate) recorded: Option<u64>,
    pub(crate) lost: Option<u64>,
    pub(crate) lag_max: u64,
    pub(crate) agents: usize,
    pub(crate) agents_running: usize,
    /// Of those, the ones that beat, or have run for a while.
    pub(crate) agents_ready: usize,
    /// Ended as they should, and not to be started again.
    pub(crate) agents_exited: usize,
    /// Given up.
    pub(crate) agents_failed: usize,
    pub(crate) reasons: Vec<String>,
}

impl Status {
    /// `running` only if nothing is wrong and nothing is in between.
    pub(crate) fn state(&self) -> &'static str {
        if self.reasons.is_empty() { "running" } else { "degraded" }
    }

    /// The document of `runtime status --json`.
    pub(crate) fn json(&self) -> Json {
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        json!({
            "schema": "rsw.status/1",
            "state": self.state(),
            "phase": self.phase,
            "supervisor_pid": std::process::id(),
            "tick": self.tick.to_string(),
            "generation": self.generation,
            "ci": finite(self.ci),
            "cs": finite(self.cs),
            "published": self.published.to_string(),
            "events_per_s": self.events_per_s,
            "recorded": number(self.recorded),
            "lost": number(self.lost),
            "lag_events_max": self.lag_max.to_string(),
            "agents": self.agents,
            "agents_running": self.agents_running,
            "agents_ready": self.agents_ready,
            "agents_exited": self.agents_exited,
            "agents_failed": self.agents_failed,
            "reasons": self.reasons,
        })
    }
}

impl Swarm {
    /// How the swarm is.
    pub(crate) fn status(&self) -> Status {
        let plane = self.planes.current().map(|plane| &plane.reader);
        let cell = |name: &str| {
            let plane = plane?;
            match plane.board().read(plane.board().find(name)?).ok()?.value {
                Value::F64(value) => Some(value),
                _ => None,
            }
        };
        let page = |word| self.recorder_page.as_ref().map(|page| page.load(word));
        let agents = || self.children.iter().filter(|c| matches!(c.role, Role::Agent(_)));
        let agents_that_are = |state| agents().filter(|child| child.state == state).count();
        let cursor = plane.map_or(0, PlaneReader::ring_cursor);
        let mailboxes = self.seats.iter().filter_map(|seat| seat.mailbox());
        let lags = mailboxes.filter_map(|page| Some(Reading::of_agent(page, cursor)?.lag_events));
        let reasons = self.reasons();
        Status {
            phase: match self.phase {
                Phase::Starting => "starting",
                Phase::Running => "running",
                Phase::Finishing { .. } => "finishing",
                Phase::Stopping => "stopping",
            },
            tick: plane.map_or(0, PlaneReader::tick),
            generation: plane.map_or(0, PlaneReader::generation),
            ci: cell("ci").unwrap_or(f64::NAN),
            cs: cell("cs").unwrap_or(f64::NAN),
            published: cursor,
            events_per_s: self.publish_rate.per_s(mono_ns(), cursor).map(|(rate, _)| rate),
            recorded: page(RecorderWord::Recorded),
            lost: page(RecorderWord::Lost),
            lag_max: lags.max().unwrap_or(0),
            agents: agents().count(),
            agents_running: agents_that_are(ChildState::Running),
            agents_ready: agents().filter(|child| self.is_settled(child)).count(),
            agents_exited: agents_that_are(ChildState::Exited),
            agents_failed: agents_that_are(ChildState::Failed),
            reasons,
        }
    }

    /// An agent that runs, and whose start was no failure: one that never beats shows that by living on.
    fn is_settled(&self, child: &Child) -> bool {
        child.state == ChildState::Running
            && (child.is_proven() || self.beat_mono_ns(child).is_some())
    }

    /// Why the swarm is not simply running.
    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        match self.phase {
            Phase::Starting => {
                reasons.push("the swarm is starting".into());
                let ended = |child: &&Child| {
                    matches!(child.state, ChildState::Waiting | ChildState::Failed)
                };
                reasons.extend(self.children.iter().filter(ended).map(Child::trouble));
                return reasons;
            }
            Phase::Stopping => return vec!["the swarm is stopping".into()],
            Phase::Running | Phase::Finishing { .. } => {}
        }
        for child in &self.children {
            let fine = matches!(child.state, ChildState::Running | ChildState::Exited);
            if !fine {
                reasons.push(child.trouble());
            }
        }
        if let Some(plane) = self.planes.current() {
            let age_ns = mono_ns().saturating_sub(plane.reader.heartbeat_mono_ns());
            let period_ns = self.topology.tick_period_ns;
            if age_ns > STALE_NS.max(period_ns.saturating_mul(3)) && !plane.has_ended() {
                reasons
                    .push(format!("the kernel gave no sign of life for {} ms", age_ns / 1_000_000));
            }
        }
        match self.recorder_page.as_ref().map(|page| page.load(RecorderWord::Trouble)) {
            Some(1) => reasons.push("the recorder's disk is full; it retries".into()),
            Some(2) => reasons.push("the recorder's database fails; it retries".into()),
            _ => {}
        }
        reasons
    }

    /// Every process, one row each.
    pub(crate) fn processes(&self) -> Vec<ProcessRow> {
        let cursor = self.planes.current().map_or(0, |plane| plane.reader.ring_cursor());
        let now_ns = mono_ns();
        let mut rows: Vec<ProcessRow> =
            self.children.iter().map(|child| self.process_row(child, cursor, now_ns)).collect();
        for visitor in self.visitors.iter() {
            let reading = Reading::of_agent(&visitor.mailbox, cursor);
            let rate = reading.and_then(|r| visitor.rate.per_s(now_ns, r.received_events));
            let isolation = Isolation::from_u32(visitor.seat.isolation).unwrap_or(Isolation::None);
            let mut row = json!({
                "name": text::unpack(&visitor.seat.name),
                "role": "agent",
                "agent_id": visitor.seat.agent_id,
                "pid": visitor.seat.pid,
                "state": "attached",
                "isolation": isolation.name(),
                "in_force": ["memory only"],
                "generation": reading.map(|reading| reading.generation),
                "restarts": 0,
                "beat_age_ms": reading.map(|reading| age_ms(reading.beat_mono_ns, now_ns)),
                // It is not our child: whatever it does or leaves, nobody ends it.
                "watched": false,
                "events_per_s": rate.map(|(rate, _)| rate),
                "cpu": Json::Null,
                "cpus": Json::Null,
                "rss_bytes": Json::Null,
            });
            add(&mut row, Reading::json(reading));
            rows.push(ProcessRow(row));
        }
        rows
    }

    /// Looks at every count that `ps` shows a rate of.
    pub(super) fn look_at_rates(&mut self, now_ns: u64) {
        let Some(cursor) = self.planes.current().map(|plane| plane.reader.ring_cursor()) else {
            return;
        };
        self.publish_rate.look(now_ns, cursor);
        for at in 0..self.children.len() {
            if let Some(count) = self.events_read(self.children[at].role, cursor) {
                self.children[at].rate.look(now_ns, count);
            }
        }
        for visitor in self.visitors.iter_mut() {
            if let Some(reading) = Reading::of_agent(&visitor.mailbox, cursor) {
                visitor.rate.look(now_ns, reading.received_events);
            }
        }
    }

    /// Events that a reader took from the ring, by its own word.
    fn events_read(&self, role: Role, cursor: u64) -> Option<u64> {
        match role {
            // What it has taken out, before it is written down.
            Role::Recorder => Some(self.reading(role, cursor)?.cursor),
            Role::Agent(_) => Some(self.reading(role, cursor)?.received_events),
            Role::Kernel | Role::Gateway => None,
        }
    }

    fn reading(&self, role: Role, cursor: u64) -> Option<Reading> {
        match role {
            Role::Agent(agent) => Reading::of_agent(self.seats[agent].mailbox()?, cursor),
            Role::Recorder => Some(Reading::of_recorder(self.recorder_page.as_ref()?, cursor)),
            Role::Kernel | Role::Gateway => None,
        }
    }

    /// The ring, as `ps` shows it: `{"published","events_per_s","over_ms","slots"}`.
    pub(super) fn ring_json(&self) -> Json {
        let Some(plane) = self.planes.current() else { return Json::Null };
        let published = plane.reader.ring_cursor();
        let rate = self.publish_rate.per_s(mono_ns(), published);
        json!({
            "published": published.to_string(),
            "events_per_s": rate.map(|(rate, _)| rate),
            "over_ms": rate.map(|(_, over_ms)| over_ms),
            "slots": plane.reader.ring_capacity(),
        })
    }

    /// The newest plane, as `ps` shows it: `{"bytes","locked"}`.
    pub(super) fn plane_json(&self) -> Json {
        let Some(plane) = self.planes.current() else { return Json::Null };
        let kernel = self.child(Role::Kernel).and_then(Child::running);
        let status = kernel.and_then(|kernel| rsw_os::process::status(kernel.pid).ok());
        let total_bytes = plane.ready.total_bytes;
        // The kernel locks nothing else.
        let locked = status.is_some_and(|status| status.locked_bytes >= total_bytes);
        json!({ "bytes": total_bytes.to_string(), "locked": locked })
    }

    fn process_row(&self, child: &Child, cursor: u64, now_ns: u64) -> ProcessRow {
        let running = child.running();
        let pid = running.map(|running| running.pid);
        let status = pid.and_then(|pid| rsw_os::process::status(pid).ok());
        let plane = self.planes.current().map(|plane| &plane.reader);
        let (isolation, agent_id) = match child.role {
            Role::Agent(agent) => {
                let agent_id = self.topology.agents[agent].agent_id;
                (self.seats[agent].isolation().name(), Some(agent_id))
            }
            _ => ("trusted", None),
        };
        let reading = self.reading(child.role, cursor);
        let generation = match child.role {
            Role::Kernel | Role::Gateway => plane.map(PlaneReader::generation),
            _ => reading.map(|reading| reading.generation),
        };
        let rate = match child.role {
            Role::Kernel => self.publish_rate.per_s(now_ns, cursor),
            role => self.events_read(role, cursor).and_then(|n| child.rate.per_s(now_ns, n)),
        };
        // Until it is ready, what is there may be its predecessor's.
        let ready = running.filter(|running| running.ready_mono_ns.is_some());
        let beat = ready.and_then(|_| self.beat_mono_ns(child));
        let mut in_force: Vec<String> = Vec::new();
        if let Some(status) = &status {
            if status.no_new_privs {
                in_force.push("no_new_privs".into());
            }
            if status.seccomp_mode == 2 {
                in_force.push("seccomp".into());
            }
        }
        let applied = running.and_then(|running| running.applied.as_ref());
        if let Some(abi) = applied.and_then(|applied| applied.landlock_abi) {
            in_force.push(format!("landlock {abi}"));
        }
        let mut row = json!({
            "name": child.name,
            "role": child.role.name(),
            "agent_id": agent_id,
            "pid": pid,
            "state": child.state.name(),
            "isolation": isolation,
            "in_force": in_force,
            "generation": generation,
            "restarts": child.restarts,
            "beat_age_ms": beat.map(|beat| age_ms(beat, now_ns)),
            "watched": beat.is_some(),
            "events_per_s": rate.map(|(rate, _)| rate),
            "cpu": pid.and_then(|pid| rsw_os::process::cpu_last(pid).ok()),
            "cpus": status.as_ref().map(|status| format_list(&status.cpus_allowed)),
            "rss_bytes": status.map(|status| status.rss_bytes),
            "uptime_s": running.map(|running| (mono_ns() - running.started_mono_ns) / 1_000_000_000),
            "log_lines_dropped": child.log.dropped(),
            "last_words": child.last_words.map(|words| text::unpack(&words.text)),
        });
        add(&mut row, Reading::json(reading));
        ProcessRow(row)
    }

    /// `CLOCK_MONOTONIC` of a process's last sign of life. `None` for one that never gave any: its silence means
    /// nothing, and nobody ends it for that.
    pub(super) fn beat_mono_ns(&self, child: &Child) -> Option<u64> {
        let beat = match child.role {
            Role::Kernel => self.planes.current()?.reader.heartbeat_mono_ns(),
            Role::Recorder => self.recorder_page.as_ref()?.load(RecorderWord::HeartbeatMonoNs),
            Role::Gateway => child.running()?.heard_mono_ns?,
            Role::Agent(agent) => self.seats[agent].mailbox()?.load(MailboxWord::HeartbeatMonoNs),
        };
        Some(beat).filter(|beat| *beat > 0)
    }
}

fn age_ms(beat_mono_ns: u64, now_ns: u64) -> u64 {
    now_ns.saturating_sub(beat_mono_ns) / 1_000_000
}

/// Adds keys to a row.
fn add(row: &mut Json, keys: serde_json::Map<String, Json>) {
    if let Json::Object(row) = row {
        row.extend(keys);
    }
}

/// A number for JSON: what is not finite becomes null.
pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
