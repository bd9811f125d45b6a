// D of every tile: the slope of log2 N against log2 (1/size), least squares, one thread a tile.

override TILES: u32;
// Sizes that are counted in a tile, and exponents of those in the fit.
override SIZES: u32;
override FIRST: u32;
override LAST: u32;

@group(0) @binding(0) var<storage, read> counts: array<u32>;
@group(0) @binding(1) var<storage, read_write> dimensions: array<f32>;

@compute @workgroup_size(256)
fn dimension(
    @builtin(global_invocation_id) place: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    for (var tile = place.x; tile < TILES; tile += groups.x * 256u) {
        dimensions[tile] = slope(tile * SIZES);
    }
}

// 0 for an empty set, and where one size makes no line.
fn slope(at: u32) -> f32 {
    if FIRST >= LAST {
        return 0.0;
    }
    let middle = 0.5 * f32(LAST - FIRST);
    let least = log2(f32(max(counts[at + LAST], 1u)));
    var xx = 0.0;
    var xy = 0.0;
    for (var size = FIRST; size <= LAST; size++) {
        let count = counts[at + size];
        if count == 0u {
            return 0.0;
        }
        // Larger boxes are further left: x = log2 (1/size).
        let x = middle - f32(size - FIRST);
        xx += x * x;
        xy += x * (log2(f32(count)) - least);
    }
    return xy / xx;
}
