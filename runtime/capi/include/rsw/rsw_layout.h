/* rsw_layout.h: every byte of the plane and of its events, and what it means.
 *
 * Made by `cargo xtask header` from schemas/src; do not edit. Byte order is the machine's.
 */
#ifndef RSW_LAYOUT_H
#define RSW_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define RSW_STATIC_ASSERT(condition, words) static_assert(condition, words)
#else
#define RSW_STATIC_ASSERT(condition, words) _Static_assert(condition, words)
#endif

/* Kinds of events; the payload is the struct of that name (of joined and left: rsw_presence). */
#define RSW_EVENT_TICK 1
#define RSW_EVENT_FIELD_READY 2
#define RSW_EVENT_BATCH_READY 3
#define RSW_EVENT_AGENT_METRIC 4
#define RSW_EVENT_THRESHOLD_CROSSED 5
#define RSW_EVENT_REPORT 6
#define RSW_EVENT_ALERT 7
#define RSW_EVENT_JOINED 8
#define RSW_EVENT_LEFT 9
#define RSW_EVENT_SOURCE_CHANGED 10
#define RSW_EVENT_GAP 11
#define RSW_EVENT_GENERATION 12
#define RSW_EVENT_ANNOTATION 13

/* Version of planes and packets. */
#define RSW_ABI_MAJOR 0
#define RSW_ABI_MINOR 1

/* The first bytes of a plane, and how its header and its regions lie. */
#define RSW_PLANE_MAGIC "RSWPLANE"
#define RSW_PLANE_HEADER_BYTES 4096
#define RSW_REGION_ALIGN_BYTES 4096
#define RSW_REGIONS_MAX 8

/* Kinds of regions. */
#define RSW_REGION_CONTROL 1
#define RSW_REGION_COUNTERS 2
#define RSW_REGION_BOARD 3
#define RSW_REGION_RING 4
#define RSW_REGION_FIELDS 5
#define RSW_REGION_BATCHES 6

/* What the kernel says in the state word of its control lines. */
#define RSW_KERNEL_STARTING 1
#define RSW_KERNEL_RUNNING 2
#define RSW_KERNEL_FINISHED 3
#define RSW_KERNEL_STOPPED 4

/* Where one region lies. */
struct rsw_region {
    /* A RegionKind as its number. */
    uint32_t kind;
    /* Entries in the region's directory (counters, cells, slots, fields); 0 where it has none. */
    uint32_t entry_count;
    /* Bytes from the start of the plane; a multiple of REGION_ALIGN_BYTES. */
    uint64_t offset_bytes;
    /* Bytes in the region. */
    uint64_t size_bytes;
};

/* The constant part of a plane. crc32 covers every byte before it. */
struct rsw_plane_header {
    /* MAGIC. */
    uint8_t magic[8];
    /* ABI_MAJOR of the writer. */
    uint32_t abi_major;
    /* ABI_MINOR of the writer. */
    uint32_t abi_minor;
    /* LAYOUT_HASH of the writer. */
    uint64_t layout_hash;
    /* Size of the whole plane; equals what fstat says. */
    uint64_t total_bytes;
    /* Page size of the writer's machine. */
    uint32_t page_bytes;
    /* Used entries of regions. */
    uint32_t region_count;
    /* Kernel boot id: sequences and monotonic times compare only within one. */
    uint8_t boot_id[16];
    /* Identity of the run: all generations of one runtime up share it. */
    uint8_t run_id[16];
    /* 1 for the first kernel of a run, one more for each restart. */
    uint64_t generation;
    /* Pid of the writer, as it sees itself. */
    uint32_t writer_pid;
    /* Zero. */
    uint32_t reserved;
    /* Start time of the writer in clock ticks since boot (/proc/PID/stat field 22): tells a reused pid. */
    uint64_t writer_start_ticks;
    /* CLOCK_MONOTONIC when the plane was made. */
    uint64_t created_mono_ns;
    /* CLOCK_REALTIME at the same instant. */
    uint64_t created_wall_ns;
    /* Sequence of the first event of this generation: the cursor of the one before it. */
    uint64_t first_sequence;
    /* Field cells along x. */
    uint32_t nx;
    /* Field cells along y. */
    uint32_t ny;
    /* Nominal nanoseconds of field time from one tick to the next. */
    uint64_t tick_period_ns;
    /* Where everything is. */
    struct rsw_region regions[8];
    /* Zero. */
    uint32_t reserved_tail;
    /* CRC-32 (IEEE) of all bytes of this struct before this field. */
    uint32_t crc32;
};

/* The control lines. Every named word is written by the kernel alone, with atomic stores. */
struct rsw_control_lines {
    /* CLOCK_MONOTONIC of the last sign of life. */
    uint64_t heartbeat_mono_ns;
    /* Rest of the line. */
    uint64_t pad0[15];
    /* Futex word: lower 32 bits count committed batches. */
    uint64_t wake;
    /* Rest of the line. */
    uint64_t pad1[15];
    /* Sequence of the next event to be published: everything before it is committed. */
    uint64_t cursor;
    /* Rest of the line. */
    uint64_t pad2[15];
    /* Last committed tick; 0 before the first. */
    uint64_t tick;
    /* Rest of the line. */
    uint64_t pad3[15];
    /* A KernelState. */
    uint64_t state;
    /* Rest of the line. */
    uint64_t pad4[15];
};

/* One slot of the ring.
 *
 * stamp is 2s+1 while sequence s is being written and 2s+2 when it is complete (mod 2^64). */
struct rsw_slot {
    /* Busy or complete, and for which sequence. */
    uint64_t stamp;
    /* An EventKind as its number. */
    uint16_t kind;
    /* Bits of the kind; none is defined yet. */
    uint16_t flags;
    /* Bytes of payload that carry the event. */
    uint16_t len_bytes;
    /* Zero. */
    uint16_t reserved;
    /* SOURCE_KERNEL, or the id of the agent that caused the event. */
    uint32_t source;
    /* Lower 32 bits of the generation. */
    uint32_t generation;
    /* Field time of the event: nanoseconds from the start of the run, or of the recording that drives it. */
    int64_t t_ns;
    /* The POD that kind names, then zeros. */
    uint8_t payload[96];
};

/* Payload of EventKind::Tick: the state of the whole field after the tick. */
struct rsw_tick {
    /* The tick, counted from 1. */
    uint64_t tick;
    /* CLOCK_MONOTONIC at the commit. */
    uint64_t mono_ns;
    /* Mean CI over the field. */
    double ci_mean;
    /* Global box-counting dimension D; NaN where undefined (a single usable scale). */
    double d_global;
    /* Mean coherence C over the field. */
    double coherence_mean;
    /* Mean gain G over the field. */
    double gain_mean;
    /* Mean dwell time over the field, in field seconds. */
    double dwell_mean;
    /* Two-level discrete energy of the wave. */
    double energy;
    /* Largest |u|. */
    double u_abs_max;
    /* Nanoseconds spent in the solver this tick. */
    uint32_t solver_ns;
    /* Nanoseconds spent in the metrics this tick. */
    uint32_t metrics_ns;
    /* Nanoseconds spent committing the tick before this one (this one is not over yet). */
    uint32_t commit_ns;
    /* Ticks missed so far because a tick took longer than its period. */
    uint32_t overruns;
    /* R^2 of the fit behind d_global; NaN where undefined. */
    double d_r2;
};

/* Payload of EventKind::FieldReady. */
struct rsw_field_ready {
    /* The tick that made the frame. */
    uint64_t tick;
    /* Number of the frame within its field, counted from 1 in each generation. */
    uint64_t frame;
    /* Index into the field directory. */
    uint32_t field;
    /* Zero. */
    uint32_t reserved;
    /* Smallest and largest cell. */
    float range[2];
};

/* Payload of EventKind::BatchReady: where an Arrow IPC stream lies in the arena. */
struct rsw_batch_ready {
    /* Number of the batch, counted from 1 in each generation. */
    uint64_t batch;
    /* Position in the arena, monotonic (never wrapped by the reader of this event). */
    uint64_t position_bytes;
    /* Length of the stream. */
    uint64_t len_bytes;
    /* First tick with rows in it. */
    uint64_t first_tick;
    /* Last tick with rows in it. */
    uint64_t last_tick;
    /* Rows. */
    uint32_t rows;
    /* A batch::BatchSchema. */
    uint32_t schema;
    /* CRC-32 (IEEE) of the stream. */
    uint32_t crc32;
    /* Zero. */
    uint32_t reserved;
};

/* Payload of EventKind::AgentMetric: the metrics at one agent's site. */
struct rsw_agent_metric {
    /* The tick. */
    uint64_t tick;
    /* The agent. */
    uint32_t agent_id;
    /* Bits of metric_flag. */
    uint32_t flags;
    /* Box-counting dimension, interpolated from the tiles around the site; NaN where undefined. */
    double d;
    /* Coherence C in (0, 1]. */
    double c;
    /* Gain G. */
    double g;
    /* Dwell time tau in field seconds. */
    double tau;
    /* Complexity index. */
    double ci;
    /* The wave at the site. */
    double u;
    /* The driving sample of the agent's source; NaN for an agent without one. */
    double drive;
};

/* Payload of EventKind::ThresholdCrossed. */
struct rsw_threshold_crossed {
    /* The tick. */
    uint64_t tick;
    /* The value that crossed. */
    double value;
    /* The threshold. */
    double threshold;
    /* 1 upwards, -1 downwards. */
    int32_t direction;
    /* Zero. */
    uint32_t reserved;
    /* The board cell that is watched. */
    char cell[24];
};

/* Payload of EventKind::Report: what one agent computed, as admitted. */
struct rsw_report {
    /* Last tick of the window. */
    uint64_t tick;
    /* Ticks in the window. */
    uint32_t window_ticks;
    /* Ticks of the window that the agent has really seen. */
    uint32_t seen_ticks;
    /* Agents in the matrix. */
    uint32_t agents;
    /* Pairs with a defined correlation. */
    uint32_t pairs_defined;
    /* Fisher-z mean of the defined correlations; NaN when there is none. */
    double cs_mean;
    /* Fisher-z mean over the pairs that contain the reporting agent; NaN when there is none. */
    double cs_self;
    /* Smallest and largest correlation; NaN when there is none. */
    double r_min;
    /* See r_min. */
    double r_max;
    /* CRC-32 of the matrix (row-major f64, undefined as the quiet NaN 0x7ff8000000000000). */
    uint32_t matrix_crc32;
    /* Zero. */
    uint32_t reserved;
    /* CLOCK_MONOTONIC when the agent sent it. */
    uint64_t sent_mono_ns;
    /* Ring events the agent was behind when it sent it. */
    uint64_t lag_events;
    /* Ring events the agent lost so far. */
    uint64_t lost_events;
    /* Loans the agent missed so far. */
    uint64_t missed_loans;
};

/* Payload of EventKind::Alert. */
struct rsw_alert {
    /* The tick. */
    uint64_t tick;
    /* An AlertCode as its number. */
    uint32_t code;
    /* Zero. */
    uint32_t reserved;
    /* What happened, in words. */
    char text[80];
};

/* Payload of EventKind::Joined and EventKind::Left. */
struct rsw_presence {
    /* The agent. */
    uint32_t agent_id;
    /* Pid of the agent. */
    uint32_t pid;
    /* A wire::Isolation as its number. */
    uint32_t isolation;
    /* Zero. */
    uint32_t reserved;
    /* Name of the agent. */
    char name[64];
};

/* Payload of EventKind::SourceChanged. */
struct rsw_source_changed {
    /* The tick. */
    uint64_t tick;
    /* Index of the source. */
    uint32_t source;
    /* 1 on, 0 off. */
    uint32_t on;
    /* Cell along x. */
    uint32_t x;
    /* Cell along y. */
    uint32_t y;
    /* Amplitude. */
    double amplitude;
    /* Cycles per field time unit; 0 for a recorded signal. */
    double frequency;
    /* Name of the source. */
    char name[48];
};

/* Payload of EventKind::Annotation. */
struct rsw_annotation {
    /* The tick. */
    uint64_t tick;
    /* The new value. */
    double value;
    /* The column. */
    char name[48];
};

/* Payload of EventKind::Gap: samples that an input did not have. */
struct rsw_gap {
    /* First tick without a sample. */
    uint64_t from_tick;
    /* First tick that has one again. */
    uint64_t to_tick;
    /* Index of the source. */
    uint32_t source;
    /* A GapCause as its number. */
    uint32_t cause;
    /* The column. */
    char name[56];
};

/* Payload of EventKind::Generation. */
struct rsw_generation {
    /* The generation that begins. */
    uint64_t generation;
    /* Its first sequence. */
    uint64_t first_sequence;
    /* Last tick of the state it continues from; 0 for a fresh start. */
    uint64_t resumed_tick;
    /* Last tick that the generation before it had committed. */
    uint64_t previous_tick;
    /* Pid of the writer. */
    uint32_t writer_pid;
    /* Zero. */
    uint32_t reserved;
    /* CLOCK_REALTIME of its start. */
    uint64_t wall_ns;
    /* CLOCK_MONOTONIC of its start. */
    uint64_t mono_ns;
    /* LAYOUT_HASH of its build. */
    uint64_t layout_hash;
};

/* What one cell is: constant for the life of the plane. */
struct rsw_cell_desc {
    /* Unique name. */
    char name[40];
    /* Unit, empty for a plain number. */
    char unit[16];
    /* A CellType as its number. */
    uint32_t cell_type;
    /* Zero. */
    uint32_t reserved;
    /* One sentence. */
    char meaning[64];
};

/* One copy of a cell. */
struct rsw_cell_copy {
    /* The value's bits. */
    uint64_t value;
    /* The tick that wrote it. */
    uint64_t tick;
    /* Field time of that tick. */
    int64_t t_ns;
};

/* A cell: copies[sequence & 1] is complete, the other may be in the making. */
struct rsw_cell_line {
    /* Number of writes so far. */
    uint64_t sequence;
    /* The two copies. */
    struct rsw_cell_copy copies[2];
    /* Rest of the line. */
    uint64_t pad[9];
};

/* What one field is, and where its frames are: constant but for latest. */
struct rsw_field_desc {
    /* Unique name. */
    char name[32];
    /* Unit. */
    char unit[16];
    /* A Dtype as its number. */
    uint32_t dtype;
    /* Frames in the pool, at least 2. */
    uint32_t frame_count;
    /* Cells along x (the fast axis); for Dtype::Bytes the length. */
    uint32_t nx;
    /* Cells along y. */
    uint32_t ny;
    /* Bytes from the start of the region to the first frame. */
    uint64_t first_frame_bytes;
    /* Bytes from one frame's header to the next. */
    uint64_t stride_bytes;
    /* Bytes of data in a frame. */
    uint64_t data_bytes;
    /* Number of the latest complete frame, 0 before the first. Atomic; written by the kernel. */
    uint64_t latest;
    /* Zero. */
    uint64_t reserved[4];
};

/* Head of one frame; the data follow it.
 *
 * stamp is 2k+1 while frame k is being written and 2k+2 when it is complete. */
struct rsw_frame_header {
    /* Busy or complete, and for which frame. */
    uint64_t stamp;
    /* The tick that made it. */
    uint64_t tick;
    /* Field time of that tick. */
    int64_t t_ns;
    /* Valid bytes of data. */
    uint64_t len_bytes;
    /* Smallest and largest cell, as f32 bits in the lower and upper half. */
    uint64_t range_bits;
    /* Rest of the line. */
    uint64_t pad[11];
};

/* Head of the arena. Positions are monotonic byte counts; a byte at position p lies at p % capacity.
 * A stream never wraps: the writer skips to the start of the arena instead. */
struct rsw_arena_header {
    /* Bytes after this header. */
    uint64_t capacity_bytes;
    /* Rest of the line. */
    uint64_t pad0[15];
    /* Positions below this may be overwritten. Atomic. */
    uint64_t tail;
    /* Rest of the line. */
    uint64_t pad1[15];
};

/* One counter. */
struct rsw_counter_line {
    /* The value. Atomic; written by the kernel alone. */
    uint64_t value;
    /* A Counter as its number. */
    uint32_t id;
    /* Zero. */
    uint32_t reserved;
    /* Name. */
    char name[32];
    /* Unit. */
    char unit[16];
    /* One sentence. */
    char meaning[64];
};

/* What Rust has. */
RSW_STATIC_ASSERT(offsetof(struct rsw_region, kind) == 0, "rsw_region.kind");
RSW_STATIC_ASSERT(offsetof(struct rsw_region, entry_count) == 4, "rsw_region.entry_count");
RSW_STATIC_ASSERT(offsetof(struct rsw_region, offset_bytes) == 8, "rsw_region.offset_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_region, size_bytes) == 16, "rsw_region.size_bytes");
RSW_STATIC_ASSERT(sizeof(struct rsw_region) == 24, "rsw_region");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, magic) == 0, "rsw_plane_header.magic");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, abi_major) == 8, "rsw_plane_header.abi_major");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, abi_minor) == 12, "rsw_plane_header.abi_minor");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, layout_hash) == 16, "rsw_plane_header.layout_hash");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, total_bytes) == 24, "rsw_plane_header.total_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, page_bytes) == 32, "rsw_plane_header.page_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, region_count) == 36, "rsw_plane_header.region_count");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, boot_id) == 40, "rsw_plane_header.boot_id");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, run_id) == 56, "rsw_plane_header.run_id");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, generation) == 72, "rsw_plane_header.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, writer_pid) == 80, "rsw_plane_header.writer_pid");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, reserved) == 84, "rsw_plane_header.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, writer_start_ticks) == 88, "rsw_plane_header.writer_start_ticks");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, created_mono_ns) == 96, "rsw_plane_header.created_mono_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, created_wall_ns) == 104, "rsw_plane_header.created_wall_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, first_sequence) == 112, "rsw_plane_header.first_sequence");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, nx) == 120, "rsw_plane_header.nx");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, ny) == 124, "rsw_plane_header.ny");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, tick_period_ns) == 128, "rsw_plane_header.tick_period_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, regions) == 136, "rsw_plane_header.regions");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, reserved_tail) == 328, "rsw_plane_header.reserved_tail");
RSW_STATIC_ASSERT(offsetof(struct rsw_plane_header, crc32) == 332, "rsw_plane_header.crc32");
RSW_STATIC_ASSERT(sizeof(struct rsw_plane_header) == 336, "rsw_plane_header");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, heartbeat_mono_ns) == 0, "rsw_control_lines.heartbeat_mono_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, pad0) == 8, "rsw_control_lines.pad0");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, wake) == 128, "rsw_control_lines.wake");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, pad1) == 136, "rsw_control_lines.pad1");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, cursor) == 256, "rsw_control_lines.cursor");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, pad2) == 264, "rsw_control_lines.pad2");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, tick) == 384, "rsw_control_lines.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, pad3) == 392, "rsw_control_lines.pad3");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, state) == 512, "rsw_control_lines.state");
RSW_STATIC_ASSERT(offsetof(struct rsw_control_lines, pad4) == 520, "rsw_control_lines.pad4");
RSW_STATIC_ASSERT(sizeof(struct rsw_control_lines) == 640, "rsw_control_lines");
RSW_STATIC_ASSERT(offsetof(struct rsw_slot, stamp) == 0, "rsw_slot.stamp");
RSW_STATIC_ASSERT(offsetof(struct rsw_slot, kind) == 8, "rsw_slot.kind");
RSW_STATIC_ASSERT(offsetof(struct rsw_slot, flags) == 10, "rsw_slot.flags");
RSW_STATIC_ASSERT(offsetof(struct rsw_slot, len_bytes) == 12, "rsw_slot.len_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_slot, reserved) == 14, "rsw_slot.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_slot, source) == 16, "rsw_slot.source");
RSW_STATIC_ASSERT(offsetof(struct rsw_slot, generation) == 20, "rsw_slot.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_slot, t_ns) == 24, "rsw_slot.t_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_slot, payload) == 32, "rsw_slot.payload");
RSW_STATIC_ASSERT(sizeof(struct rsw_slot) == 128, "rsw_slot");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, tick) == 0, "rsw_tick.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, mono_ns) == 8, "rsw_tick.mono_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, ci_mean) == 16, "rsw_tick.ci_mean");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, d_global) == 24, "rsw_tick.d_global");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, coherence_mean) == 32, "rsw_tick.coherence_mean");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, gain_mean) == 40, "rsw_tick.gain_mean");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, dwell_mean) == 48, "rsw_tick.dwell_mean");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, energy) == 56, "rsw_tick.energy");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, u_abs_max) == 64, "rsw_tick.u_abs_max");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, solver_ns) == 72, "rsw_tick.solver_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, metrics_ns) == 76, "rsw_tick.metrics_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, commit_ns) == 80, "rsw_tick.commit_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, overruns) == 84, "rsw_tick.overruns");
RSW_STATIC_ASSERT(offsetof(struct rsw_tick, d_r2) == 88, "rsw_tick.d_r2");
RSW_STATIC_ASSERT(sizeof(struct rsw_tick) == 96, "rsw_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_ready, tick) == 0, "rsw_field_ready.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_ready, frame) == 8, "rsw_field_ready.frame");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_ready, field) == 16, "rsw_field_ready.field");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_ready, reserved) == 20, "rsw_field_ready.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_ready, range) == 24, "rsw_field_ready.range");
RSW_STATIC_ASSERT(sizeof(struct rsw_field_ready) == 32, "rsw_field_ready");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_ready, batch) == 0, "rsw_batch_ready.batch");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_ready, position_bytes) == 8, "rsw_batch_ready.position_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_ready, len_bytes) == 16, "rsw_batch_ready.len_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_ready, first_tick) == 24, "rsw_batch_ready.first_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_ready, last_tick) == 32, "rsw_batch_ready.last_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_ready, rows) == 40, "rsw_batch_ready.rows");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_ready, schema) == 44, "rsw_batch_ready.schema");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_ready, crc32) == 48, "rsw_batch_ready.crc32");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_ready, reserved) == 52, "rsw_batch_ready.reserved");
RSW_STATIC_ASSERT(sizeof(struct rsw_batch_ready) == 56, "rsw_batch_ready");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, tick) == 0, "rsw_agent_metric.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, agent_id) == 8, "rsw_agent_metric.agent_id");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, flags) == 12, "rsw_agent_metric.flags");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, d) == 16, "rsw_agent_metric.d");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, c) == 24, "rsw_agent_metric.c");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, g) == 32, "rsw_agent_metric.g");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, tau) == 40, "rsw_agent_metric.tau");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, ci) == 48, "rsw_agent_metric.ci");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, u) == 56, "rsw_agent_metric.u");
RSW_STATIC_ASSERT(offsetof(struct rsw_agent_metric, drive) == 64, "rsw_agent_metric.drive");
RSW_STATIC_ASSERT(sizeof(struct rsw_agent_metric) == 72, "rsw_agent_metric");
RSW_STATIC_ASSERT(offsetof(struct rsw_threshold_crossed, tick) == 0, "rsw_threshold_crossed.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_threshold_crossed, value) == 8, "rsw_threshold_crossed.value");
RSW_STATIC_ASSERT(offsetof(struct rsw_threshold_crossed, threshold) == 16, "rsw_threshold_crossed.threshold");
RSW_STATIC_ASSERT(offsetof(struct rsw_threshold_crossed, direction) == 24, "rsw_threshold_crossed.direction");
RSW_STATIC_ASSERT(offsetof(struct rsw_threshold_crossed, reserved) == 28, "rsw_threshold_crossed.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_threshold_crossed, cell) == 32, "rsw_threshold_crossed.cell");
RSW_STATIC_ASSERT(sizeof(struct rsw_threshold_crossed) == 56, "rsw_threshold_crossed");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, tick) == 0, "rsw_report.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, window_ticks) == 8, "rsw_report.window_ticks");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, seen_ticks) == 12, "rsw_report.seen_ticks");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, agents) == 16, "rsw_report.agents");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, pairs_defined) == 20, "rsw_report.pairs_defined");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, cs_mean) == 24, "rsw_report.cs_mean");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, cs_self) == 32, "rsw_report.cs_self");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, r_min) == 40, "rsw_report.r_min");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, r_max) == 48, "rsw_report.r_max");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, matrix_crc32) == 56, "rsw_report.matrix_crc32");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, reserved) == 60, "rsw_report.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, sent_mono_ns) == 64, "rsw_report.sent_mono_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, lag_events) == 72, "rsw_report.lag_events");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, lost_events) == 80, "rsw_report.lost_events");
RSW_STATIC_ASSERT(offsetof(struct rsw_report, missed_loans) == 88, "rsw_report.missed_loans");
RSW_STATIC_ASSERT(sizeof(struct rsw_report) == 96, "rsw_report");
RSW_STATIC_ASSERT(offsetof(struct rsw_alert, tick) == 0, "rsw_alert.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_alert, code) == 8, "rsw_alert.code");
RSW_STATIC_ASSERT(offsetof(struct rsw_alert, reserved) == 12, "rsw_alert.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_alert, text) == 16, "rsw_alert.text");
RSW_STATIC_ASSERT(sizeof(struct rsw_alert) == 96, "rsw_alert");
RSW_STATIC_ASSERT(offsetof(struct rsw_presence, agent_id) == 0, "rsw_presence.agent_id");
RSW_STATIC_ASSERT(offsetof(struct rsw_presence, pid) == 4, "rsw_presence.pid");
RSW_STATIC_ASSERT(offsetof(struct rsw_presence, isolation) == 8, "rsw_presence.isolation");
RSW_STATIC_ASSERT(offsetof(struct rsw_presence, reserved) == 12, "rsw_presence.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_presence, name) == 16, "rsw_presence.name");
RSW_STATIC_ASSERT(sizeof(struct rsw_presence) == 80, "rsw_presence");
RSW_STATIC_ASSERT(offsetof(struct rsw_source_changed, tick) == 0, "rsw_source_changed.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_source_changed, source) == 8, "rsw_source_changed.source");
RSW_STATIC_ASSERT(offsetof(struct rsw_source_changed, on) == 12, "rsw_source_changed.on");
RSW_STATIC_ASSERT(offsetof(struct rsw_source_changed, x) == 16, "rsw_source_changed.x");
RSW_STATIC_ASSERT(offsetof(struct rsw_source_changed, y) == 20, "rsw_source_changed.y");
RSW_STATIC_ASSERT(offsetof(struct rsw_source_changed, amplitude) == 24, "rsw_source_changed.amplitude");
RSW_STATIC_ASSERT(offsetof(struct rsw_source_changed, frequency) == 32, "rsw_source_changed.frequency");
RSW_STATIC_ASSERT(offsetof(struct rsw_source_changed, name) == 40, "rsw_source_changed.name");
RSW_STATIC_ASSERT(sizeof(struct rsw_source_changed) == 88, "rsw_source_changed");
RSW_STATIC_ASSERT(offsetof(struct rsw_annotation, tick) == 0, "rsw_annotation.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_annotation, value) == 8, "rsw_annotation.value");
RSW_STATIC_ASSERT(offsetof(struct rsw_annotation, name) == 16, "rsw_annotation.name");
RSW_STATIC_ASSERT(sizeof(struct rsw_annotation) == 64, "rsw_annotation");
RSW_STATIC_ASSERT(offsetof(struct rsw_gap, from_tick) == 0, "rsw_gap.from_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_gap, to_tick) == 8, "rsw_gap.to_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_gap, source) == 16, "rsw_gap.source");
RSW_STATIC_ASSERT(offsetof(struct rsw_gap, cause) == 20, "rsw_gap.cause");
RSW_STATIC_ASSERT(offsetof(struct rsw_gap, name) == 24, "rsw_gap.name");
RSW_STATIC_ASSERT(sizeof(struct rsw_gap) == 80, "rsw_gap");
RSW_STATIC_ASSERT(offsetof(struct rsw_generation, generation) == 0, "rsw_generation.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_generation, first_sequence) == 8, "rsw_generation.first_sequence");
RSW_STATIC_ASSERT(offsetof(struct rsw_generation, resumed_tick) == 16, "rsw_generation.resumed_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_generation, previous_tick) == 24, "rsw_generation.previous_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_generation, writer_pid) == 32, "rsw_generation.writer_pid");
RSW_STATIC_ASSERT(offsetof(struct rsw_generation, reserved) == 36, "rsw_generation.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_generation, wall_ns) == 40, "rsw_generation.wall_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_generation, mono_ns) == 48, "rsw_generation.mono_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_generation, layout_hash) == 56, "rsw_generation.layout_hash");
RSW_STATIC_ASSERT(sizeof(struct rsw_generation) == 64, "rsw_generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_desc, name) == 0, "rsw_cell_desc.name");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_desc, unit) == 40, "rsw_cell_desc.unit");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_desc, cell_type) == 56, "rsw_cell_desc.cell_type");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_desc, reserved) == 60, "rsw_cell_desc.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_desc, meaning) == 64, "rsw_cell_desc.meaning");
RSW_STATIC_ASSERT(sizeof(struct rsw_cell_desc) == 128, "rsw_cell_desc");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_copy, value) == 0, "rsw_cell_copy.value");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_copy, tick) == 8, "rsw_cell_copy.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_copy, t_ns) == 16, "rsw_cell_copy.t_ns");
RSW_STATIC_ASSERT(sizeof(struct rsw_cell_copy) == 24, "rsw_cell_copy");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_line, sequence) == 0, "rsw_cell_line.sequence");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_line, copies) == 8, "rsw_cell_line.copies");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_line, pad) == 56, "rsw_cell_line.pad");
RSW_STATIC_ASSERT(sizeof(struct rsw_cell_line) == 128, "rsw_cell_line");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, name) == 0, "rsw_field_desc.name");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, unit) == 32, "rsw_field_desc.unit");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, dtype) == 48, "rsw_field_desc.dtype");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, frame_count) == 52, "rsw_field_desc.frame_count");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, nx) == 56, "rsw_field_desc.nx");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, ny) == 60, "rsw_field_desc.ny");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, first_frame_bytes) == 64, "rsw_field_desc.first_frame_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, stride_bytes) == 72, "rsw_field_desc.stride_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, data_bytes) == 80, "rsw_field_desc.data_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, latest) == 88, "rsw_field_desc.latest");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_desc, reserved) == 96, "rsw_field_desc.reserved");
RSW_STATIC_ASSERT(sizeof(struct rsw_field_desc) == 128, "rsw_field_desc");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame_header, stamp) == 0, "rsw_frame_header.stamp");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame_header, tick) == 8, "rsw_frame_header.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame_header, t_ns) == 16, "rsw_frame_header.t_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame_header, len_bytes) == 24, "rsw_frame_header.len_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame_header, range_bits) == 32, "rsw_frame_header.range_bits");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame_header, pad) == 40, "rsw_frame_header.pad");
RSW_STATIC_ASSERT(sizeof(struct rsw_frame_header) == 128, "rsw_frame_header");
RSW_STATIC_ASSERT(offsetof(struct rsw_arena_header, capacity_bytes) == 0, "rsw_arena_header.capacity_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_arena_header, pad0) == 8, "rsw_arena_header.pad0");
RSW_STATIC_ASSERT(offsetof(struct rsw_arena_header, tail) == 128, "rsw_arena_header.tail");
RSW_STATIC_ASSERT(offsetof(struct rsw_arena_header, pad1) == 136, "rsw_arena_header.pad1");
RSW_STATIC_ASSERT(sizeof(struct rsw_arena_header) == 256, "rsw_arena_header");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter_line, value) == 0, "rsw_counter_line.value");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter_line, id) == 8, "rsw_counter_line.id");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter_line, reserved) == 12, "rsw_counter_line.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter_line, name) == 16, "rsw_counter_line.name");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter_line, unit) == 48, "rsw_counter_line.unit");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter_line, meaning) == 64, "rsw_counter_line.meaning");
RSW_STATIC_ASSERT(sizeof(struct rsw_counter_line) == 128, "rsw_counter_line");

#endif /* RSW_LAYOUT_H */
