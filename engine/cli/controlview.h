/* controlview: what the admin address answers to POST /reload, /postmortem and /drain, as a sentence and an exit
 * status. */
#ifndef SPATE_ENGINE_CLI_CONTROLVIEW_H
#define SPATE_ENGINE_CLI_CONTROLVIEW_H

#include "engine/base/span.h"

/* Prints it to standard output, or what went wrong to standard error, for the command `name`; nothing if `is_quiet`.
 * -EPROTO: not such an answer; else the exit status. */
int controlview_print(const char *name, struct span json, bool is_quiet);

#endif
