//! What `ps` and `status` show: read from the plane, the pages and `/proc`, never asked of a child.

use rsw_attach::{MailboxReader, MailboxWord, RecorderWord};
use rsw_os::affinity::format_list;
use rsw_os::clock::mono_ns;
use rsw_plane::{PlaneReader, Value};
use rsw_schemas::text;
use rsw_schemas::wire::Isolation;
use serde_json::{Value as Json, json};

use super::child::{Child, ChildState, Role};
use super::{Phase, Swarm};

/// A kernel whose heart stood still for this long makes the swarm degraded.
const STALE_NS: u64 = 1_000_000_000;

/// Lag and loss of one reader.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    lag_events: u64,
    lost_events: u64,
    generation: u64,
}

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
    pub(crate) recorded: Option<u64>,
    pub(crate) lost: Option<u64>,
    pub(crate) lag_max: u64,
    pub(crate) agents: usize,
    pub(crate) agents_running: usize,
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
            "recorded": number(self.recorded),
            "lost": number(self.lost),
            "lag_events_max": self.lag_max.to_string(),
            "agents": self.agents,
            "agents_running": self.agents_running,
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
        let agents = |child: &&Child| matches!(child.role, Role::Agent(_));
        let running =
            self.children.iter().filter(agents).filter(|c| c.state == ChildState::Running);
        let cursor = plane.map_or(0, PlaneReader::ring_cursor);
        let lags = self.seats.iter().filter_map(|seat| seat.mailbox());
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
            recorded: page(RecorderWord::Recorded),
            lost: page(RecorderWord::Lost),
            lag_max: lags.map(|mailbox| reading(mailbox, cursor).lag_events).max().unwrap_or(0),
            agents: self.children.iter().filter(agents).count(),
            agents_running: running.count(),
            reasons,
        }
    }

    /// Why the swarm is not simply running.
    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        match self.phase {
            Phase::Starting => return vec!["the swarm is starting".into()],
            Phase::Stopping => return vec!["the swarm is stopping".into()],
            Phase::Running | Phase::Finishing { .. } => {}
        }
        for child in &self.children {
            let fine = matches!(child.state, ChildState::Running | ChildState::Exited);
            if !fine {
                reasons.push(format!("{} is {}", child.name, child.state.name()));
            }
        }
        if let Some(plane) = self.planes.current() {
            let age_ns = mono_ns().saturating_sub(plane.reader.heartbeat_mono_ns());
            let period_ns = self.topology.tick_period_ns;
            if age_ns > STALE_NS.max(3 * period_ns) && !plane.has_ended() {
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
        let mut rows: Vec<ProcessRow> =
            self.children.iter().map(|child| self.process_row(child, cursor)).collect();
        for visitor in self.visitors.iter() {
            let reading = reading(&visitor.mailbox, cursor);
            let isolation = Isolation::from_u32(visitor.seat.isolation).unwrap_or(Isolation::None);
            rows.push(ProcessRow(json!({
                "name": text::unpack(&visitor.seat.name),
                "role": "agent",
                "agent_id": visitor.seat.agent_id,
                "pid": visitor.seat.pid,
                "state": "attached",
                "isolation": isolation.name(),
                "in_force": ["memory only"],
                "generation": reading.generation,
                "restarts": 0,
                "lag_events": reading.lag_events,
                "lost_events": reading.lost_events,
                "cpu": Json::Null,
                "cpus": Json::Null,
                "rss_bytes": Json::Null,
            })));
        }
        rows
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

    fn process_row(&self, child: &Child, cursor: u64) -> ProcessRow {
        let running = child.running();
        let pid = running.map(|running| running.pid);
        let status = pid.and_then(|pid| rsw_os::process::status(pid).ok());
        let current = self.planes.current().map_or(0, |plane| plane.reader.generation());
        let (reading, isolation, agent_id) = match child.role {
            Role::Agent(agent) => {
                let seat = &self.seats[agent];
                let reading = seat.mailbox().map(|m| reading(m, cursor)).unwrap_or_default();
                (reading, seat.isolation().name(), Some(self.topology.agents[agent].agent_id))
            }
            Role::Recorder => (self.recorder_reading(cursor), "trusted", None),
            _ => (Reading { generation: current, ..Reading::default() }, "trusted", None),
        };
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
        ProcessRow(json!({
            "name": child.name,
            "role": child.role.name(),
            "agent_id": agent_id,
            "pid": pid,
            "state": child.state.name(),
            "isolation": isolation,
            "in_force": in_force,
            "generation": reading.generation,
            "restarts": child.restarts,
            "lag_events": reading.lag_events,
            "lost_events": reading.lost_events,
            "cpu": pid.and_then(|pid| rsw_os::process::cpu_last(pid).ok()),
            "cpus": status.as_ref().map(|status| format_list(&status.cpus_allowed)),
            "rss_bytes": status.map(|status| status.rss_bytes),
            "uptime_s": running.map(|running| (mono_ns() - running.started_mono_ns) / 1_000_000_000),
            "log_lines_dropped": child.log.dropped(),
            "last_words": child.last_words.map(|words| text::unpack(&words.text)),
        }))
    }

    fn recorder_reading(&self, cursor: u64) -> Reading {
        let Some(page) = &self.recorder_page else { return Reading::default() };
        Reading {
            lag_events: cursor.saturating_sub(page.load(RecorderWord::Drained)),
            lost_events: page.load(RecorderWord::Lost),
            generation: page.load(RecorderWord::Generation),
        }
    }
}

fn reading(mailbox: &MailboxReader, cursor: u64) -> Reading {
    Reading {
        lag_events: cursor.saturating_sub(mailbox.load(MailboxWord::Cursor)),
        lost_events: mailbox.load(MailboxWord::LostEvents),
        generation: mailbox.load(MailboxWord::Generation),
    }
}

/// A number for JSON: what is not finite becomes null.
pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
