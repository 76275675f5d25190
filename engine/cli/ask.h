/* ask: `spate status`, `losses`, `explain`, `reload`, `drain` and `postmortem --now`: one request to the admin address,
 * and its answer for people or as JSON. */
#ifndef SPATE_ENGINE_CLI_ASK_H
#define SPATE_ENGINE_CLI_ASK_H

#include "engine/cli/arguments.h"

extern const struct option_set status_options, losses_options, explain_options, control_options;
int status_main(int argc, char **argv);
int losses_main(int argc, char **argv);
int explain_main(int argc, char **argv);
int reload_main(int argc, char **argv);
int drain_main(int argc, char **argv);
/* For `spate postmortem`, whose options begin with those of `status`. The exit status. */
int ask_postmortem(const struct option_set *options, const struct arguments *arguments);

#endif
