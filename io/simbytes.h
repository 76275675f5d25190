/* simbytes: a queue of bytes on the heap, and a heap that has always room. For the simulated network only. */
#ifndef SPATE_IO_SIMBYTES_H
#define SPATE_IO_SIMBYTES_H

#include <stdlib.h>
#include <string.h>

#include "engine/base/check.h"

/* Not 0 while the simulation asks for memory of its own, so that a test that fails or counts the engine's can tell. */
extern int sim_allocating;

/* As realloc(), NULL included. A simulation that runs out of memory proves nothing. */
static inline void *sim_reallocate(void *memory, size_t size)
{
        sim_allocating++;
        memory = realloc(memory, size);
        sim_allocating--;
        if (memory == NULL)
                abort();
        return memory;
}

static inline void *sim_allocate(size_t size)
{
        return sim_reallocate(NULL, size);
}

static inline void *sim_allocate_zeroed(size_t size)
{
        return memset(sim_allocate(size), 0, size);
}

static inline void sim_free(void *memory)
{
        sim_allocating++;
        free(memory);
        sim_allocating--;
}

/* Zeroed, it is empty. Ended by simbytes_clear(). */
struct simbytes {
        uint8_t *data;
        size_t start, size, capacity;
};

static inline void simbytes_push(struct simbytes *bytes, const uint8_t *from, size_t size)
{
        if (size == 0)
                return;
        if (bytes->start + bytes->size + size > bytes->capacity) {
                /* Moved to the front where at least half of the room is free: a step for each byte, at worst. */
                if (bytes->size + size <= bytes->capacity / 2) {
                        memmove(bytes->data, bytes->data + bytes->start, bytes->size);
                        bytes->start = 0;
                } else {
                        size_t capacity = (bytes->size + size) * 2;
                        uint8_t *data = sim_allocate(capacity);
                        if (bytes->size != 0)
                                memcpy(data, bytes->data + bytes->start, bytes->size);
                        sim_free(bytes->data);
                        *bytes = (struct simbytes){.data = data, .size = bytes->size, .capacity = capacity};
                }
        }
        memcpy(bytes->data + bytes->start + bytes->size, from, size);
        bytes->size += size;
}

static inline void simbytes_drop(struct simbytes *bytes, size_t size)
{
        assert(size <= bytes->size);
        bytes->start += size;
        bytes->size -= size;
        if (bytes->size == 0)
                bytes->start = 0;
}

static inline void simbytes_clear(struct simbytes *bytes)
{
        sim_free(bytes->data);
        *bytes = (struct simbytes){.data = NULL};
}

static inline void simbytes_move(struct simbytes *to, struct simbytes *from, size_t size)
{
        assert(size <= from->size);
        simbytes_push(to, from->data + from->start, size);
        simbytes_drop(from, size);
}

#endif
