/* churn TIMES: attaches, uses everything, and detaches, again and again: neither descriptors nor mappings grow. */
#include "check.h"
#include <dirent.h>
#include <unistd.h>

static int entries(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    CHECK(folder != NULL);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static int lines(const char *path)
{
    int count = 0, c;
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while ((c = fgetc(file)) != EOF)
        count += c == '\n';
    fclose(file);
    return count;
}

static void once(void)
{
    rsw_swarm *swarm = NULL;
    rsw_ring *ring = NULL;
    rsw_event event;
    int32_t status;
    /* The gateway lets in 64 a second. */
    while ((status = rsw_connect(NULL, &swarm)) == RSW_E_LIMIT)
        usleep(20000);
    EXPECT(status, RSW_OK);
    EXPECT(rsw_ring_open(swarm, RSW_FROM_OLDEST, 0, &ring), RSW_OK);
    CHECK(rsw_ring_poll(ring, &event, 1, NULL) >= 0);
#ifndef AS_READER_H
    rsw_field *field = NULL;
    rsw_batches *batches = NULL;
    EXPECT(rsw_field_open(swarm, "ci", &field), RSW_OK);
    EXPECT(rsw_batches_open(swarm, &batches), RSW_OK);
    EXPECT(rsw_batches_close(batches), RSW_OK);
    EXPECT(rsw_field_close(field), RSW_OK);
#endif
    EXPECT(rsw_ring_close(ring), RSW_OK);
    EXPECT(rsw_close(swarm), RSW_OK);
}

int main(int argc, char **argv)
{
    unsigned long times = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    for (int at = 0; at < 10; at++)
        once();
    int fds = entries("/proc/self/fd"), maps = lines("/proc/self/maps");
    for (unsigned long at = 0; at < times; at++)
        once();
    int fds_now = entries("/proc/self/fd"), maps_now = lines("/proc/self/maps");
    printf("descriptors %d, then %d; mappings %d, then %d\n", fds, fds_now, maps, maps_now);
    CHECK(fds_now == fds);
    CHECK(maps_now <= maps + 2); /* The heap may be cut differently. */
    puts("churn: ok");
    return 0;
}
