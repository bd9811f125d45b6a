/* my-agent [COUNT]: works out how synchronised the swarm is, with the bits of the built-in agent, and reports it. */
#include "example.h"

int main(int argc, char **argv)
{
    unsigned long left = number(argc, argv, 1, (unsigned long)-1);
    rsw_swarm *swarm = NULL;
    rsw_ring *ring = NULL;
    rsw_sync *sync = NULL;
    rsw_event events[256];
    ask(rsw_connect(NULL, &swarm));
    ask(rsw_ring_open(swarm, RSW_FROM_LATEST, 0, &ring));
    ask(rsw_sync_open(swarm, &sync));
    while (left > 0 && ask(rsw_ring_wait(ring, 1000000000, RSW_WAIT_DEFAULT)) != RSW_ENDED) {
        size_t count = 0;
        ask(rsw_ring_poll(ring, events, 256, &count));
        for (size_t at = 0; at < count && left > 0; at++) {
            rsw_sync_result result = RSW_INIT(rsw_sync_result);
            if (ask(rsw_sync_event(sync, &events[at], &result)) != RSW_OK)
                continue; /* No report is due. */
            int32_t sent = rsw_send_report(swarm, ring, &result);
            printf("tick %llu: cs %.6f over %u pairs, matrix %08x%s\n", (unsigned long long)result.tick, result.cs_mean,
                   result.pairs_defined, result.matrix_crc32, sent == RSW_OK ? "" : ", not sent");
            fflush(stdout);
            left--;
        }
    }
    ask(rsw_sync_close(sync));
    ask(rsw_ring_close(ring));
    return ask(rsw_close(swarm));
}
