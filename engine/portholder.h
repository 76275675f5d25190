/* portholder: who sits on a TCP port that we want? */
#ifndef SPATE_ENGINE_PORTHOLDER_H
#define SPATE_ENGINE_PORTHOLDER_H

#include <stddef.h>

/* Writes something like "nats-server (pid 4711)", or "another process" when /proc does not tell, into `out` and returns
 * it. `address` is "HOST:PORT". */
const char *portholder_name(const char *address, char *out, size_t out_size);

#endif
