/* arguments: the command line and the environment of a command that talks to an engine: options by its rows, and what
 * is no option. */
#ifndef SPATE_ENGINE_CLI_ARGUMENTS_H
#define SPATE_ENGINE_CLI_ARGUMENTS_H

#include "engine/cli/command.h"

#define ARGUMENTS_PLACED_MAX 1024

struct arguments {
        struct options options;
        const char *placed[ARGUMENTS_PLACED_MAX]; /* arguments that are not options, in their order; borrowed */
        size_t placed_count;
};

/* Reads SPATE_* and argv[2..]. Options may stand before, between and behind the other arguments; "--" ends them.
 * EXIT_OK, or a failure of `command` that was told. arguments_fini() is due in any case. */
int arguments_init(struct arguments *arguments, const char *command, const struct option_set *set, int argc,
                   char **argv);
void arguments_fini(struct arguments *arguments);

#endif
