/* map: an intrusive hash table. The owner embeds a `struct map_node`, hashes the key itself (keyed, where the
 * key comes from a peer) and compares keys itself while walking the few nodes of equal hash:
 *
 *      for (struct map_node *n = map_first(map, hash); n != NULL; n = map_next(n))
 *              if (thing_has_key(container_of(n, struct thing, node), key)) ...
 *
 * Belongs to one reactor. It grows with its contents, a few buckets an insert, so no single insert pays for
 * the whole table; it allocates only then, and never inside map_first, map_next or map_remove. */
#ifndef SPATE_BASE_MAP_H
#define SPATE_BASE_MAP_H

#include "engine/base/check.h"

struct map_node {
        struct map_node *next;
        uint64_t hash;
};

struct map {
        struct map_node **buckets;  /* the current table */
        struct map_node **previous; /* while growing: the table that is still being emptied */
        size_t buckets_count;
        size_t previous_count;
        size_t moved_count; /* buckets of `previous` already emptied */
        size_t nodes_count;
};

/* 0 or -ENOMEM. `nodes_expected` may be 0. */
int map_init(struct map *map, size_t nodes_expected);
/* Accepts a zeroed map. The nodes are the owner's and are not touched. */
void map_fini(struct map *map);

/* The first node whose hash equals `hash` in all 64 bits, or NULL; map_next() gives the following ones. */
struct map_node *map_first(const struct map *map, uint64_t hash);
struct map_node *map_next(const struct map_node *node);

/* Puts `node` in under `hash`. Equal keys are the caller's business. Cannot fail: when a larger table cannot
 * be allocated the chains grow longer instead. */
void map_insert(struct map *map, struct map_node *node, uint64_t hash);
/* Takes out a node that is in. */
void map_remove(struct map *map, struct map_node *node);

#endif
