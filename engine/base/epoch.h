/* epoch: when may a thing that other cores could still be reading be freed? Once every reactor has passed a turn.
 * Reading costs nothing; a reactor says once a turn that it holds no reference (QSBR).
 *
 * Retiring does not wait: a retired callback runs on the retiring core, in epoch_collect(), once all have passed. */
#ifndef SPATE_BASE_EPOCH_H
#define SPATE_BASE_EPOCH_H

#include "engine/base/list.h"

/* Embedded in what is retired. */
struct epoch_retired {
        struct list link;
        unsigned long grace; /* the epoch that every reader must have passed before it may go */
        void (*free)(struct epoch_retired *retired);
};

/* One per core that retires; belongs to it. */
struct epoch_bin {
        struct list waiting;
        size_t waiting_count;
};

/* Each thread that reads published data registers, once, before its first read and unregisters after its last. It is
 * online in between, but for the time between epoch_offline() and epoch_online(). At most 1024 at a time. */
void epoch_register(void);
void epoch_unregister(void);
/* This thread, registered and online, holds no reference to anything published. Once a turn. */
void epoch_quiescent(void);
/* Around every sleep: a sleeping reactor must not hold up retirement. */
void epoch_offline(void);
void epoch_online(void);

void epoch_bin_init(struct epoch_bin *bin);
/* Hands `retired` over, which nobody can find any more; `free` is called by a later epoch_collect() of the same bin,
 * when no reader can hold it. */
void epoch_retire(struct epoch_bin *bin, struct epoch_retired *retired, void (*free)(struct epoch_retired *));
/* Frees what has become free; never waits. Returns how many callbacks ran. */
size_t epoch_collect(struct epoch_bin *bin);
/* Waits for every reader (only at shutdown) and frees all. The calling thread holds no reference. */
void epoch_drain(struct epoch_bin *bin);

#endif
