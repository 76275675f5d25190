/* route: the way of an event on this reactor. See the header. */
#include "engine/route.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "engine/queuegroup.h"
#include "engine/quota.h"
#include "engine/reactor.h"
#include "engine/session.h"

/* Address space for all patterns that there may ever be; a page of it costs memory from its first use. So an event can
 * match whatever is in the table when it comes, without asking for memory. */
static int routes_map_ids(struct routes *routes)
{
        size_t each = routes->interests->ids_max;
        void *memory = mmap(NULL, each * (MATCH_BATCH_MAX + 1) * sizeof *routes->ids, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
                return -ENOMEM;
        routes->ids = memory;
        routes->ids_max = each * MATCH_BATCH_MAX;
        routes->reply_ids = routes->ids + routes->ids_max;
        routes->reply_ids_max = each;
        return 0;
}

static void routes_unmap_ids(struct routes *routes)
{
        if (routes->ids != NULL)
                munmap(routes->ids, (routes->ids_max + routes->reply_ids_max) * sizeof *routes->ids);
}

int routes_init(struct routes *routes, struct cores *cores, unsigned reactor, uint64_t hash_seed, size_t cache_lines)
{
        *routes = (struct routes){.table = cores->table,
                                  .cores = cores,
                                  .interests = &cores->core[reactor].interests,
                                  .reactor = reactor,
                                  .hash_seed = hash_seed,
                                  .withdrawals_max = ROUTE_WITHDRAWALS_MAX};
        list_init(&routes->expired);
        list_init(&routes->untold);
        list_init(&routes->asked);
        routes->requests = calloc(ROUTE_REQUESTS, sizeof *routes->requests);
        if (routes->requests == NULL || cache_init(&routes->cache, routes->table, cache_lines) != 0 ||
            routes_map_ids(routes) != 0 || picks_init(&routes->picks) != 0 || map_init(&routes->by_sid, 0) != 0 ||
            map_init(&routes->by_text, 0) != 0 || map_init(&routes->groups, 0) != 0) {
                routes_fini(routes);
                return -ENOMEM;
        }
        return 0;
}

void routes_fini(struct routes *routes)
{
        assert(routes->subscriptions_count == 0);
        for (size_t page = 0; page < routes->pages_count; page++)
                free(routes->pages[page]);
        /* Asked for, still to be asked for, or to be withdrawn: whoever would have cared is gone. */
        list_splice_back(&routes->untold, &routes->asked);
        list_for_each(&routes->untold, link)
        {
                struct route *route = list_entry(link, struct route, tell_link);
                list_remove(link);
                if (!route->is_withdrawn)
                        map_remove(&routes->by_text, &route->node);
                free(route);
        }
        free(routes->pages);
        cache_fini(&routes->cache);
        free(routes->requests);
        routes_unmap_ids(routes);
        picks_fini(&routes->picks);
        map_fini(&routes->by_sid);
        map_fini(&routes->by_text);
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

/* ---- routes by text, and the matcher's writer ---- */

static uint64_t text_hash(const struct routes *routes, struct span text)
{
        return XXH3_64bits_withSeed(text.bytes, text.size, routes->hash_seed);
}

struct route *route_find(const struct routes *routes, struct span text)
{
        for (struct map_node *node = map_first(&routes->by_text, text_hash(routes, text)); node != NULL;
             node = map_next(node)) {
                struct route *route = container_of(node, struct route, node);
                if (span_equal(route_text(route), text))
                        return route;
        }
        return NULL;
}

static bool routes_write(const struct routes *routes)
{
        return routes->reactor == 0;
}

/* The pattern has an id: events come from now on. 0 or -ENOMEM. */
static int route_settle(struct routes *routes, struct route *route, pattern_id id, uint64_t version)
{
        struct route **cell = route_cell(routes, id);
        if (cell == NULL)
                return -ENOMEM;
        assert(*cell == NULL);
        route->id = id;
        route->version = version;
        *cell = route;
        return 0;
}

/* By the writer, for `reactor`. */
static int routes_add(const struct routes *routes, struct span text, bool is_modest, unsigned reactor, pattern_id *id)
{
        size_t max = routes->cores->patterns_max, kept = max / ROUTE_KEPT_PART;
        if (unlikely(match_patterns_count(routes->table) >= max - kept) && !is_modest &&
            match_find(routes->table, text, MATCH_NATS) == PATTERN_NONE)
                return -ENOSPC;
        return match_add(routes->table, text, MATCH_NATS, reactor, id);
}

/* Puts the route into the matcher, or asks for it. */
static int route_enter(struct routes *routes, struct route *route)
{
        if (!routes_write(routes)) {
                list_push_back(&routes->untold, &route->tell_link);
                return 0;
        }
        pattern_id id;
        int error = routes_add(routes, route_text(route), route->is_modest, routes->reactor, &id);
        if (error != 0)
                return error;
        error = route_settle(routes, route, id, match_version(routes->table));
        if (error != 0)
                match_remove(routes->table, id, routes->reactor);
        return error;
}

/* The route of a pattern, made if need be; NULL: *error tells. */
static struct route *route_get(struct routes *routes, struct span text, bool is_modest, int *error)
{
        struct route *route = route_find(routes, text);
        if (route != NULL) {
                route->is_modest |= is_modest; /* it counts while it is not asked for */
                return route;
        }
        *error = match_check(text, MATCH_NATS);
        if (*error != 0)
                return NULL;
        route = calloc(1, sizeof *route + text.size);
        if (route == NULL) {
                *error = -ENOMEM;
                return NULL;
        }
        route->id = PATTERN_NONE;
        route->reach = match_reach_of(routes->table, text, MATCH_NATS);
        route->serial = ++routes->next_serial;
        list_init(&route->privates);
        list_init(&route->cohorts);
        list_init(&route->groups);
        list_init(&route->tell_link);
        route->is_modest = is_modest;
        route->text_bytes = (uint16_t)text.size;
        span_copy(route->text, text);
        *error = route_enter(routes, route);
        if (*error != 0) {
                free(route);
                return NULL;
        }
        map_insert(&routes->by_text, &route->node, text_hash(routes, text));
        return route;
}

/* To be told to the writer. */
static void route_withdraw(struct routes *routes, struct route *route)
{
        route->is_withdrawn = true;
        routes->withdrawals_count++;
        list_push_front(&routes->untold, &route->tell_link);
}

/* Nobody here wants it any more: it leaves the pages at once, and the matcher when the writer hears of it, before any
 * new pattern: what is not wanted any more is not to count against what is. One that was asked for stays until the
 * answer has come. */
static void route_free_if_empty(struct routes *routes, struct route *route)
{
        if (route->subscriptions_count > 0)
                return;
        assert(list_is_empty(&route->privates));
        assert(list_is_empty(&route->groups));
        if (route->id == PATTERN_NONE && route->is_asked)
                return;
        if (route->id == PATTERN_NONE) {
                list_remove(&route->tell_link);
                map_remove(&routes->by_text, &route->node);
                free(route);
                return;
        }
        /* Deserted cohorts whose last bytes are still on their way. */
        list_for_each(&route->cohorts, link) list_remove(link);
        *route_cell(routes, route->id) = NULL;
        map_remove(&routes->by_text, &route->node);
        if (routes_write(routes)) {
                match_remove(routes->table, route->id, routes->reactor);
                free(route);
                return;
        }
        route_withdraw(routes, route);
}

bool routes_tell(struct reactor *reactor)
{
        struct routes *routes = &reactor->routes;
        while (!list_is_empty(&routes->untold)) {
                struct route *route = list_entry(routes->untold.next, struct route, tell_link);
                struct mailbox *writer = reactor->out[0];
                if (!route->is_withdrawn) {
                        struct mailbox_control ask = {.kind = MAILBOX_SUBSCRIBE,
                                                      .token = (uint64_t)(uintptr_t)route,
                                                      .text = route->text,
                                                      .text_bytes = route->text_bytes,
                                                      .is_modest = route->is_modest};
                        if (routes->asks_out == MAILBOX_ASKS_MAX)
                                return false; /* an answer will wake us */
                        if (!mailbox_tell(writer, &ask))
                                return true;
                        routes->asks_out++;
                        route->is_asked = true;
                        list_remove(&route->tell_link);
                        list_push_back(&routes->asked, &route->tell_link);
                } else {
                        struct mailbox_control withdraw = {.kind = MAILBOX_WITHDRAW, .id = route->id};
                        if (!mailbox_has_spare(writer) || !mailbox_tell(writer, &withdraw))
                                return true;
                        list_remove(&route->tell_link);
                        routes->withdrawals_count--;
                        free(route);
                }
        }
        return false;
}

void route_ask(struct reactor *reactor, unsigned asker, const struct mailbox_control *asked)
{
        struct match_table *table = reactor->routes.table;
        assert(routes_write(&reactor->routes));
        if (asked->kind == MAILBOX_WITHDRAW) {
                match_remove(table, asked->id, asker);
                return;
        }
        struct mailbox_control answer = {.kind = MAILBOX_VISIBLE, .token = asked->token, .id = PATTERN_NONE};
        answer.error = routes_add(&reactor->routes, span_of(asked->text, asked->text_bytes), asked->is_modest, asker,
                                  &answer.id);
        answer.version = match_version(table);
        bool is_told = mailbox_tell(reactor->out[asker], &answer);
        assert(is_told); /* MAILBOX_ASKS_MAX */
}

/* All who waited for the route hear of it. None of them is in a cohort yet: see session_tick_quiet(). */
static void route_tell_subscribers(struct reactor *reactor, struct route *route, int error)
{
        list_for_each(&route->privates, link)
                session_subscribed(reactor, list_entry(link, struct subscription, route_link), error);
        list_for_each(&route->groups, link)
        {
                struct queue_group *group = list_entry(link, struct queue_group, route_link);
                for (uint32_t i = group->members_count; i > 0; i--)
                        session_subscribed(reactor, group->members[i - 1], error);
        }
}

/* ---- what the other reactors know ---- */

static struct interest_row **subscription_rows(const struct subscription *subscription)
{
        return subscription->group != NULL ? &subscription->group->rows : &subscription->route->rows;
}

int route_show(struct reactor *reactor, struct subscription *subscription)
{
        struct interests *interests = reactor->routes.interests;
        const struct permissions *filter = subscription->session->filter;
        const struct queue_group *group = subscription->group;
        pattern_id id = subscription->route->id;
        assert(id != PATTERN_NONE);
        assert(!subscription->is_shown);
        if (group == NULL && filter == NULL) {
                interest_add_plain(interests, id, subscription->route->reach);
        } else {
                struct interest_row **rows = subscription_rows(subscription), *row = *rows;
                while (row != NULL && row->filter != filter)
                        row = row->sibling;
                if (row == NULL) {
                        struct span name = group == NULL ? SPAN_NONE : span_of(group->name, group->name_bytes);
                        row = interest_add_row(interests, id, subscription->route->reach, name,
                                               group == NULL ? 0 : group->name_hash, filter);
                        if (row == NULL)
                                return -ENOMEM;
                        row->sibling = *rows;
                        *rows = row;
                }
                interest_row_add(row, 1);
                subscription->row = row;
        }
        subscription->is_shown = true;
        return 0;
}

void route_hide(struct reactor *reactor, struct subscription *subscription)
{
        struct interests *interests = reactor->routes.interests;
        struct interest_row *row = subscription->row;
        if (!subscription->is_shown)
                return;
        subscription->is_shown = false;
        subscription->row = NULL;
        if (row == NULL) {
                interest_remove_plain(interests, subscription->route->id, subscription->route->reach);
                return;
        }
        interest_row_add(row, UINT32_MAX); /* one less */
        if (interest_row_count(row) > 0)
                return;
        struct interest_row **link = subscription_rows(subscription);
        while (*link != row)
                link = &(*link)->sibling;
        *link = row->sibling;
        interest_remove_row(interests, subscription->route->id, subscription->route->reach, row);
}

/* The others may know of its subscribers. 0 or -ENOMEM. */
static int route_publish_interest(struct reactor *reactor, struct route *route)
{
        int error = 0;
        list_for_each(&route->privates, link) error =
                error != 0 ? error : route_show(reactor, list_entry(link, struct subscription, route_link));
        list_for_each(&route->groups, link)
        {
                struct queue_group *group = list_entry(link, struct queue_group, route_link);
                for (uint32_t i = 0; error == 0 && i < group->members_count; i++)
                        error = route_show(reactor, group->members[i]);
        }
        return error;
}

void route_visible(struct reactor *reactor, const struct mailbox_control *answer)
{
        struct routes *routes = &reactor->routes;
        struct route *route = (struct route *)(uintptr_t)answer->token;
        int error = answer->error;
        assert(routes->asks_out > 0);
        routes->asks_out--;
        list_remove(&route->tell_link);
        if (error == 0)
                error = route_settle(routes, route, answer->id, answer->version);
        if (error == 0)
                error = route_publish_interest(reactor, route);
        route_tell_subscribers(reactor, route, error);
        if (error == 0) {
                route_free_if_empty(routes, route);
                return;
        }
        assert(route->subscriptions_count == 0);
        if (list_is_linked(&route->tell_link))
                return; /* it had settled: its last subscriber has withdrawn it */
        map_remove(&routes->by_text, &route->node);
        if (answer->error == 0) {
                route->id = answer->id;
                route_withdraw(routes, route);
        } else {
                free(route);
        }
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
        int error = 0;
        assert(sid.size <= UINT16_MAX); /* a control line is no longer */
        if (route_find_sid(routes, session, sid) != NULL)
                return -EEXIST;
        /* In front of the matcher, which a pattern of a new shape costs much. */
        error = quota_check(reactor, session, subject);
        if (error != 0)
                return error;
        bool is_modest = quota_is_modest(session, routes->cores->patterns_max / ROUTE_KEPT_PART);
        struct route *route = route_get(routes, subject, is_modest, &error);
        if (route == NULL)
                return error;
        struct subscription *new = calloc(1, sizeof *new + sid.size);
        if (new == NULL || quota_take(reactor, session, route) != 0) {
                free(new);
                route_free_if_empty(routes, route);
                return -ENOMEM;
        }
        *new = (struct subscription){.session = session, .route = route, .sid_bytes = (uint16_t)sid.size};
        span_copy(new->sid, sid);
        list_init(&new->session_link);
        list_init(&new->route_link);
        if (queue.size > 0 && queue_group_add(routes, route, queue, new) != 0) {
                quota_give(reactor, session, route);
                route_free_if_empty(routes, route);
                free(new);
                return -ENOMEM;
        }
        if (route->id != PATTERN_NONE && route_show(reactor, new) != 0) {
                if (new->group != NULL)
                        queue_group_remove(routes, new);
                quota_give(reactor, session, route);
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

void route_leave_group(struct reactor *reactor, struct subscription *subscription)
{
        route_hide(reactor, subscription);
        queue_group_remove(&reactor->routes, subscription);
}

void route_unsubscribe(struct reactor *reactor, struct subscription *subscription)
{
        struct routes *routes = &reactor->routes;
        struct route *route = subscription->route;
        assert(subscription->entry == NULL);
        quota_give(reactor, subscription->session, route);
        route_hide(reactor, subscription);
        if (subscription->group != NULL)
                queue_group_remove(routes, subscription);
        list_remove(&subscription->route_link);
        list_remove(&subscription->session_link);
        subscription->session->subscriptions_count--;
        if (subscription->session->lag_subscription == subscription)
                subscription->session->lag_subscription = NULL;
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
