/* rsw_plane.h: a plane, checked and mapped read-only, with its board and its ring; the inner half of rsw_reader.h.
 *
 * Programs include rsw_reader.h. What is here knows no socket and no restart: one file, one writer in another process,
 * and the reader's side of two protocols whose other side is in runtime/plane/src.
 *
 * Whoever maps a plane believes nothing that it says about itself until it fits what the system says about the file: a
 * file that is no plane, is cut off, or lies is an error with words, never a fault. What the writer changes while we
 * look (cells, slots, control words) cannot be checked beforehand; it is read with care, in bounds, and every loop has
 * an end.
 *
 * Ordering. Each load pairs with a store of the writer, under the names that runtime/plane/src/latch.rs and ring.rs
 * give them:
 *
 *   latch R1: sequence, acquire           W1: sequence = v, release. All of copy v & 1 is there.
 *   latch R2: fence(acquire) behind the   W0: fence(release) in front of the stores to the other copy. If our copy saw
 *     copy, then sequence                   one of them, the second look sees at least the v that they follow.
 *   ring R1: stamp, acquire               W1, W2: stamp = 2s+2, release. The event is there; of the first, the batch.
 *   ring R2: fence(acquire) behind the    W0: stamp = 2s'+1, then fence(release), then the words of a newer event. If
 *     copy, then stamp                      our copy saw one of them, the second look sees that stamp or a later one.
 *   ring R0: cursor, acquire              W3: cursor, release. Every event below it is there.
 *
 * The words in between are relaxed atomic loads of 64 bits: memory that another process writes is never read as plain
 * data.
 */
#ifndef RSW_PLANE_H
#define RSW_PLANE_H

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rsw.h"

#if defined(__GLIBC__) && !defined(__USE_GNU)
#error "rsw_reader.h: include it before any header of the system, or compile with -D_GNU_SOURCE"
#endif
#if !defined(__GNUC__)
#error "rsw_reader.h needs the __atomic builtins of GCC or Clang"
#endif

RSW_STATIC_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "planes are little-endian");
RSW_STATIC_ASSERT(sizeof(size_t) == 8, "planes may be larger than 4 GiB");
RSW_STATIC_ASSERT(sizeof(struct rsw_event) == sizeof(struct rsw_slot),
                  "an event is a slot with its sequence for a stamp");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, kind) == offsetof(struct rsw_slot, kind), "kind");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, len_bytes) == offsetof(struct rsw_slot, len_bytes), "len_bytes");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, source) == offsetof(struct rsw_slot, source), "source");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, generation) == offsetof(struct rsw_slot, generation), "generation");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, t_ns) == offsetof(struct rsw_slot, t_ns), "t_ns");
RSW_STATIC_ASSERT(offsetof(struct rsw_event, payload) == offsetof(struct rsw_slot, payload), "payload");
RSW_STATIC_ASSERT(sizeof(struct rsw_slot) == 16 * sizeof(uint64_t), "a slot is sixteen words");
RSW_STATIC_ASSERT(sizeof(struct rsw_cell_line) == 16 * sizeof(uint64_t), "a cell's line is sixteen words");

/* No plane is larger: 64 GiB. */
#define RSW_READER_PLANE_BYTES_MAX (UINT64_C(1) << 36)
/* Tries before a cell is busy; one fails only if a whole write happened during a copy of three words. */
#define RSW_READER_CELL_TRIES 64
/* Words of a slot, stamp included, and how many of them lie in its first cache line. */
#define RSW_READER_SLOT_WORDS 16
#define RSW_READER_SHORT_WORDS 8
/* Largest payload of an event that lies in the first line alone. */
#define RSW_READER_SHORT_BYTES 32
/* Room for the words of an error. */
#define RSW_READER_WORDS_BYTES 384
/* How far ahead slots are fetched. */
#define RSW_READER_AHEAD_SLOTS 32
/* A kernel without a heartbeat for so long is called silent; it beats at least every 100 ms. */
#define RSW_READER_SILENT_NS 2000000000
/* Linux' numbers, which old headers lack: F_GET_SEALS, and F_SEAL_SEAL, _SHRINK, _GROW, _FUTURE_WRITE. */
#define RSW_READER_GET_SEALS 1034
#define RSW_READER_SEALS (0x1 | 0x2 | 0x4 | 0x10)

/* A mapped plane. Counted, since rings go on reading an old one; one thread at a time. */
struct rsw_reader_plane {
    uint64_t users;
    const uint64_t *words;
    uint64_t size_bytes;
    /* Private copies of what is constant, taken once: what was checked stays so. */
    struct rsw_plane_header header;
    struct rsw_cell_desc *cells;
    uint32_t cell_count;
    const uint64_t *control;
    const uint64_t *lines;
    const uint64_t *slots;
    uint64_t slot_count;
};

/* A place in the ring of one plane, with its account. */
struct rsw_reader_tail {
    struct rsw_reader_plane *plane;
    uint64_t next;
    uint64_t received;
    uint64_t lost;
    uint64_t lost_from;
    uint64_t lost_to;
    uint32_t laps;
    /* It began beyond the cursor, and the cursor has not come to it yet. */
    int early;
};

static inline char *rsw_reader_words_(void)
{
#ifdef __cplusplus
    static thread_local char words[RSW_READER_WORDS_BYTES];
#else
    static _Thread_local char words[RSW_READER_WORDS_BYTES];
#endif
    return words;
}

/* As rsw_last_error, of the functions of this header, in this file and this thread. */
static inline const char *rsw_reader_last_error(void)
{
    return rsw_reader_words_();
}

__attribute__((cold, format(printf, 1, 2))) static inline void rsw_reader_keep_(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(rsw_reader_words_(), RSW_READER_WORDS_BYTES, format, arguments);
    va_end(arguments);
}

/* Keeps the words and gives back the status; a macro, so that the compiler sees that it is none of the good ones. */
#define rsw_reader_fail_(status, ...) (rsw_reader_keep_(__VA_ARGS__), (status))

static inline uint64_t rsw_reader_relaxed_(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t rsw_reader_acquire_(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void rsw_reader_copy_(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t at = 0; at < count; at++)
        to[at] = rsw_reader_relaxed_(from + at);
}

/* A copy of `bytes` bytes, a multiple of eight, whatever their type is. */
static inline void rsw_reader_copy_out_(void *to, const uint64_t *from, size_t bytes)
{
    for (size_t at = 0; at < bytes / 8; at++) {
        uint64_t word = rsw_reader_relaxed_(from + at);
        memcpy((char *)to + 8 * at, &word, sizeof word);
    }
}

static inline uint64_t rsw_reader_control_(const struct rsw_reader_plane *plane, size_t offset_bytes)
{
    return rsw_reader_acquire_(plane->control + offset_bytes / 8);
}

/* CRC-32 (IEEE), bit by bit: it runs once, over a third of a kilobyte. */
static inline uint32_t rsw_reader_crc32_(const void *from, size_t bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t at = 0; at < bytes; at++) {
        crc ^= ((const unsigned char *)from)[at];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0xedb88320) & (0 - (crc & 1)));
    }
    return ~crc;
}

static inline int32_t rsw_reader_check_header_(const struct rsw_plane_header *header, uint64_t file_bytes)
{
    uint32_t crc = rsw_reader_crc32_(header, offsetof(struct rsw_plane_header, crc32));
    long page_bytes = sysconf(_SC_PAGESIZE);
    if (memcmp(header->magic, RSW_PLANE_MAGIC, sizeof header->magic) != 0)
        return rsw_reader_fail_(RSW_E_PROTOCOL, "plane refused: it does not begin with \"%s\"", RSW_PLANE_MAGIC);
    if (header->abi_major != RSW_ABI_MAJOR || header->layout_hash != RSW_LAYOUT_HASH)
        return rsw_reader_fail_(
            RSW_E_VERSION,
            "plane refused: it has abi %u.%u layout %016llx, this header abi %d.%d layout %016llx; take both "
            "from one build",
            header->abi_major, header->abi_minor, (unsigned long long)header->layout_hash, RSW_ABI_MAJOR, RSW_ABI_MINOR,
            (unsigned long long)RSW_LAYOUT_HASH);
    if (header->crc32 != crc)
        return rsw_reader_fail_(RSW_E_PROTOCOL, "plane refused: header checksum is %08x, its bytes give %08x",
                                header->crc32, crc);
    if (header->total_bytes != file_bytes)
        return rsw_reader_fail_(RSW_E_PROTOCOL, "plane refused: the file has %llu bytes, its header says %llu",
                                (unsigned long long)file_bytes, (unsigned long long)header->total_bytes);
    if (header->page_bytes != (uint64_t)page_bytes)
        return rsw_reader_fail_(RSW_E_PROTOCOL,
                                "plane refused: it was made for pages of %u bytes, this machine has %ld",
                                header->page_bytes, page_bytes);
    return RSW_OK;
}

/* The one region of a kind, checked to lie in the plane and to hold its entries. */
static inline int32_t rsw_reader_region_(const struct rsw_reader_plane *plane, uint32_t kind, uint64_t fixed_bytes,
                                         uint64_t entry_bytes, struct rsw_region *region)
{
    const struct rsw_plane_header *header = &plane->header;
    uint32_t count = header->region_count < RSW_REGIONS_MAX ? header->region_count : RSW_REGIONS_MAX, found = 0;
    for (uint32_t at = 0; at < count; at++)
        if (header->regions[at].kind == kind) {
            *region = header->regions[at];
            found++;
        }
    if (found != 1)
        return rsw_reader_fail_(RSW_E_PROTOCOL, "plane refused: region %u is there %u times, not once", kind, found);
    if (region->offset_bytes % RSW_REGION_ALIGN_BYTES != 0 || region->offset_bytes < RSW_PLANE_HEADER_BYTES ||
        region->offset_bytes > plane->size_bytes || region->size_bytes > plane->size_bytes - region->offset_bytes)
        return rsw_reader_fail_(RSW_E_PROTOCOL,
                                "plane refused: region %u lies at %llu with %llu bytes, outside the plane of %llu",
                                kind, (unsigned long long)region->offset_bytes, (unsigned long long)region->size_bytes,
                                (unsigned long long)plane->size_bytes);
    /* At most 2^32 entries of at most 256 bytes: no overflow. */
    if (fixed_bytes + region->entry_count * entry_bytes > region->size_bytes)
        return rsw_reader_fail_(RSW_E_PROTOCOL, "plane refused: region %u has %llu bytes, too few for %u entries", kind,
                                (unsigned long long)region->size_bytes, region->entry_count);
    return RSW_OK;
}

/* Finds the regions that a reader needs, and checks those too that it does not. */
static inline int32_t rsw_reader_check_regions_(struct rsw_reader_plane *plane)
{
    struct rsw_region region;
    const uint64_t cell_bytes = sizeof(struct rsw_cell_desc) + sizeof(struct rsw_cell_line);
    int32_t status = rsw_reader_region_(plane, RSW_REGION_CONTROL, sizeof(struct rsw_control_lines), 0, &region);
    if (status == RSW_OK) {
        plane->control = plane->words + region.offset_bytes / 8;
        status = rsw_reader_region_(plane, RSW_REGION_COUNTERS, 0, sizeof(struct rsw_counter_line), &region);
    }
    if (status == RSW_OK)
        status = rsw_reader_region_(plane, RSW_REGION_FIELDS, 0, sizeof(struct rsw_field_desc), &region);
    if (status == RSW_OK)
        status = rsw_reader_region_(plane, RSW_REGION_BATCHES, sizeof(struct rsw_arena_header), 0, &region);
    if (status == RSW_OK)
        status = rsw_reader_region_(plane, RSW_REGION_RING, 0, sizeof(struct rsw_slot), &region);
    if (status == RSW_OK) {
        plane->slots = plane->words + region.offset_bytes / 8;
        plane->slot_count = region.entry_count;
        if (region.entry_count == 0 || (region.entry_count & (region.entry_count - 1)) != 0)
            return rsw_reader_fail_(RSW_E_PROTOCOL, "plane refused: a ring of %u slots, not a power of two",
                                    region.entry_count);
        status = rsw_reader_region_(plane, RSW_REGION_BOARD, 0, cell_bytes, &region);
    }
    if (status == RSW_OK) {
        plane->cell_count = region.entry_count;
        plane->lines = plane->words + region.offset_bytes / 8 + region.entry_count * (sizeof(struct rsw_cell_desc) / 8);
        plane->cells =
            (struct rsw_cell_desc *)calloc(region.entry_count ? region.entry_count : 1, sizeof *plane->cells);
        if (plane->cells == NULL)
            return rsw_reader_fail_(RSW_E_SYSTEM, "no memory for %u cells", region.entry_count);
        rsw_reader_copy_out_(plane->cells, plane->words + region.offset_bytes / 8,
                             region.entry_count * sizeof *plane->cells);
    }
    for (uint32_t at = 0; status == RSW_OK && at < plane->cell_count; at++) {
        struct rsw_cell_desc *cell = &plane->cells[at];
        /* Texts end with a zero whatever the file has. */
        cell->name[sizeof cell->name - 1] = cell->unit[sizeof cell->unit - 1] =
            cell->meaning[sizeof cell->meaning - 1] = 0;
        if (cell->cell_type < RSW_F64 || cell->cell_type > RSW_I64)
            status =
                rsw_reader_fail_(RSW_E_PROTOCOL, "plane refused: cell \"%s\" has type %u", cell->name, cell->cell_type);
    }
    return status;
}

/* Gives a plane up; the last user unmaps it. */
static inline void rsw_reader_plane_drop_(struct rsw_reader_plane *plane)
{
    if (plane == NULL || --plane->users > 0)
        return;
    if (plane->words != NULL)
        munmap((void *)(uintptr_t)plane->words, plane->size_bytes);
    free(plane->cells);
    free(plane);
}

/* Maps a plane after every check that can be made; the descriptor stays the caller's, and is not needed any more. */
static inline int32_t rsw_reader_plane_map_(int fd, struct rsw_reader_plane **mapped)
{
    struct stat file;
    int seals = fcntl(fd, RSW_READER_GET_SEALS);
    *mapped = NULL;
    if (seals < 0 && errno != EINVAL)
        return rsw_reader_fail_(RSW_E_SYSTEM, "plane: descriptor %d: %s", fd, strerror(errno));
    /* Without them somebody could shorten the file under the mapping, and a load would be a fault. */
    if (seals < 0 || (seals & RSW_READER_SEALS) != RSW_READER_SEALS)
        return rsw_reader_fail_(RSW_E_PROTOCOL,
                                "plane refused: descriptor %d lacks the seals that keep it from being written or "
                                "resized",
                                fd);
    if (fstat(fd, &file) != 0)
        return rsw_reader_fail_(RSW_E_SYSTEM, "plane: size of descriptor %d: %s", fd, strerror(errno));
    uint64_t file_bytes = (uint64_t)file.st_size, reserved_bytes = (uint64_t)file.st_blocks * 512;
    if (file_bytes < RSW_PLANE_HEADER_BYTES || file_bytes > RSW_READER_PLANE_BYTES_MAX)
        return rsw_reader_fail_(RSW_E_PROTOCOL, "plane refused: the file has %llu bytes, expected %d to %llu",
                                (unsigned long long)file_bytes, RSW_PLANE_HEADER_BYTES,
                                (unsigned long long)RSW_READER_PLANE_BYTES_MAX);
    /* After the seals: nobody can punch a hole any more. What is missing would be memory to find while reading, or a
     * fault. */
    if (reserved_bytes < file_bytes)
        return rsw_reader_fail_(RSW_E_PROTOCOL, "plane refused: of its %llu bytes only %llu have memory behind them",
                                (unsigned long long)file_bytes, (unsigned long long)reserved_bytes);
    struct rsw_reader_plane *plane = (struct rsw_reader_plane *)calloc(1, sizeof *plane);
    if (plane == NULL)
        return rsw_reader_fail_(RSW_E_SYSTEM, "no memory for a plane's description");
    plane->users = 1;
    void *at = mmap(NULL, file_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED) {
        int32_t failed = rsw_reader_fail_(RSW_E_SYSTEM, "plane of %llu bytes not mapped: %s",
                                          (unsigned long long)file_bytes, strerror(errno));
        rsw_reader_plane_drop_(plane);
        return failed;
    }
    plane->words = (const uint64_t *)at;
    plane->size_bytes = file_bytes;
    rsw_reader_copy_out_(&plane->header, plane->words, sizeof plane->header);
    int32_t status = rsw_reader_check_header_(&plane->header, file_bytes);
    if (status == RSW_OK)
        status = rsw_reader_check_regions_(plane);
    if (status != RSW_OK) {
        rsw_reader_plane_drop_(plane);
        return status;
    }
    *mapped = plane;
    return RSW_OK;
}

/* A cell, complete, or RSW_E_BUSY if the writer outran every try. Two copies: the one that the sequence names is
 * whole. */
static inline int32_t rsw_reader_cell_(const struct rsw_reader_plane *plane, uint32_t cell, struct rsw_cell *value)
{
    const uint64_t *line = plane->lines + (size_t)cell * (sizeof(struct rsw_cell_line) / 8);
    uint64_t words[3];
    for (int tries = 0; tries < RSW_READER_CELL_TRIES; tries++) {
        uint64_t before = rsw_reader_acquire_(line); /* latch R1 */
        rsw_reader_copy_(words, line + 1 + 3 * (before & 1), 3);
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* latch R2 */
        if (rsw_reader_relaxed_(line) != before)
            continue;
        value->value.u64 = words[0];
        value->tick = words[1];
        value->t_ns = (int64_t)words[2];
        value->value_type = plane->cells[cell].cell_type;
        value->reserved = 0;
        return RSW_OK;
    }
    return rsw_reader_fail_(RSW_E_BUSY, "cell %u changed during each of %d reads; try again", cell,
                            RSW_READER_CELL_TRIES);
}

/* Stamp of a complete slot of that sequence. */
static inline uint64_t rsw_reader_complete_(uint64_t sequence)
{
    return sequence * 2 + 2;
}

/* Sequences and stamps wrap: which of two is later is told by their difference. */
static inline int64_t rsw_reader_ahead_(uint64_t of, uint64_t by)
{
    return (int64_t)(of - by);
}

static inline const uint64_t *rsw_reader_slot_(const struct rsw_reader_plane *plane, uint64_t sequence)
{
    return plane->slots + (sequence & (plane->slot_count - 1)) * RSW_READER_SLOT_WORDS;
}

static inline uint64_t rsw_reader_stamp_(const struct rsw_reader_plane *plane, uint64_t sequence)
{
    return rsw_reader_acquire_(rsw_reader_slot_(plane, sequence)); /* ring R1 */
}

static inline uint64_t rsw_reader_committed_(const struct rsw_reader_plane *plane)
{
    return rsw_reader_control_(plane, offsetof(struct rsw_control_lines, cursor)); /* ring R0 */
}

/* Sequence of the next event to be published. The cursor may trail by a batch if its writer died; the stamps tell. */
static inline uint64_t rsw_reader_cursor_(const struct rsw_reader_plane *plane)
{
    uint64_t end = rsw_reader_committed_(plane);
    /* At most a batch, and a batch is at most a lap; of a writer that is faster, what it told last. */
    for (uint64_t looks = 0; looks < plane->slot_count; looks++) {
        int64_t ahead = rsw_reader_ahead_(rsw_reader_stamp_(plane, end), rsw_reader_complete_(end));
        if (ahead < 0)
            break;
        end = ahead == 0 ? end + 1 : rsw_reader_committed_(plane);
    }
    return end;
}

/* A place in the ring: `start` is RSW_FROM_*. What the ring does not hold is told as a loss by the first poll. */
static inline void rsw_reader_tail_begin_(struct rsw_reader_tail *tail, struct rsw_reader_plane *plane, int32_t start,
                                          uint64_t sequence)
{
    uint64_t cursor = rsw_reader_cursor_(plane), published = cursor - plane->header.first_sequence;
    tail->plane = plane;
    if (start == RSW_FROM_LATEST)
        sequence = cursor;
    else if (start == RSW_FROM_OLDEST)
        sequence = cursor - (published < plane->slot_count ? published : plane->slot_count);
    tail->next = sequence;
    tail->early = rsw_reader_ahead_(sequence, cursor) > 0;
}

static inline int rsw_reader_before_first_(const struct rsw_reader_tail *tail)
{
    return rsw_reader_ahead_(tail->plane->header.first_sequence, tail->next) > 0;
}

/* Whether a poll would find an event or a loss: one load, of the line that the event will come with. */
static inline int rsw_reader_tail_ready_(const struct rsw_reader_tail *tail)
{
    if (tail->early)
        return rsw_reader_ahead_(tail->next, rsw_reader_cursor_(tail->plane)) < 0;
    return rsw_reader_before_first_(tail) ||
           rsw_reader_ahead_(rsw_reader_stamp_(tail->plane, tail->next), rsw_reader_complete_(tail->next)) >= 0;
}

static inline uint64_t rsw_reader_tail_lag_(const struct rsw_reader_tail *tail)
{
    int64_t lag = rsw_reader_ahead_(rsw_reader_committed_(tail->plane), tail->next);
    return lag > 0 ? (uint64_t)lag : 0;
}

/* Copies an event; the stamp that was found. Only if that is the complete one of `sequence`, the copy is an event. */
static inline uint64_t rsw_reader_event_(const struct rsw_reader_plane *plane, uint64_t sequence,
                                         struct rsw_event *event)
{
    const uint64_t *slot = rsw_reader_slot_(plane, sequence);
    uint64_t words[RSW_READER_SLOT_WORDS], before = rsw_reader_acquire_(slot); /* ring R1 */
    if (before != rsw_reader_complete_(sequence))
        return before;
    words[0] = sequence;
    rsw_reader_copy_(words + 1, slot + 1, RSW_READER_SHORT_WORDS - 1);
    /* len_bytes: bits 32 to 47 of the second word. A short event has nothing in the second line. */
    if ((words[1] >> 32 & 0xffff) > RSW_READER_SHORT_BYTES)
        rsw_reader_copy_(words + RSW_READER_SHORT_WORDS, slot + RSW_READER_SHORT_WORDS,
                         RSW_READER_SLOT_WORDS - RSW_READER_SHORT_WORDS);
    else
        memset(words + RSW_READER_SHORT_WORDS, 0, sizeof words - RSW_READER_SHORT_WORDS * sizeof *words);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* ring R2 */
    uint64_t after = rsw_reader_relaxed_(slot);
    if (after == before)
        memcpy(event, words, sizeof *event);
    return after;
}

static inline int32_t rsw_reader_lap_to_(struct rsw_reader_tail *tail, uint64_t to)
{
    tail->lost_from = tail->next;
    tail->lost_to = to;
    tail->lost += to - tail->next;
    tail->laps += tail->laps < UINT32_MAX;
    tail->next = to;
    return RSW_LAPPED;
}

/* The slot of `next` has `stamp` instead: nothing new, or the event is gone, and with it all that is a lap before
 * that. */
__attribute__((cold)) static inline int32_t rsw_reader_miss_(struct rsw_reader_tail *tail, uint64_t stamp)
{
    const struct rsw_reader_plane *plane = tail->plane;
    uint64_t complete = rsw_reader_complete_(tail->next);
    if (rsw_reader_before_first_(tail))
        return rsw_reader_lap_to_(tail, plane->header.first_sequence);
    if (rsw_reader_ahead_(stamp, complete) < 0)
        return RSW_EMPTY;
    /* By difference: a stamp has no room for the sequence's highest bit. */
    uint64_t newer = (stamp - complete + 1) / 2, gone = tail->next + newer - plane->slot_count + 1;
    uint64_t cursor = rsw_reader_committed_(plane), oldest = cursor - plane->slot_count;
    uint64_t later = rsw_reader_ahead_(gone, oldest) > 0 ? gone : oldest;
    /* The frontier is between us and the cursor; a stamp that says otherwise is read again later. */
    int64_t ahead = rsw_reader_ahead_(later, tail->next), room = rsw_reader_ahead_(cursor, tail->next);
    if (ahead > room)
        ahead = room;
    return rsw_reader_lap_to_(tail, tail->next + (ahead < 1 ? 1 : (uint64_t)ahead));
}

/* As many consecutive events as there are and as fit. A loss is told alone, before what follows it. */
static inline int32_t rsw_reader_tail_poll_(struct rsw_reader_tail *tail, struct rsw_event *events, size_t capacity,
                                            size_t *count)
{
    *count = 0;
    if (tail->early) {
        tail->early = rsw_reader_ahead_(tail->next, rsw_reader_cursor_(tail->plane)) > 0;
        if (tail->early)
            return RSW_EMPTY;
    }
    while (*count < capacity) {
        uint64_t stamp = rsw_reader_event_(tail->plane, tail->next, &events[*count]);
        if (stamp != rsw_reader_complete_(tail->next))
            /* Whatever it is, the next poll finds it again and tells it. */
            return *count > 0 ? RSW_OK : rsw_reader_miss_(tail, stamp);
        const uint64_t *soon = rsw_reader_slot_(tail->plane, tail->next + RSW_READER_AHEAD_SLOTS);
        __builtin_prefetch(soon);
        __builtin_prefetch(soon + RSW_READER_SHORT_WORDS);
        tail->next++;
        tail->received++;
        ++*count;
    }
    return *count > 0 ? RSW_OK : RSW_EMPTY;
}

static inline uint64_t rsw_reader_now_ns_(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* State letter and start time of a process: 0; 1 if there is none; 2 if we may not look. */
static inline int rsw_reader_process_(uint32_t pid, char *state, uint64_t *start_ticks)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%u/stat", (unsigned)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT ? 1 : 2;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    /* The second field is the command in parentheses and may hold anything; the third begins behind the last one. */
    const char *at = strrchr(text, ')');
    for (int field = 2; field < 22 && at != NULL; field++) {
        at = strchr(at + 1, ' ');
        if (field == 2 && at != NULL)
            *state = at[1];
    }
    *start_ticks = at ? strtoull(at, NULL, 10) : 0;
    return length == 0 ? 1 : at ? 0 : 2;
}

/* RSW_STATE_*, and the nanoseconds since the last sign of life. */
static inline int32_t rsw_reader_state_of_(const struct rsw_reader_plane *plane, uint64_t *age_ns)
{
    uint64_t state = rsw_reader_control_(plane, offsetof(struct rsw_control_lines, state));
    uint64_t beat_ns = rsw_reader_control_(plane, offsetof(struct rsw_control_lines, heartbeat_mono_ns));
    uint64_t now_ns = rsw_reader_now_ns_(), start_ticks = 0;
    char letter = 0;
    *age_ns = now_ns > beat_ns ? now_ns - beat_ns : 0;
    if (state == RSW_KERNEL_STOPPED)
        return RSW_STATE_STOPPED;
    if (*age_ns > RSW_READER_SILENT_NS / 4) {
        int found = rsw_reader_process_(plane->header.writer_pid, &letter, &start_ticks);
        if (found == 1 || (found == 0 && start_ticks != plane->header.writer_start_ticks))
            return RSW_STATE_DEAD;
    }
    if (*age_ns > RSW_READER_SILENT_NS)
        return RSW_STATE_SILENT;
    if (state == RSW_KERNEL_RUNNING)
        return RSW_STATE_RUNNING;
    return state == RSW_KERNEL_FINISHED ? RSW_STATE_FINISHED : RSW_STATE_STARTING;
}

#endif /* RSW_PLANE_H */
