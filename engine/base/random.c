/* random: xoshiro256** of Blackman and Vigna, seeded by splitmix64 as they advise: it turns any seed, 0 too, into a
 * state that is not all zeros. The bounded draw is Lemire's: a multiplication, and hardly ever a division. */
#include "engine/base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

__extension__ typedef unsigned __int128 uint128;

static uint64_t splitmix64(uint64_t *state)
{
        uint64_t mixed = (*state += UINT64_C(0x9e3779b97f4a7c15));
        mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
        return mixed ^ (mixed >> 31);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
        return (value << bits) | (value >> (64 - bits));
}

void random_init(struct random *random, uint64_t seed)
{
        for (size_t i = 0; i < array_count(random->state); i++)
                random->state[i] = splitmix64(&seed);
}

uint64_t random_next(struct random *random)
{
        uint64_t *s = random->state;
        uint64_t result = rotate_left(s[1] * 5, 7) * 9;
        uint64_t shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = rotate_left(s[3], 45);
        return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
        assert(bound >= 1);
        uint128 product = (uint128)random_next(random) * bound;
        if (unlikely((uint64_t)product < bound)) {
                /* 2^64 mod bound low products would be drawn once too often: draw again. */
                uint64_t threshold = -bound % bound;
                while ((uint64_t)product < threshold)
                        product = (uint128)random_next(random) * bound;
        }
        return (uint64_t)(product >> 64);
}

bool random_chance(struct random *random, uint64_t numerator, uint64_t denominator)
{
        return random_below(random, denominator) < numerator;
}

void random_secret(void *bytes, size_t size)
{
        uint8_t *at = bytes;
        while (size > 0) {
                ssize_t got = getrandom(at, size, 0);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got <= 0)
                        abort();
                at += got;
                size -= (size_t)got;
        }
}
