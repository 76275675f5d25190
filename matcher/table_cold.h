/* table_cold: patterns of the shapes that few patterns have, as a tree of tokens.
 *
 * A shape costs every subject of its depth about a nanosecond, so somebody who subscribes with a thousand shapes of one
 * pattern each would cost everybody a microsecond. Those go here, where a subject costs as many steps as it agrees
 * with.
 *
 *      node (64 bytes)                                       edges: lines (matcher/table_lines.h)
 *      [ which literals | star | whole | tail | key … ]      key of (node, hash of the next token) ──▶ node
 *
 * A node stands for the beginning of patterns: literal tokens and stars. A 64-bit filter in it says of most tokens that
 * no edge leaves with them; what is left is found in one table of all edges, so that there is no pointer to chase but
 * along the path. A node has its edge's whole key, which is all the identity a reader checks.
 *
 * Updates are in place, by the one writer: a new branch is made whole before the one store that hangs it in; a branch
 * is cut off by one store, and its nodes come again when every reader has passed a turn. */
#ifndef SPATE_MATCHER_TABLE_COLD_H
#define SPATE_MATCHER_TABLE_COLD_H

#include "matcher/pattern.h"
#include "matcher/table_lines.h"

#define COLD_ROOT 0u
#define COLD_NONE 0u /* as a child: no node has the root for a child */

struct cold_node {
        _Alignas(CACHE_LINE) _Atomic uint64_t literals; /* a bit for each edge, by the token's hash */
        _Atomic uint64_t key_lo;                        /* of the edge that leads here; 0 behind a star */
        _Atomic uint64_t key_hi;
        _Atomic uint32_t star;     /* the node behind it */
        _Atomic uint32_t whole;    /* one more than the id of the pattern that ends here; 0: none does */
        _Atomic uint32_t tails[2]; /* the same for those with a tail, by its least number of tokens less one */
        /* The writer's. */
        uint32_t parent; /* when it is free or leaving: the next such */
        uint32_t edges_count;
        bool is_behind_star;
};
static_assert(sizeof(struct cold_node) == CACHE_LINE, "a node is a cache line");

struct cold {
        /* Set before the readers start. */
        struct cold_node *nodes;
        size_t nodes_bytes;
        size_t nodes_max;
        uint64_t factors[2]; /* odd: a node's number times these is part of its edges' keys */
        struct lines_index edges;
        /* The writer's. */
        size_t nodes_fresh; /* those below have been given out at least once */
        uint32_t nodes_free;
        uint32_t leaving; /* nodes that were cut off since the last time */
        size_t patterns_count;
};

/* 0 or -ENOMEM. Address space is reserved for what `patterns_max` patterns may need, memory used as they come. */
int cold_init(struct cold *cold, struct epoch_bin *bin, const struct subject_secrets *secrets, size_t patterns_max);
/* Accepts a zeroed or half-made one. */
void cold_fini(struct cold *cold);

/* The writer's. `tokens` are the hashes of the pattern's literal tokens, at their positions. 0, -ENOMEM, or -ENOSPC: no
 * node is left. After an error nothing has changed. */
int cold_add(struct cold *cold, struct shape shape, const struct subject_key *tokens, uint32_t id);
/* False: it was not there. */
bool cold_remove(struct cold *cold, struct shape shape, const struct subject_key *tokens, uint32_t id);
/* The pattern's id, or LINES_NONE. */
uint32_t cold_find(const struct cold *cold, struct shape shape, const struct subject_key *tokens);
/* The nodes that were cut off since the last time, as a list that cold_give() takes back after a grace period. */
uint32_t cold_take_leaving(struct cold *cold);
void cold_give(struct cold *cold, uint32_t leaving);

/* Any core. */
static inline uint64_t cold_literal(struct subject_key token)
{
        return (uint64_t)1 << (token.hi >> 58);
}

static inline struct subject_key cold_edge(const struct cold *cold, uint32_t node, struct subject_key token)
{
        return (struct subject_key){.lo = token.lo ^ (node + 1) * cold->factors[0],
                                    .hi = token.hi ^ (node + 1) * cold->factors[1]};
}

static inline bool cold_has_key(const struct cold *cold, uint32_t node, struct subject_key key)
{
        /* Relaxed as those of a record. */
        const struct cold_node *there = &cold->nodes[node];
        struct subject_key kept = {.lo = atomic_load_explicit(&there->key_lo, memory_order_relaxed),
                                   .hi = atomic_load_explicit(&there->key_hi, memory_order_relaxed)};
        return subject_key_equal(kept, key);
}

/* The node at the end of an edge, or COLD_NONE. */
static inline uint32_t cold_child(const struct cold *cold, const struct lines *lines, struct subject_key key)
{
        struct table_walk walk = table_walk_begin(lines, key);
        for (;;) {
                uint32_t node = table_walk_next(lines, key, &walk);
                if (node == LINES_NONE)
                        return COLD_NONE;
                if (cold_has_key(cold, node, key))
                        return node;
        }
}

#endif
