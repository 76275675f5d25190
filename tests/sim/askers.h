/* askers: those who ask the admin address of the simulated world while all else goes on. Each question gets one whole
 * answer, to which every reactor that was asked has said its part. */
#ifndef SPATE_SIM_ASKERS_H
#define SPATE_SIM_ASKERS_H

#include "tests/sim/world.h"

void askers_join(struct world *world);
/* One of them asks something. */
void askers_ask(struct world *world);
void askers_hear(struct world *world);
void askers_resume(struct world *world);
bool askers_have_heard(const struct world *world);

#endif
