//! `cargo xtask tidy`: checks of the tree that no compiler makes.
//!
//! Each check has a name and prints what it found where; any finding is a failure. `header` makes the C headers,
//! `install --prefix DIR` puts what was built in its places.

#![forbid(unsafe_code)]

mod edges;

mod files;

mod header;

mod capi;

mod layout;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy(&root),
        ["layout"] => {
            print!("{}", rsw_schemas::dump());
            ExitCode::SUCCESS
        }
        ["header"] => finish(header::write(&root)),
        ["header", "--check"] => finish(match header::check(&root).as_slice() {
            [] => Ok(()),
            findings => Err(findings.join("\n")),
        }),
        ["install", "--prefix", prefix] => finish(capi::install(&root, Path::new(prefix))),
        _ => {
            eprintln!("usage: xtask tidy | layout | header [--check] | install --prefix DIR");
            ExitCode::from(2)
        }
    }
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("{words}");
            ExitCode::FAILURE
        }
    }
}

fn tidy(root: &Path) -> ExitCode {
    let mut findings = Vec::new();
    for (name, check) in [
        ("files", files::check as fn(&Path) -> Vec<String>),
        ("edges", edges::check),
        ("layout", layout::check),
        ("header", header::check),
    ] {
        let found = check(root);
        println!(
            "{name}: {}",
            if found.is_empty() { "ok".to_owned() } else { found.len().to_string() }
        );
        findings.extend(found.into_iter().map(|finding| format!("{name}: {finding}")));
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
