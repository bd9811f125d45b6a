/* Every mistake a caller can make with a handle or a pointer is an error, and nothing else happens. */
#include "check.h"

int main(void)
{
    rsw_swarm *swarm = NULL, *other = NULL;
    rsw_ring *ring = NULL;
    rsw_field *field = NULL;
    rsw_batches *batches = NULL;
    rsw_sync *sync = NULL;
    rsw_loan *loan = NULL;
    rsw_event event;
    rsw_stats stats = RSW_INIT(rsw_stats);
    rsw_frame frame = RSW_INIT(rsw_frame);
    rsw_cell cell;
    size_t count = 7;
    uint32_t number = 0;

    /* NULL, everywhere. */
    EXPECT(rsw_connect(NULL, NULL), RSW_E_NULL);
    EXPECT(rsw_close(NULL), RSW_E_NULL);
    EXPECT(rsw_dup(NULL, &other), RSW_E_NULL);
    EXPECT(rsw_state(NULL, NULL), RSW_E_NULL);
    EXPECT(rsw_ring_poll(NULL, &event, 1, &count), RSW_E_NULL);
    EXPECT(rsw_ring_wait(NULL, 0, 0), RSW_E_NULL);
    EXPECT(rsw_ring_close(NULL), RSW_E_NULL);
    EXPECT(rsw_loan_release(NULL), RSW_E_NULL);
    EXPECT(rsw_sync_event(NULL, NULL, NULL), RSW_E_NULL);
    EXPECT(rsw_board_find(NULL, NULL, NULL), RSW_E_NULL);

    EXPECT(rsw_connect(NULL, &swarm), RSW_OK);
    EXPECT(rsw_state(swarm, NULL), RSW_E_NULL);
    EXPECT(rsw_self(swarm, NULL), RSW_E_NULL);
    EXPECT(rsw_board_find(swarm, NULL, &number), RSW_E_NULL);
    EXPECT(rsw_board_find(swarm, "tick", NULL), RSW_E_NULL);
    EXPECT(rsw_ring_open(swarm, RSW_FROM_LATEST, 0, NULL), RSW_E_NULL);
    EXPECT(rsw_send_report(swarm, NULL, NULL), RSW_E_NULL);
    EXPECT(rsw_batches_stream(swarm, 0, NULL), RSW_E_NULL);

    /* Arguments without sense. */
    EXPECT(rsw_ring_open(swarm, 99, 0, &ring), RSW_E_ARGUMENT);
    CHECK(ring == NULL);
    EXPECT(rsw_board_find(swarm, "no such cell", &number), RSW_E_NOT_FOUND);
    CHECK(strstr(rsw_last_error(), "no such cell"));
    EXPECT(rsw_board_find(swarm, "\xff", &number), RSW_E_ARGUMENT);
    EXPECT(rsw_board_read(swarm, 0xffff, &cell), RSW_E_NOT_FOUND);
    EXPECT(rsw_board_read(swarm, 0x10000, &cell), RSW_E_CHANGED);
    EXPECT(rsw_board_snapshot(swarm, &cell, 0, NULL), RSW_E_BUFFER);
    EXPECT(rsw_field_copy(swarm, 0, &cell, sizeof cell, NULL), RSW_E_BUFFER);
    EXPECT(rsw_field_open(swarm, "no such field", &field), RSW_E_NOT_FOUND);
    rsw_options options = {0};
    EXPECT(rsw_connect(&options, &other), RSW_E_ARGUMENT);
    options.struct_size = sizeof options;
    options.flags = 0x80000000u;
    EXPECT(rsw_connect(&options, &other), RSW_E_ARGUMENT);
    CHECK(other == NULL);

    EXPECT(rsw_ring_open(swarm, RSW_FROM_LATEST, 0, &ring), RSW_OK);
    EXPECT(rsw_sync_open(swarm, &sync), RSW_OK);
    EXPECT(rsw_sync_correlate(NULL, 2, 8, NULL), RSW_E_NULL);
    double one = 0;
    EXPECT(rsw_sync_correlate(&one, (size_t)-1, 8, &one), RSW_E_ARGUMENT);

    /* A handle of another kind, and things that never were one. */
    EXPECT(rsw_close((rsw_swarm *)ring), RSW_E_HANDLE);
    EXPECT(rsw_ring_close((rsw_ring *)swarm), RSW_E_HANDLE);
    EXPECT(rsw_ring_close((rsw_ring *)&event), RSW_E_HANDLE);
    EXPECT(rsw_loan_release((rsw_loan *)1), RSW_E_HANDLE);
    EXPECT(rsw_loan_release((rsw_loan *)~(uintptr_t)0), RSW_E_HANDLE);

    /* Use after close, double close, double release. */
    EXPECT(rsw_field_open(swarm, "ci", &field), RSW_OK);
    for (int tries = 0; rsw_field_loan_latest(field, &loan, &frame) != RSW_OK; tries++) {
        CHECK(tries < 1000);
        rsw_ring_wait(ring, 10000000, RSW_WAIT_BLOCK);
        rsw_ring_poll(ring, &event, 1, NULL);
    }
    rsw_loan *held = loan;
    EXPECT(rsw_batches_open(swarm, &batches), RSW_OK);
    EXPECT(rsw_dup(swarm, &other), RSW_OK);
    EXPECT(rsw_close(swarm), RSW_OK);
    EXPECT(rsw_close(swarm), RSW_E_HANDLE);
    EXPECT(rsw_state(swarm, NULL), RSW_E_HANDLE);
    EXPECT(rsw_board_count(other, &number), RSW_OK);
    EXPECT(rsw_close(other), RSW_OK);
    EXPECT(rsw_ring_stats(ring, &stats), RSW_OK); /* It holds the connection. */
    EXPECT(rsw_field_close(field), RSW_OK);
    EXPECT(rsw_field_close(field), RSW_E_HANDLE);
    EXPECT(rsw_field_loan_latest(field, &loan, &frame), RSW_E_HANDLE);
    float sum = 0;
    for (size_t at = 0; at < (size_t)frame.nx * frame.ny; at++)
        sum += frame.data[at]; /* The loan outlives its subscription. */
    CHECK(sum == sum);
    CHECK(loan == NULL); /* Set by the call that failed. */
    EXPECT(rsw_loan_release(held), RSW_OK);
    EXPECT(rsw_loan_release(held), RSW_E_HANDLE);
    EXPECT(rsw_batches_close(batches), RSW_OK);
    EXPECT(rsw_batches_close(batches), RSW_E_HANDLE);
    EXPECT(rsw_sync_close(sync), RSW_OK);
    EXPECT(rsw_sync_close(sync), RSW_E_HANDLE);
    EXPECT(rsw_ring_close(ring), RSW_OK);
    EXPECT(rsw_ring_close(ring), RSW_E_HANDLE);
    EXPECT(rsw_ring_poll(ring, &event, 1, &count), RSW_E_HANDLE);
    EXPECT(rsw_ring_wait(ring, 0, 0), RSW_E_HANDLE);
    puts("hostile: ok");
    return 0;
}
