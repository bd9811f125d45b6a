//! What makes a swarm late and never wrong: each check says what it found, what that costs, and how to be rid
//! of it. The figures are orders of magnitude; `runtime bench` has those of this machine.

use rsw_config::{PlaneLock, plane_bytes_estimate};
use rsw_machine::placement::{Placement, Reason};
use rsw_machine::{Limit, Machine};
use rsw_os::affinity::format_list;

use super::{Asked, Check, DoctorContext};
use crate::swarm::Cores;
use crate::view::error::CliError;
use crate::view::table::bytes;

/// Bit of `CAP_IPC_LOCK` in a set of capabilities.
const CAP_IPC_LOCK: u32 = 14;
/// Share of all CPU time that a host may take before it is worth a word of its own.
const STEAL_SHARE_MAX: f64 = 0.005;

/// Every check of this kind.
pub(super) fn checks(ctx: &DoctorContext<'_>, machine: &Machine) -> Vec<Check> {
    let cores = Cores::decide(machine, ctx.topology, &ctx.orders);
    let kernel = cores.as_ref().ok().and_then(|cores| cores.placement("kernel"));
    vec![
        pinning(machine, &cores),
        isolation(machine, kernel),
        siblings(machine, kernel),
        governor(machine),
        clock(machine),
        huge_pages(machine),
        locked_memory(ctx, machine),
        numa(machine, &cores),
        virtualised(machine),
    ]
}

fn pinning(machine: &Machine, cores: &Result<Cores, CliError>) -> Check {
    let asked = Asked { id: "pinning", what: "cores of the kernel" };
    let kernel = match cores {
        // Nothing but a bad list of cores is refused, and then nothing starts.
        Err(error) => {
            let fix = error.hint.clone().unwrap_or_default();
            return asked.fail(error.message.clone(), fix);
        }
        Ok(cores) => cores.placement("kernel"),
    };
    let cost = "whoever else runs there delays a tick by a time slice, milliseconds";
    match kernel {
        Some(placement) if placement.cpus.is_empty() => {
            let fix = match placement.reason {
                Reason::TooFew => {
                    let last = machine.usable().last().copied().unwrap_or(0);
                    format!(
                        "run on 3 cores or more, or give the kernel one: runtime up --pin {last}"
                    )
                }
                _ => "set cpu.kernel = \"auto\"".into(),
            };
            asked.warn(format!("{placement}: {cost}"), fix)
        }
        Some(placement) => asked.pass(placement.to_string()),
        None => asked.skip("no kernel"),
    }
}

fn isolation(machine: &Machine, kernel: Option<&Placement>) -> Check {
    let asked = Asked { id: "isolation", what: "cores without other work" };
    let Some(isolated) = &machine.isolated else {
        return asked.skip("/sys does not tell");
    };
    let kernel: &[usize] = kernel.map_or(&[], |kernel| &kernel.cpus);
    if isolated.is_empty() {
        let reason = "none (isolcpus is empty): interrupts and other processes stop the kernel for tens of \
                      microseconds, some hundred times a second";
        return match machine.usable().last().filter(|_| machine.usable().len() > 2) {
            Some(core) => asked.warn(
                reason,
                format!(
                    "boot with isolcpus=managed_irq,domain,{core} nohz_full={core} rcu_nocbs={core}"
                ),
            ),
            None => asked.warn(reason, "needs a machine of 3 cores or more"),
        };
    }
    let list = format_list(isolated);
    if kernel.is_empty() || !kernel.iter().all(|cpu| isolated.contains(cpu)) {
        return asked.warn(
            format!("{list}, but the kernel is not on them: they lie idle"),
            format!("set cpu.kernel = \"{list}\", from a shell whose mask is not narrowed"),
        );
    }
    let tickless = machine.nohz_full.as_deref().unwrap_or_default();
    if !kernel.iter().all(|cpu| tickless.contains(cpu)) {
        return asked.warn(
            format!(
                "{list}, with a timer tick: a few microseconds, some hundred times a second \
                 (nohz_full is {})",
                if tickless.is_empty() { "empty".into() } else { format_list(tickless) }
            ),
            format!("boot with nohz_full={list} rcu_nocbs={list}"),
        );
    }
    asked.pass(format!("{list}, tickless, and the kernel is there"))
}

fn siblings(machine: &Machine, kernel: Option<&Placement>) -> Check {
    let asked = Asked { id: "siblings", what: "hardware threads of one core" };
    if machine.cpus.iter().all(|cpu| cpu.siblings.is_none()) {
        return asked.skip("/sys does not tell");
    }
    let shared: Vec<usize> = machine
        .cpus
        .iter()
        .filter(|cpu| cpu.siblings.as_ref().is_some_and(|siblings| siblings.len() > 1))
        .map(|cpu| cpu.id)
        .collect();
    if shared.is_empty() {
        return asked.pass("every core runs one");
    }
    let cost = "a busy sibling takes up to half of a core's speed, and its cache";
    match kernel {
        Some(kernel) if matches!(kernel.reason, Reason::Alone | Reason::Isolated) => {
            let free: Vec<usize> = kernel
                .cpus
                .iter()
                .flat_map(|cpu| machine.siblings(*cpu))
                .filter(|cpu| !kernel.cpus.contains(cpu))
                .collect();
            let core = format_list(&kernel.cpus);
            match free.as_slice() {
                [] => asked.pass(format!("none beside the kernel on {core}")),
                free => asked
                    .pass(format!("the kernel is on {core}, {} stays free", format_list(free))),
            }
        }
        _ => asked.warn(
            format!("{} share cores, and nothing keeps the kernel alone: {cost}", format_list(&shared)),
            "set cpu.kernel = \"auto\", or: echo off | sudo tee /sys/devices/system/cpu/smt/control",
        ),
    }
}

fn governor(machine: &Machine) -> Check {
    let asked = Asked { id: "governor", what: "processor frequency" };
    let slow: Vec<&str> = machine
        .cpus
        .iter()
        .filter_map(|cpu| cpu.governor.as_deref())
        .filter(|governor| *governor != "performance")
        .collect();
    let told = machine.cpus.iter().any(|cpu| cpu.governor.is_some());
    match slow.first() {
        Some(governor) => asked.warn(
            format!(
                "{governor} on {} cores: the first events after a pause are slow, for up to milliseconds",
                slow.len()
            ),
            "sudo cpupower frequency-set -g performance",
        ),
        None if told => asked.pass("performance"),
        None => asked.skip("no frequency control is visible"),
    }
}

fn clock(machine: &Machine) -> Check {
    let asked = Asked { id: "clock", what: "clock source" };
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let Some(source) = machine.clock_source.as_deref() else {
        return asked.skip(format!("{path} is not readable"));
    };
    match source {
        "tsc" if machine.tsc_invariant == Some(true) => asked.pass("tsc, invariant"),
        "tsc" => asked.warn(
            "tsc, but the processor does not promise that it is invariant",
            "compare times of different cores with care, or boot with clocksource=hpet",
        ),
        "arch_sys_counter" | "kvm-clock" | "hyperv_clocksource_tsc_page" => asked.pass(source),
        _ => asked.warn(
            format!("{source} is read through the kernel: each timestamp costs a microsecond"),
            format!("echo tsc | sudo tee {path}"),
        ),
    }
}

fn huge_pages(machine: &Machine) -> Check {
    let asked = Asked { id: "thp", what: "transparent huge pages" };
    match machine.thp.as_deref() {
        None => asked.skip("this kernel has none"),
        Some("always") => asked.warn(
            "always: a thread may be stopped for up to a millisecond while its pages are made into one",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        Some(mode) => asked.pass(mode),
    }
}

fn locked_memory(ctx: &DoctorContext<'_>, machine: &Machine) -> Check {
    let asked = Asked { id: "memlock", what: "limit of locked memory" };
    let need = plane_bytes_estimate(ctx.topology);
    let wanted = ctx.topology.config.plane.lock;
    let limit = match machine.memlock {
        None => return asked.skip("/proc does not tell"),
        Some(Limit::Unlimited) => return asked.pass("no limit"),
        Some(limit) if limit.allows(need) => return asked.pass(limit_text(limit)),
        Some(limit) => limit_text(limit),
    };
    if may_lock_anything(ctx) {
        return asked.pass(format!("{limit}, which CAP_IPC_LOCK lifts"));
    }
    let reason = format!("{limit} is less than the plane's {}", bytes(need));
    let fix = format!("ulimit -l {}", need.div_ceil(1024));
    match wanted {
        PlaneLock::Yes => asked.fail(format!("{reason}, and plane.lock = \"yes\""), fix),
        PlaneLock::No => asked.pass(format!("{reason}, and plane.lock = \"no\"")),
        PlaneLock::Auto => asked.warn(
            format!(
                "{reason}: it may be swapped out, and each page that comes back takes milliseconds"
            ),
            fix,
        ),
    }
}

fn limit_text(limit: Limit) -> String {
    match limit {
        Limit::Unlimited => "no limit".into(),
        Limit::Bytes(limit) => bytes(limit),
    }
}

fn may_lock_anything(ctx: &DoctorContext<'_>) -> bool {
    let status = ctx.read("proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set >> CAP_IPC_LOCK & 1 == 1)
}

fn numa(machine: &Machine, cores: &Result<Cores, CliError>) -> Check {
    let asked = Asked { id: "numa", what: "memory near the kernel" };
    let node = cores.as_ref().ok().and_then(|cores| cores.numa_node);
    match (machine.numa_nodes.len(), node) {
        (0, _) => asked.skip("/sys does not tell"),
        (1, _) => asked.pass("one node"),
        (count, Some(node)) => asked.pass(format!("kernel and plane on node {node} of {count}")),
        (count, None) => asked.warn(
            format!(
                "{count} nodes, and the kernel on any of them: memory of another node is half as fast"
            ),
            "set cpu.kernel = \"auto\", or to cores of one node",
        ),
    }
}

fn virtualised(machine: &Machine) -> Check {
    let asked = Asked { id: "virtualised", what: "virtual machine" };
    let stolen = machine.steal_share.unwrap_or(0.0);
    match machine.virtualised {
        None => asked.skip("the processor does not tell"),
        Some(false) => asked.pass("no hypervisor is announced"),
        Some(true) => {
            let name = machine.hypervisor.as_deref().unwrap_or("yes");
            let steal = if stolen > STEAL_SHARE_MAX {
                format!("the host took {:.1} % of the time since boot: ", stolen * 100.0)
            } else {
                String::new()
            };
            asked.warn(
                format!(
                    "{name}: {steal}tails of latencies include those of the host, milliseconds"
                ),
                "measure on bare metal, or on a host that gives this machine cores of its own; \
                 runs are right either way",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{assert_is, machine};
    use super::super::{Status, to_text};
    use super::*;

    /// The check of that name, with the machine as its files are now.
    fn check(made: &super::super::fake::Machine, id: &str) -> Check {
        let ctx = made.context();
        let found = checks(&ctx, &Machine::read_at(&ctx.root));
        found.into_iter().find(|check| check.id == id).unwrap()
    }

    #[test]
    fn frequency_clock_pages_and_host() {
        let made = machine(&[]);
        made.put("proc/cpuinfo", "flags\t\t: fpu hypervisor\n");
        made.put("proc/stat", "cpu  60 0 20 10 0 0 0 10 0 0\n");
        assert_is(&check(&made, "clock"), Status::Warn, "invariant");
        assert_is(&check(&made, "virtualised"), Status::Warn, "took 10.0 %");
        made.put("proc/stat", "cpu  60 0 20 10 0 0 0 0 0 0\n");
        assert_is(&check(&made, "virtualised"), Status::Warn, "yes: tails");
        made.put("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet");
        assert_is(&check(&made, "clock"), Status::Warn, "hpet");
        made.put("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave");
        assert_is(&check(&made, "governor"), Status::Warn, "powersave on 1 cores");
        made.put("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
        assert_is(&check(&made, "thp"), Status::Warn, "always");
    }

    #[test]
    fn the_limit_of_locked_memory_is_held_against_the_plane() {
        let made = machine(&[]);
        made.put("proc/self/limits", "Max locked memory  8192  8192  bytes\n");
        assert_is(&check(&made, "memlock"), Status::Warn, "8.00 KiB is less than");
        let status = "CapEff:\t0000000000004000\nCpus_allowed_list:\t0-3\n";
        made.put("proc/self/status", status);
        assert_is(&check(&made, "memlock"), Status::Pass, "CAP_IPC_LOCK");
        let strict = machine(&["plane.lock=yes"]);
        strict.put("proc/self/limits", "Max locked memory  8192  8192  bytes\n");
        assert_is(&check(&strict, "memlock"), Status::Fail, "plane.lock = \"yes\"");
        let careless = machine(&["plane.lock=no"]);
        careless.put("proc/self/limits", "Max locked memory  8192  8192  bytes\n");
        assert_is(&check(&careless, "memlock"), Status::Pass, "plane.lock = \"no\"");
    }

    #[test]
    fn cores_isolation_and_siblings() {
        let made = machine(&[]);
        assert_is(&check(&made, "pinning"), Status::Pass, "3 (isolated)");
        assert_is(&check(&made, "isolation"), Status::Pass, "3, tickless");
        made.put("sys/devices/system/cpu/nohz_full", "\n");
        assert_is(&check(&made, "isolation"), Status::Warn, "nohz_full is empty");
        made.put("sys/devices/system/cpu/isolated", "\n");
        made.put("proc/self/status", "Cpus_allowed_list:\t0-3\n");
        assert_is(&check(&made, "isolation"), Status::Warn, "none");
        assert!(check(&made, "isolation").fix.unwrap().contains("isolcpus=managed_irq,domain,3"));
        assert_is(&check(&made, "pinning"), Status::Pass, "3 (alone on its core)");
        for cpu in 0..4 {
            let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
            made.put(&path, if cpu < 2 { "0-1" } else { "2-3" });
        }
        assert_is(&check(&made, "siblings"), Status::Pass, "the kernel is on 2, 3 stays free");
        made.put("proc/self/status", "Cpus_allowed_list:\t0-1\n");
        assert_is(&check(&made, "pinning"), Status::Warn, "too few cores");
        assert_is(&check(&made, "siblings"), Status::Warn, "0-3 share cores");
        let loose = machine(&["cpu.kernel=off"]);
        assert_is(&check(&loose, "pinning"), Status::Warn, "not pinned");
        assert_is(&check(&loose, "isolation"), Status::Warn, "they lie idle");
        let outside = machine(&["cpu.kernel=7"]);
        assert_is(&check(&outside, "pinning"), Status::Fail, "core 7");
    }

    #[test]
    fn nodes() {
        let made = machine(&["cpu.kernel=off"]);
        assert_is(&check(&made, "numa"), Status::Pass, "one node");
        made.put("sys/devices/system/node/online", "0-1");
        made.put("sys/devices/system/node/node0/cpulist", "0-1");
        made.put("sys/devices/system/node/node1/cpulist", "2-3");
        assert_is(&check(&made, "numa"), Status::Warn, "2 nodes");
        let named = machine(&["cpu.kernel=2-3"]);
        for (path, text) in [("online", "0-1"), ("node0/cpulist", "0-1"), ("node1/cpulist", "2-3")]
        {
            named.put(&format!("sys/devices/system/node/{path}"), text);
        }
        assert_is(&check(&named, "numa"), Status::Pass, "node 1 of 2");
    }

    #[test]
    fn a_machine_that_tells_nothing_skips() {
        let made = machine(&[]);
        let nowhere = Machine::read_at(&made.context().root.join("nowhere"));
        let found = checks(&made.context(), &nowhere);
        let skipped = found.iter().filter(|check| check.status == Status::Skip).count();
        assert!(skipped >= found.len() - 2, "{}", to_text(&found));
    }
}
