/* drain: a server is told to stop while publishers go on: does every reader get what was promised?
 *
 *      publisher   PUB PUB PUB PING  PUB PUB PUB PING  PUB PUB …  SIGTERM …  end
 *      confirmed ──────────────▲ PONG ─────────────▲ PONG
 *
 * An event is confirmed when its publisher has heard a PONG that was asked for behind it. Each confirmed event must
 * reach each reader before the server ends that reader's connection. */
#ifndef SPATE_BENCH_DRAIN_H
#define SPATE_BENCH_DRAIN_H

#include "bench/recipe.h"
#include "bench/report.h"

/* Runs the load, sends SIGTERM to recipe->server_pid, reads on until everybody's end. Returns the exit code. */
int drain_run(const struct recipe *recipe, struct report *report, char error[512]);

#endif
