//! `runtime solve` as its users meet it: arrays in, arrays out, one line of JSON.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::noise;
use solver_proc::npy::{Array, write_field};

fn solve(folder: &Path, words: &str) -> Output {
    let words = words.split_whitespace();
    Command::new(env!("CARGO_BIN_EXE_rsw-solve")).args(words).current_dir(folder).output().unwrap()
}

/// Standard output of a run that must succeed.
fn solved(folder: &Path, words: &str) -> serde_json::Value {
    let output = solve(folder, &format!("{words} --json"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Exit code and standard error of a run that must fail.
fn refused(folder: &Path, words: &str) -> (i32, String) {
    let output = solve(folder, words);
    assert!(!output.status.success());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// What `runtime version -v` shows.
#[test]
fn the_version_names_the_kernels() {
    let told = String::from_utf8(solve(Path::new("."), "--version").stdout).unwrap();
    let widest = solver_proc::workers::Workers::widest();
    assert!(told.contains(&format!("kernels: {widest} (of avx512, avx2, baseline)")), "{told}");
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

fn with_noise(nx: usize, ny: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_field(&folder.path().join("u0.npy"), nx, &noise(nx * ny, 1)).unwrap();
    folder
}

/// No tile, no number of threads and no stop on the way changes a bit.
#[test]
fn the_way_it_is_computed_changes_no_bit() {
    let folder = with_noise(90, 70);
    let folder = folder.path();
    let source = "--source at=40:30,frequency=0.05,radius=2 --source at=20:20,ricker=0.1";
    for edges in ["dirichlet", "neumann", "periodic", "absorbing", "em2", "sponge"] {
        let run = format!("--init u0.npy --gamma 0.01 --boundary {edges} {source}");
        solved(folder, &format!("{run} --steps 100 --tile off --threads 1 --out plain.npy"));
        let plain = bytes(folder, "plain.npy");
        for how in ["--tile auto", "--tile 7 --threads 2", "--tile 16 --threads 3"] {
            solved(folder, &format!("{run} --steps 100 {how} --out tiled.npy"));
            assert!(bytes(folder, "tiled.npy") == plain, "{edges} {how}");
        }
        solved(folder, &format!("{run} --steps 100 --every 30 --out-prefix f --out stopped.npy"));
        assert!(bytes(folder, "stopped.npy") == plain, "{edges}");
        for step in [30, 60, 90] {
            assert!(folder.join(format!("f-{step:08}.npy")).exists());
        }
    }
}

/// The GPU's fields are the CPU's to 1e-5, on the way and at the end, whatever the edges.
#[cfg(feature = "gpu")]
#[test]
fn a_gpu_gives_the_same_fields() {
    let folder = with_noise(150, 70);
    let folder = folder.path();
    let source = "--source at=40:30,frequency=0.05,radius=2 --source at=20:20,ricker=0.1";
    let read =
        |name: String| Array::read_field(&folder.join(name)).unwrap().1.cast::<f64>().unwrap();
    for edges in ["dirichlet", "neumann", "periodic", "absorbing", "em2", "sponge"] {
        let run =
            format!("--init u0.npy --gamma 0.01 --dy 1.2 --boundary {edges} {source} --steps 100");
        let [cpu, gpu] = ["cpu", "gpu"].map(|backend| {
            let out = format!("--out {backend}.npy --out-previous {backend}-p.npy");
            let frames = format!("--every 30 --out-prefix {backend}");
            solved(folder, &format!("{run} --backend {backend} {out} {frames}"))
        });
        let largest = cpu["max_abs"].as_f64().unwrap();
        for name in ["", "-p", "-00000030", "-00000090"] {
            let [cpu, gpu] = ["cpu", "gpu"].map(|backend| read(format!("{backend}{name}.npy")));
            let apart = cpu.iter().zip(&gpu).fold(0f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(apart < 1e-5 * largest, "{edges} {name}: {apart:e} of {largest}");
        }
        let energy = |summary: &serde_json::Value| summary["energy_last"].as_f64().unwrap();
        assert!((energy(&gpu) / energy(&cpu) - 1.0).abs() < 1e-5, "{edges}: {gpu}");
        assert!(gpu["kernel"].as_str().unwrap().contains("f32 wgsl, "), "{gpu}");
    }
    let run = "--init u0.npy --steps 5000 --boundary periodic --feedback phi4:-1:0.1 --dt 0.1";
    let (_, told) = refused(folder, &format!("{run} --backend gpu"));
    assert!(told.contains("the field diverged between steps"), "{told}");
}

/// Where Vulkan finds no device, the error says what to install.
#[cfg(feature = "gpu")]
#[test]
fn without_a_device_the_error_says_what_to_install() {
    let folder = with_noise(8, 8);
    let words = ["--init", "u0.npy", "--steps", "1", "--backend", "gpu"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsw-solve"));
    // Both names that loaders know for the list of drivers.
    command.env("VK_DRIVER_FILES", "/dev/null").env("VK_ICD_FILENAMES", "/dev/null");
    let output = command.args(words).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("no Vulkan device") && told.contains("mesa-vulkan-drivers"), "{told}");
}

/// A run is continued from its last two levels, and the sources where they were.
#[test]
fn a_run_goes_on_where_another_ended() {
    let folder = with_noise(33, 40);
    let folder = folder.path();
    let rows: String = (0..50).map(|k| format!("{}\n", (0.3 * f64::from(k)).sin())).collect();
    std::fs::write(folder.join("signal.csv"), format!("x\n{rows}")).unwrap();
    let run = "--gamma 0.02 --boundary neumann --feedback sine-gordon:0.5 --dtype f64 --dt 0.5";
    let sources = "--source at=20:20,frequency=0.05,phase=1 --source at=9:9,csv=signal.csv,column=x \
                   --source at=5:30,ricker=0.1";
    for (sources, from) in [("", ""), (sources, "--start-step 20")] {
        let run = format!("{run} {sources}");
        let whole = "--every 15 --out-prefix w --out whole.npy";
        solved(folder, &format!("--init u0.npy {run} --steps 50 {whole}"));
        let half = "--out a.npy --out-previous b.npy";
        solved(folder, &format!("--init u0.npy {run} --steps 20 {half}"));
        let rest = format!("--previous b.npy {run} {from} --steps 30 --every 15 --out-prefix p");
        solved(folder, &format!("--init a.npy {rest} --out parts.npy"));
        assert!(bytes(folder, "parts.npy") == bytes(folder, "whole.npy"), "{sources}");
        if !from.is_empty() {
            assert!(bytes(folder, "p-00000045.npy") == bytes(folder, "w-00000045.npy"));
        }
    }
    let (_, told) =
        refused(folder, &format!("--init a.npy --previous b.npy {run} {sources} --steps 1"));
    assert!(told.contains("--start-step N"), "{told}");
}

/// The same signal, computed and recorded, makes the same wave from its first step on.
#[test]
fn a_recording_acts_as_what_it_records() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_field(&folder.join("u0.npy"), 41, &[0.0f64; 41 * 41]).unwrap();
    let (dt, frequency) = (0.5, 0.04);
    let cosine = |k: i32| (std::f64::consts::TAU * frequency * dt * f64::from(k)).cos();
    let rows: String = (0..200).map(|k| format!("{:e}\n", cosine(k))).collect();
    std::fs::write(folder.join("signal.csv"), format!("x\n{rows}")).unwrap();
    let run = format!("--init u0.npy --boundary absorbing --dt {dt} --steps 200 --source at=20:20");
    let phase = std::f64::consts::FRAC_PI_2;
    solved(folder, &format!("{run},frequency={frequency},phase={phase} --out computed.npy"));
    let told = solved(folder, &format!("{run},csv=signal.csv,column=x --out recorded.npy"));
    assert_eq!(told["notes"], serde_json::json!([]));
    // What is not there is filled in, and told.
    std::fs::write(folder.join("gaps.csv"), "x,y\n1,1\n,2\ninf,3\n4,4\n").unwrap();
    let told = solved(folder, &format!("{run},csv=gaps.csv,column=x"));
    let note = told["notes"][0].as_str().unwrap();
    assert!(note.contains("2 samples of \"x\" are missing and interpolated"), "{note}");
    let field =
        |name: &str| Array::read_field(&folder.join(name)).unwrap().1.cast::<f64>().unwrap();
    let (computed, recorded) = (field("computed.npy"), field("recorded.npy"));
    assert!(computed.iter().any(|u| u.abs() > 0.1));
    assert!(computed.iter().zip(&recorded).all(|(a, b)| (a - b).abs() < 1e-12));
}

/// The document, the precision, the energy, held edges, and a velocity.
#[test]
fn the_summary_says_what_happened() {
    let folder = with_noise(24, 16);
    let folder = folder.path();
    let summary = solved(folder, "--init u0.npy --steps 10 --dx 2 --dy 1 --dtype f64 --out u.npy");
    assert_eq!(summary["schema"], "rsw.solve/1");
    assert_eq!(
        (&summary["nx"], &summary["ny"], &summary["steps"]),
        (&24.into(), &16.into(), &10.into())
    );
    assert!((summary["courant"].as_f64().unwrap() - 0.7).abs() < 1e-12);
    let energy = |key: &str| summary[key].as_f64().unwrap();
    assert!((energy("energy_last") / energy("energy_first") - 1.0).abs() < 1e-12);
    assert!(summary["kernel"].as_str().unwrap().starts_with("rectangular f64"), "{summary}");
    let ([nx, ny], values) = Array::read_field(&folder.join("u.npy")).unwrap();
    assert_eq!((nx, ny, values.type_name()), (24, 16, "f64"));
    let (_, start) = Array::read_field(&folder.join("u0.npy")).unwrap();
    assert_eq!(
        values.cast::<f64>().unwrap()[..24],
        start.cast::<f64>().unwrap()[..24],
        "edges keep what --init has"
    );
    write_field(&folder.join("zero.npy"), 4, &[0.0f64; 16]).unwrap();
    write_field(&folder.join("one.npy"), 4, &[1.0f64; 16]).unwrap();
    let push = "--init zero.npy --velocity one.npy --boundary periodic --gamma 0.1 --dt 0.01";
    let summary = solved(folder, &format!("{push} --steps 40000"));
    assert!((summary["max_abs"].as_f64().unwrap() - 9.9999975).abs() < 1e-6, "{summary}");
}

#[test]
fn what_cannot_be_solved_is_refused_by_name() {
    let folder = with_noise(24, 16);
    let folder = folder.path();
    for (words, reason) in [
        ("--dt -0.1", "time step -0.1 is unusable"),
        ("--gamma -1e-3", "damping -0.001 is unusable"),
        ("--dy 1e-300", "no time step is stable with --c 1e0, --dx 1e0, --dy 1e-300"),
        ("--dx 1e300", "no time step is stable with --c 1e0, --dx 1e300, --dy 1e300"),
        ("--dt 1e-170", "time step"),
        ("--out nowhere/u.npy", "nowhere/u.npy: there is no folder nowhere to write it to"),
        ("--every 1 --out-prefix nowhere/u", "there is no folder nowhere"),
        ("--dx 1e-3 --dt 1e-4 --source at=3:3,frequency=0,phase=1,amplitude=1e308", "--source"),
        ("--source at=99:3,ricker=1", "move it inwards"),
        ("--out a.npy --out-previous ./a.npy", "a.npy and ./a.npy are one file"),
        ("--every 1 --out-prefix a --out a-00000001.npy", "a-00000001.npy are one file"),
        (
            "--out nowhere/u.npy --json",
            r#"{"error":{"code":"solve","hint":null,"message":"nowhere/u.npy:"#,
        ),
    ] {
        let (_, told) = refused(folder, &format!("--init u0.npy --steps 1 {words}"));
        assert!(told.contains(reason), "{told}");
    }
    write_field(&folder.join("huge.npy"), 2, &[1e300f64; 4]).unwrap();
    let (_, told) = refused(folder, "--init huge.npy --dtype f32 --steps 0");
    assert!(told.contains("huge.npy: value 0 is beyond single precision"), "{told}");
    let (code, told) = refused(folder, "--init u0.npy --steps 1 --dt 0.8");
    assert_eq!(code, 1);
    assert!(told.contains("is unstable"), "{told}");
    // What is advised is taken, whatever the unit; what is just beyond it says by how much.
    for (dt, words, advised) in [
        ("0.8", "", "0.707106"),
        ("0.707107", "", "0.707106"),
        ("1", "--c 3e8 --dx 1e-6 --dy 2e-6", "2.98142e-15"),
        ("1", "--feedback sine-gordon:3", "0.603022"),
    ] {
        let (_, told) = refused(folder, &format!("--init u0.npy --steps 1 {words} --dt {dt}"));
        assert!(told.contains(&format!("use --dt of at most {advised}\n")), "{told}");
        assert!(!told.contains("is 1.0 and"), "{told}");
        solved(folder, &format!("--init u0.npy --steps 1 {words} --dt {advised}"));
    }
    let (_, told) = refused(folder, "--init none.npy --steps 1");
    assert!(told.contains("none.npy: No such file"), "{told}");
    write_field(&folder.join("small.npy"), 3, &[0.0f32; 9]).unwrap();
    let (_, told) = refused(folder, "--init u0.npy --velocity small.npy --steps 1");
    assert!(told.contains("it has 3 x 3 values, and --init has 16 x 24"), "{told}");
    let (_, told) = refused(folder, "--init u0.npy --steps 1 --source at=99:1,frequency=0.1");
    assert!(told.contains("outside the field"), "{told}");
    let (_, told) = refused(folder, "--init u0.npy --steps 1 --dtype f64 --backend gpu");
    assert!(told.contains("single precision") && told.contains("--dtype f32"), "{told}");
    assert_eq!(refused(folder, "--init u0.npy --steps 1 --speed 3").0, 2);
    let (code, told) = refused(
        folder,
        "--init u0.npy --steps 5000 --boundary periodic --feedback phi4:-1:0.1 --dt 0.1",
    );
    assert_eq!(code, 1);
    assert!(told.contains("the field diverged between steps"), "{told}");
}

/// As a shell with limits starts it; `limits` go before it.
fn limited(folder: &Path, limits: &str, words: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_rsw-solve");
    let line = format!("{limits}; exec {program} {words}");
    Command::new("sh").args(["-c", &line]).current_dir(folder).output().unwrap()
}

/// A field that is written over its own beginning: if that fails half-way, it is still there.
#[test]
fn an_output_that_cannot_be_written_leaves_what_was_there() {
    let folder = with_noise(64, 64);
    let folder = folder.path();
    let start = bytes(folder, "u0.npy");
    let words = "--init u0.npy --steps 1 --out u0.npy";
    let output = limited(folder, "trap '' XFSZ; ulimit -f 4", words);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("u0.npy: File too large"), "{told}");
    assert!(bytes(folder, "u0.npy") == start);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing is left beside it");
    // Killed by the signal instead.
    assert_eq!(limited(folder, "ulimit -f 4", words).status.code(), None);
    assert!(bytes(folder, "u0.npy") == start);
    assert!(limited(folder, "true", words).status.success());
    assert!(bytes(folder, "u0.npy") != start);
}

/// Standard output and /dev/null are written, not replaced.
#[test]
fn an_output_may_be_a_pipe() {
    let folder = with_noise(8, 8);
    let folder = folder.path();
    let words = "--init u0.npy --steps 3";
    solved(folder, &format!("{words} --out u.npy"));
    let piped = solve(folder, &format!("{words} --out /dev/stdout")).stdout;
    assert!(piped.starts_with(&bytes(folder, "u.npy")));
    solved(folder, &format!("{words} --out /dev/null"));
    assert!(!Path::new("/dev/null").is_file());
}

/// A header may announce more than there is memory for, and a sparse file have it: in the file, in the run.
#[test]
fn a_field_beyond_memory_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (side, kind, bytes) in [(65_536u64, "f4", "17179869184"), (4096, "f8", "671088640")] {
        common::sparse(&folder.join("big.npy"), kind, side);
        let output = limited(folder, "ulimit -v 400000", "--init big.npy --steps 1 --threads 1");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("big.npy: {bytes} bytes of memory are needed")), "{told}");
        assert!(told.contains("ulimit -v"), "{told}");
    }
}

/// A torus has no seam: a field with a disc anywhere is the field with the disc in its middle, rolled, to the last bit;
/// also where the disc is as large as the torus, and met from both sides.
#[test]
fn a_disc_reaches_around_a_periodic_field() {
    let [nx, ny] = [12usize, 9];
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_field(&folder.join("zero.npy"), nx, &vec![0.0f64; nx * ny]).unwrap();
    let field = |at: [usize; 2], radius: u32| {
        let source = format!("--source at={}:{},frequency=0.1,radius={radius}", at[0], at[1]);
        solved(
            folder,
            &format!("--init zero.npy --boundary periodic --steps 20 {source} --out u.npy"),
        );
        match Array::read_field(&folder.join("u.npy")).unwrap().1 {
            solver_proc::npy::Values::Double(cells) => cells,
            other => panic!("{other:?}"),
        }
    };
    for radius in [0, 2, 4, 5, 6, 40] {
        let middle = field([6, 4], radius);
        assert!(middle.iter().any(|u| *u != 0.0));
        for at in [[0, 0], [11, 8], [1, 7], [6, 0]] {
            let moved = field(at, radius);
            for (cell, u) in moved.iter().enumerate() {
                let [x, y] = [cell % nx + nx + 6 - at[0], cell / nx + ny + 4 - at[1]];
                assert_eq!(*u, middle[y % ny * nx + x % nx], "radius {radius} at {at:?}");
            }
        }
    }
}

/// A step at the limit of stability stays at it in single precision. What is looked at is the field around its mean: where edges
/// hold nothing the mean drifts with the rounding errors, at any step, in a million of them not yet so far that they matter.
#[test]
fn the_largest_step_is_stable_in_single_precision() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_field(&folder.join("r.npy"), 4, &noise(16, 7)).unwrap();
    for (dx, dy, gamma) in
        [(0.1f64, 2.0f64, 0.0), (1.0, 0.05, 0.0), (0.3, 0.7, 1e-3), (1.0, 1.0, 0.0)]
    {
        let dt = 1.0 / (dx.powi(-2) + dy.powi(-2)).sqrt();
        for edges in ["periodic", "neumann"] {
            let run = format!(
                "--init r.npy --boundary {edges} --dx {dx} --dy {dy} --dt {dt} --gamma {gamma}"
            );
            solved(folder, &format!("{run} --steps 1000000 --out r1.npy"));
            let (_, cells) = Array::read_field(&folder.join("r1.npy")).unwrap();
            let cells = cells.cast::<f64>().unwrap();
            let mean = cells.iter().sum::<f64>() / cells.len() as f64;
            assert!(cells.iter().all(|u| (u - mean).abs() < 10.0), "{run}: {cells:?}");
        }
    }
}

/// A disc takes memory by its area.
#[test]
fn a_disc_beyond_memory_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    common::sparse(&folder.join("u.npy"), "f4", 2048);
    let words =
        "--init u.npy --steps 1 --threads 1 --source at=1024:1024,frequency=0.1,radius=2000";
    let output = limited(folder, "ulimit -v 300000", words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("source") && told.contains("bytes of memory are needed"), "{told}");
}

/// Under --json mistakes with the options are documents, too, and name what is missing.
#[test]
fn usage_errors_are_documents() {
    let output = solve(Path::new("."), "--json --steps 1");
    assert_eq!(output.status.code(), Some(2));
    let told: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(told["error"]["code"], "usage");
    assert!(told["error"]["message"].as_str().unwrap().contains("--init"), "{told}");
    assert_eq!(told["error"]["hint"], "runtime solve --help");
}
