/* parting: see the header. */
#include "engine/parting.h"

#include "engine/reactor.h"
#include "engine/session.h"

static uint32_t turn_subscriptions(const struct reactor *reactor)
{
        return reactor->settings.turn_changes != 0 ? reactor->settings.turn_changes : PARTING_TURN_SUBSCRIPTIONS;
}

#define ALL UINT32_MAX

/* Takes away at most *left of its subscriptions, and, but for ALL, no more than can be told to the matcher's writer
 * soon. true: none is left. */
static bool parting_take(struct reactor *reactor, struct session *session, uint32_t *left)
{
        bool is_patient = *left != ALL;
        while (*left > 0 && !list_is_empty(&session->subscriptions) &&
               (!is_patient || routes_may_withdraw(&reactor->routes))) {
                session_forget(reactor, session,
                               list_entry(session->subscriptions.next, struct subscription, session_link));
                --*left;
        }
        return list_is_empty(&session->subscriptions);
}

/* So many do not count against the user, who may be here again. */
static void parting_count(const struct reactor *reactor, const struct session *session, int32_t change)
{
        if (session->usage != NULL)
                usage_change(session->usage, reactor->settings.number, USAGE_PARTING, change);
}

/* The first in the list goes, or a part of it. false: it is not done. */
static bool partings_take_first(struct reactor *reactor, uint32_t *left)
{
        struct session *session = list_entry(reactor->parting.next, struct session, parting_link);
        uint32_t before = session->subscriptions_count;
        bool is_done = parting_take(reactor, session, left);
        parting_count(reactor, session, -(int32_t)(before - session->subscriptions_count));
        if (!is_done)
                return false;
        list_remove(&session->parting_link);
        session->is_parting = false;
        reactor->partings_done++;
        if (session->peer.is_gone)
                pool_give(&reactor->peers, &session->peer);
        return true;
}

void parting_begin(struct reactor *reactor, struct session *session)
{
        bool is_first = list_is_empty(&reactor->parting);
        if (session->subscriptions_count == 0)
                return;
        if (is_first && session->subscriptions_count <= reactor->parting_left &&
            parting_take(reactor, session, &reactor->parting_left))
                return;
        session->is_parting = true;
        parting_count(reactor, session, (int32_t)session->subscriptions_count);
        list_push_back(&reactor->parting, &session->parting_link);
        reactor->partings_begun++;
}

void partings_go_on(struct reactor *reactor)
{
        reactor->parting_left = turn_subscriptions(reactor);
        while (reactor->parting_left > 0 && !list_is_empty(&reactor->parting))
                if (!partings_take_first(reactor, &reactor->parting_left))
                        return;
}

bool partings_must_turn(const struct reactor *reactor)
{
        return !list_is_empty(&reactor->parting) && routes_may_withdraw(&reactor->routes);
}

void partings_make_room(struct reactor *reactor)
{
        size_t objects_taken = reactor->peers.objects_taken;
        while (reactor->peers.objects_taken == objects_taken && !list_is_empty(&reactor->parting)) {
                uint32_t all = ALL;
                partings_take_first(reactor, &all);
        }
}

void partings_finish(struct reactor *reactor)
{
        while (!list_is_empty(&reactor->parting)) {
                uint32_t all = ALL;
                partings_take_first(reactor, &all);
        }
}
