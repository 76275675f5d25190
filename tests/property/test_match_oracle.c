/* match: whatever is added, removed and asked for, the table finds what the oracle finds, in every form that this CPU
 * has, and again with so few hot shapes that most are cold and many move: each has a table of its own, and all of them
 * do the same and give the same ids. All small cases first, then seeded random ones over an alphabet so small that
 * everything overlaps. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/random.h"
#include "matcher/table.h"
#include "tests/oracle/match_oracle.h"
#include "tests/oracle/match_rest.h"

static const uint8_t secret[16] = "sixteen byte key";

#define TEXT_MAX 1100

struct text {
        uint8_t bytes[TEXT_MAX];
        size_t size;
};

static struct span text_span(const struct text *text)
{
        return span_of(text->bytes, text->size);
}

static void text_append(struct text *text, const char *token, size_t size)
{
        if (size > 0)
                memcpy(text->bytes + text->size, token, size);
        text->size += size;
        assert_true(text->size < TEXT_MAX);
}

/* The model: a plain array. */
struct entry {
        struct text text;
        enum oracle_dialect dialect;
        uint8_t meaning[ORACLE_MEANING_MAX];
        size_t meaning_size;
        uint64_t reactors;
        pattern_id id;
};

#define ENTRIES_MAX 6000

struct model {
        struct match_table *tables[2 * FORMS_MAX];
        struct match_form cooler[FORMS_MAX];
        size_t tables_count;
        struct match_table *table; /* the best form's */
        struct entry *entries;
        size_t entries_count;
};

static void model_init(struct model *model, size_t patterns_max)
{
        struct match_limits limits = {.patterns_max = patterns_max};
        const struct match_form *found[FORMS_MAX];
        size_t count = forms(found);
        for (size_t i = 0; i < count; i++) {
                model->cooler[i] = *found[i];
                model->cooler[i].shapes_hot = i + 1;
                assert_int_equal(form_table_new(&model->tables[i], &limits, secret, found[i]), 0);
                assert_int_equal(form_table_new(&model->tables[count + i], &limits, secret, &model->cooler[i]), 0);
        }
        model->tables_count = 2 * count;
        model->table = model->tables[0];
        model->entries = calloc(ENTRIES_MAX, sizeof *model->entries);
        assert_non_null(model->entries);
        model->entries_count = 0;
}

static void model_fini(struct model *model)
{
        for (size_t i = 0; i < model->tables_count; i++)
                match_table_free(model->tables[i]);
        free(model->entries);
}

static struct entry *model_find(struct model *model, struct span meaning)
{
        for (size_t i = 0; i < model->entries_count; i++) {
                struct entry *entry = &model->entries[i];
                if (span_equal(span_of(entry->meaning, entry->meaning_size), meaning))
                        return entry;
        }
        return NULL;
}

static void model_add_as(struct model *model, const struct text *text, enum oracle_dialect dialect, unsigned reactor)
{
        struct span pattern = text_span(text);
        pattern_id id = PATTERN_NONE;
        uint64_t version = match_version(model->table);
        enum match_dialect said = (enum match_dialect)dialect;
        int result = match_add(model->table, pattern, said, reactor, &id);
        for (size_t i = 1; i < model->tables_count; i++) {
                pattern_id same = PATTERN_NONE;
                assert_int_equal(match_add(model->tables[i], pattern, said, reactor, &same), result);
                assert_int_equal(same, id);
        }
        if (!oracle_fits_as(pattern, dialect)) {
                assert_int_equal(result, -E2BIG);
                assert_true(match_version(model->table) == version);
                return;
        }
        if (!oracle_is_legal_as(pattern, dialect)) {
                assert_int_equal(result, -EINVAL);
                assert_true(match_version(model->table) == version);
                return;
        }
        /* So many globs that begin alike were enough. */
        if (result == -ENOSPC && dialect == ORACLE_SYNAP && oracle_has_star(pattern))
                return;
        assert_int_equal(result, 0);
        uint8_t room[ORACLE_MEANING_MAX];
        struct span meaning = oracle_meaning(pattern, dialect, room);
        struct entry *entry = model_find(model, meaning);
        if (entry == NULL) {
                assert_true(model->entries_count < ENTRIES_MAX);
                entry = &model->entries[model->entries_count++];
                *entry = (struct entry){.text = *text, .dialect = dialect, .meaning_size = meaning.size, .id = id};
                span_copy(entry->meaning, meaning);
                for (size_t i = 0; i + 1 < model->entries_count; i++)
                        assert_true(model->entries[i].id != id);
        }
        assert_int_equal(entry->id, id);
        if ((entry->reactors & (uint64_t)1 << reactor) == 0)
                assert_true(match_version(model->table) > version);
        entry->reactors |= (uint64_t)1 << reactor;
        assert_int_equal(match_find(model->table, pattern, said), id);
        if (dialect == ORACLE_NATS)
                assert_true(span_equal(match_text(model->table, id), pattern));
        assert_int_equal(match_find(model->table, match_text(model->table, id), said), id);
        assert_int_equal(match_patterns_count(model->table), model->entries_count);
}

static void model_add(struct model *model, const struct text *text, unsigned reactor)
{
        model_add_as(model, text, ORACLE_NATS, reactor);
}

static void model_remove(struct model *model, size_t index, unsigned reactor)
{
        struct entry *entry = &model->entries[index];
        for (size_t i = 0; i < model->tables_count; i++)
                match_remove(model->tables[i], entry->id, reactor);
        entry->reactors &= ~((uint64_t)1 << reactor);
        if (entry->reactors == 0) {
                enum match_dialect said = (enum match_dialect)entry->dialect;
                assert_int_equal(match_find(model->table, text_span(&entry->text), said), PATTERN_NONE);
                *entry = model->entries[--model->entries_count];
        }
        assert_int_equal(match_patterns_count(model->table), model->entries_count);
}

static bool set_has(const struct match_set *set, pattern_id id)
{
        size_t found = 0;
        for (size_t i = 0; i < set->ids_count; i++)
                found += set->ids[i] == id;
        assert_true(found <= 1);
        return found == 1;
}

static void check_set(const struct model *model, struct span subject, const struct match_set *set)
{
        size_t expected = 0;
        uint64_t reactors = 0;
        for (size_t i = 0; i < model->entries_count; i++) {
                const struct entry *entry = &model->entries[i];
                if (!oracle_matches_as(text_span(&entry->text), entry->dialect, subject))
                        continue;
                expected++;
                reactors |= entry->reactors;
                if (!set_has(set, entry->id))
                        fail_msg("'%.*s' did not match '%.*s'", (int)entry->text.size, (const char *)entry->text.bytes,
                                 (int)subject.size, (const char *)subject.bytes);
        }
        assert_int_equal(set->ids_count, expected);
        assert_true(set->reactors == reactors);
        assert_true(expected <= match_ids_max(model->table));
}

static void check_same(const struct match_set *set, const struct match_set *expected)
{
        assert_int_equal(set->ids_count, expected->ids_count);
        assert_true(set->reactors == expected->reactors);
        for (size_t i = 0; i < expected->ids_count; i++)
                assert_true(set_has(set, expected->ids[i]));
}

/* As one batch, against the oracle; then in every form, as one batch and one by one. */
static void check_batch(const struct model *model, const struct text *texts, size_t count)
{
        static pattern_id ids[2][MATCH_BATCH_MAX * ENTRIES_MAX];
        struct span subjects[MATCH_BATCH_MAX] = {SPAN_NONE};
        struct match_set expected[MATCH_BATCH_MAX], sets[MATCH_BATCH_MAX];
        for (size_t i = 0; i < count; i++)
                subjects[i] = text_span(&texts[i]);
        assert_int_equal(match_batch(model->table, subjects, count, ids[0], array_count(ids[0]), expected), count);
        for (size_t i = 0; i < count; i++)
                check_set(model, subjects[i], &expected[i]);
        for (size_t form = 0; form < model->tables_count; form++) {
                const struct match_table *table = model->tables[form];
                assert_int_equal(match_batch(table, subjects, count, ids[1], array_count(ids[1]), sets), count);
                for (size_t i = 0; i < count; i++)
                        check_same(&sets[i], &expected[i]);
                for (size_t i = 0; i < count; i++) {
                        struct match_set single;
                        assert_int_equal(match_batch(table, &subjects[i], 1, ids[1], match_ids_max(table), &single), 1);
                        check_same(&single, &expected[i]);
                }
        }
}

/* A turn of the writer's, for all. */
static void model_turn(const struct model *model)
{
        epoch_quiescent();
        for (size_t i = 0; i < model->tables_count; i++)
                match_collect(model->tables[i]);
}

static void check_empty(const struct model *model)
{
        for (size_t i = 0; i < model->tables_count; i++)
                rest_check(model->tables[i]);
}

/* Every text of up to `depth` of these tokens. */
static size_t make_all(struct text *texts, size_t room, const char *const *tokens, size_t tokens_count, size_t depth)
{
        size_t count = 0;
        for (size_t n = 1, total = tokens_count; n <= depth; n++, total *= tokens_count) {
                for (size_t code = 0; code < total; code++) {
                        assert_true(count < room);
                        struct text *text = &texts[count++];
                        text->size = 0;
                        for (size_t i = 0, rest = code; i < n; i++, rest /= tokens_count) {
                                if (i > 0)
                                        text_append(text, ".", 1);
                                const char *token = tokens[rest % tokens_count];
                                text_append(text, token, strlen(token));
                        }
                }
        }
        return count;
}

#define ALL_MAX 800
static struct text all[ALL_MAX];

/* Small words of each dialect, all of which are tried in all orders. */
static const struct {
        enum oracle_dialect dialect;
        const char *tokens[5];
        size_t depth;
        size_t legal_count; /* of all of them, those that may be subscribed to, and mean something else each */
} small[] = {
        {ORACLE_NATS, {"a", "b", "*", ">", ""}, 4, 120 + 40},
        {ORACLE_SYNAP, {"a", "b", "*", "#", ""}, 4, 4 * (1 + 4 + 16 + 64) + 85 - 1},
        {ORACLE_SYNAP, {"a*", "*b", "ab", "**", "aab"}, 3, 5 + 25 + 125},
        {ORACLE_PREFIX, {"a", "b", "*", ">", ""}, 3, 5 + 25 + 125},
        {ORACLE_EXACT, {"a", "#", "*", ">", ""}, 3, 5 + 25 + 125},
};

static void check_all_subjects(const struct model *model, size_t all_count)
{
        for (size_t i = 0; i < all_count; i += MATCH_BATCH_MAX) {
                size_t count = all_count - i < MATCH_BATCH_MAX ? all_count - i : MATCH_BATCH_MAX;
                check_batch(model, &all[i], count);
        }
}

static void every_small_pattern_alone_matches_as_the_oracle_says(void **state)
{
        (void)state;
        for (size_t row = 0; row < array_count(small); row++) {
                struct model model;
                model_init(&model, 16);
                size_t count = make_all(all, ALL_MAX, small[row].tokens, array_count(small[row].tokens), 3);
                for (size_t i = 0; i < count; i++) {
                        model_add_as(&model, &all[i], small[row].dialect, 0);
                        if (model.entries_count == 0)
                                continue;
                        check_all_subjects(&model, count);
                        model_remove(&model, 0, 0);
                        model_turn(&model);
                }
                check_all_subjects(&model, count);
                check_empty(&model);
                model_fini(&model);
        }
}

static void all_small_patterns_together_match_as_the_oracle_says(void **state)
{
        (void)state;
        for (size_t row = 0; row < array_count(small); row++) {
                struct model model;
                model_init(&model, ENTRIES_MAX);
                size_t count =
                        make_all(all, ALL_MAX, small[row].tokens, array_count(small[row].tokens), small[row].depth);
                for (size_t i = 0; i < count; i++)
                        model_add_as(&model, &all[i], small[row].dialect, i % MATCH_REACTORS_MAX);
                assert_int_equal(model.entries_count, small[row].legal_count);
                check_all_subjects(&model, count);
                while (model.entries_count > 0) {
                        size_t index = model.entries_count / 2;
                        model_remove(&model, index, (unsigned)__builtin_ctzll(model.entries[index].reactors));
                        if (model.entries_count % 16 == 0)
                                check_all_subjects(&model, count);
                }
                check_empty(&model);
                model_fini(&model);
        }
}

static void text_of_tokens(struct text *text, size_t tokens_count, const char *token, const char *last)
{
        text->size = 0;
        for (size_t i = 0; i < tokens_count; i++) {
                if (i > 0)
                        text_append(text, ".", 1);
                const char *next = i + 1 < tokens_count ? token : last;
                text_append(text, next, strlen(next));
        }
}

static void the_limits_of_depth_and_length_are_where_the_oracle_has_them(void **state)
{
        (void)state;
        struct model model;
        struct text subjects[MATCH_BATCH_MAX] = {{.size = 0}};
        model_init(&model, 64);
        for (size_t depth = 31; depth <= 33; depth++) {
                struct text text;
                static const char *const tokens[] = {"a", "*"}, *const lasts[] = {"a", "*", ">"};
                for (size_t i = 0; i < array_count(tokens); i++)
                        for (size_t j = 0; j < array_count(lasts); j++) {
                                text_of_tokens(&text, depth, tokens[i], lasts[j]);
                                model_add(&model, &text, 3);
                        }
        }
        for (size_t size = 1023; size <= 1025; size++) {
                struct text text = {.size = size};
                memset(text.bytes, 'x', size);
                model_add(&model, &text, 4);
                text.bytes[500] = '.';
                text.bytes[510] = '.';
                model_add(&model, &text, 4);
        }
        struct text text;
        text_of_tokens(&text, 1, "", ">");
        model_add(&model, &text, 5);
        assert_int_equal(model.entries_count, 6 + 6 + 4 + 1);
        for (size_t i = 0; i < 4; i++)
                text_of_tokens(&subjects[i], 30 + i, "a", "a");
        for (size_t i = 0; i < 3; i++) {
                subjects[4 + i].size = subjects[7 + i].size = 1023 + i;
                memset(subjects[4 + i].bytes, 'x', 1023 + i);
                memset(subjects[7 + i].bytes, 'x', 1023 + i);
                subjects[7 + i].bytes[500] = subjects[7 + i].bytes[510] = '.';
        }
        text_of_tokens(&subjects[10], 32, "a", "");
        text_of_tokens(&subjects[11], 32, "", "a");
        text_of_tokens(&subjects[12], 0, "", "");
        text_of_tokens(&subjects[13], 33, "a", "");
        check_batch(&model, subjects, 14);
        while (model.entries_count > 0)
                model_remove(&model, 0, (unsigned)__builtin_ctzll(model.entries[0].reactors));
        check_empty(&model);
        model_fini(&model);
}

/* Tokens whose lengths lie around every border of the hash, many with common beginnings and ends. */
static void append_random_token(struct text *text, struct random *random, bool wildcards)
{
        static const char *const short_tokens[] = {"a", "b", "aa", "ab", "ba", "aba", "abab", "a*", ">b", "#"};
        static const uint8_t sizes[] = {7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 49};
        uint64_t draw = random_below(random, 100);
        if (wildcards && draw < 30) {
                text_append(text, "*", 1);
        } else if (draw < 90) {
                const char *token = short_tokens[random_below(random, draw < 75 ? 2 : array_count(short_tokens))];
                text_append(text, token, strlen(token));
        } else if (draw < 99) {
                char token[64];
                size_t size = sizes[random_below(random, array_count(sizes))];
                memset(token, 'a', size);
                if (random_chance(random, 1, 2))
                        token[random_below(random, size)] = 'b';
                text_append(text, token, size);
        }
        /* Else: an empty token. */
}

static void make_random(struct text *text, struct random *random, bool pattern)
{
        text->size = 0;
        size_t depth = 1 + random_below(random, random_chance(random, 1, 50) ? 34 : 5);
        for (size_t i = 0; i < depth && text->size < 1024; i++) {
                if (i > 0)
                        text_append(text, ".", 1);
                if (pattern && i + 1 == depth && random_chance(random, 1, 4))
                        text_append(text, random_chance(random, 1, 2) ? ">" : "#", 1);
                else
                        append_random_token(text, random, pattern || random_chance(random, 1, 20));
        }
}

static void run_random(uint64_t seed, size_t steps, size_t adds_percent, bool nats_only)
{
        struct model model;
        struct random random;
        static struct text subjects[MATCH_BATCH_MAX];
        random_init(&random, seed);
        model_init(&model, ENTRIES_MAX);
        for (size_t step = 0; step < steps; step++) {
                uint64_t draw = random_below(&random, 100);
                if (draw < 60) {
                        if (random_below(&random, 100) < adds_percent) {
                                struct text text;
                                static const enum oracle_dialect dialects[] = {ORACLE_NATS,  ORACLE_NATS,
                                                                               ORACLE_SYNAP, ORACLE_PREFIX,
                                                                               ORACLE_EXACT, ORACLE_SYNAP};
                                make_random(&text, &random, true);
                                size_t dialect = nats_only ? 0 : random_below(&random, array_count(dialects));
                                model_add_as(&model, &text, dialects[dialect], (unsigned)random_below(&random, 3));
                        } else if (model.entries_count > 0) {
                                model_remove(&model, random_below(&random, model.entries_count),
                                             (unsigned)random_below(&random, 3));
                        }
                } else if (draw < 80) {
                        size_t count = 1 + random_below(&random, MATCH_BATCH_MAX);
                        for (size_t i = 0; i < count; i++)
                                make_random(&subjects[i], &random, false);
                        check_batch(&model, subjects, count);
                } else {
                        model_turn(&model);
                }
        }
        while (model.entries_count > 0)
                model_remove(&model, 0, (unsigned)__builtin_ctzll(model.entries[0].reactors));
        check_empty(&model);
        model_fini(&model);
}

static void random_adds_and_removes_leave_what_the_oracle_finds(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= 12; seed++)
                run_random(seed, 1500, seed % 3 == 0 ? 50 : 65, seed % 4 == 0);
}

static void a_table_that_grows_finds_the_same_at_every_step(void **state)
{
        (void)state;
        for (uint64_t seed = 100; seed < 102; seed++)
                run_random(seed, 6000, 95, seed % 2 == 0);
}

/* The same patterns, some that went again among them, in two orders: ids differ, and what is found is the same, text
 * for text. One of the tables has grown and been moved about on the way. */
static void the_order_in_which_patterns_came_does_not_matter(void **state)
{
        (void)state;
        enum { COUNT = 1500 };
        static struct text texts[COUNT];
        static enum match_dialect dialects[COUNT];
        static pattern_id ids[2][COUNT], found[2][COUNT];
        static size_t order[COUNT];
        struct random random;
        random_init(&random, 7);
        for (size_t i = 0; i < COUNT; i++) {
                make_random(&texts[i], &random, true);
                dialects[i] = (enum match_dialect)random_below(&random, 4);
                order[i] = i;
        }
        for (size_t i = COUNT; i-- > 1;) {
                size_t j = random_below(&random, i + 1), kept = order[i];
                order[i] = order[j];
                order[j] = kept;
        }
        const struct match_form *form = form_best();
        struct match_limits limits = {.patterns_max = 2 * COUNT};
        struct match_table *tables[2];
        struct match_form crowded = *form;
        crowded.shapes_hot = 3;
        for (size_t t = 0; t < 2; t++) {
                assert_int_equal(form_table_new(&tables[t], &limits, secret, t == 0 ? form : &crowded), 0);
                for (size_t i = 0; i < COUNT; i++) {
                        size_t which = t == 0 ? i : order[i];
                        struct text *text = &texts[which];
                        ids[t][which] = PATTERN_NONE;
                        (void)match_add(tables[t], text_span(text), dialects[which], 0, &ids[t][which]);
                        if (t == 1 && i % 3 == 0) {
                                pattern_id passing;
                                char name[32];
                                snprintf(name, sizeof name, "passing.%zu.*", i);
                                assert_int_equal(match_add(tables[t], span_of_text(name), MATCH_NATS, 0, &passing), 0);
                                match_remove(tables[t], passing, 0);
                        }
                        epoch_quiescent();
                        match_collect(tables[t]);
                }
        }
        size_t matches = 0;
        for (size_t i = 0; i < 3000; i++) {
                struct text subject;
                struct match_set sets[2];
                make_random(&subject, &random, false);
                struct span span = text_span(&subject);
                for (size_t t = 0; t < 2; t++)
                        assert_int_equal(match_batch(tables[t], &span, 1, found[t], COUNT, &sets[t]), 1);
                assert_int_equal(sets[0].ids_count, sets[1].ids_count);
                matches += sets[0].ids_count;
                for (size_t j = 0; j < COUNT; j++)
                        if (ids[0][j] != PATTERN_NONE && ids[1][j] != PATTERN_NONE)
                                assert_int_equal(set_has(&sets[0], ids[0][j]), set_has(&sets[1], ids[1][j]));
        }
        assert_true(matches > 3000);
        for (size_t t = 0; t < 2; t++)
                match_table_free(tables[t]);
}

/* What the shapes say of each other, whatever the oracle thinks: x.# is as wide as x and x.* and x.> together, and more
 * only where tokens are empty; x.> is as wide as x.* and deeper. */
static void wider_patterns_match_what_narrower_ones_do(void **state)
{
        (void)state;
        static const char *const ends[] = {"", ".*", ".*.*", ".>", ".#"};
        enum { ITSELF, ONE, TWO, SOME, ANY };
        struct random random;
        random_init(&random, 8);
        for (size_t i = 0; i < 100; i++) {
                struct text text;
                do
                        make_random(&text, &random, false);
                while (text.size == 0 || text.size > 900 || oracle_tokens(text_span(&text)) > 29 ||
                       oracle_has_empty_token(text_span(&text)) || memchr(text.bytes, '*', text.size) != NULL ||
                       memchr(text.bytes, '#', text.size) != NULL);
                struct model model;
                model_init(&model, 16);
                size_t prefix_size = text.size;
                for (size_t t = 0; t < model.tables_count; t++) {
                        pattern_id ids[5], found[16];
                        for (size_t end = 0; end < array_count(ends); end++) {
                                text.size = prefix_size;
                                text_append(&text, ends[end], strlen(ends[end]));
                                assert_int_equal(match_add(model.tables[t], text_span(&text),
                                                           end == SOME ? MATCH_NATS : MATCH_SYNAP, 0, &ids[end]),
                                                 0);
                        }
                        static const char *const rests[] = {"",   ".a",  ".*",     ".a.b", ".",
                                                            "..", ".a.", ".a.b.c", "a",    ".a..b"};
                        for (size_t rest = 0; rest < array_count(rests); rest++) {
                                struct match_set set;
                                text.size = prefix_size;
                                text_append(&text, rests[rest], strlen(rests[rest]));
                                struct span subject = text_span(&text);
                                assert_int_equal(match_batch(model.tables[t], &subject, 1, found, 16, &set), 1);
                                bool has[5];
                                for (size_t end = 0; end < array_count(ends); end++)
                                        has[end] = set_has(&set, ids[end]);
                                assert_true(!has[ONE] || (has[SOME] && has[ANY]));
                                assert_true(!has[TWO] || (has[SOME] && has[ANY] && !has[ONE]));
                                assert_true(!has[SOME] || has[ANY]);
                                assert_true(!has[ITSELF] || (has[ANY] && !has[SOME]));
                                if (!oracle_has_empty_token(subject))
                                        assert_int_equal(has[ANY], has[ITSELF] || has[SOME]);
                                else
                                        assert_false(has[ONE] || has[TWO] || has[SOME]);
                        }
                }
                model_fini(&model);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_small_pattern_alone_matches_as_the_oracle_says),
                cmocka_unit_test(all_small_patterns_together_match_as_the_oracle_says),
                cmocka_unit_test(the_limits_of_depth_and_length_are_where_the_oracle_has_them),
                cmocka_unit_test(random_adds_and_removes_leave_what_the_oracle_finds),
                cmocka_unit_test(a_table_that_grows_finds_the_same_at_every_step),
                cmocka_unit_test(the_order_in_which_patterns_came_does_not_matter),
                cmocka_unit_test(wider_patterns_match_what_narrower_ones_do),
        };
        epoch_register();
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        epoch_unregister();
        return failed;
}
