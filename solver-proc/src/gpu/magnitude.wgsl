// The largest |u|, as bits: those of magnitudes are in the order of the magnitudes, and whatever is not finite lies above
// all that is. No comparison of numbers, so a NaN cannot hide from a compiler that does not believe in them.

@group(0) @binding(0) var<storage, read> level: array<f32>;
@group(0) @binding(1) var<storage, read_write> most: atomic<u32>;

var<workgroup> most_here: atomic<u32>;

@compute @workgroup_size(256)
fn magnitude(
    @builtin(global_invocation_id) place: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    if thread == 0u {
        atomicStore(&most_here, 0u);
    }
    workgroupBarrier();
    var bits = 0u;
    let count = arrayLength(&level);
    for (var cell = place.x; cell < count; cell += groups.x * 256u) {
        bits = max(bits, bitcast<u32>(level[cell]) & 0x7fffffffu);
    }
    atomicMax(&most_here, bits);
    workgroupBarrier();
    if thread == 0u {
        atomicMax(&most, atomicLoad(&most_here));
    }
}
