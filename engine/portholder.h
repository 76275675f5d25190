/* portholder: who sits on an address that we want? */
#ifndef SPATE_ENGINE_PORTHOLDER_H
#define SPATE_ENGINE_PORTHOLDER_H

#include <stddef.h>

/* Writes something like "nats-server (pid 4711)", or "another process" when /proc does not tell, into `out` and returns
 * it. `address` is as io/address.h reads it; of "any" whoever listens on that port. */
const char *portholder_name(const char *address, char *out, size_t out_size);

#endif
