/* What the flight recorder keeps, one row each: in which ring, what it is called, and what its numbers are. A
 * postmortem carries these texts, so that any version can read it.
 *
 * A field is called "bytes", or "reason:peer,stale", where the number counts those words from 0; "": nothing. No row
 * may hold what a peer has sent, nor whose password it is: numbers only. */
#ifndef SPATE_ENGINE_FLIGHT_TABLE_H
#define SPATE_ENGINE_FLIGHT_TABLE_H

#include "engine/account.h"
#include "engine/base/flight.h"

#define FLIGHT_CLOSE_REASONS                                                                                           \
        "peer,transport_error,protocol_error,slow_consumer,memory_shed,stale,handshake_timeout,over_limit,"            \
        "unauthorized,draining,done,banned"
#define FLIGHT_HOLDS "nothing,subscribe,mailbox,login,question,lag,drain,pace,tempo"

/* clang-format off */
/*      id              ring            name            number                                  more */
#define FLIGHT_TABLE(ROW)                                                                                                     \
        ROW(OPENED,     FLIGHT_PEERS,   "opened",       "listener",                             "connections")                \
        ROW(REFUSED,    FLIGHT_PEERS,   "turned_away",  "reason:" FLIGHT_CLOSE_REASONS,         "connections")                \
        ROW(CLOSED,     FLIGHT_PEERS,   "closed",       "reason:" FLIGHT_CLOSE_REASONS,         "pending_bytes")              \
        ROW(GONE,       FLIGHT_PEERS,   "gone",         "connections",                          "")                           \
        ROW(BROKEN,     FLIGHT_PEERS,   "broken",       "errno",                                "")                           \
        ROW(CUT,        FLIGHT_PEERS,   "cut",          "reason:slow_consumer,lag_skip,conflated,over_limit,no_permission,"   \
                                                        "invalid,draining,upgrade,transport_error,memory_shed", "pending_bytes") \
        ROW(WATERMARK,  FLIGHT_OWN,     "watermark",    "step:calm,impatient,closed,cutting",   "used_bytes")                 \
        ROW(FULL,       FLIGHT_OWN,     "mailbox_full", "reactors",                             "")                           \
        ROW(ADOPTED,    FLIGHT_OWN,     "reloaded",     "edition",                              "")                           \
        ROW(DRAINS,     FLIGHT_OWN,     "drains",       "connections",                          "spread_ns")                  \
        ROW(LONG_TURN,  FLIGHT_OWN,     "long_turn",    "took_ns",                              "turn")                       \
        ROW(NO_PLACE,   FLIGHT_OWN,     "no_descriptor", "accepts_refused",                     "connections")                \
        ROW(RECEIVED,   FLIGHT_TRAFFIC, "received",     "bytes",                                "turn")                       \
        ROW(SUBSCRIBED, FLIGHT_TRAFFIC, "subscribed",   "subscriptions",                        "")                           \
        ROW(UNSUBSCRIBED, FLIGHT_TRAFFIC, "unsubscribed", "subscriptions",                      "")                           \
        ROW(HELD,       FLIGHT_TRAFFIC, "held",         "for:" FLIGHT_HOLDS,                    "")                           \
        ROW(RESUMED,    FLIGHT_TRAFFIC, "resumed",      "kept_bytes",                           "")

/* What a turn does, in its order. */
#define FLIGHT_STEP_TABLE(ROW)                                                                                         \
        ROW(POLLS,      "polls")                                                                                       \
        ROW(RELEASES,   "takes back what was sent")                                                                    \
        ROW(MAIL,       "takes the mail of other reactors")                                                            \
        ROW(INPUT,      "takes input")                                                                                 \
        ROW(TIMERS,     "looks at timers")                                                                             \
        ROW(TENDS,      "looks after those who lag")                                                                   \
        ROW(FLUSHES,    "flushes")                                                                                     \
        ROW(COLLECTS,   "collects")
/* clang-format on */

enum flight_kind {
#define FLIGHT_ID(id, ring, name, number, more) FLIGHT_##id,
        FLIGHT_TABLE(FLIGHT_ID)
#undef FLIGHT_ID
                FLIGHT_KINDS
};
static_assert(FLIGHT_KINDS <= 1 << FLIGHT_WHAT_BITS, "a kind fits its byte");

enum flight_step {
#define FLIGHT_STEP_ID(id, name) FLIGHT_IN_##id,
        FLIGHT_STEP_TABLE(FLIGHT_STEP_ID)
#undef FLIGHT_STEP_ID
                FLIGHT_STEPS
};

#define FLIGHT_RING_OF(id, ring, name, number, more) [FLIGHT_##id] = ring,
static const uint8_t flight_ring_of[FLIGHT_KINDS] = {FLIGHT_TABLE(FLIGHT_RING_OF)};
#undef FLIGHT_RING_OF

/* Notes one of them in its ring. `kind` is a constant, so that nothing is looked up. */
static inline void flight_tell(struct flight *flight, enum flight_kind kind, uint64_t time_ns, uint64_t who,
                               uint64_t number, uint64_t more)
{
        flight_note(flight, (enum flight_ring)flight_ring_of[kind], time_ns, kind, who, number, more);
}

#endif
