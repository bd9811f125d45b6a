//! What Linux itself gives: seals, Landlock, seccomp; each tried for real where that changes nothing.

use landlock::{ABI, Access, AccessFs, LandlockStatus, Ruleset, RulesetAttr};

use super::{Asked, Check, DoctorContext};

pub(super) fn kernel(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "kernel", what: "Linux version" };
    let Some(release) = ctx.read("proc/sys/kernel/osrelease") else {
        return asked.skip("/proc is not readable");
    };
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let upgrade = "install a kernel of 6.3 or later";
    if version < (5, 13) {
        let reason = format!("{release} has no Landlock, and ignores one seal on huge pages");
        return asked.fail(reason, upgrade);
    }
    if version < (6, 3) {
        return asked.warn(format!("{release} cannot make memory files not executable"), upgrade);
    }
    asked.pass(release)
}

/// Makes a plane's memory file and attacks it as a hostile reader would.
pub(super) fn seals() -> Check {
    let asked = Asked { id: "seals", what: "sealed memory" };
    let probe = || {
        let fd = rsw_os::memfd::create("rsw-doctor", 4096)?;
        rsw_os::memfd::seal_plane(&fd)?;
        rsw_os::memfd::probe_read_only(rsw_os::memfd::reopen_read_only(&fd)?)
    };
    match probe() {
        Ok(()) => asked.pass("a sealed file could not be mapped or written by a reader"),
        Err(error) => asked.fail(format!("{error}"), "install a kernel of 5.13 or later"),
    }
}

/// Confines a thread of its own for real: the answer of the kernel, not of a version table.
pub(super) fn landlock(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "landlock", what: "file access of agents" };
    let confine = || {
        let access = AccessFs::from_all(ABI::V1);
        let ruleset = Ruleset::default().handle_access(access).ok()?.create().ok()?;
        Some(ruleset.restrict_self().ok()?.landlock)
    };
    let fix = "boot with lsm=landlock,... or set isolation = \"none\" and trust your agents";
    let missing = |reason: &str| match ctx.confines_agents() {
        true => asked.fail(reason, fix),
        false => asked.warn(reason, fix),
    };
    let confined = match std::thread::Builder::new().spawn(confine) {
        Ok(thread) => thread.join(),
        Err(error) => return asked.skip(format!("no thread to try it in: {error}")),
    };
    match confined {
        Ok(Some(LandlockStatus::Available { effective_abi, kernel_abi })) => {
            let abi =
                kernel_abi.map_or_else(|| format!("{effective_abi:?}"), |abi| format!("V{abi}"));
            if effective_abi < ABI::V3 {
                return asked.warn(
                    format!("ABI {abi} does not confine truncation"),
                    "install a kernel of 6.2 or later",
                );
            }
            asked.pass(format!("ABI {abi}"))
        }
        Ok(Some(LandlockStatus::NotEnabled)) => missing("Landlock is built but not enabled"),
        Ok(Some(LandlockStatus::NotImplemented)) => missing("this kernel has no Landlock"),
        Ok(None) | Err(_) => missing("a thread could not be confined"),
    }
}

pub(super) fn seccomp(ctx: &DoctorContext<'_>) -> Check {
    let asked = Asked { id: "seccomp", what: "system calls of agents" };
    let actions = ctx.read("proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let has = |action: &str| actions.split_whitespace().any(|known| known == action);
    if has("kill_process") && has("errno") {
        return asked.pass("filters are available");
    }
    let reason = "this kernel has no seccomp filters";
    let fix = "install a kernel with CONFIG_SECCOMP_FILTER";
    if ctx.confines_agents() { asked.fail(reason, fix) } else { asked.warn(reason, fix) }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::super::fake::{assert_is, machine};
    use super::*;

    #[test]
    fn kernels() {
        let machine = machine(&[]);
        for (release, status) in [
            ("5.10.0", Status::Fail),
            ("5.13.0", Status::Warn),
            ("6.2.9", Status::Warn),
            ("7.0-rc1", Status::Pass),
        ] {
            machine.put("proc/sys/kernel/osrelease", release);
            assert_is(&kernel(&machine.context()), status, release);
        }
    }

    #[test]
    fn seccomp_matters_only_where_agents_are_confined() {
        let confined = machine(&[]);
        confined.put("proc/sys/kernel/seccomp/actions_avail", "");
        assert_is(&seccomp(&confined.context()), Status::Fail, "no seccomp");
        let free = machine(&["agent.watcher.isolation=none"]);
        free.put("proc/sys/kernel/seccomp/actions_avail", "");
        assert_is(&seccomp(&free.context()), Status::Warn, "no seccomp");
    }
}
