/* nthphases: what the engine goes through while it is refused things, a row each. See fail_nth.c. */
#ifndef SPATE_TESTS_NTHPHASES_H
#define SPATE_TESTS_NTHPHASES_H

#include "tests/sim/nthworld.h"

struct phase {
        const char *name;
        struct world_settings settings;
        void (*prepare)(struct world *world); /* nothing fails yet; NULL: nothing to prepare */
        void (*run)(struct world *world);     /* here it does; NULL: in world_start() */
        enum harm calm;                       /* what comes of it where nothing is refused */
        enum harm heap;                       /* and at most, where memory of the heap is */
        bool is_drained;                      /* when it has run, all is over */
        const char *backend;                  /* not in the simulated world, see nthstart.h; NULL: there */
};

extern const struct phase phases[];
extern const size_t phases_count;

#endif
