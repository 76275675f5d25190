/* blocking: publishers that wait for a subscriber with the lag policy `block`.
 *
 * A subscriber that holds half of its limit blocks (lane.h): who publishes an event that reaches it from then on is
 * held, on whatever reactor he is, until no lane blocks any more, or until block_ns have passed. Then he goes on; a
 * subscriber that has blocked for so long blocks nobody before it has drained, and beyond its limit it is cut.
 *
 * Belongs to one reactor. */
#ifndef SPATE_ENGINE_BLOCKING_H
#define SPATE_ENGINE_BLOCKING_H

#include "engine/base/check.h"

struct reactor;

#define BLOCKING_HELD_MAX 256 /* more publishers than these go on unheld */

struct blocked_publisher {
        uint64_t connection; /* its id on that reactor */
        uint64_t until_ns;
        unsigned reactor;
};

struct blocking {
        uint32_t held_count;
        struct blocked_publisher held[BLOCKING_HELD_MAX];
};

/* An event of this publisher was just delivered here, and met a lane that blocks. */
void blocking_hold(struct reactor *reactor, unsigned publisher_reactor, uint64_t connection);
/* Lets those go on who have waited long enough. Once a turn, before the other reactors are told. Returns when to come
 * again. */
uint64_t blocking_tend(struct reactor *reactor);

#endif
