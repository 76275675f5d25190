/* cache: what is kept, for how long, and which changes make it old. That it never answers wrongly is the property
 * test's to say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "matcher/cache.h"
#include "matcher/table.h"
#include "matcher/whole.h"
#include "tests/guard.h"

static const uint8_t secret[16] = "sixteen byte key";

#define TOPICS 2000
#define TEXT_MAX 32

struct world {
        struct match_table *table;
        struct cache cache;
        char texts[TOPICS][TEXT_MAX];
        struct span topics[TOPICS];
};

static void world_init(struct world *world, size_t lines_count)
{
        struct match_limits limits = {.patterns_max = 1000, .retiring_max = 1000};
        assert_int_equal(match_table_new(&world->table, &limits, secret), 0);
        assert_int_equal(cache_init(&world->cache, world->table, lines_count), 0);
        for (size_t i = 0; i < TOPICS; i++) {
                snprintf(world->texts[i], TEXT_MAX, "%c%zu.b.%zu", "abcd"[i % 4], i / 4 % 5, i);
                world->topics[i] = span_of_text(world->texts[i]);
        }
}

static void world_fini(struct world *world)
{
        cache_fini(&world->cache);
        match_table_free(world->table);
}

static bool knows(struct world *world, struct span subject)
{
        struct cache_result result;
        struct cache_place place;
        return cache_find(&world->cache, &subject, 1, &result, &place).unknown == 0;
}

static void learn(struct world *world, struct span subject)
{
        struct cache_result result;
        struct cache_place place;
        if (cache_find(&world->cache, &subject, 1, &result, &place).unknown != 0)
                cache_keep(&world->cache, &place, &(struct cache_result){.ids_count = 0});
}

/* Of all topics, which were learned: `stale`, or where that is empty or ends with a dot whatever begins with it, is
 * old; of the others no more than share a counter with it by chance. */
static void check_stale(struct world *world, const char *stale, size_t others_max, const char *what)
{
        static bool knew[TOPICS];
        struct span meant = span_of_text(stale);
        bool is_beginning = meant.size == 0 || meant.bytes[meant.size - 1] == '.';
        size_t others = 0;
        for (size_t i = 0; i < TOPICS; i++)
                knew[i] = knows(world, world->topics[i]);
        for (size_t i = 0; i < TOPICS; i++) {
                bool is_meant =
                        is_beginning ? span_starts_with(world->topics[i], meant) : span_equal(world->topics[i], meant);
                if (is_meant && knew[i])
                        fail_msg("%s: %s is still known", what, world->texts[i]);
                others += !is_meant && !knew[i];
        }
        if (others > others_max)
                fail_msg("%s: %zu that it cannot match are not known any more", what, others);
}

static void learn_all(struct world *world)
{
        for (size_t i = 0; i < TOPICS; i++)
                learn(world, world->topics[i]);
}

static void a_change_makes_old_what_it_may_match_and_little_else(void **state)
{
        (void)state;
        static const struct {
                const char *pattern;
                enum match_dialect dialect;
                const char *stale;
        } rows[] = {
                {"a0.b.0", MATCH_NATS, "a0.b.0"},
                {"nobody.publishes.here", MATCH_NATS, "none"},
                {"a0.*.*", MATCH_NATS, "a0."},
                {"a0.>", MATCH_NATS, "a0."},
                {"a0.b.*", MATCH_NATS, "a0."},
                {"*.b.0", MATCH_NATS, ""},
                {">", MATCH_NATS, ""},
                {"*.*.*", MATCH_NATS, ""},
                {"b1.b.5", MATCH_SYNAP, "b1.b.5"},
                {"b1.#", MATCH_SYNAP, "b1."},
                {"#", MATCH_SYNAP, ""},
                {"**.b.5", MATCH_SYNAP, ""},
                {"b1.b.5*", MATCH_SYNAP, "b1."},
                {"b1.*5", MATCH_SYNAP, "b1."},
                {"b*.b.5", MATCH_SYNAP, ""},
                {"c2", MATCH_PREFIX, ""},
                {"c2.", MATCH_PREFIX, "c2."},
                {"c2.b.1", MATCH_PREFIX, "c2."},
                {"", MATCH_PREFIX, ""},
                {"d3.b.15", MATCH_EXACT, "d3.b.15"},
                {"d3.b.*", MATCH_EXACT, "none"},
                {"d3..b", MATCH_EXACT, "none"},
        };
        static struct world world;
        world_init(&world, (size_t)1 << 20); /* so many that no topic pushes out another */
        learn_all(&world);
        check_stale(&world, "none", 3, "nothing");
        for (size_t i = 0; i < array_count(rows); i++) {
                struct span pattern = span_of_text(rows[i].pattern);
                pattern_id id;
                /* Of 2000 topics half a one shares a counter with another on average; of twenty first tokens none. */
                size_t others_max = 8;
                learn_all(&world);
                assert_int_equal(match_add(world.table, pattern, rows[i].dialect, 0, &id), 0);
                check_stale(&world, rows[i].stale, others_max, rows[i].pattern);
                learn_all(&world);
                assert_int_equal(match_add(world.table, pattern, rows[i].dialect, 0, &id), 0);
                check_stale(&world, "none", others_max, "the same again");
                assert_int_equal(match_add(world.table, pattern, rows[i].dialect, 1, &id), 0);
                check_stale(&world, rows[i].stale, others_max, "another reactor");
                learn_all(&world);
                match_touch(world.table, match_reach_of(world.table, pattern, rows[i].dialect));
                check_stale(&world, rows[i].stale, others_max, "a touch");
                learn_all(&world);
                match_remove(world.table, id, 1);
                check_stale(&world, rows[i].stale, others_max, "a reactor less");
                learn_all(&world);
                match_remove(world.table, id, 0);
                check_stale(&world, rows[i].stale, others_max, "withdrawn");
                learn_all(&world);
                match_collect(world.table);
                check_stale(&world, "none", others_max, "the writer's turn");
        }
        world_fini(&world);
}

static void a_result_is_as_old_as_the_question(void **state)
{
        (void)state;
        static struct world world;
        struct span subject = SPAN("a.b");
        struct cache_result result;
        struct cache_place place;
        pattern_id id;
        world_init(&world, 16);
        assert_int_equal(cache_find(&world.cache, &subject, 1, &result, &place).unknown, 1);
        /* Comes between the question and the match, which may have seen it or not. */
        assert_int_equal(match_add(world.table, subject, MATCH_NATS, 0, &id), 0);
        cache_keep(&world.cache, &place, &(struct cache_result){.ids_count = 0});
        assert_false(knows(&world, subject));
        world_fini(&world);
}

static void check_kept(struct world *world, struct span subject, size_t ids_count, uint64_t note)
{
        static pattern_id ids[5000];
        struct cache_result result;
        struct cache_place place;
        for (size_t i = 0; i < ids_count; i++)
                ids[i] = (pattern_id)(ids_count * 7 + i);
        struct cache_result told = {.ids = ids, .ids_count = (uint32_t)ids_count, .notes = {0, note}};
        assert_int_equal(cache_find(&world->cache, &subject, 1, &result, &place).unknown, 1);
        cache_keep(&world->cache, &place, &told);
        bool is_kept = ids_count <= 4096;
        assert_int_equal(cache_find(&world->cache, &subject, 1, &result, &place).unknown, !is_kept);
        if (!is_kept)
                return;
        assert_int_equal(result.ids_count, ids_count);
        assert_memory_equal(result.ids, ids, ids_count * sizeof *ids);
        assert_true(result.notes[0] == 0 && result.notes[1] == note);
}

static void results_of_any_size_are_kept_with_their_notes(void **state)
{
        (void)state;
        static const size_t counts[] = {0, 1, 5, 6, 9, 10, 11, 1000, 4095, 4096, 4097};
        static struct world world;
        world_init(&world, (size_t)1 << 16);
        for (size_t i = 0; i < array_count(counts); i++) {
                check_kept(&world, world.topics[2 * i], counts[i], 0);
                check_kept(&world, world.topics[2 * i + 1], counts[i], i + 1);
        }
        world_fini(&world);
}

static void a_long_result_is_forgotten_when_others_have_come_round(void **state)
{
        (void)state;
        static struct world world;
        world_init(&world, (size_t)1 << 16);
        check_kept(&world, world.topics[0], 4096, 0);
        /* Sixteen of them are a round, and these leave a hole at its end. */
        for (size_t i = 1; i < 16; i++) {
                check_kept(&world, world.topics[i], 4000, 0);
                assert_true(knows(&world, world.topics[0]));
        }
        check_kept(&world, world.topics[16], 4000, 0);
        assert_false(knows(&world, world.topics[0]));
        assert_true(knows(&world, world.topics[1]));
        world_fini(&world);
}

static void the_same_subject_in_a_batch_is_asked_for_once(void **state)
{
        (void)state;
        static struct world world;
        pattern_id id = 77;
        struct cache_result results[MATCH_BATCH_MAX];
        struct cache_place places[MATCH_BATCH_MAX];
        struct span batch[] = {SPAN("x.one"), SPAN("x.one"), SPAN("x.two"), SPAN("x.two"), SPAN("x.two"), SPAN("x.one"),
                               SPAN("y"),     SPAN("y"),     SPAN("z"),     SPAN_NONE,     SPAN_NONE};
        world_init(&world, 1024);
        struct cache_answer answer = cache_find(&world.cache, batch, array_count(batch), results, places);
        assert_int_equal(answer.unknown, 0x1 | 0x4 | 0x20 | 0x40 | 0x100 | 0x200 | 0x400);
        assert_int_equal(answer.same, 0x2 | 0x8 | 0x10 | 0x80);
        cache_keep(&world.cache, &places[0], &(struct cache_result){.ids = &id, .ids_count = 1});
        answer = cache_find(&world.cache, batch, array_count(batch), results, places);
        assert_int_equal(answer.unknown, 0x4 | 0x40 | 0x100 | 0x200 | 0x400);
        assert_int_equal(answer.same, 0x8 | 0x10 | 0x80);
        assert_true(results[0].ids_count == 1 && results[0].ids[0] == 77);
        assert_true(results[1].ids_count == 1 && results[1].ids[0] == 77);
        assert_true(results[5].ids_count == 1 && results[5].ids[0] == 77);
        assert_int_equal(places[9].stamp, 0);
        world_fini(&world);
}

static void the_last_subject_of_a_batch_grows_old_as_any_other(void **state)
{
        (void)state;
        static struct world world;
        struct span subject = SPAN("some.subject.that.comes.again");
        world_init(&world, 64);
        learn(&world, subject);
        for (int i = 0; i < 3; i++)
                assert_true(knows(&world, subject));
        pattern_id id;
        assert_int_equal(match_add(world.table, SPAN("some.>"), MATCH_NATS, 0, &id), 0);
        assert_false(knows(&world, subject));
        assert_false(knows(&world, subject));
        learn(&world, subject);
        assert_true(knows(&world, subject));
        assert_false(knows(&world, SPAN("some.subject.that.comes.agaim")));
        assert_false(knows(&world, SPAN("tome.subject.that.comes.again")));
        assert_true(knows(&world, subject));
        world_fini(&world);
}

/* Asks for sixteen topics from `first` on, and keeps what is to be kept; how many were unknown. */
static size_t ask_sixteen(struct world *world, size_t first)
{
        struct cache_result results[MATCH_BATCH_MAX];
        struct cache_place places[MATCH_BATCH_MAX];
        struct cache_answer answer = cache_find(&world->cache, world->topics + first, MATCH_BATCH_MAX, results, places);
        for (size_t i = 0; i < MATCH_BATCH_MAX; i++)
                if (answer.unknown >> i & 1)
                        cache_keep(&world->cache, &places[i], &(struct cache_result){.ids_count = 0});
        return (size_t)__builtin_popcount(answer.unknown);
}

static void large_batches_of_strangers_pass_by_until_they_are_known(void **state)
{
        (void)state;
        static struct world world;
        world_init(&world, 4);
        for (size_t i = 0; i + MATCH_BATCH_MAX <= TOPICS; i += MATCH_BATCH_MAX)
                assert_int_equal(ask_sixteen(&world, i), MATCH_BATCH_MAX);
        cache_fini(&world.cache);
        assert_int_equal(cache_init(&world.cache, world.table, 1024), 0);
        world.cache.strange_part = 65536;
        size_t batches_count = 0;
        for (size_t known = 0; known < 16; batches_count++)
                known = ask_sixteen(&world, 0) == 0 ? known + 1 : 0;
        /* Those that were asked for meanwhile, one of sixteen, and as many more as it takes to forget. */
        assert_true(batches_count > 100);
        assert_true(batches_count < 1000);
        assert_true(knows(&world, world.topics[0]));
        world_fini(&world);
}

static void a_cache_without_lines_knows_nothing(void **state)
{
        (void)state;
        static struct world world;
        world_init(&world, 0);
        struct cache_result results[MATCH_BATCH_MAX];
        struct cache_place places[MATCH_BATCH_MAX];
        struct cache_answer answer = cache_find(&world.cache, world.topics, MATCH_BATCH_MAX, results, places);
        assert_int_equal(answer.unknown, 0xffff);
        assert_int_equal(answer.same, 0);
        for (size_t i = 0; i < MATCH_BATCH_MAX; i++)
                cache_keep(&world.cache, &places[i], &(struct cache_result){.ids_count = 0});
        assert_false(knows(&world, world.topics[0]));
        world_fini(&world);
}

/* By AES where the CPU has it, and by multiplications. */
static void check_whole_keys(bool is_aes)
{
        static struct subject_secrets secrets;
        struct guard guard;
        subject_secrets_init_as(&secrets, secret, is_aes);
        guard_init(&guard, WHOLE_BYTES_MAX);
        for (size_t size = 1; size <= WHOLE_BYTES_MAX; size += size < 70 ? 1 : 31) {
                uint8_t *bytes = guard_room(&guard, size);
                for (size_t i = 0; i < size; i++)
                        bytes[i] = (uint8_t)(i % 3);
                struct subject_key key = whole_key(&secrets, span_of(bytes, size));
                assert_true(subject_key_equal(key, whole_key(&secrets, span_of(bytes, size))));
                for (size_t i = 0; i < size; i++) {
                        bytes[i] ^= 1;
                        assert_false(subject_key_equal(key, whole_key(&secrets, span_of(bytes, size))));
                        bytes[i] ^= 1;
                }
                for (size_t shorter = 1; shorter < size; shorter++) {
                        struct subject_key front = whole_key(&secrets, span_of(bytes, shorter));
                        struct subject_key back = whole_key(&secrets, span_of(bytes + size - shorter, shorter));
                        assert_false(subject_key_equal(key, front));
                        assert_false(subject_key_equal(key, back));
                }
        }
        guard_fini(&guard);
}

static void every_byte_and_the_size_are_part_of_a_key(void **state)
{
        (void)state;
        check_whole_keys(false);
        if (form_best()->is_aes)
                check_whole_keys(true);
}

static void texts_of_one_byte_repeated_have_keys_of_their_own(void **state)
{
        (void)state;
        static struct subject_secrets secrets;
        static struct subject_key keys[WHOLE_BYTES_MAX + 1];
        static uint8_t bytes[WHOLE_BYTES_MAX];
        subject_secrets_init(&secrets, secret);
        memset(bytes, 'a', sizeof bytes);
        for (size_t size = 1; size <= WHOLE_BYTES_MAX; size++) {
                keys[size] = whole_key(&secrets, span_of(bytes, size));
                for (size_t other = 1; other < size; other++)
                        assert_false(subject_key_equal(keys[size], keys[other]));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_change_makes_old_what_it_may_match_and_little_else),
                cmocka_unit_test(a_result_is_as_old_as_the_question),
                cmocka_unit_test(results_of_any_size_are_kept_with_their_notes),
                cmocka_unit_test(a_long_result_is_forgotten_when_others_have_come_round),
                cmocka_unit_test(the_same_subject_in_a_batch_is_asked_for_once),
                cmocka_unit_test(the_last_subject_of_a_batch_grows_old_as_any_other),
                cmocka_unit_test(large_batches_of_strangers_pass_by_until_they_are_known),
                cmocka_unit_test(a_cache_without_lines_knows_nothing),
                cmocka_unit_test(every_byte_and_the_size_are_part_of_a_key),
                cmocka_unit_test(texts_of_one_byte_repeated_have_keys_of_their_own),
        };
        epoch_register();
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        epoch_unregister();
        return failed;
}
