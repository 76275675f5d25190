/* route: from pattern ids to whoever on this reactor wants them, and from an event to all of those.
 *
 *      subject ─ cache, matcher ─▶ pattern ids ─▶ page array ─▶ route ─▶ cohort entries   one append each
 *                                                                    ─▶ private            one append each
 *                                                                    ─▶ queue groups       one member of each
 *
 *                                                                    ─▶ mailboxes          one record a reactor
 *
 * A route is what this reactor knows of one pattern. The first subscriber of a pattern on this reactor makes it be
 * asked for: reactor 0 puts it into the matcher and answers; the others find it there. A subscription is private (it
 * has its events encoded for it alone) or shared (its session's cohort has them). Belongs to one reactor. */
#ifndef SPATE_ENGINE_ROUTE_H
#define SPATE_ENGINE_ROUTE_H

#include "engine/base/map.h"
#include "engine/cohort.h"
#include "engine/cores.h"
#include "engine/queuepick.h"
#include "matcher/cache.h"
#include "matcher/match.h"

struct reactor;
struct session;
struct queue_group;
struct cohort_entry;

struct route {
        pattern_id id; /* PATTERN_NONE: asked for, not visible yet */
        uint32_t subscriptions_count;
        uint64_t serial; /* never given twice, as ids are */
        match_reach reach;
        uint64_t version;     /* match_version() when it had become visible: events matched before it are not for it */
        struct list privates; /* subscriptions, by route_link */
        struct list cohorts;  /* cohort entries, by route_link */
        struct list groups;   /* queue groups, by route_link */
        struct map_node node; /* in routes->by_text */
        struct interest_row *rows; /* by sibling: of plain subscribers, one for each filter */
        struct list tell_link;     /* in routes->untold while the writer has to be told of it, or in routes->asked */
        bool is_modest;            /* one of its first subscribers' users has few patterns */
        bool is_asked;             /* the writer has been told of it */
        bool is_withdrawn;         /* has left the pages: waits only for that */
        uint16_t text_bytes;
        uint8_t text[];
};

static inline struct span route_text(const struct route *route)
{
        return span_of(route->text, route->text_bytes);
}

/* One SUB. On the heap: it lives as long as the client wants it, and comes and goes beside the event path. */
struct subscription {
        struct list session_link; /* in session->subscriptions */
        struct list route_link;   /* in route->privates while it is private and in no queue group */
        struct map_node node;     /* in routes->by_sid */
        struct session *session;
        struct route *route;
        struct cohort_entry *entry; /* its row of the cohort's set while it is shared */
        struct queue_group *group;  /* NULL: plain */
        struct interest_row *row;   /* what tells the other reactors of it; NULL: not shown, or counted as plain */
        uint32_t group_index;
        uint16_t sid_bytes;
        uint8_t policy;     /* enum lag_policy */
        bool is_expired;    /* has had its maximum; waits in routes->expired by route_link */
        bool is_shown;      /* the other reactors know of it */
        uint64_t delivered; /* while shared: less what the entry had been given when it joined; see
                               subscription_delivered() */
        uint64_t max;       /* UNSUB sid max; 0: none */
        uint8_t sid[];
};

static inline struct span subscription_sid(const struct subscription *subscription)
{
        return span_of(subscription->sid, subscription->sid_bytes);
}

/* One part of so many of --max-patterns is kept for users who have less than that themselves: who takes all there is
 * leaves the others some. */
#define ROUTE_KEPT_PART 8
#define ROUTE_PAGE_ROWS 1024

/* A request that went to other reactors only: nobody has had it when all of them have given it back. Those that are
 * not settled are forgotten as ROUTE_REQUESTS newer ones come; then its publisher is not told. */
struct route_request {
        uint32_t number;
        uint32_t waiting_count;
};

#define ROUTE_REQUESTS 1024

struct routes {
        struct match_table *table;
        struct cores *cores;
        struct interests *interests; /* ours */
        struct map by_text;          /* text → route */
        struct list untold;          /* routes to ask the writer for, and in front of them those to withdraw */
        uint32_t withdrawals_count;  /* so many are to be withdrawn */
        uint32_t withdrawals_max;    /* ROUTE_WITHDRAWALS_MAX, or less for a simulation */
        struct list asked;           /* those whose VISIBLE is to come */
        uint32_t asks_out;           /* SUBSCRIBEs without their VISIBLE */
        uint64_t next_serial;
        struct queue_picks picks;
        struct route_request *requests; /* ROUTE_REQUESTS, by number */
        uint32_t requests_count;        /* ever */
        struct route ***pages;
        size_t pages_count;
        struct map by_sid; /* (session, sid) → subscription */
        struct map groups; /* (pattern, name) → queue group */
        uint64_t hash_seed;
        struct list expired;   /* subscriptions that reached their maximum in this batch */
        struct cache cache;    /* of what events matched, and who of the others has subscribers of it */
        pattern_id *ids;       /* room for the matches of one batch */
        size_t ids_max;        /* MATCH_BATCH_MAX times as many as there can be patterns */
        pattern_id *reply_ids; /* room for those of one reply subject, while a batch is being delivered */
        size_t reply_ids_max;
        uint32_t subscriptions_count;
        uint64_t deliveries_count; /* what lanes should have counted as matched: for tests to compare */
        unsigned reactor;          /* our number, for the matcher */
};

/* 0 or -ENOMEM. The cores are borrowed. */
int routes_init(struct routes *routes, struct cores *cores, unsigned reactor, uint64_t hash_seed, size_t cache_lines);
/* Every subscription must have gone. Accepts a zeroed one. */
void routes_fini(struct routes *routes);

/* 0, or what match_add() and malloc have to say; -EEXIST: the session has this sid already. `queue` is empty for a
 * plain one. Visible to every reactor when it returns; or, where route->id is PATTERN_NONE then, when
 * session_subscribed() is called for it. */
int route_subscribe(struct reactor *reactor, struct session *session, struct span subject, struct span queue,
                    struct span sid, struct subscription **subscription);
/* Lets the other reactors know of a visible subscription with its session's filter, or takes it back. 0 or -ENOMEM. */
int route_show(struct reactor *reactor, struct subscription *subscription);
void route_hide(struct reactor *reactor, struct subscription *subscription);
/* A subscription that gets nothing any more leaves its queue group, in front of the rest of it. */
void route_leave_group(struct reactor *reactor, struct subscription *subscription);
/* The session's cohort must have been left if the subscription is shared. */
void route_unsubscribe(struct reactor *reactor, struct subscription *subscription);
struct subscription *route_find_sid(const struct routes *routes, const struct session *session, struct span sid);
struct route *route_of(const struct routes *routes, pattern_id id);
struct route *route_find(const struct routes *routes, struct span text);

/* Whoever takes away many subscriptions goes on only while this is true. What is asked for goes behind what is
 * withdrawn: without a bound a SUB would wait until the last of a million that another leaves behind was told. So many
 * fit into the writer's mailbox at once, and what is asked for behind them. */
#define ROUTE_WITHDRAWALS_MAX 512
static inline bool routes_may_withdraw(const struct routes *routes)
{
        return routes->withdrawals_count < routes->withdrawals_max;
}

/* Tells the matcher's writer what there is to tell. true: some of it has to wait for room, among it all that keeps
 * routes_may_withdraw() false. Once a turn. */
bool routes_tell(struct reactor *reactor);
/* The writer was asked by another reactor for `asked`, SUBSCRIBE or WITHDRAW. */
void route_ask(struct reactor *reactor, unsigned asker, const struct mailbox_control *asked);
/* VISIBLE. */
void route_visible(struct reactor *reactor, const struct mailbox_control *answer);

/* How many events it has been given since its SUB. */
uint64_t subscription_delivered(const struct subscription *subscription);

#endif
