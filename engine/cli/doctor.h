/* doctor: `spate doctor`: is this machine fit for `spate run` with these options, and is a running engine well? */
#ifndef SPATE_ENGINE_CLI_DOCTOR_H
#define SPATE_ENGINE_CLI_DOCTOR_H

#include "engine/cli/command.h"

/* Those of `spate run`, and the doctor's own behind them. */
extern const struct option_set doctor_options;

/* 0: nothing fails; EXIT_FAILED: something does. */
int doctor_main(int argc, char **argv);

#endif
