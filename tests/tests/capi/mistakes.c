/* Every mistake a caller can make with an argument is an error, and nothing else happens: through the library, and through
 * rsw_reader.h (see as_reader.h). Mistakes with handles, which only the library finds, are in hostile.c. */
#include "check.h"

int main(void)
{
    rsw_swarm *swarm = NULL;
    rsw_ring *ring = NULL;
    rsw_event event;
    rsw_stats stats = RSW_INIT(rsw_stats);
    rsw_state_info info = RSW_INIT(rsw_state_info);
    rsw_cell_info what = RSW_INIT(rsw_cell_info);
    rsw_snapshot snapshot = RSW_INIT(rsw_snapshot);
    rsw_cell cell, cells[256];
    size_t count = 7;
    uint32_t number = 0, all = 0;

    /* NULL, everywhere. */
    EXPECT(rsw_connect(NULL, NULL), RSW_E_NULL);
    EXPECT(rsw_close(NULL), RSW_E_NULL);
    EXPECT(rsw_state(NULL, NULL), RSW_E_NULL);
    EXPECT(rsw_reattach(NULL), RSW_E_NULL);
    EXPECT(rsw_board_find(NULL, NULL, NULL), RSW_E_NULL);
    EXPECT(rsw_ring_open(NULL, RSW_FROM_LATEST, 0, &ring), RSW_E_NULL);
    EXPECT(rsw_ring_poll(NULL, &event, 1, &count), RSW_E_NULL);
    EXPECT(rsw_ring_wait(NULL, 0, 0), RSW_E_NULL);
    EXPECT(rsw_ring_stats(NULL, &stats), RSW_E_NULL);
    EXPECT(rsw_ring_close(NULL), RSW_E_NULL);

    EXPECT(rsw_connect(NULL, &swarm), RSW_OK);
    EXPECT(rsw_state(swarm, NULL), RSW_E_NULL);
    EXPECT(rsw_board_count(swarm, NULL), RSW_E_NULL);
    EXPECT(rsw_board_describe(swarm, 0, NULL), RSW_E_NULL);
    EXPECT(rsw_board_find(swarm, NULL, &number), RSW_E_NULL);
    EXPECT(rsw_board_find(swarm, "tick", NULL), RSW_E_NULL);
    EXPECT(rsw_board_read(swarm, 0, NULL), RSW_E_NULL);
    EXPECT(rsw_board_snapshot(swarm, NULL, 1, &snapshot), RSW_E_NULL);
    EXPECT(rsw_ring_open(swarm, RSW_FROM_LATEST, 0, NULL), RSW_E_NULL);

    /* Arguments without sense. */
    EXPECT(rsw_ring_open(swarm, 99, 0, &ring), RSW_E_ARGUMENT);
    EXPECT(rsw_ring_open(swarm, -1, 0, &ring), RSW_E_ARGUMENT);
    CHECK(ring == NULL);
    EXPECT(rsw_board_find(swarm, "no such cell", &number), RSW_E_NOT_FOUND);
    CHECK(strstr(rsw_last_error(), "no such cell"));
    EXPECT(rsw_board_read(swarm, 0xffff, &cell), RSW_E_NOT_FOUND);
    EXPECT(rsw_board_read(swarm, 0x10000, &cell), RSW_E_CHANGED);
    EXPECT(rsw_board_describe(swarm, 0xffff, &what), RSW_E_NOT_FOUND);
    EXPECT(rsw_board_snapshot(swarm, &cell, 0, &snapshot), RSW_E_BUFFER);
    EXPECT(rsw_ring_open(swarm, RSW_FROM_LATEST, 0, &ring), RSW_OK);
    EXPECT(rsw_ring_poll(ring, NULL, 1, &count), RSW_E_NULL);
    EXPECT(rsw_ring_poll(ring, &event, (size_t)-1, &count), RSW_E_ARGUMENT);
    EXPECT(rsw_ring_poll(ring, (rsw_event *)((char *)&event + 1), 1, &count), RSW_E_ARGUMENT);
    EXPECT(rsw_ring_poll(ring, &event, 0, &count), RSW_EMPTY);
    CHECK(count == 0);
    EXPECT(rsw_ring_wait(ring, 0, 99), RSW_E_ARGUMENT);
    EXPECT(rsw_ring_wait(ring, 0, -1), RSW_E_ARGUMENT);
    EXPECT(rsw_ring_stats(ring, NULL), RSW_E_NULL);
    stats.struct_size = 2;
    EXPECT(rsw_ring_stats(ring, &stats), RSW_E_ARGUMENT);
    info.struct_size = 0;
    EXPECT(rsw_state(swarm, &info), RSW_E_ARGUMENT);
    EXPECT(rsw_ring_close(ring), RSW_OK);

    /* And what is right is right. */
    info.struct_size = sizeof info;
    EXPECT(rsw_state(swarm, &info), RSW_OK);
    CHECK(info.generation == 1 && info.cursor > 0 && info.state >= RSW_STATE_STARTING);
    EXPECT(rsw_board_find(swarm, "tick", &number), RSW_OK);
    EXPECT(rsw_board_read(swarm, number, &cell), RSW_OK);
    CHECK(cell.value_type == RSW_U64 && cell.value.u64 == cell.tick);
    EXPECT(rsw_board_count(swarm, &all), RSW_OK);
    EXPECT(rsw_board_snapshot(swarm, cells, 256, &snapshot), RSW_OK);
    CHECK(snapshot.count == all && snapshot.oldest_tick <= snapshot.newest_tick && snapshot.newest_tick >= cell.tick);
    EXPECT(rsw_ring_open(swarm, RSW_FROM_OLDEST, 0, &ring), RSW_OK);
    EXPECT(rsw_close(swarm), RSW_OK);
    EXPECT(rsw_ring_wait(ring, 1000000000, RSW_WAIT_DEFAULT), RSW_OK); /* It holds the connection. */
    EXPECT(rsw_ring_poll(ring, &event, 1, &count), RSW_OK);
    CHECK(count == 1 && event.sequence == 0 && event.kind == RSW_EVENT_GENERATION);
    EXPECT(rsw_ring_close(ring), RSW_OK);
    puts("mistakes: ok");
    return 0;
}
