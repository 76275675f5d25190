/* tally: see tally.h. Ranges are kept sorted by their start in a plain array: they are few, and a lossy run that makes
 * many appends at the end only. */
#include "bench/tally.h"

#include <stdlib.h>
#include <string.h>

struct range {
        uint64_t first;
        uint64_t end; /* one behind the last */
};

struct tally_trouble {
        uint64_t duplicated;
        uint64_t reordered;
        struct range *missing;
        size_t missing_count;
        size_t missing_room;
};

void tally_fini(struct tally *tally)
{
        if (tally->trouble != NULL)
                free(tally->trouble->missing);
        free(tally->trouble);
        tally->trouble = NULL;
}

static void *or_die(void *memory)
{
        if (memory == NULL)
                abort();
        return memory;
}

static void missing_insert(struct tally_trouble *trouble, size_t at, struct range range)
{
        if (trouble->missing_count == trouble->missing_room) {
                trouble->missing_room = trouble->missing_room == 0 ? 4 : trouble->missing_room * 2;
                trouble->missing = or_die(realloc(trouble->missing, trouble->missing_room * sizeof(struct range)));
        }
        memmove(&trouble->missing[at + 1], &trouble->missing[at], (trouble->missing_count - at) * sizeof(struct range));
        trouble->missing[at] = range;
        trouble->missing_count++;
}

static void missing_remove(struct tally_trouble *trouble, size_t at)
{
        trouble->missing_count--;
        memmove(&trouble->missing[at], &trouble->missing[at + 1], (trouble->missing_count - at) * sizeof(struct range));
}

/* The first range that ends behind `sequence`. */
static size_t missing_find(const struct tally_trouble *trouble, uint64_t sequence)
{
        size_t low = 0;
        size_t high = trouble->missing_count;
        while (low < high) {
                size_t middle = (low + high) / 2;
                if (trouble->missing[middle].end <= sequence)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

uint64_t tally_take_odd(struct tally *tally, uint64_t sequence)
{
        if (tally->next == TALLY_ANY) {
                tally->next = sequence + 1;
                return 1;
        }
        if (tally->trouble == NULL)
                tally->trouble = or_die(calloc(1, sizeof(struct tally_trouble)));
        struct tally_trouble *trouble = tally->trouble;
        if (sequence >= tally->next) {
                uint64_t step = sequence + 1 - tally->next;
                if (step > 1)
                        missing_insert(trouble, trouble->missing_count, (struct range){tally->next, sequence});
                tally->next = sequence + 1;
                return step;
        }
        size_t at = missing_find(trouble, sequence);
        if (at == trouble->missing_count || trouble->missing[at].first > sequence) {
                trouble->duplicated++;
                return 0;
        }
        trouble->reordered++;
        struct range whole = trouble->missing[at];
        if (whole.first == sequence && whole.end == sequence + 1) {
                missing_remove(trouble, at);
        } else if (whole.first == sequence) {
                trouble->missing[at].first++;
        } else {
                trouble->missing[at].end = sequence;
                if (sequence + 1 < whole.end)
                        missing_insert(trouble, at + 1, (struct range){sequence + 1, whole.end});
        }
        return 0;
}

void tally_sum(const struct tally *tally, uint64_t published, struct tally_sums *sums)
{
        if (tally->next != TALLY_ANY && tally->next < published)
                sums->lost += published - tally->next;
        if (tally->trouble == NULL)
                return;
        sums->duplicated += tally->trouble->duplicated;
        sums->reordered += tally->trouble->reordered;
        for (size_t i = 0; i < tally->trouble->missing_count; i++)
                sums->lost += tally->trouble->missing[i].end - tally->trouble->missing[i].first;
}
