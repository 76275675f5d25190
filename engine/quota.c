/* quota: holds in one table, by holder and thing. See the header. */
#include "engine/quota.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/access/usage.h"
#include "engine/reactor.h"
#include "engine/session.h"
#include "matcher/pattern.h"

/* How many subscriptions of the holder to a pattern, or how many of its patterns of a shape. */
struct quota_hold {
        struct map_node node;
        const void *holder; /* a usage, or a session */
        uint64_t thing;     /* a route's serial, or a shape's code with the highest bit */
        uint32_t count;
};

#define SHAPE_BIT ((uint64_t)1 << 63)

int quotas_init(struct quotas *quotas)
{
        return map_init(&quotas->holds, 0);
}

void quotas_fini(struct quotas *quotas)
{
        assert(quotas->holds.nodes_count == 0);
        map_fini(&quotas->holds);
}

static const void *holder_of(const struct session *session)
{
        return session->usage != NULL ? (const void *)session->usage : session;
}

static uint64_t hold_hash(const struct reactor *reactor, const void *holder, uint64_t thing)
{
        uint64_t mixed = ((uint64_t)(uintptr_t)holder ^ reactor->routes.hash_seed) * UINT64_C(0x9e3779b97f4a7c15);
        mixed = (mixed ^ mixed >> 32 ^ thing) * UINT64_C(0xd6e8feb86659fd93);
        return mixed ^ mixed >> 32;
}

static struct quota_hold *hold_find(const struct reactor *reactor, const void *holder, uint64_t thing)
{
        uint64_t hash = hold_hash(reactor, holder, thing);
        for (struct map_node *node = map_first(&reactor->quotas.holds, hash); node != NULL; node = map_next(node)) {
                struct quota_hold *hold = container_of(node, struct quota_hold, node);
                if (hold->holder == holder && hold->thing == thing)
                        return hold;
        }
        return NULL;
}

/* 1: the first of its kind; 0: one more; -ENOMEM. */
static int hold_add(struct reactor *reactor, const void *holder, uint64_t thing)
{
        struct quota_hold *hold = hold_find(reactor, holder, thing);
        if (hold != NULL) {
                hold->count++;
                return 0;
        }
        hold = malloc(sizeof *hold);
        if (hold == NULL)
                return -ENOMEM;
        *hold = (struct quota_hold){.holder = holder, .thing = thing, .count = 1};
        map_insert(&reactor->quotas.holds, &hold->node, hold_hash(reactor, holder, thing));
        return 1;
}

/* true: it was the last of its kind. */
static bool hold_drop(struct reactor *reactor, const void *holder, uint64_t thing)
{
        struct quota_hold *hold = hold_find(reactor, holder, thing);
        if (hold == NULL || --hold->count > 0)
                return false;
        map_remove(&reactor->quotas.holds, &hold->node);
        free(hold);
        return true;
}

/* 0: it has no wildcards, and costs no event more than any other such does. */
static uint64_t shape_thing(struct span pattern)
{
        struct shape shape;
        if (pattern.size == 0 ||
            (memchr(pattern.bytes, '*', pattern.size) == NULL && pattern.bytes[pattern.size - 1] != '>'))
                return 0;
        if (pattern_parse(&shape, pattern, MATCH_NATS) != 0 || (shape.stars == 0 && !shape.tail))
                return 0;
        return shape_code(shape) | SHAPE_BIT;
}

/* What of the sum is to stay. */
static uint64_t usage_of(const struct session *session, enum usage_kind kind)
{
        if (session->usage == NULL)
                return kind == USAGE_PATTERNS ? session->subscriptions_count : session->shapes_count;
        uint64_t sum = usage_sum(session->usage, kind), parting = usage_sum(session->usage, USAGE_PARTING);
        return sum > parting ? sum - parting : 0;
}

bool quota_is_modest(const struct session *session, uint64_t max)
{
        return session->usage == NULL || usage_of(session, USAGE_PATTERNS) < max;
}

static bool is_full(const struct session *session, enum usage_kind kind, uint64_t max)
{
        return max != 0 && usage_of(session, kind) >= max;
}

int quota_check(const struct reactor *reactor, const struct session *session, struct span pattern)
{
        const struct reactor_settings *settings = &reactor->settings;
        const void *holder = holder_of(session);
        bool has_patterns = is_full(session, USAGE_PATTERNS, settings->user_patterns_max);
        bool has_shapes = is_full(session, USAGE_SHAPES, settings->user_shapes_max);
        if (likely(!has_patterns && !has_shapes))
                return 0;
        const struct route *route = route_find(&reactor->routes, pattern);
        if (session->usage != NULL && route != NULL && hold_find(reactor, holder, route->serial) != NULL)
                return 0; /* once more what it has */
        if (has_patterns)
                return QUOTA_PATTERNS;
        uint64_t thing = shape_thing(pattern);
        return thing == 0 || hold_find(reactor, holder, thing) != NULL ? 0 : QUOTA_SHAPES;
}

static void count_change(const struct reactor *reactor, const struct session *session, enum usage_kind kind,
                         int32_t change)
{
        if (session->usage != NULL)
                usage_change(session->usage, reactor->settings.number, kind, change);
        else if (kind == USAGE_SHAPES)
                ((struct session *)(uintptr_t)session)->shapes_count += (uint32_t)change;
}

int quota_take(struct reactor *reactor, const struct session *session, const struct route *route)
{
        const void *holder = holder_of(session);
        uint64_t shape = shape_thing(route_text(route));
        if (session->usage == NULL && shape == 0)
                return 0;
        int added = hold_add(reactor, holder, route->serial);
        if (added <= 0)
                return added;
        if (session->usage != NULL)
                count_change(reactor, session, USAGE_PATTERNS, 1);
        added = shape == 0 ? 0 : hold_add(reactor, holder, shape);
        if (added > 0)
                count_change(reactor, session, USAGE_SHAPES, 1);
        if (added >= 0)
                return 0;
        hold_drop(reactor, holder, route->serial);
        if (session->usage != NULL)
                count_change(reactor, session, USAGE_PATTERNS, -1);
        return added;
}

void quota_give(struct reactor *reactor, const struct session *session, const struct route *route)
{
        const void *holder = holder_of(session);
        uint64_t shape = shape_thing(route_text(route));
        if ((session->usage == NULL && shape == 0) || !hold_drop(reactor, holder, route->serial))
                return;
        if (session->usage != NULL)
                count_change(reactor, session, USAGE_PATTERNS, -1);
        if (shape != 0 && hold_drop(reactor, holder, shape))
                count_change(reactor, session, USAGE_SHAPES, -1);
}
