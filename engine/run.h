/* run: `spate run`: from options to a running engine and back. */
#ifndef SPATE_ENGINE_RUN_H
#define SPATE_ENGINE_RUN_H

#include "engine/command_table.h"
#include "engine/option_table.h"

/* Exit codes, also sysexits(3)'s. */
enum {
#define EXIT_ID(id, code, help) id = code,
        EXIT_TABLE(EXIT_ID)
#undef EXIT_ID
};

/* Reads flags (argv[first..]) and the environment; runs until SIGTERM or SIGINT. `heap_bytes` tells what the heap
 * holds, for the metrics. */
int run_main(int argc, char **argv, int first, uint64_t (*heap_bytes)(void));

#endif
