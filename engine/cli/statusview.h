/* statusview: what `spate status` shows of the JSON that /status answers. */
#ifndef SPATE_ENGINE_CLI_STATUSVIEW_H
#define SPATE_ENGINE_CLI_STATUSVIEW_H

#include <stdio.h>

#include "engine/base/span.h"

/* Prints a short table. 0, or -EPROTO and nothing printed when `json` is not such a status. */
int statusview_print(FILE *out, struct span json);

#endif
