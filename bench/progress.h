/* progress: one line on a terminal that tells how far a run is; nothing where standard error is none. */
#ifndef SPATE_BENCH_PROGRESS_H
#define SPATE_BENCH_PROGRESS_H

#include "bench/latency.h"

struct progress {
        bool is_shown;
        const char *label; /* which of several runs; "" for the only one */
        uint64_t from_ns, until_ns;
        uint64_t next_ns;
        uint64_t told_ns; /* of the line before: what was counted then */
        uint64_t told_count;
        const char *unit; /* of what is counted */
};

/* `label` and `unit` are borrowed. A run that begins at `from_ns`, its warm-up included, and ends at `until_ns`. */
void progress_init(struct progress *progress, const char *label, const char *unit, uint64_t from_ns, uint64_t until_ns);
/* Shows the line anew. `count` so far; `latency` may be NULL. */
void progress_show(struct progress *progress, uint64_t now_ns, uint64_t count, const struct latency *latency);
static inline void progress_turn(struct progress *progress, uint64_t now_ns, uint64_t count,
                                 const struct latency *latency)
{
        if (unlikely(progress->is_shown && now_ns >= progress->next_ns))
                progress_show(progress, now_ns, count, latency);
}
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
