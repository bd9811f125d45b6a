/* watch-ticks [COUNT]: the mean complexity after each tick, and every loss told; through rsw_reader.h, so that nothing is
 * linked: cc watch-ticks.c -o watch-ticks -I PREFIX/include */
#include <rsw/rsw_reader.h>

/* Ends the program with the reader's words if `status` is an error; gives it back otherwise. */
static int32_t ask(int32_t status)
{
    if (status < 0) {
        fprintf(stderr, "%s\n", rsw_reader_last_error());
        exit(1);
    }
    return status;
}

int main(int argc, char **argv)
{
    unsigned long left = argc > 1 ? strtoul(argv[1], NULL, 10) : (unsigned long)-1;
    rsw_reader *swarm = NULL;
    rsw_reader_ring *ring = NULL;
    struct rsw_event events[64];
    struct rsw_stats stats = RSW_INIT(struct rsw_stats);
    ask(rsw_reader_connect(NULL, 0, &swarm));
    ask(rsw_reader_ring_open(swarm, RSW_FROM_LATEST, 0, &ring));
    while (left > 0 && ask(rsw_reader_ring_wait(ring, 1000000000, RSW_WAIT_DEFAULT)) != RSW_ENDED) {
        size_t count;
        int32_t status = ask(rsw_reader_ring_poll(ring, events, 64, &count));
        ask(rsw_reader_ring_stats(ring, &stats));
        if (status == RSW_LAPPED)
            printf("lost %llu to %llu\n", (unsigned long long)stats.lost_from, (unsigned long long)stats.lost_to);
        if (status == RSW_REATTACHED)
            printf("generation %llu\n", (unsigned long long)stats.generation);
        for (size_t at = 0; at < count && left > 0; at++) {
            struct rsw_tick tick;
            if (events[at].kind != RSW_EVENT_TICK)
                continue;
            memcpy(&tick, events[at].payload, sizeof tick);
            printf("tick %llu: ci %.6f\n", (unsigned long long)tick.tick, tick.ci_mean);
            left--;
        }
        fflush(stdout);
    }
    ask(rsw_reader_ring_close(ring));
    return ask(rsw_reader_close(swarm));
}
