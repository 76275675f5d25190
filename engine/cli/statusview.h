/* statusview: what `spate status` shows of the JSON that /status answers. */
#ifndef SPATE_ENGINE_CLI_STATUSVIEW_H
#define SPATE_ENGINE_CLI_STATUSVIEW_H

#include <stdio.h>

#include "engine/base/span.h"

/* Prints a short table. 0, or -EPROTO and nothing printed when `json` is not such a status. */
int statusview_print(FILE *out, struct span json);

/* The body of a whole HTTP/1.x answer; *status is its code. 0: more bytes are needed (or, when `is_ended`, they are
 * missing); 1: here it is; -EPROTO: not such an answer. An answer without a Content-Length ends with its connection. */
int statusview_body(struct span answer, bool is_ended, int *status, struct span *body);

#endif
