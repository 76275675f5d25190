/* lossview: what `spate losses` shows of the JSON that /losses answers. */
#ifndef SPATE_ENGINE_CLI_LOSSVIEW_H
#define SPATE_ENGINE_CLI_LOSSVIEW_H

#include <stdio.h>

#include "engine/base/span.h"

/* Prints a table, the newest loss first. 0, or -EPROTO and nothing printed when `json` is no such answer. */
int lossview_print(FILE *out, struct span json);

#endif
