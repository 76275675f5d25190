/* micro_match: what one match costs, by table and batch.
 *
 * Subjects have six tokens. Each is that of a pattern of the table, exact or made wild; there are as many as fit
 * SUBJECTS_COUNT, in random order, so that a large table does not stay in the cache. The rival knows no wildcards and
 * no withdrawal: a hash of the subject and one look into a table of exact ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "engine/base/map.h"
#include "engine/base/random.h"
#include "matcher/match.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SUBJECTS_COUNT 65536
#define TEXT_MAX 96
#define TOKENS 6

struct text {
        char bytes[TEXT_MAX];
        size_t size;
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

struct exact {
        struct map_node node;
        struct text subject;
};

struct load {
        size_t patterns_count;
        size_t wildcards_percent;
        size_t shapes_count; /* beside the exact one */
        struct match_table *table;
        struct map map; /* the rival's */
        struct exact *exacts;
        struct text *texts;
        struct span *subjects;
        size_t at; /* which comes next */
        pattern_id *ids;
        size_t ids_max;
};

static struct load *load_new(size_t patterns_count, size_t wildcards_percent)
{
        static const uint8_t secret[16] = "a bench's secret";
        struct load *load = calloc(1, sizeof(*load));
        struct match_limits limits = {.patterns_max = patterns_count};
        if (load == NULL)
                abort();
        load->patterns_count = patterns_count;
        load->wildcards_percent = wildcards_percent;
        load->texts = calloc(SUBJECTS_COUNT, sizeof(*load->texts));
        load->subjects = calloc(SUBJECTS_COUNT, sizeof(*load->subjects));
        if (load->texts == NULL || load->subjects == NULL || match_table_new(&load->table, &limits, secret) != 0)
                abort();
        struct random random;
        random_init(&random, 1);

        /* Each pattern's subject takes a place that any later one may take: what remains is a fair sample. */
        for (size_t n = 0; match_patterns_count(load->table) < patterns_count; n++) {
                struct text subject, pattern;
                make_subject(&subject, &random);
                if (n < SUBJECTS_COUNT || random_chance(&random, SUBJECTS_COUNT, n + 1))
                        load->texts[n < SUBJECTS_COUNT ? n : random_below(&random, SUBJECTS_COUNT)] = subject;
                bool wild = random_chance(&random, wildcards_percent, 100);
                make_pattern(&pattern, &subject, wild ? shapes[random_below(&random, array_count(shapes))] : 0);
                pattern_id id;
                if (match_add(load->table, span_of(pattern.bytes, pattern.size), MATCH_NATS, 0, &id) != 0)
                        abort();
                match_collect(load->table);
        }
        size_t made = 0;
        while (made < SUBJECTS_COUNT && load->texts[made].size != 0)
                made++;
        for (size_t i = made; i < SUBJECTS_COUNT; i++)
                load->texts[i] = load->texts[random_below(&random, made)];
        for (size_t i = 0; i < SUBJECTS_COUNT; i++)
                load->subjects[i] = span_of(load->texts[i].bytes, load->texts[i].size);
        load->ids_max = match_ids_max(load->table) * MATCH_BATCH_MAX;
        load->ids = calloc(load->ids_max, sizeof(*load->ids));
        if (load->ids == NULL)
                abort();
        return load;
}

/* The rival's table has the subjects that are asked for, once each. */
static void load_exacts(struct load *load)
{
        load->exacts = calloc(SUBJECTS_COUNT, sizeof(*load->exacts));
        if (load->exacts == NULL || map_init(&load->map, SUBJECTS_COUNT) != 0)
                abort();
        for (size_t i = 0; i < SUBJECTS_COUNT; i++) {
                load->exacts[i].subject = load->texts[i];
                uint64_t hash = XXH3_64bits(load->texts[i].bytes, load->texts[i].size);
                if (map_first(&load->map, hash) == NULL)
                        map_insert(&load->map, &load->exacts[i].node, hash);
        }
}

static void load_free(struct load *load)
{
        map_fini(&load->map);
        match_table_free(load->table);
        free(load->exacts);
        free(load->texts);
        free(load->subjects);
        free(load->ids);
        free(load);
}

static void match_batches(struct load *load, uint64_t operations, size_t batch)
{
        struct match_set sets[MATCH_BATCH_MAX];
        for (uint64_t i = 0; i < operations; i += batch) {
                size_t done =
                        match_batch(load->table, load->subjects + load->at, batch, load->ids, load->ids_max, sets);
                assert(done == batch);
                micro_use(sets);
                load->at = (load->at + batch) % SUBJECTS_COUNT;
        }
}

static void match_singly(void *context, uint64_t operations)
{
        match_batches(context, operations, 1);
}

static void match_by_16(void *context, uint64_t operations)
{
        match_batches(context, operations, MATCH_BATCH_MAX);
}

static void look_up(void *context, uint64_t operations)
{
        struct load *load = context;
        for (uint64_t i = 0; i < operations; i++) {
                struct span subject = load->subjects[load->at];
                struct map_node *node = map_first(&load->map, XXH3_64bits(subject.bytes, subject.size));
                assert(node != NULL);
                const struct exact *exact = container_of(node, struct exact, node);
                bool is_equal = exact->subject.size == subject.size &&
                                memcmp(exact->subject.bytes, subject.bytes, subject.size) == 0;
                assert(is_equal);
                micro_use(exact);
                load->at = (load->at + 1) % SUBJECTS_COUNT;
        }
}

/* Tables that take long to make are made only for those who have time. */
static bool is_counting(int argc, char **argv)
{
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--count") == 0)
                        return true;
        return false;
}

int main(int argc, char **argv)
{
        static const size_t sizes[] = {1000, 100000, 1000000};
        struct load *exact[array_count(sizes)] = {NULL};
        struct load *wild[array_count(sizes)] = {NULL};
        size_t sizes_count = is_counting(argc, argv) ? 1 : array_count(sizes);
        epoch_register();
        for (size_t i = 0; i < sizes_count; i++) {
                exact[i] = load_new(sizes[i], 0);
                wild[i] = load_new(sizes[i], 10);
                load_exacts(exact[i]);
        }
        const struct micro_row rows[] = {
                {"hash and look up, 1 k", look_up, exact[0], NULL, 0, false, false},
                {"exact, 1 k, singly", match_singly, exact[0], "hash and look up, 1 k", 0, false, false},
                {"exact, 1 k, by 16", match_by_16, exact[0], "hash and look up, 1 k", 0, false, false},
                {"8 shapes, 90/10, 1 k, singly", match_singly, wild[0], "hash and look up, 1 k", 0, false, false},
                {"8 shapes, 90/10, 1 k, by 16", match_by_16, wild[0], "hash and look up, 1 k", 0, false, false},
                {"hash and look up, 100 k", look_up, exact[1], NULL, 0, false, true},
                {"exact, 100 k, by 16", match_by_16, exact[1], "hash and look up, 100 k", 0, false, true},
                {"8 shapes, 90/10, 100 k, by 16", match_by_16, wild[1], "hash and look up, 100 k", 0, false, true},
                {"exact, 1 M, by 16", match_by_16, exact[2], "hash and look up, 100 k", 0, false, true},
                {"8 shapes, 90/10, 1 M, singly", match_singly, wild[2], "hash and look up, 100 k", 0, false, true},
                {"8 shapes, 90/10, 1 M, by 16", match_by_16, wild[2], "hash and look up, 100 k", 0, false, true},
        };
        int exit_code = micro_main(argc, argv, "match", rows, array_count(rows));
        epoch_quiescent();
        for (size_t i = 0; i < sizes_count; i++) {
                load_free(exact[i]);
                load_free(wild[i]);
        }
        epoch_unregister();
        return exit_code;
}
