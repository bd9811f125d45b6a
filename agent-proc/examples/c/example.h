/* What the examples share: ask, or say why not and end. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <rsw/rsw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with the library's words if `status` is an error; gives it back otherwise. */
static inline int32_t ask(int32_t status)
{
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", rsw_status_str(status), rsw_last_error());
        exit(1);
    }
    return status;
}

/* The number on the command line at `at`, or `otherwise`. */
static inline unsigned long number(int argc, char **argv, int at, unsigned long otherwise)
{
    return argc > at ? strtoul(argv[at], NULL, 10) : otherwise;
}

#endif
