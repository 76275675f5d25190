/* exacthash: the limit that matchers are held against. The least that finding a whole subject takes when nobody may
 * subscribe, unsubscribe or use wildcards: one hash, one line of a table, one comparison with the text that is there.
 */
#ifndef SPATE_BENCH_MICRO_EXACTHASH_H
#define SPATE_BENCH_MICRO_EXACTHASH_H

#include "engine/base/span.h"

struct exacthash;

struct exacthash *exacthash_new(size_t texts_max);
void exacthash_free(struct exacthash *hash);
/* Once each. */
void exacthash_add(struct exacthash *hash, struct span text);
/* The number of the text, by the order they were added in; UINT32_MAX: it is not there. */
uint32_t exacthash_find(const struct exacthash *hash, struct span text);

#endif
