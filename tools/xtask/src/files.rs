//! Every source file, and every C header that is written by hand: a first sentence, a length one can hold in the head, no
//! leftovers.

use std::path::{Path, PathBuf};

/// Lines of a file, without the tests at its end.
const LINES_MAX: usize = 600;
/// Columns of a line of code.
const COLUMNS_MAX: usize = 120;
/// Words that mark unfinished work; split so that this file does not contain them.
const LEFTOVERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
];
/// Crates and folders that may say `unsafe`.
const UNSAFE_ALLOWED: &[&str] = &[
    "runtime/os/",
    "runtime/plane/",
    "runtime/sandbox/",
    "runtime/attach/src/mapping.rs",
    "runtime/loans/",
    // The C door: every pointer of a caller, and the table that keeps handles from being pointers.
    "runtime/capi/",
    "tools/recorder/src/vec_extension.rs",
    // A second process by fork, pages that both map and one writes, the processor's counter.
    "benches/src/bin/rsw-bench/pair.rs",
    "benches/src/bin/rsw-bench/clock.rs",
    "benches/src/bin/rsw-bench/link/bare.rs",
    // Calls the C library's functions as C does.
    "benches/src/bin/capi_poll.rs",
];

/// Where the C headers lie, and which of them `xtask header` makes.
const HEADERS: &str = "runtime/capi/include/rsw";
const MADE: &[&str] = &["rsw.h", "rsw_layout.h", "rsw_wire.h"];

pub(crate) fn check(root: &Path) -> Vec<String> {
    let mut findings = check_headers(root);
    for path in sources(root) {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let Ok(text) = std::fs::read_to_string(&path) else {
            findings.push(format!("{name} cannot be read"));
            continue;
        };
        if !text.starts_with("//! ") {
            findings.push(format!("{name} does not open with a sentence that says what it is"));
        }
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        if code.lines().count() > LINES_MAX {
            findings.push(format!("{name} has more than {LINES_MAX} lines"));
        }
        let allowed = UNSAFE_ALLOWED.iter().any(|prefix| name.starts_with(prefix));
        for (at, line) in text.lines().enumerate() {
            let place = format!("{name}:{}", at + 1);
            // Tables in comments and texts in strings are as wide as they are.
            let free = line.trim_start().starts_with("//") || line.contains('"');
            if line.chars().count() > COLUMNS_MAX && !free {
                findings.push(format!("{place} is wider than {COLUMNS_MAX} columns"));
            }
            if let Some(word) = LEFTOVERS.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{place} says {word}"));
            }
            if line.contains(concat!("unsafe", " {")) && !allowed {
                findings.push(format!("{place} is unsafe outside the crates that may be"));
            }
        }
    }
    findings
}

/// The same of the headers that nobody makes: programs compile them, so they are as clean as the code.
fn check_headers(root: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    let folder = root.join(HEADERS);
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !MADE.contains(&name.as_str()))
        .collect();
    names.sort();
    for name in names {
        let Ok(text) = std::fs::read_to_string(folder.join(&name)) else {
            findings.push(format!("{name} cannot be read"));
            continue;
        };
        if !["/*", "//"].iter().any(|start| text.starts_with(&format!("{start} {name}: "))) {
            findings.push(format!("{name} does not open with its name and what it is"));
        }
        if text.lines().count() > LINES_MAX {
            findings.push(format!("{name} has more than {LINES_MAX} lines"));
        }
        for (at, line) in text.lines().enumerate() {
            if line.chars().count() > COLUMNS_MAX {
                findings.push(format!("{name}:{} is wider than {COLUMNS_MAX} columns", at + 1));
            }
            if let Some(word) = LEFTOVERS.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{name}:{} says {word}", at + 1));
            }
        }
    }
    findings
}

/// Every Rust file that is not build output, in a stable order.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
