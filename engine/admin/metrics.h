/* metrics: the answer to GET /metrics, in the text that Prometheus reads (exposition format 0.0.4). What it costs does
 * not depend on connections: it reads counters. */
#ifndef SPATE_ENGINE_ADMIN_METRICS_H
#define SPATE_ENGINE_ADMIN_METRICS_H

#include "engine/reactor.h"

/* On the heap, for the caller to free, *size bytes; NULL: no memory. */
char *metrics_write(struct reactor *reactor, size_t *size);

#endif
