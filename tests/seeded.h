/* seeded: numbers for tests, the same for the same seed on every machine (splitmix64). */
#ifndef SPATE_TESTS_SEEDED_H
#define SPATE_TESTS_SEEDED_H

#include "engine/base/check.h"

static inline uint64_t seeded_next(uint64_t *seed)
{
        uint64_t mixed = *seed += 0x9E3779B97F4A7C15u;
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
        return mixed ^ mixed >> 31;
}

/* 0 .. bound - 1; bound >= 1. The bias does not matter in a test. */
static inline size_t seeded_below(uint64_t *seed, size_t bound)
{
        return (size_t)(seeded_next(seed) % bound);
}

/* Changes `bytes` at a few places in the ways that break parsers: flips, doubles, deletes, and puts in what is special
 * to the format. `room` >= size; returns the new size. */
static inline size_t seeded_mutate(uint64_t *seed, uint8_t *bytes, size_t size, size_t room, const char *special,
                                   size_t special_size)
{
        size_t changes = 1 + seeded_below(seed, 4);
        while (changes-- > 0) {
                size_t at = size == 0 ? 0 : seeded_below(seed, size);
                size_t count = size == 0 ? 0 : 1 + seeded_below(seed, size - at < 8 ? size - at : 8);
                switch (seeded_below(seed, 5)) {
                case 0:
                        if (size != 0)
                                bytes[at] ^= (uint8_t)(1u << seeded_below(seed, 8));
                        break;
                case 1:
                        if (size != 0)
                                bytes[at] = (uint8_t)special[seeded_below(seed, special_size)];
                        break;
                case 2:
                        for (size_t i = at; i + count < size; i++)
                                bytes[i] = bytes[i + count];
                        size -= count;
                        break;
                case 3:
                        if (size + count <= room) {
                                for (size_t i = size; i-- > at;)
                                        bytes[i + count] = bytes[i];
                                size += count;
                        }
                        break;
                default:
                        if (size < room) {
                                for (size_t i = size; i-- > at;)
                                        bytes[i + 1] = bytes[i];
                                bytes[at] = (uint8_t)special[seeded_below(seed, special_size)];
                                size++;
                        }
                        break;
                }
        }
        return size;
}

#endif
