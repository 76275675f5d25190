/* top: `spate top`: a page that tells how a running engine does, again and again. */
#ifndef SPATE_ENGINE_CLI_TOP_H
#define SPATE_ENGINE_CLI_TOP_H

#include "engine/cli/command.h"

extern const struct option_set top_options;

/* argv[1] is the command's own name. Returns an exit code of engine/run.h. */
int top_main(int argc, char **argv);

#endif
