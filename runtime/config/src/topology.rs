//! The swarm with nothing left to decide: what the supervisor starts and the kernel gets as JSON.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::{Auto, SourceSection, SwarmConfig};

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

/// Cells below which one solver thread is enough: the hand-over between threads takes longer than they save.
const ONE_THREAD_CELLS: u64 = 512 * 512;
/// Most solver threads that `cpu.threads = "auto"` takes.
const AUTO_THREADS_MAX: usize = 8;

impl Topology {
    /// Fewest and most solver threads; how many of them there are depends on the cores that the kernel gets.
    pub fn solver_threads(&self) -> RangeInclusive<usize> {
        let [nx, ny] = self.config.field.size;
        match self.config.cpu.threads {
            Auto::Set(threads) => threads as usize..=threads as usize,
            Auto::Auto if u64::from(nx) * u64::from(ny) < ONE_THREAD_CELLS => 1..=1,
            Auto::Auto => 1..=AUTO_THREADS_MAX,
        }
    }
}

/// A source with its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedSource {
    /// Key of its `[source.NAME]` table.
    pub name: String,
    /// Its table.
    pub source: SourceSection,
}
