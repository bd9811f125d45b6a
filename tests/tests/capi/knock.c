/* knock [SOCKET]: connects, and prints the status and the words. */
#include "check.h"

int main(int argc, char **argv)
{
    rsw_options options = RSW_OPTIONS_INIT;
    rsw_swarm *swarm = NULL;
    options.socket = argc > 1 ? argv[1] : NULL;
    int32_t status = rsw_connect(&options, &swarm);
    printf("%d\n%s\n", status, status < 0 ? rsw_last_error() : "");
    return status < 0 ? 0 : rsw_close(swarm);
}
