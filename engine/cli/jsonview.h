/* jsonview: JSON of the admin address, with a line for each member. Numbers and texts stay as they were written, so
 * what a program reads is the same; only characters that could do something to a terminal become \u escapes, which are
 * the same text to it as well. */
#ifndef SPATE_ENGINE_CLI_JSONVIEW_H
#define SPATE_ENGINE_CLI_JSONVIEW_H

#include <stdio.h>

#include "engine/base/span.h"

/* 0, or -EPROTO and nothing printed when `json` is no JSON. */
int jsonview_print(FILE *out, struct span json);

#endif
