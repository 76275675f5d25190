/* `spate postmortem FILE`: what the reactors did last before one of them crashed or hung, in the order of time; or with
 * --now has a running engine write such a file. */
#ifndef SPATE_ENGINE_CLI_POSTMORTEM_H
#define SPATE_ENGINE_CLI_POSTMORTEM_H

#include "engine/cli/command.h"

extern const struct option_set postmortem_options;
int postmortem_main(int argc, char **argv);

#endif
