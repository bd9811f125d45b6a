//! `runtime analyze` as its users meet it: fields in, one line of JSON.

#![allow(clippy::unwrap_used)]

mod common;

use std::f64::consts::TAU;
use std::path::Path;
use std::process::{Command, Output};

use common::noise;
use serde_json::Value;
use solver_proc::npy::{Array, write_field};

fn analyze(folder: &Path, words: &str) -> Output {
    let words = words.split_whitespace();
    let program = env!("CARGO_BIN_EXE_rsw-analyze");
    Command::new(program).args(words).current_dir(folder).output().unwrap()
}

/// The document of a run that must succeed.
fn analyzed(folder: &Path, words: &str) -> Value {
    let output = analyze(folder, &format!("{words} --json"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Standard error of a run that must fail.
fn refused(folder: &Path, words: &str) -> String {
    let output = analyze(folder, words);
    assert!(!output.status.success(), "{words}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn close(ours: &Value, exact: f64, tolerance: f64) {
    let ours = number(ours);
    assert!((ours - exact).abs() <= tolerance, "{ours}, {exact}");
}

fn with(nx: usize, name: &str, cells: &[f32]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_field(&folder.path().join(name), nx, cells).unwrap();
    folder
}

/// A silent field has CI 0 everywhere, a constant one D = 2, C = 1, G = A/A_ref, and no structure.
#[test]
fn silence_and_constants() {
    let folder = with(64, "silent.npy", &[0.0; 64 * 64]);
    let silent = analyzed(folder.path(), "silent.npy");
    assert_eq!([number(&silent["mean"]["CI"]), number(&silent["D"])], [0.0, 0.0]);
    assert!(silent["D_r2"].is_null(), "an empty set fits no line");
    write_field(&folder.path().join("constant.npy"), 64, &[0.5f64; 64 * 64]).unwrap();
    let constant = analyzed(folder.path(), "constant.npy --tile 32");
    close(&constant["D"], 2.0, 0.0);
    close(&constant["mean"]["C"], 1.0, 1e-6);
    close(&constant["mean"]["G"], 0.5, 1e-6);
    close(&constant["mean"]["CI"], 2.0 * 0.5, 2e-6);
    assert_eq!(constant["tiles"]["D"], serde_json::json!([2.0, 2.0, 2.0, 2.0]));
    assert!(constant["structure_factor"].as_array().unwrap().iter().all(|s| number(s) == 0.0));
}

/// The Sierpinski triangle has 3^(8-k) boxes of 2^k cells: D = log2 3 in every fit.
#[test]
fn a_fractal_and_its_boxes() {
    let cells: Vec<f32> =
        (0..256 * 256).map(|i| f32::from(u8::from((i % 256) & (i / 256) == 0))).collect();
    let folder = with(256, "u.npy", &cells);
    let found = analyzed(folder.path(), "u.npy --threshold 0.5 --boxes 1:64");
    close(&found["D"], 3f64.log2(), 1e-12);
    close(&found["D_r2"], 1.0, 1e-12);
    let counts = found["box_counts"].as_array().unwrap();
    assert_eq!(counts.len(), 7);
    for (k, row) in counts.iter().enumerate() {
        assert_eq!(row["size"], 1 << k);
        assert_eq!(row["count"], 3u64.pow(8 - k as u32));
    }
    assert_eq!(found["local_slopes"].as_array().unwrap().len(), 6);
    found["local_slopes"].as_array().unwrap().iter().for_each(|s| close(s, 3f64.log2(), 1e-12));
}

/// Variance and rms gain of every window, by their definitions, over fields of awkward sizes.
#[test]
fn means_are_those_of_the_definitions() {
    for (nx, ny) in [(1, 1), (2, 3), (5, 17), (1023, 5), (17, 1025)] {
        let cells = noise(nx * ny, 3);
        let folder = with(nx, "u.npy", &cells);
        let found = analyzed(folder.path(), "u.npy --window 5");
        let (mut coherence, mut gain) = (0.0, 0.0);
        for i in 0..nx * ny {
            let (x, y) = (i % nx, i / nx);
            let mut window = Vec::new();
            for row in y.saturating_sub(2)..(y + 3).min(ny) {
                for column in x.saturating_sub(2)..(x + 3).min(nx) {
                    window.push(f64::from(cells[row * nx + column]));
                }
            }
            let count = window.len() as f64;
            let mean = window.iter().sum::<f64>() / count;
            let variance = window.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / count;
            coherence += 0.01 / (0.01 + variance) / (nx * ny) as f64;
            gain += (window.iter().map(|u| u * u).sum::<f64>() / count).sqrt() / (nx * ny) as f64;
        }
        close(&found["mean"]["C"], coherence, 1e-5 * coherence);
        close(&found["mean"]["G"], gain, 1e-5 * gain);
        assert_eq!([&found["nx"], &found["ny"]].map(number), [nx as f64, ny as f64]);
    }
}

/// tau of a field that stays is `dt (1 - q^n)/(1 - q)` after n frames, q = exp(-1/50), and the index follows it; one file of
/// many frames and many files of one are the same.
#[test]
fn a_sequence_has_a_past() {
    let folder = with(32, "u.npy", &noise(32 * 32, 1));
    let folder = folder.path();
    let alone = analyzed(folder, "u.npy");
    let files = "u.npy ".repeat(20);
    let found = analyzed(folder, &format!("{files} --frame-seconds 0.02"));
    let frames = found["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 20);
    let q = (-1f64 / 50.0).exp();
    let mut tau = 0.0;
    // The envelope itself settles: what the similarity sees of it, with A0 = 0.1, is the rest of this.
    for (k, frame) in frames.iter().enumerate() {
        tau = q * tau + 0.02;
        assert_eq!(frame["frame"], k);
        assert!(number(&frame["tau"]) <= tau * (1.0 + 1e-6) && number(&frame["tau"]) > 0.3 * tau);
        assert!(number(&frame["CI"]) < number(&alone["mean"]["CI"]));
    }
    assert_eq!(frames[19]["CI"], found["mean"]["CI"]);
    // The same as one array of rank 3.
    let (_, values) = Array::read_field(&folder.join("u.npy")).unwrap();
    let many: Vec<f32> = values.cast::<f32>().unwrap().repeat(20);
    write_field(&folder.join("many.npy"), 32, &many).unwrap();
    let mut bytes = std::fs::read(folder.join("many.npy")).unwrap();
    let (from, to) = ("'shape': (640, 32), }    ", "'shape': (20, 32, 32), } ");
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    std::fs::write(folder.join("many.npy"), bytes).unwrap();
    assert_eq!(analyzed(folder, "many.npy --frame-seconds 0.02"), found);
}

/// Five waves along x: ring 5, whose two modes hold N A^2/4 each.
#[test]
fn a_plane_wave_shows_in_its_ring() {
    let cells: Vec<f32> =
        (0..64 * 64).map(|i| (TAU * 5.0 * (i % 64) as f64 / 64.0).sin() as f32).collect();
    let folder = with(64, "u.npy", &cells);
    let found = analyzed(folder.path(), "u.npy --out-prefix w");
    let modes = number(&found["structure_factor_modes"][5]);
    close(&found["structure_factor"][5], 2.0 * 4096.0 / 4.0 / modes, 1e-3);
    let (size, factor) = Array::read_field(&folder.path().join("w-structure-factor.npy")).unwrap();
    assert_eq!(size, [64, 64]);
    assert!((factor.cast::<f64>().unwrap()[5] - 1024.0).abs() < 1e-3);
}

/// What is written has the means that are told.
#[test]
fn the_fields_behind_the_means() {
    let folder = with(100, "u.npy", &noise(100 * 70, 6));
    let folder = folder.path();
    let found = analyzed(folder, "u.npy u.npy --out-prefix p");
    for (name, key) in [("ci", "CI"), ("coherence", "C"), ("gain", "G"), ("dwell", "tau")] {
        let (size, values) = Array::read_field(&folder.join(format!("p-{name}.npy"))).unwrap();
        assert_eq!(size, [100, 70]);
        let mean = values.cast::<f64>().unwrap().iter().sum::<f64>() / 7000.0;
        close(&found["mean"][key], mean, 1e-6 * mean);
    }
    let (size, values) = Array::read_field(&folder.join("p-dimension.npy")).unwrap();
    assert_eq!(
        size.map(|side| side as f64),
        [&found["tiles"]["nx"], &found["tiles"]["ny"]].map(number)
    );
    assert_eq!(serde_json::json!(values.cast::<f64>().unwrap()), found["tiles"]["D"]);
}

#[test]
fn a_swarm_file_has_the_parameters() {
    let folder = with(64, "u.npy", &noise(64 * 64, 2));
    let folder = folder.path();
    let text = "[metrics]\nthreshold = \"0.25\"\nwindow = 3\na_ref = 2.0\n[tick]\nrate_hz = 50.0\n";
    std::fs::write(folder.join("p.toml"), text).unwrap();
    let found = analyzed(folder, "u.npy u.npy --params p.toml");
    close(&found["threshold"], 0.25, 0.0);
    assert_eq!(found["window"], 3);
    let plain = analyzed(folder, "u.npy u.npy --threshold 0.25 --window 3 --frame-seconds 0.02");
    close(&found["mean"]["G"], number(&plain["mean"]["G"]) / 2.0, 1e-7);
    close(&found["mean"]["tau"], number(&plain["mean"]["tau"]), 0.0);
    let over = analyzed(folder, "u.npy --params p.toml --window 5");
    assert_eq!(over["window"], 5);
    // Frames may be further apart than the ticks of any swarm.
    let slow = analyzed(folder, "u.npy u.npy --params p.toml --frame-seconds 1e4");
    assert_eq!(slow["window"], 3);
    std::fs::write(folder.join("bad.toml"), "[metrics]\nwindw = 3\n").unwrap();
    assert!(refused(folder, "u.npy --params bad.toml").contains("windw"));
    assert_eq!(analyze(folder, "u.npy --params bad.toml").status.code(), Some(5));
}

/// A pattern that swings at 10 Hz, a hundred frames a second. The band from 13 to 30 Hz lets 0.365 of that through (the formula of
/// `bandpass`); D and, with a large s0 and A0, C and tau are the same: its index is as much smaller, but for the gate's 0.97.
#[test]
fn bands_of_a_sequence() {
    let (n, frames) = (32, 300);
    let pattern = noise(n * n, 4);
    let cells: Vec<f32> = (0..frames)
        .flat_map(|frame| {
            let swing = (TAU * 10.0 * f64::from(frame) / 100.0).sin() as f32;
            pattern.iter().map(move |u| u * swing).collect::<Vec<f32>>()
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut files = String::new();
    for (k, field) in cells.chunks(n * n).enumerate() {
        write_field(&folder.join(format!("u-{k:03}.npy")), n, field).unwrap();
        files += &format!("u-{k:03}.npy ");
    }
    let band = |name, low, high| format!("[band.{name}]\nlow_hz = {low}\nhigh_hz = {high}\n");
    std::fs::write(folder.join("one.toml"), band("alpha", 8, 13)).unwrap();
    let two = "[metrics]\ns0 = 100.0\ndwell_a0 = 100.0\n".to_owned()
        + &band("alpha", 8, 13)
        + &band("beta", 13, 30);
    std::fs::write(folder.join("two.toml"), two).unwrap();
    let one = analyzed(folder, &format!("{files} --params one.toml --out-prefix p"));
    let bands = one["mean"]["bands"].as_array().unwrap();
    assert_eq!((bands.len(), &bands[0]["name"]), (1, &serde_json::json!("alpha")));
    close(&one["mean"]["CI_total"], number(&bands[0]["CI"]), 1e-9);
    let (_, total) = Array::read_field(&folder.join("p-ci_total.npy")).unwrap();
    let mean = total.cast::<f64>().unwrap().iter().sum::<f64>() / (n * n) as f64;
    close(&one["mean"]["CI_total"], mean, 1e-6 * mean);
    let two = analyzed(folder, &format!("{files} --params two.toml"));
    // Both swing, the second earlier: over a whole period.
    let period = &two["frames"].as_array().unwrap()[290..];
    let sum =
        |band: usize| period.iter().map(|frame| number(&frame["bands"][band]["CI"])).sum::<f64>();
    let leaked = sum(1) / sum(0);
    assert!((0.33..0.37).contains(&leaked), "{leaked}");
    let bands = two["mean"]["bands"].as_array().unwrap();
    close(&two["mean"]["CI_total"], bands.iter().map(|band| number(&band["CI"])).sum(), 1e-6);
    assert!(analyzed(folder, "u-000.npy --params one.toml")["mean"]["bands"].is_null());
    assert!(
        refused(folder, &format!("{files} --params one.toml --frame-seconds 0.1")).contains("5 Hz")
    );
}

/// Whatever the keys may be, what comes out is a number.
#[test]
fn extreme_parameters_stay_finite() {
    let folder = with(32, "u.npy", &noise(32 * 32, 7));
    let folder = folder.path();
    write_field(&folder.join("silent.npy"), 32, &[0.0f32; 32 * 32]).unwrap();
    write_field(
        &folder.join("loud.npy"),
        32,
        &noise(32 * 32, 8).iter().map(|u| u * 1e12).collect::<Vec<_>>(),
    )
    .unwrap();
    for keys in [
        "s0 = 1e-20",
        "s0 = 1e-18",
        "dwell_a0 = 1e-20",
        "coherence = \"raw\"\ncoherence_eps = 1e-30",
    ] {
        std::fs::write(folder.join("p.toml"), format!("[metrics]\n{keys}\n")).unwrap();
        for field in ["u.npy", "silent.npy", "loud.npy"] {
            let found = analyzed(folder, &format!("{field} {field} --params p.toml"));
            for key in ["C", "G", "CI", "tau"] {
                let value = found["mean"][key].as_f64();
                assert!(
                    value.is_some_and(|value| value >= 0.0),
                    "{keys}, {field}, {key}: {value:?}"
                );
            }
        }
    }
}

/// A single field has always been so, in every form: the envelope is max(u, 0), and a sojourn lasts where it is loud enough.
#[test]
fn a_single_field_has_always_been_so() {
    let cells: Vec<f32> = (0..64 * 64).map(|i| if i % 64 < 32 { 0.5 } else { -0.5 }).collect();
    let folder = with(64, "u.npy", &cells);
    let folder = folder.path();
    let with = |keys: &str| {
        std::fs::write(folder.join("p.toml"), format!("[metrics]\nthreshold = \"0\"\n{keys}\n"))
            .unwrap();
        analyzed(folder, "u.npy --params p.toml --window 1")["mean"].clone()
    };
    // One cell a window: C = 1, G = |u|; every cell is in the set, D = 2.
    close(&with("")["CI"], 2.0 * 0.5, 1e-6);
    close(&with("gain = \"envelope\"")["G"], 0.25, 1e-6);
    close(&with("dwell = \"sojourn\"")["CI"], 0.5 * 2.0 * 0.5, 1e-6);
}

#[test]
fn what_cannot_be_measured_is_refused_by_name() {
    let folder = with(8, "u.npy", &noise(64, 2));
    let folder = folder.path();
    write_field(&folder.join("v.npy"), 4, &[1.0f32; 64]).unwrap();
    write_field(&folder.join("big.npy"), 2, &[1e200f64; 4]).unwrap();
    for (words, why) in [
        ("", "FIELD.npy"),
        ("none.npy", "none.npy"),
        ("u.npy v.npy", "v.npy: its field has 4 x 16 cells, those before it 8 x 8"),
        ("big.npy", "big.npy: value 0 is beyond 1e12"),
        ("u.npy --threshold q:2", "threshold"),
        ("u.npy --window 4", "--window = 4"),
        ("u.npy --tile 3", "--tile = 3"),
        ("u.npy --boxes 64:2", "no power of two"),
        ("u.npy --frame-seconds 0", "--frame-seconds"),
        ("u.npy --frame-seconds 1e-50", "--frame-seconds"),
        ("u.npy --frame-seconds -1e-3", "`-1e-3` is not a time"),
        ("u.npy --threshold -1", "-1"),
        ("u.npy --tile -1", "'-1' for '--tile"),
        ("u.npy --threshold 1e39", "threshold"),
        ("u.npy --out-prefix nowhere/u", "there is no folder nowhere"),
        ("u.npy --params none.toml", "none.toml: there is no such file"),
    ] {
        let told = refused(folder, words);
        assert!(told.contains(why), "{words}: {told}");
    }
}

/// Double precision is taken where single holds what varies, and refused where it does not.
#[test]
fn what_single_precision_does_not_hold_is_refused() {
    let wave: Vec<f64> = noise(64, 2).into_iter().map(f64::from).collect();
    let folder = tempfile::tempdir().unwrap();
    for (offset, scale, taken) in [
        (0.0, 1.0, true),
        (0.1, 0.0, true),
        (1.0, 1e-3, true),
        (1e6, 0.1, false),
        (1e8, 1.0, false),
        (0.0, 1e-60, false),
        (0.0, 1e-200, false),
        // Constant, to what double precision itself makes of it.
        (1e-60, 0.0, true),
        (1.0, 1e-15, true),
    ] {
        let cells: Vec<f64> = wave.iter().map(|u| offset + scale * u).collect();
        write_field(&folder.path().join("u.npy"), 8, &cells).unwrap();
        if taken {
            analyzed(folder.path(), "u.npy");
        } else {
            let told = refused(folder.path(), "u.npy");
            assert!(told.contains("u.npy: field 0: its values scatter by"), "{told}");
            assert!(told.contains("take the offset off or scale it"), "{told}");
        }
    }
}

/// Without --json, lines for people.
#[test]
fn people_can_read_it() {
    let folder = with(64, "u.npy", &noise(64 * 64, 2));
    let text = String::from_utf8(analyze(folder.path(), "u.npy u.npy").stdout).unwrap();
    for word in
        ["frame", "64 x 64, 2 frames; of the last", "local slopes", "tau", "structure factor"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
}

/// A header may announce more than there is memory for, and a sparse file have it: in the file, in the metrics.
#[test]
fn a_field_beyond_memory_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (65_536, "big.npy: 17179869184 bytes"),
        (4096, "measuring 4096 x 4096 cells: 1073741824 bytes"),
    ];
    for (side, words) in cases {
        common::sparse(&folder.path().join("big.npy"), "f4", side);
        let line = format!("ulimit -v 400000; exec {} big.npy", env!("CARGO_BIN_EXE_rsw-analyze"));
        let output = Command::new("sh").args(["-c", &line]).current_dir(&folder).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("{words} of memory are needed")), "{told}");
    }
}

/// Under --json mistakes with the options are documents, too, and name what is missing.
#[test]
fn usage_errors_are_documents() {
    let output = analyze(Path::new("."), "--json");
    assert_eq!(output.status.code(), Some(2));
    let told: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(told["error"]["code"], "usage");
    assert!(told["error"]["message"].as_str().unwrap().contains("FIELD.npy"), "{told}");
    assert_eq!(told["error"]["hint"], "runtime analyze --help");
}
