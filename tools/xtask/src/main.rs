//! `cargo run -p xtask -- tidy`: checks of the tree that no compiler makes.
//!
//! Each check has a name and prints what it found where; any finding is a failure.

#![forbid(unsafe_code)]

mod edges;

mod files;

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
        _ => {
            eprintln!("usage: xtask tidy | layout");
            ExitCode::from(2)
        }
    }
}

fn tidy(root: &Path) -> ExitCode {
    let mut findings = Vec::new();
    for (name, check) in [
        ("files", files::check as fn(&Path) -> Vec<String>),
        ("edges", edges::check),
        ("layout", layout::check),
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
