/* statusjson: the answer to GET /status: who this server is, and the totals of each reactor since the start. Viewers
 * take differences, against "now_ns". */
#ifndef SPATE_ENGINE_ADMIN_STATUSJSON_H
#define SPATE_ENGINE_ADMIN_STATUSJSON_H

#include "engine/reactor.h"

/* On the heap, for the caller to free; NULL: no memory. Reads the counters of all reactors and asks none of them. */
char *statusjson_write(struct reactor *reactor);

#endif
