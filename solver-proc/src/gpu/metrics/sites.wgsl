// What is known of the cells where agents are: one thread a cell.

@group(0) @binding(0) var<storage, read> u: array<f32>;
@group(0) @binding(1) var<storage, read> ci: array<f32>;
@group(0) @binding(2) var<storage, read> coherence: array<f32>;
@group(0) @binding(3) var<storage, read> gain: array<f32>;
@group(0) @binding(4) var<storage, read> dwell: array<f32>;
@group(0) @binding(5) var<storage, read> cells: array<u32>;
// Five numbers a cell.
@group(0) @binding(6) var<storage, read_write> found: array<f32>;

@compute @workgroup_size(64)
fn sites(@builtin(global_invocation_id) place: vec3<u32>) {
    let k = place.x;
    if k >= arrayLength(&cells) {
        return;
    }
    let cell = cells[k];
    found[5u * k] = u[cell];
    found[5u * k + 1u] = ci[cell];
    found[5u * k + 2u] = coherence[cell];
    found[5u * k + 3u] = gain[cell];
    found[5u * k + 4u] = dwell[cell];
}
