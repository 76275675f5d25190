/* map: chains in a table of 2^n buckets. Growing keeps two tables for a while:
 *
 *      previous [ moved | moved | moved | c | d | e | f | g ]      moved_count = 3
 *      buckets  [ a | b | ... | a | b | ...                 ]      twice as many
 *
 * A hash belongs to exactly one chain at any time: to its bucket of `previous` until that one is moved, to its bucket
 * of `buckets` from then on. So map_next() finds all nodes of equal hash by following one chain, and insertions during
 * growth go where lookups look. Four buckets a move: the old table is empty after a quarter of the insertions that
 * separate it from the next growth. */
#include "engine/base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/bits.h"

#define BUCKETS_MIN ((size_t)16)
#define BUCKETS_MAX ((size_t)1 << 32) /* as many as bucket_of() can tell apart */
#define BUCKETS_MOVED_PER_INSERT 4

/* From this size on a table is mapped, and unmapped in pieces of it. The heap would clear a reused one as a whole, in
 * the one insert that asked for it; the kernel clears page by page, when each is touched first. And to unmap 8 MiB at
 * once takes 0.3 ms. */
#define PIECE_BYTES ((size_t)256 << 10)
#define PIECE_BUCKETS (PIECE_BYTES / sizeof(struct map_node *))

static_assert(PIECE_BUCKETS % BUCKETS_MOVED_PER_INSERT == 0, "a step ends where a piece ends");

/* Multiplying spreads hashes whose low bits say little: a counter, or a hash of which some bits chose the reactor. */
static size_t bucket_of(uint64_t hash, size_t buckets_count)
{
        return (size_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (buckets_count - 1);
}

static struct map_node **table_new(size_t buckets_count)
{
        size_t size = buckets_count * sizeof(struct map_node *);
        if (size < PIECE_BYTES)
                return calloc(1, size);
        void *table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return table != MAP_FAILED ? table : NULL;
}

/* `moved_count` buckets of it have been moved by grow_step(). */
static void table_free(struct map_node **table, size_t buckets_count, size_t moved_count)
{
        size_t unmapped_count = moved_count / PIECE_BUCKETS * PIECE_BUCKETS;
        if (buckets_count < PIECE_BUCKETS)
                free(table);
        else if (unmapped_count < buckets_count)
                munmap(table + unmapped_count, (buckets_count - unmapped_count) * sizeof(struct map_node *));
}

int map_init(struct map *map, size_t nodes_expected)
{
        memset(map, 0, sizeof(*map));
        if (nodes_expected > BUCKETS_MAX)
                return -ENOMEM;
        size_t buckets_count = (size_t)1 << bits_log2_ceil(nodes_expected < BUCKETS_MIN ? BUCKETS_MIN : nodes_expected);
        map->buckets = table_new(buckets_count);
        if (map->buckets == NULL)
                return -ENOMEM;
        map->buckets_count = buckets_count;
        return 0;
}

void map_fini(struct map *map)
{
        if (map->previous != NULL)
                table_free(map->previous, map->previous_count, map->moved_count);
        if (map->buckets != NULL)
                table_free(map->buckets, map->buckets_count, 0);
        memset(map, 0, sizeof(*map));
}

/* The one chain in which nodes of this hash are now. */
static struct map_node **chain_of(const struct map *map, uint64_t hash)
{
        if (unlikely(map->previous != NULL)) {
                size_t bucket = bucket_of(hash, map->previous_count);
                if (bucket >= map->moved_count)
                        return &map->previous[bucket];
        }
        return &map->buckets[bucket_of(hash, map->buckets_count)];
}

struct map_node *map_first(const struct map *map, uint64_t hash)
{
        struct map_node *node = *chain_of(map, hash);
        while (node != NULL && node->hash != hash)
                node = node->next;
        return node;
}

struct map_node *map_next(const struct map_node *node)
{
        uint64_t hash = node->hash;
        struct map_node *next = node->next;
        while (next != NULL && next->hash != hash)
                next = next->next;
        return next;
}

static void grow_begin(struct map *map)
{
        if (map->buckets_count == BUCKETS_MAX)
                return;
        struct map_node **buckets = table_new(map->buckets_count * 2);
        if (buckets == NULL)
                return;
        map->previous = map->buckets;
        map->previous_count = map->buckets_count;
        map->moved_count = 0;
        map->buckets = buckets;
        map->buckets_count *= 2;
}

static void grow_step(struct map *map)
{
        for (int i = 0; i < BUCKETS_MOVED_PER_INSERT && map->moved_count < map->previous_count; i++) {
                struct map_node *node = map->previous[map->moved_count++];
                while (node != NULL) {
                        struct map_node *next = node->next;
                        struct map_node **chain = &map->buckets[bucket_of(node->hash, map->buckets_count)];
                        node->next = *chain;
                        *chain = node;
                        node = next;
                }
        }
        if (map->moved_count % PIECE_BUCKETS == 0)
                munmap(map->previous + map->moved_count - PIECE_BUCKETS, PIECE_BYTES);
        if (map->moved_count < map->previous_count)
                return;
        table_free(map->previous, map->previous_count, map->moved_count);
        map->previous = NULL;
        map->previous_count = 0;
        map->moved_count = 0;
}

void map_insert(struct map *map, struct map_node *node, uint64_t hash)
{
        if (map->previous != NULL)
                grow_step(map);
        else if (map->nodes_count >= map->buckets_count)
                grow_begin(map);
        struct map_node **chain = chain_of(map, hash);
        node->hash = hash;
        node->next = *chain;
        *chain = node;
        map->nodes_count++;
}

void map_remove(struct map *map, struct map_node *node)
{
        assert(map->nodes_count > 0);
        struct map_node **link = chain_of(map, node->hash);
        while (*link != node) {
                assert(*link != NULL);
                link = &(*link)->next;
        }
        *link = node->next;
        map->nodes_count--;
}
