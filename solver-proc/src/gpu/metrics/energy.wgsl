// Sums of the energy between two levels, for every workgroup, which covers 64 x 16 cells; see `energy.rs`. Factors, which may be
// large or small, are the CPU's business, and so are the sums of sums.
//
// Products of small numbers would be lost, so the field is taken times a power of two that brings the largest magnitude of
// both levels to between 1 and 2.

override NX: u32;
override NY: u32;
// Around the torus; and edge cells that have an outer half that is not there.
override AROUND: bool;
override HALF_EDGES: bool;

@group(0) @binding(0) var<storage, read> now: array<f32>;
@group(0) @binding(1) var<storage, read> before: array<f32>;
// Largest |u| of each, as bits.
@group(0) @binding(2) var<storage, read> most: u32;
@group(0) @binding(3) var<storage, read> most_before: u32;
// Of (u+ - u)^2, of the products of slopes along x and y, and of the potential.
@group(0) @binding(4) var<storage, read_write> sums: array<vec4<f32>>;

var<workgroup> sums_here: array<vec4<f32>, 256>;

@compute @workgroup_size(64, 4)
fn energy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let exponent = clamp(max(most, most_before) >> 23u, 1u, 253u);
    let scale = bitcast<f32>((254u - exponent) << 23u);
    let x = group.x * 64u + place.x;
    var sum = vec4(0.0);
    for (var row = place.y; row < 16u; row += 4u) {
        let y = group.y * 16u + row;
        if x < NX && y < NY {
            sum += of_cell(x, y, scale);
        }
    }
    sums_here[thread] = sum;
    for (var apart = 128u; apart > 0u; apart /= 2u) {
        workgroupBarrier();
        if thread < apart {
            sums_here[thread] += sums_here[thread + apart];
        }
    }
    if thread == 0u {
        sums[group.y * groups.x + group.x] = sums_here[0];
    }
}

// A cell, with its edges to the right and downwards.
fn of_cell(x: u32, y: u32, scale: f32) -> vec4<f32> {
    let cell = y * NX + x;
    let u = vec2(now[cell], before[cell]);
    let moved = scale * (u.x - u.y);
    let weight_x = share(x, NX);
    let weight_y = share(y, NY);
    var sum = vec4(0.0);
    sum.x = weight_x * weight_y * moved * moved;
    if AROUND || x + 1u < NX {
        let right = y * NX + (x + 1u) % NX;
        let slopes = scale * (vec2(now[right], before[right]) - u);
        sum.y = weight_y * slopes.x * slopes.y;
    }
    if AROUND || y + 1u < NY {
        let down = (y + 1u) % NY * NX + x;
        let slopes = scale * (vec2(now[down], before[down]) - u);
        sum.z = weight_x * slopes.x * slopes.y;
    }
    if LAW != LINEAR {
        sum.w = weight_x * weight_y * 0.5 * (potential(u.x, scale) + potential(u.y, scale));
    }
    return sum;
}

fn share(i: u32, count: u32) -> f32 {
    return select(1.0, 0.5, HALF_EDGES && count > 1u && (i == 0u || i + 1u == count));
}

// V(u)/k times the square of the scale; of phi^4, which is no square, times the fourth power of a scale of at most 1; of
// relu, the other sign.
fn potential(u: f32, scale: f32) -> f32 {
    switch LAW {
        case SINE_GORDON: {
            let half = scale * sine(0.5 * u);
            return 2.0 * half * half;
        }
        case PHI4: {
            let least = min(scale, 1.0);
            let well = (least * u) * (least * u) - least * least;
            return 0.25 * well * well;
        }
        case RELU: {
            let above = max(u - THRESHOLD, 0.0);
            let bent = scale * min(above, LIMIT);
            let straight = select(0.0, (scale * LIMIT) * (scale * (above - LIMIT)), above > LIMIT);
            return 0.5 * bent * bent + straight;
        }
        default: {
            return 0.0;
        }
    }
}
