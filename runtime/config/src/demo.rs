//! The swarm that runs where nobody wrote one: three sources that beat against each other and four
//! sandboxed agents.

use toml::Value;

use crate::layer::Merged;
use crate::model::FieldSection;
use crate::origin::{Layer, Origin};

/// Name, place as a fraction of the field, wavelength in cells, amplitude, phase.
///
/// Wavelengths that the grid resolves well and that have no small common ratio: the interference pattern
/// drifts for as long as one looks, and no corner of the field stays silent.
const SOURCES: [(&str, [f64; 2], f64, f64, f64); 3] = [
    ("a", [0.28, 0.30], 20.0, 1.0, 0.0),
    ("b", [0.72, 0.36], 16.4, 0.9, 1.3),
    ("c", [0.46, 0.74], 12.0, 0.7, 2.6),
];

/// Adds the demonstration swarm below every other layer, in a field of `size` cells.
pub(crate) fn add(merged: &mut Merged, size: [u32; 2]) {
    let origin = || Origin::layer(Layer::Demo);
    let cells_per_time = cells_per_time(merged);
    for (name, at, wavelength, amplitude, phase) in SOURCES {
        let frequency = cells_per_time / wavelength;
        let cell = |axis: usize| Value::Integer((f64::from(size[axis]) * at[axis]) as i64);
        let values = [
            ("at", Value::Array(vec![cell(0), cell(1)])),
            ("frequency", Value::Float(frequency)),
            ("amplitude", Value::Float(amplitude)),
            ("phase", Value::Float(phase)),
        ];
        for (key, value) in values {
            merged.put_below(&["source", name, key], value, origin());
        }
    }
    merged.put_below(&["agent", "watcher", "replicas"], Value::Integer(4), origin());
}

/// Speed of a wave in cells per time unit, along the wider cells.
fn cells_per_time(merged: &Merged) -> f64 {
    let default = FieldSection::default();
    let number = |value: Option<&Value>| value.and_then(Value::as_float);
    let field = merged.tree.get("field");
    let speed = number(field.and_then(|field| field.get("wave_speed")));
    let spacing = |axis: usize| {
        number(field.and_then(|field| field.get("spacing")?.get(axis)))
            .unwrap_or(default.spacing[axis])
    };
    speed.unwrap_or(default.wave_speed) / spacing(0).max(spacing(1))
}
