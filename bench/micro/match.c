/* micro_match: what one match costs, in CPU time of this thread, by table and batch.
 *
 * Subjects have six tokens. Each is that of a pattern of the table, exact or made wild; there are as many as fit
 * SUBJECTS_COUNT, in random order, so that a large table does not stay in the cache. Each figure is the least over
 * several passes: the machine's other work only ever adds. Prints a table; it judges nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "matcher/match.h"

#define SUBJECTS_COUNT 65536
#define PASSES 9
#define TEXT_MAX 96
#define TOKENS 6

struct text {
        char bytes[TEXT_MAX];
        size_t size;
};

struct workload {
        const char *name;
        size_t patterns_count;
        size_t wildcards_percent;
        size_t shapes_count; /* beside the exact one */
};

static const struct workload workloads[] = {
        {"exact, 1 k", 1000, 0, 0},
        {"8 shapes, 90/10, 1 k", 1000, 10, 7},
        {"8 shapes, 90/10, 10 k", 10000, 10, 7},
        {"exact, 100 k", 100000, 0, 0},
        {"8 shapes, 90/10, 100 k", 100000, 10, 7},
        {"exact, 1 M", 1000000, 0, 0},
        {"8 shapes, 90/10, 1 M", 1000000, 10, 7},
};

/* Which tokens are stars; 0x80: the pattern ends after the third in a tail. */
static const unsigned shapes[] = {0x04, 0x10, 0x20, 0x24, 0x80, 0x12, 0x82};

static void make_subject(struct text *text, struct random *random)
{
        int size = snprintf(text->bytes, sizeof text->bytes, "region%u.site%03u.line%02u.dev%06u.sensor%u.temp%u",
                            (unsigned)random_below(random, 8), (unsigned)random_below(random, 500),
                            (unsigned)random_below(random, 40), (unsigned)random_below(random, 1000000),
                            (unsigned)random_below(random, 10), (unsigned)random_below(random, 10));
        text->size = (size_t)size;
}

static void make_pattern(struct text *text, const struct text *subject, unsigned shape)
{
        text->size = 0;
        size_t at = 0;
        for (size_t i = 0; i < TOKENS; i++) {
                size_t end = at;
                while (end < subject->size && subject->bytes[end] != '.')
                        end++;
                if (i > 0)
                        text->bytes[text->size++] = '.';
                if ((shape & 0x80) && i == 3) {
                        text->bytes[text->size++] = '>';
                        return;
                }
                if (shape >> i & 1) {
                        text->bytes[text->size++] = '*';
                } else {
                        memcpy(text->bytes + text->size, subject->bytes + at, end - at);
                        text->size += end - at;
                }
                at = end + 1;
        }
}

static double measure(const struct match_table *table, const struct span *subjects, size_t batch, pattern_id *ids,
                      size_t ids_max, size_t *found)
{
        uint64_t least_ns = UINT64_MAX;
        struct match_set sets[MATCH_BATCH_MAX];
        for (size_t pass = 0; pass < PASSES; pass++) {
                uint64_t start_ns = clock_thread_cpu_ns();
                *found = 0;
                for (size_t i = 0; i < SUBJECTS_COUNT; i += batch) {
                        size_t done = match_batch(table, subjects + i, batch, ids, ids_max, sets);
                        assert(done == batch);
                        for (size_t j = 0; j < batch; j++)
                                *found += sets[j].ids_count;
                }
                uint64_t took_ns = clock_thread_cpu_ns() - start_ns;
                if (took_ns < least_ns)
                        least_ns = took_ns;
        }
        return (double)least_ns / SUBJECTS_COUNT;
}

static void run(const struct workload *load)
{
        static const uint8_t secret[16] = "a bench's secret";
        static struct text texts[SUBJECTS_COUNT];
        static struct span subjects[SUBJECTS_COUNT];
        struct match_table *table;
        struct match_limits limits = {.patterns_max = load->patterns_count};
        if (match_table_new(&table, &limits, secret) != 0)
                abort();
        struct random random;
        random_init(&random, 1);

        /* Each pattern's subject takes a place that any later one may take: what remains is a fair sample. */
        uint64_t add_ns = 0;
        for (size_t n = 0; match_patterns_count(table) < load->patterns_count; n++) {
                struct text subject, pattern;
                make_subject(&subject, &random);
                if (n < SUBJECTS_COUNT || random_chance(&random, SUBJECTS_COUNT, n + 1))
                        texts[n < SUBJECTS_COUNT ? n : random_below(&random, SUBJECTS_COUNT)] = subject;
                bool wild = random_chance(&random, load->wildcards_percent, 100);
                make_pattern(&pattern, &subject, wild ? shapes[random_below(&random, load->shapes_count)] : 0);
                pattern_id id;
                uint64_t start_ns = clock_monotonic_ns();
                int result = match_add(table, span_of(pattern.bytes, pattern.size), MATCH_NATS, 0, &id);
                add_ns += clock_monotonic_ns() - start_ns;
                if (result != 0)
                        abort();
                match_collect(table);
        }
        size_t made = 0;
        while (made < SUBJECTS_COUNT && texts[made].size != 0)
                made++;
        for (size_t i = made; i < SUBJECTS_COUNT; i++)
                texts[i] = texts[random_below(&random, made)];
        for (size_t i = 0; i < SUBJECTS_COUNT; i++)
                subjects[i] = span_of(texts[i].bytes, texts[i].size);
        size_t ids_max = match_ids_max(table) * MATCH_BATCH_MAX;
        pattern_id *ids = calloc(ids_max, sizeof *ids);
        if (ids == NULL)
                abort();
        size_t found;
        double single_ns = measure(table, subjects, 1, ids, ids_max, &found);
        double batch_ns = measure(table, subjects, MATCH_BATCH_MAX, ids, ids_max, &found);
        printf("%-26s %8.1f %8.1f %8.2f %10.0f\n", load->name, single_ns, batch_ns, (double)found / SUBJECTS_COUNT,
               (double)add_ns / (double)load->patterns_count);
        free(ids);
        memset(texts, 0, sizeof texts);
        match_table_free(table);
}

int main(void)
{
        epoch_register();
        printf("%-26s %8s %8s %8s %10s\n", "ns a match", "single", "of 16", "matches", "ns an add");
        for (size_t i = 0; i < array_count(workloads); i++) {
                run(&workloads[i]);
                epoch_quiescent();
        }
        epoch_unregister();
        return 0;
}
