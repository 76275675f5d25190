/* fan: the loads that go from publishers to subscribers: fan, wildcard, latency, pub and sub.
 *
 * Closed loop (fan, wildcard). Every subscriber passes a gate each half window; when the last one has passed, the gate
 * opens and the publishers may go on for another half:
 *
 *      subscribers        | gate      | gate + 1  | gate + 2
 *      slowest ──────────▶│ · · · · · │           │
 *      published ─────────────────────────────────▶ at most one window beyond the gate
 *
 * so nobody is ever more than a window behind, and finding the slowest costs one counter a gate, not a search.
 *
 * Open loop (latency). Event i is meant to leave at start + i / rate, whatever happens; if the generator or the server
 * is late, the delay belongs to the latency. */
#ifndef SPATE_BENCH_FAN_H
#define SPATE_BENCH_FAN_H

#include "bench/recipe.h"
#include "bench/report.h"

/* Runs the load. Returns the exit code; `error` tells why when it is not BENCH_OK. */
int fan_run(const struct recipe *recipe, struct report *report, char error[512]);

#endif
