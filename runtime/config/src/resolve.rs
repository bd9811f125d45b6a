//! From a checked configuration to a topology with nothing left to decide.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::path::Path;

use rsw_schemas::event::Slot;
use rsw_schemas::field::FrameHeader;

use crate::check::{courant, dt_limit};
use crate::lattice::lattice;
use crate::load::Loaded;
use crate::model::{Auto, SwarmConfig};
use crate::topology::{AgentInstance, NamedSource, Topology};
use crate::words::plain_name;

/// Courant number of `dt = "auto"`: room for rounding, and still little dispersion.
pub(crate) const AUTO_COURANT: f64 = 0.7;

/// Name of the project that the text of a swarm file in `folder` describes, whatever else is wrong with it; `None` if it
/// is no TOML.
pub fn name_in(text: &str, folder: &Path) -> Option<String> {
    let table = text.parse::<toml::Table>().ok()?;
    let name = table.get("swarm").and_then(|swarm| swarm.get("name")?.as_str());
    Some(name.map_or_else(|| name_of(folder), str::to_owned))
}

/// Name of a project that has none.
fn name_of(folder: &Path) -> String {
    plain_name(&folder.file_name().unwrap_or_default().to_string_lossy(), "swarm")
}

/// Decides everything that the configuration leaves open. Pure: the same input gives the same topology.
pub fn resolve(loaded: &Loaded) -> Topology {
    let mut config = loaded.config.clone();
    for source in config.source.values_mut() {
        source.csv = source.csv.take().map(|csv| loaded.folder.join(csv));
    }
    for annotation in config.annotation.values_mut() {
        annotation.csv = loaded.folder.join(&annotation.csv);
    }
    let dt = match config.field.dt {
        Auto::Auto => AUTO_COURANT * dt_limit(&config.field),
        Auto::Set(dt) => dt,
    };
    let tick_period_ns = tick_period_ns(loaded);
    let report_ticks = match config.sync.report_ticks {
        Auto::Auto => report_ticks(tick_period_ns),
        Auto::Set(ticks) => ticks,
    };
    let project = config.swarm.name.clone().unwrap_or_else(|| name_of(&loaded.folder));
    let sources: Vec<NamedSource> = config
        .source
        .iter()
        .map(|(name, source)| NamedSource { name: name.clone(), source: source.clone() })
        .collect();
    Topology {
        project,
        folder: loaded.folder.clone(),
        dt,
        courant: courant(&config.field, dt).min(1.0),
        tick_period_ns,
        report_ticks,
        ticks_limit: loaded.ticks,
        agents: agents(&config, &sources),
        sources,
        config,
    }
}

fn tick_period_ns(loaded: &Loaded) -> u64 {
    let recorded = loaded.drive.as_ref().and_then(|drive| drive.period_ns);
    let tick = &loaded.config.tick;
    match recorded {
        Some(period_ns) => period_ns,
        None if tick.rate_hz > 0.0 => ((1e9 / tick.rate_hz).round() as u64).max(1),
        None => tick.period_ns,
    }
}

/// One second of field time, in ticks.
fn report_ticks(tick_period_ns: u64) -> u32 {
    let ticks = (tick_period_ns / 2).saturating_add(1_000_000_000) / tick_period_ns.max(1);
    u32::try_from(ticks.max(1)).unwrap_or(u32::MAX)
}

fn agents(config: &SwarmConfig, sources: &[NamedSource]) -> Vec<AgentInstance> {
    let source_index: BTreeMap<&str, usize> =
        sources.iter().enumerate().map(|(i, source)| (source.name.as_str(), i)).collect();
    let mut agents = Vec::new();
    let mut unplaced = Vec::new();
    for (group, agent) in &config.agent {
        for replica in 1..=agent.replicas {
            let name = match agent.replicas {
                1 => group.clone(),
                _ => format!("{group}-{replica}"),
            };
            let source = source_index.get(&*name).or_else(|| source_index.get(&**group)).copied();
            let site = agent.at.or_else(|| source.map(|source| sources[source].source.at));
            if site.is_none() {
                unplaced.push(agents.len());
            }
            agents.push(AgentInstance {
                agent_id: agents.len() as u32 + 1,
                name,
                group: group.clone(),
                site: site.unwrap_or_default(),
                source,
            });
        }
    }
    for (index, site) in unplaced.iter().zip(lattice(unplaced.len(), config.field.size)) {
        agents[*index].site = site;
    }
    agents
}

/// Frames held for each published field: one being written, one just published, one being read.
const FRAMES_PER_FIELD: u64 = 4;
/// Bytes of state for each cell in one checkpoint: two wave layers, envelope, dwell statistics.
const CHECKPOINT_BYTES_PER_CELL: u64 = 32;
/// Bytes of one agent's row in a metrics batch, null bitmaps and padding included.
const METRIC_ROW_BYTES: u64 = 128;
/// Batches that the arena holds before it wraps.
const BATCHES_HELD: u64 = 64;
/// Header, control lines, counters, and the board's cells that do not depend on the swarm.
const FIXED_BYTES: u64 = 256 << 10;

/// Estimate, on the high side, of the shared memory that the plane of this swarm takes, in bytes.
///
/// For the check against free memory before anything starts; the kernel's own layout is the truth.
pub fn plane_bytes_estimate(topology: &Topology) -> u64 {
    let config = &topology.config;
    let cells = u64::from(config.field.size[0]) * u64::from(config.field.size[1]);
    let header_bytes = size_of::<FrameHeader>() as u64;
    let fields = config.field.publish.len() as u64 * FRAMES_PER_FIELD * (cells * 4 + header_bytes);
    let checkpoints = 2 * (cells * CHECKPOINT_BYTES_PER_CELL + header_bytes);
    let agents = topology.agents.len() as u64;
    let rows = agents * u64::from(config.metrics.batch_ticks);
    let batches = BATCHES_HELD * (rows * METRIC_ROW_BYTES + 4096);
    let board = agents * 8 * 256;
    let ring = config.ring.slots * size_of::<Slot>() as u64;
    FIXED_BYTES + ring + fields + checkpoints + batches + board
}
