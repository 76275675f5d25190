/* rounds: the same load several times over, on one target or on several in turns.
 *
 *      round 1     target a     target b        a machine is never equally quiet twice: what is to be compared runs
 *      round 2     target a     target b        side by side, and medians with their spread are told
 *
 * The first run that fails ends it: a stream that was not whole is no figure. */
#ifndef SPATE_BENCH_ROUNDS_H
#define SPATE_BENCH_ROUNDS_H

#include "bench/recipe.h"
#include "bench/report.h"

struct contender {
        const struct recipe *recipe;
        struct report **reports; /* one a round, owned */
        size_t reports_count;
};

/* Runs them all; returns the exit code. rounds_fini() frees the reports. */
int rounds_run(struct contender *contenders, size_t contenders_count, uint64_t rounds);
void rounds_fini(struct contender *contenders, size_t contenders_count);

#endif
