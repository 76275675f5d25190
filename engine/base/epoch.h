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

/* One of those who registered. Several may have done so on one thread, where a simulation runs many reactors by turns;
 * each then counts for itself, whoever's turn it is: one that was left online holds up retirement. */
struct epoch_reader;
/* From now on this thread speaks as `reader`, registered and no other thread's; NULL: as nobody, so that another may
 * register. Returns as whom it spoke before, or NULL. */
struct epoch_reader *epoch_switch(struct epoch_reader *reader);

void epoch_bin_init(struct epoch_bin *bin);
/* Hands `retired` over, which nobody can find any more; `free` is called by a later epoch_collect() of the same bin,
 * when no reader can hold it. */
void epoch_retire(struct epoch_bin *bin, struct epoch_retired *retired, void (*free)(struct epoch_retired *));
/* Frees what has become free; never waits. Returns how many callbacks ran. */
size_t epoch_collect(struct epoch_bin *bin);
/* Waits for every reader (only at shutdown) and frees all. The calling thread holds no reference; readers that it has
 * switched away from are offline. */
void epoch_drain(struct epoch_bin *bin);

#endif
