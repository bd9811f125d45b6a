//! Machines made of files: a small virtual one, one with isolated cores, one with two nodes, and none at all.

use std::fs;
use std::path::Path;

use super::*;

pub(crate) fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Cores as lists of their threads, as the kernel shows them.
pub(crate) fn put_cores(root: &Path, online: &str, cores: &[&str]) {
    put(root, "sys/devices/system/cpu/online", online);
    for core in cores {
        for cpu in rsw_os::affinity::parse_list(core).unwrap() {
            let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
            put(root, &path, &format!("{core}\n"));
        }
    }
}

#[test]
fn a_virtual_machine_of_two_cores() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put_cores(root, "0-1\n", &["0", "1"]);
    put(root, "sys/devices/system/cpu/isolated", "\n");
    put(root, "sys/devices/system/cpu/nohz_full", "  (null)\n");
    put(root, "sys/devices/system/cpu/smt/active", "0\n");
    put(root, "sys/devices/system/node/online", "0\n");
    put(root, "sys/devices/system/node/node0/cpulist", "0-1\n");
    put(
        root,
        "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Processor\n\
         flags\t\t: fpu constant_tsc nonstop_tsc hypervisor\n",
    );
    put(root, "proc/self/status", "Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n");
    put(root, "proc/self/limits", "Max locked memory         8388608   8388608   bytes\n");
    put(root, "proc/stat", "cpu  60 0 20 10 0 0 0 10 0 0\ncpu0 1 2 3\n");
    put(root, "proc/sys/kernel/osrelease", "6.18.44-x\n");
    let clock = "sys/devices/system/clocksource/clocksource0";
    put(root, &format!("{clock}/current_clocksource"), "tsc\n");
    put(root, &format!("{clock}/available_clocksource"), "tsc kvm-clock \n");
    put(root, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    let machine = Machine::read_at(root);
    assert_eq!(machine.usable(), [0, 1]);
    assert_eq!(machine.siblings(1), [1]);
    assert_eq!((machine.node_of(1), machine.node_of(2)), (Some(0), None));
    assert_eq!(machine.virtualised, Some(true));
    assert_eq!(machine.steal_share, Some(0.1));
    assert_eq!(machine.memlock, Some(Limit::Bytes(8_388_608)));
    let facts: Vec<String> = machine
        .facts()
        .into_iter()
        .filter(|(name, _)| *name != "page_bytes")
        .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("?")))
        .collect();
    assert_eq!(
        facts,
        [
            "cpu=Intel(R) Xeon(R) Processor",
            "cpus=2",
            "mask=0-1",
            "smt=off",
            "siblings=none",
            "isolated=none",
            "nohz_full=none",
            "governor=?",
            "turbo=?",
            "clock_source=tsc",
            "thp=madvise",
            "thp_shared=?",
            "memlock=8388608 bytes",
            "numa=0: 0-1",
            "virtualised=yes (KVM)",
            "steal=10.00 %",
            "kernel=6.18.44-x",
        ]
    );
}

#[test]
fn isolated_cores_are_usable_although_the_mask_lacks_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let cores = ["0,8", "1,9", "2,10", "3,11", "4,12", "5,13", "6,14", "7,15"];
    put_cores(root, "0-15\n", &cores);
    put(root, "sys/devices/system/cpu/isolated", "6-7,14-15\n");
    put(root, "sys/devices/system/cpu/nohz_full", "6-7,14-15\n");
    put(root, "proc/self/status", "Cpus_allowed_list:\t0-5,8-13\n");
    put(root, "sys/devices/system/cpu/intel_pstate/no_turbo", "0\n");
    for cpu in 0..16 {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        put(root, &path, if cpu < 8 { "performance\n" } else { "powersave\n" });
    }
    let machine = Machine::read_at(root);
    assert_eq!(machine.usable(), (0..16).collect::<Vec<_>>());
    assert_eq!(machine.siblings(14), [6, 14]);
    assert!(machine.is_isolated(15) && !machine.is_isolated(5));
    assert_eq!(machine.turbo, Some(true));
    let facts = machine.facts();
    let fact = |name| facts.iter().find(|(known, _)| *known == name).unwrap().1.clone().unwrap();
    assert_eq!(fact("siblings"), "0,8 1,9 2,10 3,11 4,12 5,13 6,14 7,15");
    assert_eq!(fact("governor"), "performance, powersave");
    assert_eq!(fact("isolated"), "6-7,14-15");
    // Somebody narrowed the mask: it alone counts.
    put(root, "proc/self/status", "Cpus_allowed_list:\t0-3\n");
    assert_eq!(Machine::read_at(root).usable(), [0, 1, 2, 3]);
}

#[test]
fn two_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put_cores(root, "0-7\n", &["0", "1", "2", "3", "4", "5", "6", "7"]);
    put(root, "sys/devices/system/node/online", "0-1\n");
    put(root, "sys/devices/system/node/node0/cpulist", "0-3\n");
    put(root, "sys/devices/system/node/node1/cpulist", "4-7\n");
    let machine = Machine::read_at(root);
    assert_eq!((machine.node_of(3), machine.node_of(4)), (Some(0), Some(1)));
    assert_eq!(machine.cpu(4).unwrap().node, Some(1));
    assert_eq!(cpus::numa_text(&machine.numa_nodes).unwrap(), "0: 0-3, 1: 4-7");
}

#[test]
fn a_machine_that_tells_nothing_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::read_at(folder.path());
    assert!(machine.cpus.is_empty() && machine.usable().is_empty());
    let told: Vec<_> = machine.facts().into_iter().filter(|(_, value)| value.is_some()).collect();
    assert_eq!(told.len(), 1, "only the page size: {told:?}");
    put(folder.path(), "proc/stat", "cpu  1 2\n");
    put(folder.path(), "proc/self/limits", "Max locked memory\n");
    put(folder.path(), "sys/devices/system/cpu/online", "a-b\n");
    put(folder.path(), "sys/kernel/mm/transparent_hugepage/enabled", "always\n");
    assert_eq!(Machine::read_at(folder.path()), machine);
}

#[test]
fn hypervisors_have_names() {
    for (file, text, name) in [
        ("sys/hypervisor/type", "xen\n", "Xen"),
        ("sys/class/dmi/id/sys_vendor", "VMware, Inc.\n", "VMware"),
        ("sys/class/dmi/id/sys_vendor", "Amazon EC2\n", "Amazon EC2"),
        ("sys/class/dmi/id/product_name", "KVM Virtual Machine\n", "KVM"),
        ("sys/firmware/devicetree/base/hypervisor/compatible", "linux,kvm\0", "KVM"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), file, text);
        assert_eq!(Machine::read_at(folder.path()).hypervisor.as_deref(), Some(name), "{file}");
    }
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
    put(folder.path(), "proc/cpuinfo", "flags\t: fpu\n");
    assert_eq!(Machine::read_at(folder.path()).virtualised, Some(false), "bare metal of a cloud");
}

/// The real one: what the library says is what the system calls say.
#[test]
fn this_machine() {
    let machine = Machine::read();
    let allowed = rsw_os::affinity::allowed().unwrap();
    assert_eq!(machine.mask.as_deref(), Some(&allowed[..]));
    let usable = machine.usable();
    assert!(allowed.iter().all(|cpu| usable.contains(cpu)), "{machine:?}");
    assert!(machine.kernel_release.is_some());
    assert!(machine.page_bytes.is_power_of_two());
}
