// What every cell remembers takes in the field of a tick, in place, by the recursions of `metrics/memory.rs`; and the largest
// |u|, found as in `magnitude.wgsl`.

override DELTA: f32;
override LEAK: f32;
override TICK_SECONDS: f32;
override INVERSE_A0_SQUARED: f32;
override SOJOURN: bool;
override S_MIN: f32;
override THETA: f32;

// What decays ends in exact zero.
const GRAIN: f32 = 1e-18;

@group(0) @binding(0) var<storage, read> u: array<f32>;
@group(0) @binding(1) var<storage, read_write> envelope: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> variance: array<f32>;
@group(0) @binding(4) var<storage, read_write> dwell: array<f32>;
// Weight of this tick among all since the start.
@group(0) @binding(5) var<storage, read> newest: f32;
@group(0) @binding(6) var<storage, read_write> most: atomic<u32>;

var<workgroup> most_here: atomic<u32>;

@compute @workgroup_size(256)
fn memory(
    @builtin(global_invocation_id) place: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    if thread == 0u {
        atomicStore(&most_here, 0u);
    }
    workgroupBarrier();
    var bits = 0u;
    let count = arrayLength(&u);
    for (var cell = place.x; cell < count; cell += groups.x * 256u) {
        let value = u[cell];
        bits = max(bits, bitcast<u32>(value) & 0x7fffffffu);
        remember(cell, value);
    }
    atomicMax(&most_here, bits);
    workgroupBarrier();
    if thread == 0u {
        atomicMax(&most, atomicLoad(&most_here));
    }
}

fn remember(cell: u32, value: f32) {
    let old = 1.0 - newest;
    let taken = fma(1.0 - DELTA, positive(value), -GRAIN);
    let e = positive(fma(DELTA, envelope[cell], taken));
    let m = mean[cell];
    let v = variance[cell];
    let d = e - m;
    let square = d * d;
    let spread = fma(v + square, old * INVERSE_A0_SQUARED, 1.0);
    envelope[cell] = e;
    mean[cell] = positive(fma(newest, d, m) - GRAIN);
    variance[cell] = positive(fma(old, fma(newest, square, v), -GRAIN * GRAIN));
    let alike = 1.0 / spread;
    let tau = dwell[cell];
    if SOJOURN {
        dwell[cell] = select(0.0, tau + TICK_SECONDS, alike >= S_MIN && e >= THETA);
    } else {
        dwell[cell] = fma(LEAK, tau, TICK_SECONDS * alike);
    }
}

fn positive(value: f32) -> f32 {
    return select(0.0, value, value > 0.0);
}
