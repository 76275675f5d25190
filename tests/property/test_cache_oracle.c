/* cache: with it or without it, an event finds what the oracle finds, whatever is subscribed, withdrawn and touched in
 * between: in caches of one line, of few and of enough, in front of tables that hash with AES and without. Seeded, over
 * so few subjects that most are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/base/random.h"
#include "matcher/cache.h"
#include "matcher/table.h"
#include "tests/oracle/match_oracle.h"

static const uint8_t secret[16] = "sixteen byte key";

#define ENTRIES_MAX 48
#define TEXT_MAX 40
#define TABLES 2
#define CACHES 3
#define IDS_MAX (MATCH_BATCH_MAX * 256)

struct entry {
        char bytes[TEXT_MAX];
        struct span text;
        enum oracle_dialect dialect;
        uint64_t note; /* of its own; the notes of a result are the sum of those that match */
        pattern_id id;
};

struct world {
        struct random random;
        struct match_table *tables[TABLES];
        struct cache caches[TABLES][CACHES];
        struct entry entries[ENTRIES_MAX];
        size_t entries_count;
        uint64_t known, unknown;
};

static size_t draw_text(struct world *world, char *bytes, bool is_pattern)
{
        static const char *const plain[] = {"a", "b", "ab", "abc", "", "a longer token than a block"};
        static const char *const wild[] = {"*", ">", "#", "a*", "*b", "**"};
        size_t size = 0;
        uint64_t tokens = 1 + random_below(&world->random, 4);
        for (uint64_t i = 0; i < tokens; i++) {
                const char *token = is_pattern && random_chance(&world->random, 2, 5)
                                            ? wild[random_below(&world->random, array_count(wild))]
                                            : plain[random_below(&world->random, array_count(plain))];
                if (size + strlen(token) + 2 > TEXT_MAX)
                        break;
                size += (size_t)snprintf(bytes + size, TEXT_MAX - size, "%s%s", i > 0 ? "." : "", token);
        }
        return size;
}

static void entry_add(struct world *world)
{
        struct entry *entry = &world->entries[world->entries_count];
        entry->text = span_of(entry->bytes, draw_text(world, entry->bytes, true));
        entry->dialect = (enum oracle_dialect)random_below(&world->random, 4);
        entry->note = 0;
        if (!oracle_is_legal_as(entry->text, entry->dialect) || world->entries_count == ENTRIES_MAX - 1)
                return;
        for (size_t i = 0; i < TABLES; i++) {
                pattern_id id;
                enum match_dialect said = (enum match_dialect)entry->dialect;
                /* What means the same as another entry is one pattern; each pattern stands in one entry. */
                if (i == 0 && match_find(world->tables[0], entry->text, said) != PATTERN_NONE)
                        return;
                assert_int_equal(match_add(world->tables[i], entry->text, said, 0, &id), 0);
                assert_true(i == 0 || id == entry->id);
                entry->id = id;
        }
        world->entries_count++;
}

static void entry_remove(struct world *world, size_t index)
{
        for (size_t i = 0; i < TABLES; i++)
                match_remove(world->tables[i], world->entries[index].id, 0);
        struct entry *entry = &world->entries[index], *last = &world->entries[--world->entries_count];
        *entry = *last;
        entry->text = span_of(entry->bytes, last->text.size);
}

static void entry_touch(struct world *world, struct entry *entry)
{
        entry->note++;
        for (size_t i = 0; i < TABLES; i++) {
                enum match_dialect said = (enum match_dialect)entry->dialect;
                match_touch(world->tables[i], match_reach_of(world->tables[i], entry->text, said));
        }
}

static void change(struct world *world)
{
        uint64_t draw = random_below(&world->random, 100);
        size_t index = world->entries_count == 0 ? 0 : random_below(&world->random, world->entries_count);
        if (draw < 40)
                entry_add(world);
        else if (draw < 75 && world->entries_count > 0)
                entry_remove(world, index);
        else if (draw < 90 && world->entries_count > 0)
                entry_touch(world, &world->entries[index]);
        else
                for (size_t i = 0; i < TABLES; i++) {
                        epoch_quiescent();
                        match_collect(world->tables[i]);
                }
}

static struct entry *entry_of(struct world *world, pattern_id id)
{
        for (size_t i = 0; i < world->entries_count; i++)
                if (world->entries[i].id == id)
                        return &world->entries[i];
        return NULL;
}

static void check_result(struct world *world, struct span subject, const struct cache_result *result)
{
        size_t expected = 0;
        uint64_t note = 0;
        for (size_t i = 0; i < world->entries_count; i++) {
                const struct entry *entry = &world->entries[i];
                if (!oracle_matches_as(entry->text, entry->dialect, subject))
                        continue;
                size_t found = 0;
                expected++;
                note += entry->note;
                for (size_t j = 0; j < result->ids_count; j++)
                        found += result->ids[j] == entry->id;
                if (found != 1)
                        fail_msg("'%.*s' was found %zu times for '%.*s'", (int)entry->text.size, entry->bytes, found,
                                 (int)subject.size, (const char *)subject.bytes);
        }
        assert_int_equal(result->ids_count, expected);
        assert_true(result->notes[0] == 0 && result->notes[1] == note);
}

/* As publishers use it: asks, matches what is unknown, makes notes, and keeps it in the end. */
static void ask(struct world *world, size_t table, size_t cache, const struct span *subjects, size_t count)
{
        static pattern_id ids[IDS_MAX];
        struct cache_result results[MATCH_BATCH_MAX];
        struct cache_place places[MATCH_BATCH_MAX];
        struct match_set sets[MATCH_BATCH_MAX];
        struct span unknown[MATCH_BATCH_MAX];
        size_t unknown_count = 0, next = 0;
        struct cache_answer answer = cache_find(&world->caches[table][cache], subjects, count, results, places);
        assert_int_equal(answer.unknown & answer.same, 0);
        for (size_t i = 0; i < count; i++)
                if (answer.unknown >> i & 1)
                        unknown[unknown_count++] = subjects[i];
        if (unknown_count > 0)
                assert_int_equal(match_batch(world->tables[table], unknown, unknown_count, ids, IDS_MAX, sets),
                                 unknown_count);
        world->unknown += unknown_count;
        world->known += count - unknown_count;
        for (size_t i = 0; i < count; i++) {
                if (answer.unknown >> i & 1) {
                        results[i] = (struct cache_result){.ids = sets[next].ids, .ids_count = sets[next].ids_count};
                        next++;
                        for (size_t j = 0; j < results[i].ids_count; j++)
                                results[i].notes[1] += entry_of(world, results[i].ids[j])->note;
                } else if (answer.same >> i & 1) {
                        results[i] = results[i - 1];
                }
                check_result(world, subjects[i], &results[i]);
        }
        for (size_t i = 0; i < count; i++)
                if (answer.unknown >> i & 1)
                        cache_keep(&world->caches[table][cache], &places[i], &results[i]);
}

static void ask_all(struct world *world)
{
        char texts[MATCH_BATCH_MAX][TEXT_MAX];
        struct span subjects[MATCH_BATCH_MAX];
        size_t count = 1 + random_below(&world->random, MATCH_BATCH_MAX);
        for (size_t i = 0; i < count; i++) {
                subjects[i] = span_of(texts[i], draw_text(world, texts[i], false));
                if (i > 0 && random_chance(&world->random, 1, 3))
                        subjects[i] = subjects[i - 1];
        }
        for (size_t i = 0; i < TABLES; i++)
                for (size_t j = 0; j < CACHES; j++)
                        ask(world, i, j, subjects, count);
}

static void run(uint64_t seed, uint64_t *known, uint64_t *unknown)
{
        static struct world world;
        static const size_t lines[CACHES] = {1, 16, 4096};
        struct match_limits limits = {.patterns_max = ENTRIES_MAX, .retiring_max = 1000};
        const struct match_form *forms_made[TABLES] = {form_best(), &form_portable};
        world.entries_count = 0;
        world.known = world.unknown = 0;
        random_init(&world.random, seed);
        for (size_t i = 0; i < TABLES; i++) {
                assert_int_equal(form_table_new(&world.tables[i], &limits, secret, forms_made[i]), 0);
                for (size_t j = 0; j < CACHES; j++)
                        assert_int_equal(cache_init(&world.caches[i][j], world.tables[i], lines[j]), 0);
        }
        for (int step = 0; step < 600; step++) {
                for (uint64_t changes = random_below(&world.random, 3); changes > 0; changes--)
                        change(&world);
                ask_all(&world);
        }
        *known += world.known;
        *unknown += world.unknown;
        for (size_t i = 0; i < TABLES; i++) {
                for (size_t j = 0; j < CACHES; j++)
                        cache_fini(&world.caches[i][j]);
                match_table_free(world.tables[i]);
        }
}

static void with_a_cache_or_without_an_event_finds_the_same(void **state)
{
        (void)state;
        uint64_t known = 0, unknown = 0;
        for (uint64_t seed = 1; seed <= 20; seed++)
                run(seed, &known, &unknown);
        /* Else it would have tried nothing. */
        assert_true(known > 50000);
        assert_true(unknown > 50000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(with_a_cache_or_without_an_event_finds_the_same)};
        epoch_register();
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        epoch_unregister();
        return failed;
}
