/* standing: subscriptions that stand beside another load, and change. No event of the load is for them, so what they
 * cost is the server's finding that out, and its taking up of the changes.
 *
 *      half seconds     │ changes │ rest │ changes │ rest │ …       told: the rate of each kind, and how one is to the
 *      deliveries            d0     d1       d2      d3             other, the median of all neighbours
 *
 * One connection has them all. A change is an UNSUB or the SUB of another pattern in its place: of twenty patterns
 * eighteen have no wildcard, one has a star within, one a star in front. */
#ifndef SPATE_BENCH_STANDING_H
#define SPATE_BENCH_STANDING_H

#include "bench/recipe.h"
#include "bench/report.h"

struct standing;

/* Connects and subscribes, and waits until the server has confirmed all. 0 or an exit code with one line in `error`. */
int standing_new(struct standing **standing, const struct recipe *recipe, char error[512]);
/* Accepts NULL. */
void standing_free(struct standing *standing);
/* Makes the changes that are due at `now_ns`, and counts: `deliveries` is how many there have been. From its first call
 * on; it is called some thousand times a second. 0 or an exit code with one line in `error`. */
int standing_turn(struct standing *standing, uint64_t now_ns, uint64_t deliveries, char error[512]);
void standing_report(struct standing *standing, struct report *report);

#endif
