/* abuse: what ill-meaning peers do, as a load: run beside another generator that behaves, it shows what that one feels.
 *
 *      half       --subscribers connections that say half of their hello and then a byte now and then, never its end
 *      connects   --rate connections a second that come, hear the server's first word, and go with a reset
 *
 * With --wrong-hosts each comes from one of so many loopback addresses in turn, as a host may have only so many ports.
 */
#ifndef SPATE_BENCH_ABUSE_H
#define SPATE_BENCH_ABUSE_H

#include "bench/recipe.h"
#include "bench/report.h"

/* Returns the exit code. */
int abuse_run(const struct recipe *recipe, struct report *report, char error[512]);
/* On loopback, before connect(): from the address with this number of so many, as 127.0.1.1 and so on. */
void abuse_choose_source(const struct target *target, int fd, uint64_t number, uint64_t hosts);

#endif
