/* natstext: times as nats-server's monitoring writes them, for clients of that. */
#ifndef SPATE_ENGINE_ADMIN_NATSTEXT_H
#define SPATE_ENGINE_ADMIN_NATSTEXT_H

#include "engine/base/check.h"

#define NATSTEXT_BYTES 64

/* "2026-11-21T18:06:57.755253996Z" of nanoseconds since 1970. Both return `out`. */
const char *natstext_time(char out[NATSTEXT_BYTES], uint64_t unix_ns);
/* "2s", "1m2s", "3h1m2s", "4d3h1m2s", "1y4d3h1m2s". */
const char *natstext_duration(char out[NATSTEXT_BYTES], uint64_t ns);

#endif
