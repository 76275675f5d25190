/* publish: what becomes of an event, here and on the other reactors. See the header. */
#include "engine/publish.h"

#include <limits.h>
#include <xxhash.h>

#include "engine/base/mark.h"
#include "engine/queuegroup.h"
#include "engine/reactor.h"
#include "engine/session.h"

/* ---- what an event matches ---- */

/* Of one event: the patterns, and who has subscribers of any of them. */
struct matched {
        const pattern_id *ids;
        size_t ids_count;
        uint64_t version;
        uint64_t plain;   /* other reactors, a bit each */
        uint64_t grouped; /* this one, too */
};

/* There is room for all, whatever comes in between. */
static void routes_match(struct routes *routes, const struct span *subjects, size_t count, struct match_set *sets)
{
        size_t matched = match_batch(routes->table, subjects, count, routes->ids, routes->ids_max, sets);
        assert(matched == count);
}

/* Asks the published interests of all reactors that have subscribers of these patterns. */
static void matched_read(const struct routes *routes, const struct match_set *set, struct matched *matched)
{
        matched->ids = set->ids;
        matched->ids_count = set->ids_count;
        matched->plain = 0;
        matched->grouped = 0;
        for (uint64_t reactors = set->ids_count == 0 ? 0 : set->reactors; reactors != 0; reactors &= reactors - 1) {
                unsigned reactor = (unsigned)__builtin_ctzll(reactors);
                const struct interests *interests = &routes->cores->core[reactor].interests;
                uint64_t bit = (uint64_t)1 << reactor;
                for (uint32_t i = 0; i < set->ids_count; i++) {
                        pattern_id id = set->ids[i];
                        if (interest_groups(interests, id) != NULL)
                                matched->grouped |= bit;
                        if (reactor != routes->reactor &&
                            (interest_plain(interests, id) > 0 || interest_filtered(interests, id) != NULL))
                                matched->plain |= bit;
                }
        }
}

static void matched_keep(struct routes *routes, const struct cache_place *place, const struct matched *matched)
{
        struct cache_result result = {.ids = matched->ids,
                                      .ids_count = (uint32_t)matched->ids_count,
                                      .notes = {matched->plain, matched->grouped}};
        cache_keep(&routes->cache, place, &result);
}

/* What each of a batch of events matches. Returns, a bit each, which of them are to be kept in their places. */
static uint32_t events_match(struct reactor *reactor, const struct event *events, size_t count, struct matched *matched,
                             struct cache_place *places)
{
        struct routes *routes = &reactor->routes;
        struct span subjects[MATCH_BATCH_MAX];
        struct cache_result results[MATCH_BATCH_MAX];
        struct match_set found[MATCH_BATCH_MAX];
        /* First of all: whatever is newer than this is not for these events. */
        uint64_t version = match_version(routes->table);
        for (size_t i = 0; i < count; i++)
                subjects[i] = events[i].subject;
        struct cache_answer answer = cache_find(&routes->cache, subjects, count, results, places);
        size_t unknown_count = 0;
        if (answer.unknown != 0) {
                for (uint32_t left = answer.unknown; left != 0; left &= left - 1)
                        subjects[unknown_count++] = events[__builtin_ctz(left)].subject;
                routes_match(routes, subjects, unknown_count, found);
        }
        reactor_count(reactor, COUNT_CACHE_HITS, count - unknown_count);
        reactor_count(reactor, COUNT_CACHE_MISSES, unknown_count);
        unknown_count = 0;
        for (size_t i = 0; i < count; i++) {
                uint32_t bit = (uint32_t)1 << i;
                if (answer.unknown & bit) {
                        matched_read(routes, &found[unknown_count++], &matched[i]);
                } else if (answer.same & bit) {
                        matched[i] = matched[i - 1];
                        continue;
                } else {
                        matched[i].ids = results[i].ids;
                        matched[i].ids_count = results[i].ids_count;
                        matched[i].plain = results[i].notes[0];
                        matched[i].grouped = results[i].notes[1];
                }
                matched[i].version = version;
        }
        return answer.unknown;
}

/* ---- delivering on this reactor ---- */

/* May this subscription have the event at all? `from` is NULL for an event of another reactor. */
static bool publish_wanted(const struct session *from, const struct subscription *subscription)
{
        return from == NULL || from->echo || subscription->session != from;
}

/* Appends the event to the stream of every plain subscriber who wants it; returns how many those are. */
static uint32_t publish_deliver(struct reactor *reactor, const struct session *from, const struct event *event,
                                const struct matched *matched)
{
        uint32_t delivered = 0;
        for (size_t i = 0; i < matched->ids_count; i++) {
                struct route *route = route_of(&reactor->routes, matched->ids[i]);
                if (route == NULL)
                        continue;
                if (unlikely(route->version > matched->version)) {
                        seen("an id was given again while a record with it was on its way");
                        continue;
                }
                list_for_each(&route->cohorts, link)
                {
                        struct cohort_entry *entry = list_entry(link, struct cohort_entry, route_link);
                        struct cohort *cohort = &entry->owner->cohort;
                        if (cohort->members_count == 0)
                                continue;
                        if (unlikely(entry->owner->filter != NULL) &&
                            !permissions_may_deliver(entry->owner->filter, event->subject, SPAN_NONE)) {
                                cohort_refuse(&reactor->lanes, cohort, LOSS_NO_PERMISSION);
                                reactor->routes.deliveries_count += cohort->members_count;
                                continue;
                        }
                        delivered += cohort->members_count;
                        entry->appended++;
                        cohort_append(&reactor->lanes, cohort, event, span_of(entry->sid, entry->sid_bytes),
                                      (enum lag_policy)entry->policy);
                        reactor_count(reactor, COUNT_COHORT_APPENDS, 1);
                }
                list_for_each(&route->privates, link)
                {
                        struct subscription *subscription = list_entry(link, struct subscription, route_link);
                        if (publish_wanted(from, subscription))
                                delivered += session_deliver(reactor, subscription, event);
                }
        }
        return delivered;
}

/* One member of all groups of this name here, beginning at any and going round once until one takes it. */
static bool publish_to_group(struct reactor *reactor, const struct session *from, const struct event *event,
                             const struct matched *matched, struct span name, uint64_t hash)
{
        struct routes *routes = &reactor->routes;
        uint64_t members_count;
again:
        members_count = 0;
        for (size_t i = 0; i < matched->ids_count; i++) {
                const struct queue_group *group = queue_group_of(routes, matched->ids[i], matched->version, name, hash);
                members_count += group == NULL ? 0 : group->members_count;
        }
        if (members_count == 0)
                return false;
        uint64_t number = random_below(&reactor->random, members_count);
        for (uint64_t tries = 0; tries < members_count; tries++, number++) {
                uint64_t index = number % members_count;
                for (size_t i = 0; i < matched->ids_count; i++) {
                        const struct queue_group *group =
                                queue_group_of(routes, matched->ids[i], matched->version, name, hash);
                        if (group == NULL)
                                continue;
                        if (index >= group->members_count) {
                                index -= group->members_count;
                                continue;
                        }
                        struct subscription *member = group->members[index];
                        if (unlikely(member->session->is_parting)) {
                                /* It is met once: what a million of them leave behind is not walked for each event. */
                                route_leave_group(reactor, member);
                                goto again;
                        }
                        if (publish_wanted(from, member) && !member->session->peer.lane.is_cut &&
                            session_may_have(member->session, member, event) && session_deliver(reactor, member, event))
                                return true;
                        break;
                }
        }
        return false;
}

/* ---- picking members of queue groups, on all reactors ---- */

/* How many members of this row cannot have the event, because they are the publisher's own and it wants no echo. Known
 * for our own reactor only, which is where the publisher is. */
static uint32_t row_unwilling(const struct routes *routes, const struct session *from, pattern_id id,
                              const struct interest_row *row)
{
        const struct queue_group *group =
                queue_group_of(routes, id, UINT64_MAX, span_of(row->name, row->name_bytes), row->name_hash);
        uint32_t count = 0;
        for (uint32_t i = 0; group != NULL && i < group->members_count; i++)
                count += group->members[i]->row == row && !publish_wanted(from, group->members[i]);
        return count;
}

/* Picks one member for each name, or for that of `only`, each member of all reactors in `among` with the same chance.
 * Where there is no memory for so many names, the first ones are picked for: returns how many groups are left out,
 * those of the same name on several patterns or reactors each for itself. */
static uint32_t publish_pick(struct reactor *reactor, const struct session *from, struct span subject,
                             const struct matched *matched, uint64_t among, const struct queue_pick *only)
{
        struct routes *routes = &reactor->routes;
        struct queue_picks *picks = &routes->picks;
        uint32_t left_out = 0;
        picks_clear(picks);
        /* Twice the same walk: counting, then finding whose the picked numbers are. A count may change in between. */
        for (int round = 0; round < 2; round++) {
                for (uint64_t reactors = among; reactors != 0; reactors &= reactors - 1) {
                        unsigned number = (unsigned)__builtin_ctzll(reactors);
                        const struct interests *interests = &routes->cores->core[number].interests;
                        for (size_t i = 0; i < matched->ids_count; i++) {
                                const struct interest_row *row = interest_groups(interests, matched->ids[i]);
                                for (; row != NULL; row = interest_next(row)) {
                                        struct span name = span_of(row->name, row->name_bytes);
                                        uint32_t count = interest_row_count(row);
                                        if (only != NULL &&
                                            (row->name_hash != only->hash || !span_equal(name, only->name)))
                                                continue;
                                        if (from != NULL && !from->echo && number == routes->reactor)
                                                count -= row_unwilling(routes, from, matched->ids[i], row);
                                        if (count == 0 || (row->filter != NULL &&
                                                           !permissions_may_deliver(row->filter, subject, name)))
                                                continue;
                                        struct queue_pick *pick = picks_find(picks, row->name_hash, name, round == 0);
                                        if (pick == NULL && round == 0 && picks_grow(picks))
                                                pick = picks_find(picks, row->name_hash, name, true);
                                        if (pick == NULL) {
                                                left_out += round == 0;
                                                continue;
                                        }
                                        if (round == 0) {
                                                pick->members_count += count;
                                                pick->reactor = number;
                                                continue;
                                        }
                                        if (pick->number < count)
                                                pick->reactor = number;
                                        pick->number -= count; /* wraps around behind the one that was found: never
                                                                  below a count again */
                                }
                        }
                }
                for (size_t i = 0; round == 0 && i < picks->picks_count; i++)
                        picks->pick[i].number = random_below(&reactor->random, picks->pick[i].members_count);
        }
        return left_out;
}

/* ---- to other reactors ---- */

/* An event as it is told to other reactors: to whom of them is added later. */
static struct mailbox_event told_of(const struct routes *routes, const struct event *event, io_id from, uint64_t tried,
                                    uint32_t flags, const struct matched *matched)
{
        bool is_short = likely(matched->ids_count <= routes->cores->record_ids_max);
        return (struct mailbox_event){.event = *event,
                                      .from = from,
                                      .version = matched->version,
                                      .tried = tried,
                                      .flags = flags | (is_short ? 0 : MAILBOX_NO_IDS),
                                      .ids = matched->ids,
                                      .ids_count = is_short ? (uint32_t)matched->ids_count : 0};
}

/* What a record of this event takes in any mailbox, all names included that go anywhere. */
static size_t record_bound(const struct routes *routes, const struct mailbox_event *told)
{
        const struct queue_picks *picks = &routes->picks;
        size_t bytes = mailbox_event_bytes(told);
        for (size_t i = 0; i < picks->picks_count; i++)
                if (picks->pick[i].reactor != routes->reactor && picks->pick[i].reactor != UINT_MAX)
                        bytes += sizeof(uint16_t) + picks->pick[i].name.size;
        return bytes;
}

/* Whoever subscribes with a hundred thousand names on one subject must not make records that fit no mailbox: what is
 * beyond goes to our own members, or is lost and counted. */
static void picks_trim(struct reactor *reactor)
{
        struct queue_picks *picks = &reactor->routes.picks;
        size_t bytes_left = reactor->routes.cores->mailbox_bytes / 8;
        for (size_t i = 0; i < picks->picks_count; i++) {
                struct queue_pick *pick = &picks->pick[i];
                size_t bytes = sizeof(uint16_t) + pick->name.size;
                if (pick->reactor == reactor->routes.reactor)
                        continue;
                pick->is_trimmed = bytes > bytes_left;
                if (pick->is_trimmed)
                        pick->reactor = reactor->routes.reactor;
                else
                        bytes_left -= bytes;
        }
}

/* Writes the event into the mailbox of each reactor in `targets`, which have room. */
static void publish_send(struct reactor *reactor, struct mailbox_event *told, uint64_t targets)
{
        for (; targets != 0; targets &= targets - 1) {
                unsigned target = (unsigned)__builtin_ctzll(targets);
                struct queue_picks *picks = &reactor->routes.picks;
                told->queues_count = picks_names(picks, target);
                told->queues = picks->names;
                size_t bytes = mailbox_event_bytes(told);
                uint8_t *record = mailbox_reserve(reactor->out[target], bytes);
                assert(record != NULL);
                mailbox_event_write(record, told);
                mailbox_commit(reactor->out[target], bytes);
                reactor_count(reactor, COUNT_CROSSINGS, 1);
        }
}

/* So many queue groups do not get an event: there is no room to ask for their members elsewhere, or no memory to pick
 * any. */
static void routes_count_lost(struct reactor *reactor, enum loss loss, uint64_t count)
{
        if (likely(count == 0))
                return;
        lanes_count_unowned(&reactor->lanes, loss, count);
        reactor->routes.deliveries_count += count;
}

/* What became of an event that was tried again. */
struct given {
        uint32_t here_count; /* groups that have it now, or of which it is known and counted that they do not */
        uint32_t sent_count; /* records that went to other reactors */
};

/* Finds another member for one name: `among` are the reactors to ask. Gives it the event here, or sends it. Where there
 * was a member and no room to ask (`is_full`: so far), and nobody else is found, the name's event is counted lost. */
static void publish_pick_again(struct reactor *reactor, const struct session *from, struct mailbox_event *told,
                               const struct matched *matched, const struct queue_pick *wanted, uint64_t among,
                               bool is_full, struct given *given)
{
        struct routes *routes = &reactor->routes;
        while (among != 0) {
                publish_pick(reactor, from, told->event.subject, matched, among, wanted);
                struct queue_pick *pick = routes->picks.picks_count == 0
                                                  ? NULL
                                                  : picks_find(&routes->picks, wanted->hash, wanted->name, false);
                if (pick == NULL)
                        break;
                unsigned target = pick->reactor;
                picks_clear(&routes->picks);
                among &= ~((uint64_t)1 << target);
                told->tried |= (uint64_t)1 << target;
                if (target == routes->reactor) {
                        if (!publish_to_group(reactor, from, &told->event, matched, wanted->name, wanted->hash))
                                continue;
                        routes->deliveries_count++;
                        given->here_count++;
                        return;
                }
                told->queues_count = 0;
                size_t bytes = mailbox_event_bytes(told) + sizeof(uint16_t) + wanted->name.size;
                if (!mailboxes_can_hold(reactor->out, (uint64_t)1 << target, bytes)) {
                        is_full = true; /* a second try holds nobody up */
                        continue;
                }
                picks_find(&routes->picks, wanted->hash, wanted->name, true)->reactor = target;
                publish_send(reactor, told, (uint64_t)1 << target);
                given->sent_count++;
                return;
        }
        if (is_full) {
                routes_count_lost(reactor, LOSS_OVER_LIMIT, 1);
                given->here_count++;
        }
}

#define FAILED_MAX 16 /* names of one event that are tried again: each of them walks all groups of the event */

/* A member for each of these names, on another reactor than the one that has failed: of `full` for want of room. */
static void publish_try_again(struct reactor *reactor, const struct session *from, const struct mailbox_event *told,
                              const struct matched *matched, const struct queue_pick *failed, size_t failed_count,
                              uint64_t among, uint64_t full, struct given *given)
{
        for (size_t i = 0; i < failed_count; i++) {
                uint64_t failer = (uint64_t)1 << failed[i].reactor;
                struct mailbox_event again = *told;
                again.tried |= failer;
                publish_pick_again(reactor, from, &again, matched, &failed[i], among & ~failer, (full & failer) != 0,
                                   given);
        }
}

/* ---- publishing ---- */

/* Is there a plain subscriber on another reactor who may have it? */
static bool publish_reaches_plain(const struct routes *routes, const struct matched *matched, struct span subject)
{
        for (uint64_t reactors = matched->plain; reactors != 0; reactors &= reactors - 1) {
                const struct interests *interests = &routes->cores->core[__builtin_ctzll(reactors)].interests;
                for (size_t i = 0; i < matched->ids_count; i++) {
                        if (interest_plain(interests, matched->ids[i]) > 0)
                                return true;
                        const struct interest_row *row = interest_filtered(interests, matched->ids[i]);
                        for (; row != NULL; row = interest_next(row))
                                if (permissions_may_deliver(row->filter, subject, SPAN_NONE))
                                        return true;
                }
        }
        return false;
}

/* Those who get the record tell us if nobody is left there: what we know is a moment old. */
static void publish_ask_back(struct routes *routes, struct mailbox_event *told, uint32_t targets_count)
{
        told->flags |= MAILBOX_ASKED;
        told->request = ++routes->requests_count;
        routes->requests[told->request % ROUTE_REQUESTS] =
                (struct route_request){.number = told->request, .waiting_count = targets_count};
}

/* Somebody has it, or may: no 503. */
static void publish_forget_request(struct routes *routes, uint32_t number)
{
        struct route_request *request = &routes->requests[number % ROUTE_REQUESTS];
        if (request->number == number)
                request->waiting_count = 0;
}

static void publish_tell_nobody(struct reactor *reactor, struct session *from, const struct event *event)
{
        reactor_count(reactor, COUNT_EVENTS_UNMATCHED, 1);
        if (event->reply.size > 0 && from->no_responders)
                session_no_responders(reactor, from, event);
}

/* One event with queue groups, or subscribers on other reactors: to all or to none. false: the mailboxes of *full have
 * no room. */
static __attribute__((noinline)) bool publish_wide(struct reactor *reactor, struct session *from,
                                                   const struct event *event, const struct matched *matched,
                                                   uint32_t *delivered, uint64_t *full)
{
        struct routes *routes = &reactor->routes;
        struct queue_picks *picks = &routes->picks;
        uint64_t targets = matched->plain;
        struct mailbox_event told = {.flags = 0};
        if (unlikely(picks->picks_count > 0))
                picks_clear(picks);
        uint32_t left_out = 0;
        if (unlikely(matched->grouped != 0)) {
                left_out = publish_pick(reactor, from, event->subject, matched, matched->grouped, NULL);
                picks_trim(reactor);
                for (size_t i = 0; i < picks->picks_count; i++)
                        targets |= (uint64_t)1 << picks->pick[i].reactor;
                targets &= ~((uint64_t)1 << routes->reactor);
        }
        if (unlikely(targets != 0)) {
                told = told_of(routes, event, from->peer.lane.id, 0, 0, matched);
                *full = mailboxes_without_room(reactor->out, targets, record_bound(routes, &told));
                if (*full != 0)
                        return false;
        }
        *delivered = publish_deliver(reactor, from, event, matched);
        size_t failed_count = 0, lost_count = 0;
        struct queue_pick failed[FAILED_MAX];
        for (size_t i = 0; i < picks->picks_count; i++) {
                const struct queue_pick *pick = &picks->pick[i];
                if (pick->reactor != routes->reactor)
                        continue;
                if (publish_to_group(reactor, from, event, matched, pick->name, pick->hash))
                        ++*delivered;
                else if (!pick->is_trimmed && failed_count < FAILED_MAX)
                        failed[failed_count++] = *pick;
                else
                        lost_count++;
        }
        bool is_nobody = *delivered == 0 && (targets & ~matched->plain) == 0 &&
                         !publish_reaches_plain(routes, matched, event->subject);
        bool is_request = event->reply.size > 0 && from->no_responders;
        /* Rights may be granted before a record is read: who is told that nobody has it is to be right. */
        if (is_nobody && is_request)
                targets = 0;
        routes_count_lost(reactor, LOSS_OVER_LIMIT, lost_count);
        routes_count_lost(reactor, LOSS_MEMORY_SHED, left_out);
        if (unlikely(targets != 0)) {
                if (is_request && !is_nobody && *delivered == 0)
                        publish_ask_back(routes, &told, (uint32_t)__builtin_popcountll(targets));
                publish_send(reactor, &told, targets);
        }
        /* Ours have just been cut, all of them: others may live elsewhere. */
        struct given given = {0};
        if (unlikely(failed_count > 0)) {
                seen("all members of a group here were cut while one was picked");
                struct mailbox_event again =
                        told_of(routes, event, from->peer.lane.id, 0, MAILBOX_QUEUES_ONLY, matched);
                publish_try_again(reactor, from, &again, matched, failed, failed_count, matched->grouped, 0, &given);
                if ((told.flags & MAILBOX_ASKED) != 0 && given.here_count + given.sent_count > 0)
                        publish_forget_request(routes, told.request);
        }
        if (is_nobody && given.here_count + given.sent_count == 0)
                publish_tell_nobody(reactor, from, event);
        return true;
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

size_t publish_events(struct reactor *reactor, struct session *from, const struct event *events, size_t events_count)
{
        struct routes *routes = &reactor->routes;
        struct matched matched[MATCH_BATCH_MAX];
        struct cache_place places[MATCH_BATCH_MAX];
        assert(events_count >= 1);
        assert(events_count <= MATCH_BATCH_MAX);

        uint32_t unknown = events_match(reactor, events, events_count, matched, places);
        uint64_t delivered_sum = 0;
        size_t published = 0;
        for (; published < events_count; published++) {
                const struct event *event = &events[published];
                uint32_t delivered = 0;
                uint64_t full = 0;
                if (likely((matched[published].plain | matched[published].grouped) == 0)) {
                        delivered = publish_deliver(reactor, from, event, &matched[published]);
                        if (unlikely(delivered == 0))
                                publish_tell_nobody(reactor, from, event);
                } else if (!publish_wide(reactor, from, event, &matched[published], &delivered, &full)) {
                        seen("a mailbox was full, and the publisher was held in front of its event");
                        reactor_hold_publisher(reactor, &from->peer, full);
                        break;
                }
                delivered_sum += delivered;
                if (unlikely(reactor->lanes.was_blocking)) {
                        reactor->lanes.was_blocking = false;
                        blocking_hold(reactor, routes->reactor, from->peer.lane.id);
                }
                reactor_relieve(reactor);
        }
        /* Only now: it may overwrite what an event of this batch was just answered from. */
        for (; unknown != 0; unknown &= unknown - 1)
                matched_keep(routes, &places[__builtin_ctz(unknown)], &matched[__builtin_ctz(unknown)]);
        routes->deliveries_count += delivered_sum;
        if (!list_is_empty(&routes->expired))
                routes_collect_expired(reactor);
        sessions_part_crowded(reactor);
        return published;
}

/* ---- from other reactors ---- */

bool publish_receive(struct reactor *reactor, unsigned sender, struct span record)
{
        struct mailbox_event told;
        uint32_t delivered = 0, left_count = 0;
        mailbox_event_read(record, &told);
        struct matched matched = {.ids = told.ids, .ids_count = told.ids_count, .version = told.version};
        if (unlikely((told.flags & MAILBOX_NO_IDS) != 0)) {
                struct match_set set;
                seen("a record came without its ids");
                routes_match(&reactor->routes, &told.event.subject, 1, &set);
                matched.ids = set.ids;
                matched.ids_count = set.ids_count;
        }
        if ((told.flags & MAILBOX_QUEUES_ONLY) == 0)
                delivered = publish_deliver(reactor, NULL, &told.event, &matched);
        bool is_asked = (told.flags & MAILBOX_ASKED) != 0;
        if (told.queues_count > 0 || is_asked) {
                struct span names = told.queue_names;
                uint8_t *at = mailbox_event_serve(record);
                for (uint32_t i = 0; i < told.queues_count; i++) {
                        struct span name = mailbox_next_queue(&names);
                        if (publish_to_group(reactor, NULL, &told.event, &matched, name,
                                             cores_name_hash(reactor->routes.cores, name))) {
                                delivered++;
                        } else {
                                mailbox_event_leave(record, &at, name);
                                left_count++;
                        }
                }
        }
        reactor->routes.deliveries_count += delivered;
        if (unlikely(reactor->lanes.was_blocking)) {
                reactor->lanes.was_blocking = false;
                blocking_hold(reactor, sender, told.from);
        }
        reactor_relieve(reactor);
        if (is_asked && delivered > 0) {
                mailbox_event_answer(record);
                is_asked = false;
        }
        if (left_count == 0 && !is_asked) {
                mailbox_consume(reactor->in[sender]);
                return true;
        }
        seen("a record went back: nobody was left for it here");
        return mailbox_return(reactor->in[sender], reactor->out[sender]);
}

void publish_received(struct reactor *reactor)
{
        if (!list_is_empty(&reactor->routes.expired))
                routes_collect_expired(reactor);
        sessions_part_crowded(reactor);
}

/* Nobody on one of the reactors that a request went to may have it. When it was the last, nobody has. */
static void publish_nobody_there(struct reactor *reactor, struct session *from, const struct mailbox_event *told)
{
        struct route_request *request = &reactor->routes.requests[told->request % ROUTE_REQUESTS];
        if (request->number != told->request || request->waiting_count == 0 || --request->waiting_count > 0)
                return;
        seen("the last reactor asked had nobody for a request");
        reactor_count(reactor, COUNT_EVENTS_UNMATCHED, 1);
        if (from != NULL && from->no_responders)
                session_no_responders(reactor, from, &told->event);
}

/* Of what was picked only those names are still wanted: all at once, however many came back. */
static void picks_keep(struct reactor *reactor, struct span names, uint32_t names_count)
{
        struct queue_picks *picks = &reactor->routes.picks;
        for (uint32_t i = 0; i < names_count && picks->picks_count > 0; i++) {
                struct span name = mailbox_next_queue(&names);
                struct queue_pick *pick = picks_find(picks, cores_name_hash(reactor->routes.cores, name), name, false);
                if (pick != NULL)
                        pick->is_wanted = true;
        }
        for (size_t i = 0; i < picks->picks_count; i++)
                if (!picks->pick[i].is_wanted)
                        picks->pick[i].reactor = UINT_MAX;
}

/* Gives what came back to others, its names all at once; where that fails, a few are tried once more. */
static void publish_give_again(struct reactor *reactor, const struct session *from, struct mailbox_event *told,
                               const struct matched *matched, uint64_t among, struct given *given)
{
        struct routes *routes = &reactor->routes;
        struct queue_picks *picks = &routes->picks;
        struct queue_pick failed[FAILED_MAX];
        size_t failed_count = 0, lost_count = 0;
        uint64_t targets = 0, full = 0;
        uint32_t left_out = publish_pick(reactor, from, told->event.subject, matched, among, NULL), found_count = 0;
        picks_keep(reactor, told->queue_names, told->queues_count);
        for (size_t i = 0; i < picks->picks_count; i++) {
                if (!picks->pick[i].is_wanted)
                        continue;
                targets |= (uint64_t)1 << picks->pick[i].reactor;
                found_count++;
        }
        /* Those that were not found may be among those that were left out. */
        uint32_t names_count = told->queues_count;
        targets &= ~((uint64_t)1 << routes->reactor);
        told->queues_count = 0;
        if (targets != 0)
                full = mailboxes_without_room(reactor->out, targets, record_bound(routes, told));
        for (size_t i = 0; i < picks->picks_count; i++) {
                const struct queue_pick *pick = &picks->pick[i];
                bool is_ours = pick->reactor == routes->reactor;
                if (!pick->is_wanted || (!is_ours && (full & (uint64_t)1 << pick->reactor) == 0))
                        continue; /* or it is sent below */
                if (!is_ours)
                        seen("a record that came back found a full mailbox");
                if (is_ours && publish_to_group(reactor, from, &told->event, matched, pick->name, pick->hash)) {
                        routes->deliveries_count++;
                        given->here_count++;
                } else if (failed_count < FAILED_MAX) {
                        failed[failed_count++] = *pick;
                } else {
                        lost_count++;
                }
        }
        targets &= ~full;
        publish_send(reactor, told, targets);
        given->sent_count += (uint32_t)__builtin_popcountll(targets);
        if (unlikely(left_out > 0 && names_count > found_count)) {
                routes_count_lost(reactor, LOSS_MEMORY_SHED, names_count - found_count);
                given->here_count++;
        }
        routes_count_lost(reactor, LOSS_OVER_LIMIT, lost_count);
        given->here_count += lost_count > 0;
        publish_try_again(reactor, from, told, matched, failed, failed_count, among, full, given);
}

/* Instead of one reactor, `more_count` + 1 may give it back. */
static void publish_wait_for_more(struct routes *routes, uint32_t number, uint32_t more_count)
{
        struct route_request *request = &routes->requests[number % ROUTE_REQUESTS];
        if (request->number == number && request->waiting_count > 0)
                request->waiting_count += more_count;
}

void publish_returned(struct reactor *reactor, unsigned returner, uint64_t position)
{
        struct routes *routes = &reactor->routes;
        struct mailbox_event told;
        struct match_set set;
        struct matched matched;
        mailbox_event_read(mailbox_returned(reactor->out[returner], position), &told);
        struct peer *peer = reactor_find(reactor, told.from);
        bool is_here = peer != NULL && peer->protocol == &session_protocol && peer->state == PEER_OPEN;
        struct session *from = is_here ? session_of(peer) : NULL;
        matched.version = match_version(routes->table);
        routes_match(routes, &told.event.subject, 1, &set);
        matched_read(routes, &set, &matched);
        /* Never to one that has had it: members who will not have it would send it round and round. */
        told.tried |= (uint64_t)1 << returner;
        uint32_t flags = MAILBOX_QUEUES_ONLY | (told.flags & (uint32_t)MAILBOX_ASKED);
        struct mailbox_event again = told_of(routes, &told.event, told.from, told.tried, flags, &matched);
        again.request = told.request;
        again.queue_names = told.queue_names;
        again.queues_count = told.queues_count;
        struct given given = {0};
        if (told.queues_count > 0)
                publish_give_again(reactor, from, &again, &matched, matched.grouped & ~told.tried, &given);
        if ((told.flags & MAILBOX_ASKED) == 0)
                return;
        if (given.here_count > 0)
                publish_forget_request(routes, told.request);
        else if (given.sent_count == 0)
                publish_nobody_there(reactor, from, &told);
        else
                publish_wait_for_more(routes, told.request, given.sent_count - 1);
}

struct subscription *publish_find_for_reply(struct reactor *reactor, const struct session *session, struct span reply)
{
        struct routes *routes = &reactor->routes;
        struct match_set set;
        size_t matched = match_batch(routes->table, &reply, 1, routes->reply_ids, routes->reply_ids_max, &set);
        assert(matched == 1);
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
