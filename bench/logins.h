/* logins: wrong logins beside another load: connections that open, say a wrong password and wait for what they are
 * told, so many a second, by a schedule that waits for nobody. One thread serves both; these are looked at some
 * thousand times a second, and no answer delays the next attempt. */
#ifndef SPATE_BENCH_LOGINS_H
#define SPATE_BENCH_LOGINS_H

#include "bench/recipe.h"
#include "bench/report.h"

struct logins;

struct logins *logins_new(const struct recipe *recipe);
void logins_free(struct logins *logins);
/* Starts what is due at `now_ns` and serves what has come. */
void logins_turn(struct logins *logins, uint64_t now_ns);
void logins_report(const struct logins *logins, struct report *report);

#endif
