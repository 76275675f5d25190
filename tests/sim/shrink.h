/* shrink: makes a case that fails smaller, as long as it fails in the same way: fewer rounds, reactors, clients, twists
 * and acts. Each try is a process of its own, because most failures are an abort(). */
#ifndef SPATE_SIM_SHRINK_H
#define SPATE_SIM_SHRINK_H

#include "tests/sim/case.h"

#define VERDICT_BYTES 300

/* How a case has ended. */
struct verdict {
        bool has_failed;
        uint32_t rounds, acts, clients; /* so many there were until then */
        char what[VERDICT_BYTES];       /* what did not hold, and where: what makes two failures the same */
};

/* Plays it in another process, which says nothing. */
void shrink_try(const struct sim_case *sim_case, struct verdict *verdict);
/* Tries until nothing can be left out any more, or `seconds` have passed. Tells on stderr how far it has come. */
void shrink(struct sim_case *sim_case, const struct verdict *verdict, unsigned seconds);

#endif
