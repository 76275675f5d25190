/* connections: the account of each connection of one reactor, for people. */
#ifndef SPATE_ENGINE_ADMIN_CONNECTIONS_H
#define SPATE_ENGINE_ADMIN_CONNECTIONS_H

#include "engine/reactor.h"

#define CONNECTIONS_ROWS_MAX 1000
#define CONNECTIONS_LOOK_MAX 16384 /* an answer is given within a turn, so it is bounded */

/* At most `rows_max` connections that get events, from slot `from` on, as a JSON object whose "next" is the slot to go
 * on from, or null. On the heap, for the caller to free; NULL: no memory. Costs a step per slot, and some more per row.
 */
char *connections_write_json(const struct reactor *reactor, uint32_t from, size_t rows_max);
/* The `rows_max` connections (1 .. CONNECTIONS_ROWS_MAX) that are furthest behind, in bytes, the furthest first, and
 * behind them some that are not, where there are so many. "is_whole" is false when more than CONNECTIONS_LOOK_MAX wait
 * for their network: then only those that have waited longest were compared. */
char *connections_write_pending(const struct reactor *reactor, size_t rows_max);

#endif
