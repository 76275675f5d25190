/* configview: `spate check` and `spate config`: what a start would make of the configuration, without one. */
#ifndef SPATE_ENGINE_CLI_CONFIGVIEW_H
#define SPATE_ENGINE_CLI_CONFIGVIEW_H

#include "engine/cli/command.h"

/* Options as `spate run` takes them. Reads and checks everything that can be without starting: file, options, users,
 * addresses, CPUs. The exit status. */
int check_main(int argc, char **argv);
extern const struct option_set config_options;
/* spate config show|diff|defaults. The exit status. */
int config_main(int argc, char **argv);

#endif
