//! Events, runs and databases for the tests.
#![allow(dead_code)]

pub(crate) mod process;

use std::path::Path;

use bytemuck::{Pod, Zeroable};
use recorder::database::{Database, Durability};
use recorder::entry::{Block, Entry, PlaneFacts};
use recorder::store::{RunIdentity, Store};
use recorder::topology::Topology;
use rsw_schemas::event::{AgentMetric, EventKind, Slot, Tick};

pub(crate) const TOPOLOGY: &str = r#"{
    "project": "test",
    "agents": [
        {"agent_id": 1, "name": "left", "group": "left", "site": [8, 8]},
        {"agent_id": 2, "name": "right", "group": "right", "site": [24, 8]}
    ],
    "config": {"recorder": {"window_ticks": 32, "keyframe_ticks": 16}}
}"#;

pub(crate) fn identity(uuid: u8) -> RunIdentity {
    RunIdentity {
        uuid: [uuid; 16],
        project: "test".into(),
        topology: Topology::parse(TOPOLOGY.into()).unwrap(),
    }
}

pub(crate) fn store(dir: &Path, uuid: u8) -> Store {
    let Database { connection, set_aside, .. } =
        Database::open(dir, Durability::Process, 1).unwrap();
    assert_eq!(set_aside, None);
    Store::begin(connection, identity(uuid), 1).unwrap()
}

pub(crate) fn facts(generation: u64, first_sequence: u64) -> PlaneFacts {
    PlaneFacts {
        generation,
        first_sequence,
        writer_pid: 7,
        wall_ns: 11,
        mono_ns: 12,
        boot_id: [1; 16],
        layout_hash: 13,
        nx: 32,
        ny: 16,
        tick_period_ns: 10_000_000,
    }
}

pub(crate) fn slot<T: Pod>(
    kind: EventKind,
    generation: u32,
    source: u32,
    t_ns: i64,
    body: &T,
) -> Slot {
    let bytes = bytemuck::bytes_of(body);
    let mut slot = Slot { kind: kind as u16, generation, source, t_ns, ..Slot::zeroed() };
    slot.len_bytes = bytes.len() as u16;
    slot.payload[..bytes.len()].copy_from_slice(bytes);
    slot
}

pub(crate) fn tick(number: u64) -> Tick {
    let ci_mean = 0.05 + 0.02 * (number as f64 / 5.0).sin();
    Tick {
        tick: number,
        ci_mean,
        d_global: f64::NAN,
        coherence_mean: 0.5,
        energy: 1.0,
        ..Tick::zeroed()
    }
}

pub(crate) fn metric(agent_id: u32, number: u64) -> AgentMetric {
    let phase = number as f64 / (3.0 + f64::from(agent_id));
    AgentMetric {
        tick: number,
        agent_id,
        flags: 0,
        d: 1.4 + 0.1 * phase.sin(),
        c: 0.6,
        g: 0.2 + 0.05 * phase.cos(),
        tau: 0.3,
        ci: 0.04 + 0.01 * phase.sin(),
        u: -0.0,
        drive: f64::NAN,
    }
}

pub(crate) fn t_ns(number: u64) -> i64 {
    number as i64 * 10_000_000
}

/// One tick of two agents: a tick and two metrics.
pub(crate) fn tick_slots(generation: u32, number: u64) -> Vec<Slot> {
    vec![
        slot(EventKind::Tick, generation, 0, t_ns(number), &tick(number)),
        slot(EventKind::AgentMetric, generation, 1, t_ns(number), &metric(1, number)),
        slot(EventKind::AgentMetric, generation, 2, t_ns(number), &metric(2, number)),
    ]
}

pub(crate) fn events(first: u64, slots: Vec<Slot>) -> Entry {
    Entry::Events(Block { first, slots })
}
