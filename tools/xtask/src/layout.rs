//! The byte rulers in `schemas/LAYOUT.txt` are what the compiler made of the layouts.

use std::path::Path;

pub(crate) fn check(root: &Path) -> Vec<String> {
    let path = root.join("schemas/LAYOUT.txt");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    if written == rsw_schemas::dump() {
        return Vec::new();
    }
    vec![
        "schemas/LAYOUT.txt is not what the code has; `cargo xtask layout > schemas/LAYOUT.txt` \
          writes it, and a change of it is a change of the ABI"
            .to_owned(),
    ]
}
