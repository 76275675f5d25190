/* ask: `spate status`, `losses`, `explain`, `reload` and `drain`: one request to the admin address, and its answer for
 * people or as JSON. */
#ifndef SPATE_ENGINE_CLI_ASK_H
#define SPATE_ENGINE_CLI_ASK_H

#include "engine/cli/command.h"

extern const struct option_set status_options, losses_options, explain_options, control_options;
int status_main(int argc, char **argv);
int losses_main(int argc, char **argv);
int explain_main(int argc, char **argv);
int reload_main(int argc, char **argv);
int drain_main(int argc, char **argv);

#endif
