/* field-heatmap [FILE]: borrows a frame of the complexity field, without a copy, and writes it as an image (PGM). */
#include "example.h"

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "ci.pgm";
    rsw_swarm *swarm = NULL;
    rsw_ring *ring = NULL;
    rsw_field *field = NULL;
    rsw_loan *loan = NULL;
    rsw_frame frame = RSW_INIT(rsw_frame);
    rsw_event events[256];
    ask(rsw_connect(NULL, &swarm));
    ask(rsw_ring_open(swarm, RSW_FROM_LATEST, 0, &ring));
    ask(rsw_field_open(swarm, "ci", &field));
    while (ask(rsw_field_loan_latest(field, &loan, &frame)) == RSW_EMPTY) {
        /* Frames wake nobody; the events of their ticks do. */
        if (ask(rsw_ring_wait(ring, 100000000, RSW_WAIT_BLOCK)) == RSW_ENDED)
            return 1;
        ask(rsw_ring_poll(ring, events, 256, NULL));
    }
    FILE *file = fopen(path, "wb");
    if (!file) {
        perror(path);
        return 1;
    }
    fprintf(file, "P5\n%u %u\n255\n", frame.nx, frame.ny);
    float range = frame.max > frame.min ? frame.max - frame.min : 1.0f;
    for (size_t at = 0; at < (size_t)frame.nx * frame.ny; at++)
        fputc((int)(255.0f * ((frame.data[at] - frame.min) / range)), file);
    if (fclose(file) != 0) {
        perror(path);
        return 1;
    }
    printf("ci %u x %u, %.6f to %.6f\n", frame.nx, frame.ny, (double)frame.min, (double)frame.max);
    ask(rsw_loan_release(loan));
    ask(rsw_field_close(field));
    ask(rsw_ring_close(ring));
    return ask(rsw_close(swarm));
}
