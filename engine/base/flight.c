/* flight: see the header. */
#include "engine/base/flight.h"

#include <errno.h>
#include <stdlib.h>

int flight_init(struct flight *flight)
{
        *flight = (struct flight){0};
        for (int i = 0; i < FLIGHT_RINGS; i++) {
                flight->words[i] = calloc((size_t)FLIGHT_RECORDS * FLIGHT_WORDS, sizeof *flight->words[i]);
                if (flight->words[i] != NULL)
                        continue;
                flight_fini(flight);
                return -ENOMEM;
        }
        return 0;
}

void flight_fini(struct flight *flight)
{
        for (int i = 0; i < FLIGHT_RINGS; i++) {
                free((void *)flight->words[i]);
                flight->words[i] = NULL;
        }
}

void flight_copy(const struct flight *flight, enum flight_ring ring, size_t first, uint64_t *words, size_t words_count)
{
        assert(first + words_count <= (size_t)FLIGHT_RECORDS * FLIGHT_WORDS);
        for (size_t i = 0; i < words_count; i++)
                words[i] = atomic_load_explicit(&flight->words[ring][first + i], memory_order_relaxed);
        /* What was read comes before the count that is read next. */
        atomic_thread_fence(memory_order_acquire);
}
