/* churn: subscriptions and readers come and go while events flow, and every delivery is accounted for.
 *
 * What must hold, for each subscription and publisher (sequences are per publisher and subject):
 *
 *      SUB ─▶ PONG      from what is published after the PONG on, every number comes, in order, once
 *      UNSUB ─▶ PONG    nothing comes behind it
 *      the end          when publishing has stopped, the last number published comes
 *
 * A number that did not come is a gap. Readers that always read may have none; those that rest now and then may be
 * skipped or cut, and then the server's ledger must say of that connection what we count. With --hold the run stands
 * still at its end, everybody connected, until somebody has compared. */
#ifndef SPATE_BENCH_CHURN_H
#define SPATE_BENCH_CHURN_H

#include "bench/recipe.h"
#include "bench/report.h"

/* Returns the exit code. */
int churn_run(const struct recipe *recipe, struct report *report, char error[512]);

#endif
