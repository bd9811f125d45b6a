//! One tick becomes frames, events and cells; what agents sent becomes events.
//!
//! Order within a tick: what happened to the sources, the frames, the agents' metrics, the batch, crossed
//! thresholds, and last the `tick` event, so that whoever sees a tick has seen all of it.

use bytemuck::{Pod, Zeroable};
use rsw_config::{NamedSource, Topology};
use rsw_os::clock::mono_ns;
use rsw_plane::{EventHead, PlaneWriter};
use rsw_schemas::batch::BatchSchema;
use rsw_schemas::control::KernelState;
use rsw_schemas::counter::Counter;
use rsw_schemas::event::{
    AgentMetric, Alert, AlertCode, Annotation, BatchReady, EventKind, FieldReady, Gap, Generation,
    PAYLOAD_BYTES, Presence, Report, SOURCE_KERNEL, SourceChanged, ThresholdCrossed, Tick,
    metric_flag,
};
use rsw_schemas::text;
use rsw_schemas::wire::Admitted;
use solver_proc::engine::{Engine, EngineEvent, SiteMetric, TickReport};

use super::KernelError;
use super::batch::Batcher;
use super::board;
use super::gate::{Gate, Room};
use super::links::Links;

/// Everything between the engine and the plane.
pub(super) struct Publisher {
    plane: PlaneWriter,
    gate: Gate,
    batcher: Batcher,
    fields: Vec<String>,
    sources: Vec<NamedSource>,
    watches: Vec<Watch>,
    checkpoint: Vec<u8>,
    checkpoint_ticks: u64,
    batch_ticks: u64,
    generation: u64,
    tick: u64,
    t_ns: i64,
    cs: f64,
    overruns: u64,
    commit_ns: u64,
}

struct Watch {
    cell: String,
    threshold: f64,
    hysteresis: f64,
    above: Option<bool>,
}

impl Publisher {
    /// A publisher into a fresh plane.
    pub(super) fn new(topology: &Topology, plane: PlaneWriter, generation: u64) -> Self {
        let config = &topology.config;
        let watches = config.watch.values().map(|watch| Watch {
            cell: watch.cell.clone(),
            threshold: watch.threshold,
            hysteresis: watch.hysteresis,
            above: None,
        });
        Self {
            gate: Gate::new(topology, plane.header().first_sequence),
            plane,
            batcher: Batcher::new(),
            fields: config.field.publish.clone(),
            sources: topology.sources.clone(),
            watches: watches.collect(),
            checkpoint: Vec::new(),
            checkpoint_ticks: u64::from(config.tick.checkpoint_ticks.max(1)),
            batch_ticks: u64::from(config.metrics.batch_ticks.max(1)),
            generation,
            tick: 0,
            t_ns: 0,
            cs: f64::NAN,
            overruns: 0,
            commit_ns: 0,
        }
    }

    /// The tick from which this generation goes on: what its plane says until there is another.
    pub(super) fn begin_at(&self, tick: u64) {
        self.plane.control.set_tick(tick);
    }

    /// A sign of life.
    pub(super) fn beat(&self) {
        self.plane.control.beat(mono_ns());
    }

    /// What the kernel is doing.
    pub(super) fn set_state(&self, state: KernelState) {
        self.plane.control.set_state(state);
    }

    /// Sequence of the next event.
    pub(super) fn cursor(&self) -> u64 {
        self.plane.ring.next_sequence()
    }

    /// Ticks that the pacer had to skip so far.
    pub(super) fn overruns(&mut self, overruns: u64) {
        self.plane.counters.add(Counter::Overruns, overruns - self.overruns);
        self.overruns = overruns;
    }

    /// The first event of a plane.
    pub(super) fn generation(&mut self, event: &Generation) {
        self.tick = event.resumed_tick;
        self.push_now(EventKind::Generation, SOURCE_KERNEL, event);
    }

    /// Publishes everything pushed so far.
    pub(super) fn commit(&mut self) {
        self.plane.commit();
    }

    /// Advances the engine by one tick and publishes all of it.
    pub(super) fn tick(
        &mut self,
        engine: &mut Engine,
        links: &mut Links,
    ) -> Result<(), KernelError> {
        let report = engine.tick()?;
        let start = mono_ns();
        (self.tick, self.t_ns) = (report.tick, report.t_ns);
        self.plane.control.beat(start);
        self.engine_events(engine, links);
        if report.diverged {
            self.plane.counters.add(Counter::Diverged, 1);
            self.alert_in_turn(
                AlertCode::Diverged,
                "the field diverged and was reset to rest; check dt and sources",
                links,
            );
        }
        self.frames(engine, links);
        self.sites(engine.site_metrics(), links);
        let event = self.tick_event(&report, start);
        self.thresholds(&event, links);
        self.push(EventKind::Tick, SOURCE_KERNEL, &event, links);
        board::fill(&self.plane.board, &event, self.t_ns, self.generation, self.cs);
        self.plane.commit();
        self.plane.control.set_tick(report.tick);
        if report.tick.is_multiple_of(self.checkpoint_ticks) {
            self.save(engine)?;
        }
        self.commit_ns = mono_ns() - start;
        let counters = &self.plane.counters;
        counters.add(Counter::Ticks, 1);
        counters.add(Counter::SolverNs, report.solver_ns);
        counters.add(Counter::MetricsNs, report.metrics_ns);
        counters.add(Counter::CommitNs, self.commit_ns);
        Ok(())
    }

    /// The last tick was: nothing may stay in a half-filled batch.
    pub(super) fn finish(
        &mut self,
        engine: &mut Engine,
        links: &mut Links,
    ) -> Result<(), KernelError> {
        self.batch(links);
        self.save(engine)?;
        self.plane.commit();
        self.set_state(KernelState::Finished);
        Ok(())
    }

    /// Turns what the gateway admitted into events.
    pub(super) fn admit(&mut self, links: &mut Links, tick: u64, t_ns: i64) {
        (self.tick, self.t_ns) = (tick, t_ns);
        let mut packets = Vec::new();
        links.admitted(|packet| packets.push(packet));
        if packets.is_empty() {
            return;
        }
        for packet in packets {
            match packet.ok().and_then(|admitted| Some((admitted_kind(&admitted)?, admitted))) {
                Some((kind, admitted)) => self.admit_one(kind, &admitted, links),
                None => self.plane.counters.add(Counter::ReportsRefused, 1),
            }
        }
        self.plane.commit();
    }

    fn admit_one(&mut self, kind: EventKind, admitted: &Admitted, links: &mut Links) {
        if kind == EventKind::Report {
            let report: Report =
                bytemuck::pod_read_unaligned(&admitted.payload[..size_of::<Report>()]);
            if !report.cs_mean.is_nan() {
                self.cs = report.cs_mean;
            }
            self.plane.counters.add(Counter::ReportsAdmitted, 1);
        }
        let len = usize::from(admitted.len_bytes).min(PAYLOAD_BYTES);
        self.push_bytes(kind, admitted.source, &admitted.payload[..len], links);
    }

    /// Something is wrong and someone should look: before the first tick, and about the gate itself.
    pub(super) fn alert(&mut self, code: AlertCode, words: &str) {
        let alert = self.alert_event(code, words);
        self.push_now(EventKind::Alert, SOURCE_KERNEL, &alert);
    }

    fn alert_in_turn(&mut self, code: AlertCode, words: &str, links: &mut Links) {
        let alert = self.alert_event(code, words);
        self.push(EventKind::Alert, SOURCE_KERNEL, &alert, links);
    }

    fn alert_event(&self, code: AlertCode, words: &str) -> Alert {
        Alert { tick: self.tick, code: code as u32, reserved: 0, text: text::pack(words) }
    }

    fn engine_events(&mut self, engine: &mut Engine, links: &mut Links) {
        let events: Vec<EngineEvent> = engine.events().collect();
        for event in events {
            match event {
                EngineEvent::SourceChanged { source, on } => self.source_changed(source, on, links),
                EngineEvent::Annotation { name, value } => {
                    let event = Annotation { tick: self.tick, value, name: text::pack(&name) };
                    self.push(EventKind::Annotation, SOURCE_KERNEL, &event, links);
                }
                EngineEvent::Gap { source, column, gap } => {
                    let samples = gap.to_tick.saturating_sub(gap.from_tick);
                    self.plane.counters.add(Counter::SourceGaps, samples);
                    let event = Gap {
                        from_tick: gap.from_tick,
                        to_tick: gap.to_tick,
                        source: source as u32,
                        cause: gap.cause as u32,
                        name: text::pack(&column),
                    };
                    self.push(EventKind::Gap, SOURCE_KERNEL, &event, links);
                }
                EngineEvent::SourceEnded { source } => {
                    let words = format!("source {} has no samples left", self.sources[source].name);
                    self.alert_in_turn(AlertCode::SourceEnded, &words, links);
                }
            }
        }
    }

    fn source_changed(&mut self, index: usize, on: bool, links: &mut Links) {
        let NamedSource { name, source } = &self.sources[index];
        let event = SourceChanged {
            tick: self.tick,
            source: index as u32,
            on: u32::from(on),
            x: source.at[0],
            y: source.at[1],
            amplitude: source.amplitude,
            frequency: source.frequency.unwrap_or(0.0),
            name: text::pack(name),
        };
        self.push(EventKind::SourceChanged, SOURCE_KERNEL, &event, links);
    }

    fn frames(&mut self, engine: &Engine, links: &mut Links) {
        for at in 0..self.fields.len() {
            let Some(cells) = engine.field(&self.fields[at]) else { continue };
            let range = engine.range(&self.fields[at]).unwrap_or_default();
            let frame = self.plane.fields[at].publish(
                self.tick,
                self.t_ns,
                range,
                bytemuck::cast_slice(cells),
            );
            self.plane.counters.add(Counter::Frames, 1);
            let ready = FieldReady { tick: self.tick, frame, field: at as u32, reserved: 0, range };
            self.push(EventKind::FieldReady, SOURCE_KERNEL, &ready, links);
        }
    }

    fn sites(&mut self, sites: &[SiteMetric], links: &mut Links) {
        for site in sites {
            let mut flags = 0;
            if site.d_undefined {
                flags |= metric_flag::D_UNDEFINED;
            }
            if site.drive_gap {
                flags |= metric_flag::DRIVE_GAP;
            }
            let metric = AgentMetric {
                tick: self.tick,
                agent_id: site.agent_id,
                flags,
                d: site.d,
                c: site.c,
                g: site.g,
                tau: site.tau,
                ci: site.ci,
                u: site.u,
                drive: site.drive,
            };
            self.batcher.row(&metric, self.t_ns);
            self.push(EventKind::AgentMetric, site.agent_id, &metric, links);
        }
        if self.batcher.ticks() >= self.batch_ticks {
            self.batch(links);
        }
    }

    fn batch(&mut self, links: &mut Links) {
        let (ready, bytes_fit) = match self.batcher.finish() {
            Ok(Some(finished)) => {
                let position = self.plane.batches.append(finished.bytes);
                let batch = self.plane.counters.get(Counter::Batches) + 1;
                let ready = BatchReady {
                    batch,
                    position_bytes: position.unwrap_or(0),
                    len_bytes: finished.bytes.len() as u64,
                    first_tick: finished.first_tick,
                    last_tick: finished.last_tick,
                    rows: finished.rows,
                    schema: BatchSchema::Metrics as u32,
                    crc32: crc32fast::hash(finished.bytes),
                    reserved: 0,
                };
                (ready, position.is_some())
            }
            Ok(None) => return,
            Err(_) => (BatchReady::zeroed(), false),
        };
        if bytes_fit {
            self.plane.counters.add(Counter::Batches, 1);
            self.push(EventKind::BatchReady, SOURCE_KERNEL, &ready, links);
        } else {
            self.plane.counters.add(Counter::BatchesSkipped, 1);
        }
    }

    fn tick_event(&self, report: &TickReport, start_mono_ns: u64) -> Tick {
        let narrow = |ns: u64| ns.min(u64::from(u32::MAX)) as u32;
        Tick {
            tick: report.tick,
            mono_ns: start_mono_ns,
            ci_mean: report.ci_mean,
            d_global: report.d_global,
            coherence_mean: report.coherence_mean,
            gain_mean: report.gain_mean,
            dwell_mean: report.dwell_mean,
            energy: report.energy,
            u_abs_max: report.u_abs_max,
            solver_ns: narrow(report.solver_ns),
            metrics_ns: narrow(report.metrics_ns),
            commit_ns: narrow(self.commit_ns),
            overruns: narrow(self.overruns),
            d_r2: report.d_r2,
        }
    }

    fn thresholds(&mut self, event: &Tick, links: &mut Links) {
        let mut crossed = Vec::new();
        for watch in &mut self.watches {
            let Some(value) = board::watched(event, self.cs, &watch.cell) else { continue };
            if let Some(direction) = watch.look(value) {
                crossed.push(ThresholdCrossed {
                    tick: event.tick,
                    value,
                    threshold: watch.threshold,
                    direction,
                    reserved: 0,
                    cell: text::pack(&watch.cell),
                });
            }
        }
        for event in crossed {
            self.plane.counters.add(Counter::ThresholdCrossings, 1);
            self.push(EventKind::ThresholdCrossed, SOURCE_KERNEL, &event, links);
        }
    }

    /// Leaves the engine's state in the plane, for a successor.
    pub(super) fn save(&mut self, engine: &mut Engine) -> Result<(), KernelError> {
        self.checkpoint.resize(engine.checkpoint_bytes(), 0);
        engine.save(&mut self.checkpoint)?;
        let last = self.plane.fields.len() - 1;
        self.plane.fields[last].publish(self.tick, self.t_ns, [0.0; 2], &self.checkpoint);
        self.plane.counters.add(Counter::Checkpoints, 1);
        Ok(())
    }

    fn push<T: Pod>(&mut self, kind: EventKind, source: u32, payload: &T, links: &mut Links) {
        self.push_bytes(kind, source, bytemuck::bytes_of(payload), links);
    }

    fn push_bytes(&mut self, kind: EventKind, source: u32, payload: &[u8], links: &mut Links) {
        if self.gate.ask(&mut self.plane, links) == Room::GivenUp {
            self.alert(
                AlertCode::RecorderSlow,
                "the recorder is too slow; it may lose events from here on",
            );
        }
        // A batch longer than half the ring would overwrite itself before anybody saw it.
        if self.plane.ring.pending() >= self.plane.ring.capacity() / 2 {
            self.plane.commit();
        }
        self.plane.ring.push(self.head(kind, source), payload);
    }

    /// As `push`, where the gate does not matter: the first event of a plane, and alerts about the gate.
    fn push_now<T: Pod>(&mut self, kind: EventKind, source: u32, payload: &T) {
        self.plane.ring.push(self.head(kind, source), bytemuck::bytes_of(payload));
    }

    fn head(&self, kind: EventKind, source: u32) -> EventHead {
        EventHead { kind: kind as u16, source, generation: self.generation as u32, t_ns: self.t_ns }
    }
}

impl Watch {
    /// 1 or -1 if the value crossed; the first value only says where it begins.
    fn look(&mut self, value: f64) -> Option<i32> {
        if value.is_nan() {
            return None;
        }
        let above = match self.above {
            Some(true) => value >= self.threshold - self.hysteresis,
            Some(false) => value > self.threshold + self.hysteresis,
            None => value > self.threshold,
        };
        let before = self.above.replace(above)?;
        (before != above).then_some(if above { 1 } else { -1 })
    }
}

/// What may enter the ring from outside, and nothing else.
fn admitted_kind(admitted: &Admitted) -> Option<EventKind> {
    let kind = EventKind::from_u16(admitted.kind)?;
    let len_bytes = match kind {
        EventKind::Report => size_of::<Report>(),
        EventKind::Joined | EventKind::Left => size_of::<Presence>(),
        EventKind::Alert => size_of::<Alert>(),
        _ => return None,
    };
    (usize::from(admitted.len_bytes) == len_bytes).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_tells_each_crossing_once() {
        let mut watch = Watch { cell: "ci".into(), threshold: 1.0, hysteresis: 0.1, above: None };
        let seen: Vec<_> = [0.5, 1.05, 1.2, 1.05, 0.95, 0.85, f64::NAN, 1.0, 1.11]
            .into_iter()
            .map(|value| watch.look(value))
            .collect();
        assert_eq!(seen, [None, None, Some(1), None, None, Some(-1), None, None, Some(1)]);
    }

    #[test]
    fn only_four_kinds_enter_from_outside() {
        for kind in EventKind::ALL {
            let mut admitted = Admitted::zeroed();
            admitted.kind = kind as u16;
            for len in 0..=96 {
                admitted.len_bytes = len;
                let allowed = matches!(
                    (kind, len),
                    (EventKind::Report | EventKind::Alert, 96)
                        | (EventKind::Joined | EventKind::Left, 80)
                );
                assert_eq!(admitted_kind(&admitted).is_some(), allowed);
            }
        }
    }
}
