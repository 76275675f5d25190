/* load: one run: what a recipe says, once, with connections of its own. */
#ifndef SPATE_BENCH_LOAD_H
#define SPATE_BENCH_LOAD_H

#include "bench/recipe.h"
#include "bench/report.h"

/* Runs until the load is over. The report is the caller's; its exit code and its error say how it went. `label` says
 * which of several runs this is, for the line that tells how far it is; "" for the only one. */
struct report *load_run(const struct recipe *recipe, const char *label);

#endif
