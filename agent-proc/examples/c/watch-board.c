/* watch-board: every cell of the board, once, each without tearing. */
#include "example.h"

int main(void)
{
    rsw_swarm *swarm = NULL;
    ask(rsw_connect(NULL, &swarm));
    uint32_t count = 0;
    ask(rsw_board_count(swarm, &count));
    rsw_cell *cells = calloc(count ? count : 1, sizeof *cells);
    if (!cells)
        return 1;
    rsw_snapshot snapshot = RSW_INIT(rsw_snapshot);
    ask(rsw_board_snapshot(swarm, cells, count, &snapshot));
    for (uint32_t at = 0; at < snapshot.count; at++) {
        rsw_cell_info info = RSW_INIT(rsw_cell_info);
        ask(rsw_board_describe(swarm, at, &info));
        printf("%s = ", info.name);
        if (info.value_type == RSW_F64)
            printf("%.6f", cells[at].value.f64);
        else if (info.value_type == RSW_U64)
            printf("%llu", (unsigned long long)cells[at].value.u64);
        else
            printf("%lld", (long long)cells[at].value.i64);
        printf("%s%s\n", info.unit[0] ? " " : "", info.unit);
    }
    printf("%u cells of ticks %llu to %llu\n", snapshot.count, (unsigned long long)snapshot.oldest_tick,
           (unsigned long long)snapshot.newest_tick);
    free(cells);
    return ask(rsw_close(swarm));
}
