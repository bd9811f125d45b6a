/* threads COUNT EVENTS: so many threads, each with a connection of its own, each with an exact account. */
#include "check.h"
#include <pthread.h>

static unsigned long wanted;

static void *follow(void *unused)
{
    rsw_options options = RSW_OPTIONS_INIT;
    rsw_swarm *swarm = NULL;
    rsw_ring *ring = NULL;
    rsw_event events[64];
    rsw_stats stats = RSW_INIT(rsw_stats);
    uint64_t first = 0, next = 0, seen = 0, told = 0;
    options.name = "thread";
    EXPECT(rsw_connect(&options, &swarm), RSW_OK);
    EXPECT(rsw_ring_open(swarm, RSW_FROM_LATEST, 0, &ring), RSW_OK);
    EXPECT(rsw_ring_stats(ring, &stats), RSW_OK);
    first = next = stats.next_sequence;
    while (seen < wanted) {
        size_t count = 0;
        CHECK(rsw_ring_wait(ring, 1000000000, RSW_WAIT_BLOCK) >= 0);
        int32_t status = rsw_ring_poll(ring, events, 64, &count);
        CHECK(status >= 0);
        if (status == RSW_LAPPED) {
            EXPECT(rsw_ring_stats(ring, &stats), RSW_OK);
            CHECK(stats.lost_from == next);
            told += stats.lost_to - stats.lost_from;
            next = stats.lost_to;
        }
        for (size_t at = 0; at < count; at++)
            CHECK(events[at].sequence == next++);
        seen += count;
    }
    EXPECT(rsw_ring_stats(ring, &stats), RSW_OK);
    CHECK(stats.received == seen && stats.lost == told);
    CHECK(stats.received + stats.lost == stats.next_sequence - first);
    EXPECT(rsw_ring_close(ring), RSW_OK);
    EXPECT(rsw_close(swarm), RSW_OK);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[64];
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 24;
    wanted = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
    CHECK(count <= 64);
    for (unsigned long at = 0; at < count; at++)
        CHECK(pthread_create(&threads[at], NULL, follow, NULL) == 0);
    for (unsigned long at = 0; at < count; at++)
        CHECK(pthread_join(threads[at], NULL) == 0);
    puts("threads: ok");
    return 0;
}
