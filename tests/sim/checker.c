/* checker: see the header. */
#include "tests/sim/checker.h"

#include <string.h>

#include "tests/sim/host.h"
#include "tests/sim/rights.h"

void checker_check_accounts(const struct reactor *reactor)
{
        const struct lanes *lanes = &reactor->lanes;
        struct account sum = lanes->closed, account;
        uint64_t pending, pending_sum = 0;
        uint32_t peers_left = reactor->peers_count;
        for (uint32_t i = 0; i < reactor->by_index_count && peers_left > 0; i++) {
                if (reactor->by_index[i] == NULL)
                        continue;
                peers_left--;
                lane_account(&reactor->by_index[i]->lane, &account, &pending);
                must(account.matched == account.released + account_dropped(&account) + pending,
                     "connection %u: %llu matched, %llu released, %llu dropped, %llu pending", i,
                     (unsigned long long)account.matched, (unsigned long long)account.released,
                     (unsigned long long)account_dropped(&account), (unsigned long long)pending);
                account_add(&sum, &account);
                pending_sum += pending;
        }
        must(sum.matched == lanes->account.matched, "the connections' matched do not add up");
        must(memcmp(sum.dropped, lanes->account.dropped, sizeof sum.dropped) == 0, "their dropped do not add up");
        must(sum.released >= lanes->account.released, "more was released than the connections say");
        must(sum.matched == sum.released + account_dropped(&sum) + pending_sum, "the sums do not add up");
        /* The routes count on their own; they do not see for whom there was no memory. */
        must(lanes->account.matched - reactor->routes.deliveries_count <= lanes->shed_count,
             "%llu matched, and the routes say %llu", (unsigned long long)lanes->account.matched,
             (unsigned long long)reactor->routes.deliveries_count);
        must(lanes->memory.taken_bytes <= reactor->settings.memory_bytes, "%zu bytes of stream memory, of %llu planned",
             lanes->memory.taken_bytes, (unsigned long long)reactor->settings.memory_bytes);
}

/* ---- losses ---- */

/* What somebody may have missed and stayed: by the policy of his subscriptions, also when memory runs short. */
static uint64_t skipped_count(const struct world *world, const struct account *account)
{
        bool may_skip = (world->lag_policies & (1u << LAG_DROP_OLDEST | 1u << LAG_CONFLATE)) != 0;
        return account->dropped[LOSS_LAG_SKIP] + account->dropped[LOSS_CONFLATED] +
               (may_skip ? account->dropped[LOSS_MEMORY_SHED] : 0);
}

uint64_t checker_dropped_beside(const struct world *world, const struct client *client)
{
        const struct reactor *reactor = world->reactors[client->reactor];
        return account_dropped(&reactor->lanes.account) - reactor->lanes.account.dropped[LOSS_NO_PERMISSION] +
               counter_read(&reactor->counters, COUNT_CLOSED_SLOW) +
               counter_read(&reactor->counters, COUNT_CLOSED_MEMORY);
}

/* A reactor that has let somebody pass over events may have done so to anybody who is gone since. */
static bool has_skipped(const struct world *world, const struct client *client)
{
        return skipped_count(world, &world->reactors[client->reactor]->lanes.account) > 0;
}

/* It is still connected, and the engine knows it: its account can be asked. */
static bool is_here(const struct client *client)
{
        return !client->is_over && !sim_peer_is_broken(client->peer) && !sim_peer_is_ended(client->peer) &&
               sim_peer_io(client->peer) != NULL;
}

static uint64_t account_of(const struct world *world, const struct client *client, struct account *account)
{
        const struct reactor *reactor = world->reactors[client->reactor];
        const struct peer *peer = reactor->by_index[io_id_index(sim_peer_id(client->peer))];
        uint64_t pending;
        must(peer != NULL, "a client is here, and the engine does not know it");
        lane_account(&peer->lane, account, &pending);
        return pending;
}

/* It has not stayed until the end, or was slow and has been cut, or shares its reactor with one who was. */
static bool may_miss_the_end(const struct world *world, const struct client *client)
{
        if (!world->is_draining)
                return client->is_over;
        return client->was_over || sim_peer_is_broken(client->peer) ||
               checker_dropped_beside(world, client) != client->dropped_before;
}

/* ---- what is owed to whom ---- */

static bool is_for(const struct world *world, const struct subscribed *subscription, const struct event_sent *event)
{
        return wish_is_for(subscription->wish, event->subject) &&
               (world->clients[subscription->client].echo || event->publisher != subscription->client);
}

/* Known to have been published: acknowledged, or somebody has had it, or one behind it of the same publisher. */
static bool is_taken(const struct event_sent *event, const uint32_t heard_of[CLIENTS_MAX])
{
        return event->moment.acked_step != NEVER || event->number < heard_of[event->publisher];
}

static bool is_permitted(const struct world *world, const struct subscribed *subscription,
                         const struct event_sent *event, enum certainty certainty)
{
        const struct moment *moment = &event->moment;
        unsigned publisher = world->clients[event->publisher].user, user = world->clients[subscription->client].user;
        return world->rights.auth == NULL ||
               (rights_publish(world, publisher, event->subject, certainty, moment->written_step, moment->acked_step) &&
                rights_deliver(world, user, event->subject, subscription->wish.group, certainty, moment->written_step,
                               moment->acked_step) &&
                rights_subscribe(world, user, subscription->wish, certainty, subscription->made.written_step,
                                 moment->acked_step));
}

/* This subscription was there all the while that the event was on its way; of a group, one such has to have it. */
static bool is_due(const struct world *world, const struct subscribed *subscription, const struct event_sent *event)
{
        return is_for(world, subscription, event) && !subscription->is_refused &&
               subscription->made.acked_step != NEVER && event->moment.written_step > subscription->made.acked_step &&
               (event->moment.acked_step < subscription->ended.written_step ||
                subscription->ended.written_step == NEVER) &&
               is_permitted(world, subscription, event, SURELY);
}

/* It may have been there for a part of that. */
static bool is_possible(const struct world *world, const struct subscribed *subscription,
                        const struct event_sent *event)
{
        return is_for(world, subscription, event) && event->moment.acked_step >= subscription->made.written_step &&
               event->moment.written_step <= subscription->ended.acked_step &&
               is_permitted(world, subscription, event, PERHAPS);
}

/* It may have ended by itself, behind what it had; what was skipped counts for it, too. */
static bool may_have_had_its_fill(const struct world *world, const struct subscribed *subscription)
{
        return subscription->max != 0 &&
               (subscription->got >= subscription->max || subscription->limited.acked_step == NEVER ||
                has_skipped(world, &world->clients[subscription->client]));
}

/* ---- one event and all subscriptions ---- */

/* Who an event may be for, by its subject's kind: of hoarded ones, all that are. */
static struct {
        size_t counts[SUBJECTS + 1];
        uint32_t of[SUBJECTS + 1][SUBSCRIPTIONS_MAX];
} wanted;

static void find_wanted(const struct world *world)
{
        memset(wanted.counts, 0, sizeof wanted.counts);
        for (uint32_t s = 0; s < world->subscriptions_count; s++) {
                const struct wish wish = world->subscriptions[s].wish;
                for (unsigned kind = 0; kind <= SUBJECTS; kind++)
                        if (wish.pattern == PATTERN_HOARD ? kind == SUBJECT_HOARD
                                                          : wish_is_for(wish, (struct topic){.kind = (uint8_t)kind}))
                                wanted.of[kind][wanted.counts[kind]++] = s;
        }
}

#define for_each_wanted(world, event, subscription)                                                                    \
        for (const uint32_t *at = wanted.of[(event)->subject.kind], *end = at + wanted.counts[(event)->subject.kind];  \
             at < end; at++)                                                                                           \
                for (const struct subscribed *subscription = &(world)->subscriptions[*at]; subscription != NULL;       \
                     subscription = NULL)                                                                              \
                        if (wish_is_for(subscription->wish, (event)->subject))

/* Exactly one member of a group, unless the one that was picked may have gone. */
static void check_group(const struct world *world, size_t e, unsigned group, bool is_sure)
{
        const struct event_sent *event = &world->events[e];
        unsigned members = 0;
        bool is_wanted = false;
        for_each_wanted(world, event, subscription)
        {
                const struct client *client = &world->clients[subscription->client];
                if (subscription->wish.group != group)
                        continue;
                members += subscribed_had(subscription, e);
                is_wanted |= subscription->max == 0 && is_due(world, subscription, event);
                if (is_possible(world, subscription, event))
                        is_sure &= !may_miss_the_end(world, client) && !has_skipped(world, client);
        }
        must(members <= 1, "event %zu reached %u members of one group", e, members);
        must(members == 1 || !is_wanted || !is_sure, "event %zu reached no member of the group", e);
}

/* Who asked where nobody was knows it, and nobody else thinks so. */
static void check_asked(const struct world *world, size_t e)
{
        const struct event_sent *event = &world->events[e];
        const struct client *publisher = &world->clients[event->publisher];
        bool is_nobody = rights_publish(world, publisher->user, event->subject, SURELY, event->moment.written_step,
                                        event->moment.acked_step);
        must(!event->is_unanswered || rights_publish(world, publisher->user, event->subject, PERHAPS,
                                                     event->moment.written_step, event->moment.acked_step),
             "event %zu got a 503, and may not be published", e);
        for_each_wanted(world, event, subscription)
        {
                bool is_sure = subscription->max == 0 && is_due(world, subscription, event) &&
                               !may_miss_the_end(world, &world->clients[subscription->client]);
                is_nobody &= !is_possible(world, subscription, event);
                must(!event->is_unanswered || !(subscribed_had(subscription, e) || is_sure),
                     "event %zu got a 503 while client %u was there, whose sid %u %s it", e, subscription->client,
                     subscription->sid, subscribed_had(subscription, e) ? "had" : "should have had");
        }
        must(!is_nobody || event->is_unanswered || event->moment.acked_step == NEVER ||
                     may_miss_the_end(world, publisher),
             "event %zu asked where nobody was, and its publisher has heard no 503", e);
}

void checker_check_dues(const struct world *world)
{
        uint32_t heard_of[CLIENTS_MAX] = {0}; /* number + 1 of the last event of each that anybody has had */
        uint64_t missed[CLIENTS_MAX] = {0};
        find_wanted(world);
        for (size_t s = 0; s < world->subscriptions_count; s++)
                for (size_t c = 0; world->subscriptions[s].heard != NULL && c < world->clients_count; c++)
                        if (subscribed_last_of(&world->subscriptions[s], c) > heard_of[c])
                                heard_of[c] = subscribed_last_of(&world->subscriptions[s], c);
        for (size_t e = 0; e < world->events_count; e++) {
                const struct event_sent *event = &world->events[e];
                bool is_sure = is_taken(event, heard_of);
                for (unsigned group = 1; group < SUBJECT_GROUPS; group++)
                        check_group(world, e, group, is_sure);
                if (event->is_asking)
                        check_asked(world, e);
                if (!is_sure)
                        continue;
                for_each_wanted(world, event, subscription)
                {
                        const struct client *client = &world->clients[subscription->client];
                        if (subscription->wish.group != 0 || subscribed_had(subscription, e) ||
                            !is_due(world, subscription, event))
                                continue;
                        missed[subscription->client] += !may_have_had_its_fill(world, subscription);
                        /* Who left early may miss the end, but nothing in front of what he had. */
                        bool is_behind = subscribed_last_of(subscription, event->publisher) <= event->number;
                        must((may_miss_the_end(world, client) && is_behind) || has_skipped(world, client) ||
                                     (may_have_had_its_fill(world, subscription) && is_behind),
                             "client %u sid %u (pattern %u) missed event %zu (subject %u): %s, had %u of publisher %u "
                             "who sent number %u; made %u-%u, sent %u-%u, ended %u",
                             subscription->client, subscription->sid, subscription->wish.pattern, e,
                             event->subject.kind, client->is_over ? "it left" : "it stayed",
                             subscribed_last_of(subscription, event->publisher), event->publisher, event->number,
                             subscription->made.written_step, subscription->made.acked_step, event->moment.written_step,
                             event->moment.acked_step, subscription->ended.written_step);
                }
        }
        /* Who stayed has missed no more than his own account says. */
        for (size_t i = 0; i < world->clients_count && !world->is_draining; i++) {
                struct account account;
                if (missed[i] == 0 || !is_here(&world->clients[i]))
                        continue;
                account_of(world, &world->clients[i], &account);
                must(missed[i] <= skipped_count(world, &account),
                     "client %zu missed %llu events, and %llu were skipped", i, (unsigned long long)missed[i],
                     (unsigned long long)skipped_count(world, &account));
        }
}

/* Of a loss that a client asked to be told of it knows all: every reason. */
static void check_told(const struct world *world, size_t index, const struct account *account)
{
        const struct client *client = &world->clients[index];
        static const enum loss told[] = {LOSS_LAG_SKIP, LOSS_CONFLATED, LOSS_MEMORY_SHED};
        bool may_hear = world->settings[0].lag != NULL && client->hears_lag;
        for (size_t i = 0; i < array_count(told); i++)
                must(client->told_skipped[told[i]] == (may_hear ? account->dropped[told[i]] : 0) || host_failures() > 0,
                     "client %zu was told of %llu events lost by %s, and its account says %llu", index,
                     (unsigned long long)client->told_skipped[told[i]], loss_name(told[i]),
                     (unsigned long long)account->dropped[told[i]]);
}

/* Every event that can have been owed to it, and every one that must have been. */
static void check_matched(const struct world *world, size_t index, const struct account *account)
{
        const struct client *client = &world->clients[index];
        uint64_t possible = 0, due = 0, denied = 0;
        for (uint32_t sid = 1; sid < client->sids_count; sid++) {
                const struct subscribed *subscription = &world->subscriptions[client->subscriptions[sid]];
                if (client->hoards && subscription->wish.pattern == PATTERN_HOARD)
                        return; /* too many to be asked one by one */
        }
        for (uint32_t sid = 1; sid < client->sids_count; sid++) {
                const struct subscribed *subscription = &world->subscriptions[client->subscriptions[sid]];
                bool is_sure = subscription->wish.group == 0 && subscription->max == 0;
                for (size_t e = 0; e < world->events_count; e++) {
                        const struct event_sent *event = &world->events[e];
                        if (!is_for(world, subscription, event))
                                continue;
                        bool is_had = subscribed_had(subscription, e);
                        bool is_in_time = event->moment.acked_step >= subscription->made.written_step &&
                                          event->moment.written_step <= subscription->ended.acked_step;
                        possible += is_had || is_in_time;
                        denied += is_in_time && !is_had && world->rights.auth != NULL &&
                                  !rights_deliver(world, client->user, event->subject, subscription->wish.group, SURELY,
                                                  event->moment.written_step, event->moment.acked_step);
                        due += is_had ||
                               (is_sure && event->moment.acked_step != NEVER && is_due(world, subscription, event));
                }
        }
        must(account->matched >= due && account->matched <= possible,
             "client %zu was owed %llu events, at least %llu and at most %llu were for it", index,
             (unsigned long long)account->matched, (unsigned long long)due, (unsigned long long)possible);
        must(account->dropped[LOSS_NO_PERMISSION] <= denied, "client %zu was denied %llu events, of %llu at most",
             index, (unsigned long long)account->dropped[LOSS_NO_PERMISSION], (unsigned long long)denied);
}

void checker_check_heard(const struct world *world)
{
        for (size_t i = 0; i < world->clients_count; i++) {
                const struct client *client = &world->clients[i];
                struct account account;
                if (!is_here(client))
                        continue;
                uint64_t pending = account_of(world, client, &account);
                uint64_t skipped = skipped_count(world, &account) + account.dropped[LOSS_NO_PERMISSION];
                must(account.released == client->heard && pending == 0 && account_dropped(&account) == skipped,
                     "client %zu heard %llu: %llu released, %llu pending, %llu dropped, %llu of them skipped", i,
                     (unsigned long long)client->heard, (unsigned long long)account.released,
                     (unsigned long long)pending, (unsigned long long)account_dropped(&account),
                     (unsigned long long)skipped);
                check_told(world, i, &account);
                check_matched(world, i, &account);
                for (uint32_t sid = 1; sid < client->sids_count; sid++) {
                        const struct subscribed *subscription = &world->subscriptions[client->subscriptions[sid]];
                        must(subscription->is_refused ||
                                     rights_subscribe(world, client->user, subscription->wish, PERHAPS,
                                                      subscription->made.written_step, subscription->made.acked_step),
                             "client %zu sid %u may not be, and was not refused", i, sid);
                }
        }
}

void checker_check_empty(const struct world *world)
{
        for (size_t i = 0; i < world->reactors_count; i++) {
                const struct reactor *reactor = world->reactors[i];
                const struct lanes *lanes = &reactor->lanes;
                must(lanes->memory.taken_bytes == 0, "%zu bytes of stream memory of reactor %zu did not come back",
                     lanes->memory.taken_bytes, i);
                must(lanes->spans.objects_taken == 0, "closed spans of reactor %zu did not come back", i);
                must(reactor->peers.objects_taken == 0, "connections of reactor %zu did not come back", i);
                must(memcmp(&lanes->account, &lanes->closed, sizeof(struct account)) == 0,
                     "all are gone, and their accounts are not complete");
                must(reactor->routes.subscriptions_count == 0, "subscriptions are left on reactor %zu", i);
                must(reactor->registry.members_count == 0, "members are left on reactor %zu", i);
                must(reactor->kept_bytes == 0, "input is kept on reactor %zu", i);
        }
        must(sim_lent_bytes(world->io[0]) == 0, "bytes are still lent");
}
