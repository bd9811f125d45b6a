// Coherence, gain and index of every cell, and sums of them; a workgroup has 64 x ROWS cells.
//
// Windows are made in two steps, as in `metrics/window.rs`: first the moments of each column of each window, over its rows,
// which go to the memory of the workgroup, then those of the windows, over their columns. Neither takes anything back: sums
// of a column are about the cell in its middle, which every one of them contains, so that at least a part in so many rows
// of what is summed is left; squares of a row of columns are taken about the mean. Outside of the field there is nothing.

override NX: u32;
override NY: u32;
// Cells from the middle of a window to its edge.
override HALF: u32;
override ROWS: u32;
// 64 + 2 HALF; that times ROWS; and as many again if the gain averages something else than u, else 1.
override COLUMNS: u32;
override MOMENTS: u32;
override LEVELS: u32;
// What the gain averages.
override GAIN: u32;
const RMS: u32 = 0u;
const ABS: u32 = 1u;
const ENVELOPE: u32 = 2u;
override INVERSE_A_REF: f32;
override COHERENCE_SCALE: f32;
override INVERSE_SPREAD: f32;
override ALPHA: f32;
override INVERSE_TAU0: f32;
override D_EXPONENT: f32;
// Side of a tile, and how many there are.
override TILE: u32;
override TILES_X: u32;
override TILES_Y: u32;

@group(0) @binding(0) var<storage, read> u: array<f32>;
@group(0) @binding(1) var<storage, read> envelope: array<f32>;
@group(0) @binding(2) var<storage, read> dwell: array<f32>;
// D of each tile.
@group(0) @binding(3) var<storage, read> dimensions: array<f32>;
@group(0) @binding(4) var<storage, read_write> ci: array<f32>;
@group(0) @binding(5) var<storage, read_write> coherence: array<f32>;
@group(0) @binding(6) var<storage, read_write> gain: array<f32>;
// Of CI, coherence, gain and dwell time, for each workgroup.
@group(0) @binding(7) var<storage, read_write> sums: array<vec4<f32>>;

// Of columns: mean of u, sum of squares about it.
var<workgroup> moments: array<vec2<f32>, MOMENTS>;
// Mean of what the gain averages.
var<workgroup> levels: array<f32, LEVELS>;
var<workgroup> sums_here: array<vec4<f32>, 64>;

@compute @workgroup_size(64, 4)
fn index(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let origin = vec2(group.x * 64u, group.y * ROWS);
    for (var i = thread; i < MOMENTS; i += 256u) {
        let x = origin.x + i % COLUMNS;
        let y = origin.y + i / COLUMNS;
        if x >= HALF && x < NX + HALF && y < NY {
            take_column(i, x - HALF, y);
        }
    }
    workgroupBarrier();
    var sum = vec4(0.0);
    for (var row = place.y; row < ROWS; row += 4u) {
        let x = origin.x + place.x;
        let y = origin.y + row;
        if x < NX && y < NY {
            sum += of_cell(x, y, row * COLUMNS + place.x);
        }
    }
    // Row after row of threads, then the columns in halves.
    for (var row = 0u; row < 4u; row++) {
        if place.y == row {
            if row == 0u {
                sums_here[place.x] = sum;
            } else {
                sums_here[place.x] += sum;
            }
        }
        workgroupBarrier();
    }
    for (var apart = 32u; apart > 0u; apart /= 2u) {
        if thread < apart {
            sums_here[thread] += sums_here[thread + apart];
        }
        workgroupBarrier();
    }
    if thread == 0u {
        sums[group.y * groups.x + group.x] = sums_here[0];
    }
}

// Column x of the windows around row y.
fn take_column(i: u32, x: u32, y: u32) {
    let first = y - min(y, HALF);
    let last = min(y + HALF, NY - 1u);
    let middle = u[y * NX + x];
    var sum = 0.0;
    var squares = 0.0;
    var level = 0.0;
    for (var row = first; row <= last; row++) {
        let cell = row * NX + x;
        let d = u[cell] - middle;
        sum += d;
        squares = fma(d, d, squares);
        if GAIN == ABS {
            level += abs(u[cell]);
        }
        if GAIN == ENVELOPE {
            level += envelope[cell];
        }
    }
    let count = f32(last - first + 1u);
    let mean = sum / count;
    moments[i] = vec2(middle + mean, max(fma(-mean, sum, squares), 0.0));
    if GAIN != RMS {
        levels[i] = level / count;
    }
}

// Everything of a cell whose window's columns begin at `at`, if none is cut off; gives what is summed.
fn of_cell(x: u32, y: u32, at: u32) -> vec4<f32> {
    let first = HALF - min(x, HALF);
    let last = min(2u * HALF, HALF + NX - 1u - x);
    let middle = moments[at + HALF].x;
    var shift = 0.0;
    var within = 0.0;
    var level = 0.0;
    for (var k = first; k <= last; k++) {
        let column = moments[at + k];
        shift += column.x - middle;
        within += column.y;
        if GAIN != RMS {
            level += levels[at + k];
        }
    }
    let columns = f32(last - first + 1u);
    let rows = f32(min(y + HALF, NY - 1u) - (y - min(y, HALF)) + 1u);
    shift /= columns;
    var between = 0.0;
    for (var k = first; k <= last; k++) {
        let d = (moments[at + k].x - middle) - shift;
        between = fma(d, d, between);
    }
    let variance = (within + rows * between) / (rows * columns);
    let mean = middle + shift;
    // More than 1e30 counts as that, as on the CPU.
    let c = COHERENCE_SCALE / min(fma(variance, INVERSE_SPREAD, 1.0), 1e30);
    let g = select(level / columns, sqrt(fma(mean, mean, variance)), GAIN == RMS) * INVERSE_A_REF;
    let cell = y * NX + x;
    let tau = dwell[cell];
    let value = (weight(x, y) * g) * (c * one_minus_exp(tau * INVERSE_TAU0));
    ci[cell] = value;
    coherence[cell] = c;
    gain[cell] = g;
    return vec4(value, c, g, tau);
}

// `alpha D^bD`, D linear between the centres of tiles.
fn weight(x: u32, y: u32) -> f32 {
    let columns = between(x, TILES_X);
    let rows = between(y, TILES_Y);
    let upper = mix_of(columns, rows.tiles.x * TILES_X);
    let lower = mix_of(columns, rows.tiles.y * TILES_X);
    let d = fma(rows.part, lower - upper, upper);
    if D_EXPONENT == 1.0 {
        return ALPHA * d;
    }
    // Whatever a device makes of the logarithm of 0.
    return ALPHA * select(select(0.0, 1.0, D_EXPONENT == 0.0), pow(d, D_EXPONENT), d > 0.0);
}

// The tiles around an index and the weight of the second.
struct Between {
    tiles: vec2<u32>,
    part: f32,
}

fn between(i: u32, count: u32) -> Between {
    // In half cells from the centre of the first tile.
    let place = 2u * i + 1u;
    if place <= TILE {
        return Between(vec2(0u), 0.0);
    }
    let first = (place - TILE) / (2u * TILE);
    if first + 1u >= count {
        return Between(vec2(count - 1u), 0.0);
    }
    let rest = (place - TILE) % (2u * TILE);
    return Between(vec2(first, first + 1u), f32(rest) / f32(2u * TILE));
}

fn mix_of(columns: Between, row: u32) -> f32 {
    let left = dimensions[row + columns.tiles.x];
    let right = dimensions[row + columns.tiles.y];
    return fma(columns.part, right - left, left);
}

// The CPU's (metrics/index.rs), but for how it rounds to a whole number, which a compiler may leave out here.
fn one_minus_exp(large: f32) -> f32 {
    let x = min(large, 32.0);
    let k = round(x * 1.442695);
    let scale = bitcast<f32>((127u - u32(k)) << 23u);
    let r = fma(k, 0.6931472, -x);
    let tail = fma(r, 1.0 / 720.0, 0.008363123);
    let cubic = fma(r, fma(r, tail, 1.0 / 24.0), 0.16666577);
    let series = fma(r * r, fma(r, cubic, 0.5), r);
    return fma(-scale, series, 1.0 - scale);
}
