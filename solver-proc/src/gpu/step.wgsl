// One step of the wave, one thread a cell, in place: `next` holds the level before and gets the one after.
//
// Nobody but the thread of a cell touches that cell of `next`, so one dispatch is one step and there is no race.
// What an edge condition writes has no thread of its own: the cell inside of it writes it too (edges.wgsl).

// The field, and what its outermost cells do: see `Program` for the numbers.
override NX: u32;
override NY: u32;
override WRAP: u32;
override EDGES: u32;
const WRITTEN: u32 = 0u;
const MIRROR: u32 = 1u;
const AROUND: u32 = 2u;
const HELD: u32 = 1u;

// Equal spacings and nothing that differs from cell to cell: both second differences share their weight.
override SQUARE: bool;
// Width of the sponge in cells, 0 without one.
override SPONGE: u32;
// Whether anything is fed in.
override FED: bool;

// What a source adds to a cell for a unit of its signal.
struct Point {
    cell: u32,
    source: u32,
    weight: f32,
}

@group(0) @binding(0) var<storage, read> here: array<f32>;
@group(0) @binding(1) var<storage, read_write> next: array<f32>;
// At each depth into the sponge: of `u - u-`, of the second differences along x and y, of f(u).
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
// Where in `points` those of each workgroup begin; one more at the end.
@group(0) @binding(3) var<storage, read> first_points: array<u32>;
@group(0) @binding(4) var<storage, read> points: array<Point>;
// One signal of this step for each source.
@group(0) @binding(5) var<storage, read> signals: array<f32>;

@compute @workgroup_size(64, 4)
fn step(
    @builtin(global_invocation_id) place: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let x = place.x;
    let y = place.y;
    if x >= NX || y >= NY {
        return;
    }
    let cell = y * NX + x;
    if WRAP == WRITTEN && (x == 0u || y == 0u || x + 1u == NX || y + 1u == NY) {
        if EDGES == HELD {
            next[cell] = here[cell];
        }
        return;
    }
    let before = next[cell];
    var after = scheme(x, y, cell, before);
    if FED {
        let tile = group.y * groups.x + group.x;
        for (var k = first_points[tile]; k < first_points[tile + 1u]; k++) {
            if points[k].cell == cell {
                after += points[k].weight * signals[points[k].source];
            }
        }
    }
    next[cell] = after;
    if WRAP == WRITTEN && EDGES != HELD {
        write_edges(x, y, cell, before, after);
    }
}

// u+ = u + [keep (u - u-) + bend], in the order of operations that the CPU has.
fn scheme(x: u32, y: u32, cell: u32, before: f32) -> f32 {
    let columns = neighbours(x, NX);
    let rows = neighbours(y, NY);
    let u = here[cell];
    let west = here[y * NX + columns.x];
    let east = here[y * NX + columns.y];
    let north = here[rows.x * NX + x];
    let south = here[rows.y * NX + x];
    let weight = weights[max(depth(x, NX), depth(y, NY))];
    let twice = u + u;
    var bend: f32;
    if SQUARE {
        bend = weight.y * (((west + east) + (north + south)) - (twice + twice));
    } else {
        bend = weight.y * ((west + east) - twice) + weight.z * ((north + south) - twice);
    }
    if LAW != LINEAR {
        bend += weight.w * force(u);
    }
    return flushed(u + (weight.x * (u - before) + bend));
}

// The two neighbours of index `i` among `count` that has them, or takes them from a mirror or around the torus.
fn neighbours(i: u32, count: u32) -> vec2<u32> {
    if count == 1u {
        return vec2(0u, 0u);
    }
    let below = select(i - 1u, select(1u, count - 1u, WRAP == AROUND), i == 0u);
    let above = select(i + 1u, select(count - 2u, 0u, WRAP == AROUND), i + 1u == count);
    return vec2(below, above);
}

// Depth into the sponge: its width on the edge, 0 where it is left.
fn depth(i: u32, count: u32) -> u32 {
    return SPONGE - min(SPONGE, min(i, count - 1u - i));
}

// Magnitudes below 2^-95 become zero, by exponent bits as on the CPU.
fn flushed(u: f32) -> f32 {
    return select(u, 0.0, (bitcast<u32>(u) & 0x70000000u) == 0u);
}
