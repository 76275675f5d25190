/* explainview: what `spate explain` shows of the JSON that /explain answers. */
#ifndef SPATE_ENGINE_CLI_EXPLAINVIEW_H
#define SPATE_ENGINE_CLI_EXPLAINVIEW_H

#include <stdio.h>

#include "engine/base/span.h"

/* Prints it for people; nothing where `out` is NULL. 0: somebody would get an event; 1: nobody would; -EPROTO and
 * nothing printed when `json` is no such answer. */
int explainview_print(FILE *out, struct span json);

#endif
