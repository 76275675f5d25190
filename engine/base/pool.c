/* pool: one private mapping cut into objects; a stack of those given back, a mark behind those ever taken.
 *
 *      objects [ taken | given | taken | given | never touched ...                ]
 *                          │               │     ▲ objects_fresh
 *                 free ◀───┘◀──────────────┘
 *
 * Never-touched objects are handed out by the mark and not by a list built at start: building it would touch, and so
 * pay for, every page. The mapping is not reserved either (MAP_NORESERVE): the memory plan, not the kernel, is who
 * promises that the sum fits. */
#include "engine/base/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/bits.h"
#include "engine/base/poison.h"

#define OBJECT_ALIGNMENT 16

int pool_init(struct pool *pool, const char *name, size_t object_bytes, size_t objects_max)
{
        assert(object_bytes >= 1);
        assert(objects_max >= 1);
        memset(pool, 0, sizeof(*pool));
        if (object_bytes > SIZE_MAX / 2 / objects_max)
                return -ENOMEM;
        object_bytes = bits_align_up(object_bytes, OBJECT_ALIGNMENT);
        size_t size;
        if (__builtin_mul_overflow(object_bytes, objects_max, &size))
                return -ENOMEM;
        void *objects = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (objects == MAP_FAILED)
                return -ENOMEM;
        pool->name = name;
        pool->objects = objects;
        pool->object_bytes = object_bytes;
        pool->objects_max = objects_max;
        return 0;
}

void pool_fini(struct pool *pool)
{
        if (pool->objects == NULL)
                return;
        assert(pool->objects_taken == 0);
        size_t poisoned_max = pool->objects_fresh + (pool->objects_fresh < pool->objects_max);
        unpoison(pool->objects, poisoned_max * pool->object_bytes);
        munmap(pool->objects, pool_bytes_max(pool));
        memset(pool, 0, sizeof(*pool));
}

void *pool_take(struct pool *pool)
{
        void *object = pool->free;
        if (likely(object != NULL)) {
                unpoison(object, pool->object_bytes);
                memcpy(&pool->free, object, sizeof(pool->free));
        } else if (likely(pool->objects_fresh < pool->objects_max)) {
                object = pool->objects + pool->objects_fresh * pool->object_bytes;
                pool->objects_fresh++;
                unpoison(object, pool->object_bytes);
                /* So that ASan sees who writes past the end of the last one. */
                if (pool->objects_fresh < pool->objects_max)
                        poison(pool->objects + pool->objects_fresh * pool->object_bytes, pool->object_bytes);
        } else {
                return NULL;
        }
        pool->objects_taken++;
        return object;
}

void pool_give(struct pool *pool, void *object)
{
        assert_slow((uint8_t *)object >= pool->objects);
        assert_slow((uint8_t *)object < pool->objects + pool->objects_fresh * pool->object_bytes);
        assert_slow((size_t)((uint8_t *)object - pool->objects) % pool->object_bytes == 0);
        assert(pool->objects_taken > 0);
        /* Under ASan an object given twice is caught here: its link word is poisoned. */
        memcpy(object, &pool->free, sizeof(pool->free));
        pool->free = object;
        poison(object, pool->object_bytes);
        pool->objects_taken--;
}

size_t pool_bytes_max(const struct pool *pool)
{
        return pool->object_bytes * pool->objects_max;
}
