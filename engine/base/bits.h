/* bits: arithmetic on powers of two and alignments. */
#ifndef SPATE_BASE_BITS_H
#define SPATE_BASE_BITS_H

#include "engine/base/check.h"

static inline bool bits_is_power_of_two(uint64_t value)
{
        return value != 0 && (value & (value - 1)) == 0;
}

/* `value` rounded up to a multiple of `alignment`, a power of two. */
static inline uint64_t bits_align_up(uint64_t value, uint64_t alignment)
{
        assert_slow(bits_is_power_of_two(alignment));
        return (value + alignment - 1) & ~(alignment - 1);
}

/* The index of the highest set bit; `value` is not 0. */
static inline unsigned bits_log2_floor(uint64_t value)
{
        assert_slow(value != 0);
        return 63u - (unsigned)__builtin_clzll(value);
}

/* The smallest n with 2^n >= value; 0 for 0 and 1. */
static inline unsigned bits_log2_ceil(uint64_t value)
{
        return value <= 1 ? 0 : bits_log2_floor(value - 1) + 1;
}

#endif
