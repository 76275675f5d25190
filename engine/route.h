/* route: from pattern ids to whoever on this reactor wants them, and from an event to all of those.
 *
 *      subject ─ memo ─ matcher ─▶ pattern ids ─▶ page array ─▶ route ─▶ cohort entries   one append each
 *                                                                   ─▶ private            one append each
 *                                                                   ─▶ queue groups       one member of each
 *
 * A route is what this reactor knows of one pattern. A subscription is private (it has its events encoded for it alone)
 * or shared (its session's cohort has them). Belongs to one reactor. */
#ifndef SPATE_ENGINE_ROUTE_H
#define SPATE_ENGINE_ROUTE_H

#include "engine/base/map.h"
#include "engine/cohort.h"
#include "matcher/match.h"

struct reactor;
struct session;
struct queue_group;
struct cohort_entry;

struct route {
        pattern_id id;
        uint32_t subscriptions_count;
        struct list privates; /* subscriptions, by route_link */
        struct list cohorts;  /* cohort entries, by route_link */
        struct list groups;   /* queue groups, by route_link */
};

/* One SUB. On the heap: it lives as long as the client wants it, and comes and goes beside the event path. */
struct subscription {
        struct list session_link; /* in session->subscriptions */
        struct list route_link;   /* in route->privates while it is private and in no queue group */
        struct map_node node;     /* in routes->by_sid */
        struct session *session;
        struct route *route;
        struct cohort_entry *entry; /* its row of the cohort's set while it is shared */
        struct queue_group *group;  /* NULL: plain */
        uint32_t group_index;
        uint16_t sid_bytes;
        bool is_expired;    /* has had its maximum; waits in routes->expired by route_link */
        uint64_t delivered; /* while shared: less what the entry had been given when it joined; see
                               subscription_delivered() */
        uint64_t max;       /* UNSUB sid max; 0: none */
        uint8_t sid[];
};

static inline struct span subscription_sid(const struct subscription *subscription)
{
        return span_of(subscription->sid, subscription->sid_bytes);
}

#define ROUTE_PAGE_ROWS 1024
#define ROUTE_MEMO_ROWS 256
#define ROUTE_MEMO_IDS 10
#define ROUTE_MEMO_SUBJECT_BYTES 64

/* What the matcher said of a subject, good while nobody has subscribed or unsubscribed since. */
struct route_memo {
        uint64_t version;
        uint64_t hash;
        uint16_t subject_bytes;
        uint16_t ids_count;
        pattern_id ids[ROUTE_MEMO_IDS];
        uint8_t subject[ROUTE_MEMO_SUBJECT_BYTES];
};

struct routes {
        struct match_table *table;
        struct route ***pages;
        size_t pages_count;
        struct map by_sid; /* (session, sid) → subscription */
        struct map groups; /* (pattern, name) → queue group */
        uint64_t hash_seed;
        struct list expired;     /* subscriptions that reached their maximum in this batch */
        struct route_memo *memo; /* ROUTE_MEMO_ROWS */
        pattern_id *ids;         /* room for the matches of one batch */
        size_t ids_max;          /* MATCH_BATCH_MAX times what one subject can match */
        pattern_id *reply_ids;   /* room for those of one reply subject, while a batch is being delivered */
        uint32_t subscriptions_count;
        unsigned reactor; /* our number, for the matcher */
};

/* 0 or -ENOMEM. The table is borrowed. */
int routes_init(struct routes *routes, struct match_table *table, unsigned reactor, uint64_t hash_seed);
/* Every subscription must have gone. Accepts a zeroed one. */
void routes_fini(struct routes *routes);

/* 0, or what match_add() and malloc have to say; -EEXIST: the session has this sid already. `queue` is empty for a
 * plain one. Visible to every reactor when it returns. */
int route_subscribe(struct reactor *reactor, struct session *session, struct span subject, struct span queue,
                    struct span sid, struct subscription **subscription);
/* The session's cohort must have been left if the subscription is shared. */
void route_unsubscribe(struct reactor *reactor, struct subscription *subscription);
struct subscription *route_find_sid(const struct routes *routes, const struct session *session, struct span sid);
struct route *route_of(const struct routes *routes, pattern_id id);

/* Publishes `events_count` (1 .. MATCH_BATCH_MAX) events of one session, in order, to everyone who wants them. */
void route_publish(struct reactor *reactor, struct session *from, const struct event *events, size_t events_count);

/* The session's own plain subscription that `reply` would reach, or NULL. Safe while a batch is being delivered. */
struct subscription *route_find_for_reply(struct reactor *reactor, const struct session *session, struct span reply);

/* How many events it has been given since its SUB. */
uint64_t subscription_delivered(const struct subscription *subscription);

#endif
