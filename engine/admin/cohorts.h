/* cohorts: the largest cohorts of one reactor, for people. */
#ifndef SPATE_ENGINE_ADMIN_COHORTS_H
#define SPATE_ENGINE_ADMIN_COHORTS_H

#include "engine/reactor.h"

#define COHORTS_ROWS_MAX 100
/* Of more cohorts than so many, the largest of the oldest so many are told: an answer is given within a turn. */
#define COHORTS_LOOK_MAX 8192

/* The `rows_max` cohorts (1 .. COHORTS_ROWS_MAX) with the most members, the largest first, as a JSON object;
 * "looked_at" of "shared" cohorts were compared. "lag_bytes" of a cohort: the slowest of its members is at most so far
 * behind. On the heap, for the caller to free; NULL: no memory. */
char *cohorts_write_json(const struct reactor *reactor, size_t rows_max);

#endif
