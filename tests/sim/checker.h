/* checker: what must hold in the simulated world, whatever the network does.
 *
 * An event that was written after a subscription had been acknowledged (the PONG behind its SUB was heard) and
 * acknowledged before its UNSUB was written is delivered; one that was acknowledged before the SUB was written, or
 * written after the UNSUB was acknowledged, is not; in between it may be. Each at most once for each sid, in the order
 * of its publisher, every byte as it was sent, and only what both users may (that, clients.c sees at once). A
 * connection that ended early has had, of each publisher, all it must have up to the last it had. Of a queue group one
 * member gets an event. Who asks where nobody is hears so, and nobody else does. What the engine's accounts say was
 * matched, released and dropped adds up at every moment, and is what clients heard; who was to be told of a loss was,
 * and of no more. */
#ifndef SPATE_SIM_CHECKER_H
#define SPATE_SIM_CHECKER_H

#include "tests/sim/world.h"

/* After each turn of a reactor: matched = released + dropped + pending, for each connection and for all that ever were,
 * and memory as planned. */
void checker_check_accounts(const struct reactor *reactor);
/* When everybody who lives has heard a PONG behind his last word: what each has heard, and what not. */
void checker_check_heard(const struct world *world);
void checker_check_dues(const struct world *world);
/* When all connections have ended in order: everything has come back. */
void checker_check_empty(const struct world *world);
/* What its reactor has dropped so far, and whom it has cut. */
uint64_t checker_dropped_beside(const struct world *world, const struct client *client);

#endif
