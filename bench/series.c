/* series: see series.h. */
#include "bench/series.h"

#include <stdlib.h>
#include <string.h>

static void *memory_grow(void *memory, size_t *room, size_t size)
{
        *room = *room == 0 ? 256 : 2 * *room;
        memory = realloc(memory, *room * size);
        if (memory == NULL)
                abort();
        return memory;
}

struct series *series_new(const struct latency *latency, uint64_t slice_ns, uint64_t from_ns, uint64_t published,
                          uint64_t deliveries)
{
        assert(slice_ns != 0);
        struct series *series = calloc(1, sizeof(*series));
        if (series == NULL)
                abort();
        series->latency = latency;
        series->slice_ns = slice_ns;
        series->from_ns = from_ns;
        series->next_ns = from_ns + slice_ns;
        series->published = published;
        series->deliveries = deliveries;
        return series;
}

void series_free(struct series *series)
{
        if (series == NULL)
                return;
        free(series->slices);
        free(series->cells);
        free(series);
}

/* Adds what the latencies have grown by to the last slice. */
static void cells_note(struct series *series)
{
        const struct latency *latency = series->latency;
        struct slice *slice = &series->slices[series->slices_count - 1];
        if (latency->count == series->seen.count)
                return;
        unsigned last = latency_bucket(latency->largest);
        for (unsigned bucket = latency_bucket(latency->smallest); bucket <= last; bucket++) {
                uint64_t grown = latency->buckets[bucket] - series->seen.buckets[bucket];
                if (grown == 0)
                        continue;
                if (series->cells_count == series->cells_room)
                        series->cells = memory_grow(series->cells, &series->cells_room, sizeof(*series->cells));
                series->cells[series->cells_count++] = (struct cell){.count = grown, .bucket = bucket};
                series->seen.buckets[bucket] = latency->buckets[bucket];
                slice->cells_count++;
        }
        series->seen.count = latency->count;
}

void series_cut(struct series *series, uint64_t now_ns, uint64_t published, uint64_t deliveries)
{
        if (series->slices_count == series->slices_room)
                series->slices = memory_grow(series->slices, &series->slices_room, sizeof(*series->slices));
        series->slices[series->slices_count++] = (struct slice){.from_ns = series->from_ns,
                                                                .until_ns = now_ns,
                                                                .published = published - series->published,
                                                                .deliveries = deliveries - series->deliveries,
                                                                .cells_first = series->cells_count};
        cells_note(series);
        series->from_ns = now_ns;
        series->next_ns = now_ns + series->slice_ns;
        series->published = published;
        series->deliveries = deliveries;
}

void series_close(struct series *series)
{
        if (series->slices_count != 0)
                cells_note(series);
        series->latency = NULL;
}

void series_latency(const struct series *series, size_t index, struct latency *to)
{
        assert(index < series->slices_count);
        const struct slice *slice = &series->slices[index];
        memset(to, 0, sizeof(*to));
        for (size_t i = 0; i < slice->cells_count; i++) {
                const struct cell *cell = &series->cells[slice->cells_first + i];
                uint64_t low = latency_bucket_low(cell->bucket), high = latency_bucket_high(cell->bucket);
                to->buckets[cell->bucket] += cell->count;
                if (to->count == 0 || low < to->smallest)
                        to->smallest = low;
                to->largest = high > to->largest ? high : to->largest;
                to->count += cell->count;
                to->sum += cell->count * (low + (high - low) / 2);
        }
}
