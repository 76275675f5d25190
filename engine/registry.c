/* registry: cohorts by key. See the header. */
#include "engine/registry.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/reactor.h"
#include "engine/session.h"

int registry_init(struct registry *registry)
{
        *registry = (struct registry){0};
        list_init(&registry->ended);
        list_init(&registry->shared);
        return map_init(&registry->by_key, 0);
}

void registry_fini(struct registry *registry)
{
        assert(registry->cohorts_count == 0);
        map_fini(&registry->by_key);
}

bool registry_can_share(const struct subscription *subscription, struct span subject)
{
        return subscription->group == NULL && subscription->max == 0 &&
               subscription->sid_bytes <= REGISTRY_SID_BYTES_MAX && !span_starts_with(subject, SPAN("_INBOX."));
}

static bool subscription_is_shareable(const struct subscription *subscription)
{
        return registry_can_share(subscription, route_text(subscription->route));
}

static void registry_unlink_entries(struct registered_cohort *owner)
{
        for (uint32_t i = 0; i < owner->entries_count && owner->entries != NULL; i++)
                list_remove(&owner->entries[i].route_link);
}

static struct registered_cohort *registry_find(const struct registry *registry, uint64_t key_low, uint64_t key_high)
{
        for (struct map_node *node = map_first(&registry->by_key, key_low); node != NULL; node = map_next(node)) {
                struct registered_cohort *owner = container_of(node, struct registered_cohort, node);
                if (owner->key_high == key_high)
                        return owner;
        }
        return NULL;
}

static struct registered_cohort *registry_new(struct reactor *reactor, struct session *session)
{
        struct registered_cohort *owner = calloc(1, sizeof *owner);
        if (owner == NULL)
                return NULL;
        cohort_init(&owner->cohort, session->headers ? WIRE_NATS : WIRE_NATS_PLAIN);
        owner->key_high = session->key_high;
        list_init(&owner->ended_link);
        list_init(&owner->shared_link);
        owner->entries_count = session->shareable_count;
        map_insert(&reactor->registry.by_key, &owner->node, session->key_low);
        reactor->registry.cohorts_count++;
        return owner;
}

/* The cohort begins to live: its pairs are put into the routes. false: no memory. */
static bool registry_fill_entries(struct registered_cohort *owner, const struct session *session)
{
        uint32_t count = 0;
        if (owner->entries == NULL)
                owner->entries = calloc(owner->entries_count, sizeof *owner->entries);
        if (owner->entries == NULL)
                return false;
        list_for_each(&session->subscriptions, link)
        {
                struct subscription *subscription = list_entry(link, struct subscription, session_link);
                if (!subscription_is_shareable(subscription))
                        continue;
                struct cohort_entry *entry = &owner->entries[count++];
                *entry = (struct cohort_entry){
                        .owner = owner, .policy = subscription->policy, .sid_bytes = (uint8_t)subscription->sid_bytes};
                span_copy(entry->sid, subscription_sid(subscription));
                list_push_back(&subscription->route->cohorts, &entry->route_link);
        }
        assert(count == owner->entries_count);
        return true;
}

static struct cohort_entry *registry_entry_of(struct registered_cohort *owner, const struct subscription *subscription)
{
        list_for_each(&subscription->route->cohorts, link)
        {
                struct cohort_entry *entry = list_entry(link, struct cohort_entry, route_link);
                if (entry->owner == owner &&
                    span_equal(span_of(entry->sid, entry->sid_bytes), subscription_sid(subscription)))
                        return entry;
        }
        return NULL;
}

static void registry_join(struct reactor *reactor, struct registered_cohort *owner, struct session *session)
{
        list_for_each(&session->subscriptions, link)
        {
                struct subscription *subscription = list_entry(link, struct subscription, session_link);
                if (!subscription_is_shareable(subscription))
                        continue;
                struct cohort_entry *entry = registry_entry_of(owner, subscription);
                assert(entry != NULL);
                list_remove(&subscription->route_link);
                subscription->entry = entry;
                subscription->delivered -= entry->appended;
        }
        if (session->cohort == NULL)
                owner->sessions_count++;
        if (!list_is_linked(&owner->shared_link)) {
                list_push_back(&reactor->registry.shared, &owner->shared_link);
                reactor->registry.shared_count++;
        }
        session->cohort = owner;
        lane_join(&reactor->lanes, &session->peer.lane, &owner->cohort);
        reactor->registry.members_count++;
}

static void registry_wait(struct registered_cohort *owner, struct session *session)
{
        owner->filter = session->filter;
        owner->waiting = session;
        owner->sessions_count++;
        session->cohort = owner;
}

bool registry_enter(struct reactor *reactor, struct session *session)
{
        assert(session->cohort == NULL);
        assert(session->shareable_count >= 1);
        assert(!session->peer.lane.is_cut);
        struct registered_cohort *owner = registry_find(&reactor->registry, session->key_low, session->key_high);
        if (owner == NULL) {
                owner = registry_new(reactor, session);
                if (owner == NULL)
                        return false; /* slower, not wrong */
                registry_wait(owner, session);
        } else if (owner->waiting != NULL && owner->waiting->peer.lane.is_cut) {
                return false; /* cut in this turn and about to go */
        } else if (owner->waiting != NULL) {
                struct session *first = owner->waiting;
                if (!registry_fill_entries(owner, first))
                        return false;
                owner->waiting = NULL;
                registry_join(reactor, owner, first);
                registry_join(reactor, owner, session);
        } else if (owner->cohort.members_count > 0) {
                registry_join(reactor, owner, session);
        } else if (owner->sessions_count > 0) {
                return false; /* all its members have just been cut, and their sessions are not told yet */
        } else {
                /* Deserted, and some of its bytes are still on their way out: it lives on, for whoever comes next. */
                registry_unlink_entries(owner);
                registry_wait(owner, session);
        }
        return true;
}

static void registry_remove(struct reactor *reactor, struct registered_cohort *owner)
{
        list_remove(&owner->ended_link);
        if (list_is_linked(&owner->shared_link))
                reactor->registry.shared_count--;
        list_remove(&owner->shared_link);
        registry_unlink_entries(owner);
        map_remove(&reactor->registry.by_key, &owner->node);
        reactor->registry.cohorts_count--;
        cohort_fini(&owner->cohort);
        free(owner->entries);
        free(owner);
}

/* Nobody refers to it any more, or the last who does will come by registry_cohort_ended(). */
static bool registry_is_deserted(const struct registered_cohort *owner)
{
        return owner->sessions_count == 0 && owner->cohort.members_count == 0 && owner->cohort.spans_count == 0 &&
               !list_is_linked(&owner->cohort.dirty_link);
}

void registry_leave(struct reactor *reactor, struct session *session)
{
        struct registered_cohort *owner = session->cohort;
        if (owner == NULL)
                return;
        session->cohort = NULL;
        owner->sessions_count--;
        if (owner->waiting == session) {
                owner->waiting = NULL;
                registry_cohort_ended(reactor, &owner->cohort);
                return;
        }
        uint32_t left = owner->entries_count;
        list_for_each(&session->subscriptions, link)
        {
                struct subscription *subscription = list_entry(link, struct subscription, session_link);
                if (subscription->entry == NULL)
                        continue;
                subscription->delivered += subscription->entry->appended;
                subscription->entry = NULL;
                list_push_back(&subscription->route->privates, &subscription->route_link);
                if (--left == 0)
                        break; /* the rest may be a million that cannot be shared */
        }
        reactor->registry.members_count--;
        lane_leave(&reactor->lanes, &session->peer.lane);
        if (owner->sessions_count == 0)
                registry_cohort_ended(reactor, &owner->cohort);
}

void registry_cohort_ended(void *context, struct cohort *cohort)
{
        struct reactor *reactor = context;
        struct registered_cohort *owner = container_of(cohort, struct registered_cohort, cohort);
        if (!list_is_linked(&owner->ended_link))
                list_push_back(&reactor->registry.ended, &owner->ended_link);
}

void registry_collect(struct reactor *reactor)
{
        list_for_each(&reactor->registry.ended, link)
        {
                struct registered_cohort *owner = list_entry(link, struct registered_cohort, ended_link);
                if (list_is_linked(&owner->cohort.dirty_link))
                        continue; /* in lanes->dirty until the flush */
                list_remove(&owner->ended_link);
                if (registry_is_deserted(owner))
                        registry_remove(reactor, owner);
        }
}
