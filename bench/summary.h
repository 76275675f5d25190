/* summary: several runs of one load as one: of each figure the median, the least and the most. */
#ifndef SPATE_BENCH_SUMMARY_H
#define SPATE_BENCH_SUMMARY_H

#include "bench/rounds.h"

struct spread {
        double median; /* of an even number the mean of the two in the middle */
        double least, most;
        size_t count; /* runs that tell of this figure; one that failed does not count, unless it is the only one */
};

/* Of the rows called `name`; all zero when nobody has such a number. */
struct spread summary_spread(struct report *const *reports, size_t reports_count, const char *name);

/* A table for people: a row a figure, a column a contender. One run of one contender prints as report_print() does. */
void summary_print(const struct contender *contenders, size_t contenders_count, FILE *out);
/* One JSON object. Of one contender: the medians under the names of the figures, and with several runs also `repeats`,
 * `least`, `most` and `runs`. Of several contenders: `targets`, a list of such objects, and `ratios`, of each but the
 * first how its medians stand to the first's. */
void summary_print_json(const struct contender *contenders, size_t contenders_count, FILE *out);

#endif
