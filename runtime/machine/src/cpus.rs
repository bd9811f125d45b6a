//! Logical CPUs: which there are, which share a core, which node they belong to.

use std::collections::BTreeSet;

use rsw_os::affinity::{format_list, parse_list};

use crate::source::Source;

/// One logical CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub id: usize,
    /// The hardware threads of its core, itself included, ascending.
    pub siblings: Option<Vec<usize>>,
    /// Number of its socket.
    pub package: Option<usize>,
    /// Number of its NUMA node.
    pub node: Option<usize>,
    /// Who sets its frequency, such as `performance`.
    pub governor: Option<String>,
    /// Its highest frequency in MHz.
    pub mhz_max: Option<u64>,
}

/// One NUMA node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumaNode {
    /// Its number.
    pub id: usize,
    /// Its CPUs, ascending; empty for a node of memory alone.
    pub cpus: Vec<usize>,
}

pub(crate) fn numa_nodes(source: &Source) -> Vec<NumaNode> {
    let folder = "sys/devices/system/node";
    let ids = source.cpus(&format!("{folder}/online")).unwrap_or_default();
    let node = |id| NumaNode {
        id,
        cpus: source.cpus(&format!("{folder}/node{id}/cpulist")).unwrap_or_default(),
    };
    ids.into_iter().map(node).collect()
}

pub(crate) fn online(source: &Source, nodes: &[NumaNode]) -> Vec<Cpu> {
    let folder = "sys/devices/system/cpu";
    let ids = source.cpus(&format!("{folder}/online")).unwrap_or_default();
    let cpu = |id| {
        let path = format!("{folder}/cpu{id}");
        Cpu {
            id,
            siblings: source
                .cpus(&format!("{path}/topology/thread_siblings_list"))
                .filter(|siblings| siblings.contains(&id)),
            package: source
                .number(&format!("{path}/topology/physical_package_id"))
                .and_then(|number| usize::try_from(number).ok()),
            node: nodes.iter().find(|node| node.cpus.contains(&id)).map(|node| node.id),
            governor: source.word(&format!("{path}/cpufreq/scaling_governor")),
            mhz_max: source
                .number(&format!("{path}/cpufreq/cpuinfo_max_freq"))
                .map(|khz| khz / 1000),
        }
    };
    ids.into_iter().map(cpu).collect()
}

pub(crate) fn mask(source: &Source) -> Option<Vec<usize>> {
    let status = source.text("proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    parse_list(list).ok()
}

/// Cores that run several threads, each as a list: `0,4 1,5`; `none` if no core does.
pub(crate) fn siblings_text(cpus: &[Cpu]) -> Option<String> {
    let told: Option<BTreeSet<&Vec<usize>>> =
        cpus.iter().map(|cpu| cpu.siblings.as_ref()).collect();
    let cores: Vec<String> = told
        .filter(|cores| !cores.is_empty())?
        .into_iter()
        .filter(|core| core.len() > 1)
        .map(|core| format_list(core))
        .collect();
    Some(if cores.is_empty() { "none".into() } else { cores.join(" ") })
}

/// Every governor in use: one word on most machines.
pub(crate) fn governors_text(cpus: &[Cpu]) -> Option<String> {
    let words: BTreeSet<&str> = cpus.iter().filter_map(|cpu| cpu.governor.as_deref()).collect();
    (!words.is_empty()).then(|| words.into_iter().collect::<Vec<_>>().join(", "))
}

/// `0: 0-7, 1: 8-15`.
pub(crate) fn numa_text(nodes: &[NumaNode]) -> Option<String> {
    let each = |node: &NumaNode| format!("{}: {}", node.id, format_list(&node.cpus));
    (!nodes.is_empty()).then(|| nodes.iter().map(each).collect::<Vec<_>>().join(", "))
}
