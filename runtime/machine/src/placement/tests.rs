//! Placements on machines made of files: three that exist in the world, then any.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use rsw_os::affinity::parse_list;

use super::*;
use crate::tests::{put, put_cores};
use crate::{Cpu, NumaNode};

/// A machine: its cores as lists of threads, the mask, the isolated CPUs, the CPUs of each node.
fn machine(cores: &[String], mask: &str, isolated: &str, nodes: &[String]) -> Machine {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let all: BTreeSet<usize> = cores.iter().flat_map(|core| parse_list(core).unwrap()).collect();
    let online = format_list(&all.into_iter().collect::<Vec<_>>());
    let cores: Vec<&str> = cores.iter().map(String::as_str).collect();
    put_cores(root, &online, &cores);
    put(root, "proc/self/status", &format!("Cpus_allowed_list:\t{mask}\n"));
    put(root, "sys/devices/system/cpu/isolated", isolated);
    put(root, "sys/devices/system/node/online", &format!("0-{}", nodes.len().max(1) - 1));
    for (id, cpus) in nodes.iter().enumerate() {
        put(root, &format!("sys/devices/system/node/node{id}/cpulist"), cpus);
    }
    Machine::read_at(root)
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn two_cores() -> Machine {
    machine(&strings(&["0", "1"]), "0-1", "", &strings(&["0-1"]))
}

/// `isolcpus=6-7,14-15`: the mask that everybody inherits lacks them.
fn eight_cores_two_isolated() -> Machine {
    let cores = ["0,8", "1,9", "2,10", "3,11", "4,12", "5,13", "6,14", "7,15"];
    machine(&strings(&cores), "0-5,8-13", "6-7,14-15", &strings(&["0-15"]))
}

fn two_nodes() -> Machine {
    let cores: Vec<String> = (0..16).map(|cpu| cpu.to_string()).collect();
    machine(&cores, "0-15", "", &strings(&["0-7", "8-15"]))
}

fn want(text: &str) -> Want {
    match text {
        "auto" => Want::Auto,
        "off" => Want::Off,
        list => Want::List(parse_list(list).unwrap()),
    }
}

fn request(kernel: &str, threads: RangeInclusive<usize>, others: &[&str]) -> Request {
    let demand = |key: String, text: &str| Demand { key, want: want(text) };
    Request {
        kernel: demand("cpu.kernel".into(), kernel),
        kernel_threads: threads,
        others: others
            .iter()
            .enumerate()
            .map(|(index, text)| demand(format!("agent.a{index}.cpus"), text))
            .collect(),
    }
}

/// Placements as texts, the kernel's first.
fn placed(
    machine: &Machine,
    kernel: &str,
    threads: RangeInclusive<usize>,
    others: &[&str],
) -> Vec<String> {
    let placements = place(machine, &request(kernel, threads, others)).unwrap();
    let all = std::iter::once(&placements.kernel).chain(&placements.others);
    all.map(ToString::to_string).collect()
}

#[test]
fn two_cores_are_left_to_the_scheduler() {
    let machine = two_cores();
    let few = "not pinned (too few cores)";
    assert_eq!(placed(&machine, "auto", 1..=1, &["auto", "off"]), [few, few, "not pinned"]);
    // What is named is done, and the others keep off.
    assert_eq!(
        placed(&machine, "1", 1..=1, &["auto", "0", "off"]),
        ["1 (as named)", "0 (apart from the kernel)", "0 (as named)", "not pinned"]
    );
    assert_eq!(placed(&machine, "0-1", 1..=2, &["auto"]), ["0-1 (as named)", few]);
    assert_eq!(placed(&machine, "off", 1..=1, &["auto"]), ["not pinned", "not pinned"]);
}

#[test]
fn isolated_cores_are_the_kernels() {
    let machine = eight_cores_two_isolated();
    assert_eq!(
        placed(&machine, "auto", 1..=1, &["auto"]),
        ["7 (isolated)", "0-5,8-13 (apart from the kernel)"]
    );
    assert_eq!(placed(&machine, "auto", 1..=8, &["auto"])[0], "6-7 (isolated)");
    // Four threads are wanted, two isolated cores are there: ordinary ones then.
    assert_eq!(
        placed(&machine, "auto", 4..=4, &["auto"]),
        ["2-5 (alone on its core)", "0-1,8-9 (apart from the kernel)"]
    );
    // Somebody else took an isolated core: the other one is left.
    assert_eq!(placed(&machine, "auto", 1..=1, &["7,15"])[0], "6 (isolated)");
    // Half of one: a core that nobody shares is better.
    assert_eq!(placed(&machine, "auto", 1..=1, &["15"])[0], "6 (isolated)");
    assert_eq!(
        placed(&machine, "3", 1..=1, &["auto", "0-1"]),
        ["3 (as named)", "2,4-5,8-10,12-13 (apart from the kernel)", "0-1 (as named)"]
    );
}

#[test]
fn the_kernel_stays_in_one_node() {
    let machine = two_nodes();
    assert_eq!(
        placed(&machine, "auto", 1..=1, &["auto"]),
        ["7 (alone on its core)", "0-6,8-15 (apart from the kernel)"]
    );
    assert_eq!(placed(&machine, "auto", 1..=8, &["auto"])[0], "0-7 (alone on its core)");
    assert_eq!(placed(&machine, "auto", 1..=4, &["7"])[0], "12-15 (alone on its core)");
}

#[test]
fn a_core_outside_is_an_error_that_names_everything() {
    let machine = eight_cores_two_isolated();
    let outside = place(&machine, &request("auto", 1..=1, &["auto", "3,16"])).unwrap_err();
    assert_eq!(
        outside.to_string(),
        "agent.a1.cpus names core 16, which is not online here (usable: 0-15)"
    );
    assert_eq!(outside.way_out(), "name cores of 0-15, or \"auto\"");
    let cores: Vec<String> = (0..4).map(|cpu| cpu.to_string()).collect();
    let narrowed = super::tests::machine(&cores, "0-1", "", &[]);
    let outside = place(&narrowed, &request("3", 1..=1, &[])).unwrap_err();
    assert_eq!(
        outside.to_string(),
        "cpu.kernel names core 3, which is outside the CPU mask of this process (0-1)"
    );
    assert_eq!(
        outside.way_out(),
        "name cores of 0-1, or \"auto\"; \
         or widen the mask: taskset -c 0-1,3 runtime up"
    );
}

/// Any machine: 1 to 12 cores of 1 or 2 threads (numbered as Intel does, or side by side), some isolated, any
/// mask, one or two nodes.
fn any_machine() -> impl Strategy<Value = Machine> {
    (1_usize..=12, 1_usize..=2, any::<bool>(), any::<u32>(), any::<u32>(), any::<bool>()).prop_map(
        |(count, threads, apart, isolated, mask, split)| {
            let all = count * threads;
            let cpu = |core: usize, thread: usize| {
                if apart { core + thread * count } else { core * threads + thread }
            };
            let cores: Vec<Vec<usize>> = (0..count)
                .map(|core| (0..threads).map(|thread| cpu(core, thread)).collect())
                .collect();
            let chosen = |bits: u32| (0..all).filter(move |cpu| bits >> cpu & 1 == 1);
            let isolated: Vec<usize> = chosen(isolated & isolated >> 7).collect();
            let mut mask: Vec<usize> = chosen(mask | mask >> 9).collect();
            if mask.is_empty() {
                mask = (0..all).filter(|cpu| !isolated.contains(cpu)).collect();
            }
            if mask.is_empty() {
                mask = vec![0];
            }
            let sorted = |mut cpus: Vec<usize>| {
                cpus.sort_unstable();
                cpus
            };
            let nodes: Vec<Vec<usize>> = match split && count > 1 {
                true => vec![cores[..count / 2].concat(), cores[count / 2..].concat()],
                false => vec![(0..all).collect()],
            };
            // Without files: thousands of machines are made.
            let mut machine = Machine::read_at(Path::new("/nowhere"));
            machine.numa_nodes = nodes
                .into_iter()
                .enumerate()
                .map(|(id, cpus)| NumaNode { id, cpus: sorted(cpus) })
                .collect();
            machine.cpus = (0..all)
                .map(|id| Cpu {
                    id,
                    siblings: cores.iter().find(|core| core.contains(&id)).cloned().map(sorted),
                    package: None,
                    node: machine.node_of(id),
                    governor: None,
                    mhz_max: None,
                })
                .collect();
            (machine.mask, machine.isolated) = (Some(mask), Some(isolated));
            machine
        },
    )
}

/// What somebody asks of that machine: a list is made of CPUs that are usable.
fn any_want() -> impl Strategy<Value = Option<Vec<prop::sample::Index>>> {
    prop_oneof![
        3 => Just(Some(Vec::new())),
        1 => Just(None),
        2 => prop::collection::vec(any::<prop::sample::Index>(), 1..3).prop_map(Some),
    ]
}

fn made(want: &Option<Vec<prop::sample::Index>>, usable: &[usize]) -> Want {
    match want {
        None => Want::Off,
        Some(picks) if picks.is_empty() => Want::Auto,
        Some(picks) => {
            let cpus: BTreeSet<usize> = picks.iter().map(|pick| *pick.get(usable)).collect();
            Want::List(cpus.into_iter().collect())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_swarm_on_any_machine(
        machine in any_machine(),
        kernel in any_want(),
        others in prop::collection::vec(any_want(), 0..5),
        least in 1_usize..3,
        more in 0_usize..8,
    ) {
        let usable = machine.usable();
        let demand = |want| Demand { key: "k".into(), want: made(want, &usable) };
        let request = Request {
            kernel: demand(&kernel),
            kernel_threads: least..=least + more,
            others: others.iter().map(demand).collect(),
        };
        let placements = place(&machine, &request).unwrap();
        prop_assert_eq!(&place(&machine, &request).unwrap(), &placements);
        let Placements { kernel, others } = &placements;

        // Never a core outside the mask (and what is isolated).
        for placement in std::iter::once(kernel).chain(others) {
            prop_assert!(placement.cpus.iter().all(|cpu| usable.contains(cpu)), "{placements:?}");
            prop_assert!(placement.cpus.is_sorted_by(|a, b| a < b));
        }
        // A list is done as it is, `off` does nothing.
        for (demand, placement) in
            std::iter::once((&request.kernel, kernel)).chain(request.others.iter().zip(others))
        {
            match &demand.want {
                Want::List(cpus) => prop_assert_eq!(&placement.cpus, cpus),
                Want::Off => prop_assert!(placement.cpus.is_empty()),
                Want::Auto => {}
            }
        }
        let named: BTreeSet<usize> = request.others.iter().filter_map(|other| match &other.want {
            Want::List(cpus) => Some(cpus.clone()),
            _ => None,
        }).flatten().collect();
        let same_core = |a: usize, b: usize| machine.siblings(a).contains(&b);
        let shares = |cpus: &[usize]| cpus.iter().any(|a| kernel.cpus.contains(a));
        let touches =
            |cpus: &[usize]| cpus.iter().any(|&a| kernel.cpus.iter().any(|&b| same_core(a, b)));

        // Nobody shares the kernel's core if that can be avoided.
        for (demand, other) in request.others.iter().zip(others) {
            if demand.want != Want::Auto || kernel.cpus.is_empty() {
                continue;
            }
            if other.cpus.is_empty() {
                prop_assert!(usable.iter().all(|cpu| kernel.cpus.contains(cpu)), "{placements:?}");
            }
            prop_assert!(!shares(&other.cpus), "{placements:?}");
            let elsewhere = usable.iter().filter(|cpu| !touches(&[**cpu]));
            if elsewhere.filter(|cpu| !machine.is_isolated(**cpu)).count() >= OTHERS_MIN {
                prop_assert!(!touches(&other.cpus), "{placements:?}");
            }
        }
        if request.kernel.want == Want::Auto {
            prop_assert!(named.iter().all(|cpu| !kernel.cpus.contains(cpu)), "{placements:?}");
            let cores: BTreeSet<Vec<usize>> =
                kernel.cpus.iter().map(|cpu| machine.siblings(*cpu)).collect();
            prop_assert_eq!(cores.len(), kernel.cpus.len(), "one thread a core");
            let ordinary = usable.iter().filter(|cpu| !machine.is_isolated(**cpu)).count();
            if !kernel.cpus.is_empty() {
                prop_assert!(request.kernel_threads.contains(&kernel.cpus.len()));
                // It takes a core that somebody else is on only if there is no other of its kind.
                let isolated = kernel.reason == Reason::Isolated;
                let clean_left = usable.iter().any(|&cpu| {
                    machine.is_isolated(cpu) == isolated
                        && !touches(&[cpu])
                        && machine.siblings(cpu).iter().all(|sibling| !named.contains(sibling))
                });
                let unclean = named.iter().any(|cpu| touches(&[*cpu]));
                prop_assert!(ordinary == 0 || !unclean || !clean_left, "{placements:?}");
            }
            // Never two busy processes on one core by default: at least two CPUs stay, or one was isolated.
            if kernel.reason == Reason::Alone {
                let left = usable.iter().filter(|cpu| !touches(&[**cpu])).count();
                prop_assert!(left >= OTHERS_MIN, "{placements:?}");
            }
            if usable.len() <= 2 && ordinary == usable.len() {
                prop_assert!(kernel.cpus.is_empty(), "{placements:?}");
            }
        }
    }
}
