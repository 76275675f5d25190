/* jsontext: what several answers of the admin address have in common, on top of jansson. Texts that clients chose may
 * hold anything; in JSON they are UTF-8. Not for the event path: it allocates. Out of memory shows as a missing member,
 * or as NULL at the end. */
#ifndef SPATE_ENGINE_ADMIN_JSONTEXT_H
#define SPATE_ENGINE_ADMIN_JSONTEXT_H

#include <jansson.h>

#include "engine/account.h"
#include "engine/base/span.h"

#define JSONTEXT_TIME_BYTES 32

/* Bytes that are not UTF-8 become U+FFFD; `is_cut` adds "…". */
json_t *jsontext_string(struct span text, bool is_cut);
/* "2026-11-21T09:30:00.123Z", so long ago. Returns `out`. */
const char *jsontext_time(char out[JSONTEXT_TIME_BYTES], uint64_t ago_ns);
/* "matched", "released", "dropped": {reason: count, …} with the reasons that have any, "pending". */
void jsontext_add_account(json_t *json, const struct account *account, uint64_t pending);
/* Writes the whole and lets go of `json`. On the heap; NULL: no memory. */
char *jsontext_end(json_t *json);

#endif
