//! Who runs where: from a machine and what a swarm asks for to one list of CPUs a process.
//!
//! A pure function. What `auto` means, in the order in which it is tried:
//!
//! 1. The kernel gets isolated CPUs, if there are enough that nobody else named and others have a place to run.
//! 2. Else it gets cores of its own, whose other hardware threads stay free: at most half of the cores (more
//!    only if its number of threads is set), all of one NUMA node where possible, the highest numbers first (the
//!    first cores serve the interrupts of most machines). The others must keep at least [`OTHERS_MIN`] CPUs.
//! 3. Else, on small machines, nobody is pinned: a scheduler that may move everybody beats two busy processes
//!    on one core.
//!
//! Everybody else with `auto` may run anywhere but there: not on the kernel's cores, nor on their other hardware
//! threads, nor on isolated CPUs, nor on CPUs that somebody named for himself, as long as this leaves
//! [`OTHERS_MIN`] of them. A list is taken as it is. `off` leaves the mask as it is inherited.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;

use rsw_os::affinity::format_list;

use crate::Machine;

/// CPUs that the kernel leaves to everybody else when it takes cores by itself.
pub const OTHERS_MIN: usize = 2;

/// What the swarm file says about one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// `auto`.
    Auto,
    /// `off`.
    Off,
    /// These CPUs, ascending, each once.
    List(Vec<usize>),
}

/// One process, or several of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The key or flag that says so, for errors: `cpu.kernel`.
    pub key: String,
    /// What it says.
    pub want: Want,
}

/// A swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The one writer.
    pub kernel: Demand,
    /// Fewest and most threads that it keeps busy; both at least 1.
    pub kernel_threads: RangeInclusive<usize>,
    /// Everybody else.
    pub others: Vec<Demand>,
}

/// Why a process runs where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The swarm file names the CPUs.
    Named,
    /// It has isolated CPUs.
    Isolated,
    /// It has cores of its own.
    Alone,
    /// It runs where the kernel does not.
    Apart,
    /// `off`, or nobody to stay apart from.
    Free,
    /// There are too few CPUs to give one away.
    TooFew,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "as named",
            Self::Isolated => "isolated",
            Self::Alone => "alone on its core",
            Self::Apart => "apart from the kernel",
            Self::Free => "not pinned",
            Self::TooFew => "not pinned (too few cores)",
        })
    }
}

/// Where one process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// CPUs to pin it to, ascending; empty: it stays as it is.
    pub cpus: Vec<usize>,
    /// Why.
    pub reason: Reason,
}

impl Placement {
    fn free(reason: Reason) -> Self {
        Self { cpus: Vec::new(), reason }
    }
}

/// `3 (alone on its core)`, or the reason where nothing is pinned.
impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cpus.is_empty() {
            return write!(f, "{}", self.reason);
        }
        write!(f, "{} ({})", format_list(&self.cpus), self.reason)
    }
}

/// Where a swarm runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placements {
    /// The kernel.
    pub kernel: Placement,
    /// The others, in the order of the request.
    pub others: Vec<Placement>,
}

/// Why a swarm cannot run as asked: a CPU that this process cannot give to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceError {
    /// The key or flag that names it.
    pub key: String,
    /// The CPU.
    pub cpu: usize,
    /// Whether the machine has it at all.
    pub online: bool,
    /// What could be named instead.
    pub usable: Vec<usize>,
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, cpu, online, usable } = self;
        let usable = format_list(usable);
        match online {
            true => write!(
                f,
                "{key} names core {cpu}, which is outside the CPU mask of this process ({usable})"
            ),
            false => {
                write!(f, "{key} names core {cpu}, which is not online here (usable: {usable})")
            }
        }
    }
}

impl Error for PlaceError {}

impl PlaceError {
    /// What to do about it.
    pub fn way_out(&self) -> String {
        let name = format!("name cores of {}, or \"auto\"", format_list(&self.usable));
        if !self.online {
            return name;
        }
        let mut wider = self.usable.clone();
        wider.push(self.cpu);
        wider.sort_unstable();
        format!("{name}; or widen the mask: taskset -c {} runtime up", format_list(&wider))
    }
}

/// Places a swarm on a machine.
///
/// # Errors
/// The first CPU of a list that is not usable (see [`Machine::usable`]).
pub fn place(machine: &Machine, request: &Request) -> Result<Placements, PlaceError> {
    let usable = machine.usable();
    for demand in std::iter::once(&request.kernel).chain(&request.others) {
        check(machine, &usable, demand)?;
    }
    let named: Vec<usize> = request
        .others
        .iter()
        .filter_map(|other| match &other.want {
            Want::List(cpus) => Some(cpus),
            Want::Auto | Want::Off => None,
        })
        .flatten()
        .copied()
        .collect();
    let site = Site { machine, usable, named };
    let kernel = match &request.kernel.want {
        Want::Off => Placement::free(Reason::Free),
        Want::List(cpus) => Placement { cpus: cpus.clone(), reason: Reason::Named },
        Want::Auto => site.for_kernel(&request.kernel_threads),
    };
    let apart = site.apart_from(&kernel);
    let others = request.others.iter().map(|other| match &other.want {
        Want::Off => Placement::free(Reason::Free),
        Want::List(cpus) => Placement { cpus: cpus.clone(), reason: Reason::Named },
        Want::Auto => apart.clone(),
    });
    let others = others.collect();
    Ok(Placements { kernel, others })
}

fn check(machine: &Machine, usable: &[usize], demand: &Demand) -> Result<(), PlaceError> {
    let Want::List(cpus) = &demand.want else { return Ok(()) };
    // A machine that tells nothing cannot be asked; then the system call that pins will answer.
    let outside = cpus.iter().find(|cpu| !usable.is_empty() && !usable.contains(cpu));
    outside.map_or(Ok(()), |&cpu| {
        Err(PlaceError {
            key: demand.key.clone(),
            cpu,
            online: machine.cpu(cpu).is_some(),
            usable: usable.to_vec(),
        })
    })
}

/// What there is to give.
struct Site<'a> {
    machine: &'a Machine,
    usable: Vec<usize>,
    /// What the others have for themselves.
    named: Vec<usize>,
}

/// A core as the kernel would take it: one of its hardware threads.
struct Core {
    cpu: usize,
    /// Whether nobody named another hardware thread of it.
    clean: bool,
    tickless: bool,
    node: Option<usize>,
}

impl Site<'_> {
    fn for_kernel(&self, threads: &RangeInclusive<usize>) -> Placement {
        let isolated = |cpu: &usize| self.machine.is_isolated(*cpu);
        let ordinary: Vec<usize> =
            self.usable.iter().copied().filter(|cpu| !isolated(cpu)).collect();
        // On a machine of isolated CPUs alone they are as good as any.
        if !ordinary.is_empty() {
            let pool = self.cores(|cpu| isolated(&cpu));
            let counts = *threads.start()..=pool.len().min(*threads.end());
            if let Some(cpus) = self.largest(&pool, counts, ordinary.len().min(OTHERS_MIN)) {
                return Placement { cpus, reason: Reason::Isolated };
            }
        }
        let pool = self.cores(|cpu| ordinary.is_empty() || !isolated(&cpu));
        let most = (pool.len() / 2).min(*threads.end()).max(*threads.start());
        match self.largest(&pool, *threads.start()..=most.min(pool.len()), OTHERS_MIN) {
            Some(cpus) => Placement { cpus, reason: Reason::Alone },
            None => Placement::free(Reason::TooFew),
        }
    }

    /// As many of these cores as leave `others` CPUs beside them.
    fn largest(
        &self,
        pool: &[Core],
        counts: RangeInclusive<usize>,
        others: usize,
    ) -> Option<Vec<usize>> {
        counts
            .rev()
            .map(|count| {
                let mut cpus: Vec<usize> = pool[..count].iter().map(|core| core.cpu).collect();
                cpus.sort_unstable();
                cpus
            })
            .find(|cpus| self.beside(cpus).len() >= others)
    }

    /// Where those run who stay apart from the kernel.
    fn apart_from(&self, kernel: &Placement) -> Placement {
        if kernel.cpus.is_empty() {
            return Placement::free(kernel.reason);
        }
        let beside = self.beside(&kernel.cpus);
        let unnamed: Vec<usize> =
            beside.iter().copied().filter(|cpu| !self.named.contains(cpu)).collect();
        let other_threads = self.ordinary(|cpu| !kernel.cpus.contains(&cpu));
        let enough = [&unnamed, &beside, &other_threads]
            .into_iter()
            .find(|cpus| cpus.len() >= OTHERS_MIN)
            .or_else(|| [&beside, &other_threads].into_iter().find(|cpus| !cpus.is_empty()));
        match enough {
            Some(cpus) => Placement { cpus: cpus.clone(), reason: Reason::Apart },
            None => Placement::free(Reason::TooFew),
        }
    }

    /// CPUs on other cores than these.
    fn beside(&self, cpus: &[usize]) -> Vec<usize> {
        let taken: Vec<usize> =
            cpus.iter().flat_map(|cpu| self.machine.siblings(*cpu)).chain(cpus.to_vec()).collect();
        self.ordinary(|cpu| !taken.contains(&cpu))
    }

    /// Usable CPUs that fit, without isolated ones as long as there are others.
    fn ordinary(&self, fits: impl Fn(usize) -> bool) -> Vec<usize> {
        let all: Vec<usize> = self.usable.iter().copied().filter(|cpu| fits(*cpu)).collect();
        let ordinary: Vec<usize> =
            all.iter().copied().filter(|cpu| !self.machine.is_isolated(*cpu)).collect();
        if ordinary.is_empty() { all } else { ordinary }
    }

    /// Cores with a CPU that `fits` and that nobody named, best first.
    fn cores(&self, fits: impl Fn(usize) -> bool) -> Vec<Core> {
        let mut by_core: BTreeMap<Vec<usize>, Core> = BTreeMap::new();
        for &cpu in self.usable.iter().filter(|cpu| fits(**cpu) && !self.named.contains(cpu)) {
            let siblings = self.machine.siblings(cpu);
            let core = Core {
                cpu,
                clean: !siblings.iter().any(|sibling| self.named.contains(sibling)),
                tickless: self.machine.nohz_full.as_ref().is_some_and(|list| list.contains(&cpu)),
                node: self.machine.node_of(cpu),
            };
            by_core.entry(siblings).or_insert(core);
        }
        let mut cores: Vec<Core> = by_core.into_values().collect();
        let mut in_node: BTreeMap<Option<usize>, usize> = BTreeMap::new();
        for core in &cores {
            *in_node.entry(core.node).or_default() += 1;
        }
        cores.sort_by_key(|core| {
            let room = in_node[&core.node];
            (!core.clean, !core.tickless, Reverse(room), core.node, Reverse(core.cpu))
        });
        cores
    }
}

#[cfg(test)]
mod tests;
