//! What decides latency on this machine: processor, cores and their siblings, frequency, clock, memory, host.
//!
//! ```
//! let machine = rsw_machine::Machine::read(); // never fails: what cannot be read is `None`
//! for (name, value) in machine.facts() {
//!     println!("{name:<14} {}", value.as_deref().unwrap_or("unknown"));
//! }
//! ```
//!
//! The whole door: [`Machine::read`] looks at `/`, [`Machine::read_at`] at a folder of the same shape (tests);
//! every fact is a public field; [`Machine::facts`] is all of them as names and texts in a fixed order, for a
//! table or a JSON object; [`Machine::usable`], [`Machine::cpu`], [`Machine::siblings`] and
//! [`Machine::node_of`] answer what placing a process asks, and [`placement`] places a swarm.
//!
//! # Non-goals
//! Changing anything; judging (that is `runtime doctor`); machines other than those that run Linux.
//!
//! Everything here is safe to call from any thread. Reading takes some hundred small files: a millisecond or
//! a few, so do it before a measurement and not within one.

#![forbid(unsafe_code)]

pub mod placement;

mod cpus;

mod host;

mod source;

use std::path::Path;

pub use cpus::{Cpu, NumaNode};
pub use host::Limit;

use source::Source;

/// The facts. `None`: this machine (or this container) does not tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Release of the running kernel, such as `6.12.3-amd64`.
    pub kernel_release: Option<String>,
    /// What the processor calls itself.
    pub cpu_model: Option<String>,
    /// Logical CPUs that are online, ascending; empty where `/sys` does not tell.
    pub cpus: Vec<Cpu>,
    /// CPUs in the mask of this process, ascending.
    pub mask: Option<Vec<usize>>,
    /// CPUs that the scheduler leaves alone (`isolcpus=`), ascending.
    pub isolated: Option<Vec<usize>>,
    /// CPUs without a timer tick while one thread runs on them (`nohz_full=`), ascending.
    pub nohz_full: Option<Vec<usize>>,
    /// Whether cores run more than one hardware thread.
    pub smt: Option<bool>,
    /// Whether the processor may exceed its nominal frequency.
    pub turbo: Option<bool>,
    /// Mode of transparent huge pages for private memory: `always`, `madvise` or `never`.
    pub thp: Option<String>,
    /// The same for shared memory: `always`, `within_size`, `advise`, `never`, `deny` or `force`.
    pub thp_shared: Option<String>,
    /// What the kernel reads time from, such as `tsc`.
    pub clock_source: Option<String>,
    /// What it could read time from.
    pub clock_sources: Option<Vec<String>>,
    /// Whether the processor promises a time stamp counter of one rate in every state of power.
    pub tsc_invariant: Option<bool>,
    /// Whether a hypervisor announces itself.
    pub virtualised: Option<bool>,
    /// Its name, such as `KVM`, as far as it can be told.
    pub hypervisor: Option<String>,
    /// Share of all CPU time since boot that the host gave to others, from 0 to 1.
    pub steal_share: Option<f64>,
    /// Bytes that this process may lock in memory (soft limit).
    pub memlock: Option<Limit>,
    /// NUMA nodes, ascending; empty where `/sys` does not tell.
    pub numa_nodes: Vec<NumaNode>,
    /// Bytes of a page.
    pub page_bytes: usize,
    /// Bytes of a transparent huge page.
    pub huge_page_bytes: Option<u64>,
}

impl Machine {
    /// This machine, now, as this process sees it.
    pub fn read() -> Self {
        Self::read_at(Path::new("/"))
    }

    /// As [`Machine::read`], with `proc` and `sys` in the folder `root`. Only the page size is always the
    /// real one.
    pub fn read_at(root: &Path) -> Self {
        let source = Source::new(root);
        let cpuinfo = source.text("proc/cpuinfo").unwrap_or_default();
        let clock = "sys/devices/system/clocksource/clocksource0";
        let clock_sources = source.text(&format!("{clock}/available_clocksource"));
        let clock_sources: Option<Vec<String>> =
            clock_sources.map(|text| text.split_whitespace().map(str::to_owned).collect());
        let numa_nodes = cpus::numa_nodes(&source);
        Self {
            kernel_release: source.text("proc/sys/kernel/osrelease"),
            cpu_model: host::cpu_model(&source, &cpuinfo),
            cpus: cpus::online(&source, &numa_nodes),
            mask: cpus::mask(&source),
            isolated: source.cpus("sys/devices/system/cpu/isolated"),
            nohz_full: source.cpus("sys/devices/system/cpu/nohz_full"),
            smt: source.flag("sys/devices/system/cpu/smt/active"),
            turbo: host::turbo(&source),
            thp: source.chosen("sys/kernel/mm/transparent_hugepage/enabled"),
            thp_shared: source.chosen("sys/kernel/mm/transparent_hugepage/shmem_enabled"),
            clock_source: source.text(&format!("{clock}/current_clocksource")),
            tsc_invariant: host::tsc_invariant(&cpuinfo),
            virtualised: host::virtualised(&source, &cpuinfo),
            hypervisor: host::hypervisor(&source, clock_sources.as_deref().unwrap_or_default()),
            clock_sources,
            steal_share: host::steal_share(&source),
            memlock: host::memlock(&source),
            numa_nodes,
            page_bytes: rsw_os::process::page_bytes(),
            huge_page_bytes: source.number("sys/kernel/mm/transparent_hugepage/hpage_pmd_size"),
        }
    }

    /// CPUs that a process of ours may be pinned to, ascending: those of the mask, and the isolated ones if
    /// nobody narrowed the mask.
    ///
    /// The kernel leaves isolated CPUs out of the mask that every process inherits from the first one, so
    /// naming them is the only way to use them. A mask that lacks other CPUs, too, was narrowed on purpose
    /// (`taskset`, a container): then it alone counts.
    pub fn usable(&self) -> Vec<usize> {
        let online: Vec<usize> = self.cpus.iter().map(|cpu| cpu.id).collect();
        let mask = self.mask.clone().unwrap_or_else(|| online.clone());
        let isolated = self.isolated.as_deref().unwrap_or_default();
        if !online.iter().all(|cpu| mask.contains(cpu) || isolated.contains(cpu)) {
            return mask;
        }
        let mut usable = mask;
        usable.extend(isolated.iter().filter(|cpu| online.contains(cpu)));
        usable.sort_unstable();
        usable.dedup();
        usable
    }

    /// The facts of one logical CPU, if it is online.
    pub fn cpu(&self, id: usize) -> Option<&Cpu> {
        self.cpus.iter().find(|cpu| cpu.id == id)
    }

    /// The hardware threads of the core of `cpu`, itself included, ascending; `cpu` alone where the machine
    /// does not tell.
    pub fn siblings(&self, cpu: usize) -> Vec<usize> {
        self.cpu(cpu).and_then(|cpu| cpu.siblings.clone()).unwrap_or_else(|| vec![cpu])
    }

    /// The NUMA node of a CPU.
    pub fn node_of(&self, cpu: usize) -> Option<usize> {
        self.numa_nodes.iter().find(|node| node.cpus.contains(&cpu)).map(|node| node.id)
    }

    /// Whether the scheduler leaves this CPU alone.
    pub fn is_isolated(&self, cpu: usize) -> bool {
        self.isolated.as_ref().is_some_and(|isolated| isolated.contains(&cpu))
    }

    /// Every fact as a name and a text, always the same names in the same order.
    pub fn facts(&self) -> Vec<(&'static str, Option<String>)> {
        let list = |cpus: &Option<Vec<usize>>| {
            let text = rsw_os::affinity::format_list(cpus.as_ref()?);
            Some(if text.is_empty() { "none".to_owned() } else { text })
        };
        let on = |flag: Option<bool>| flag.map(|on| if on { "on" } else { "off" }.to_owned());
        let count = |count: usize| (count > 0).then(|| count.to_string());
        vec![
            ("cpu", self.cpu_model.clone()),
            ("cpus", count(self.cpus.len())),
            ("mask", list(&self.mask)),
            ("smt", on(self.smt)),
            ("siblings", cpus::siblings_text(&self.cpus)),
            ("isolated", list(&self.isolated)),
            ("nohz_full", list(&self.nohz_full)),
            ("governor", cpus::governors_text(&self.cpus)),
            ("turbo", on(self.turbo)),
            ("clock_source", self.clock_source.clone()),
            ("thp", self.thp.clone()),
            ("thp_shared", self.thp_shared.clone()),
            ("page_bytes", Some(self.page_bytes.to_string())),
            ("memlock", self.memlock.map(|limit| limit.to_string())),
            ("numa", cpus::numa_text(&self.numa_nodes)),
            ("virtualised", self.virtualised_text()),
            ("steal", self.steal_share.map(|share| format!("{:.2} %", share * 100.0))),
            ("kernel", self.kernel_release.clone()),
        ]
    }

    fn virtualised_text(&self) -> Option<String> {
        Some(match (self.virtualised?, &self.hypervisor) {
            (false, _) => "no".into(),
            (true, None) => "yes".into(),
            (true, Some(name)) => format!("yes ({name})"),
        })
    }
}

#[cfg(test)]
mod tests;
