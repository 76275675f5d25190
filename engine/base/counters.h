/* counters: numbers that one reactor adds to and anyone reads. What there is to count is a table of the product
 * (engine/counter_table.h); this file knows only how to count, and how Prometheus wants to read it.
 *
 * Each reactor has its own array, padded apart from its neighbours. Adding is a relaxed load and store by the only
 * writer: no lock, no read-modify-write. A reader may see a value one addition old. */
#ifndef SPATE_BASE_COUNTERS_H
#define SPATE_BASE_COUNTERS_H

#include <stdatomic.h>

#include "engine/base/check.h"

enum counter_kind { COUNTER_TOTAL, COUNTER_GAUGE };

/* A row of the table. Rows of one `name` stand together and differ in their labels. */
struct counter_row {
        const char *name;   /* without prefix and without _total: "events_received" */
        const char *labels; /* "reason=\"slow_consumer\"" or "" */
        const char *help;   /* one sentence without a full stop at its end */
        enum counter_kind kind;
};

struct counters {
        size_t count;
        _Atomic uint64_t *values;
};

/* 0 or -ENOMEM. All begin at 0. */
int counters_init(struct counters *counters, size_t count);
void counters_fini(struct counters *counters);

/* The owning reactor only. */
static inline void counter_add(struct counters *counters, size_t index, uint64_t value)
{
        assert_slow(index < counters->count);
        _Atomic uint64_t *cell = &counters->values[index];
        atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + value, memory_order_relaxed);
}

/* For gauges; the owning reactor only. */
static inline void counter_set(struct counters *counters, size_t index, uint64_t value)
{
        assert_slow(index < counters->count);
        atomic_store_explicit(&counters->values[index], value, memory_order_relaxed);
}

/* Any thread. */
static inline uint64_t counter_read(const struct counters *counters, size_t index)
{
        assert_slow(index < counters->count);
        return atomic_load_explicit(&counters->values[index], memory_order_relaxed);
}

/* Writes the Prometheus text format (version 0.0.4) for all rows, summed over `counters_count` arrays, each name as
 * `prefix`_name with _total behind a COUNTER_TOTAL, HELP and TYPE once a name. Returns the bytes that the whole text
 * takes, as snprintf does; writes at most `out_size`, and a terminating 0 where it fits behind the text. */
size_t counters_write_prometheus(char *out, size_t out_size, const char *prefix, const struct counter_row *rows,
                                 size_t rows_count, const struct counters *const *counters, size_t counters_count);

#endif
