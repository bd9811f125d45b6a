//! A swarm whose kernel computes on a GPU, in software where there is no other.

use rsw_tests::{Done, Place, kill, wait_until};
use serde_json::Value as Json;

const SMALL: &str = r#"
[field]
size = [64, 64]
backend = "gpu"
[metrics]
tile = 16
[source.a]
at = [20, 20]
frequency = 0.05
[agent.watcher]
replicas = 1
"#;

const TICKS: &str = "SELECT tick, t_ns, ci_mean, energy, u_abs_max FROM rs_tick ORDER BY tick";

/// What 200 ticks left on record, and what the kernel said.
fn run_of_200(backend: &str, disturb: impl FnOnce(&Place)) -> (Vec<Vec<Json>>, String) {
    let place = Place::new();
    place.write("swarm.toml", SMALL);
    let backend = format!("field.backend={backend}");
    let words = ["--ticks", "200", "--set", "tick.rate_hz=200", "--set", &backend];
    let child = place.foreground(&words);
    place.wait_until_it_answers();
    disturb(&place);
    let done = Done::of(child.wait_with_output().expect("an end"));
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    let (_, _, lost) = place.verified();
    assert_eq!(lost, 0);
    (place.rows(TICKS), place.ok(&["logs", "kernel"]).stdout)
}

/// The same waves as on the CPU, to the precision that the numbers on record are worth.
#[test]
fn a_swarm_on_the_gpu_sees_the_same_waves() {
    let (cpu, _) = run_of_200("cpu", |_| ());
    let (gpu, log) = run_of_200("gpu", |_| ());
    assert!(log.contains(" f32 wgsl, "), "{log}");
    assert_eq!((cpu.len(), gpu.len()), (200, 200));
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        assert_eq!(cpu[..2], gpu[..2]);
        for (cpu, gpu) in cpu[2..].iter().zip(&gpu[2..]) {
            let [cpu, gpu] = [cpu, gpu].map(|value| value.as_f64().expect("a number"));
            assert!((cpu - gpu).abs() <= 1e-3 * cpu.abs().max(1e-6), "{cpu} and {gpu}");
        }
    }
}

/// A kernel that is killed loses its device with its life; the next one opens it again and goes on from the checkpoint
/// with the same bits.
#[test]
fn a_kernel_killed_on_the_gpu_goes_on_with_the_same_bits() {
    let (whole, _) = run_of_200("gpu", |_| ());
    let (broken, _) = run_of_200("gpu", |place| {
        wait_until("some ticks", || place.tick() >= 90);
        kill(place.pid("kernel"));
        wait_until("the next kernel", || place.generation() >= 2);
    });
    assert_eq!(whole.len(), 200);
    assert_eq!(broken, whole);
}
