//! The processor, who shares it with us, and what a process may lock.

use std::fmt;

use crate::source::Source;

/// A limit of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// None.
    Unlimited,
    /// So many bytes.
    Bytes(u64),
}

impl Limit {
    /// Whether `bytes` fit.
    pub fn allows(self, bytes: u64) -> bool {
        match self {
            Self::Unlimited => true,
            Self::Bytes(limit) => bytes <= limit,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
        }
    }
}

/// The first value of a key of `/proc/cpuinfo`.
fn cpuinfo_value<'a>(cpuinfo: &'a str, key: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// Whether the processor has a flag; `None` where processors have no flags of this kind (they are x86's).
fn has_flag(cpuinfo: &str, flag: &str) -> Option<bool> {
    let flags = cpuinfo_value(cpuinfo, "flags")?;
    Some(flags.split_whitespace().any(|known| known == flag))
}

/// Processors of Arm have no name of their own; the board has.
pub(crate) fn cpu_model(source: &Source, cpuinfo: &str) -> Option<String> {
    let named = cpuinfo_value(cpuinfo, "model name").map(str::to_owned);
    named.or_else(|| source.word("sys/firmware/devicetree/base/model"))
}

pub(crate) fn tsc_invariant(cpuinfo: &str) -> Option<bool> {
    Some(has_flag(cpuinfo, "constant_tsc")? && has_flag(cpuinfo, "nonstop_tsc")?)
}

pub(crate) fn turbo(source: &Source) -> Option<bool> {
    let folder = "sys/devices/system/cpu";
    let boost = source.flag(&format!("{folder}/cpufreq/boost"));
    boost.or_else(|| source.flag(&format!("{folder}/intel_pstate/no_turbo")).map(|off| !off))
}

/// Words of firmware and clocks that give a hypervisor away.
const HYPERVISORS: &[(&str, &str)] = &[
    ("xen", "Xen"),
    ("vmware", "VMware"),
    ("virtualbox", "VirtualBox"),
    ("innotek", "VirtualBox"),
    ("parallels", "Parallels"),
    ("bochs", "Bochs"),
    ("bhyve", "bhyve"),
    ("microsoft corporation virtual machine", "Hyper-V"),
    ("hyperv", "Hyper-V"),
    ("amazon ec2", "Amazon EC2"),
    ("google compute engine", "Google Compute Engine"),
    ("kvm", "KVM"),
    ("qemu", "QEMU"),
];

/// Asked of the firmware first, which knows the product; then of the clocks that only guests have.
pub(crate) fn hypervisor(source: &Source, clocks: &[String]) -> Option<String> {
    let firmware = "sys/class/dmi/id";
    let words = |name: &str| source.word(&format!("{firmware}/{name}")).unwrap_or_default();
    let texts = [
        source.word("sys/hypervisor/type").unwrap_or_default(),
        format!("{} {}", words("sys_vendor"), words("product_name")),
        source.word("sys/firmware/devicetree/base/hypervisor/compatible").unwrap_or_default(),
        clocks.join(" "),
    ];
    texts.iter().map(|text| text.to_lowercase()).find_map(|text| {
        HYPERVISORS.iter().find(|(word, _)| text.contains(word)).map(|(_, name)| (*name).to_owned())
    })
}

/// The flag of the processor, else what only a guest has. Amazon names its bare metal after its cloud, too, so
/// a name alone proves nothing where there is a flag.
pub(crate) fn virtualised(source: &Source, cpuinfo: &str) -> Option<bool> {
    if let Some(flag) = has_flag(cpuinfo, "hypervisor") {
        return Some(flag);
    }
    let guest = source.word("sys/hypervisor/type").is_some()
        || source.word("sys/firmware/devicetree/base/hypervisor/compatible").is_some();
    guest.then_some(true)
}

/// Fields of the line `cpu` of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal; what
/// follows (guest times) is counted in the first two already.
pub(crate) fn steal_share(source: &Source) -> Option<f64> {
    let stat = source.text("proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Option<Vec<u64>> =
        line.split_whitespace().take(8).map(|word| word.parse().ok()).collect();
    let ticks = ticks.filter(|ticks| ticks.len() == 8)?;
    let all: u64 = ticks.iter().sum();
    (all > 0).then(|| ticks[7] as f64 / all as f64)
}

pub(crate) fn memlock(source: &Source) -> Option<Limit> {
    let limits = source.text("proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(Limit::Unlimited),
        bytes => bytes.parse().ok().map(Limit::Bytes),
    }
}
