//! Where each process of a swarm runs on this machine: what `--pin`, `[cpu]` and `cpus` say, decided.

use rsw_config::{CpuSpec, Origins, Topology, parse_cpus};
use rsw_machine::Machine;
use rsw_machine::placement::{self, Demand, Placement, Request, Want};
use rsw_schemas::exit;
use serde_json::{Value as Json, json};

use crate::view::error::CliError;

/// Who gave an order about cores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Orders<'a> {
    /// Where each key of the configuration came from.
    pub(crate) origins: &'a Origins,
    /// Whether `--pin` was given: it is `cpu.kernel` under another name.
    pub(crate) pin_flag: bool,
}

impl Orders<'_> {
    /// A key as errors name it: with its place in the swarm file, or as the flag that it was.
    fn name(&self, key: &str) -> String {
        if self.pin_flag && key == "cpu.kernel" {
            return "--pin".into();
        }
        match self.origins.is_set(key) {
            true => format!("{key} ({})", self.origins.get(key)),
            false => key.to_owned(),
        }
    }
}

/// The cores of every process of a swarm.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    /// Kernel, recorder, gateway, then the agents' tables.
    each: Vec<(String, Placement)>,
    /// NUMA node that the kernel is on, if that is certain.
    pub(crate) numa_node: Option<usize>,
}

impl Cores {
    /// Decides for a swarm on a machine.
    ///
    /// # Errors
    /// A list names a core that cannot be had here.
    pub(crate) fn decide(
        machine: &Machine,
        topology: &Topology,
        orders: &Orders<'_>,
    ) -> Result<Self, CliError> {
        let cpu = &topology.config.cpu;
        let demand = |key: &str, spec: &str| Demand { key: orders.name(key), want: want(spec) };
        let mut names = Vec::new();
        let mut others = Vec::new();
        if topology.config.recorder.enabled {
            names.push("recorder".to_owned());
            others.push(demand("cpu.recorder", &cpu.recorder));
        }
        names.push("gateway".into());
        others.push(demand("gateway", "auto"));
        for (group, section) in &topology.config.agent {
            if topology.agents.iter().any(|agent| agent.group == *group) {
                names.push(format!("agent {group}"));
                others.push(demand(&format!("agent.{group}.cpus"), &section.cpus));
            }
        }
        let kernel = demand("cpu.kernel", &cpu.kernel);
        let request = Request { kernel, kernel_threads: topology.solver_threads(), others };
        let placed = placement::place(machine, &request).map_err(|error| {
            CliError::new(exit::CONFIG, "bad-cores", error.to_string()).hint(error.way_out())
        })?;
        let numa_node = node(machine, &placed.kernel);
        let mut each = vec![("kernel".to_owned(), placed.kernel)];
        each.extend(names.into_iter().zip(placed.others));
        Ok(Self { each, numa_node })
    }

    /// CPUs to pin a process to; empty: it stays as it is. `name` is `kernel`, `recorder`, `gateway` or
    /// `agent GROUP`.
    pub(crate) fn of(&self, name: &str) -> &[usize] {
        self.placement(name).map_or(&[], |placement| &placement.cpus)
    }

    /// Where a process runs and why.
    pub(crate) fn placement(&self, name: &str) -> Option<&Placement> {
        self.each.iter().find(|(known, _)| known == name).map(|(_, placement)| placement)
    }

    /// `{"numa_node","placements":[{"name","cpus","reason"}]}`.
    pub(crate) fn json(&self) -> Json {
        let each = self.each.iter().map(|(name, placement)| {
            let cpus = rsw_os::affinity::format_list(&placement.cpus);
            json!({
                "name": name,
                "cpus": (!cpus.is_empty()).then_some(cpus),
                "reason": placement.reason.to_string(),
            })
        });
        json!({ "numa_node": self.numa_node, "placements": each.collect::<Vec<_>>() })
    }
}

/// What [`Cores::json`] says, for people: `kernel 7 (alone on its core), recorder, gateway 0-6 (apart from ..)`.
pub(crate) fn cores_text(cores: &Json) -> Option<String> {
    let mut parts: Vec<(String, Vec<&str>)> = Vec::new();
    for placement in cores["placements"].as_array()? {
        let (name, reason) = (placement["name"].as_str()?, placement["reason"].as_str()?);
        let place = match placement["cpus"].as_str() {
            Some(cpus) => format!("{cpus} ({reason})"),
            None => reason.to_owned(),
        };
        match parts.iter_mut().find(|(known, _)| *known == place) {
            Some((_, names)) => names.push(name),
            None => parts.push((place, vec![name])),
        }
    }
    let text = match parts.as_slice() {
        [(place, _)] => format!("all: {place}"),
        parts => {
            let each = parts.iter().map(|(place, names)| format!("{}: {place}", names.join(", ")));
            each.collect::<Vec<_>>().join("; ")
        }
    };
    Some(match cores["numa_node"].as_u64() {
        Some(node) => format!("{text}; kernel on NUMA node {node}"),
        None => text,
    })
}

fn want(spec: &str) -> Want {
    match parse_cpus(spec) {
        Ok(CpuSpec::List(cores)) => {
            Want::List(cores.into_iter().map(|core| core as usize).collect())
        }
        Ok(CpuSpec::Off) => Want::Off,
        Ok(CpuSpec::Auto) => Want::Auto,
        Err(reason) => unreachable!("the configuration was checked: {reason}"),
    }
}

/// The node of the kernel: of all its cores, or the only one there is.
fn node(machine: &Machine, kernel: &Placement) -> Option<usize> {
    if let [only] = machine.numa_nodes.as_slice() {
        return Some(only.id);
    }
    let first = machine.node_of(*kernel.cpus.first()?)?;
    kernel.cpus.iter().all(|cpu| machine.node_of(*cpu) == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Four cores, of which the mask leaves out the last.
    fn machine() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("sys/devices/system/cpu/online", "0-3"),
            ("sys/devices/system/node/online", "0"),
            ("sys/devices/system/node/node0/cpulist", "0-3"),
            ("proc/self/status", "Cpus_allowed_list:\t0-2"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Machine::read_at(folder.path())
    }

    fn decide(file: &str, set: &[&str], pin_flag: bool) -> Result<Cores, CliError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("swarm.toml"), file).unwrap();
        let mut source = rsw_config::Source::in_folder(folder.path());
        source.set = set.iter().map(|text| (*text).into()).collect();
        let loaded = rsw_config::load(source).unwrap();
        let orders = Orders { origins: &loaded.origins, pin_flag };
        Cores::decide(&machine(), &rsw_config::resolve(&loaded), &orders)
    }

    #[test]
    fn a_swarm_is_placed_and_told() {
        let file = "[agent.a]\ncpus = 1\n[agent.b]\n[agent.c]\ncpus = \"off\"\n";
        let cores = decide(file, &[], false).unwrap();
        assert_eq!((cores.of("kernel"), cores.of("agent a")), (&[2][..], &[1][..]));
        assert_eq!((cores.of("agent b"), cores.of("recorder")), (&[0, 1][..], &[0, 1][..]));
        assert!(cores.of("agent c").is_empty() && cores.of("nobody").is_empty());
        assert_eq!(
            cores_text(&cores.json()).unwrap(),
            "kernel: 2 (alone on its core); \
             recorder, gateway, agent b: 0-1 (apart from the kernel); \
             agent a: 1 (as named); agent c: not pinned; kernel on NUMA node 0"
        );
        let loose = decide("[agent.a]\n", &["cpu.kernel=off"], false).unwrap();
        assert_eq!(cores_text(&loose.json()).unwrap(), "all: not pinned; kernel on NUMA node 0");
    }

    #[test]
    fn a_core_outside_names_key_core_mask_and_way_out() {
        let error = decide("[agent.a]\ncpus = \"1,3\"\n", &[], false).unwrap_err();
        assert_eq!((error.code, error.what), (exit::CONFIG, "bad-cores"));
        let (key, rest) = error.message.split_once("swarm.toml:2").unwrap();
        assert!(key.starts_with("agent.a.cpus ("), "{key}");
        assert_eq!(rest, ") names core 3, which is outside the CPU mask of this process (0-2)");
        let hint = error.hint.unwrap();
        assert!(hint.contains("name cores of 0-2") && hint.contains("taskset -c 0-3"), "{hint}");
        let error = decide("[agent.a]\n", &["cpu.kernel=9"], true).unwrap_err();
        assert_eq!(error.message, "--pin names core 9, which is not online here (usable: 0-2)");
    }
}
