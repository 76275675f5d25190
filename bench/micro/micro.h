/* micro: the form that all programs in this folder share. Each has a table of cases, one row each:
 *
 *      name, work              done so many times over in one pass; what it costs is told per operation
 *      beside                  the row that it is held against: a limit (a bare copy) or a simple rival (a heap of
 *                              timers), measured in the same run, in turns with it
 *
 * A pass to warm up, then `--repeats` passes of every row in turns, so that a noisy second falls on all of them alike;
 * told is the median and the spread of nanoseconds of this thread's CPU time, or of the clock where two threads are at
 * work. With --count each row does a fixed number of operations behind micro_counted(), which a tool that counts
 * instructions collects by name (bench/micro/counts); rows with two threads are left out there, for they spin. */
#ifndef SPATE_BENCH_MICRO_MICRO_H
#define SPATE_BENCH_MICRO_MICRO_H

#include "engine/base/check.h"

/* Something else that is worth telling of a row. */
struct micro_fact {
        const char *name; /* a key of JSON */
        double value;
};
#define MICRO_FACTS_MAX 4

struct micro_row {
        const char *name; /* at most 44 characters */
        void (*work)(void *context, uint64_t operations);
        void *context;
        const char *beside;  /* name of the row to tell a ratio to; NULL: none */
        uint64_t operations; /* of one timed pass; a multiple of MICRO_BATCH. 0: MICRO_OPERATIONS */
        bool has_threads;
        bool is_large; /* too slow for a tool that counts instructions */
        /* Called before anything is measured, if the row is wanted; may come again with the same context. NULL: nothing
         */
        void (*prepare)(void *context);
        /* Fills up to MICRO_FACTS_MAX and returns how many; NULL: there are none */
        size_t (*facts)(void *context, struct micro_fact *facts);
};

#define MICRO_BATCH 64
#define MICRO_OPERATIONS ((uint64_t)MICRO_BATCH * 4096)
#define MICRO_OPERATIONS_COUNTED ((uint64_t)MICRO_BATCH * 64)
#define MICRO_ROWS_MAX 128

/* All of a program's main(): reads the options, measures, prints. Returns the exit code. `name` is that of the program
 * without "micro_". */
int micro_main(int argc, char **argv, const char *name, const struct micro_row *rows, size_t rows_count);

/* Keeps the compiler from leaving out what leads to the bytes at `pointer`, or computing it once for a whole loop. */
static inline void micro_use(const void *pointer)
{
        __asm__ volatile("" : : "r"(pointer) : "memory");
}

#endif
