//! The configuration in force, as a swarm file whose every line says where its value came from.

use std::fmt::Write;

use toml::{Table, Value};

use crate::model::SwarmConfig;
use crate::origin::Origins;
use crate::schema::{SECTIONS, Section};

/// The whole configuration as TOML that [`crate::load`] reads back; keys without a value are left out.
pub fn effective_toml(config: &SwarmConfig, origins: &Origins) -> String {
    let tree = match Table::try_from(config) {
        Ok(tree) => tree,
        Err(error) => unreachable!("every key of the model has a TOML form: {error}"),
    };
    let mut out = String::new();
    line(&mut out, origins, "version", "version", tree.get("version"));
    for section in SECTIONS {
        let Some(table) = tree.get(section.name).and_then(Value::as_table) else { continue };
        if !section.named {
            print_table(&mut out, origins, section, section.name, table);
            continue;
        }
        for (name, instance) in table {
            if let Some(instance) = instance.as_table() {
                let path = format!("{}.{name}", section.name);
                print_table(&mut out, origins, section, &path, instance);
            }
        }
    }
    out
}

fn print_table(out: &mut String, origins: &Origins, section: &Section, path: &str, table: &Table) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\n[{path}]\n");
    for key in section.keys {
        line(out, origins, &format!("{path}.{}", key.name), key.name, table.get(key.name));
    }
}

fn line(out: &mut String, origins: &Origins, path: &str, name: &str, value: Option<&Value>) {
    if let Some(value) = value {
        let assignment = format!("{name} = {value}");
        let _ = writeln!(out, "{assignment:<40} # {}", origins.get(path));
    }
}
