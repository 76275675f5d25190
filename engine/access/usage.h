/* usage: how much of what is limited one user has, on all reactors. Each reactor counts what it has in a cell of its
 * own, and reads those of the others, a moment late: two that take the last place at the same moment both get it.
 *
 * There is one for each name, across the images of the users that have it. Whoever loads those makes and frees it, when
 * no image has the name and no reactor looks at it any more. */
#ifndef SPATE_ENGINE_ACCESS_USAGE_H
#define SPATE_ENGINE_ACCESS_USAGE_H

#include <stdatomic.h>

#include "engine/base/epoch.h"
#include "engine/base/map.h"
#include "engine/base/span.h"

enum usage_kind {
        USAGE_PATTERNS, /* distinct ones, on each reactor */
        USAGE_SHAPES,   /* distinct positions of wildcards in them, likewise */
        USAGE_PARTING,  /* subscriptions of connections that have ended, which are still being taken away */
        USAGE_KINDS
};

struct usage_cell {
        _Atomic uint32_t counts[USAGE_KINDS];
};

struct usage {
        struct map_node node;
        struct epoch_retired retired;
        size_t users_count; /* in how many images */
        uint8_t *name;
        size_t name_bytes;
        unsigned reactors_count;
        struct usage_cell cells[];
};

struct usages {
        struct map by_name;
        uint64_t seed;
        unsigned reactors_count;
        struct epoch_bin bin;
};

/* 0 or -ENOMEM. */
int usages_init(struct usages *usages, unsigned reactors_count);
/* All have been dropped. Accepts a zeroed one. */
void usages_fini(struct usages *usages);
/* That of `name`, made if need be; NULL: no memory. Each call is for one usage_drop(). */
struct usage *usages_get(struct usages *usages, struct span name);
void usage_drop(struct usages *usages, struct usage *usage);

/* By reactor `reactor`, of its own. */
static inline void usage_change(struct usage *usage, unsigned reactor, enum usage_kind kind, int32_t change)
{
        /* Relaxed, and the reads as well: a count alone carries nothing. */
        _Atomic uint32_t *count = &usage->cells[reactor].counts[kind];
        atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + (uint32_t)change,
                              memory_order_relaxed);
}

static inline uint64_t usage_sum(const struct usage *usage, enum usage_kind kind)
{
        uint64_t sum = 0;
        for (unsigned i = 0; i < usage->reactors_count; i++)
                sum += atomic_load_explicit(&usage->cells[i].counts[kind], memory_order_relaxed);
        return sum;
}

#endif
