/* tally: which sequence numbers of one publisher one subscriber has seen, so that every number is accounted for:
 * seen once, lost, seen twice or seen late. Exact: numbers that were passed over are kept as ranges until they turn up.
 *
 * The common case, the next number, is one comparison by the caller; everything else goes through tally_take_odd(). */
#ifndef SPATE_BENCH_TALLY_H
#define SPATE_BENCH_TALLY_H

#include "engine/base/check.h"

/* `next` of a tally that begins with whatever comes first. */
#define TALLY_ANY UINT64_MAX

struct tally_trouble;

/* Lives in its owner's memory; all zero is "nothing seen, 0 comes first". tally_fini() frees what hangs off it. */
struct tally {
        uint64_t next;
        struct tally_trouble *trouble; /* NULL as long as everything came in order */
};

struct tally_sums {
        uint64_t lost;
        uint64_t duplicated;
        uint64_t reordered; /* came late, but came */
};

void tally_fini(struct tally *tally);

/* Takes a number that is not `next`. Returns by how many numbers the tally went forward (0: an old one). */
uint64_t tally_take_odd(struct tally *tally, uint64_t sequence);

/* Takes any number. */
static inline uint64_t tally_take(struct tally *tally, uint64_t sequence)
{
        if (likely(sequence == tally->next)) {
                tally->next++;
                return 1;
        }
        return tally_take_odd(tally, sequence);
}

/* Adds to `sums` what went wrong, when 0 .. published - 1 should have come. */
void tally_sum(const struct tally *tally, uint64_t published, struct tally_sums *sums);

#endif
