// Boxes that hold a cell of the set, of seven sizes at once: a workgroup has a square of 64 x 64 bits, joins them two by two
// until one is left, and counts on the way. Bits are cells at first (FIRST = 0), then what is left of the squares before.

// Bits along x and y, and the exponent of the size of box that each stands for: 0, 6 or 12.
override BITS_X: u32;
override BITS_Y: u32;
override FIRST: u32;
// Exponents of the largest sizes that are counted, in the whole field and in tiles; and full boxes of the former.
override WHOLE_LAST: u32;
override TILE_LAST: u32;
override FULL_X: u32;
override FULL_Y: u32;
// Exponent of the side of a tile, and of how many squares it has along it, if it is not within one.
override TILE: u32;
override IN_ONE: bool;
override TILE_SQUARES: u32;
override TILES_X: u32;
override TILES_Y: u32;

struct Search {
    found: u32,
    wanted: u32,
    top: u32,
    low: u32,
}

// Cells as bits of |u| below a sign, or 32 bits a word.
@group(0) @binding(0) var<storage, read> below: array<u32>;
// Its `found` is the threshold.
@group(0) @binding(1) var<storage, read> search: Search;
// For each size; for each tile, for each size.
@group(0) @binding(2) var<storage, read_write> whole: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read_write> tiles: array<atomic<u32>>;
// What is left of every square, 32 bits a word, each row on its own words.
@group(0) @binding(4) var<storage, read_write> squares: array<atomic<u32>>;

const SIDE: u32 = 64u;
const LEVELS: u32 = 7u;

// Two words a row.
var<workgroup> words: array<atomic<u32>, 128>;
var<workgroup> rows: array<vec2<u32>, SIDE>;
// Boxes of this square in the whole field, and in the one tile that it lies in.
var<workgroup> whole_here: array<atomic<u32>, LEVELS>;
var<workgroup> tile_here: array<atomic<u32>, LEVELS>;

@compute @workgroup_size(256)
fn boxes(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    if thread < 2u * SIDE {
        atomicStore(&words[thread], 0u);
    }
    if thread < LEVELS {
        atomicStore(&whole_here[thread], 0u);
        atomicStore(&tile_here[thread], 0u);
    }
    workgroupBarrier();
    if FIRST == 0u {
        take_cells(group.xy, thread);
    } else {
        take_words(group.xy, thread);
    }
    workgroupBarrier();
    for (var level = 0u; level < LEVELS; level++) {
        let holds = thread < (SIDE >> level);
        var row = vec2(0u);
        if holds {
            row = joined(level, thread);
        }
        workgroupBarrier();
        if holds {
            rows[thread] = row;
            // The first bits of a later pass were counted as the last of the one before.
            if level > 0u || FIRST == 0u {
                count(level, group.xy, thread, row);
            }
        }
        workgroupBarrier();
    }
    if thread < LEVELS {
        hand_over(thread, group.xy);
    }
    if thread == 0u && rows[0].x != 0u {
        let width = (groups.x + 31u) / 32u;
        atomicOr(&squares[group.y * width + group.x / 32u], 1u << (group.x % 32u));
    }
}

// The set: |u| at or above the threshold, and above 0. Four rows at a time, so that rows load whole.
fn take_cells(group: vec2<u32>, thread: u32) {
    let least = max(search.found, 1u);
    let column = thread % SIDE;
    let x = group.x * SIDE + column;
    for (var row = thread / SIDE; row < SIDE; row += 4u) {
        let y = group.y * SIDE + row;
        if x < BITS_X && y < BITS_Y && (below[y * BITS_X + x] & 0x7fffffffu) >= least {
            atomicOr(&words[2u * row + column / 32u], 1u << (column % 32u));
        }
    }
}

fn take_words(group: vec2<u32>, thread: u32) {
    let width = (BITS_X + 31u) / 32u;
    let word = 2u * group.x + thread % 2u;
    let y = group.y * SIDE + thread / 2u;
    if thread < 2u * SIDE && word < width && y < BITS_Y {
        atomicStore(&words[thread], below[y * width + word]);
    }
}

// Row `row` of this level: of the bits at first, then of the level before, whose rows and columns meet in pairs.
fn joined(level: u32, row: u32) -> vec2<u32> {
    if level == 0u {
        return vec2(atomicLoad(&words[2u * row]), atomicLoad(&words[2u * row + 1u]));
    }
    let both = rows[2u * row] | rows[2u * row + 1u];
    return vec2(halved(both.x) | (halved(both.y) << 16u), 0u);
}

// Every bit with its neighbour above it, in 16 bits.
fn halved(bits: u32) -> u32 {
    var m = (bits | (bits >> 1u)) & 0x55555555u;
    m = (m | (m >> 1u)) & 0x33333333u;
    m = (m | (m >> 2u)) & 0x0f0f0f0fu;
    m = (m | (m >> 4u)) & 0x00ff00ffu;
    return (m | (m >> 8u)) & 0xffffu;
}

// Counts a row of boxes: those of the field cropped to boxes of the largest size, and those of each tile.
fn count(level: u32, group: vec2<u32>, thread: u32, row: vec2<u32>) {
    let size = FIRST + level;
    let side = SIDE >> level;
    let x = group.x * side;
    let y = group.y * side + thread;
    if size <= WHOLE_LAST {
        let full_x = FULL_X << (WHOLE_LAST - size);
        let full_y = FULL_Y << (WHOLE_LAST - size);
        if y < full_y && x < full_x {
            atomicAdd(&whole_here[level], ones(row & lowest(full_x - x)));
        }
    }
    if size > TILE_LAST {
        return;
    }
    let across = TILE - size;
    let tile_y = y >> across;
    if tile_y >= TILES_Y {
        return;
    }
    if !IN_ONE {
        if (x >> across) < TILES_X {
            atomicAdd(&tile_here[level], ones(row));
        }
        return;
    }
    let boxes = 1u << across;
    for (var first = 0u; first < side; first += boxes) {
        let tile_x = (x + first) >> across;
        let bits = countOneBits(extractBits(row[first / 32u], first % 32u, boxes));
        if tile_x < TILES_X && bits > 0u {
            atomicAdd(&tiles[(tile_y * TILES_X + tile_x) * (TILE_LAST + 1u) + size], bits);
        }
    }
}

// What this square has of one size.
fn hand_over(level: u32, group: vec2<u32>) {
    let in_whole = atomicLoad(&whole_here[level]);
    if in_whole > 0u {
        atomicAdd(&whole[FIRST + level], in_whole);
    }
    let in_tile = atomicLoad(&tile_here[level]);
    if in_tile > 0u {
        let tile = (group.y >> TILE_SQUARES) * TILES_X + (group.x >> TILE_SQUARES);
        atomicAdd(&tiles[tile * (TILE_LAST + 1u) + FIRST + level], in_tile);
    }
}

// The lowest `count` bits of two words, 1 or more.
fn lowest(count: u32) -> vec2<u32> {
    let low = select((1u << min(count, 31u)) - 1u, 0xffffffffu, count >= 32u);
    let high = select((1u << min(count - min(count, 32u), 31u)) - 1u, 0xffffffffu, count >= 64u);
    return vec2(low, high);
}

fn ones(row: vec2<u32>) -> u32 {
    return countOneBits(row.x) + countOneBits(row.y);
}
