/* connections: the account of each connection of one reactor, for people. */
#ifndef SPATE_ENGINE_CONNECTIONS_H
#define SPATE_ENGINE_CONNECTIONS_H

#include "engine/reactor.h"

#define CONNECTIONS_ROWS_MAX 1000

/* At most `rows_max` connections that get events, from slot `from` on, as a JSON object whose "next" is the slot to go
 * on from, or null. On the heap, for the caller to free; NULL: no memory. Costs a step per slot, and some more per row.
 */
char *connections_write_json(const struct reactor *reactor, uint32_t from, size_t rows_max);

#endif
