//! Lays the swarm file, the environment and the flags over each other and remembers where each value
//! came from.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use toml::Value;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, NamedText, suggest};
use crate::origin::{Layer, Origin, Origins};
use crate::schema::{self, Key, SECTIONS, Section};
use crate::value::{self, Refusal};
use crate::words::check_name;

/// Prefix of the environment variables that set keys: `RSW__SECTION__KEY`.
pub const ENV_PREFIX: &str = "RSW__";

/// The layers so far.
#[derive(Default)]
pub(crate) struct Merged {
    pub(crate) tree: toml::Table,
    pub(crate) origins: Origins,
    /// Keys whose value was refused: what depends on them is not judged.
    pub(crate) failed: BTreeSet<String>,
    pub(crate) errors: Vec<Diagnostic>,
}

/// Reading the layers.
impl Merged {
    /// Reads a whole TOML document. Syntax errors end it: what a broken text means is a guess.
    pub(crate) fn add_document(&mut self, file: &Arc<NamedText>) {
        let (document, broken) = DeTable::parse_recoverable(&file.text);
        let mut line_before = 0;
        for error in &broken {
            // The first error of a line makes the others of that line.
            let line = error.span().map_or(0, |span| file.line_column(span.start).0);
            if line == line_before {
                continue;
            }
            line_before = line;
            self.errors.push(Diagnostic {
                file: Some(file.clone()),
                span: error.span(),
                key: "syntax".into(),
                message: error.message().to_owned(),
                help: None,
            });
        }
        if !broken.is_empty() {
            return;
        }
        for (name, table) in document.get_ref() {
            let place = Place { layer: Layer::File, file, span: name.span() };
            if name.get_ref() == "version" {
                self.add_version(&place, table.get_ref(), table.span());
                continue;
            }
            let Some(section) = schema::section(name.get_ref()) else {
                self.unknown(&place, name.get_ref(), name.get_ref(), &section_names());
                continue;
            };
            if let Some(table) = self.table(file, section.name, table) {
                self.add_section(file, section, table);
            }
        }
    }

    fn add_version(&mut self, place: &Place<'_>, value: &DeValue<'_>, span: Range<usize>) {
        match value {
            DeValue::Integer(digits) if digits.as_str() == "1" => {
                let origin = place.at(span);
                self.put(&["version"], Value::Integer(1), origin);
            }
            _ => self.refuse(
                &place.at(span),
                "version",
                "this program reads version 1 of the file".into(),
                Some("version = 1".into()),
            ),
        }
    }

    fn add_section(
        &mut self,
        file: &Arc<NamedText>,
        section: &'static Section,
        table: &DeTable<'_>,
    ) {
        if !section.named {
            return self.add_keys(file, section, &[section.name], table);
        }
        for (name, table) in table {
            let path = format!("{}.{}", section.name, name.get_ref());
            let place = Place { layer: Layer::File, file, span: name.span() };
            if let Err(reason) = check_name(name.get_ref()) {
                let help = Some(schema::NAME_HINT.into());
                self.refuse(&place.here(), &path, reason, help);
                continue;
            }
            if let Some(table) = self.table(file, &path, table) {
                self.origins.insert(path, place.here());
                self.instance(section.name, name.get_ref());
                self.add_keys(file, section, &[section.name, name.get_ref()], table);
            }
        }
    }

    fn add_keys(
        &mut self,
        file: &Arc<NamedText>,
        section: &'static Section,
        path: &[&str],
        table: &DeTable<'_>,
    ) {
        for (name, value) in table {
            let dotted = format!("{}.{}", path.join("."), name.get_ref());
            let place = Place { layer: Layer::File, file, span: name.span() };
            let Some(key) = section.key(name.get_ref()) else {
                self.unknown(&place, &dotted, name.get_ref(), &key_names(section));
                continue;
            };
            let mut full = path.to_vec();
            full.push(key.name);
            match value::read(&key.kind, value) {
                Ok(read) => self.put(&full, read, place.at(value.span())),
                Err(refusals) => self.refuse_value(&place, key, &dotted, refusals, 0),
            }
        }
    }

    fn table<'t, 'i>(
        &mut self,
        file: &Arc<NamedText>,
        path: &str,
        value: &'t toml::Spanned<DeValue<'i>>,
    ) -> Option<&'t DeTable<'i>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        let place = Place { layer: Layer::File, file, span: value.span() };
        self.refuse(&place.here(), path, "expected a table".into(), Some(format!("[{path}]")));
        None
    }

    /// Reads `RSW__SECTION__KEY` variables; names are matched without regard to case, `-` and `_`.
    pub(crate) fn add_environment(&mut self, variables: &[(String, String)]) {
        for (variable, text) in variables {
            let Some(rest) = variable.strip_prefix(ENV_PREFIX) else { continue };
            let mut parts: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
            if let [section, name, _] = parts.as_mut_slice()
                && let Some(known) = self.known_instance(section, name)
            {
                *name = known;
            }
            let file = NamedText::whole(variable.clone(), text.clone());
            let place = Place { layer: Layer::Environment, file: &file, span: 0..text.len() };
            self.add_text(&place, &parts.join("."), text, 0);
        }
    }

    /// Reads `key.path=value` of `--set`.
    pub(crate) fn add_set(&mut self, assignments: &[String]) {
        for assignment in assignments {
            let file = NamedText::whole("--set", assignment.clone());
            let Some((path, text)) = assignment.split_once('=') else {
                let place = Place { layer: Layer::Set, file: &file, span: 0..assignment.len() };
                let help = Some("--set key.path=value, such as --set field.damping=0.02".into());
                self.refuse(&place.here(), "--set", format!("`{assignment}` has no `=`"), help);
                continue;
            };
            let place = Place { layer: Layer::Set, file: &file, span: 0..path.len() };
            let text = text.trim_start();
            self.add_text(&place, path.trim(), text, assignment.len() - text.len());
        }
    }

    fn add_text(&mut self, place: &Place<'_>, path: &str, text: &str, text_start: usize) {
        let parts: Vec<&str> = path.split('.').collect();
        let value_span = text_start..text_start + text.len();
        if parts == ["version"] {
            let value = DeValue::parse(text).map(|value| value.into_inner());
            return self.add_version(place, &value.unwrap_or(DeValue::Boolean(false)), value_span);
        }
        let Some(section) = schema::section(parts[0]) else {
            return self.unknown(place, path, parts[0], &section_names());
        };
        if parts.len() != if section.named { 3 } else { 2 } {
            let shape = if section.named { "NAME.KEY" } else { "KEY" };
            let help = Some(format!("write {}.{shape}", section.name));
            return self.refuse(&place.here(), path, "this is not the path of a key".into(), help);
        }
        let name = parts[parts.len() - 1];
        let Some(key) = section.key(name) else {
            return self.unknown(place, path, name, &key_names(section));
        };
        if section.named {
            if let Err(reason) = check_name(parts[1]) {
                let help = Some(schema::NAME_HINT.into());
                return self.refuse(&place.here(), path, reason, help);
            }
            self.origins.insert_first(format!("{}.{}", parts[0], parts[1]), place.here());
            self.instance(parts[0], parts[1]);
        }
        match value::read_text(&key.kind, text) {
            Ok(read) => self.put(&parts, read, place.at(value_span)),
            Err(refusals) => self.refuse_value(place, key, path, refusals, text_start),
        }
    }

    /// The instance of a named table that a variable means: `-` cannot be part of a variable's name.
    fn known_instance(&self, section: &str, name: &str) -> Option<String> {
        let fold = |text: &str| text.to_lowercase().replace('-', "_");
        let table = self.tree.get(section)?.as_table()?;
        table.keys().find(|known| fold(known) == fold(name)).cloned()
    }
}

/// Setting and refusing.
impl Merged {
    /// Sets a key, whatever it was.
    pub(crate) fn put(&mut self, path: &[&str], value: Value, origin: Origin) {
        let dotted = path.join(".");
        self.failed.remove(&dotted);
        self.origins.insert(dotted, origin);
        let (last, parents) = path.split_last().expect("a path has at least one part");
        let mut table = &mut self.tree;
        for part in parents {
            table = child(table, part);
        }
        table.insert((*last).into(), value);
    }

    /// Sets a key unless a layer above has set it or has tried to.
    pub(crate) fn put_below(&mut self, path: &[&str], value: Value, origin: Origin) {
        let dotted = path.join(".");
        if !self.origins.contains(&dotted) && !self.failed.contains(&dotted) {
            self.put(path, value, origin);
        }
    }

    /// Puts a value that nobody wrote in the place of one that was refused or is missing.
    pub(crate) fn put_empty(&mut self, path: &[&str], value: Value) {
        let dotted = path.join(".");
        self.put(path, value, Origin::layer(Layer::Default));
        self.failed.insert(dotted);
    }

    /// Makes sure that a named table exists, even with no key in it.
    pub(crate) fn instance(&mut self, section: &str, name: &str) {
        child(child(&mut self.tree, section), name);
    }

    /// Names of the instances of a named table.
    pub(crate) fn instances(&self, section: &str) -> Vec<String> {
        let table = self.tree.get(section).and_then(Value::as_table);
        table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
    }

    /// Notes an error at a place.
    pub(crate) fn refuse(
        &mut self,
        origin: &Origin,
        key: &str,
        message: String,
        help: Option<String>,
    ) {
        self.failed.insert(key.into());
        let (file, span) = (origin.file.clone(), origin.span.clone());
        self.errors.push(Diagnostic { file, span, key: key.into(), message, help });
    }

    /// Notes an error about the value of a key, wherever it came from.
    pub(crate) fn refuse_key(&mut self, key: &str, message: String, help: Option<String>) {
        let origin = self.origins.nearest(key);
        self.refuse(&origin, key, message, help);
    }

    fn refuse_value(
        &mut self,
        place: &Place<'_>,
        key: &Key,
        path: &str,
        refusals: Vec<Refusal>,
        offset: usize,
    ) {
        for refusal in refusals {
            let span = refusal.span.start + offset..refusal.span.end + offset;
            let help = match refusal.suggestion {
                Some(suggestion) => format!("did you mean `{suggestion}`?"),
                None => key.hint.into(),
            };
            self.refuse(&place.at(span), path, refusal.message, Some(help));
        }
    }

    fn unknown(&mut self, place: &Place<'_>, path: &str, name: &str, known: &[&str]) {
        let what = if known.contains(&"version") { "table" } else { "key" };
        let help = Some(suggest(name, known));
        self.refuse(&place.here(), path, format!("unknown {what} `{name}`"), help);
    }
}

/// The entry as a table, made if it is not there.
fn child<'t>(table: &'t mut toml::Table, name: &str) -> &'t mut toml::Table {
    let value = table.entry(name).or_insert_with(|| Value::Table(toml::Table::new()));
    match value {
        Value::Table(table) => table,
        _ => unreachable!("the schema lets only tables be parents"),
    }
}

/// A text of a layer and the bytes of the key in it.
struct Place<'f> {
    layer: Layer,
    file: &'f Arc<NamedText>,
    span: Range<usize>,
}

impl Place<'_> {
    fn at(&self, span: Range<usize>) -> Origin {
        Origin { layer: self.layer, file: Some(self.file.clone()), span: Some(span) }
    }

    fn here(&self) -> Origin {
        self.at(self.span.clone())
    }
}

fn section_names() -> Vec<&'static str> {
    let mut names: Vec<_> = SECTIONS.iter().map(|section| section.name).collect();
    names.push("version");
    names
}

fn key_names(section: &Section) -> Vec<&'static str> {
    section.keys.iter().map(|key| key.name).collect()
}
