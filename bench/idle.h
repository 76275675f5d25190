/* idle: what connections cost that do nothing: memory of the server, its CPU time, and the time to open them. */
#ifndef SPATE_BENCH_IDLE_H
#define SPATE_BENCH_IDLE_H

#include "bench/recipe.h"
#include "bench/report.h"

int idle_run(const struct recipe *recipe, struct report *report, char error[512]);

#endif
