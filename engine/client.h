/* client: the small commands that talk to a running engine: `spate pub`, `spate sub`, `spate status`, `spate losses`.
 * Plain blocking sockets. */
#ifndef SPATE_ENGINE_CLIENT_H
#define SPATE_ENGINE_CLIENT_H

#include "engine/command.h"

extern const struct option_set pub_options, sub_options, status_options, losses_options;

/* argv[1] is the command's own name. Each returns an exit code of engine/run.h. */
int client_pub_main(int argc, char **argv);
int client_sub_main(int argc, char **argv);
int client_status_main(int argc, char **argv);
int client_losses_main(int argc, char **argv);

#endif
