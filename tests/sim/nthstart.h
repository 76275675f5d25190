/* nthstart: `spate run` as it is, from its arguments to READY and to its orderly end, on a backend of the kernel's,
 * with its threads. What the simulated world cannot show of a start. */
#ifndef SPATE_TESTS_NTHSTART_H
#define SPATE_TESTS_NTHSTART_H

#include <stdbool.h>

/* Can this backend be had here? */
bool nthstart_has(const char *backend);
/* Faults strike from the first argument read until it is ready, or says in one line why it cannot start; all that it
 * took is back then. false: it did not start. `is_counted`: see world_count_memory(). */
bool nthstart(const char *backend, bool is_counted);

#endif
