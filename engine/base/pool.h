/* pool: objects of one size, all reserved at start, so that the event path never asks the heap.
 *
 * The address space of `objects_max` is mapped at once; a page costs memory from the first time an object
 * on it is taken. Given objects are taken again last in, first out, while they are warm. One reactor's. */
#ifndef SPATE_BASE_POOL_H
#define SPATE_BASE_POOL_H

#include "engine/base/check.h"

struct pool {
        const char *name; /* for the memory plan, e.g. "sessions" */
        uint8_t *objects;
        void *free;          /* first of the given-back objects, linked through their first word */
        size_t object_bytes; /* rounded up to a multiple of 16 */
        size_t objects_max;
        size_t objects_fresh; /* objects below this index have been taken at least once */
        size_t objects_taken;
};

/* 0 or -ENOMEM. `name` is borrowed for the life of the pool. object_bytes >= 1, objects_max >= 1. */
int pool_init(struct pool *pool, const char *name, size_t object_bytes, size_t objects_max);
/* Accepts a zeroed pool. Asserts that everything has come back. */
void pool_fini(struct pool *pool);

/* An object with undefined contents, or NULL when all are taken. */
void *pool_take(struct pool *pool);
void pool_give(struct pool *pool, void *object);

/* The most memory the pool can ever hold. */
size_t pool_bytes_max(const struct pool *pool);

#endif
