/* growing: bytes that grow at their end, on the heap; for the client commands only, where a short heap may end the
 * program. Zeroed is empty; growing_fini() frees. */
#ifndef SPATE_ENGINE_CLI_GROWING_H
#define SPATE_ENGINE_CLI_GROWING_H

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/span.h"

struct growing {
        uint8_t *bytes;
        size_t size, capacity;
};

/* Room for `size` more bytes behind the end; the caller adds to growing->size what it wrote. */
static inline uint8_t *growing_room(struct growing *growing, size_t size)
{
        if (growing->bytes == NULL || growing->capacity - growing->size < size) {
                size_t needed = growing->size + size + 1; /* never none: where it is has to be somewhere */
                size_t capacity = growing->capacity * 2 > needed ? growing->capacity * 2 : needed;
                uint8_t *bytes = realloc(growing->bytes, capacity);
                if (bytes == NULL) {
                        fprintf(stderr, "spate: no memory is left for %zu bytes\n", capacity);
                        exit(1);
                }
                growing->bytes = bytes;
                growing->capacity = capacity;
        }
        return growing->bytes + growing->size;
}

static inline void growing_add(struct growing *growing, struct span span)
{
        span_copy(growing_room(growing, span.size), span);
        growing->size += span.size;
}

static inline void growing_add_text(struct growing *growing, const char *text)
{
        growing_add(growing, span_of_text(text));
}

/* Drops the first `size` bytes. */
static inline void growing_drop(struct growing *growing, size_t size)
{
        assert(size <= growing->size);
        growing->size -= size;
        if (growing->size > 0)
                memmove(growing->bytes, growing->bytes + size, growing->size);
}

static inline void growing_fini(struct growing *growing)
{
        free(growing->bytes);
        *growing = (struct growing){0};
}

#endif
