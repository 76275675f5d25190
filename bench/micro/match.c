/* micro_match: what one match costs, by workload, size of the table and batch. bench/matcher runs it and compares.
 *
 * Each subject asked for is that of a pattern in the table; there are up to SUBJECTS_MAX different ones, in random
 * order, so that a large table does not stay in the cache, or drawn by rank, the n-th most popular 1/n as often as the
 * first. Their texts lie one behind the other as they are asked for, like those in a receive buffer, so that what is
 * measured is the search and not the wait for the text. Beside each stand a tree of tokens with the same patterns, and
 * what it takes to find a whole subject when there are no patterns at all (bench/micro/exacthash.h), in a table of as
 * many.
 *
 * With a topic cache in front (matcher/cache.h): "known" are a few hundred subjects that stay in it, "again" one that
 * comes all the time, "unknown" those that come once, so that each is looked for, matched and kept. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/exacthash.h"
#include "bench/micro/micro.h"
#include "bench/micro/pointertrie.h"
#include "bench/micro/workload.h"
#include "engine/base/clock.h"
#include "matcher/cache.h"

#define SUBJECTS_MAX 262144
#define SUBJECTS_FEW 4096 /* of an attack */
#define TRIE_IDS_MAX 8192
#define CACHE_LINES 16384 /* as reactors have by default */
#define SUBJECTS_KNOWN 256

struct load {
        enum workload workload;
        size_t patterns_max; /* an attack has its own number */
        size_t spare;        /* what the table has room for beside */
        bool by_rank;
        size_t patterns_count;
        size_t yielded; /* by the stream, until that many were distinct */
        struct match_table *table;
        struct pointertrie *trie;
        struct exacthash *hash;
        struct cache cache;
        char *texts; /* of the subjects */
        struct span *subjects;
        size_t subjects_count;
        size_t at; /* which comes next */
        pattern_id *ids;
        size_t ids_max;
        uint32_t *numbers;
        double matches; /* of a subject, on average */
};

static void *many_new(size_t count, size_t size)
{
        void *memory = calloc(count, size);
        if (memory == NULL)
                abort();
        return memory;
}

/* A tail of subjects by rank: what is drawn most is in the cache. */
static void by_rank(struct load *load, struct random *random)
{
        double *sums = many_new(load->subjects_count, sizeof *sums);
        double sum = 0;
        struct span *drawn = many_new(SUBJECTS_MAX, sizeof *drawn);
        for (size_t i = 0; i < load->subjects_count; i++)
                sums[i] = sum += 1 / (double)(i + 1);
        for (size_t i = 0; i < SUBJECTS_MAX; i++) {
                double at = (double)random_below(random, (uint64_t)1 << 52) / (double)((uint64_t)1 << 52) * sum;
                size_t low = 0, high = load->subjects_count - 1;
                while (low < high) {
                        size_t middle = (low + high) / 2;
                        if (sums[middle] < at)
                                low = middle + 1;
                        else
                                high = middle;
                }
                drawn[i] = load->subjects[low];
        }
        free(sums);
        free(load->subjects);
        load->subjects = drawn;
        load->subjects_count = SUBJECTS_MAX;
}

static void lay_texts(struct load *load)
{
        size_t bytes = 0;
        for (size_t i = 0; i < load->subjects_count; i++)
                bytes += load->subjects[i].size;
        char *texts = many_new(bytes + 1, 1), *at = texts;
        for (size_t i = 0; i < load->subjects_count; i++) {
                span_copy((uint8_t *)at, load->subjects[i]);
                load->subjects[i] = span_of(at, load->subjects[i].size);
                at += load->subjects[i].size;
        }
        free(load->texts);
        load->texts = texts;
}

static void match_all(struct load *load)
{
        struct match_set sets[MATCH_BATCH_MAX];
        size_t count = 0;
        for (size_t i = 0; i < load->subjects_count; i += MATCH_BATCH_MAX) {
                size_t done =
                        match_batch(load->table, load->subjects + i, MATCH_BATCH_MAX, load->ids, load->ids_max, sets);
                assert(done == MATCH_BATCH_MAX);
                for (size_t j = 0; j < done; j++)
                        count += sets[j].ids_count;
        }
        load->matches = (double)count / (double)load->subjects_count;
}

static void prepare_table(void *context)
{
        static const uint8_t secret[16] = "a bench's secret";
        struct load *load = context;
        if (load->table != NULL)
                return;
        size_t wanted = workload_patterns(load->workload);
        bool is_attack = wanted > 0;
        load->patterns_count = is_attack ? wanted : load->patterns_max;
        size_t room = is_attack ? SUBJECTS_FEW : SUBJECTS_MAX;
        load->texts = many_new(room, WORKLOAD_TEXT_MAX);
        load->subjects = many_new(room, sizeof *load->subjects);
        struct match_limits limits = {.patterns_max = load->patterns_count + load->spare, .retiring_max = load->spare};
        if (match_table_new(&load->table, &limits, secret) != 0)
                abort();
        struct workload_stream stream;
        struct random random;
        workload_begin(&stream, load->workload);
        random_init(&random, 2);
        /* Each pattern's subject takes a place that any later one may take: what remains is a fair sample. */
        while (match_patterns_count(load->table) < load->patterns_count) {
                struct workload_text subject, pattern;
                size_t n = stream.yielded;
                workload_next(&stream, &subject, &pattern);
                if (n < room || random_chance(&random, room, n + 1)) {
                        size_t place = n < room ? n : random_below(&random, room);
                        char *text = load->texts + place * WORKLOAD_TEXT_MAX;
                        memcpy(text, subject.bytes, subject.size);
                        load->subjects[place] = span_of(text, subject.size);
                }
                pattern_id id;
                enum match_dialect dialect = workload_has_prefixes(load->workload) ? MATCH_PREFIX : MATCH_NATS;
                if (match_add(load->table, workload_span(&pattern), dialect, 0, &id) != 0)
                        abort();
                match_collect(load->table);
        }
        load->yielded = stream.yielded;
        size_t made = load->yielded < room ? load->yielded : room;
        load->subjects_count = made / MICRO_BATCH * MICRO_BATCH;
        if (load->by_rank)
                by_rank(load, &random);
        lay_texts(load);
        load->ids_max = match_ids_max(load->table) * MATCH_BATCH_MAX;
        load->ids = many_new(load->ids_max, sizeof *load->ids);
        for (size_t i = 0; i < 1000 + load->patterns_count; i++) { /* what grows or moves does it now */
                epoch_quiescent();
                match_collect(load->table);
        }
        match_all(load);
}

static void prepare_trie(void *context)
{
        struct load *load = context;
        prepare_table(load);
        if (load->trie != NULL)
                return;
        load->trie = pointertrie_new();
        load->numbers = many_new(TRIE_IDS_MAX, sizeof *load->numbers);
        struct workload_stream stream;
        workload_begin(&stream, load->workload);
        while (stream.yielded < load->yielded) {
                struct workload_text subject, pattern;
                workload_next(&stream, &subject, &pattern);
                pointertrie_add(load->trie, workload_span(&pattern));
        }
        /* A rival that finds something else is none. */
        size_t count = 0;
        for (size_t i = 0; i < load->subjects_count; i++)
                count += pointertrie_match(load->trie, load->subjects[i], load->numbers, TRIE_IDS_MAX);
        assert((double)count / (double)load->subjects_count == load->matches);
}

static void prepare_hash(void *context)
{
        struct load *load = context;
        prepare_table(load);
        if (load->hash != NULL)
                return;
        load->hash = exacthash_new(load->patterns_count);
        struct workload_stream stream;
        workload_begin(&stream, WORKLOAD_EXACT);
        while (stream.yielded < load->yielded) {
                struct workload_text subject, pattern;
                workload_next(&stream, &subject, &pattern);
                if (exacthash_find(load->hash, workload_span(&subject)) == UINT32_MAX)
                        exacthash_add(load->hash, workload_span(&subject));
        }
}

static void prepare_cache(void *context)
{
        struct load *load = context;
        prepare_table(load);
        if (load->cache.lines == NULL && cache_init(&load->cache, load->table, CACHE_LINES) != 0)
                abort();
}

static void load_fini(struct load *load)
{
        cache_fini(&load->cache);
        match_table_free(load->table);
        pointertrie_free(load->trie);
        exacthash_free(load->hash);
        free(load->texts);
        free(load->subjects);
        free(load->ids);
        free(load->numbers);
}

static void match_batches(struct load *load, uint64_t operations, size_t batch)
{
        struct match_set sets[MATCH_BATCH_MAX];
        for (uint64_t i = 0; i < operations; i += batch) {
                size_t done =
                        match_batch(load->table, load->subjects + load->at, batch, load->ids, load->ids_max, sets);
                assert(done == batch);
                micro_use(sets);
                load->at += batch;
                if (load->at == load->subjects_count)
                        load->at = 0;
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

/* As a reactor does it. */
static void ask_cache(struct load *load, const struct span *subjects, size_t batch)
{
        struct cache_result results[MATCH_BATCH_MAX];
        struct cache_place places[MATCH_BATCH_MAX];
        struct match_set sets[MATCH_BATCH_MAX];
        struct span unknown[MATCH_BATCH_MAX];
        struct cache_answer answer = cache_find(&load->cache, subjects, batch, results, places);
        size_t count = 0;
        micro_use(results);
        for (uint32_t left = answer.unknown; left != 0; left &= left - 1)
                unknown[count++] = subjects[__builtin_ctz(left)];
        if (count == 0)
                return;
        size_t done = match_batch(load->table, unknown, count, load->ids, load->ids_max, sets);
        assert(done == count);
        count = 0;
        for (uint32_t left = answer.unknown; left != 0; left &= left - 1, count++) {
                struct cache_result result = {.ids = sets[count].ids, .ids_count = sets[count].ids_count};
                cache_keep(&load->cache, &places[__builtin_ctz(left)], &result);
        }
}

static void ask_for(struct load *load, uint64_t operations, size_t batch, size_t subjects_count)
{
        load->at %= subjects_count;
        for (uint64_t i = 0; i < operations; i += batch) {
                ask_cache(load, load->subjects + load->at, batch);
                load->at = load->at + batch == subjects_count ? 0 : load->at + batch;
        }
}

static void ask_known(void *context, uint64_t operations)
{
        ask_for(context, operations, MATCH_BATCH_MAX, SUBJECTS_KNOWN);
}

static void ask_known_singly(void *context, uint64_t operations)
{
        ask_for(context, operations, 1, SUBJECTS_KNOWN);
}

static void ask_all(void *context, uint64_t operations)
{
        struct load *load = context;
        ask_for(load, operations, MATCH_BATCH_MAX, load->subjects_count);
}

static void ask_again_by(struct load *load, uint64_t operations, size_t batch)
{
        struct span subjects[MATCH_BATCH_MAX];
        for (size_t i = 0; i < batch; i++)
                subjects[i] = load->subjects[0];
        for (uint64_t i = 0; i < operations; i += batch)
                ask_cache(load, subjects, batch);
}

static void ask_again(void *context, uint64_t operations)
{
        ask_again_by(context, operations, MATCH_BATCH_MAX);
}

static void ask_again_singly(void *context, uint64_t operations)
{
        ask_again_by(context, operations, 1);
}

static void match_in_trie(void *context, uint64_t operations)
{
        struct load *load = context;
        for (uint64_t i = 0; i < operations; i++) {
                size_t count = pointertrie_match(load->trie, load->subjects[load->at], load->numbers, TRIE_IDS_MAX);
                assert(count <= TRIE_IDS_MAX);
                micro_use(load->numbers);
                load->at++;
                if (load->at == load->subjects_count)
                        load->at = 0;
        }
}

static void look_up(void *context, uint64_t operations)
{
        struct load *load = context;
        for (uint64_t i = 0; i < operations; i++) {
                uint32_t number = exacthash_find(load->hash, load->subjects[load->at]);
                assert(number != UINT32_MAX);
                micro_use(&number);
                load->at++;
                if (load->at == load->subjects_count)
                        load->at = 0;
        }
}

static size_t table_facts(void *context, struct micro_fact *facts)
{
        const struct load *load = context;
        facts[0] = (struct micro_fact){.name = "matches", .value = load->matches};
        return 1;
}

static size_t trie_facts(void *context, struct micro_fact *facts)
{
        const struct load *load = context;
        facts[0] = (struct micro_fact){.name = "bytes_a_pattern",
                                       .value = (double)pointertrie_bytes(load->trie) / (double)load->patterns_count};
        return 1;
}

/* Subscriptions that come and go beside a reader. */

#define CHURN_COUNT 160000
#define CHURN_A_TURN 16
#define CHURN_SAMPLED 8 /* of so many changes one is timed */
#define SAMPLES_MAX 65536

struct churn {
        struct load load; /* what stays */
        struct workload_text *texts;
        pattern_id *ids; /* PATTERN_NONE: it is not in */
        struct random random;
        uint64_t samples_ns[SAMPLES_MAX];
        size_t samples_count;
        _Atomic bool is_over;
        uint64_t matches_count, matches_lost; /* the reader's, until it has ended */
};

static void prepare_churn(void *context)
{
        struct churn *churn = context;
        if (churn->texts != NULL)
                return;
        churn->load.spare = CHURN_COUNT;
        prepare_table(&churn->load);
        churn->texts = many_new(CHURN_COUNT, sizeof *churn->texts);
        churn->ids = many_new(CHURN_COUNT, sizeof *churn->ids);
        random_init(&churn->random, 3);
        struct workload_stream stream;
        workload_begin(&stream, WORKLOAD_MIXED);
        random_init(&stream.random, 4);
        for (size_t i = 0; i < CHURN_COUNT;) {
                struct workload_text subject;
                workload_next(&stream, &subject, &churn->texts[i]);
                churn->ids[i] = PATTERN_NONE;
                /* Not one of those that stay. */
                struct span text = workload_span(&churn->texts[i]);
                i += match_find(churn->load.table, text, MATCH_NATS) == PATTERN_NONE;
        }
}

static void churn_fini(struct churn *churn)
{
        load_fini(&churn->load);
        free(churn->texts);
        free(churn->ids);
}

static void *read_beside(void *context)
{
        struct churn *churn = context;
        struct load *load = &churn->load;
        struct match_set sets[MATCH_BATCH_MAX];
        size_t room = match_ids_max(load->table) * MATCH_BATCH_MAX * 2;
        pattern_id *ids = many_new(room, sizeof *ids);
        epoch_register();
        while (!atomic_load_explicit(&churn->is_over, memory_order_relaxed)) {
                size_t done = match_batch(load->table, load->subjects + load->at, MATCH_BATCH_MAX, ids, room, sets);
                for (size_t i = 0; i < MATCH_BATCH_MAX; i++)
                        churn->matches_lost += i >= done || sets[i].ids_count == 0;
                churn->matches_count += MATCH_BATCH_MAX;
                load->at = load->at + MATCH_BATCH_MAX == load->subjects_count ? 0 : load->at + MATCH_BATCH_MAX;
                epoch_quiescent();
        }
        epoch_unregister();
        free(ids);
        return NULL;
}

static void change(struct churn *churn, size_t which)
{
        struct match_table *table = churn->load.table;
        pattern_id *id = &churn->ids[which];
        if (*id != PATTERN_NONE) {
                match_remove(table, *id, 0);
                *id = PATTERN_NONE;
        } else if (match_add(table, workload_span(&churn->texts[which]), MATCH_NATS, 0, id) != 0) {
                abort();
        }
}

/* Which is to come or go, one ahead: a text that comes off the network has just been read. */
static size_t draw_next(struct churn *churn)
{
        size_t next = random_below(&churn->random, CHURN_COUNT);
        __builtin_prefetch(&churn->texts[next]);
        __builtin_prefetch(&churn->texts[next].size);
        __builtin_prefetch(&churn->ids[next]);
        return next;
}

/* Alone, so that nothing but the changes is counted. */
static void come_and_go_alone(void *context, uint64_t operations)
{
        struct churn *churn = context;
        size_t next = draw_next(churn);
        for (uint64_t i = 0; i < operations; i++) {
                size_t which = next;
                next = draw_next(churn);
                change(churn, which);
                if (i % CHURN_A_TURN == 0) {
                        epoch_quiescent();
                        match_collect(churn->load.table);
                }
        }
}

static void come_and_go(void *context, uint64_t operations)
{
        struct churn *churn = context;
        pthread_t reader;
        atomic_store(&churn->is_over, false);
        if (pthread_create(&reader, NULL, read_beside, churn) != 0)
                abort();
        size_t next = draw_next(churn);
        for (uint64_t i = 0; i < operations; i++) {
                size_t which = next;
                next = draw_next(churn);
                bool is_sampled = i % CHURN_SAMPLED == 0;
                uint64_t start_ns = is_sampled ? clock_monotonic_ns() : 0;
                change(churn, which);
                if (is_sampled)
                        churn->samples_ns[churn->samples_count++ % SAMPLES_MAX] = clock_monotonic_ns() - start_ns;
                if (i % CHURN_A_TURN == 0) {
                        epoch_quiescent();
                        match_collect(churn->load.table);
                }
        }
        atomic_store(&churn->is_over, true);
        epoch_offline();
        if (pthread_join(reader, NULL) != 0)
                abort();
        epoch_online();
}

static int by_ns(const void *a, const void *b)
{
        uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
        return (left > right) - (left < right);
}

static size_t churn_facts(void *context, struct micro_fact *facts)
{
        struct churn *churn = context;
        size_t count = churn->samples_count < SAMPLES_MAX ? churn->samples_count : SAMPLES_MAX;
        if (count == 0)
                return 0;
        qsort(churn->samples_ns, count, sizeof churn->samples_ns[0], by_ns);
        facts[0] = (struct micro_fact){.name = "visible_p50_ns", .value = (double)churn->samples_ns[count / 2]};
        facts[1] = (struct micro_fact){.name = "visible_p99_ns", .value = (double)churn->samples_ns[count * 99 / 100]};
        facts[2] = (struct micro_fact){.name = "matches", .value = (double)churn->matches_count};
        facts[3] = (struct micro_fact){.name = "matches_lost", .value = (double)churn->matches_lost};
        return 4;
}

struct rows {
        struct micro_row row[MICRO_ROWS_MAX];
        char names[MICRO_ROWS_MAX][64];
        size_t count;
};

static struct micro_row *rows_add(struct rows *rows, const char *workload, const char *size, const char *what)
{
        assert(rows->count < MICRO_ROWS_MAX);
        struct micro_row *row = &rows->row[rows->count];
        char *name = rows->names[rows->count++];
        snprintf(name, sizeof rows->names[0], "%s, %s%s%s", workload, size, size[0] != '\0' ? ", " : "", what);
        row->name = name;
        return row;
}

/* The name of a row that is there. */
static const char *rows_name(const struct rows *rows, const char *workload, const char *size, const char *what)
{
        char name[sizeof rows->names[0]];
        snprintf(name, sizeof name, "%s, %s, %s", workload, size, what);
        for (size_t i = 0; i < rows->count; i++)
                if (strcmp(rows->names[i], name) == 0)
                        return rows->names[i];
        return NULL;
}

static const struct {
        const char *name;
        size_t count;
        bool is_large;
        bool has_trie;
        uint64_t operations;
} sizes[] = {
        {"1 k", 1000, false, true, 65536},
        {"100 k", 100000, true, true, 262144},
        {"1 M", 1000000, true, true, 262144},
        {"10 M", 10000000, true, false, 262144},
};

static const struct {
        const char *name;
        enum workload workload;
        bool by_rank;
        size_t sizes; /* how many of the above */
} workloads[] = {
        {"exact", WORKLOAD_EXACT, false, 4},     {"90/10", WORKLOAD_MIXED, false, 4},
        {"wild", WORKLOAD_WILD, false, 3},       {"iot", WORKLOAD_IOT, false, 3},
        {"tenants", WORKLOAD_TENANTS, false, 3}, {"tails", WORKLOAD_TAILS, false, 3},
        {"prefixes", WORKLOAD_PREFIX, false, 3}, {"zipf 90/10", WORKLOAD_MIXED, true, 3},
};

static const struct {
        const char *name;
        enum workload workload;
        bool is_large;
} attacks[] = {
        {"harmless", WORKLOAD_HARMLESS, false},  {"1023 shapes", WORKLOAD_MANY_SHAPES, false},
        {"junk", WORKLOAD_JUNK, false},          {"unselective", WORKLOAD_UNSELECTIVE, true},
        {"all masks", WORKLOAD_ALL_MASKS, true},
};

/* With a topic cache in front, beside the same without. */
static void add_cached(struct rows *rows, struct load *loads, size_t *loads_count, size_t size, size_t workload)
{
        static const struct {
                const char *name;
                void (*work)(void *context, uint64_t operations);
                bool by_rank;
        } cached[] = {
                {"known", ask_known, false}, {"known singly", ask_known_singly, false},
                {"again", ask_again, false}, {"again singly", ask_again_singly, false},
                {"unknown", ask_all, false}, {"cached", ask_all, true},
        };
        struct load *load = &loads[(*loads_count)++];
        *load = (struct load){.workload = workloads[workload].workload,
                              .patterns_max = sizes[size].count,
                              .by_rank = workloads[workload].by_rank};
        for (size_t i = 0; i < array_count(cached); i++) {
                if (cached[i].by_rank != workloads[workload].by_rank)
                        continue;
                struct micro_row *row = rows_add(rows, workloads[workload].name, sizes[size].name, cached[i].name);
                row->work = cached[i].work;
                row->prepare = prepare_cache;
                row->context = load;
                row->beside = rows_name(rows, workloads[workload].name, sizes[size].name,
                                        strstr(cached[i].name, "singly") != NULL ? "singly" : "by 16");
                row->is_large = sizes[size].is_large;
                row->operations = sizes[size].operations;
        }
}

static void add_size(struct rows *rows, struct load *loads, size_t *loads_count, size_t size)
{
        const char *limit = NULL;
        for (size_t i = 0; i < array_count(workloads); i++) {
                if (size >= workloads[i].sizes)
                        continue;
                struct load *load = &loads[(*loads_count)++];
                *load = (struct load){.workload = workloads[i].workload,
                                      .patterns_max = sizes[size].count,
                                      .by_rank = workloads[i].by_rank};
                struct micro_row *row;
                if (limit == NULL) {
                        row = rows_add(rows, workloads[i].name, sizes[size].name, "hash and look up");
                        limit = row->name;
                        row->work = look_up;
                        row->prepare = prepare_hash;
                        row->context = load;
                        row->is_large = sizes[size].is_large;
                        row->operations = sizes[size].operations;
                }
                for (size_t form = 0; form < 3; form++) {
                        static const char *const names[] = {"by 16", "singly", "tree"};
                        if (form == 2 && (!sizes[size].has_trie || workload_has_prefixes(workloads[i].workload)))
                                continue;
                        row = rows_add(rows, workloads[i].name, sizes[size].name, names[form]);
                        row->work = form == 0 ? match_by_16 : form == 1 ? match_singly : match_in_trie;
                        row->prepare = form == 2 ? prepare_trie : prepare_table;
                        row->facts = form == 2 ? trie_facts : table_facts;
                        row->context = load;
                        row->beside = limit;
                        row->is_large = sizes[size].is_large;
                        row->operations = sizes[size].operations;
                }
                bool is_typical = workloads[i].workload == WORKLOAD_MIXED || workloads[i].workload == WORKLOAD_IOT;
                if (is_typical && size < 3)
                        add_cached(rows, loads, loads_count, size, i);
        }
}

static void add_attacks(struct rows *rows, struct load *loads, size_t *loads_count)
{
        const char *harmless = NULL;
        for (size_t i = 0; i < array_count(attacks); i++) {
                struct load *load = &loads[(*loads_count)++];
                *load = (struct load){.workload = attacks[i].workload};
                struct micro_row *row = rows_add(rows, "attack", attacks[i].name, "by 16");
                row->work = match_by_16;
                row->prepare = prepare_table;
                row->facts = table_facts;
                row->context = load;
                row->beside = harmless;
                row->is_large = attacks[i].is_large;
                row->operations = 16384;
                if (harmless == NULL)
                        harmless = row->name;
        }
}

int main(int argc, char **argv)
{
        static struct rows rows;
        static struct load loads[MICRO_ROWS_MAX];
        size_t loads_count = 0;
        for (size_t size = 0; size < array_count(sizes); size++)
                add_size(&rows, loads, &loads_count, size);
        add_attacks(&rows, loads, &loads_count);
        static struct churn churn[3];
        for (size_t i = 0; i < array_count(churn); i++) {
                churn[i].load.workload = WORKLOAD_MIXED;
                churn[i].load.patterns_max = sizes[i].count;
                struct micro_row *row = rows_add(&rows, "churn", sizes[i].name, "a change alone");
                row->work = come_and_go_alone;
                row->prepare = prepare_churn;
                row->context = &churn[i];
                row->is_large = sizes[i].is_large;
                if (!row->is_large)
                        continue;
                row = rows_add(&rows, "churn", sizes[i].name, "a change beside a reader");
                row->work = come_and_go;
                row->prepare = prepare_churn;
                row->facts = churn_facts;
                row->context = &churn[i];
                row->is_large = true; /* told is the writer's CPU time; the reader has a thread of its own */
        }
        epoch_register();
        int exit_code = micro_main(argc, argv, "match", rows.row, rows.count);
        epoch_quiescent();
        for (size_t i = 0; i < loads_count; i++)
                load_fini(&loads[i]);
        for (size_t i = 0; i < array_count(churn); i++)
                churn_fini(&churn[i]);
        epoch_unregister();
        return exit_code;
}
