/* rights: who may do what in the simulated world, and when. The users of a file with two editions, in turns: what a
 * reload brings holds from when it was read, and what was before until the last reactor has taken it up. In between
 * either may hold. Asked by the checker, which does not know the engine's permissions: patterns as texts, one by one.
 */
#ifndef SPATE_SIM_RIGHTS_H
#define SPATE_SIM_RIGHTS_H

#include "tests/sim/world.h"

#define USERS 5

/* Whether it holds in every edition that may have held in these steps, or in one of them. */
enum certainty { SURELY, PERHAPS };

/* Draws whether there are users at all. Before the reactors are made. */
void rights_start(struct world *world);
/* Behind the last reactor_turn(), and when every reactor was freed. */
void rights_stop(struct world *world);
void rights_end(struct world *world);
/* The file is read again. */
void rights_reload(struct world *world);
/* After each turn. */
void rights_follow(struct world *world);

/* Of CONNECT: who it is; empty where there are no users. */
const char *rights_login(const struct world *world, unsigned user);

bool rights_exist(const struct world *world, unsigned user, enum certainty certainty, uint32_t from, uint32_t to);
bool rights_publish(const struct world *world, unsigned user, struct topic subject, enum certainty certainty,
                    uint32_t from, uint32_t to);
bool rights_subscribe(const struct world *world, unsigned user, struct wish wish, enum certainty certainty,
                      uint32_t from, uint32_t to);
/* To a subscription that was permitted. */
bool rights_deliver(const struct world *world, unsigned user, struct topic subject, unsigned group,
                    enum certainty certainty, uint32_t from, uint32_t to);

#endif
