/* random: a fast seeded generator (xoshiro256**) for jitter, queue picks and simulations, and the kernel's
 * randomness for secrets. Each owner has its own; the same seed gives the same numbers for ever. */
#ifndef SPATE_BASE_RANDOM_H
#define SPATE_BASE_RANDOM_H

#include "engine/base/check.h"

struct random {
        uint64_t state[4];
};

void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* Uniform in 0 .. bound - 1, without modulo bias; bound >= 1. */
uint64_t random_below(struct random *random, uint64_t bound);
/* True with a chance of `numerator` in `denominator`. */
bool random_chance(struct random *random, uint64_t numerator, uint64_t denominator);

/* Fills `bytes` from the kernel (getrandom). For secrets and seeds; aborts when the kernel has none to give. */
void random_secret(void *bytes, size_t size);

#endif
