/* interest: what each reactor publishes of its own subscribers, so that a publisher elsewhere knows who is there before
 * it sends: of each pattern how many plain ones, and how many in each queue group.
 *
 *      interests of one reactor    [ id ]  plain │ groups ─▶ row {name, count} ─▶ row …
 *                                                │ filtered ─▶ row {count} …
 *
 * Subscribers that may not see every event of their pattern have rows of their own, which name their permissions:
 * whether anyone is there for an event is known before it is sent.
 *
 * Only its reactor writes it; any reactor reads it, without a lock and a moment late. A row that is taken out is freed
 * when every reactor has passed a turn. Whoever keeps what it read is told by the matcher's stamps (match_touch),
 * before the subscriber hears that it has subscribed, whenever a pattern has a first plain subscriber or a last, a row
 * more or one less. `reach` is the pattern's. */
#ifndef SPATE_ENGINE_INTEREST_H
#define SPATE_ENGINE_INTEREST_H

#include <stdatomic.h>

#include "matcher/match.h"

struct permissions;

/* Those of one queue group of one pattern on one reactor, or of its plain subscribers, who have the same filter. */
struct interest_row {
        struct epoch_retired retired;
        _Atomic(struct interest_row *) next;
        const struct permissions *filter; /* NULL: they may see every event */
        struct interest_row *previous;    /* its own reactor's; NULL: the first */
        struct interest_row *sibling;     /* its own reactor's: the next of the same group, or filtered */
        _Atomic uint32_t count;
        uint32_t name_bytes;
        uint64_t name_hash; /* keyed with the secret that all reactors share */
        uint8_t name[];
};

struct interest {
        _Atomic(struct interest_row *) groups;
        _Atomic(struct interest_row *) filtered; /* plain subscribers with a filter; their rows have no name */
        _Atomic uint32_t plain;
};

struct interests {
        struct interest *by_id; /* reserved address space; a page costs memory from its first use */
        size_t ids_max;
        struct match_table *table; /* borrowed */
        struct epoch_bin bin;
};

/* 0 or -ENOMEM. The table is that of all reactors. */
int interests_init(struct interests *interests, size_t ids_max, struct match_table *table);
/* No reader is left. Accepts a zeroed one. */
void interests_fini(struct interests *interests);

/* ---- its own reactor ---- */

void interest_add_plain(struct interests *interests, pattern_id id, match_reach reach);
void interest_remove_plain(struct interests *interests, pattern_id id, match_reach reach);
/* A row with a count of 0 still: of the group `name`, or without a name of plain subscribers. NULL: no memory. */
struct interest_row *interest_add_row(struct interests *interests, pattern_id id, match_reach reach, struct span name,
                                      uint64_t hash, const struct permissions *filter);
/* The row has gone from every reader's sight a turn later. */
void interest_remove_row(struct interests *interests, pattern_id id, match_reach reach, struct interest_row *row);
static inline void interest_row_add(struct interest_row *row, uint32_t count)
{
        /* Relaxed, and the reads as well: a count alone carries nothing. */
        atomic_store_explicit(&row->count, atomic_load_explicit(&row->count, memory_order_relaxed) + count,
                              memory_order_relaxed);
}
/* Once a turn. */
static inline void interests_collect(struct interests *interests)
{
        epoch_collect(&interests->bin);
}

/* ---- any reactor ---- */

static inline uint32_t interest_plain(const struct interests *interests, pattern_id id)
{
        return atomic_load_explicit(&interests->by_id[id].plain, memory_order_relaxed);
}

/* The rows, and the filters in them, are good until the reader's turn ends. */
static inline const struct interest_row *interest_groups(const struct interests *interests, pattern_id id)
{
        /* Pairs with the release in interest_add_row(): the row is whole. */
        return atomic_load_explicit(&interests->by_id[id].groups, memory_order_acquire);
}

static inline const struct interest_row *interest_filtered(const struct interests *interests, pattern_id id)
{
        /* As above. */
        return atomic_load_explicit(&interests->by_id[id].filtered, memory_order_acquire);
}

static inline const struct interest_row *interest_next(const struct interest_row *row)
{
        /* Pairs with the releases in interest_add_row() and interest_remove_row(). */
        return atomic_load_explicit(&row->next, memory_order_acquire);
}

static inline uint32_t interest_row_count(const struct interest_row *row)
{
        return atomic_load_explicit(&row->count, memory_order_relaxed);
}

#endif
