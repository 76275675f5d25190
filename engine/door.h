/* door: who is let in. Clients are counted over all reactors, and those of one address too; what the others have let in
 * is read from their counters, so that two who let in at the same moment may both be the last one.
 *
 * Whoever comes too many is told so, in a few slots kept for that; when those are taken as well, it is closed without a
 * word. The admin address has slots and descriptors that nobody else gets: it answers when all else is full. */
#ifndef SPATE_ENGINE_DOOR_H
#define SPATE_ENGINE_DOOR_H

#include "engine/peer.h"

#define DOOR_TOLD_MAX 64  /* of a reactor: those who are being told that they are too many */
#define DOOR_ADMIN_MAX 16 /* of a reactor: connections to the admin address */
#define DOOR_SLOTS (DOOR_TOLD_MAX + DOOR_ADMIN_MAX)

/* Is there a slot for one more of this protocol? */
bool door_has_slot(const struct reactor *reactor, const struct peer_protocol *protocol);
/* Lets a client in, or not: there are as many as may be, in all or from its address. */
bool door_enter(struct reactor *reactor, struct peer *peer);
/* It has gone. Does nothing for those who were not let in. */
void door_leave(struct reactor *reactor, struct peer *peer);

#endif
