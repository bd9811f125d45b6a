/* planes FILE: attaches to every plane in FILE (a length of eight bytes before each) through rsw_reader.h, calls all that a
 * reader can call, and prints what it found, a line a plane: for somebody else to compare. */
#include "as_reader.h"
#include <inttypes.h>

#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A sealed memory file with these bytes. */
static int sealed(const void *bytes, size_t size)
{
    int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    NEED(fd >= 0);
    NEED(write(fd, bytes, size) == (ssize_t)size);
    NEED(fcntl(fd, F_ADD_SEALS, RSW_READER_SEALS) == 0);
    return fd;
}

static uint64_t hash(const void *from, size_t bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t at = 0; at < bytes; at++)
        hash = (hash ^ ((const unsigned char *)from)[at]) * UINT64_C(0x100000001b3);
    return hash;
}

static void read_board(rsw_reader *reader)
{
    uint32_t count = 0, found = 0;
    NEED(rsw_reader_board_count(reader, &count) == RSW_OK);
    struct rsw_cell *cells = calloc(count + 1u, sizeof *cells);
    struct rsw_snapshot snapshot = RSW_INIT(struct rsw_snapshot);
    NEED(cells && rsw_reader_board_snapshot(reader, cells, count, &snapshot) == RSW_OK && snapshot.count == count);
    printf(" cells %" PRIu32, count);
    for (uint32_t at = 0; at < count; at++) {
        struct rsw_cell_info info = RSW_INIT(struct rsw_cell_info);
        struct rsw_cell cell;
        NEED(rsw_reader_board_describe(reader, at, &info) == RSW_OK);
        /* Of two cells of one name the first is found. */
        NEED(rsw_reader_board_find(reader, info.name, &found) == RSW_OK && found <= info.cell);
        NEED(at > 0xffff || (rsw_reader_board_read(reader, info.cell, &cell) == RSW_OK &&
                             memcmp(&cell, &cells[at], sizeof cell) == 0));
        printf(" %" PRIu32 ":%016" PRIx64 ":%" PRIu64 ":%" PRId64, cells[at].value_type, cells[at].value.u64,
               cells[at].tick, cells[at].t_ns);
    }
    free(cells);
}

static void read_ring(rsw_reader *reader, int32_t start, uint64_t sequence)
{
    rsw_reader_ring *ring;
    struct rsw_event events[3];
    struct rsw_stats stats = RSW_INIT(struct rsw_stats);
    NEED(rsw_reader_ring_open(reader, start, sequence, &ring) == RSW_OK);
    NEED(rsw_reader_ring_stats(ring, &stats) == RSW_OK);
    uint64_t begin = stats.next_sequence;
    printf(" from %" PRIu64, begin);
    for (uint64_t polls = 3 * (stats.capacity < 64 ? stats.capacity : 64); polls > 0; polls--) {
        size_t count;
        NEED(rsw_reader_ring_wait(ring, 0, RSW_WAIT_BLOCK) >= 0);
        switch (rsw_reader_ring_poll(ring, events, 3, &count)) {
        case RSW_OK: printf(" +%zu:%016" PRIx64, count, hash(events, count * sizeof *events)); break;
        case RSW_EMPTY: putchar('.'); break;
        case RSW_LAPPED:
            NEED(rsw_reader_ring_stats(ring, &stats) == RSW_OK);
            printf(" -%" PRIu64 "..%" PRIu64, stats.lost_from, stats.lost_to);
            break;
        default: NEED(!"a status of polls");
        }
        NEED(rsw_reader_ring_stats(ring, &stats) == RSW_OK);
        NEED(stats.received + stats.lost == stats.next_sequence - begin);
    }
    NEED(rsw_reader_ring_close(ring) == RSW_OK);
}

static void one(const void *bytes, size_t size)
{
    rsw_reader *reader;
    struct rsw_state_info info = RSW_INIT(struct rsw_state_info);
    int fd = sealed(bytes, size);
    int32_t status = rsw_reader_open(fd, &reader);
    NEED(close(fd) == 0);
    if (status != RSW_OK) {
        NEED(status < 0 && reader == NULL && rsw_reader_last_error()[0] != 0);
        printf("%d\n", status);
        return;
    }
    NEED(rsw_reader_state(reader, &info) >= 0 && rsw_reader_reattach(reader) >= 0);
    printf("generation %" PRIu64 " tick %" PRIu64 " cursor %" PRIu64, info.generation, info.tick, info.cursor);
    read_board(reader);
    read_ring(reader, RSW_FROM_LATEST, 0);
    read_ring(reader, RSW_FROM_OLDEST, 0);
    read_ring(reader, RSW_FROM_SEQUENCE, info.first_sequence);
    read_ring(reader, RSW_FROM_SEQUENCE, info.cursor + 3);
    read_ring(reader, RSW_FROM_SEQUENCE, info.first_sequence - (UINT64_C(1) << 62));
    putchar('\n');
    NEED(rsw_reader_close(reader) == RSW_OK);
}

int main(int argc, char **argv)
{
    NEED(argc == 2);
    FILE *file = fopen(argv[1], "rb");
    NEED(file != NULL);
    for (uint64_t size; fread(&size, sizeof size, 1, file) == 1;) {
        /* On the heap and of exactly that size: whoever reads beyond it is found out. */
        char *bytes = malloc(size + !size);
        NEED(bytes && fread(bytes, 1, size, file) == size);
        one(bytes, size);
        free(bytes);
    }
    fclose(file);
    return 0;
}
