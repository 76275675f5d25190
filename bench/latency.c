/* latency: see latency.h. */
#include "bench/latency.h"

static uint64_t bucket_middle(unsigned bucket)
{
        if (bucket < 2 * LATENCY_STEPS)
                return bucket;
        unsigned shift = bucket / LATENCY_STEPS - 1;
        uint64_t low = (uint64_t)(bucket - shift * LATENCY_STEPS) << shift;
        return low + ((uint64_t)1 << shift) / 2;
}

uint64_t latency_at(const struct latency *latency, double share)
{
        assert(share >= 0 && share <= 1);
        if (latency->count == 0)
                return 0;
        double exact = share * (double)latency->count;
        uint64_t rank = (uint64_t)exact;
        if ((double)rank < exact || rank == 0)
                rank++;
        uint64_t seen = 0;
        for (unsigned bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
                seen += latency->buckets[bucket];
                if (seen < rank)
                        continue;
                uint64_t value = bucket_middle(bucket);
                if (value > latency->largest)
                        return latency->largest;
                return value < latency->smallest ? latency->smallest : value;
        }
        return latency->largest;
}

double latency_mean(const struct latency *latency)
{
        return latency->count == 0 ? 0 : (double)latency->sum / (double)latency->count;
}
