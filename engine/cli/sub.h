/* sub: `spate sub`: subscribes, and prints what comes until it is told to stop. */
#ifndef SPATE_ENGINE_CLI_SUB_H
#define SPATE_ENGINE_CLI_SUB_H

#include "engine/cli/command.h"

extern const struct option_set sub_options;
int sub_main(int argc, char **argv);

#endif
