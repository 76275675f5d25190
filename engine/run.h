/* run: `spate run`: from options to a running engine and back. */
#ifndef SPATE_ENGINE_RUN_H
#define SPATE_ENGINE_RUN_H

#include "engine/exit_table.h"
#include "engine/option_table.h"

/* Reads flags (argv[first..]) and the environment; runs until SIGTERM or SIGINT. `heap_bytes` tells what the heap
 * holds, for the metrics. */
int run_main(int argc, char **argv, int first, uint64_t (*heap_bytes)(void));

#endif
