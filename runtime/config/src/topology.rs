//! The swarm with nothing left to decide: what the supervisor starts and the kernel gets as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{SourceSection, SwarmConfig};

/// One agent process to be: replicas spread out, site and wait strategy decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentInstance {
    /// From 1, dense; also the index of its site.
    pub agent_id: u32,
    /// `NAME`, or `NAME-K` where there are several replicas.
    pub name: String,
    /// Key of its `[agent.NAME]` table.
    pub group: String,
    /// Cell x, y of its site.
    pub site: [u32; 2],
    /// Index into [`Topology::sources`] of the source with its name, if any.
    pub source: Option<usize>,
}

/// The swarm, with nothing left to decide: what the supervisor starts and what the kernel gets as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// The checked configuration, `auto` values still as written.
    pub config: SwarmConfig,
    /// Project name.
    pub project: String,
    /// Folder of the swarm file (or the working folder): relative paths start here.
    pub folder: PathBuf,
    /// Time step in time units.
    pub dt: f64,
    /// Courant number of the 2-D form, `c dt sqrt(1/dx^2+1/dy^2)`; at most 1.
    pub courant: f64,
    /// Nominal nanoseconds of field time a tick.
    pub tick_period_ns: u64,
    /// Ticks from one report to the next.
    pub report_ticks: u32,
    /// Stop after this many ticks (`--ticks`).
    pub ticks_limit: Option<u64>,
    /// Sources in the order of their names; CSV paths absolute.
    pub sources: Vec<NamedSource>,
    /// Every agent process.
    pub agents: Vec<AgentInstance>,
}

/// A source with its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedSource {
    /// Key of its `[source.NAME]` table.
    pub name: String,
    /// Its table.
    pub source: SourceSection,
}
