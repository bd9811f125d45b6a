//! Which crate may depend on which: this list.

use std::path::Path;

/// Crate folder, and what of ours it may depend on (tests excepted).
const EDGES: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("runtime/os", &[]),
    ("runtime/machine", &["rsw-os"]),
    ("runtime/plane", &["rsw-schemas", "rsw-os"]),
    ("runtime/plane/points", &["rsw-schemas", "rsw-os"]),
    ("runtime/sandbox", &["rsw-os"]),
    ("runtime/config", &["rsw-schemas"]),
    ("runtime/attach", &["rsw-schemas", "rsw-os", "rsw-plane"]),
    ("runtime/loans", &["rsw-schemas"]),
    (
        "runtime/gateway",
        &["rsw-schemas", "rsw-os", "rsw-plane", "rsw-attach", "rsw-loans", "rsw-config"],
    ),
    // The synchronisation is the built-in agent's: two computations would be two numbers.
    (
        "runtime/capi",
        &["rsw-schemas", "rsw-os", "rsw-plane", "rsw-attach", "rsw-loans", "agent-proc"],
    ),
    (
        "runtime/supervisor",
        &[
            "rsw-schemas",
            "rsw-os",
            "rsw-machine",
            "rsw-plane",
            "rsw-sandbox",
            "rsw-config",
            "rsw-attach",
        ],
    ),
    ("solver-proc", &["rsw-schemas", "rsw-os", "rsw-plane", "rsw-config", "rsw-attach"]),
    ("agent-proc", &["rsw-schemas", "rsw-os", "rsw-plane", "rsw-attach", "rsw-loans"]),
    ("tools/recorder", &["rsw-schemas", "rsw-os", "rsw-plane", "rsw-attach"]),
    ("tools/xtask", &["rsw-schemas"]),
    ("tests", &["rsw-os"]),
    (
        "benches",
        &[
            "rsw-schemas",
            "rsw-os",
            "rsw-machine",
            "rsw-plane",
            "rsw-attach",
            "rsw-loans",
            "rsw-capi",
            "rsw-config",
            "solver-proc",
        ],
    ),
];

/// What must never be linked where: heavy or foreign to the purpose.
const BANNED: &[(&str, &[&str])] = &[
    ("schemas", &["serde", "tokio", "arrow", "rusqlite", "iceoryx2", "wgpu"]),
    ("runtime/os", &["serde", "tokio", "arrow", "rusqlite", "iceoryx2", "wgpu"]),
    ("runtime/machine", &["serde", "tokio", "arrow", "rusqlite", "iceoryx2", "wgpu"]),
    ("runtime/plane", &["serde", "tokio", "arrow", "rusqlite", "iceoryx2", "wgpu"]),
    ("runtime/capi", &["tokio", "rusqlite", "wgpu", "clap", "serde"]),
    ("runtime/supervisor", &["rusqlite", "iceoryx2", "arrow", "wgpu"]),
];

pub(crate) fn check(root: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    for (folder, allowed) in EDGES {
        for dependency in dependencies(root, folder, &mut findings) {
            let ours = dependency.starts_with("rsw-")
                || EDGES.iter().any(|(f, _)| f.ends_with(&dependency));
            if ours && !allowed.contains(&dependency.as_str()) {
                findings.push(format!(
                    "{folder} depends on {dependency}, which the list in tools/xtask/src/edges.rs does not allow"
                ));
            }
        }
    }
    for (folder, banned) in BANNED {
        for dependency in dependencies(root, folder, &mut findings) {
            if banned.iter().any(|name| dependency.starts_with(name)) {
                findings
                    .push(format!("{folder} depends on {dependency}, which must stay out of it"));
            }
        }
    }
    findings
}

/// Names in the `[dependencies]` table of a crate.
fn dependencies(root: &Path, folder: &str, findings: &mut Vec<String>) -> Vec<String> {
    let path = root.join(folder).join("Cargo.toml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        findings.push(format!("{} cannot be read", path.display()));
        return Vec::new();
    };
    let table = text.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    table
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}
