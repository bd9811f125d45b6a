/* tail-events [COUNT]: the events from the oldest on, every loss told, and the exact account at the end. */
#include "example.h"

int main(int argc, char **argv)
{
    unsigned long left = number(argc, argv, 1, (unsigned long)-1);
    rsw_swarm *swarm = NULL;
    rsw_ring *ring = NULL;
    rsw_event events[256];
    rsw_stats stats = RSW_INIT(rsw_stats);
    ask(rsw_connect(NULL, &swarm));
    ask(rsw_ring_open(swarm, RSW_FROM_OLDEST, 0, &ring));
    while (left > 0 && ask(rsw_ring_wait(ring, 1000000000, RSW_WAIT_DEFAULT)) != RSW_ENDED) {
        size_t count = 0;
        int32_t status = ask(rsw_ring_poll(ring, events, left < 256 ? left : 256, &count));
        ask(rsw_ring_stats(ring, &stats));
        if (status == RSW_LAPPED)
            printf("lost %llu to %llu\n", (unsigned long long)stats.lost_from, (unsigned long long)stats.lost_to);
        if (status == RSW_REATTACHED)
            printf("generation %llu\n", (unsigned long long)stats.generation);
        for (size_t at = 0; at < count; at++)
            printf("%llu kind %u source %u at %lld\n", (unsigned long long)events[at].sequence, events[at].kind,
                   events[at].source, (long long)events[at].t_ns);
        left -= count;
    }
    ask(rsw_ring_stats(ring, &stats));
    printf("received %llu, lost %llu\n", (unsigned long long)stats.received, (unsigned long long)stats.lost);
    ask(rsw_ring_close(ring));
    return ask(rsw_close(swarm));
}
