//! What the schema cannot see: keys that must fit each other, the physics, and the files they name.

use std::path::Path;

use crate::diagnostic::suggest;
use crate::drive;
use crate::layer::Merged;
use crate::model::{
    AnnotationSection, Auto, BandSection, Feedback, FieldSection, RecorderSection, SourceSection,
    SwarmConfig,
};
use crate::schema::{AGENTS_MAX, CELLS_MAX};

/// What the stability limit depends on.
const STABILITY_KEYS: &[&str] = &[
    "field.dt",
    "field.spacing",
    "field.wave_speed",
    "field.feedback",
    "field.feedback_strength",
    "field.feedback_limit",
];

/// Checks everything in one pass; errors go to `merged`. What depends on a refused key is not judged.
pub(crate) fn check(config: &SwarmConfig, folder: &Path, merged: &mut Merged) {
    field(&config.field, &config.recorder, merged);
    metrics(config, merged);
    for (name, band) in &config.band {
        self::band(name, band, config, merged);
    }
    for (name, source) in &config.source {
        self::source(name, source, config, folder, merged);
    }
    for (name, annotation) in &config.annotation {
        self::annotation(name, annotation, folder, merged);
    }
    agents(config, merged);
}

/// Largest stable time step of the 2-D five-point leapfrog, `1 / (c sqrt(1/dx^2 + 1/dy^2))`, less where a
/// nonlinear term stiffens the medium: `dt^2 (4 c^2 (1/dx^2 + 1/dy^2) + max(-f')) <= 4`.
pub(crate) fn dt_limit(field: &FieldSection) -> f64 {
    let [dx, dy] = field.spacing;
    let linear = field.wave_speed * (1.0 / (dx * dx) + 1.0 / (dy * dy)).sqrt();
    match stiffness(field) {
        0.0 => 1.0 / linear,
        stiffness => 1.0 / (linear * linear + 0.25 * stiffness).sqrt(),
    }
}

/// The largest `-f'(u)` of the nonlinear term, in 1 per time unit squared; never negative.
fn stiffness(field: &FieldSection) -> f64 {
    let (strength, limit) = (field.feedback_strength, field.feedback_limit);
    match field.feedback {
        Feedback::None => 0.0,
        Feedback::SineGordon => strength.abs(),
        // -f' = k (3 u^2 - 1) rises with |u| where k is positive, and is -k at u = 0.
        Feedback::Phi4 => (strength * (3.0 * limit * limit - 1.0)).max(-strength).max(0.0),
        Feedback::Relu => (-strength).max(0.0),
    }
}

/// Courant number of the 2-D form, `c dt sqrt(1/dx^2 + 1/dy^2)`; stable up to 1.
pub(crate) fn courant(field: &FieldSection, dt: f64) -> f64 {
    let [dx, dy] = field.spacing;
    field.wave_speed * dt * (1.0 / (dx * dx) + 1.0 / (dy * dy)).sqrt()
}

impl Merged {
    fn sound(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| !self.failed.contains(*key))
    }
}

/// Least share of the tick rate that the filters of bands resolve.
pub const BAND_SHARE_MIN: f64 = 1e-6;
/// SQLite's largest row, less what else is in one.
const FRAME_BYTES_MAX: u64 = 999_000_000;

fn field(field: &FieldSection, recorder: &RecorderSection, merged: &mut Merged) {
    let [nx, ny] = field.size;
    let cells = u64::from(nx) * u64::from(ny);
    if !merged.sound(&["field.size"]) {
    } else if cells > CELLS_MAX {
        let message = format!("{nx} x {ny} cells are more than {CELLS_MAX}");
        let help = "16384 x 16384 is the largest square".to_owned();
        merged.refuse_key("field.size", message, Some(help));
    } else if recorder.enabled && 4 * cells > FRAME_BYTES_MAX {
        let message =
            format!("a frame of {nx} x {ny} cells is more than a row of the recording takes");
        let help = "15800 x 15800 is about the largest square; or recorder.enabled = false";
        merged.refuse_key("field.size", message, Some(help.into()));
    }
    if merged.sound(STABILITY_KEYS) {
        stability(field, merged);
    }
    for (i, name) in field.publish.iter().enumerate() {
        if field.publish[..i].contains(name) {
            let message = format!("`{name}` is there twice");
            merged.refuse_key("field.publish", message, Some("name each field once".into()));
        }
    }
}

fn band(name: &str, band: &BandSection, config: &SwarmConfig, merged: &mut Merged) {
    let key = |key: &str| format!("band.{name}.{key}");
    let BandSection { low_hz, high_hz, half, .. } = *band;
    if merged.sound(&[&key("half")]) && !(1e-12..=1e12).contains(&half) {
        let message = format!("{half} is beyond single precision, in which fields are measured");
        merged.refuse_key(&key("half"), message, Some("a number from 1e-12 to 1e12".into()));
    }
    if !merged.sound(&[&key("low_hz"), &key("high_hz"), "tick.rate_hz"]) {
        return;
    }
    if high_hz <= low_hz {
        let message = format!("{high_hz} Hz is not above low_hz = {low_hz}");
        merged.refuse_key(&key("high_hz"), message, Some("a band has a width".into()));
    }
    // The rate of a recording is not known here: the kernel checks the band again.
    let limit_hz = config.tick.rate_hz / 2.0;
    if low_hz < BAND_SHARE_MIN * config.tick.rate_hz {
        let rate = config.tick.rate_hz;
        let message = format!("{low_hz} Hz is below a millionth of the tick rate, {rate} Hz");
        let help = "raise the band, or lower tick.rate_hz".to_owned();
        merged.refuse_key(&key("low_hz"), message, Some(help));
    }
    if limit_hz > 0.0 && high_hz >= limit_hz {
        let message = format!("{high_hz} Hz is not below half of the tick rate, {limit_hz} Hz");
        let help = "lower the band, or raise tick.rate_hz".to_owned();
        merged.refuse_key(&key("high_hz"), message, Some(help));
    }
}

fn stability(field: &FieldSection, merged: &mut Merged) {
    let limit = dt_limit(field);
    if !limit.is_finite() || limit <= 0.0 {
        let message = format!("spacing and wave speed give a time step of {limit}");
        merged.refuse_key("field.spacing", message, Some("use values nearer to 1".into()));
        return;
    }
    let Auto::Set(dt) = field.dt else { return };
    let courant = courant(field, dt);
    let load = courant.powi(2) + (0.5 * dt).powi(2) * stiffness(field);
    // Either form alone may round past the limit; the limit itself, typed back, must be accepted.
    if dt > limit && load > 1.0 {
        let why = match field.feedback {
            Feedback::None => "the limit 1".to_owned(),
            _ => format!("the limit {:.4} that `feedback` leaves", courant * limit / dt),
        };
        let message = format!(
            "the Courant number c dt sqrt(1/dx^2+1/dy^2) is {courant:.4}, above {why}: \
             the scheme would blow up"
        );
        let help = format!("use a dt of at most {limit}, or \"auto\"");
        merged.refuse_key("field.dt", message, Some(help));
    }
}

fn metrics(config: &SwarmConfig, merged: &mut Merged) {
    if config.band.is_empty() && config.field.publish.iter().any(|field| field == "ci_total") {
        let message = "`ci_total` is the sum over bands, and there is none".to_owned();
        let help = "add a [band.NAME] with low_hz and high_hz, or publish `ci`".to_owned();
        merged.refuse_key("field.publish", message, Some(help));
    }
    let metrics = &config.metrics;
    let side = config.field.size[0].min(config.field.size[1]);
    if let Auto::Set(box_max) = metrics.box_max
        && merged.sound(&["metrics.box_min", "metrics.box_max"])
        && box_max <= metrics.box_min
    {
        let message = format!("{box_max} is not above box_min = {}", metrics.box_min);
        let help = "a fit needs at least two box sizes".to_owned();
        merged.refuse_key("metrics.box_max", message, Some(help));
    }
    // The default tile and window are cut to a small field by the kernel; what a person wrote is not.
    for (key, value) in [("metrics.tile", metrics.tile), ("metrics.window", metrics.window)] {
        if merged.origins.is_set(key) && merged.sound(&[key, "field.size"]) && value > side {
            let message =
                format!("{value} cells are more than the smaller side of the field, {side}");
            merged.refuse_key(key, message, Some(format!("at most {side}")));
        }
    }
}

fn source(
    name: &str,
    source: &SourceSection,
    config: &SwarmConfig,
    folder: &Path,
    merged: &mut Merged,
) {
    let key = |key: &str| format!("source.{name}.{key}");
    inside(&key("at"), source.at, config, merged);
    if !merged.sound(&[&key("csv"), &key("column"), &key("frequency"), &key("ricker")]) {
        return;
    }
    let signals = [
        ("frequency", source.frequency.is_some()),
        ("ricker", source.ricker.is_some()),
        ("csv", source.csv.is_some()),
    ];
    let mut given = signals.iter().filter(|(_, given)| *given).map(|(name, _)| *name);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        let message = format!("`{second}` and `{first}` are both there");
        let help = "a source is either an oscillator (frequency), a pulse (ricker) or a recording \
                    (csv, column)";
        merged.refuse_key(&key(first), message, Some(help.into()));
        return;
    }
    match (&source.csv, source.frequency.or(source.ricker)) {
        (None, None) => {
            let message = "neither `frequency` nor `ricker` nor `csv` is there".to_owned();
            let help =
                "an oscillator has a frequency, a pulse a ricker, a recording a csv and a column";
            merged.refuse_key(&format!("source.{name}"), message, Some(help.into()));
        }
        (Some(csv), _) => {
            let column = source.column.as_deref();
            let path = folder.join(csv);
            if recording(&key("csv"), &path, &[(&key("column"), column)], merged)
                && source.time_column.is_some()
            {
                let time_column = (&*key("time_column"), source.time_column.as_deref());
                recording(&key("csv"), &path, &[time_column], merged);
            }
        }
        (None, Some(frequency)) => {
            let word = if source.ricker.is_some() { "ricker" } else { "frequency" };
            oscillator(&key(word), frequency, config, merged);
            for (word, value) in [("column", &source.column), ("time_column", &source.time_column)]
            {
                if value.is_some() {
                    let message = format!("`{word}` without `csv`");
                    let help = "only a recording has columns".to_owned();
                    merged.refuse_key(&key(word), message, Some(help));
                }
            }
        }
    }
}

/// A frequency above half a cycle a step would show as another, lower one.
fn oscillator(key: &str, frequency: f64, config: &SwarmConfig, merged: &mut Merged) {
    if !merged.sound(STABILITY_KEYS) {
        return;
    }
    let dt = match config.field.dt {
        Auto::Auto => crate::resolve::AUTO_COURANT * dt_limit(&config.field),
        Auto::Set(dt) => dt,
    };
    if frequency * dt > 0.5 {
        let message = format!("{frequency} cycles per time unit are more than half a cycle a step");
        let help = format!("at most {} with dt = {dt}", 0.5 / dt);
        merged.refuse_key(key, message, Some(help));
    }
}

fn inside(key: &str, at: [u32; 2], config: &SwarmConfig, merged: &mut Merged) {
    let [nx, ny] = config.field.size;
    if merged.sound(&["field.size", key]) && (at[0] >= nx || at[1] >= ny) {
        let message = format!("[{}, {}] is outside the field of {nx} x {ny} cells", at[0], at[1]);
        let help = format!("x from 0 to {}, y from 0 to {}", nx - 1, ny - 1);
        merged.refuse_key(key, message, Some(help));
    }
}

/// Checks that the file has the columns; says whether all of it is well.
fn recording(
    csv_key: &str,
    path: &Path,
    columns: &[(&str, Option<&str>)],
    merged: &mut Merged,
) -> bool {
    let header = match drive::header(path) {
        Ok(header) => header,
        Err(reason) => {
            let message = format!("{} cannot be read: {reason}", path.display());
            let help = "the path of a CSV file with a header, relative to the swarm file";
            merged.refuse_key(csv_key, message, Some(help.into()));
            return false;
        }
    };
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut well = true;
    for (key, column) in columns {
        let message = match column {
            Some(column) if names.contains(column) => continue,
            Some(column) => format!("{} has no column `{column}`", path.display()),
            None => "`column` is missing".into(),
        };
        merged.refuse_key(key, message, Some(suggest(column.unwrap_or(""), &names)));
        well = false;
    }
    well
}

fn annotation(name: &str, annotation: &AnnotationSection, folder: &Path, merged: &mut Merged) {
    let (csv, column) = (format!("annotation.{name}.csv"), format!("annotation.{name}.column"));
    if merged.sound(&[&csv, &column]) {
        let path = folder.join(&annotation.csv);
        recording(&csv, &path, &[(&column, Some(&annotation.column))], merged);
    }
}

/// Names of our own in `ps` and `logs`.
pub(crate) const OURS: [&str; 4] = ["kernel", "recorder", "gateway", "runtime"];

fn agents(config: &SwarmConfig, merged: &mut Merged) {
    let total: u64 = config.agent.values().map(|agent| u64::from(agent.replicas)).sum();
    if total > u64::from(AGENTS_MAX) {
        let message = format!("{total} agents in all are more than {AGENTS_MAX}");
        let help = format!("a swarm has at most {AGENTS_MAX} agents; lower the replicas");
        merged.refuse_key("agent", message, Some(help));
    }
    for (name, agent) in &config.agent {
        let key = |key: &str| format!("agent.{name}.{key}");
        if OURS.contains(&name.as_str()) {
            let message = format!("`{name}` is a process of every swarm");
            merged.refuse_key(&format!("agent.{name}"), message, Some("another name".into()));
        }
        if agent.command.is_empty() {
            let help = "command = [\"agent-proc\"]".to_owned();
            merged.refuse_key(&key("command"), "there is no program".into(), Some(help));
        }
        if let Some(at) = agent.at {
            inside(&key("at"), at, config, merged);
        }
    }
    same_instance_name(config, merged);
}

/// `[agent.a]` with replicas and `[agent.a-1]` would both make an agent `a-1`.
fn same_instance_name(config: &SwarmConfig, merged: &mut Merged) {
    for (name, agent) in config.agent.iter().filter(|(_, agent)| agent.replicas > 1) {
        for replica in 1..=agent.replicas {
            let instance = format!("{name}-{replica}");
            if config.agent.get(&instance).is_some_and(|other| other.replicas == 1) {
                let message = format!("a replica of `{name}` is called `{instance}` too");
                let help = Some("give one of the two another name".to_owned());
                merged.refuse_key(&format!("agent.{instance}"), message, help);
            }
        }
    }
}
