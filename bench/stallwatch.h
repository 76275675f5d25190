/* stallwatch: what becomes of subscribers that never read: when each has fallen behind by the limit, how much of the
 * kernel's memory it holds, when the server has ended it. Looks from outside (farend.h), a few a tick.
 *
 *      published ─────────────────────────────╲ limit reached: `behind_ns`
 *      taken by the kernel ──── stands still   ╲
 *                               ◀── limit ─────▶
 *
 * A reader's lag is what was published for it less what the server's kernel has taken; the second stands still once the
 * socket is full, so the moment is known from the history of the first. */
#ifndef SPATE_BENCH_STALLWATCH_H
#define SPATE_BENCH_STALLWATCH_H

#include "bench/crowd.h"
#include "bench/report.h"

struct stallwatch;

/* Watches the subscribers of `crowd` that stall. NULL where the kernel does not tell, or memory is short. */
struct stallwatch *stallwatch_new(const struct crowd *crowd);
void stallwatch_free(struct stallwatch *watch);
/* Once a turn; looks every few milliseconds. */
void stallwatch_turn(struct stallwatch *watch, uint64_t now_ns);
/* Rows of the report; with recipe->accounts a line for each stalled subscriber as well. */
void stallwatch_report(struct stallwatch *watch, struct report *report);

#endif
