/* match: what readers see while a writer changes the table beside them. Also the test to run under the thread
 * sanitizer.
 *
 * Three kinds of pattern are in play. Base patterns are added first and stay: no match may miss one. Churn patterns
 * come and go at random, so that slots are reused, lines overflow, programs are compiled and the table grows. Flag
 * patterns come and go, too, and their state is told: a match that begins and ends while a flag stands must agree with
 * it, and so must what a topic cache in front of the table says. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/random.h"
#include "matcher/cache.h"
#include "matcher/form.h"

#define READERS 2
#define BASE_COUNT 96
#define CHURN_COUNT 3000
#define FLAGS_COUNT 8
#define ROUNDS 20
#define WRITER_TURNS 3000 /* a round */
#define CHANGES_A_TURN 10
#define TEXT_MAX 64

enum flag_state { FLAG_ABSENT, FLAG_CHANGING, FLAG_PRESENT };

struct race {
        struct match_table *table;
        pattern_id base_ids[BASE_COUNT];
        /* For each flag, from the top: changes so far, the id, the state. A word that is twice the same has stood. */
        _Atomic uint64_t flags[FLAGS_COUNT];
        _Atomic bool done;
        _Atomic uint64_t base_missed, flags_missed, flags_stale, ids_reused;
        _Atomic uint64_t flags_checked[2], ids_held, base_checked, known;
};

static uint64_t flag_word(uint64_t changes, pattern_id id, enum flag_state state)
{
        return changes << 34 | (uint64_t)id << 2 | state;
}

static pattern_id flag_id(uint64_t word)
{
        return (pattern_id)(word >> 2);
}

static enum flag_state flag_state(uint64_t word)
{
        return word & 3;
}

/* Exact, star and tail by turns; each base pattern has a subject that only it and wildcards of churn match. */
static struct span base_pattern(char text[TEXT_MAX], size_t i)
{
        static const char *const forms[] = {"base.%zu.x", "base.%zu.*", "base.%zu.>"};
        return span_of(text, (size_t)snprintf(text, TEXT_MAX, forms[i % 3], i));
}

static struct span base_subject(char text[TEXT_MAX], size_t i)
{
        return span_of(text, (size_t)snprintf(text, TEXT_MAX, "base.%zu.x", i));
}

static struct span flag_text(char text[TEXT_MAX], size_t i)
{
        return span_of(text, (size_t)snprintf(text, TEXT_MAX, "flag.%zu", i));
}

/* Mostly exact, some of shapes that few others have, so that programs come and go as well. */
static struct span churn_pattern(char text[TEXT_MAX], size_t i)
{
        static const char *const forms[] = {"churn.%zu", "churn.%zu.a.b", "*.%zu.>", "base.*.x.%zu"};
        static const char *const rare[] = {"base.*.*", "*.*.x", "*.>", ">", "base.>", "*.*.*", "*.*", "*.*.>"};
        if (i < array_count(rare))
                return span_of(text, (size_t)snprintf(text, TEXT_MAX, "%s", rare[i]));
        return span_of(text, (size_t)snprintf(text, TEXT_MAX, forms[i % 4], i));
}

static bool set_has(const struct match_set *set, pattern_id id)
{
        for (size_t i = 0; i < set->ids_count; i++)
                if (set->ids[i] == id)
                        return true;
        return false;
}

#define IDS_MAX 1024

static void check_base(struct race *race, struct random *random)
{
        char texts[MATCH_BATCH_MAX][TEXT_MAX];
        size_t base[MATCH_BATCH_MAX];
        struct span subjects[MATCH_BATCH_MAX];
        struct match_set sets[MATCH_BATCH_MAX];
        pattern_id ids[IDS_MAX];
        for (size_t i = 0; i < MATCH_BATCH_MAX; i++) {
                base[i] = random_below(random, BASE_COUNT);
                subjects[i] = base_subject(texts[i], base[i]);
        }
        size_t done = match_batch(race->table, subjects, MATCH_BATCH_MAX, ids, IDS_MAX, sets);
        for (size_t i = 0; i < MATCH_BATCH_MAX; i++)
                if (i >= done || !set_has(&sets[i], race->base_ids[base[i]]) || (sets[i].reactors & 1) == 0)
                        atomic_fetch_add(&race->base_missed, 1);
        atomic_fetch_add(&race->base_checked, MATCH_BATCH_MAX);
}

/* As publishers do it, what was unknown is kept at once. */
static size_t match_cached(struct race *race, struct cache *cache, struct span subject, pattern_id *ids,
                           struct match_set *set)
{
        struct cache_result result;
        struct cache_place place;
        struct cache_answer answer = cache_find(cache, &subject, 1, &result, &place);
        if (answer.unknown == 0) {
                atomic_fetch_add(&race->known, 1);
                *set = (struct match_set){.ids = ids, .ids_count = result.ids_count};
                memcpy(ids, result.ids, result.ids_count * sizeof *ids);
                return 1;
        }
        size_t done = match_batch(race->table, &subject, 1, ids, IDS_MAX, set);
        if (done == 1)
                cache_keep(cache, &place, &(struct cache_result){.ids = set->ids, .ids_count = set->ids_count});
        return done;
}

/* With a cache or, NULL, without. */
static void check_flag(struct race *race, struct cache *cache, size_t i)
{
        char text[TEXT_MAX];
        struct span subject = flag_text(text, i);
        struct match_set set;
        pattern_id ids[IDS_MAX];
        uint64_t before = atomic_load(&race->flags[i]);
        size_t done = cache == NULL ? match_batch(race->table, &subject, 1, ids, IDS_MAX, &set)
                                    : match_cached(race, cache, subject, ids, &set);
        uint64_t after = atomic_load(&race->flags[i]);
        if (done != 1)
                atomic_fetch_add(&race->flags_missed, 1);
        if (before != after || done != 1 || flag_state(before) == FLAG_CHANGING)
                return;
        bool present = flag_state(before) == FLAG_PRESENT;
        atomic_fetch_add(&race->flags_checked[present], 1);
        if (present && !set_has(&set, flag_id(before)))
                atomic_fetch_add(&race->flags_missed, 1);
        /* By text: once this reader has passed a turn, the id may be that of a pattern which matches rightly. */
        for (size_t j = 0; !present && j < set.ids_count; j++)
                if (span_equal(match_text(race->table, ids[j]), subject))
                        atomic_fetch_add(&race->flags_stale, 1);
}

/* A reader that is slow to use what it found: until it says so, each id still means the pattern that it matched. */
static void hold_ids(struct race *race, struct random *random)
{
        size_t flag = random_below(random, FLAGS_COUNT);
        char text[TEXT_MAX];
        struct span subject = flag_text(text, flag);
        struct match_set set;
        pattern_id ids[IDS_MAX];
        struct span texts[IDS_MAX];
        if (match_batch(race->table, &subject, 1, ids, IDS_MAX, &set) != 1)
                return;
        for (size_t i = 0; i < set.ids_count; i++)
                texts[i] = match_text(race->table, ids[i]);
        for (uint64_t yields = random_below(random, 20); yields > 0; yields--)
                sched_yield();
        for (size_t i = 0; i < set.ids_count; i++) {
                struct span now = match_text(race->table, ids[i]);
                bool same = now.bytes == texts[i].bytes && now.size == texts[i].size;
                bool exact = span_starts_with(now, SPAN("flag."));
                bool wildcard = now.bytes[0] == '*' || now.bytes[0] == '>';
                if (!same || (exact && !span_equal(now, subject)) || (!exact && !wildcard))
                        atomic_fetch_add(&race->ids_reused, 1);
        }
        atomic_fetch_add(&race->ids_held, set.ids_count);
}

struct reader {
        struct race *race;
        uint64_t seed;
};

static void *read_beside(void *argument)
{
        struct reader *reader = argument;
        struct race *race = reader->race;
        struct random random;
        struct cache cache;
        random_init(&random, reader->seed);
        if (cache_init(&cache, race->table, 64) != 0)
                abort();
        epoch_register();
        while (!atomic_load(&race->done)) {
                for (size_t i = 0; i < 8; i++) {
                        check_base(race, &random);
                        for (size_t flag = 0; flag < FLAGS_COUNT; flag++)
                                check_flag(race, (i & 3) == 0 ? NULL : &cache, flag);
                }
                hold_ids(race, &random);
                if (random_chance(&random, 1, 8)) {
                        epoch_offline();
                        sched_yield();
                        epoch_online();
                } else {
                        epoch_quiescent();
                }
        }
        epoch_unregister();
        cache_fini(&cache);
        return NULL;
}

static pattern_id add(struct race *race, struct span pattern, unsigned reactor)
{
        pattern_id id = PATTERN_NONE;
        int result;
        while ((result = match_add(race->table, pattern, MATCH_NATS, reactor, &id)) == -ENOSPC) {
                epoch_quiescent();
                match_collect(race->table);
                sched_yield();
        }
        assert_int_equal(result, 0);
        return id;
}

static void turn_flag(struct race *race, size_t i)
{
        char text[TEXT_MAX];
        uint64_t word = atomic_load(&race->flags[i]);
        uint64_t changes = (word >> 34) + 1;
        pattern_id id = flag_id(word);
        atomic_store(&race->flags[i], flag_word(changes, id, FLAG_CHANGING));
        if (flag_state(word) == FLAG_PRESENT) {
                match_remove(race->table, id, 1);
                atomic_store(&race->flags[i], flag_word(changes, id, FLAG_ABSENT));
        } else {
                id = add(race, flag_text(text, i), 1);
                atomic_store(&race->flags[i], flag_word(changes, id, FLAG_PRESENT));
        }
}

static void write_beside(struct race *race, uint64_t seed)
{
        static pattern_id churn[CHURN_COUNT];
        struct random random;
        random_init(&random, seed);
        for (size_t i = 0; i < CHURN_COUNT; i++)
                churn[i] = PATTERN_NONE;
        for (size_t turn = 0; turn < WRITER_TURNS; turn++) {
                /* The population swells, so that the table grows now and then rather than at once. */
                size_t churn_now = 100 + (CHURN_COUNT - 100) * turn / WRITER_TURNS;
                for (size_t i = 0; i < CHANGES_A_TURN; i++) {
                        size_t which = random_below(&random, churn_now);
                        char text[TEXT_MAX];
                        if (churn[which] == PATTERN_NONE) {
                                churn[which] = add(race, churn_pattern(text, which), 2);
                        } else {
                                match_remove(race->table, churn[which], 2);
                                churn[which] = PATTERN_NONE;
                        }
                }
                turn_flag(race, random_below(&random, FLAGS_COUNT));
                epoch_quiescent();
                match_collect(race->table);
                if (turn % 4 == 0)
                        sched_yield();
        }
}

/* One table from its first pattern on, so that it is small and grows while it is read. */
static void run_round(struct race *race, uint64_t seed)
{
        static const uint8_t secret[16] = "sixteen byte key";
        /* Few more ids than patterns: they are soon wanted again. */
        struct match_limits limits = {.patterns_max = BASE_COUNT + FLAGS_COUNT + CHURN_COUNT + 64};
        /* In every second round there is hardly a hot shape: most patterns are in the cold tree, and shapes move. */
        static struct match_form form;
        form = *form_best();
        if (seed % 2 == 0)
                form.shapes_hot = 1 + seed % 4;
        assert_int_equal(form_table_new(&race->table, &limits, secret, &form), 0);
        for (size_t i = 0; i < BASE_COUNT; i++) {
                char text[TEXT_MAX];
                race->base_ids[i] = add(race, base_pattern(text, i), 0);
        }
        for (size_t i = 0; i < FLAGS_COUNT; i++)
                atomic_store(&race->flags[i], flag_word(0, PATTERN_NONE, FLAG_ABSENT));
        atomic_store(&race->done, false);

        pthread_t threads[READERS];
        struct reader readers[READERS];
        for (size_t i = 0; i < READERS; i++) {
                readers[i] = (struct reader){.race = race, .seed = seed * READERS + i};
                assert_int_equal(pthread_create(&threads[i], NULL, read_beside, &readers[i]), 0);
        }
        write_beside(race, seed);
        atomic_store(&race->done, true);
        epoch_offline();
        for (size_t i = 0; i < READERS; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        epoch_online();
        match_table_free(race->table);
}

static void readers_beside_a_writer_miss_nothing_that_stands_and_find_nothing_that_went(void **state)
{
        (void)state;
        static struct race race;
        for (uint64_t seed = 1; seed <= ROUNDS; seed++)
                run_round(&race, seed);
        print_message("base %llu, flags %llu present and %llu absent, %llu known, ids held %llu\n",
                      (unsigned long long)race.base_checked, (unsigned long long)race.flags_checked[1],
                      (unsigned long long)race.flags_checked[0], (unsigned long long)race.known,
                      (unsigned long long)race.ids_held);
        assert_true(race.base_missed == 0);
        assert_true(race.flags_missed == 0);
        assert_true(race.flags_stale == 0);
        assert_true(race.ids_reused == 0);
        assert_true(race.base_checked > 0);
        assert_true(race.known > 0);
        assert_true(race.flags_checked[0] > 0);
        assert_true(race.flags_checked[1] > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(readers_beside_a_writer_miss_nothing_that_stands_and_find_nothing_that_went),
        };
        epoch_register();
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        epoch_unregister();
        return failed;
}
