/* registry: who may share a cohort, and the cohorts there are.
 *
 * The key of a cohort is the set of shared (pattern, sid, lag policy) rows of a connection, with the format it reads. A
 * connection whose set has been quiet for settings.quiet_ns (100 ms) files its key here; the first of a key waits (its
 * events stay private), the second makes both of them members. A set that changes takes its connection out again first.
 * Sets are compared by a keyed 128-bit hash, as patterns are. Belongs to one reactor. */
#ifndef SPATE_ENGINE_REGISTRY_H
#define SPATE_ENGINE_REGISTRY_H

#include "engine/route.h"

#define REGISTRY_SUBSCRIPTIONS_MAX 64 /* a connection with more keeps all of them private */
#define REGISTRY_SID_BYTES_MAX 22

/* One pair of a cohort's set. */
struct cohort_entry {
        struct list route_link; /* in route->cohorts */
        struct registered_cohort *owner;
        uint64_t appended; /* events appended for this pair */
        uint8_t policy;    /* enum lag_policy */
        uint8_t sid_bytes;
        uint8_t sid[REGISTRY_SID_BYTES_MAX];
};

struct registered_cohort {
        struct cohort cohort;
        struct map_node node; /* in registry->by_key */
        uint64_t key_high;
        const struct permissions *filter; /* as session->filter of its members */
        struct list ended_link;           /* in registry->ended: deserted, to be freed between two events */
        struct list shared_link;          /* in registry->shared once there were two */
        struct session *waiting;          /* the first of its key while there is no second */
        uint32_t sessions_count; /* with session->cohort == this: members, the waiting one, and those cut since the last
                                    turn */
        uint32_t entries_count;
        struct cohort_entry *entries; /* NULL while there never were two: a lone set costs no pairs */
};

struct registry {
        struct map by_key;
        struct list ended;
        struct list shared; /* the cohorts that have had members */
        uint32_t cohorts_count, members_count, shared_count;
};

/* 0 or -ENOMEM. */
int registry_init(struct registry *registry);
void registry_fini(struct registry *registry);

/* The session's set has been quiet: files it, joins the cohort of its key or waits for a second one. false: not now (no
 * memory, or the cohort is just being left by others); it stays private, and may try again later. */
bool registry_enter(struct reactor *reactor, struct session *session);
/* Takes the session out of its cohort, or out of the wait: all its subscriptions are private from here on. Harmless
 * when it is in none. */
void registry_leave(struct reactor *reactor, struct session *session);
/* lanes->cohort_ended. */
void registry_cohort_ended(void *reactor, struct cohort *cohort);
/* Frees the deserted. Not while a route is being walked. */
void registry_collect(struct reactor *reactor);

/* May this subscription be shared? */
bool registry_can_share(const struct subscription *subscription, struct span subject);

#endif
