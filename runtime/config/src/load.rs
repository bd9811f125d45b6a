//! From the swarm file, the environment and the flags to one checked configuration.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Value;

use crate::check;
use crate::demo;
use crate::diagnostic::{ConfigErrors, Diagnostic, NamedText, suggest};
use crate::drive::{self, DriveSummary};
use crate::layer::{ENV_PREFIX, Merged};
use crate::model::SwarmConfig;
use crate::origin::{Layer, Origin, Origins};
use crate::schema::{AGENTS_MAX, SECTIONS, SIDE_MAX};
use crate::words::check_name;

/// Name of the swarm file.
pub const FILE_NAME: &str = "swarm.toml";

/// Everything a configuration is made from, as the command line has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The working folder: relative paths of flags start here, and `swarm.toml` is looked for here.
    pub folder: PathBuf,
    /// `-f`: a swarm file, or a folder with one.
    pub file: Option<PathBuf>,
    /// `RSW__SECTION__KEY` variables; others are ignored.
    pub environment: Vec<(String, String)>,
    /// `--set key.path=value`, in their order.
    pub set: Vec<String>,
    /// `-p NAME`.
    pub project: Option<String>,
    /// `--scale AGENT=N`, in their order.
    pub scale: Vec<String>,
    /// `--drive FILE.csv`.
    pub drive: Option<PathBuf>,
    /// `--ticks N`.
    pub ticks: Option<u64>,
}

impl Source {
    /// A folder and nothing else.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), ..Self::default() }
    }

    /// Takes the `RSW__` variables of this process; bytes that are not UTF-8 show as U+FFFD.
    pub fn with_process_environment(mut self) -> Self {
        let text = |word: OsString| word.to_string_lossy().into_owned();
        self.environment = std::env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .collect();
        self.environment.sort();
        self
    }
}

/// A configuration without errors, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: SwarmConfig,
    /// Where each value came from.
    pub origins: Origins,
    /// Absolute folder of the swarm file, or the working folder without one.
    pub folder: PathBuf,
    /// The swarm file, if there is one.
    pub file: Option<PathBuf>,
    /// What `--drive` made of its file.
    pub drive: Option<DriveSummary>,
    /// `--ticks`.
    pub ticks: Option<u64>,
    /// Allowed, but worth saying.
    pub notes: Vec<String>,
}

impl Loaded {
    /// Whether this is the demonstration swarm.
    pub fn is_demo(&self) -> bool {
        self.file.is_none() && self.drive.is_none()
    }
}

/// Reads and checks every layer: defaults, swarm file, environment, `--set`, flags; later ones win.
///
/// # Errors
/// Every error of every layer, in the order of the texts. After a syntax error in the swarm file nothing
/// that depends on its content is judged.
pub fn load(source: Source) -> Result<Loaded, ConfigErrors> {
    let mut merged = Merged::default();
    let working = absolute(&source.folder, &mut merged);
    let file = locate(&source, &working, &mut merged);
    let folder = match file.as_deref().and_then(Path::parent) {
        Some(parent) => parent.to_owned(),
        None => working.clone(),
    };
    if let Some(path) = &file {
        read_file(path, &mut merged);
        if merged.errors.iter().any(|error| error.key == "syntax") {
            return Err(sorted(merged.errors));
        }
    }
    merged.add_environment(&source.environment);
    merged.add_set(&source.set);
    set_project(source.project.as_deref(), &mut merged);
    let size = size_so_far(&merged);
    let drive = source.drive.as_ref().and_then(|path| add_drive(&working, path, size, &mut merged));
    if source.file.is_none() && file.is_none() && source.drive.is_none() {
        demo::add(&mut merged, size);
    }
    set_scale(&source.scale, &mut merged);
    set_ticks(source.ticks, &mut merged);
    require_keys(&mut merged);
    let config = match SwarmConfig::deserialize(Value::Table(merged.tree.clone())) {
        Ok(config) => config,
        Err(error) => {
            merged.refuse_key("swarm", error.message().to_owned(), None);
            return Err(sorted(merged.errors));
        }
    };
    check::check(&config, &folder, &mut merged);
    if !merged.errors.is_empty() {
        return Err(sorted(merged.errors));
    }
    let notes = notes(&config);
    let (origins, ticks) = (merged.origins, source.ticks);
    Ok(Loaded { config, origins, folder, file, drive, ticks, notes })
}

fn absolute(folder: &Path, merged: &mut Merged) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    if absolute.to_str().is_none() {
        let key = absolute.to_string_lossy().into_owned();
        let help = Some("the topology is JSON: use a folder whose path is UTF-8".into());
        merged.refuse(&flag(None), &key, "the path is not UTF-8".into(), help);
    }
    // Not canonicalised: two names of one folder are two swarms only if the user keeps them apart.
    absolute.components().collect()
}

fn locate(source: &Source, working: &Path, merged: &mut Merged) -> Option<PathBuf> {
    let Some(given) = &source.file else {
        let found = working.join(FILE_NAME);
        return found.try_exists().unwrap_or(true).then_some(found);
    };
    let mut path = working.join(given);
    if path.is_dir() {
        path.push(FILE_NAME);
    }
    let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
    if path.is_file() {
        // However the folder is spelled, it is the one that one can change into.
        return Some(match (folder, path.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => path,
        });
    }
    let reason = match path.is_dir() || !working.join(given).is_dir() {
        true => "there is no such swarm file".to_owned(),
        false => format!("the folder has no {FILE_NAME}"),
    };
    let help = Some("`runtime up` without -f needs no file".into());
    merged.refuse(&flag(None), &given.display().to_string(), reason, help);
    None
}

fn read_file(path: &Path, merged: &mut Merged) {
    match fs::read_to_string(path) {
        Ok(text) => merged.add_document(&NamedText::whole(path.display().to_string(), text)),
        Err(error) => {
            let key = path.display().to_string();
            merged.refuse(&flag(None), &key, format!("cannot be read: {error}"), None);
        }
    }
}

fn flag(text: Option<(&str, &str)>) -> Origin {
    let file = text.map(|(name, text)| NamedText::whole(name, text));
    let span = text.map(|(_, text)| 0..text.len());
    Origin { layer: Layer::Flag, file, span }
}

fn set_project(project: Option<&str>, merged: &mut Merged) {
    let Some(name) = project else { return };
    let origin = flag(Some(("-p", name)));
    match check_name(name) {
        Ok(()) => merged.put(&["swarm", "name"], Value::String(name.into()), origin),
        Err(reason) => {
            let help = Some(crate::schema::NAME_HINT.into());
            merged.refuse(&origin, "swarm.name", reason, help);
        }
    }
}

/// The field's size before the layers below the file are known: lattices are laid out in it.
fn size_so_far(merged: &Merged) -> [u32; 2] {
    let cells = |axis: usize| {
        let size = merged.tree.get("field")?.get("size")?.get(axis)?;
        u32::try_from(size.as_integer()?).ok().filter(|cells| (1..=SIDE_MAX).contains(cells))
    };
    let default = SwarmConfig::default().field.size;
    [cells(0).unwrap_or(default[0]), cells(1).unwrap_or(default[1])]
}

fn add_drive(
    working: &Path,
    path: &Path,
    size: [u32; 2],
    merged: &mut Merged,
) -> Option<DriveSummary> {
    match drive::scan(&working.join(path)) {
        Ok(summary) => {
            drive::add(merged, &summary, size);
            Some(summary)
        }
        Err(errors) => {
            merged.errors.extend(errors);
            None
        }
    }
}

fn set_scale(scale: &[String], merged: &mut Merged) {
    for assignment in scale {
        let origin = flag(Some(("--scale", assignment)));
        let help = Some("--scale AGENT=N, such as --scale watcher=8".to_owned());
        let Some((name, count)) = assignment.split_once('=') else {
            merged.refuse(&origin, "--scale", format!("`{assignment}` has no `=`"), help);
            continue;
        };
        let groups = merged.instances("agent");
        if !groups.iter().any(|group| group == name) {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            let help = Some(suggest(name, &groups));
            merged.refuse(&origin, "--scale", format!("there is no agent `{name}`"), help);
            continue;
        }
        let path = ["agent", name, "replicas"];
        match count.parse::<u64>() {
            Ok(count) if count <= u64::from(AGENTS_MAX) => {
                merged.put(&path, Value::Integer(count as i64), origin);
            }
            Ok(count) => {
                let message = format!("{count} is outside 0..={AGENTS_MAX}");
                let help = Some(format!("a swarm has at most {AGENTS_MAX} agents"));
                merged.refuse(&origin, &path.join("."), message, help);
            }
            Err(_) => {
                let message = format!("`{count}` is not a whole number");
                merged.refuse(&origin, &path.join("."), message, help);
            }
        }
    }
}

/// A run of a fixed number of ticks is a measurement: the recorder may hold the kernel back.
fn set_ticks(ticks: Option<u64>, merged: &mut Merged) {
    let Some(ticks) = ticks else { return };
    let origin = flag(Some(("--ticks", &ticks.to_string())));
    if ticks == 0 {
        let help = Some("leave --ticks out to run until stopped".into());
        merged.refuse(&origin, "--ticks", "0 ticks is no run".into(), help);
    }
    merged.put(&["recorder", "mode"], Value::String("lossless".into()), origin);
}

/// Notes required keys that nobody wrote and puts empty ones in their place, so that the rest is judged.
fn require_keys(merged: &mut Merged) {
    for section in SECTIONS.iter().filter(|section| section.named) {
        for name in merged.instances(section.name) {
            for key in section.keys.iter().filter(|key| key.required) {
                let path = [section.name, name.as_str(), key.name];
                let dotted = path.join(".");
                if merged.origins.contains(&dotted) {
                    continue;
                }
                if !merged.failed.contains(&dotted) {
                    let message = format!("`{}` is missing", key.name);
                    merged.refuse_key(&dotted, message, Some(key.hint.into()));
                }
                let empty = match key.kind {
                    crate::schema::Kind::Finite => Value::Float(0.0),
                    _ => Value::String(String::new()),
                };
                merged.put_empty(&path, empty);
            }
        }
    }
}

fn notes(config: &SwarmConfig) -> Vec<String> {
    let mut notes = Vec::new();
    if config.source.is_empty() {
        notes.push("there is no [source.NAME]: nothing drives the field and it stays flat".into());
    }
    if config.agent.values().all(|agent| agent.replicas == 0) {
        notes.push("there is no [agent.NAME]: nobody but the recorder reads the field".into());
    }
    notes
}

/// In the order in which texts were read, and within a text in the order of its bytes.
fn sorted(mut diagnostics: Vec<Diagnostic>) -> ConfigErrors {
    let mut names: Vec<Option<String>> = Vec::new();
    let name = |diagnostic: &Diagnostic| diagnostic.file.as_ref().map(|file| file.name.clone());
    for diagnostic in &diagnostics {
        if !names.contains(&name(diagnostic)) {
            names.push(name(diagnostic));
        }
    }
    diagnostics.sort_by_key(|diagnostic| {
        let file = names.iter().position(|known| *known == name(diagnostic));
        let at = diagnostic.file.as_ref().map_or(0, |file| file.first_line);
        (file, at, diagnostic.span.as_ref().map_or(0, |span| span.start))
    });
    ConfigErrors { diagnostics }
}
