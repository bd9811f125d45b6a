//! Ring events as rows: the prepared statements of one transaction and what is bound to them.

use rsw_schemas::event::{AgentMetric, EventKind, Generation, Presence, Report, Slot, Tick};
use rsw_schemas::text::unpack;
use rusqlite::{CachedStatement, Connection, params};

use crate::crc::{self, EventHead};
use crate::decode;
use crate::entry::{Frame, GapCause, PlaneFacts};
use crate::value::{hex, int, real};

const EVENT: &str = "INSERT INTO rs_event
    (run_id, seq, generation, kind, flags, source, t_ns, tick, payload, crc32)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const METRIC: &str = "INSERT INTO rs_metric_point
    (run_id, agent_id, tick, seq, generation, t_ns, d, c, g, tau, ci, u, drive, flags, crc32)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT DO NOTHING";
const METRIC_KEEP: &str = "INSERT INTO rs_metric_superseded
    SELECT * FROM rs_metric_point WHERE run_id = ?1 AND agent_id = ?2 AND tick = ?3";
const METRIC_REMOVE: &str =
    "DELETE FROM rs_metric_point WHERE run_id = ?1 AND agent_id = ?2 AND tick = ?3";
const TICK: &str = "INSERT OR REPLACE INTO rs_tick
    (run_id, tick, seq, t_ns, mono_ns, ci_mean, d_global, d_r2, coherence_mean, gain_mean,
     dwell_mean, energy, u_abs_max, solver_ns, metrics_ns, commit_ns, overruns)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
const REPORT: &str = "INSERT INTO rs_report
    (run_id, seq, agent_id, tick, t_ns, window_ticks, seen_ticks, agents, pairs_defined, cs_mean,
     cs_self, r_min, r_max, matrix_crc32, sent_mono_ns, lag_events, lost_events, missed_loans)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
const GAP_GROW: &str = "UPDATE rs_gap SET to_seq = ?3
    WHERE run_id = ?1 AND from_seq = (SELECT max(from_seq) FROM rs_gap WHERE run_id = ?1)
        AND to_seq = ?2 AND cause = ?4";
const GAP: &str =
    "INSERT INTO rs_gap (run_id, from_seq, to_seq, cause, wall_ns) VALUES (?1, ?2, ?3, ?4, ?5)";
const AGENT: &str = "INSERT INTO rs_agent (run_id, agent_id, name, \"group\", site_x, site_y)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
const SERIES: &str = "INSERT INTO rs_series (run_id, agent_id, name, type, unit)
    VALUES (?1, ?2,
        coalesce((SELECT name FROM rs_agent WHERE run_id = ?1 AND agent_id = ?2), 'agent-' || ?2)
            || '.' || ?3, ?3, ?4)
    ON CONFLICT DO NOTHING";
const GENERATION: &str = "INSERT INTO rs_generation
    (run_id, generation, first_seq, writer_pid, started_wall_ns, started_mono_ns, boot_id, layout_hash)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
const GENERATION_TICKS: &str = "UPDATE rs_generation SET resumed_tick = ?3, previous_tick = ?4
    WHERE run_id = ?1 AND generation = ?2";
const GENERATION_END: &str =
    "UPDATE rs_generation SET end_seq = ?3 WHERE run_id = ?1 AND generation = ?2";
const RUN_FACTS: &str = "UPDATE rs_run
    SET boot_id = ?2, nx = ?3, ny = ?4, tick_period_ns = ?5, layout_hash = ?6 WHERE run_id = ?1";
const FRAME: &str = "INSERT INTO rs_field
    (run_id, name, tick, t_ns, nx, ny, dtype, unit, min, max, data, crc32)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'f32', ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT (run_id, name, tick) DO UPDATE SET t_ns = excluded.t_ns, nx = excluded.nx,
        ny = excluded.ny, unit = excluded.unit, min = excluded.min, max = excluded.max,
        data = excluded.data, crc32 = excluded.crc32";
/// Type and unit of the five series of an agent, in the order of a window's columns.
const SERIES_TYPES: [(&str, &str); 5] =
    [("fractal", "1"), ("coherence", "1"), ("gain", "1"), ("dwell", "field s"), ("ci", "1")];

/// What an event was, as far as windows care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Metrics of an agent (0: of the whole field) at a tick.
    Point {
        /// The agent.
        agent_id: u32,
        /// The tick.
        tick: u64,
    },
    /// Anything else.
    Other,
}

/// The hot statements of one transaction, looked up once.
pub struct Rows<'c> {
    connection: &'c Connection,
    run_id: i64,
    event: CachedStatement<'c>,
    metric: CachedStatement<'c>,
    tick: CachedStatement<'c>,
    report: CachedStatement<'c>,
}

impl<'c> Rows<'c> {
    /// Prepares them (or finds them prepared).
    ///
    /// # Errors
    /// SQLite's.
    pub fn prepare(connection: &'c Connection, run_id: i64) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            connection,
            run_id,
            event: connection.prepare_cached(EVENT)?,
            metric: connection.prepare_cached(METRIC)?,
            tick: connection.prepare_cached(TICK)?,
            report: connection.prepare_cached(REPORT)?,
        })
    }

    /// Writes the home row of one event, and its decoded row where its kind has one.
    ///
    /// # Errors
    /// SQLite's; a duplicate sequence is one.
    pub fn event(&mut self, seq: u64, slot: &Slot) -> Result<Seen, rusqlite::Error> {
        let kind = EventKind::from_u16(slot.kind);
        if kind == Some(EventKind::AgentMetric)
            && let Some(metric) = decode::pod::<AgentMetric>(slot)
        {
            self.metric_point(seq, slot, &metric)?;
            return Ok(Seen::Point { agent_id: metric.agent_id, tick: metric.tick });
        }
        self.event_row(seq, slot)?;
        match kind {
            Some(EventKind::Tick) => {
                if let Some(tick) = decode::pod::<Tick>(slot) {
                    self.tick_row(seq, slot, &tick)?;
                    return Ok(Seen::Point { agent_id: 0, tick: tick.tick });
                }
            }
            Some(EventKind::Report) => {
                if let Some(report) = decode::pod::<Report>(slot) {
                    self.report_row(seq, slot, &report)?;
                }
            }
            Some(EventKind::Joined) => {
                if let Some(presence) = decode::pod::<Presence>(slot) {
                    self.agent(presence.agent_id, &unpack(&presence.name), "", None)?;
                }
            }
            Some(EventKind::Generation) => {
                if let Some(generation) = decode::pod::<Generation>(slot) {
                    self.generation_ticks(&generation)?;
                }
            }
            _ => {}
        }
        Ok(Seen::Other)
    }

    fn event_row(&mut self, seq: u64, slot: &Slot) -> Result<(), rusqlite::Error> {
        let payload = decode::payload(slot);
        let head = EventHead {
            seq,
            generation: u64::from(slot.generation),
            kind: slot.kind,
            flags: slot.flags,
            source: slot.source,
            t_ns: slot.t_ns,
        };
        self.event
            .execute(params![
                self.run_id,
                int(seq),
                slot.generation,
                slot.kind,
                slot.flags,
                slot.source,
                slot.t_ns,
                decode::tick(slot).map(int),
                payload,
                crc::event(&head, payload),
            ])
            .map(drop)
    }

    fn metric_point(
        &mut self,
        seq: u64,
        slot: &Slot,
        metric: &AgentMetric,
    ) -> Result<(), rusqlite::Error> {
        let row = params![
            self.run_id,
            metric.agent_id,
            int(metric.tick),
            int(seq),
            slot.generation,
            slot.t_ns,
            real(metric.d),
            real(metric.c),
            real(metric.g),
            real(metric.tau),
            real(metric.ci),
            real(metric.u),
            real(metric.drive),
            metric.flags,
            crc::metric(seq, u64::from(slot.generation), slot.t_ns, metric),
        ];
        if self.metric.execute(row)? == 1 {
            return Ok(());
        }
        let key = params![self.run_id, metric.agent_id, int(metric.tick)];
        self.connection.prepare_cached(METRIC_KEEP)?.execute(key)?;
        self.connection.prepare_cached(METRIC_REMOVE)?.execute(key)?;
        self.metric.execute(row).map(drop)
    }

    fn tick_row(&mut self, seq: u64, slot: &Slot, tick: &Tick) -> Result<(), rusqlite::Error> {
        self.tick
            .execute(params![
                self.run_id,
                int(tick.tick),
                int(seq),
                slot.t_ns,
                int(tick.mono_ns),
                real(tick.ci_mean),
                real(tick.d_global),
                real(tick.d_r2),
                real(tick.coherence_mean),
                real(tick.gain_mean),
                real(tick.dwell_mean),
                real(tick.energy),
                real(tick.u_abs_max),
                tick.solver_ns,
                tick.metrics_ns,
                tick.commit_ns,
                tick.overruns,
            ])
            .map(drop)
    }

    fn report_row(&mut self, seq: u64, slot: &Slot, r: &Report) -> Result<(), rusqlite::Error> {
        self.report
            .execute(params![
                self.run_id,
                int(seq),
                slot.source,
                int(r.tick),
                slot.t_ns,
                r.window_ticks,
                r.seen_ticks,
                r.agents,
                r.pairs_defined,
                real(r.cs_mean),
                real(r.cs_self),
                real(r.r_min),
                real(r.r_max),
                r.matrix_crc32,
                int(r.sent_mono_ns),
                int(r.lag_events),
                int(r.lost_events),
                int(r.missed_loans),
            ])
            .map(drop)
    }

    fn generation_ticks(&self, generation: &Generation) -> Result<(), rusqlite::Error> {
        let row = params![
            self.run_id,
            int(generation.generation),
            int(generation.resumed_tick),
            int(generation.previous_tick),
        ];
        self.connection.prepare_cached(GENERATION_TICKS)?.execute(row).map(drop)
    }

    /// Names an agent, unless it has a name already.
    ///
    /// # Errors
    /// SQLite's.
    pub fn agent(
        &self,
        agent_id: u32,
        name: &str,
        group: &str,
        site: Option<[u32; 2]>,
    ) -> Result<(), rusqlite::Error> {
        let [x, y] = site.map_or([None; 2], |site| site.map(Some));
        let row = params![self.run_id, agent_id, name, group, x, y];
        self.connection.prepare_cached(AGENT)?.execute(row).map(drop)
    }

    /// Makes the five series of an agent, unless it has them already.
    ///
    /// # Errors
    /// SQLite's.
    pub fn series(&self, agent_id: u32) -> Result<(), rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(SERIES)?;
        for (kind, unit) in SERIES_TYPES {
            statement.execute(params![self.run_id, agent_id, kind, unit])?;
        }
        Ok(())
    }

    /// Writes a gap. One that goes on where the last one of the same cause ended makes that one longer: a
    /// reader that the ring's writer drives before it loses event by event.
    ///
    /// # Errors
    /// SQLite's.
    pub fn gap(
        &self,
        from: u64,
        to: u64,
        cause: GapCause,
        wall_ns: u64,
    ) -> Result<(), rusqlite::Error> {
        let more = params![self.run_id, int(from), int(to), cause.name()];
        if self.connection.prepare_cached(GAP_GROW)?.execute(more)? == 1 {
            return Ok(());
        }
        let row = params![self.run_id, int(from), int(to), cause.name(), int(wall_ns)];
        self.connection.prepare_cached(GAP)?.execute(row).map(drop)
    }

    /// Writes what is known of a generation before its first event.
    ///
    /// # Errors
    /// SQLite's.
    pub fn plane(&self, facts: &PlaneFacts) -> Result<(), rusqlite::Error> {
        let boot_id = hex(&facts.boot_id);
        let layout = format!("{:016x}", facts.layout_hash);
        self.connection.prepare_cached(GENERATION)?.execute(params![
            self.run_id,
            int(facts.generation),
            int(facts.first_sequence),
            facts.writer_pid,
            int(facts.wall_ns),
            int(facts.mono_ns),
            boot_id,
            layout,
        ])?;
        let period = int(facts.tick_period_ns);
        self.connection
            .prepare_cached(RUN_FACTS)?
            .execute(params![self.run_id, boot_id, facts.nx, facts.ny, period, layout])
            .map(drop)
    }

    /// Writes the final cursor of a generation.
    ///
    /// # Errors
    /// SQLite's.
    pub fn generation_end(&self, generation: u64, end: u64) -> Result<(), rusqlite::Error> {
        let row = params![self.run_id, int(generation), int(end)];
        self.connection.prepare_cached(GENERATION_END)?.execute(row).map(drop)
    }

    /// Writes a field frame; a later frame of the same tick replaces it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn frame(&self, frame: &Frame) -> Result<(), rusqlite::Error> {
        self.connection
            .prepare_cached(FRAME)?
            .execute(params![
                self.run_id,
                frame.name,
                int(frame.tick),
                frame.t_ns,
                frame.nx,
                frame.ny,
                frame.unit,
                real(f64::from(frame.min)),
                real(f64::from(frame.max)),
                frame.data,
                crc32fast::hash(&frame.data),
            ])
            .map(drop)
    }
}
