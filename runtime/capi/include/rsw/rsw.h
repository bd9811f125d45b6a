/* rsw.h: attach an agent to a running swarm, in C11 or C++17.
 *
 * Made by `cargo xtask header` from runtime/capi/src; do not edit.
 *
 * Every function that answers int32_t answers a status: RSW_OK, something informative above zero, or an error below;
 * rsw_last_error has the words. Handles are opaque and checked at each call: NULL, a closed one, or one of another kind
 * is an error. A handle is used by one thread at a time (RSW_E_BUSY if another one is inside); different handles are
 * independent, and rsw_dup makes another one for another thread. Nothing starts a thread, installs a signal handler or
 * calls back. After fork() the child connects itself.
 *
 * Structs that begin with struct_size may grow: set it to the sizeof, as the RSW_*_INIT macros do.
 */

#ifndef RSW_H
#define RSW_H

#include <stddef.h>
#include <stdint.h>

#include "rsw_layout.h"

/* Hash of every layout of the plane that this header was made with; see rsw_layout_hash. */
#define RSW_LAYOUT_HASH UINT64_C(0x3cddc2047d288cdd)

/* For every struct with struct_size: `struct rsw_options options = RSW_INIT(struct rsw_options);` */
#ifdef __cplusplus
#define RSW_INIT(type) {(uint32_t)sizeof(type)}
#else
#define RSW_INIT(type) {.struct_size = (uint32_t)sizeof(type)}
#endif
#define RSW_OPTIONS_INIT RSW_INIT(struct rsw_options)

/* The Arrow C data and stream interfaces, as their specification has them; one definition for all who include it. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif /* ARROW_C_STREAM_INTERFACE */


// Done.
#define RSW_OK 0

// Nothing new; later perhaps.
#define RSW_EMPTY 1

// Events were overwritten before they were read; rsw_ring_stats says which.
#define RSW_LAPPED 2

// Nothing new, and the kernel shows no sign of life; what was read stays the last good state.
#define RSW_STALE 3

// A new generation of the plane was taken up; go on as before.
#define RSW_REATTACHED 4

// The swarm has ended; nothing will come.
#define RSW_ENDED 5

// A pointer that must not be NULL is.
#define RSW_E_NULL -1

// The handle is closed, or never was one.
#define RSW_E_HANDLE -2

// Another thread is inside the handle, or a value changed during every try; try again.
#define RSW_E_BUSY -3

// An argument has no meaning.
#define RSW_E_ARGUMENT -4

// There is no such swarm, cell, field or counter.
#define RSW_E_NOT_FOUND -5

// Library and swarm are of different builds; the words name both.
#define RSW_E_VERSION -6

// The swarm belongs to another user.
#define RSW_E_PERMISSION -7

// There was a swarm; it is dead.
#define RSW_E_DEAD -8

// The swarm is starting and not there yet; try again.
#define RSW_E_STARTING -9

// Nobody answered in time.
#define RSW_E_TIMEOUT -10

// Not offered to this agent; the words say why.
#define RSW_E_UNSUPPORTED -11

// Too many: handles, loans, guests.
#define RSW_E_LIMIT -12

// The caller's buffer is too small.
#define RSW_E_BUFFER -13

// The swarm was started anew with other cells or fields: find them again.
#define RSW_E_CHANGED -14

// What arrived is not what the protocol promises.
#define RSW_E_PROTOCOL -15

// The system said no; the words say what was asked of it.
#define RSW_E_SYSTEM -16

// A bug of the library; the words say where.
#define RSW_E_BUG -17

// Only look: no page, no name, no reports, not in `runtime ps`.
#define RSW_CONNECT_OBSERVER 1

// Ask for what rsw_wake_fd hands out.
#define RSW_CONNECT_WAKE_FD 2

// How long rsw_connect waits for the welcome unless told, milliseconds.
#define RSW_CONNECT_TIMEOUT_MS 10000

// The plane exists, the first tick does not.
#define RSW_STATE_STARTING 1

// Ticking.
#define RSW_STATE_RUNNING 2

// The last tick is there; the kernel lives on.
#define RSW_STATE_FINISHED 3

// The kernel stopped in order.
#define RSW_STATE_STOPPED 4

// The kernel shows no sign of life; the supervisor will bring another one.
#define RSW_STATE_SILENT 5

// The kernel is dead; the supervisor will bring another one.
#define RSW_STATE_DEAD 6

// Launched by the supervisor behind Landlock and seccomp, with loans.
#define RSW_ISOLATION_SANDBOXED 1

// As above, without any file and so without loans.
#define RSW_ISOLATION_STRICT 2

// Kept by the seals of the plane alone.
#define RSW_ISOLATION_NONE 3

// A double; see rsw_cell.
#define RSW_F64 1

// An unsigned integer of 64 bits.
#define RSW_U64 2

// A signed integer of 64 bits.
#define RSW_I64 3

// Begin with the next event to be published.
#define RSW_FROM_LATEST 0

// Begin with the oldest event still held.
#define RSW_FROM_OLDEST 1

// Begin with a given sequence; what is no longer held is told as lost by the first poll.
#define RSW_FROM_SEQUENCE 2

// Wait as the swarm file says.
#define RSW_WAIT_DEFAULT 0

// Never give the core away.
#define RSW_WAIT_SPIN 1

// Offer the core to others between looks.
#define RSW_WAIT_YIELD 2

// Spin for 50 us, then sleep.
#define RSW_WAIT_HYBRID 3

// Sleep at once.
#define RSW_WAIT_BLOCK 4

// Cells are IEEE single precision.
#define RSW_DTYPE_F32 1

// Opaque bytes: the kernel's checkpoint, never lent.
#define RSW_DTYPE_BYTES 2

// A subscription to the metrics batches. One thread at a time.
typedef struct rsw_batches rsw_batches;

// A subscription to the loans of one field. One thread at a time.
typedef struct rsw_field rsw_field;

// A borrowed frame: it neither changes nor goes away before its release. One thread at a time.
typedef struct rsw_loan rsw_loan;

// A reader of the event ring. One thread at a time.
typedef struct rsw_ring rsw_ring;

// A connection to a swarm. One thread at a time; rsw_dup makes a handle for another one.
typedef struct rsw_swarm rsw_swarm;

// A window that is filled sample by sample, and knows when a report is due. One thread at a time.
typedef struct rsw_sync rsw_sync;

// Which swarm, and as who. Everything but struct_size may be zero.
typedef struct rsw_options {
    // sizeof(struct rsw_options)
    uint32_t struct_size;
    // Bits RSW_CONNECT_*.
    uint32_t flags;
    // Name of the project; NULL: whatever swarm runs in the folder.
    const char *project;
    // Folder of the project; NULL: the working folder.
    const char *folder;
    // Path of the swarm's socket; NULL: the one of project and folder.
    const char *socket;
    // Name of this agent; NULL: RSW_AGENT_NAME of the environment, else the program's. A launched agent has its name from
    // the swarm file.
    const char *name;
    // A connected socket, as a launched agent inherits it; 0: none. It stays the caller's.
    int32_t socket_fd;
    // Longest wait for the welcome; 0: RSW_CONNECT_TIMEOUT_MS.
    uint32_t timeout_ms;
} rsw_options;

// How a swarm is.
typedef struct rsw_state_info {
    // sizeof(struct rsw_state_info)
    uint32_t struct_size;
    // RSW_STATE_*.
    int32_t state;
    // Generation of the plane: 1 for the first kernel of a run, one more for each restart.
    uint64_t generation;
    // Last committed tick.
    uint64_t tick;
    // Nanoseconds since the kernel's last sign of life.
    uint64_t age_ns;
    // Sequence of the next event to be published.
    uint64_t cursor;
    // Sequence of the first event of this generation.
    uint64_t first_sequence;
    // Nominal nanoseconds of field time from one tick to the next.
    uint64_t tick_period_ns;
    // Identity of the run: all generations of one `runtime up` share it.
    uint8_t run_id[16];
} rsw_state_info;

// Who we are in a swarm, as the gateway said it.
typedef struct rsw_self_info {
    // sizeof(struct rsw_self_info)
    uint32_t struct_size;
    // Id of this agent, from 1; 0 for an observer.
    uint32_t agent_id;
    // RSW_ISOLATION_*.
    uint32_t isolation;
    // 1 if loans are offered to this agent.
    uint32_t loans;
    // Agents with a site in the field: ids 1 to this.
    uint32_t site_count;
    // Ticks in the synchronisation window.
    uint32_t window_ticks;
    // Ticks from one report to the next.
    uint32_t report_ticks;
    // Zero.
    uint32_t reserved;
    // Incarnation of the gateway.
    uint64_t incarnation;
    // Name of this agent.
    char name[64];
} rsw_self_info;

// What a cell is.
typedef struct rsw_cell_info {
    // sizeof(struct rsw_cell_info)
    uint32_t struct_size;
    // By this number it is read.
    uint32_t cell;
    // RSW_F64, RSW_U64 or RSW_I64.
    uint32_t value_type;
    // Zero.
    uint32_t reserved;
    // Unique name.
    char name[40];
    // Unit, empty for a plain number.
    char unit[16];
    // One sentence.
    char meaning[64];
} rsw_cell_info;

// 64 bits of one of three types.
typedef union rsw_value {
    // RSW_F64.
    double f64;
    // RSW_U64.
    uint64_t u64;
    // RSW_I64.
    int64_t i64;
} rsw_value;

// A cell's value with the tick that wrote it. This struct never grows: it comes in arrays.
typedef struct rsw_cell {
    // The value's 64 bits, of the type that rsw_cell_info says.
    union rsw_value value;
    // The tick that wrote it; 0 if none did yet.
    uint64_t tick;
    // Field time of that tick.
    int64_t t_ns;
    // RSW_F64, RSW_U64 or RSW_I64.
    uint32_t value_type;
    // Zero.
    uint32_t reserved;
} rsw_cell;

// Which ticks a snapshot comes from.
typedef struct rsw_snapshot {
    // sizeof(struct rsw_snapshot)
    uint32_t struct_size;
    // Cells written to the array.
    uint32_t count;
    // Oldest tick among them.
    uint64_t oldest_tick;
    // Newest tick among them; all cells are of one tick if it equals oldest_tick.
    uint64_t newest_tick;
} rsw_snapshot;

// One event. This struct never grows: it comes in arrays.
typedef struct rsw_event {
    // Its sequence: unique in a run, without a gap.
    uint64_t sequence;
    // RSW_EVENT_*: what it says, and which struct of rsw_layout.h the payload holds.
    uint16_t kind;
    // Zero.
    uint16_t flags;
    // Bytes of payload that carry the event; the rest is zero.
    uint16_t len_bytes;
    // Zero.
    uint16_t reserved;
    // The agent that caused it; 0: the kernel.
    uint32_t source;
    // Lower 32 bits of the generation.
    uint32_t generation;
    // Field time, nanoseconds.
    int64_t t_ns;
    // The struct that kind names. memcpy it out: it has the alignment of 8, but not the type.
    uint8_t payload[96];
} rsw_event;

// The exact account of a reader: received + lost = next_sequence - the sequence it began with, within a run.
typedef struct rsw_stats {
    // sizeof(struct rsw_stats)
    uint32_t struct_size;
    // Losses told so far.
    uint32_t laps;
    // Events received.
    uint64_t received;
    // Events lost.
    uint64_t lost;
    // Sequence of the next event.
    uint64_t next_sequence;
    // Published events not read yet.
    uint64_t lag;
    // First sequence of the last loss.
    uint64_t lost_from;
    // First sequence after the last loss; equal to lost_from while nothing was lost.
    uint64_t lost_to;
    // Generation of the plane that is being read.
    uint64_t generation;
    // Events that the ring holds.
    uint64_t capacity;
} rsw_stats;

// How synchronised the swarm is over one window; NaN where no pair is defined.
typedef struct rsw_sync_result {
    // sizeof(struct rsw_sync_result)
    uint32_t struct_size;
    // Agents in the matrix: those with a sample in the window.
    uint32_t agents;
    // Last tick of the window.
    uint64_t tick;
    // Ticks in the window.
    uint32_t window_ticks;
    // Ticks of the window with a sample of at least one agent.
    uint32_t seen_ticks;
    // Pairs with a defined correlation.
    uint32_t pairs_defined;
    // CRC-32 (IEEE) of the matrix, row by row, little-endian doubles: equal samples, equal number.
    uint32_t matrix_crc32;
    // Fisher z mean over the defined pairs.
    double cs_mean;
    // The same over the pairs with this agent.
    double cs_self;
    // Smallest correlation.
    double r_min;
    // Largest correlation.
    double r_max;
} rsw_sync_result;

// What a field is.
typedef struct rsw_field_info {
    // sizeof(struct rsw_field_info)
    uint32_t struct_size;
    // By this number it is copied.
    uint32_t field;
    // RSW_DTYPE_*.
    uint32_t dtype;
    // Cells along x, the fast axis.
    uint32_t nx;
    // Cells along y.
    uint32_t ny;
    // Zero.
    uint32_t reserved;
    // Bytes of a full frame.
    uint64_t size_bytes;
    // Number of the latest complete frame; 0 before the first.
    uint64_t latest;
    // Unique name.
    char name[32];
    // Unit of a cell.
    char unit[16];
} rsw_field_info;

// A frame, copied or borrowed.
typedef struct rsw_frame {
    // sizeof(struct rsw_frame)
    uint32_t struct_size;
    // Cells along x, the fast axis.
    uint32_t nx;
    // Cells along y.
    uint32_t ny;
    // Smallest cell.
    float min;
    // Largest cell.
    float max;
    // Zero.
    uint32_t reserved;
    // The cells, row by row. Of a loan: valid until its release, not to be written. Of a copy: the caller's buffer.
    const float *data;
    // Bytes of data.
    uint64_t size_bytes;
    // Generation of the plane that the frame comes from.
    uint64_t generation;
    // Number of the frame within its field and generation, from 1.
    uint64_t frame;
    // The tick that made it.
    uint64_t tick;
    // Field time of that tick, nanoseconds.
    int64_t t_ns;
    // Frames of this subscription that gave way to newer ones before they were taken; 0 of a copy.
    uint64_t missed;
} rsw_frame;

// Where a batch comes from.
typedef struct rsw_batch_info {
    // sizeof(struct rsw_batch_info)
    uint32_t struct_size;
    // Rows: one for each agent and tick.
    uint32_t rows;
    // Generation of the plane.
    uint64_t generation;
    // Number of the batch within its generation, from 1.
    uint64_t batch;
    // First tick with rows in it.
    uint64_t first_tick;
    // Last tick with rows in it.
    uint64_t last_tick;
    // Batches of this subscription that were overwritten before they were taken.
    uint64_t missed;
} rsw_batch_info;

// A counter and its value.
typedef struct rsw_counter {
    // sizeof(struct rsw_counter)
    uint32_t struct_size;
    // Its id, which never changes its meaning.
    uint32_t id;
    // Its value now.
    uint64_t value;
    // Its name.
    char name[32];
    // Its unit.
    char unit[16];
    // One sentence.
    char meaning[64];
} rsw_counter;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// What a status means, in a few words; never NULL. Any thread, never blocks, safe in signal handlers. The text lives
// for ever.
const char *rsw_status_str(int32_t status);

// What went wrong in the last call of this thread that answered an error: what, where, and what to do; never NULL,
// empty before the first error. Any thread (each has its own), never blocks, not for signal handlers. The text lives
// until the next error of this thread.
const char *rsw_last_error(void);

// Version of the plane and of the handshake that this library speaks: major << 16 | minor. Any thread, never blocks,
// safe in signal handlers.
uint32_t rsw_abi_version(void);

// Hash of every layout of the plane; library and swarm share a plane only if theirs are equal (RSW_LAYOUT_HASH is the
// one that the header was made with). Any thread, never blocks, safe in signal handlers.
uint64_t rsw_layout_hash(void);

// Attaches to a swarm. Without options (NULL): as a launched agent on the socket that RSW_SOCKET_FD names, else at the
// path in RSW_SOCKET, else to the swarm of project RSW_PROJECT, or of whatever project, in the working folder.
//
// Any thread; blocks for the handshake, at most timeout_ms; not for signal handlers. *swarm is set to NULL first, and
// after RSW_OK lives until rsw_close. After fork() a child must not use it but connect itself. Cost: some hundred
// microseconds, and the plane mapped read-only.
// Errors: RSW_E_NOT_FOUND (no such swarm), RSW_E_STARTING (not there yet), RSW_E_DEAD (was there), RSW_E_PERMISSION
// (another user's), RSW_E_VERSION (another build), RSW_E_LIMIT (no room), RSW_E_TIMEOUT.
int32_t rsw_connect(const struct rsw_options *options, struct rsw_swarm **swarm);

// A second handle on the same connection, for another thread. As rsw_connect, but without a handshake: some
// microseconds, never blocks.
int32_t rsw_dup(struct rsw_swarm *swarm, struct rsw_swarm **other);

// Gives a handle up. The connection ends with the last handle that came from it: swarm, ring, sync, field, batches; loans
// hold no connection. One thread at a time; blocks for no other process; not for signal handlers. RSW_E_HANDLE if it is
// closed already, RSW_E_BUSY while another thread is inside.
int32_t rsw_close(struct rsw_swarm *swarm);

// How the swarm is: RSW_OK if its kernel lives, RSW_STALE if it shows no sign of life, RSW_ENDED if nothing will come.
// What *info says holds for the moment. One thread at a time; never blocks; not for signal handlers. Cost: some hundred
// nanoseconds while the kernel lives, else a look into /proc.
int32_t rsw_state(struct rsw_swarm *swarm, struct rsw_state_info *info);

// Who we are: id, name, isolation, and what the swarm file says about synchronisation. One thread at a time; never
// blocks; not for signal handlers; some hundred nanoseconds. After a restart of the gateway a guest has another id.
int32_t rsw_self(struct rsw_swarm *swarm, struct rsw_self_info *info);

// Looks whether the kernel or the gateway was restarted, and takes up what is new: RSW_REATTACHED if so, RSW_OK if not,
// RSW_STALE or RSW_ENDED as rsw_state. rsw_ring_wait does this by itself; who never waits calls it now and then (every
// 100 ms, say). A gateway that is gone is asked again once a second.
// One thread at a time; never blocks; not for signal handlers; one system call.
int32_t rsw_reattach(struct rsw_swarm *swarm);

// How many cells the board has. One thread at a time; never blocks; not for signal handlers; some nanoseconds.
int32_t rsw_board_count(struct rsw_swarm *swarm, uint32_t *count);

// What the cell at place `index` (from 0) is. One thread at a time; never blocks; not for signal handlers; some hundred
// nanoseconds. RSW_E_NOT_FOUND beyond the last.
int32_t rsw_board_describe(struct rsw_swarm *swarm, uint32_t index, struct rsw_cell_info *info);

// The number of the cell with this name: good as long as the swarm has the same cells, restarts of the kernel
// included; after that reads answer RSW_E_CHANGED. One thread at a time; never blocks; not for signal handlers; a search
// through all names.
int32_t rsw_board_find(struct rsw_swarm *swarm,
                       const char *name,
                       uint32_t *cell);

// A cell's value, complete, with the tick that wrote it. One thread at a time; never blocks, bounded tries (RSW_E_BUSY
// if the writer outran all); not for signal handlers; no system call, some nanoseconds.
int32_t rsw_board_read(struct rsw_swarm *swarm, uint32_t cell, struct rsw_cell *value);

// As rsw_board_read, of a cell that holds a double; RSW_E_ARGUMENT if it does not.
int32_t rsw_board_read_f64(struct rsw_swarm *swarm, uint32_t cell, double *value);

// As rsw_board_read, of a cell that holds an unsigned integer; RSW_E_ARGUMENT if it does not.
int32_t rsw_board_read_u64(struct rsw_swarm *swarm, uint32_t cell, uint64_t *value);

// As rsw_board_read, of a cell that holds a signed integer; RSW_E_ARGUMENT if it does not.
int32_t rsw_board_read_i64(struct rsw_swarm *swarm, uint32_t cell, int64_t *value);

// The values of `count` cells, each complete, into `values` in the same order. As rsw_board_read otherwise; after an
// error `values` holds those before the cell that failed.
int32_t rsw_board_read_many(struct rsw_swarm *swarm, const uint32_t *cells, size_t count, struct rsw_cell *values);

// All cells, in the board's order, each complete, and which ticks they come from. `values` needs room for all of them
// (RSW_E_BUFFER if not). As rsw_board_read otherwise; about 2 ns a cell.
int32_t rsw_board_snapshot(struct rsw_swarm *swarm,
                           struct rsw_cell *values,
                           size_t capacity,
                           struct rsw_snapshot *info);

// Opens a reader of the event ring; `start` is RSW_FROM_*, `sequence` counts for RSW_FROM_SEQUENCE only. Any number of
// readers; no writer ever sees them.
//
// One thread at a time; never blocks; not for signal handlers. *ring lives until rsw_ring_close, also beyond rsw_close
// of the swarm. Cost: some microseconds.
int32_t rsw_ring_open(struct rsw_swarm *swarm, int32_t start, uint64_t sequence, struct rsw_ring **ring);

// Copies the next events, at most `capacity`, into `events`, and says in *count how many (NULL: not wanted).
// RSW_OK: at least one. RSW_EMPTY: nothing new. RSW_LAPPED: the writer overwrote what comes next; rsw_ring_stats says
// exactly which sequences, and the next poll goes on behind them. RSW_REATTACHED: the kernel was restarted, everything
// of the old generation has been read, and the next poll goes on in the new one: in the same run with the very next
// sequence, or with a loss told; in another run (`runtime up` again) with its latest event.
//
// One thread at a time; never blocks; not for signal handlers; no system call, no allocation: some nanoseconds an event.
// It does not notice a restart by itself: rsw_ring_wait and rsw_reattach do.
int32_t rsw_ring_poll(struct rsw_ring *ring,
                      struct rsw_event *events,
                      size_t capacity,
                      size_t *count);

// Waits until there is something to poll, at most `timeout_ns`, by RSW_WAIT_*. RSW_OK: there is. RSW_EMPTY: the time is
// over. RSW_STALE: the time is over, and the kernel shows no sign of life. RSW_ENDED: the swarm has ended, and everything
// was read. Meanwhile it looks at the socket (for a restart, which the next poll tells) and posts a sign of life with
// this reader's account: an agent that waits needs no rsw_heartbeat.
//
// One thread at a time; blocks, at most as long as told; not for signal handlers, and a signal does not end it. Cost:
// some ten nanoseconds if something is there.
int32_t rsw_ring_wait(struct rsw_ring *ring,
                      uint64_t timeout_ns,
                      int32_t strategy);

// What was received and lost, exactly, over all generations. One thread at a time; never blocks; not for signal
// handlers; some nanoseconds.
int32_t rsw_ring_stats(struct rsw_ring *ring, struct rsw_stats *stats);

// Gives a reader up. One thread at a time; never blocks; not for signal handlers. RSW_E_HANDLE if it is closed already.
int32_t rsw_ring_close(struct rsw_ring *ring);

// A descriptor that becomes readable when events were committed, when the kernel or the gateway was restarted, and when the
// swarm has ended: for poll, epoll, or any event loop. Ask for it with RSW_CONNECT_WAKE_FD. When it is readable, or a second
// has passed: rsw_wake_clear, then rsw_ring_poll until RSW_EMPTY, then wait again; no event is slept over.
//
// Any thread; never blocks; not for signal handlers. *fd is the library's: do not read or close it; it is the same one, and
// good, until the last handle of the connection is closed. RSW_E_UNSUPPORTED if it was not asked for. A gateway that is
// gone, or has no descriptor to give, wakes nobody, hence the second.
int32_t rsw_wake_fd(struct rsw_swarm *swarm,
                    int32_t *fd);

// Makes the descriptor of rsw_wake_fd unreadable until the next commit, and does what rsw_reattach does, with its answers; a
// sign of life, too.
//
// One thread at a time; never blocks; not for signal handlers; two system calls.
int32_t rsw_wake_clear(struct rsw_swarm *swarm);

// Opens a window as the swarm file says (see rsw_self: site_count, window_ticks, report_ticks), for this agent.
//
// One thread at a time; never blocks; not for signal handlers. *sync lives until rsw_sync_close. Memory: at most 16
// bytes a tick and site.
int32_t rsw_sync_open(struct rsw_swarm *swarm, struct rsw_sync **sync);

// Takes an event of the ring; those that carry no sample are passed over. RSW_OK: a report is due, and *result has it,
// ready for rsw_send_report; RSW_EMPTY: none is. Events come in their order; one of an earlier tick begins a new
// timeline, as after a restart of the kernel.
//
// One thread at a time; never blocks; not for signal handlers. Cost: some nanoseconds; when a report is due,
// agents^2 * window_ticks multiplications.
int32_t rsw_sync_event(struct rsw_sync *sync, const struct rsw_event *event, struct rsw_sync_result *result);

// As rsw_sync_event, for a sample from elsewhere (a record batch, say): the complexity index `ci` of agent `agent_id`
// (from 1) after `tick` (from 1).
int32_t rsw_sync_sample(struct rsw_sync *sync,
                        uint64_t tick,
                        uint32_t agent_id,
                        double ci,
                        struct rsw_sync_result *result);

// Gives a window up. One thread at a time; never blocks; not for signal handlers.
int32_t rsw_sync_close(struct rsw_sync *sync);

// Zero-lag Pearson correlation of every pair of rows over the ticks that both have. `values` holds `agents` rows of
// `ticks` doubles, what is not finite is a hole; `matrix` gets `agents` rows of `agents`: symmetric, 1 on the diagonal,
// NaN where a pair has fewer than eight ticks in common or one of the two is constant.
//
// Any thread; never blocks; not for signal handlers; agents^2 * ticks multiplications, and memory for a copy of values.
int32_t rsw_sync_correlate(const double *values, size_t agents, size_t ticks, double *matrix);

// What an agent would report of the caller's own window: `agents` rows of `ticks` doubles, the row of agent i at i - 1,
// holes where not finite; rows without any sample stay out. `self_id` is the agent of cs_self (0: none); the window's
// last tick counts as `last_tick`. `matrix` (NULL: not wanted) gets result->agents rows of as many, for which
// agents * agents doubles must be there.
//
// As rsw_sync_correlate otherwise. RSW_EMPTY if no row has a sample.
int32_t rsw_sync_window(const double *values,
                        size_t agents,
                        size_t ticks,
                        uint64_t last_tick,
                        uint32_t self_id,
                        struct rsw_sync_result *result,
                        double *matrix);

// Reports what was computed; the kernel publishes it as an event, and `runtime ps` shows it. `ring` (NULL: none) is the
// reader whose lag and losses go along. A report is checked by the gateway: ticks must rise, correlations lie in
// [-1, 1] or be NaN, at most 64 a second; what is refused becomes an alert on the ring.
//
// One thread at a time; never blocks (RSW_E_BUSY if the gateway does not drain its socket, RSW_E_DEAD while it is gone;
// nothing was sent then); not for signal handlers; one system call.
int32_t rsw_send_report(struct rsw_swarm *swarm, struct rsw_ring *ring, const struct rsw_sync_result *result);

// Says that this agent lives, and how far `ring` (NULL: none) has come: `runtime ps` shows it. A launched agent that
// says nothing for ten seconds is ended; rsw_ring_wait says it too. One thread at a time; never blocks; not for signal
// handlers; no system call, some hundred nanoseconds.
int32_t rsw_heartbeat(struct rsw_swarm *swarm, struct rsw_ring *ring);

// How many fields the plane has. One thread at a time; never blocks; not for signal handlers; some nanoseconds.
int32_t rsw_field_count(struct rsw_swarm *swarm, uint32_t *count);

// What the field at place `index` (from 0) is. One thread at a time; never blocks; not for signal handlers; some hundred
// nanoseconds. RSW_E_NOT_FOUND beyond the last.
int32_t rsw_field_describe(struct rsw_swarm *swarm,
                           uint32_t index,
                           struct rsw_field_info *info);

// The field with this name; info->field is its number, good as those of rsw_board_find. One thread at a time; never
// blocks; not for signal handlers; some hundred nanoseconds.
int32_t rsw_field_find(struct rsw_swarm *swarm, const char *name, struct rsw_field_info *info);

// Copies the latest frame into `buffer`, complete; it needs size_bytes of rsw_field_info (RSW_E_BUFFER if there are
// fewer), with any alignment for opaque bytes. RSW_EMPTY before the first frame. After an error the buffer's content is
// unspecified. `frame` (NULL: not wanted) says what it is.
//
// One thread at a time; never blocks, bounded tries (RSW_E_BUSY if the writer outran all); not for signal handlers; no
// system call; as fast as memory is copied.
int32_t rsw_field_copy(struct rsw_swarm *swarm,
                       uint32_t field,
                       void *buffer,
                       size_t buffer_bytes,
                       struct rsw_frame *frame);

// Subscribes to the loans of a field: the gateway lends each frame once, and every agent borrows the same memory.
// RSW_E_UNSUPPORTED if this agent gets no loans, or the field is not lent.
//
// One thread at a time; does not wait for other processes; not for signal handlers. *field lives until rsw_field_close.
// Cost: a millisecond or two, the first time: files are made and mapped.
int32_t rsw_field_open(struct rsw_swarm *swarm, const char *name, struct rsw_field **field);

// Borrows the newest frame that waits, and gives older ones up. RSW_EMPTY if none came since the last one; right after
// rsw_field_open it may take the gateway up to half a second to connect. At most four loans of a subscription at once
// (RSW_E_LIMIT; three while several frames wait). After a restart of the gateway it subscribes anew by itself.
//
// One thread at a time; never blocks; not for signal handlers; no system call and no copy: about a microsecond. *loan
// lives until rsw_loan_release, whatever becomes of subscription, connection, gateway and kernel.
int32_t rsw_field_loan_latest(struct rsw_field *field, struct rsw_loan **loan, struct rsw_frame *frame);

// As rsw_field_loan_latest, but the oldest frame that waits (at most two do).
int32_t rsw_field_loan_next(struct rsw_field *field, struct rsw_loan **loan, struct rsw_frame *frame);

// Gives a loan back; its data must not be touched any more. RSW_E_HANDLE if that was done already. One thread at a
// time; never blocks; not for signal handlers; less than a microsecond.
int32_t rsw_loan_release(struct rsw_loan *loan);

// Ends a subscription; its loans stay until they are released. One thread at a time; never blocks; not for signal
// handlers.
int32_t rsw_field_close(struct rsw_field *field);

// Makes a DLManagedTensorVersioned (dlpack.h, 1.0) of a loan: read-only float32 of the CPU, shape [ny, nx], rows one after the
// other. It shares the loan with the handle: the frame is given back when both the handle is released and the tensor's
// deleter was called, which may be done by any thread, also after rsw_close. Only the versioned struct can say that memory is
// read-only; there is no other.
//
// One thread at a time; never blocks; not for signal handlers; one allocation. *tensor is the caller's.
int32_t rsw_loan_dlpack(struct rsw_loan *loan,
                        void **tensor);

// Subscribes to the metrics batches: tick, t_ns, agent_id, d, c, g, tau, ci, u, drive, one row for each agent and tick.
// RSW_E_UNSUPPORTED if this agent gets no loans.
//
// One thread at a time; does not wait for other processes; not for signal handlers. *batches lives until
// rsw_batches_close. Cost: a millisecond or two, the first time.
int32_t rsw_batches_open(struct rsw_swarm *swarm, struct rsw_batches **batches);

// The oldest batch that waits (at most 64 do), as a struct array with one child a column. RSW_EMPTY if none waits. Its
// columns lie in the loan and nothing is copied; array->release ends the loan, and may be called by any thread. At most
// eight batches at once (RSW_E_LIMIT). `schema` and `info` may be NULL; after anything but RSW_OK nothing was written.
//
// One thread at a time; never blocks; not for signal handlers. Cost: some ten microseconds, to decode.
int32_t rsw_batches_next(struct rsw_batches *batches,
                         struct ArrowSchema *schema,
                         struct ArrowArray *array,
                         struct rsw_batch_info *info);

// The batches from now on as an Arrow stream, with a subscription of its own. get_next waits for a batch, and ends the
// stream when none came for `timeout_ns` or the swarm has ended. stream->release ends the subscription; batches taken
// from it stay until they are released themselves.
//
// The stream: one thread at a time, get_next blocks as told. This call: as rsw_batches_open.
int32_t rsw_batches_stream(struct rsw_swarm *swarm, uint64_t timeout_ns, struct ArrowArrayStream *stream);

// Ends a subscription; its batches stay until they are released. One thread at a time; never blocks; not for signal
// handlers.
int32_t rsw_batches_close(struct rsw_batches *batches);

// How many counters there are. One thread at a time; never blocks; not for signal handlers; some microseconds.
int32_t rsw_counter_count(struct rsw_swarm *swarm, uint32_t *count);

// The counter at place `index` (from 0), with its value now. One thread at a time; never blocks; not for signal
// handlers; some microseconds. RSW_E_NOT_FOUND beyond the last.
int32_t rsw_counter_read(struct rsw_swarm *swarm, uint32_t index, struct rsw_counter *counter);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* What the library was compiled with. */
RSW_STATIC_ASSERT(sizeof(struct rsw_options) == 48, "rsw_options");
RSW_STATIC_ASSERT(offsetof(struct rsw_options, struct_size) == 0, "rsw_options.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_options, flags) == 4, "rsw_options.flags");
RSW_STATIC_ASSERT(offsetof(struct rsw_options, project) == 8, "rsw_options.project");
RSW_STATIC_ASSERT(offsetof(struct rsw_options, folder) == 16, "rsw_options.folder");
RSW_STATIC_ASSERT(offsetof(struct rsw_options, socket) == 24, "rsw_options.socket");
RSW_STATIC_ASSERT(offsetof(struct rsw_options, name) == 32, "rsw_options.name");
RSW_STATIC_ASSERT(offsetof(struct rsw_options, socket_fd) == 40, "rsw_options.socket_fd");
RSW_STATIC_ASSERT(offsetof(struct rsw_options, timeout_ms) == 44, "rsw_options.timeout_ms");
RSW_STATIC_ASSERT(sizeof(struct rsw_state_info) == 72, "rsw_state_info");
RSW_STATIC_ASSERT(offsetof(struct rsw_state_info, struct_size) == 0, "rsw_state_info.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_state_info, state) == 4, "rsw_state_info.state");
RSW_STATIC_ASSERT(offsetof(struct rsw_state_info, generation) == 8, "rsw_state_info.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_state_info, tick) == 16, "rsw_state_info.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_state_info, age_ns) == 24, "rsw_state_info.age_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_state_info, cursor) == 32, "rsw_state_info.cursor");
RSW_STATIC_ASSERT(offsetof(struct rsw_state_info, first_sequence) == 40, "rsw_state_info.first_sequence");
RSW_STATIC_ASSERT(offsetof(struct rsw_state_info, tick_period_ns) == 48, "rsw_state_info.tick_period_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_state_info, run_id) == 56, "rsw_state_info.run_id");
RSW_STATIC_ASSERT(sizeof(struct rsw_self_info) == 104, "rsw_self_info");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, struct_size) == 0, "rsw_self_info.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, agent_id) == 4, "rsw_self_info.agent_id");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, isolation) == 8, "rsw_self_info.isolation");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, loans) == 12, "rsw_self_info.loans");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, site_count) == 16, "rsw_self_info.site_count");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, window_ticks) == 20, "rsw_self_info.window_ticks");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, report_ticks) == 24, "rsw_self_info.report_ticks");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, reserved) == 28, "rsw_self_info.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, incarnation) == 32, "rsw_self_info.incarnation");
RSW_STATIC_ASSERT(offsetof(struct rsw_self_info, name) == 40, "rsw_self_info.name");
RSW_STATIC_ASSERT(sizeof(struct rsw_cell_info) == 136, "rsw_cell_info");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_info, struct_size) == 0, "rsw_cell_info.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_info, cell) == 4, "rsw_cell_info.cell");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_info, value_type) == 8, "rsw_cell_info.value_type");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_info, reserved) == 12, "rsw_cell_info.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_info, name) == 16, "rsw_cell_info.name");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_info, unit) == 56, "rsw_cell_info.unit");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell_info, meaning) == 72, "rsw_cell_info.meaning");
RSW_STATIC_ASSERT(sizeof(struct rsw_cell) == 32, "rsw_cell");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell, value) == 0, "rsw_cell.value");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell, tick) == 8, "rsw_cell.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell, t_ns) == 16, "rsw_cell.t_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell, value_type) == 24, "rsw_cell.value_type");
RSW_STATIC_ASSERT(offsetof(struct rsw_cell, reserved) == 28, "rsw_cell.reserved");
RSW_STATIC_ASSERT(sizeof(struct rsw_snapshot) == 24, "rsw_snapshot");
RSW_STATIC_ASSERT(offsetof(struct rsw_snapshot, struct_size) == 0, "rsw_snapshot.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_snapshot, count) == 4, "rsw_snapshot.count");
RSW_STATIC_ASSERT(offsetof(struct rsw_snapshot, oldest_tick) == 8, "rsw_snapshot.oldest_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_snapshot, newest_tick) == 16, "rsw_snapshot.newest_tick");
RSW_STATIC_ASSERT(sizeof(struct rsw_event) == 128, "rsw_event");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, sequence) == 0, "rsw_event.sequence");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, kind) == 8, "rsw_event.kind");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, flags) == 10, "rsw_event.flags");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, len_bytes) == 12, "rsw_event.len_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, reserved) == 14, "rsw_event.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, source) == 16, "rsw_event.source");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, generation) == 20, "rsw_event.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, t_ns) == 24, "rsw_event.t_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, payload) == 32, "rsw_event.payload");
RSW_STATIC_ASSERT(sizeof(struct rsw_stats) == 72, "rsw_stats");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, struct_size) == 0, "rsw_stats.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, laps) == 4, "rsw_stats.laps");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, received) == 8, "rsw_stats.received");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, lost) == 16, "rsw_stats.lost");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, next_sequence) == 24, "rsw_stats.next_sequence");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, lag) == 32, "rsw_stats.lag");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, lost_from) == 40, "rsw_stats.lost_from");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, lost_to) == 48, "rsw_stats.lost_to");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, generation) == 56, "rsw_stats.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_stats, capacity) == 64, "rsw_stats.capacity");
RSW_STATIC_ASSERT(sizeof(struct rsw_sync_result) == 64, "rsw_sync_result");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, struct_size) == 0, "rsw_sync_result.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, agents) == 4, "rsw_sync_result.agents");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, tick) == 8, "rsw_sync_result.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, window_ticks) == 16, "rsw_sync_result.window_ticks");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, seen_ticks) == 20, "rsw_sync_result.seen_ticks");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, pairs_defined) == 24, "rsw_sync_result.pairs_defined");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, matrix_crc32) == 28, "rsw_sync_result.matrix_crc32");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, cs_mean) == 32, "rsw_sync_result.cs_mean");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, cs_self) == 40, "rsw_sync_result.cs_self");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, r_min) == 48, "rsw_sync_result.r_min");
RSW_STATIC_ASSERT(offsetof(struct rsw_sync_result, r_max) == 56, "rsw_sync_result.r_max");
RSW_STATIC_ASSERT(sizeof(struct rsw_field_info) == 88, "rsw_field_info");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, struct_size) == 0, "rsw_field_info.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, field) == 4, "rsw_field_info.field");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, dtype) == 8, "rsw_field_info.dtype");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, nx) == 12, "rsw_field_info.nx");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, ny) == 16, "rsw_field_info.ny");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, reserved) == 20, "rsw_field_info.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, size_bytes) == 24, "rsw_field_info.size_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, latest) == 32, "rsw_field_info.latest");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, name) == 40, "rsw_field_info.name");
RSW_STATIC_ASSERT(offsetof(struct rsw_field_info, unit) == 72, "rsw_field_info.unit");
RSW_STATIC_ASSERT(sizeof(struct rsw_frame) == 80, "rsw_frame");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, struct_size) == 0, "rsw_frame.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, nx) == 4, "rsw_frame.nx");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, ny) == 8, "rsw_frame.ny");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, min) == 12, "rsw_frame.min");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, max) == 16, "rsw_frame.max");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, reserved) == 20, "rsw_frame.reserved");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, data) == 24, "rsw_frame.data");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, size_bytes) == 32, "rsw_frame.size_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, generation) == 40, "rsw_frame.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, frame) == 48, "rsw_frame.frame");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, tick) == 56, "rsw_frame.tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, t_ns) == 64, "rsw_frame.t_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_frame, missed) == 72, "rsw_frame.missed");
RSW_STATIC_ASSERT(sizeof(struct rsw_batch_info) == 48, "rsw_batch_info");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_info, struct_size) == 0, "rsw_batch_info.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_info, rows) == 4, "rsw_batch_info.rows");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_info, generation) == 8, "rsw_batch_info.generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_info, batch) == 16, "rsw_batch_info.batch");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_info, first_tick) == 24, "rsw_batch_info.first_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_info, last_tick) == 32, "rsw_batch_info.last_tick");
RSW_STATIC_ASSERT(offsetof(struct rsw_batch_info, missed) == 40, "rsw_batch_info.missed");
RSW_STATIC_ASSERT(sizeof(struct rsw_counter) == 128, "rsw_counter");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter, struct_size) == 0, "rsw_counter.struct_size");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter, id) == 4, "rsw_counter.id");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter, value) == 8, "rsw_counter.value");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter, name) == 16, "rsw_counter.name");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter, unit) == 48, "rsw_counter.unit");
RSW_STATIC_ASSERT(offsetof(struct rsw_counter, meaning) == 64, "rsw_counter.meaning");

#endif  /* RSW_H */
