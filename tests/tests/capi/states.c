/* states FD...: how the kernel of the plane behind each inherited descriptor is: the status and RSW_STATE_*, a line each. */
#include "as_reader.h"
#include "check.h"

int main(int argc, char **argv)
{
    for (int at = 1; at < argc; at++) {
        rsw_reader *reader;
        rsw_reader_ring *ring;
        struct rsw_state_info info = RSW_INIT(struct rsw_state_info);
        EXPECT(rsw_reader_open(atoi(argv[at]), &reader), RSW_OK);
        int32_t status = rsw_reader_state(reader, &info);
        CHECK(rsw_reader_reattach(reader) == status);
        /* A ring with nothing to read says it, too. */
        EXPECT(rsw_reader_ring_open(reader, RSW_FROM_LATEST, 0, &ring), RSW_OK);
        EXPECT(rsw_reader_ring_wait(ring, 1000000, RSW_WAIT_BLOCK), status == RSW_OK ? RSW_EMPTY : status);
        EXPECT(rsw_reader_ring_close(ring), RSW_OK);
        printf("%d %d\n", status, info.state);
        EXPECT(rsw_reader_close(reader), RSW_OK);
    }
    return 0;
}
