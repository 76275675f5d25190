/* clients: those who speak NATS in the simulated world: what they say, and what they make of what they hear. They take
 * no byte for granted; what an event should have been is known from its number. See checker.h for what must hold
 * when all is said. */
#ifndef SPATE_SIM_CLIENTS_H
#define SPATE_SIM_CLIENTS_H

#include "tests/sim/world.h"

/* Drawn anew: one comes; the one of number `index` does something. */
void clients_join(struct world *world);
void clients_act(struct world *world, size_t index);
/* One event. */
void clients_publish(struct world *world, size_t index);
void clients_ping(struct world *world, size_t index);

/* Takes up all that has come. */
void clients_hear(struct world *world);
/* Nobody who lives waits for anything. */
bool clients_have_heard(const struct world *world);
void clients_free(struct world *world);

#endif
