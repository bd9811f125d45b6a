/* follow GENERATIONS [fd]: polls through restarts of the kernel until it has taken up so many new generations and seen an
 * event of the last; no sequence twice, every gap told exactly, a loan held all the time. With "fd" it sleeps in poll(2) on
 * the library's descriptor, and never in the library. Through rsw_reader.h (see as_reader.h) without loan and descriptor. */
#include "check.h"
#include <poll.h>
#include <unistd.h>

#ifdef AS_READER_H

/* There is nothing to borrow: it looks around. */
static void hold(rsw_swarm *swarm, rsw_ring *ring)
{
    rsw_event events[64];
    CHECK(rsw_ring_wait(ring, 10000000, RSW_WAIT_BLOCK) >= 0);
    CHECK(rsw_ring_poll(ring, events, 64, NULL) >= 0);
    CHECK(rsw_reattach(swarm) >= 0);
}

static void let_go(rsw_swarm *swarm, rsw_ring *ring, uint64_t generation)
{
    struct rsw_state_info info = RSW_INIT(struct rsw_state_info);
    uint32_t cell;
    struct rsw_cell value;
    hold(swarm, ring);
    CHECK(rsw_state(swarm, &info) >= 0 && info.generation >= generation);
    /* The cell has its number still, whatever was restarted. */
    EXPECT(rsw_board_find(swarm, "generation", &cell), RSW_OK);
    EXPECT(rsw_board_read(swarm, cell, &value), RSW_OK);
    CHECK(value.value.u64 >= generation);
}

/* There is no descriptor: it naps, and looks. */
static int32_t sleep_in_poll(rsw_swarm *swarm, int fd, unsigned long *woken, unsigned long *late)
{
    (void)fd, (void)late;
    usleep(1000);
    *woken += 1;
    return rsw_reattach(swarm);
}

#else

static rsw_field *field;
static rsw_loan *loan;
static rsw_frame frame = RSW_INIT(rsw_frame);
static float *copy;
static size_t cells;

/* Borrows a frame, and keeps a copy to compare it with. */
static void hold(rsw_swarm *swarm, rsw_ring *ring)
{
    rsw_event events[64];
    EXPECT(rsw_field_open(swarm, "ci", &field), RSW_OK);
    while (rsw_field_loan_latest(field, &loan, &frame) == RSW_EMPTY) {
        rsw_ring_wait(ring, 10000000, RSW_WAIT_BLOCK);
        rsw_ring_poll(ring, events, 64, NULL);
    }
    cells = (size_t)frame.nx * frame.ny;
    copy = malloc(cells * sizeof *copy);
    CHECK(copy != NULL);
    memcpy(copy, frame.data, cells * sizeof *copy);
}

/* It is what it was, and the subscription goes on in the generation that is there now. */
static void let_go(rsw_swarm *swarm, rsw_ring *ring, uint64_t generation)
{
    rsw_event events[64];
    (void)swarm;
    CHECK(memcmp(copy, frame.data, cells * sizeof *copy) == 0); /* The loan of the first generation. */
    EXPECT(rsw_loan_release(loan), RSW_OK);
    while (rsw_field_loan_latest(field, &loan, &frame) == RSW_EMPTY || frame.generation != generation) {
        if (loan)
            EXPECT(rsw_loan_release(loan), RSW_OK);
        loan = NULL;
        rsw_ring_wait(ring, 10000000, RSW_WAIT_BLOCK);
        rsw_ring_poll(ring, events, 64, NULL);
    }
    EXPECT(rsw_loan_release(loan), RSW_OK);
    EXPECT(rsw_field_close(field), RSW_OK);
    free(copy);
}

/* Sleeps until the descriptor says so, at most a second; counts both. */
static int32_t sleep_in_poll(rsw_swarm *swarm, int fd, unsigned long *woken, unsigned long *late)
{
    struct pollfd wake = {.fd = fd, .events = POLLIN};
    int ready = poll(&wake, 1, 1000);
    CHECK(ready >= 0);
    *(ready ? woken : late) += 1;
    return rsw_wake_clear(swarm);
}

#endif

int main(int argc, char **argv)
{
    unsigned long left = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
    rsw_swarm *swarm = NULL;
    rsw_ring *ring = NULL;
    rsw_event events[64];
    rsw_stats stats = RSW_INIT(rsw_stats);
    rsw_options options = RSW_INIT(rsw_options);
    int stale = 0, fd = -1;
    unsigned long woken = 0, late = 0;
    if (argc > 2)
        options.flags = RSW_CONNECT_WAKE_FD;
    EXPECT(rsw_connect(&options, &swarm), RSW_OK);
#ifndef AS_READER_H
    EXPECT(rsw_wake_fd(swarm, &fd), argc > 2 ? RSW_OK : RSW_E_UNSUPPORTED);
#endif
    EXPECT(rsw_ring_open(swarm, RSW_FROM_LATEST, 0, &ring), RSW_OK);
    hold(swarm, ring);
    EXPECT(rsw_ring_stats(ring, &stats), RSW_OK);
    uint64_t next = stats.next_sequence, first = next - stats.received - stats.lost;
    uint64_t generation = stats.generation;
    puts("following");
    fflush(stdout);
    int32_t status = RSW_OK;
    for (int seen = 0; left > 0 || !seen;) {
        size_t count = 0;
        int32_t waited = RSW_OK;
        if (argc <= 2)
            waited = rsw_ring_wait(ring, 20000000, RSW_WAIT_DEFAULT);
        else if (status == RSW_EMPTY)
            waited = sleep_in_poll(swarm, fd, &woken, &late);
        CHECK(waited >= 0 && waited != RSW_ENDED);
        stale |= waited == RSW_STALE;
        /* Without room nothing is taken, and nothing is given up either. */
        EXPECT(rsw_ring_poll(ring, events, 0, &count), RSW_EMPTY);
        status = rsw_ring_poll(ring, events, 64, &count);
        CHECK(status >= 0);
        EXPECT(rsw_ring_stats(ring, &stats), RSW_OK);
        if (status == RSW_REATTACHED) {
            CHECK(stats.generation > generation);
            left -= stats.generation - generation < left ? stats.generation - generation : left;
            generation = stats.generation;
            seen = 0;
            printf("generation %llu at %llu\n", (unsigned long long)generation, (unsigned long long)next);
            fflush(stdout);
        }
        if (status == RSW_LAPPED) {
            CHECK(stats.lost_from == next && stats.lost_to > next);
            next = stats.lost_to;
        }
        for (size_t at = 0; at < count; at++) {
            CHECK(events[at].sequence == next++);
            CHECK(events[at].generation == (uint32_t)generation);
            seen = 1;
        }
        CHECK(stats.next_sequence == next && stats.received + stats.lost == next - first);
    }
    let_go(swarm, ring, generation);
    EXPECT(rsw_ring_close(ring), RSW_OK);
    EXPECT(rsw_close(swarm), RSW_OK);
    CHECK(argc <= 2 || woken > 10 * late);
    printf("follow: ok%s\n", stale ? ", stale told" : "");
    return 0;
}
