/* passwd: `spate passwd`: a password or token in, the line for the users file out. */
#ifndef SPATE_ENGINE_CLI_PASSWD_H
#define SPATE_ENGINE_CLI_PASSWD_H

#include "engine/cli/command.h"

extern const struct option_set passwd_options;

int passwd_main(int argc, char **argv);

#endif
