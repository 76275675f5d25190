/* queuepick: which member of which reactor gets an event, for each name of a queue group that it reaches. Room for the
 * names of one event, found by hash. Belongs to one reactor. */
#ifndef SPATE_ENGINE_QUEUEPICK_H
#define SPATE_ENGINE_QUEUEPICK_H

#include "engine/base/span.h"

/* One name of a queue group, on all patterns that an event matched, on all reactors. */
struct queue_pick {
        uint64_t hash;
        uint64_t members_count;
        uint64_t number; /* of the member picked, counting from 0 through the reactors */
        struct span name;
        unsigned reactor; /* which was picked */
        bool is_trimmed;  /* for want of room in the record: it stays here, or is lost */
        bool is_wanted;   /* has come back: see publish_returned() */
};

/* Room for the picks of one event, and to find them by name. */
struct queue_picks {
        struct queue_pick *pick;
        struct span *names; /* scratch, picks_max */
        uint32_t *slots;    /* index + 1 by hash; slots_count is a power of two, at least twice picks_max */
        size_t picks_count, picks_max, slots_count;
};

/* With room for as many as most events ever reach. 0 or -ENOMEM. */
int picks_init(struct queue_picks *picks);
/* Accepts a zeroed one. */
void picks_fini(struct queue_picks *picks);
/* The pick of this name, whose `hash` is cores_name_hash(); made, with `add`, where there is none. NULL: none, or no
 * room for one more. The name is borrowed until picks_clear(). */
struct queue_pick *picks_find(struct queue_picks *picks, uint64_t hash, struct span name, bool add);
/* Forgets all of them. A step each. */
void picks_clear(struct queue_picks *picks);
/* Twice the room; only when there never were so many names before. false: no memory. */
bool picks_grow(struct queue_picks *picks);
/* Collects the names that were picked for `target` in picks->names; returns how many. */
uint32_t picks_names(struct queue_picks *picks, unsigned target);

#endif
