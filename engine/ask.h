/* ask: `spate status` and `spate losses`: one question to the admin address, and its answer for people or as JSON. */
#ifndef SPATE_ENGINE_ASK_H
#define SPATE_ENGINE_ASK_H

#include "engine/command.h"

extern const struct option_set status_options, losses_options;
int status_main(int argc, char **argv);
int losses_main(int argc, char **argv);

#endif
