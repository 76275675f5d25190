/* epoch: when may a thing that other cores could still be reading be freed? Once every reactor has passed a turn.
 * A thin wrap of liburcu's QSBR: reading costs nothing, a reactor says once a turn that it holds no reference.
 *
 * Retiring does not wait: a retired callback runs on the retiring core, in epoch_collect(), after a grace period. */
#ifndef SPATE_BASE_EPOCH_H
#define SPATE_BASE_EPOCH_H

#include "engine/base/list.h"

/* Embedded in what is retired. */
struct epoch_retired {
        struct list link;
        unsigned long grace; /* the grace period after which it may go */
        void (*free)(struct epoch_retired *retired);
};

/* One per core that retires; belongs to it. */
struct epoch_bin {
        struct list waiting;
        size_t waiting_count;
};

/* Each thread that reads published data registers before its first read and unregisters after its last. */
void epoch_register(void);
void epoch_unregister(void);
/* This thread holds no reference to anything published. Once a turn. */
void epoch_quiescent(void);
/* Around every sleep: a sleeping reactor must not hold up retirement. */
void epoch_offline(void);
void epoch_online(void);

void epoch_bin_init(struct epoch_bin *bin);
/* Hands `retired` over; `free` is called by a later epoch_collect() of the same bin, when no reader can hold it. */
void epoch_retire(struct epoch_bin *bin, struct epoch_retired *retired, void (*free)(struct epoch_retired *));
/* Frees what has become free; never waits. Returns how many callbacks ran. */
size_t epoch_collect(struct epoch_bin *bin);
/* Waits for every reader (only at shutdown) and frees all. */
void epoch_drain(struct epoch_bin *bin);

#endif
