//! Which CPUs threads may run on.

use crate::OsError;
use rustix::thread::CpuSet;
use std::io::ErrorKind;

/// The CPUs the calling thread may run on, ascending.
pub fn allowed() -> Result<Vec<usize>, OsError> {
    let set = rustix::thread::sched_getaffinity(None)
        .map_err(|errno| OsError::new("read the CPU mask of", "this thread", errno))?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Parses a CPU list as the kernel writes it ("2,4-7"); ascending, each CPU once. Empty text is an
/// empty list.
pub fn parse_list(text: &str) -> Result<Vec<usize>, OsError> {
    let refuse = |part: &str, reason: &str| {
        let object = format!("CPU list {text:?} at {part:?}");
        OsError::refused("parse", object, ErrorKind::InvalidInput, reason)
    };
    let mut cpus = Vec::new();
    for part in text.trim().split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>())
        else {
            return Err(refuse(part, "expected a number or a range such as 4-7"));
        };
        if first > last || last >= CpuSet::MAX_CPU {
            return Err(refuse(part, "the range is backwards or ends above CPU 1023"));
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

/// The list as the kernel writes it ("2,4-7"): [`parse_list`] reads it back. `cpus` ascends, each once.
pub fn format_list(cpus: &[usize]) -> String {
    let runs = cpus.chunk_by(|a, b| a + 1 == *b);
    let texts = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        one => one.iter().map(usize::to_string).collect(),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Binds the calling thread, and what it spawns later, to `cpus`. Fails before any change if one of
/// them lies outside the mask of this thread, unless it is isolated: no process inherits an isolated
/// CPU, so to name it is the only way to it.
pub fn pin_current_thread(cpus: &[usize]) -> Result<(), OsError> {
    const OPERATION: &str = "pin this thread to";
    let object = || format!("CPUs {}", format_list(cpus));
    let allowed = allowed()?;
    if cpus.is_empty() {
        return Err(OsError::refused(OPERATION, object(), ErrorKind::InvalidInput, "none given"));
    }
    let isolated = isolated().unwrap_or_default();
    let reachable = |cpu: &usize| allowed.contains(cpu) || isolated.contains(cpu);
    if let Some(cpu) = cpus.iter().find(|cpu| !reachable(cpu)) {
        let reason =
            format!("CPU {cpu} is not among the CPUs allowed here, {}", format_list(&allowed));
        return Err(OsError::refused(OPERATION, object(), ErrorKind::InvalidInput, reason));
    }
    if let [cpu] = cpus {
        return match core_affinity::set_for_current(core_affinity::CoreId { id: *cpu }) {
            true => Ok(()),
            false => Err(OsError::new(OPERATION, object(), std::io::Error::last_os_error())),
        };
    }
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|errno| OsError::new(OPERATION, object(), errno))
}

/// The CPUs that the scheduler leaves alone (`isolcpus=`); empty on most machines.
pub fn isolated() -> Result<Vec<usize>, OsError> {
    let path = "/sys/devices/system/cpu/isolated";
    let text =
        std::fs::read_to_string(path).map_err(|source| OsError::new("read", path, source))?;
    parse_list(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_parse_as_the_kernel_writes_them() {
        assert_eq!(parse_list("2,4-7\n").unwrap(), [2, 4, 5, 6, 7]);
        assert_eq!(parse_list(" 3 , 1-2,2 ").unwrap(), [1, 2, 3]);
        assert_eq!(parse_list("\n").unwrap(), [0_usize; 0]);
        for bad in ["a", "1,", "7-4", "1-", "-1", "99999", "1-2-3"] {
            assert!(parse_list(bad).is_err(), "{bad}");
        }
        for text in ["", "3", "0-1", "2,4-7", "0,2,4", "0-3,8-11,15"] {
            assert_eq!(format_list(&parse_list(text).unwrap()), text);
        }
    }

    #[test]
    fn pinning_holds_for_this_thread_only() {
        let all = allowed().unwrap();
        let here = all.clone();
        std::thread::spawn(move || {
            pin_current_thread(&here[..1]).unwrap();
            assert_eq!(allowed().unwrap(), here[..1]);
            let outside = pin_current_thread(&here);
            assert_eq!(outside.is_ok(), here.len() == 1, "the mask is now one CPU");
        })
        .join()
        .unwrap();
        assert_eq!(allowed().unwrap(), all);
        pin_current_thread(&all).unwrap();
        assert!(pin_current_thread(&[1000]).unwrap_err().to_string().contains("CPU 1000"));
        assert!(pin_current_thread(&[]).is_err());
    }
}
