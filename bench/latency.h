/* latency: how often which time was seen, in a table whose buckets grow with the time (log-linear).
 *
 *      value    0 1 2 ... 1023 | 1024 ... 2047 | 2048 2050 ... 4094 | 4096 4100 ... 8188 | ...
 *      bucket   one each       | one each      | two a bucket       | four a bucket      | ...
 *
 * Every octave has 1024 buckets, so a percentile, told as the middle of its bucket, is off by at most 0.05 %. These are
 * the buckets of an HdrHistogram of three significant digits (hdr.h). The maximum, the smallest and the mean are exact.
 * Recording is an index and an addition; a load's latencies touch a few octaves, 8 KiB each. */
#ifndef SPATE_BENCH_LATENCY_H
#define SPATE_BENCH_LATENCY_H

#include "engine/base/bits.h"

#define LATENCY_STEPS_LOG2 10
#define LATENCY_STEPS (1u << LATENCY_STEPS_LOG2)
#define LATENCY_VALUE_LOG2_MAX 48 /* 2^48 ns = 78 hours; what is longer counts as that */
#define LATENCY_VALUE_MAX (((uint64_t)1 << LATENCY_VALUE_LOG2_MAX) - 1)
#define LATENCY_BUCKETS ((LATENCY_VALUE_LOG2_MAX - LATENCY_STEPS_LOG2 + 1) * LATENCY_STEPS)

/* Lives in its owner's memory; all zero is empty. */
struct latency {
        uint64_t buckets[LATENCY_BUCKETS];
        uint64_t count;
        uint64_t sum;
        uint64_t smallest;
        uint64_t largest;
};

static inline unsigned latency_bucket(uint64_t value)
{
        if (value < LATENCY_STEPS)
                return (unsigned)value;
        if (unlikely(value > LATENCY_VALUE_MAX))
                return LATENCY_BUCKETS - 1;
        unsigned shift = bits_log2_floor(value) - LATENCY_STEPS_LOG2;
        return shift * LATENCY_STEPS + (unsigned)(value >> shift);
}

static inline void latency_record(struct latency *latency, uint64_t value)
{
        if (unlikely(value > LATENCY_VALUE_MAX))
                value = LATENCY_VALUE_MAX;
        latency->buckets[latency_bucket(value)]++;
        latency->count++;
        latency->sum += value;
        if (unlikely(value > latency->largest))
                latency->largest = value;
        if (unlikely(value < latency->smallest || latency->count == 1))
                latency->smallest = value;
}

/* The value that `share` (0 to 1) of all recorded values do not exceed; 0 when nothing was recorded. */
uint64_t latency_at(const struct latency *latency, double share);
/* The smallest and the largest value that fall into `bucket`. */
uint64_t latency_bucket_low(unsigned bucket);
uint64_t latency_bucket_high(unsigned bucket);
/* Adds all of `from` to `to`. */
void latency_add(struct latency *to, const struct latency *from);
double latency_mean(const struct latency *latency);

#endif
