/* pace: see the header. */
#include "engine/pace.h"

#include "engine/reactor.h"
#include "engine/session.h"

void pace_init(struct pace *pace)
{
        *pace = (struct pace){.turn = 0};
        list_init(&pace->link);
}

static uint64_t turn_changes(const struct reactor *reactor)
{
        return reactor->settings.turn_changes != 0 ? reactor->settings.turn_changes : PACE_TURN_CHANGES;
}

/* Has neither this turn, nor what it takes of this connection, come to its end? */
static bool pace_fits_turn(struct reactor *reactor, struct pace *pace, bool is_subscribe)
{
        struct pace_turn *turn = &reactor->pace_turn;
        if (unlikely(!is_subscribe && !routes_may_withdraw(&reactor->routes)))
                return false;
        if (pace->turn != turn->number) {
                pace->turn = turn->number;
                pace->taken = 0;
        }
        if (turn->began_ns == 0) {
                turn->began_ns = io_clock_ns(reactor->io);
                return true; /* whoever comes first gets on, however slow the turn is */
        }
        return pace->taken < turn_changes(reactor) && io_clock_ns(reactor->io) - turn->began_ns < PACE_TURN_NS;
}

uint32_t pace_asks_max(const struct reactor *reactor)
{
        return reactor->settings.turn_changes != 0 ? reactor->settings.turn_changes : MAILBOX_ASKS_MAX;
}

/* When the next one may be taken; 0: now. A connection that is leaving has to be let go. */
static uint64_t pace_rate_ns(const struct reactor *reactor, const struct session *session, uint64_t now_ns)
{
        uint64_t rate = reactor->settings.subscribe_rate, burst = reactor->settings.subscribe_burst;
        if (rate == 0 || session->peer.is_end_kept)
                return 0;
        uint64_t burst_ns = burst * NS_PER_S / rate, paid_ns = session->pace.paid_ns;
        uint64_t next_ns = (paid_ns > now_ns ? paid_ns : now_ns) + NS_PER_S / rate;
        if (next_ns <= now_ns + burst_ns)
                return 0;
        /* Not for each one alone: so many that it is worth it, a hundredth of a second's. */
        uint64_t some_ns = burst_ns - NS_PER_S / rate;
        return next_ns - burst_ns + (some_ns < NS_PER_S / 100 ? some_ns : NS_PER_S / 100);
}

static void pace_hold_for_rate(struct reactor *reactor, struct session *session, uint64_t until_ns)
{
        struct pace *pace = &session->pace;
        unsigned suppressed;
        pace->wake_ns = until_ns;
        peer_hold(reactor, &session->peer, PEER_HELD_PACE);
        session_arm(reactor, session);
        reactor_count(reactor, COUNT_SUBSCRIBERS_HELD_RATE, 1);
        if (pace->is_rate_told || !log_limit_pass(&reactor->quota_log, io_now_ns(reactor->io), 10, &suppressed))
                return;
        pace->is_rate_told = true;
        log_info("subscriber_held", "address=%s option=--subscribe-rate limit=%u suppressed=%u", session->peer.address,
                 reactor->settings.subscribe_rate, suppressed);
}

bool pace_allows(struct reactor *reactor, struct session *session, bool is_subscribe)
{
        struct pace *pace = &session->pace;
        uint64_t now_ns = io_now_ns(reactor->io);
        uint64_t until_ns = is_subscribe ? pace_rate_ns(reactor, session, now_ns) : 0;
        if (unlikely(until_ns != 0)) {
                pace_hold_for_rate(reactor, session, until_ns);
                return false;
        }
        if (unlikely(!pace_fits_turn(reactor, pace, is_subscribe))) {
                peer_hold(reactor, &session->peer, PEER_HELD_PACE);
                if (!list_is_linked(&pace->link))
                        list_push_back(&reactor->paced, &pace->link);
                reactor_count(reactor, COUNT_SUBSCRIBERS_HELD_TURN, 1);
                return false;
        }
        pace->taken++;
        if (is_subscribe && reactor->settings.subscribe_rate != 0)
                pace->paid_ns =
                        (pace->paid_ns > now_ns ? pace->paid_ns : now_ns) + NS_PER_S / reactor->settings.subscribe_rate;
        return true;
}

void pace_tick(struct reactor *reactor, struct session *session, uint64_t now_ns)
{
        struct pace *pace = &session->pace;
        if (pace->wake_ns == 0 || now_ns < pace->wake_ns)
                return;
        pace->wake_ns = 0;
        peer_release(reactor, &session->peer, PEER_HELD_PACE);
}

void pace_ended(struct pace *pace)
{
        list_remove(&pace->link);
        pace->wake_ns = 0;
}

void paces_begin_turn(struct reactor *reactor)
{
        reactor->pace_turn.number++;
        reactor->pace_turn.began_ns = 0;
        for (int i = 0; i < PACE_RESUMED_MAX && !list_is_empty(&reactor->paced); i++) {
                struct pace *pace = list_entry(reactor->paced.next, struct pace, link);
                list_remove(&pace->link);
                peer_release(reactor, &container_of(pace, struct session, pace)->peer, PEER_HELD_PACE);
        }
}
