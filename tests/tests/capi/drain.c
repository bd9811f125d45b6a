/* drain FD: reads board and ring of the plane behind an inherited descriptor while its writer runs, until it stops. Every
 * event is what the writer makes of its sequence, every cell is of one write, and the account is exact at every step. */
#include "as_reader.h"
#include "check.h"
#include <unistd.h>

static void check_event(const struct rsw_event *event, uint64_t sequence)
{
    CHECK(event->sequence == sequence);
    CHECK(event->t_ns == (int64_t)(sequence * 3) && event->source == (uint32_t)sequence && event->generation == 5);
    /* Short ones and long ones by turns. */
    size_t words = sequence % 2 ? 12 : 4;
    CHECK(event->len_bytes == 8 * words && event->kind == RSW_EVENT_TICK && event->flags == 0 && event->reserved == 0);
    for (size_t at = 0; at < 12; at++) {
        uint64_t word;
        memcpy(&word, event->payload + 8 * at, sizeof word);
        CHECK(word == (at < words ? sequence + at : 0));
    }
}

static uint64_t check_board(rsw_reader *reader, uint32_t cell, uint64_t last_tick)
{
    struct rsw_cell value;
    int32_t status = rsw_reader_board_read(reader, cell, &value);
    if (status == RSW_E_BUSY)
        return last_tick;
    CHECK(status == RSW_OK);
    CHECK(value.value.u64 == value.tick * 7 && value.t_ns == (int64_t)(value.tick * 11) && value.tick >= last_tick);
    return value.tick;
}

int main(int argc, char **argv)
{
    rsw_reader *reader;
    rsw_reader_ring *ring;
    struct rsw_event events[32];
    struct rsw_stats stats = RSW_INIT(struct rsw_stats);
    struct rsw_state_info info = RSW_INIT(struct rsw_state_info);
    uint64_t next, begin, tick = 0, polls = 0;
    uint32_t cell;
    int32_t waited;
    CHECK(argc == 2);
    EXPECT(rsw_reader_open(atoi(argv[1]), &reader), RSW_OK);
    EXPECT(rsw_reader_board_find(reader, "count", &cell), RSW_OK);
    CHECK(rsw_reader_state(reader, &info) >= 0);
    /* The first there ever was, which is overwritten already. */
    EXPECT(rsw_reader_ring_open(reader, RSW_FROM_SEQUENCE, info.first_sequence, &ring), RSW_OK);
    EXPECT(rsw_reader_ring_stats(ring, &stats), RSW_OK);
    begin = next = stats.next_sequence;
    puts("begun");
    fflush(stdout);
    while ((waited = rsw_reader_ring_wait(ring, 1000000000, (int32_t)(polls % 5))) != RSW_ENDED) {
        size_t count;
        CHECK(waited >= 0);
        int32_t status = rsw_reader_ring_poll(ring, events, 1 + polls++ % 32, &count);
        EXPECT(rsw_reader_ring_stats(ring, &stats), RSW_OK);
        CHECK(status == RSW_OK || status == RSW_EMPTY || status == RSW_LAPPED);
        if (status == RSW_LAPPED) {
            CHECK(stats.lost_from == next && stats.lost_to > next && count == 0);
            next = stats.lost_to;
        }
        for (size_t at = 0; at < count; at++)
            check_event(&events[at], next++);
        CHECK(stats.next_sequence == next && stats.received + stats.lost == next - begin);
        tick = check_board(reader, cell, tick);
        /* Now and then somebody slower than the writer. */
        if (polls % 1000 == 0)
            usleep(2000);
    }
    printf("%llu received, %llu lost, to %llu, tick %llu\n", (unsigned long long)stats.received,
           (unsigned long long)stats.lost, (unsigned long long)next, (unsigned long long)tick);
    EXPECT(rsw_reader_ring_close(ring), RSW_OK);
    EXPECT(rsw_reader_close(reader), RSW_OK);
    return 0;
}
