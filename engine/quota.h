/* quota: how many patterns, and how many kinds of them, one user may have: --max-user-patterns, --max-user-shapes.
 *
 *      user, or where there are none, connection ── hold ──▶ pattern        counted when it is the holder's first
 *                                                └─ hold ──▶ shape          of its patterns: the positions of wildcards
 *
 * A pattern of many connections of a user counts once on each reactor. Shapes are what costs the matcher: each is
 * looked for in every event, so that is what has a limit unless it is taken away. What is on its way out (parting) does
 * not count: a client that comes again finds its place free.
 *
 * Without users a connection's subscriptions stand for its patterns, and only those with wildcards have holds. Belongs
 * to one reactor; the sums of a user are shared (usage). */
#ifndef SPATE_ENGINE_QUOTA_H
#define SPATE_ENGINE_QUOTA_H

#include "engine/base/map.h"
#include "engine/base/span.h"

struct reactor;
struct route;
struct session;

struct quotas {
        struct map holds;
};

/* 0 or -ENOMEM. */
int quotas_init(struct quotas *quotas);
/* Accepts a zeroed one. */
void quotas_fini(struct quotas *quotas);

#define QUOTA_PATTERNS (-EDQUOT)
#define QUOTA_SHAPES (-EMLINK)

/* May the session subscribe to `pattern`? 0, QUOTA_PATTERNS or QUOTA_SHAPES. */
int quota_check(const struct reactor *reactor, const struct session *session, struct span pattern);
/* Has its user less than `max` patterns? Where there are no users nobody is told from anybody: true. */
bool quota_is_modest(const struct session *session, uint64_t max);
/* It has subscribed. 0 or -ENOMEM, and nothing has changed. */
int quota_take(struct reactor *reactor, const struct session *session, const struct route *route);
/* One of its subscriptions to the route goes. What was never taken is passed over. */
void quota_give(struct reactor *reactor, const struct session *session, const struct route *route);

#endif
