/* The writer's half of the cold tree; readers walk it in matcher/round.h. */
#include "matcher/table_cold.h"

#include <errno.h>
#include <stdlib.h>

/* Address space is cheap, not free: a cold pattern has this many nodes of its own, at most on average. */
#define NODES_A_PATTERN 8
#define NODES_MAX ((size_t)1 << 30)

static struct subject_key key_of_node(const void *context, uint32_t id)
{
        const struct cold *cold = context;
        return (struct subject_key){
                .lo = atomic_load_explicit(&cold->nodes[id].key_lo, memory_order_relaxed),
                .hi = atomic_load_explicit(&cold->nodes[id].key_hi, memory_order_relaxed),
        };
}

int cold_init(struct cold *cold, struct epoch_bin *bin, const struct subject_secrets *secrets, size_t patterns_max)
{
        memset(cold, 0, sizeof *cold);
        cold->nodes_max = patterns_max * NODES_A_PATTERN + MATCH_TOKENS_MAX + 1;
        if (cold->nodes_max > NODES_MAX)
                cold->nodes_max = NODES_MAX;
        cold->nodes_bytes = cold->nodes_max * sizeof(struct cold_node);
        cold->nodes = map_zeroed(cold->nodes_bytes);
        cold->nodes_fresh = COLD_ROOT + 1;
        struct subject_key factors = subject_salt(secrets, UINT64_MAX);
        cold->factors[0] = factors.lo | 1;
        cold->factors[1] = factors.hi | 1;
        int error = index_init(&cold->edges, bin, key_of_node, cold);
        return cold->nodes == NULL ? -ENOMEM : error;
}

void cold_fini(struct cold *cold)
{
        if (cold->edges.bin != NULL)
                index_fini(&cold->edges);
        unmap(cold->nodes, cold->nodes_bytes);
}

static bool is_star(struct shape shape, size_t position)
{
        return shape.stars >> position & 1;
}

static uint32_t child_of(const struct cold *cold, uint32_t node, struct shape shape, size_t position,
                         const struct subject_key *tokens)
{
        if (is_star(shape, position))
                return atomic_load_explicit(&cold->nodes[node].star, memory_order_relaxed);
        return cold_child(cold, index_lines(&cold->edges), cold_edge(cold, node, tokens[position]));
}

static _Atomic uint32_t *end_of(struct cold_node *node, struct shape shape)
{
        return shape.tail ? &node->tails[shape.tail - 1] : &node->whole;
}

uint32_t cold_find(const struct cold *cold, struct shape shape, const struct subject_key *tokens)
{
        uint32_t node = COLD_ROOT;
        for (size_t i = 0; i < shape.tokens_count; i++) {
                node = child_of(cold, node, shape, i, tokens);
                if (node == COLD_NONE)
                        return LINES_NONE;
        }
        return atomic_load_explicit(end_of(&cold->nodes[node], shape), memory_order_relaxed) - 1;
}

/* Nodes. */

static bool take_nodes(struct cold *cold, uint32_t *nodes, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                if (cold->nodes_free != COLD_NONE) {
                        nodes[i] = cold->nodes_free;
                        cold->nodes_free = cold->nodes[nodes[i]].parent;
                } else if (cold->nodes_fresh < cold->nodes_max) {
                        nodes[i] = (uint32_t)cold->nodes_fresh++;
                } else {
                        while (i-- > 0) {
                                cold->nodes[nodes[i]].parent = cold->nodes_free;
                                cold->nodes_free = nodes[i];
                        }
                        return false;
                }
        }
        return true;
}

uint32_t cold_take_leaving(struct cold *cold)
{
        uint32_t leaving = cold->leaving;
        cold->leaving = COLD_NONE;
        return leaving;
}

void cold_give(struct cold *cold, uint32_t leaving)
{
        while (leaving != COLD_NONE) {
                uint32_t next = cold->nodes[leaving].parent;
                cold->nodes[leaving].parent = cold->nodes_free;
                cold->nodes_free = leaving;
                leaving = next;
        }
}

/* As good as new. */
static void reset(struct cold_node *node, uint32_t parent, bool is_behind_star, struct subject_key key)
{
        atomic_store_explicit(&node->literals, 0, memory_order_relaxed);
        atomic_store_explicit(&node->key_lo, key.lo, memory_order_relaxed);
        atomic_store_explicit(&node->key_hi, key.hi, memory_order_relaxed);
        atomic_store_explicit(&node->star, COLD_NONE, memory_order_relaxed);
        atomic_store_explicit(&node->whole, 0, memory_order_relaxed);
        atomic_store_explicit(&node->tails[0], 0, memory_order_relaxed);
        atomic_store_explicit(&node->tails[1], 0, memory_order_relaxed);
        node->parent = parent;
        node->edges_count = 0;
        node->is_behind_star = is_behind_star;
}

/* Readers find the child from now on. */
static void hang(struct cold *cold, uint32_t parent, uint32_t child, struct subject_key token)
{
        struct cold_node *node = &cold->nodes[parent];
        if (cold->nodes[child].is_behind_star) {
                /* Pairs with the acquire of a reader's walk, as does that of a slot: the branch is complete. */
                atomic_store_explicit(&node->star, child, memory_order_release);
                return;
        }
        uint64_t literals = atomic_load_explicit(&node->literals, memory_order_relaxed);
        atomic_store_explicit(&node->literals, literals | cold_literal(token), memory_order_release);
        index_insert(&cold->edges, cold_edge(cold, parent, token), child, true);
        /* A pattern may bring many edges, and a copy has to keep up with them all. */
        index_grow_on(&cold->edges);
        node->edges_count++;
}

int cold_add(struct cold *cold, struct shape shape, const struct subject_key *tokens, uint32_t id)
{
        uint32_t made[MATCH_TOKENS_MAX];
        uint32_t node = COLD_ROOT;
        size_t known = 0;
        while (known < shape.tokens_count) {
                uint32_t child = child_of(cold, node, shape, known, tokens);
                if (child == COLD_NONE)
                        break;
                node = child;
                known++;
        }
        size_t made_count = shape.tokens_count - known;
        if (made_count > 0 && index_make_room(&cold->edges, made_count) != 0)
                return -ENOMEM;
        if (!take_nodes(cold, made, made_count))
                return -ENOSPC;
        /* From the end on, so that what is hung in last makes all of it appear. */
        for (size_t i = 0; i < made_count; i++) {
                size_t position = known + i;
                uint32_t parent = i == 0 ? node : made[i - 1];
                bool behind_star = is_star(shape, position);
                struct subject_key key = {.lo = 0, .hi = 0};
                if (!behind_star)
                        key = cold_edge(cold, parent, tokens[position]);
                reset(&cold->nodes[made[i]], parent, behind_star, key);
        }
        struct cold_node *last = &cold->nodes[made_count > 0 ? made[made_count - 1] : node];
        atomic_store_explicit(end_of(last, shape), id + 1, memory_order_release);
        for (size_t i = made_count; i-- > 0;)
                hang(cold, cold->nodes[made[i]].parent, made[i], tokens[known + i]);
        cold->patterns_count++;
        return 0;
}

static bool is_empty(const struct cold_node *node)
{
        return node->edges_count == 0 && atomic_load_explicit(&node->star, memory_order_relaxed) == COLD_NONE &&
               atomic_load_explicit(&node->whole, memory_order_relaxed) == 0 &&
               atomic_load_explicit(&node->tails[0], memory_order_relaxed) == 0 &&
               atomic_load_explicit(&node->tails[1], memory_order_relaxed) == 0;
}

/* Cuts off what leads to no pattern any more, from its end on. */
static void prune(struct cold *cold, uint32_t node)
{
        while (node != COLD_ROOT && is_empty(&cold->nodes[node])) {
                uint32_t parent = cold->nodes[node].parent;
                struct cold_node *above = &cold->nodes[parent];
                if (cold->nodes[node].is_behind_star) {
                        atomic_store_explicit(&above->star, COLD_NONE, memory_order_release);
                } else {
                        bool removed = index_remove(&cold->edges, key_of_node(cold, node), node, true);
                        assert(removed);
                        /* Bits are shared, so they stay until the last edge has gone. */
                        if (--above->edges_count == 0)
                                atomic_store_explicit(&above->literals, 0, memory_order_release);
                }
                cold->nodes[node].parent = cold->leaving;
                cold->leaving = node;
                node = parent;
        }
}

bool cold_remove(struct cold *cold, struct shape shape, const struct subject_key *tokens, uint32_t id)
{
        uint32_t node = COLD_ROOT;
        for (size_t i = 0; i < shape.tokens_count; i++) {
                node = child_of(cold, node, shape, i, tokens);
                if (node == COLD_NONE)
                        return false;
        }
        _Atomic uint32_t *end = end_of(&cold->nodes[node], shape);
        if (atomic_load_explicit(end, memory_order_relaxed) != id + 1)
                return false;
        atomic_store_explicit(end, 0, memory_order_release);
        prune(cold, node);
        cold->patterns_count--;
        index_grow_on(&cold->edges);
        return true;
}
