/* twists: what the world of a seed is like: the network, the sizes and limits of the engine, its policies, and what
 * changes on the way. Everything is drawn first and left out afterwards, so that to leave one thing out changes no
 * other.
 */
#ifndef SPATE_SIM_TWISTS_H
#define SPATE_SIM_TWISTS_H

#include "tests/sim/world.h"

/* Fills world->network, reactors_count, settings[0], lag and all that is not drawn later; `cores` are to be made of
 * what is returned. */
struct cores_settings twists_draw(struct world *world);
/* Another edition of the settings, for all reactors; of the users as well, where there are any. */
void twists_reload(struct world *world);

#endif
