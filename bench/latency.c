/* latency: see latency.h. */
#include "bench/latency.h"

static unsigned bucket_shift(unsigned bucket)
{
        return bucket < 2 * LATENCY_STEPS ? 0 : bucket / LATENCY_STEPS - 1;
}

uint64_t latency_bucket_low(unsigned bucket)
{
        unsigned shift = bucket_shift(bucket);
        return (uint64_t)(bucket - shift * LATENCY_STEPS) << shift;
}

uint64_t latency_bucket_high(unsigned bucket)
{
        return latency_bucket_low(bucket) + ((uint64_t)1 << bucket_shift(bucket)) - 1;
}

static uint64_t bucket_middle(unsigned bucket)
{
        return latency_bucket_low(bucket) + ((uint64_t)1 << bucket_shift(bucket)) / 2;
}

void latency_add(struct latency *to, const struct latency *from)
{
        if (from->count == 0)
                return;
        unsigned last = latency_bucket(from->largest);
        for (unsigned bucket = latency_bucket(from->smallest); bucket <= last; bucket++)
                to->buckets[bucket] += from->buckets[bucket];
        if (to->count == 0 || from->smallest < to->smallest)
                to->smallest = from->smallest;
        if (from->largest > to->largest)
                to->largest = from->largest;
        to->count += from->count;
        to->sum += from->sum;
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
        for (unsigned bucket = latency_bucket(latency->smallest); bucket < LATENCY_BUCKETS; bucket++) {
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
