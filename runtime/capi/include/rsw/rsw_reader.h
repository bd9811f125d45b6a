/* rsw_reader.h: read a running swarm's board and event ring, in C11 or C++17, without a library to link.
 *
 *     rsw_reader *reader;
 *     struct rsw_cell cell;
 *     uint32_t ci;
 *     if (rsw_reader_connect(NULL, 0, &reader) == RSW_OK && rsw_reader_board_find(reader, "ci", &ci) == RSW_OK &&
 *         rsw_reader_board_read(reader, ci, &cell) == RSW_OK)
 *         printf("%f at tick %llu\n", cell.value.f64, (unsigned long long)cell.tick);
 *
 * Statuses, structs and their meaning are those of rsw.h, and so is each function of the same name: what rsw_ring_poll
 * says, rsw_reader_ring_poll does, with the same exact account of losses, through restarts of kernel and gateway. What
 * differs:
 *
 *   - It only looks. The gateway knows it as an observer: no name in `runtime ps` (a launched agent has one anyway), no
 *     reports, no loans, no record batches, no frames. For those link librsw.
 *   - A handle is a pointer, and is not checked: a closed one must not be used. A reader and its rings belong to one
 *     thread at a time, all together; another thread connects itself, and so does a child after fork().
 *     On an inherited socket there is one reader in all: two would take packets from each other.
 *   - rsw_reader_last_error has the words of the last error of this thread in this source file.
 *
 * It starts no thread, installs no signal handler, prints nothing. It needs Linux, GCC or Clang, and _GNU_SOURCE, which
 * it defines if it comes first. Names that end with an underscore are its own. The protocol with the gateway is in
 * rsw_wire.h, the argument for the memory orderings in rsw_plane.h, and both headers are compared with the code they
 * speak of by tests.
 */
#ifndef RSW_READER_H
#define RSW_READER_H

#include "rsw_link.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>

/* Longest sleep between two looks at the socket. Also bounds a wake-up that somebody stole. */
#define RSW_READER_SLICE_NS 50000000

/* A reader of the event ring. */
typedef struct rsw_reader_ring {
    rsw_reader *reader;
    struct rsw_reader_tail tail;
} rsw_reader_ring;

/* Reads the plane behind an inherited descriptor, which stays the caller's and may be closed afterwards. Without a
 * socket it hears of no restart: a kernel that is dead leaves it RSW_STALE, one that stopped in order RSW_ENDED.
 *
 * Any thread; never blocks. *reader is set to NULL first, and after RSW_OK lives until rsw_reader_close. Cost: the
 * plane mapped. Errors: RSW_E_VERSION (another build's plane), RSW_E_PROTOCOL (no plane, or one that lies),
 * RSW_E_SYSTEM. */
static inline int32_t rsw_reader_open(int plane_fd, rsw_reader **reader)
{
    if (reader == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "reader is NULL");
    *reader = NULL;
    rsw_reader *opened = rsw_reader_new_();
    if (opened == NULL)
        return rsw_reader_fail_(RSW_E_SYSTEM, "no memory for a reader");
    int32_t status = rsw_reader_plane_map_(plane_fd, &opened->plane);
    if (status != RSW_OK) {
        rsw_reader_drop_(opened);
        return status;
    }
    *reader = opened;
    return RSW_OK;
}

/* As rsw_reader_connect, over a socket that is connected already, as a launched agent inherits it. It stays the
 * caller's. */
static inline int32_t rsw_reader_connect_fd(int socket_fd, uint32_t timeout_ms, rsw_reader **reader)
{
    if (reader == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "reader is NULL");
    *reader = NULL;
    int sock = fcntl(socket_fd, F_DUPFD_CLOEXEC, 3);
    if (sock < 0)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "socket descriptor %d: %s", socket_fd, strerror(errno));
    return rsw_reader_attach_(sock, "", timeout_ms, reader);
}

/* Attaches to a swarm as an observer. `socket` is the path of the swarm's socket, as `runtime ps --json` says it; NULL:
 * as rsw_connect without options, but for RSW_PROJECT. `timeout_ms` bounds the wait for the welcome; 0:
 * RSW_CONNECT_TIMEOUT_MS.
 *
 * Any thread; blocks for the handshake. *reader is set to NULL first, and after RSW_OK lives until rsw_reader_close.
 * Errors: those of rsw_connect. */
static inline int32_t rsw_reader_connect(const char *socket, uint32_t timeout_ms, rsw_reader **reader)
{
    char found[RSW_READER_PATH_BYTES];
    int sock = -1;
    int32_t status = RSW_OK;
    if (reader == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "reader is NULL");
    *reader = NULL;
    if (socket == NULL) {
        const char *inherited = getenv("RSW_SOCKET_FD");
        if (inherited && *inherited) {
            char *end;
            long fd = strtol(inherited, &end, 10);
            if (*end != 0 || fd < 0 || fd > INT32_MAX)
                return rsw_reader_fail_(RSW_E_ARGUMENT, "RSW_SOCKET_FD is \"%.40s\", which is no descriptor",
                                        inherited);
            return rsw_reader_connect_fd((int)fd, timeout_ms, reader);
        }
        socket = getenv("RSW_SOCKET");
        if (socket == NULL || *socket == 0) {
            status = rsw_reader_find_socket_(found, sizeof found);
            socket = found;
        }
    }
    if (status == RSW_OK)
        status = rsw_reader_dial_(socket, &sock);
    return status == RSW_OK ? rsw_reader_attach_(sock, socket, timeout_ms, reader) : status;
}

/* Gives a reader up; its rings go on, with its connection, until they are closed themselves. */
static inline int32_t rsw_reader_close(rsw_reader *reader)
{
    if (reader == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "reader is NULL");
    rsw_reader_drop_(reader);
    return RSW_OK;
}

/* As rsw_state. */
static inline int32_t rsw_reader_state(rsw_reader *reader, struct rsw_state_info *info)
{
    if (reader == NULL || info == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "%s is NULL", reader ? "info" : "reader");
    if (info->struct_size != sizeof *info)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "info: struct_size is %u; set it to sizeof(*info)", info->struct_size);
    const struct rsw_reader_plane *plane = reader->plane;
    if (!reader->by_socket)
        rsw_reader_end_if_over_(reader);
    info->state = rsw_reader_state_of_(plane, &info->age_ns);
    info->generation = plane->header.generation;
    info->tick = rsw_reader_control_(plane, offsetof(struct rsw_control_lines, tick));
    info->cursor = rsw_reader_cursor_(plane);
    info->first_sequence = plane->header.first_sequence;
    info->tick_period_ns = plane->header.tick_period_ns;
    memcpy(info->run_id, plane->header.run_id, sizeof info->run_id);
    return rsw_reader_status_(reader, plane);
}

/* As rsw_reattach. */
static inline int32_t rsw_reader_reattach(rsw_reader *reader)
{
    if (reader == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "reader is NULL");
    int32_t status = rsw_reader_look_(reader);
    return status == RSW_OK ? rsw_reader_status_(reader, reader->plane) : status;
}

/* As rsw_board_count. */
static inline int32_t rsw_reader_board_count(rsw_reader *reader, uint32_t *count)
{
    if (reader == NULL || count == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "%s is NULL", reader ? "count" : "reader");
    *count = reader->plane->cell_count;
    return RSW_OK;
}

/* As rsw_board_describe. */
static inline int32_t rsw_reader_board_describe(rsw_reader *reader, uint32_t index, struct rsw_cell_info *info)
{
    if (reader == NULL || info == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "%s is NULL", reader ? "info" : "reader");
    if (info->struct_size != sizeof *info)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "info: struct_size is %u; set it to sizeof(*info)", info->struct_size);
    if (index >= reader->plane->cell_count)
        return rsw_reader_fail_(RSW_E_NOT_FOUND, "the board has %u cells, none at %u", reader->plane->cell_count,
                                index);
    const struct rsw_cell_desc *cell = &reader->plane->cells[index];
    info->cell = (index & 0xffff) | (uint32_t)reader->shape << 16;
    info->value_type = cell->cell_type;
    info->reserved = 0;
    memcpy(info->name, cell->name, sizeof info->name);
    memcpy(info->unit, cell->unit, sizeof info->unit);
    memcpy(info->meaning, cell->meaning, sizeof info->meaning);
    return RSW_OK;
}

/* As rsw_board_find. */
static inline int32_t rsw_reader_board_find(rsw_reader *reader, const char *name, uint32_t *cell)
{
    if (reader == NULL || name == NULL || cell == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "%s is NULL", !reader ? "reader" : name ? "cell" : "name");
    for (uint32_t at = 0; at < reader->plane->cell_count; at++)
        if (strcmp(reader->plane->cells[at].name, name) == 0) {
            *cell = (at & 0xffff) | (uint32_t)reader->shape << 16;
            return RSW_OK;
        }
    return rsw_reader_fail_(RSW_E_NOT_FOUND, "the board has no cell \"%.64s\"; `runtime peek` shows all", name);
}

/* As rsw_board_read. */
static inline int32_t rsw_reader_board_read(rsw_reader *reader, uint32_t cell, struct rsw_cell *value)
{
    if (reader == NULL || value == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "%s is NULL", reader ? "value" : "reader");
    if (cell >> 16 != reader->shape)
        return rsw_reader_fail_(RSW_E_CHANGED, "the swarm was started anew with other cells: find them again");
    if ((cell & 0xffff) >= reader->plane->cell_count)
        return rsw_reader_fail_(RSW_E_NOT_FOUND, "the board has no cell %u", cell & 0xffff);
    return rsw_reader_cell_(reader->plane, cell & 0xffff, value);
}

/* As rsw_board_snapshot. */
static inline int32_t rsw_reader_board_snapshot(rsw_reader *reader, struct rsw_cell *values, size_t capacity,
                                                struct rsw_snapshot *info)
{
    if (reader == NULL || values == NULL || info == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "%s is NULL", !reader ? "reader" : values ? "info" : "values");
    if (info->struct_size != sizeof *info)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "info: struct_size is %u; set it to sizeof(*info)", info->struct_size);
    uint32_t count = reader->plane->cell_count;
    if (capacity < count)
        return rsw_reader_fail_(RSW_E_BUFFER, "values has room for %zu, %u are needed", capacity, count);
    info->oldest_tick = UINT64_MAX;
    info->newest_tick = 0;
    for (uint32_t at = 0; at < count; at++) {
        int32_t status = rsw_reader_cell_(reader->plane, at, &values[at]);
        if (status != RSW_OK)
            return status;
        info->oldest_tick = values[at].tick < info->oldest_tick ? values[at].tick : info->oldest_tick;
        info->newest_tick = values[at].tick > info->newest_tick ? values[at].tick : info->newest_tick;
    }
    info->count = count;
    return RSW_OK;
}

/* As rsw_ring_open. */
static inline int32_t rsw_reader_ring_open(rsw_reader *reader, int32_t start, uint64_t sequence, rsw_reader_ring **ring)
{
    if (reader == NULL || ring == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "%s is NULL", reader ? "ring" : "reader");
    *ring = NULL;
    if (start < RSW_FROM_LATEST || start > RSW_FROM_SEQUENCE)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "start is %d: use RSW_FROM_*", start);
    rsw_reader_ring *opened = (rsw_reader_ring *)calloc(1, sizeof *opened);
    if (opened == NULL)
        return rsw_reader_fail_(RSW_E_SYSTEM, "no memory for a ring");
    opened->reader = reader;
    rsw_reader_tail_begin_(&opened->tail, reader->plane, start, sequence);
    reader->users++;
    reader->plane->users++;
    *ring = opened;
    return RSW_OK;
}

/* Goes on in the newest plane: sequences run on across the generations of a run; another run has nothing to do with
 * ours. */
static inline void rsw_reader_switch_(rsw_reader_ring *ring)
{
    struct rsw_reader_plane *old = ring->tail.plane, *plane = ring->reader->plane;
    int same_run = memcmp(old->header.run_id, plane->header.run_id, sizeof plane->header.run_id) == 0;
    rsw_reader_tail_begin_(&ring->tail, plane, same_run ? RSW_FROM_SEQUENCE : RSW_FROM_LATEST, ring->tail.next);
    plane->users++;
    rsw_reader_plane_drop_(old);
}

/* As rsw_ring_poll. */
static inline int32_t rsw_reader_ring_poll(rsw_reader_ring *ring, struct rsw_event *events, size_t capacity,
                                           size_t *count)
{
    size_t found = 0;
    if (count != NULL)
        *count = 0;
    if (ring == NULL || events == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "%s is NULL", ring ? "events" : "ring");
    if ((uintptr_t)events % 8 != 0)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "events is not aligned for its type");
    if (capacity > PTRDIFF_MAX / sizeof *events)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "events: %zu elements fit nowhere", capacity);
    int32_t status = rsw_reader_tail_poll_(&ring->tail, events, capacity, &found);
    if (status == RSW_EMPTY && capacity > 0 && ring->tail.plane != ring->reader->plane) {
        /* Its writer is dead since before the plane changed: what is there now is all there will be. */
        status = rsw_reader_tail_poll_(&ring->tail, events, capacity, &found);
        if (status == RSW_EMPTY) {
            rsw_reader_switch_(ring);
            status = RSW_REATTACHED;
        }
    }
    if (count != NULL)
        *count = found;
    return status;
}

/* Sleeps until the wake word is another one, at most `timeout_ns`. The word is read before the stamp: a commit
 * between the two changes it, and the system does not let us sleep. Nobody can be kept asleep by a stolen wake-up
 * for longer than a slice. */
static inline void rsw_reader_park_(const struct rsw_reader_tail *tail, uint64_t timeout_ns)
{
    const uint64_t *wake = tail->plane->control + offsetof(struct rsw_control_lines, wake) / 8;
    uint32_t seen = (uint32_t)rsw_reader_acquire_(wake);
    struct timespec timeout;
    timeout.tv_sec = (time_t)(timeout_ns / 1000000000u);
    timeout.tv_nsec = (long)(timeout_ns % 1000000000u);
    if (rsw_reader_tail_ready_(tail))
        return;
    /* Not private: waker and sleeper are different processes. The low half of the word comes first. */
    if (syscall(SYS_futex, wake, FUTEX_WAIT, seen, &timeout, NULL, 0) != 0 && errno != EAGAIN && errno != EINTR &&
        errno != ETIMEDOUT) {
        /* A filter that forbids futexes must not turn the wait into a spin. */
        timeout.tv_sec = 0;
        timeout.tv_nsec = timeout_ns < 1000000 ? (long)timeout_ns : 1000000;
        nanosleep(&timeout, NULL);
    }
}

/* Spins as the strategy says, then sleeps, at most `timeout_ns` together; whether there is something to poll. */
static inline int rsw_reader_tail_wait_(const struct rsw_reader_tail *tail, int32_t strategy, uint64_t spin_ns,
                                        uint64_t timeout_ns)
{
    uint64_t start_ns = rsw_reader_now_ns_(), gone_ns = 0;
    if (strategy == RSW_WAIT_SPIN || strategy == RSW_WAIT_YIELD)
        spin_ns = timeout_ns;
    else if (strategy == RSW_WAIT_BLOCK)
        spin_ns = 0;
    for (; gone_ns < spin_ns && gone_ns < timeout_ns; gone_ns = rsw_reader_now_ns_() - start_ns) {
        for (int looks = 0; looks < 32; looks++) {
            if (rsw_reader_tail_ready_(tail))
                return 1;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        if (strategy == RSW_WAIT_YIELD)
            sched_yield();
    }
    for (; gone_ns < timeout_ns; gone_ns = rsw_reader_now_ns_() - start_ns) {
        rsw_reader_park_(tail, timeout_ns - gone_ns);
        if (rsw_reader_tail_ready_(tail))
            return 1;
    }
    return rsw_reader_tail_ready_(tail);
}

/* As rsw_ring_wait; it posts no sign of life, which nobody expects of an observer. */
static inline int32_t rsw_reader_ring_wait(rsw_reader_ring *ring, uint64_t timeout_ns, int32_t strategy)
{
    if (ring == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "ring is NULL");
    if (strategy < RSW_WAIT_DEFAULT || strategy > RSW_WAIT_BLOCK)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "strategy is %d: use RSW_WAIT_*", strategy);
    rsw_reader *reader = ring->reader;
    uint64_t start_ns = rsw_reader_now_ns_(), spin_ns = RSW_READER_SPIN_NS;
    if (strategy == RSW_WAIT_DEFAULT) {
        strategy = reader->strategy;
        spin_ns = reader->spin_ns;
    }
    for (;;) {
        int32_t status = rsw_reader_glance_(reader);
        if (status < 0)
            return status;
        if (ring->tail.plane != reader->plane || rsw_reader_tail_ready_(&ring->tail))
            return RSW_OK;
        uint64_t gone_ns = rsw_reader_now_ns_() - start_ns, left_ns = gone_ns < timeout_ns ? timeout_ns - gone_ns : 0;
        if (left_ns == 0 || reader->ended) {
            status = rsw_reader_status_(reader, ring->tail.plane);
            return status == RSW_OK ? RSW_EMPTY : status;
        }
        if (rsw_reader_tail_wait_(&ring->tail, strategy, spin_ns,
                                  left_ns < RSW_READER_SLICE_NS ? left_ns : RSW_READER_SLICE_NS))
            return RSW_OK;
    }
}

/* As rsw_ring_stats. */
static inline int32_t rsw_reader_ring_stats(rsw_reader_ring *ring, struct rsw_stats *stats)
{
    if (ring == NULL || stats == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "%s is NULL", ring ? "stats" : "ring");
    if (stats->struct_size != sizeof *stats)
        return rsw_reader_fail_(RSW_E_ARGUMENT, "stats: struct_size is %u; set it to sizeof(*stats)",
                                stats->struct_size);
    const struct rsw_reader_tail *tail = &ring->tail;
    stats->laps = tail->laps;
    stats->received = tail->received;
    stats->lost = tail->lost;
    stats->next_sequence = tail->next;
    stats->lag = rsw_reader_tail_lag_(tail);
    stats->lost_from = tail->lost_from;
    stats->lost_to = tail->lost_to;
    stats->generation = tail->plane->header.generation;
    stats->capacity = tail->plane->slot_count;
    return RSW_OK;
}

/* Gives a ring up. */
static inline int32_t rsw_reader_ring_close(rsw_reader_ring *ring)
{
    if (ring == NULL)
        return rsw_reader_fail_(RSW_E_NULL, "ring is NULL");
    rsw_reader_plane_drop_(ring->tail.plane);
    rsw_reader_drop_(ring->reader);
    free(ring);
    return RSW_OK;
}

#endif /* RSW_READER_H */
