/* What the test programs share: an expectation that names itself when it fails. */
#ifndef CHECK_H
#define CHECK_H

#include <rsw/rsw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, rsw_last_error());          \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define EXPECT(call, status)                                                                                           \
    do {                                                                                                               \
        int32_t got = (call);                                                                                          \
        if (got != (status)) {                                                                                         \
            fprintf(stderr, "%s:%d: %s is %d (%s), not %d; last error: %s\n", __FILE__, __LINE__, #call, got,          \
                    rsw_status_str(got), (int)(status), rsw_last_error());                                             \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
