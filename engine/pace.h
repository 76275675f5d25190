/* pace: how fast one connection may subscribe and unsubscribe. Who is too fast waits, and loses nothing: its connection
 * is held in front of the SUB that is too many.
 *
 *      a turn takes so many of one connection, so many of all, and no more than PACE_TURN_NS of its time; the rest of a
 *                   million comes in the turns that follow, and others come in between
 *      the writer   of the matcher is asked for so many of one connection at a time, and told so many that nobody wants
 *                   any more: what others ask for goes behind that, and must not wait for a million
 *      the rate     --subscribe-burst at once, then --subscribe-rate a second; kept as the one moment at which all
 *                   that was taken is paid for (a leaky bucket)
 *
 * Belongs to one session. */
#ifndef SPATE_ENGINE_PACE_H
#define SPATE_ENGINE_PACE_H

#include "engine/base/list.h"

struct reactor;
struct session;

#define PACE_TURN_CHANGES 512 /* SUBs and UNSUBs of one connection in a turn: about half a millisecond */
#define PACE_TURN_NS UINT64_C(2000000)
#define PACE_RESUMED_MAX 64 /* held ones that may try again in a turn, the first first */

struct pace {
        struct list link; /* in reactor->paced: goes on in a turn to come */
        uint64_t paid_ns; /* when what it has taken is paid for by the rate */
        uint64_t wake_ns; /* held by the rate until then; 0: not */
        uint64_t turn;    /* that `taken` is of */
        uint32_t taken;
        bool is_rate_told; /* it has been logged that the rate holds it */
};

/* What one turn has taken, of all connections. */
struct pace_turn {
        uint64_t number;
        uint64_t began_ns; /* when the first was taken; 0: none yet */
};

void pace_init(struct pace *pace);
/* So many of a connection's SUBs may wait until they are visible to every reactor; the next one waits for them all. */
uint32_t pace_asks_max(const struct reactor *reactor);
/* May its next SUB (`is_subscribe`) or UNSUB be taken? false: it is held, and comes again with it. */
bool pace_allows(struct reactor *reactor, struct session *session, bool is_subscribe);
/* When pace_tick() wants to be called, UINT64_MAX: never. */
static inline uint64_t pace_next_ns(const struct pace *pace)
{
        return pace->wake_ns == 0 ? UINT64_MAX : pace->wake_ns;
}
void pace_tick(struct reactor *reactor, struct session *session, uint64_t now_ns);
void pace_ended(struct pace *pace);
/* Once a turn, before any input: those who have waited longest go on. The reactor does not sleep while any wait. */
void paces_begin_turn(struct reactor *reactor);

#endif
