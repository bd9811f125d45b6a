//! A machine made of files, for the tests of every check.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rsw_config::{Origins, Topology};

use super::programs::HELPERS;
use super::{Check, DoctorContext, Status};
use crate::swarm::Orders;

pub(crate) struct Machine {
    pub(crate) folder: tempfile::TempDir,
    topology: Topology,
    origins: Origins,
}

/// A machine that is all well, made of files: four cores, the last of them isolated.
pub(crate) fn machine(set: &[&str]) -> Machine {
    let folder = tempfile::tempdir().unwrap();
    let mut source = rsw_config::Source::in_folder(folder.path());
    source.set = set.iter().map(|text| (*text).into()).collect();
    let loaded = rsw_config::load(source).unwrap();
    let topology = rsw_config::resolve(&loaded);
    let machine = Machine { folder, topology, origins: loaded.origins };
    let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    machine.put("proc/sys/kernel/osrelease", "6.18.1-test\n");
    machine.put("proc/sys/kernel/seccomp/actions_avail", "kill_process kill_thread errno allow\n");
    machine.put(
        "proc/self/limits",
        "Limit  Soft Limit  Hard Limit  Units\n\
         Max locked memory         unlimited            unlimited            bytes\n\
         Max open files            1024                 4096                 files\n",
    );
    machine.put(clock, "tsc\n");
    machine.put("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu constant_tsc nonstop_tsc\n");
    machine.put("proc/self/status", "CapEff:\t0\nCpus_allowed_list:\t0-2\n");
    machine.put("sys/devices/system/node/online", "0\n");
    machine.put("sys/devices/system/node/node0/cpulist", "0-3\n");
    machine.put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    machine.put("sys/devices/system/cpu/online", "0-3\n");
    machine.put("sys/devices/system/cpu/isolated", "3\n");
    machine.put("sys/devices/system/cpu/nohz_full", "3\n");
    for cpu in 0..4 {
        let folder = format!("sys/devices/system/cpu/cpu{cpu}");
        machine.put(&format!("{folder}/cpufreq/scaling_governor"), "performance\n");
        machine.put(&format!("{folder}/topology/thread_siblings_list"), &format!("{cpu}\n"));
    }
    for name in HELPERS {
        machine.helper(name, "0.1.0");
    }
    machine
}

impl Machine {
    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn helper(&self, name: &str, version: &str) {
        self.put(&format!("bin/{name}"), &format!("#!/bin/sh\necho {name} {version}\n"));
        let path = self.folder.path().join("bin").join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn context(&self) -> DoctorContext<'_> {
        DoctorContext {
            root: self.folder.path().into(),
            topology: &self.topology,
            orders: Orders { origins: &self.origins, pin_flag: false },
            run_dir: self.folder.path().join("run"),
            bin_dir: self.folder.path().join("bin"),
            version: "0.1.0",
            leftovers: Vec::new(),
        }
    }
}

pub(crate) fn assert_is(check: &Check, status: Status, part: &str) {
    assert_eq!(check.status, status, "{check:?}");
    assert!(check.reason.contains(part), "{check:?}");
    let bad = matches!(check.status, Status::Warn | Status::Fail);
    assert_eq!(check.fix.is_some(), bad, "{check:?}");
}
