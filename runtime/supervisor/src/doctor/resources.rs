//! What the swarm needs of this machine, held against what there is: memory, descriptors, cores.

use std::path::Path;

use rsw_config::{WaitSpec, parse_wait, plane_bytes_estimate};

use super::{Asked, Check, DoctorContext};
use crate::swarm::open_files_needed;
use crate::view::table::bytes;

pub(super) fn memory(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "memory", what: "memory for the plane" };
    let need = plane_bytes_estimate(ctx.topology);
    // A restarted kernel makes a new plane while the readers still hold the old one.
    let both = need.saturating_mul(2);
    match rsw_os::shm::available_memory_bytes() {
        Err(error) => asked.skip(format!("{error}")),
        Ok(free) => room(asked, need, both, free, "lower field.size, field.publish or ring.slots"),
    }
}

pub(super) fn dev_shm(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "dev-shm", what: "/dev/shm for loans" };
    let need = plane_bytes_estimate(ctx.topology);
    match rsw_os::shm::free_bytes(Path::new("/dev/shm")) {
        Err(error) => asked.fail(format!("{error}"), "mount -t tmpfs tmpfs /dev/shm"),
        Ok(free) => {
            let fix = format!("mount -o remount,size={} /dev/shm", need.saturating_mul(2));
            room(asked, need / 2, need, free, &fix)
        }
    }
}

fn room(asked: Asked, need: u64, good: u64, free: u64, fix: &str) -> Check {
    let reason = format!("{} free, about {} needed", bytes(free), bytes(need));
    match free {
        _ if free < need => asked.fail(reason, fix),
        _ if free < good => asked.warn(format!("{reason}, and twice that in a restart"), fix),
        _ => asked.pass(reason),
    }
}

pub(super) fn open_files(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "nofile", what: "limit of open files" };
    let (agents, need) = (ctx.topology.agents.len(), open_files_needed(ctx.topology));
    // The soft limit is no matter: `up` raises it.
    match ctx.open_files_max() {
        Some(limit) if limit < need => asked.fail(
            format!("{limit} is less than the {need} that {agents} agents need"),
            format!("ulimit -Hn {need}, as root"),
        ),
        Some(limit) => asked.pass(format!("{limit}, {need} needed")),
        None => asked.pass("no limit"),
    }
}

pub(super) fn cpus(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "cpus", what: "cores for the processes" };
    let cores = match rsw_os::affinity::allowed() {
        Ok(cores) => cores.len(),
        Err(error) => return asked.skip(format!("{error}")),
    };
    let config = &ctx.topology.config;
    let spins = |wait: &str| matches!(parse_wait(wait), Ok(WaitSpec::Spin));
    let spinning: u64 = config
        .agent
        .values()
        .filter(|agent| spins(&agent.wait))
        .map(|agent| u64::from(agent.replicas))
        .sum();
    let found = format!("{cores} in the mask, {} agents", ctx.topology.agents.len());
    // One core for the kernel, the rest may be burnt.
    if spinning > 0 && spinning >= cores as u64 {
        let reason = format!("{found}, {spinning} of them spin and would take the kernel's core");
        return asked.warn(reason, "set wait = \"hybrid:50us\" for these agents");
    }
    if cores < 2 {
        let reason = format!("{found}: the kernel shares its core with every reader");
        return asked.warn(reason, "widen the mask: taskset -pc 0-1 $$");
    }
    asked.pass(found)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::super::fake::{assert_is, machine};
    use super::*;

    #[test]
    fn limits_are_held_against_the_swarm() {
        let machine = machine(&["agent.watcher.replicas=500", "agent.watcher.wait=spin"]);
        assert_is(&open_files(&machine.context()), Status::Fail, "4096 is less than the 4128");
        assert_is(&cpus(&machine.context()), Status::Warn, "500 of them spin");
        machine.put("proc/self/limits", "Max locked memory  8192  8192  bytes\n");
        assert_is(&open_files(&machine.context()), Status::Pass, "no limit");
        let asked = Asked { id: "memory", what: "memory" };
        assert_is(&room(asked, 10, 20, 9, "x"), Status::Fail, "9 B free, about 10 B needed");
        assert_is(&room(asked, 10, 20, 19, "x"), Status::Warn, "restart");
        assert_is(&room(asked, 10, 20, 20, "x"), Status::Pass, "20 B free");
    }
}
