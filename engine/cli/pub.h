/* pub: `spate pub`: publishes, and waits for a reply where one was asked for. */
#ifndef SPATE_ENGINE_CLI_PUB_H
#define SPATE_ENGINE_CLI_PUB_H

#include "engine/cli/command.h"

extern const struct option_set pub_options;
int pub_main(int argc, char **argv);

#endif
