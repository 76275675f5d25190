/* route: the way of an event on this reactor. See the header. */
#include "engine/route.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "engine/queuegroup.h"
#include "engine/reactor.h"
#include "engine/session.h"

/* Room for all that one batch may match, grown when patterns come, so that the event path need not. */
static int routes_fit_ids(struct routes *routes)
{
        size_t each = match_ids_max(routes->table);
        if (each * MATCH_BATCH_MAX <= routes->ids_max)
                return 0;
        pattern_id *ids = realloc(routes->ids, each * MATCH_BATCH_MAX * sizeof *ids);
        if (ids != NULL)
                routes->ids = ids;
        pattern_id *reply_ids = realloc(routes->reply_ids, each * sizeof *reply_ids);
        if (reply_ids != NULL)
                routes->reply_ids = reply_ids;
        if (ids == NULL || reply_ids == NULL)
                return -ENOMEM;
        routes->ids_max = each * MATCH_BATCH_MAX;
        return 0;
}

int routes_init(struct routes *routes, struct match_table *table, unsigned reactor, uint64_t hash_seed)
{
        *routes = (struct routes){.table = table, .reactor = reactor, .hash_seed = hash_seed};
        list_init(&routes->expired);
        routes->memo = calloc(ROUTE_MEMO_ROWS, sizeof *routes->memo);
        if (routes->memo == NULL || routes_fit_ids(routes) != 0 || map_init(&routes->by_sid, 0) != 0 ||
            map_init(&routes->groups, 0) != 0) {
                routes_fini(routes);
                return -ENOMEM;
        }
        for (size_t i = 0; i < ROUTE_MEMO_ROWS; i++)
                routes->memo[i].version = UINT64_MAX;
        return 0;
}

void routes_fini(struct routes *routes)
{
        assert(routes->subscriptions_count == 0);
        for (size_t page = 0; page < routes->pages_count; page++)
                free(routes->pages[page]);
        free(routes->pages);
        free(routes->memo);
        free(routes->ids);
        free(routes->reply_ids);
        map_fini(&routes->by_sid);
        map_fini(&routes->groups);
        *routes = (struct routes){0};
}

/* ---- routes by pattern id ---- */

struct route *route_of(const struct routes *routes, pattern_id id)
{
        size_t page = id / ROUTE_PAGE_ROWS;
        if (page >= routes->pages_count || routes->pages[page] == NULL)
                return NULL; /* another reactor's, or withdrawn since the match */
        return routes->pages[page][id % ROUTE_PAGE_ROWS];
}

/* The cell of `id`, made if need be; NULL: out of memory. */
static struct route **route_cell(struct routes *routes, pattern_id id)
{
        size_t page = id / ROUTE_PAGE_ROWS;
        if (page >= routes->pages_count) {
                size_t pages_count = routes->pages_count == 0 ? 16 : routes->pages_count * 2;
                while (pages_count <= page)
                        pages_count *= 2;
                struct route ***pages = realloc(routes->pages, pages_count * sizeof *pages);
                if (pages == NULL)
                        return NULL;
                memset(pages + routes->pages_count, 0, (pages_count - routes->pages_count) * sizeof *pages);
                routes->pages = pages;
                routes->pages_count = pages_count;
        }
        if (routes->pages[page] == NULL)
                routes->pages[page] = calloc(ROUTE_PAGE_ROWS, sizeof *routes->pages[page]);
        return routes->pages[page] == NULL ? NULL : &routes->pages[page][id % ROUTE_PAGE_ROWS];
}

static struct route *route_new(struct routes *routes, pattern_id id)
{
        struct route **cell = route_cell(routes, id);
        if (cell == NULL)
                return NULL;
        assert(*cell == NULL);
        struct route *route = calloc(1, sizeof *route);
        if (route == NULL)
                return NULL;
        route->id = id;
        list_init(&route->privates);
        list_init(&route->cohorts);
        list_init(&route->groups);
        *cell = route;
        return route;
}

static void route_free_if_empty(struct routes *routes, struct route *route)
{
        if (route->subscriptions_count > 0)
                return;
        assert(list_is_empty(&route->privates));
        assert(list_is_empty(&route->groups));
        /* Deserted cohorts whose last bytes are still on their way. */
        list_for_each(&route->cohorts, link) list_remove(link);
        *route_cell(routes, route->id) = NULL;
        match_remove(routes->table, route->id, routes->reactor);
        free(route);
}

/* ---- subscriptions ---- */

static uint64_t sid_hash(const struct routes *routes, const struct session *session, struct span sid)
{
        return XXH3_64bits_withSeed(sid.bytes, sid.size, routes->hash_seed ^ session->client_id);
}

struct subscription *route_find_sid(const struct routes *routes, const struct session *session, struct span sid)
{
        uint64_t hash = sid_hash(routes, session, sid);
        for (struct map_node *node = map_first(&routes->by_sid, hash); node != NULL; node = map_next(node)) {
                struct subscription *subscription = container_of(node, struct subscription, node);
                if (subscription->session == session && span_equal(subscription_sid(subscription), sid))
                        return subscription;
        }
        return NULL;
}

int route_subscribe(struct reactor *reactor, struct session *session, struct span subject, struct span queue,
                    struct span sid, struct subscription **subscription)
{
        struct routes *routes = &reactor->routes;
        pattern_id id;
        assert(sid.size <= UINT16_MAX); /* a control line is no longer */
        if (route_find_sid(routes, session, sid) != NULL)
                return -EEXIST;
        struct subscription *new = calloc(1, sizeof *new + sid.size);
        if (new == NULL)
                return -ENOMEM;
        int error = match_add(routes->table, subject, MATCH_NATS, routes->reactor, &id);
        if (error != 0) {
                free(new);
                return error;
        }
        struct route *route = route_of(routes, id);
        if (route == NULL)
                route = route_new(routes, id);
        if (route == NULL) {
                match_remove(routes->table, id, routes->reactor);
                free(new);
                return -ENOMEM;
        }
        *new = (struct subscription){.session = session, .route = route, .sid_bytes = (uint16_t)sid.size};
        span_copy(new->sid, sid);
        list_init(&new->session_link);
        list_init(&new->route_link);
        if (routes_fit_ids(routes) != 0 || (queue.size > 0 && queue_group_add(routes, route, queue, new) != 0)) {
                route_free_if_empty(routes, route);
                free(new);
                return -ENOMEM;
        }
        if (queue.size == 0)
                list_push_back(&route->privates, &new->route_link);
        list_push_back(&session->subscriptions, &new->session_link);
        session->subscriptions_count++;
        map_insert(&routes->by_sid, &new->node, sid_hash(routes, session, sid));
        route->subscriptions_count++;
        routes->subscriptions_count++;
        *subscription = new;
        return 0;
}

void route_unsubscribe(struct reactor *reactor, struct subscription *subscription)
{
        struct routes *routes = &reactor->routes;
        struct route *route = subscription->route;
        assert(subscription->entry == NULL);
        if (subscription->group != NULL)
                queue_group_remove(routes, subscription);
        list_remove(&subscription->route_link);
        list_remove(&subscription->session_link);
        subscription->session->subscriptions_count--;
        map_remove(&routes->by_sid, &subscription->node);
        routes->subscriptions_count--;
        route->subscriptions_count--;
        free(subscription);
        route_free_if_empty(routes, route);
}

uint64_t subscription_delivered(const struct subscription *subscription)
{
        return subscription->entry == NULL ? subscription->delivered
                                           : subscription->delivered + subscription->entry->appended;
}

/* ---- publishing ---- */

static struct route_memo *memo_row(struct routes *routes, struct span subject, uint64_t *hash)
{
        *hash = XXH3_64bits_withSeed(subject.bytes, subject.size, routes->hash_seed);
        return &routes->memo[*hash % ROUTE_MEMO_ROWS];
}

static bool memo_knows(const struct route_memo *memo, uint64_t version, uint64_t hash, struct span subject)
{
        return memo->version == version && memo->hash == hash && memo->subject_bytes == subject.size &&
               memcmp(memo->subject, subject.bytes, subject.size) == 0;
}

static void memo_learn(struct route_memo *memo, uint64_t version, uint64_t hash, struct span subject,
                       const pattern_id *ids, size_t ids_count)
{
        if (subject.size == 0 || subject.size > ROUTE_MEMO_SUBJECT_BYTES || ids_count > ROUTE_MEMO_IDS)
                return;
        memo->version = version;
        memo->hash = hash;
        memo->subject_bytes = (uint16_t)subject.size;
        memo->ids_count = (uint16_t)ids_count;
        if (ids_count > 0)
                memcpy(memo->ids, ids, ids_count * sizeof *ids);
        span_copy(memo->subject, subject);
}

/* May this subscription have the event at all? */
static bool route_wants(const struct session *from, const struct subscription *subscription)
{
        return from->echo || subscription->session != from;
}

#define QUEUE_NAMES_MAX 64

/* The groups of one name, on all patterns that an event matched. */
struct queue_pick {
        const struct queue_group *first;
        uint32_t members_count;
};

/* One member of all groups that are called as `pick->first`, beginning at the `number`-th and going round once until
 * one takes it. */
static bool queue_deliver(struct reactor *reactor, const struct session *from, const struct event *event,
                          const pattern_id *ids, size_t ids_count, const struct queue_pick *pick)
{
        uint64_t number = random_below(&reactor->random, pick->members_count);
        for (uint32_t tries = 0; tries < pick->members_count; tries++, number++) {
                uint64_t index = number % pick->members_count;
                for (size_t i = 0; i < ids_count; i++) {
                        struct route *route = route_of(&reactor->routes, ids[i]);
                        if (route == NULL)
                                continue;
                        list_for_each(&route->groups, link)
                        {
                                struct queue_group *group = list_entry(link, struct queue_group, route_link);
                                if (group->name_bytes != pick->first->name_bytes ||
                                    memcmp(group->name, pick->first->name, group->name_bytes) != 0)
                                        continue;
                                if (index >= group->members_count) {
                                        index -= group->members_count;
                                        continue;
                                }
                                struct subscription *member = group->members[index];
                                if (route_wants(from, member) && session_deliver(reactor, member, event))
                                        return true;
                                goto next_member;
                        }
                }
        next_member:;
        }
        return false;
}

/* One member of this group alone: costs the members that do not take it, not the groups beside it. */
static bool queue_deliver_alone(struct reactor *reactor, const struct session *from, const struct event *event,
                                const struct queue_group *group)
{
        uint64_t number = random_below(&reactor->random, group->members_count);
        for (uint32_t tries = 0; tries < group->members_count; tries++, number++) {
                struct subscription *member = group->members[number % group->members_count];
                if (route_wants(from, member) && session_deliver(reactor, member, event))
                        return true;
        }
        return false;
}

static uint32_t route_deliver_groups(struct reactor *reactor, const struct session *from, const struct event *event,
                                     const pattern_id *ids, size_t ids_count)
{
        struct queue_pick picks[QUEUE_NAMES_MAX];
        size_t picks_count = 0;
        uint32_t delivered = 0;
        for (size_t i = 0; i < ids_count; i++) {
                struct route *route = route_of(&reactor->routes, ids[i]);
                if (route == NULL)
                        continue;
                list_for_each(&route->groups, link)
                {
                        const struct queue_group *group = list_entry(link, struct queue_group, route_link);
                        size_t known = 0;
                        while (known < picks_count &&
                               (picks[known].first->name_bytes != group->name_bytes ||
                                memcmp(picks[known].first->name, group->name, group->name_bytes) != 0))
                                known++;
                        if (known == QUEUE_NAMES_MAX) {
                                /* More names than there is room for: those serve themselves one by one, pattern by
                                 * pattern. */
                                delivered += queue_deliver_alone(reactor, from, event, group);
                                continue;
                        }
                        if (known == picks_count)
                                picks[picks_count++] = (struct queue_pick){.first = group};
                        picks[known].members_count += group->members_count;
                }
        }
        for (size_t i = 0; i < picks_count; i++)
                delivered += queue_deliver(reactor, from, event, ids, ids_count, &picks[i]);
        return delivered;
}

/* Appends the event to the stream of everyone who wants it; returns how many those are. */
static uint32_t route_deliver(struct reactor *reactor, const struct session *from, const struct event *event,
                              const pattern_id *ids, size_t ids_count)
{
        uint32_t delivered = 0;
        bool has_groups = false;
        for (size_t i = 0; i < ids_count; i++) {
                struct route *route = route_of(&reactor->routes, ids[i]);
                if (route == NULL)
                        continue;
                list_for_each(&route->cohorts, link)
                {
                        struct cohort_entry *entry = list_entry(link, struct cohort_entry, route_link);
                        struct cohort *cohort = &entry->owner->cohort;
                        if (cohort->members_count == 0)
                                continue;
                        delivered += cohort->members_count;
                        entry->appended++;
                        cohort_append(&reactor->lanes, cohort, event, span_of(entry->sid, entry->sid_bytes));
                        reactor_count(reactor, COUNT_COHORT_APPENDS, 1);
                }
                list_for_each(&route->privates, link)
                {
                        struct subscription *subscription = list_entry(link, struct subscription, route_link);
                        if (route_wants(from, subscription))
                                delivered += session_deliver(reactor, subscription, event);
                }
                has_groups |= !list_is_empty(&route->groups);
        }
        if (has_groups)
                delivered += route_deliver_groups(reactor, from, event, ids, ids_count);
        return delivered;
}

/* Subscriptions that have had their last event go once no list is being walked. */
static void routes_collect_expired(struct reactor *reactor)
{
        list_for_each(&reactor->routes.expired, link)
        {
                struct subscription *subscription = list_entry(link, struct subscription, route_link);
                route_unsubscribe(reactor, subscription);
        }
}

void route_publish(struct reactor *reactor, struct session *from, const struct event *events, size_t events_count)
{
        struct routes *routes = &reactor->routes;
        uint64_t version = match_version(routes->table);
        uint64_t hashes[MATCH_BATCH_MAX];
        struct span unknown[MATCH_BATCH_MAX];
        struct match_set sets[MATCH_BATCH_MAX], found[MATCH_BATCH_MAX];
        uint8_t unknown_of[MATCH_BATCH_MAX];
        size_t unknown_count = 0;
        assert(events_count >= 1);
        assert(events_count <= MATCH_BATCH_MAX);

        for (size_t i = 0; i < events_count; i++) {
                struct span subject = events[i].subject;
                const struct route_memo *memo = memo_row(routes, subject, &hashes[i]);
                if (memo_knows(memo, version, hashes[i], subject)) {
                        sets[i] = (struct match_set){.ids = memo->ids, .ids_count = memo->ids_count};
                        continue;
                }
                unknown_of[unknown_count] = (uint8_t)i;
                unknown[unknown_count++] = subject;
        }
        if (unknown_count > 0) {
                size_t matched =
                        match_batch(routes->table, unknown, unknown_count, routes->ids, routes->ids_max, found);
                assert(matched == unknown_count);
                for (size_t i = 0; i < unknown_count; i++)
                        sets[unknown_of[i]] = found[i];
        }
        uint64_t delivered_sum = 0, unmatched = 0;
        for (size_t i = 0; i < events_count; i++) {
                uint32_t delivered = route_deliver(reactor, from, &events[i], sets[i].ids, sets[i].ids_count);
                delivered_sum += delivered;
                if (delivered == 0) {
                        unmatched++;
                        if (events[i].reply.size > 0 && from->no_responders)
                                session_no_responders(reactor, from, &events[i]);
                }
                reactor_relieve(reactor);
        }
        /* Only now: learning a subject may overwrite the row that an event of this batch was just answered from. */
        for (size_t i = 0; i < unknown_count; i++) {
                uint64_t hash = hashes[unknown_of[i]];
                memo_learn(&routes->memo[hash % ROUTE_MEMO_ROWS], version, hash, unknown[i], found[i].ids,
                           found[i].ids_count);
        }
        reactor_count(reactor, COUNT_DELIVERIES_MATCHED, delivered_sum);
        if (unmatched > 0)
                reactor_count(reactor, COUNT_EVENTS_UNMATCHED, unmatched);
        if (!list_is_empty(&routes->expired))
                routes_collect_expired(reactor);
        sessions_part_crowded(reactor);
}

struct subscription *route_find_for_reply(struct reactor *reactor, const struct session *session, struct span reply)
{
        struct routes *routes = &reactor->routes;
        struct match_set set;
        match_batch(routes->table, &reply, 1, routes->reply_ids, routes->ids_max / MATCH_BATCH_MAX, &set);
        for (uint32_t i = 0; i < set.ids_count; i++) {
                struct route *route = route_of(routes, set.ids[i]);
                if (route == NULL)
                        continue;
                /* A pattern may have a million subscribers, or the session may; whichever is fewer is searched. */
                if (route->subscriptions_count <= session->subscriptions_count) {
                        list_for_each(&route->privates, link)
                        {
                                struct subscription *subscription = list_entry(link, struct subscription, route_link);
                                if (subscription->session == session)
                                        return subscription;
                        }
                        if (list_is_empty(&route->cohorts))
                                continue;
                }
                list_for_each(&session->subscriptions, link)
                {
                        struct subscription *subscription = list_entry(link, struct subscription, session_link);
                        if (subscription->route == route && subscription->group == NULL && !subscription->is_expired)
                                return subscription;
                }
        }
        return NULL;
}
