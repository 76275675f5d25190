/* pingpong: loads in which one event waits for another.
 *
 * pingpong: a request goes out on one connection, the other answers, the round trip is timed.
 * subpub: SUB, PUB, UNSUB and PING leave in one segment; the event must come back before the PONG. */
#ifndef SPATE_BENCH_PINGPONG_H
#define SPATE_BENCH_PINGPONG_H

#include "bench/recipe.h"
#include "bench/report.h"

int pingpong_run(const struct recipe *recipe, struct report *report, char error[512]);
int subpub_run(const struct recipe *recipe, struct report *report, char error[512]);

#endif
