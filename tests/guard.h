/* guard: bytes whose end touches a page that nobody may read, so that one byte too many is a crash and not luck. */
#ifndef SPATE_TESTS_GUARD_H
#define SPATE_TESTS_GUARD_H

#include <stdlib.h>
#include <sys/mman.h>

#include "engine/base/span.h"

#define GUARD_PAGE_BYTES ((size_t)4096)

struct guard {
        uint8_t *pages;
        size_t size; /* without the unreadable page */
};

/* Room for `size` bytes; guard_fini() gives it back. */
static inline void guard_init(struct guard *guard, size_t size)
{
        guard->size = (size + GUARD_PAGE_BYTES - 1) / GUARD_PAGE_BYTES * GUARD_PAGE_BYTES;
        guard->pages =
                mmap(NULL, guard->size + GUARD_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (guard->pages == MAP_FAILED || mprotect(guard->pages + guard->size, GUARD_PAGE_BYTES, PROT_NONE) != 0)
                abort();
}

static inline void guard_fini(struct guard *guard)
{
        if (guard->pages != NULL && munmap(guard->pages, guard->size + GUARD_PAGE_BYTES) != 0)
                abort();
        guard->pages = NULL;
}

/* The last `size` bytes before the unreadable page. */
static inline uint8_t *guard_room(const struct guard *guard, size_t size)
{
        assert(size <= guard->size);
        return guard->pages + guard->size - size;
}

/* A copy of `bytes` there. */
static inline struct span guard_span(const struct guard *guard, struct span bytes)
{
        uint8_t *room = guard_room(guard, bytes.size);
        span_copy(room, bytes);
        return span_of(room, bytes.size);
}

#endif
