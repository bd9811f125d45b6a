//! The small grammars inside strings: wait strategies, core lists, thresholds, names.

/// How an agent waits for the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitSpec {
    /// Never gives the core away.
    Spin,
    /// Gives the core to whoever wants it.
    Yield,
    /// Spins for `spin_ns`, then sleeps.
    Hybrid {
        /// Nanoseconds of spinning.
        spin_ns: u64,
    },
    /// Sleeps at once.
    Block,
}

/// Parses `spin`, `yield`, `hybrid:T` or `block`; the error is the reason, without the name of the key.
pub fn parse_wait(text: &str) -> Result<WaitSpec, String> {
    match text {
        "spin" => return Ok(WaitSpec::Spin),
        "yield" => return Ok(WaitSpec::Yield),
        "block" => return Ok(WaitSpec::Block),
        _ => {}
    }
    let Some(time) = text.strip_prefix("hybrid:") else {
        return Err(format!("`{text}` is not a wait strategy"));
    };
    let spin_ns = parse_duration_ns(time)?;
    if spin_ns > 1_000_000_000 {
        return Err(format!("`{time}` of spinning is more than one second"));
    }
    Ok(WaitSpec::Hybrid { spin_ns })
}

/// Parses a whole number with one of the units `ns`, `us`, `ms`, `s`; the result is in nanoseconds.
pub fn parse_duration_ns(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return Err(format!("`{text}` is not a time such as 50us")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("`{text}` is not a time such as 50us"))
}

/// Checks `NAME=value`; the names by which an agent finds its swarm are taken.
pub fn is_assignment(text: &str) -> Result<(), String> {
    let Some((name, _)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err(format!("`{text}` is not NAME=value"));
    };
    if text.contains('\0') {
        return Err("no variable holds a NUL byte".into());
    }
    match ["RSW_SOCKET_FD", "RSW_AGENT_NAME"].contains(&name) {
        true => Err(format!("{name} is set by the supervisor")),
        false => Ok(()),
    }
}

/// Cores a process may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuSpec {
    /// Chosen by the supervisor.
    Auto,
    /// Not pinned.
    Off,
    /// These, ascending, each once.
    List(Vec<u32>),
}

/// Largest core number that a list may name.
const CORE_MAX: u32 = 4095;

/// Parses `auto`, `off`, a core, or a list such as `2,4-7`.
pub fn parse_cpus(text: &str) -> Result<CpuSpec, String> {
    match text {
        "auto" => return Ok(CpuSpec::Auto),
        "off" => return Ok(CpuSpec::Off),
        _ => {}
    }
    let core = |word: &str| -> Result<u32, String> {
        match word.trim().parse::<u32>() {
            Ok(core) if core <= CORE_MAX => Ok(core),
            Ok(core) => Err(format!("core {core} is above {CORE_MAX}")),
            Err(_) => Err(format!("`{text}` is not a list of cores")),
        }
    };
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (core(first)?, core(last)?),
            None => (core(part)?, core(part)?),
        };
        if first > last {
            return Err(format!("`{}` runs backwards", part.trim()));
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    Ok(CpuSpec::List(cores))
}

/// Threshold on |u| for box counting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ThresholdSpec {
    /// This value.
    Value(f64),
    /// This quantile of |u|, from 0 to 1.
    Quantile(f64),
}

/// Parses a number of single precision or `q:P`.
pub fn parse_threshold(text: &str) -> Result<ThresholdSpec, String> {
    let number = |word: &str| word.parse::<f64>().ok().filter(|value| value.is_finite());
    if let Some(quantile) = text.strip_prefix("q:") {
        return match number(quantile) {
            Some(p) if (0.0..=1.0).contains(&p) => Ok(ThresholdSpec::Quantile(p)),
            _ => Err(format!("`{quantile}` is not a quantile from 0 to 1")),
        };
    }
    match number(text) {
        Some(value) if value > f64::from(f32::MAX) => {
            Err(format!("`{text}` is beyond single precision"))
        }
        Some(value) if value >= 0.0 => Ok(ThresholdSpec::Value(value)),
        Some(value) => Err(format!("{value} is below 0, but |u| never is")),
        None => Err(format!("`{text}` is neither a number nor q:P")),
    }
}

/// Longest name of a project, an agent, a source; board cells and process texts are built from it.
pub const NAME_BYTES_MAX: usize = 32;

/// Checks the name of a project, an agent, a source, a watch or an annotation: names become parts of
/// socket names and board cells, so they are plain.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name is empty".into());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("`{name}` is longer than {NAME_BYTES_MAX} bytes"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match name.chars().find(|&c| !plain(c)) {
        Some(c) => Err(format!("`{name}` contains {c:?}")),
        None if name.starts_with('-') => Err(format!("`{name}` starts with a dash")),
        None => Ok(()),
    }
}

/// The nearest allowed name: other characters become `_`, the rest is cut; `fallback` where nothing is left.
pub(crate) fn plain_name(text: &str, fallback: &str) -> String {
    let plain: String = text
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(NAME_BYTES_MAX)
        .collect();
    let plain = plain.trim_start_matches('-');
    if plain.chars().any(|c| c.is_ascii_alphanumeric()) { plain.into() } else { fallback.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits() {
        assert_eq!(parse_wait("spin"), Ok(WaitSpec::Spin));
        assert_eq!(parse_wait("hybrid:50us"), Ok(WaitSpec::Hybrid { spin_ns: 50_000 }));
        for bad in [
            "hybrid",
            "hybrid:50",
            "hybrid:us",
            "hybrid:2s",
            "Spin",
            "",
            "hybrid:99999999999999999999s",
        ] {
            assert!(parse_wait(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn core_lists() {
        assert_eq!(parse_cpus("2,4-6,5"), Ok(CpuSpec::List(vec![2, 4, 5, 6])));
        assert_eq!(parse_cpus("0"), Ok(CpuSpec::List(vec![0])));
        for bad in ["", "a", "3-1", "1,", "-1", "9999", "0-4294967295"] {
            assert!(parse_cpus(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn thresholds() {
        assert_eq!(parse_threshold("q:0.75"), Ok(ThresholdSpec::Quantile(0.75)));
        assert_eq!(parse_threshold("0.5"), Ok(ThresholdSpec::Value(0.5)));
        for bad in ["q:1.5", "q:", "nan", "-1", "high"] {
            assert!(parse_threshold(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(check_name("ankle_vert-2"), Ok(()));
        for bad in ["", "a b", "a/b", "-a", "ä", &"x".repeat(33)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(plain_name("acc (m/s²)", "x"), "acc__m_s__");
        assert_eq!(plain_name("///", "swarm"), "swarm");
    }
}
