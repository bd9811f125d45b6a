// A quantile of |u|, exactly: the largest bit pattern that `wanted` cells reach. Patterns of magnitudes have 31 bits, in
// the order of the magnitudes. Three times over: how many cells there are for each value of the next eleven or ten bits, among
// those whose bits before are the ones found so far; then the next bits of the pattern are known.

struct Search {
    // The bits found so far.
    found: u32,
    // How many of the cells that begin with them reach the pattern.
    wanted: u32,
    // The next bits: from `top` down to `low`.
    top: u32,
    low: u32,
}

const BINS: u32 = 2048u;
const THREADS: u32 = 256u;
const CHUNK: u32 = BINS / THREADS;

// |u| as bits, below a sign.
@group(0) @binding(0) var<storage, read> u: array<u32>;
@group(0) @binding(1) var<storage, read_write> search: Search;
// All zero when a search begins.
@group(0) @binding(2) var<storage, read_write> bins: array<atomic<u32>, BINS>;

var<workgroup> bins_here: array<atomic<u32>, BINS>;
var<workgroup> chunks: array<u32, THREADS>;

@compute @workgroup_size(256)
fn histogram(
    @builtin(global_invocation_id) place: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    for (var bin = thread; bin < BINS; bin += THREADS) {
        atomicStore(&bins_here[bin], 0u);
    }
    workgroupBarrier();
    let now = search;
    let mask = (1u << (now.top - now.low)) - 1u;
    let count = arrayLength(&u);
    for (var cell = place.x; cell < count; cell += groups.x * THREADS) {
        let pattern = u[cell] & 0x7fffffffu;
        if (pattern >> now.top) == now.found {
            atomicAdd(&bins_here[(pattern >> now.low) & mask], 1u);
        }
    }
    workgroupBarrier();
    for (var bin = thread; bin < BINS; bin += THREADS) {
        let cells = atomicLoad(&bins_here[bin]);
        if cells > 0u {
            atomicAdd(&bins[bin], cells);
        }
    }
}

// One workgroup: goes down from the largest bits until enough cells reach them.
@compute @workgroup_size(256)
fn narrow(@builtin(local_invocation_index) thread: u32) {
    let end = BINS - CHUNK * thread;
    var cells = 0u;
    for (var k = 1u; k <= CHUNK; k++) {
        cells += atomicLoad(&bins[end - k]);
    }
    chunks[thread] = cells;
    workgroupBarrier();
    if thread == 0u {
        var wanted = search.wanted;
        var chunk = 0u;
        while chunk + 1u < THREADS && chunks[chunk] < wanted {
            wanted -= chunks[chunk];
            chunk++;
        }
        var bin = BINS - 1u - CHUNK * chunk;
        var here = atomicLoad(&bins[bin]);
        while bin > 0u && here < wanted {
            wanted -= here;
            bin--;
            here = atomicLoad(&bins[bin]);
        }
        search.found = (search.found << (search.top - search.low)) | bin;
        search.wanted = wanted;
        search.top = search.low;
        search.low = search.low - min(search.low, 10u);
    }
    storageBarrier();
    workgroupBarrier();
    for (var k = 1u; k <= CHUNK; k++) {
        atomicStore(&bins[end - k], 0u);
    }
}
