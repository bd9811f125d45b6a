/* metrics-batches [COUNT]: record batches through the Arrow C data interface; their columns lie in the loan. */
#include "example.h"

/* The place of a column, by its name. */
static int64_t column(const struct ArrowSchema *schema, const char *name)
{
    for (int64_t at = 0; at < schema->n_children; at++)
        if (strcmp(schema->children[at]->name, name) == 0)
            return at;
    fprintf(stderr, "no column %s\n", name);
    exit(1);
}

int main(int argc, char **argv)
{
    unsigned long left = number(argc, argv, 1, 3);
    rsw_swarm *swarm = NULL;
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    ask(rsw_connect(NULL, &swarm));
    ask(rsw_batches_stream(swarm, 10000000000, &stream));
    if (stream.get_schema(&stream, &schema) != 0) {
        fprintf(stderr, "%s\n", stream.get_last_error(&stream));
        return 1;
    }
    int64_t ci = column(&schema, "ci"), tick = column(&schema, "tick");
    for (; left > 0; left--) {
        if (stream.get_next(&stream, &batch) != 0) {
            fprintf(stderr, "%s\n", stream.get_last_error(&stream));
            return 1;
        }
        if (!batch.release)
            break; /* The end. */
        const double *values = (const double *)batch.children[ci]->buffers[1] + batch.children[ci]->offset;
        const uint64_t *ticks = (const uint64_t *)batch.children[tick]->buffers[1] + batch.children[tick]->offset;
        double sum = 0.0;
        for (int64_t row = 0; row < batch.length; row++)
            sum += values[row];
        printf("ticks %llu to %llu, %lld rows, mean ci %.6f\n", (unsigned long long)ticks[0],
               (unsigned long long)ticks[batch.length - 1], (long long)batch.length, sum / (double)batch.length);
        batch.release(&batch);
    }
    schema.release(&schema);
    stream.release(&stream);
    return ask(rsw_close(swarm));
}
