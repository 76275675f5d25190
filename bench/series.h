/* series: what happened when: a run in slices of equal length, each with what was published and delivered in it and
 * with the latencies that were recorded in it.
 *
 *      slices   | 0 | 1 | 2 | ... |        a slice ends at the first look behind its time
 *      cells      b:n b:n  b:n ...         what each bucket has grown by; most have not
 *
 * Noted while the load runs, so a slice is a few microseconds of work: no text is made of it, nothing compressed. */
#ifndef SPATE_BENCH_SERIES_H
#define SPATE_BENCH_SERIES_H

#include "bench/latency.h"

struct slice {
        uint64_t from_ns, until_ns; /* of the load's clock */
        uint64_t published;         /* in this slice */
        uint64_t deliveries;
        size_t cells_first, cells_count;
};

struct series {
        const struct latency *latency; /* borrowed until series_close(); what grows */
        struct latency seen;           /* as it was at the last slice's end */
        uint64_t slice_ns;
        uint64_t next_ns; /* when the open slice ends */
        uint64_t from_ns;
        uint64_t published, deliveries; /* at the last slice's end */
        struct slice *slices;
        size_t slices_count, slices_room;
        struct cell {
                uint64_t count;
                unsigned bucket;
        } * cells;
        size_t cells_count, cells_room;
};

/* Begins at `from_ns`, when so much had been published and delivered. What `latency` holds already is of the first
 * slice. */
struct series *series_new(const struct latency *latency, uint64_t slice_ns, uint64_t from_ns, uint64_t published,
                          uint64_t deliveries);
/* NULL is fine. */
void series_free(struct series *series);

void series_cut(struct series *series, uint64_t now_ns, uint64_t published, uint64_t deliveries);
/* Once a turn. */
static inline void series_turn(struct series *series, uint64_t now_ns, uint64_t published, uint64_t deliveries)
{
        if (unlikely(now_ns >= series->next_ns))
                series_cut(series, now_ns, published, deliveries);
}
/* Ends the open slice at `now_ns`; latencies of events that were under way then may still be recorded, and
 * series_close() adds them to it. */
void series_close(struct series *series);

/* The latencies of one slice. `to` is emptied first. */
void series_latency(const struct series *series, size_t index, struct latency *to);

#endif
