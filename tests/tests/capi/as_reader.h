/* Puts rsw_reader.h in the place of the library: what a test program or an example calls by the library's names is the header's
 * function of that name. Given to the compiler by -include; nothing is linked. */
#ifndef AS_READER_H
#define AS_READER_H

#include <rsw/rsw_reader.h>

static inline int32_t as_reader_connect(const rsw_options *options, rsw_reader **reader)
{
    return rsw_reader_connect(options ? options->socket : NULL, options ? options->timeout_ms : 0, reader);
}

#define rsw_swarm rsw_reader
#define rsw_ring rsw_reader_ring
#define rsw_connect as_reader_connect
#define rsw_close rsw_reader_close
#define rsw_state rsw_reader_state
#define rsw_reattach rsw_reader_reattach
#define rsw_board_count rsw_reader_board_count
#define rsw_board_describe rsw_reader_board_describe
#define rsw_board_find rsw_reader_board_find
#define rsw_board_read rsw_reader_board_read
#define rsw_board_snapshot rsw_reader_board_snapshot
#define rsw_ring_open rsw_reader_ring_open
#define rsw_ring_poll rsw_reader_ring_poll
#define rsw_ring_wait rsw_reader_ring_wait
#define rsw_ring_stats rsw_reader_ring_stats
#define rsw_ring_close rsw_reader_ring_close
#define rsw_last_error rsw_reader_last_error
#define rsw_status_str(status) ((status) < 0 ? "an error" : "no error")

#endif
