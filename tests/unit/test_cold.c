/* cold: the tree of rare shapes by itself, and which shapes a table keeps in it. What matches is the oracle's to say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "matcher/table.h"

static const uint8_t secret[16] = "sixteen byte key";
static struct subject_secrets secrets;

struct tree {
        struct epoch_bin bin;
        struct cold cold;
};

static void tree_init(struct tree *tree)
{
        subject_secrets_init(&secrets, secret);
        epoch_bin_init(&tree->bin);
        assert_int_equal(cold_init(&tree->cold, &tree->bin, &secrets, 4096), 0);
}

static void tree_fini(struct tree *tree)
{
        epoch_drain(&tree->bin);
        cold_fini(&tree->cold);
}

static struct shape read_pattern(const char *text, struct subject_key tokens[MATCH_TOKENS_MAX])
{
        struct shape shape;
        assert_int_equal(pattern_parse(&shape, span_of_text(text), MATCH_NATS), 0);
        pattern_tokens(&secrets, span_of_text(text), shape, tokens);
        return shape;
}

static uint32_t find(const struct tree *tree, const char *text)
{
        struct subject_key tokens[MATCH_TOKENS_MAX];
        struct shape shape = read_pattern(text, tokens);
        return cold_find(&tree->cold, shape, tokens);
}

static void a_branch_comes_and_goes_with_the_patterns_that_need_it(void **state)
{
        (void)state;
        static const char *const texts[] = {"a.*.c", "a.*.d", "a.*", "a.*.>", "*.*.c", ">", "a.>", "a.*.c.d.e.*", "*"};
        struct tree tree;
        struct subject_key tokens[MATCH_TOKENS_MAX];
        tree_init(&tree);
        for (uint32_t round = 0; round < 2; round++) {
                for (uint32_t i = 0; i < array_count(texts); i++) {
                        struct shape shape = read_pattern(texts[i], tokens);
                        assert_int_equal(find(&tree, texts[i]), LINES_NONE);
                        assert_int_equal(cold_add(&tree.cold, shape, tokens, i), 0);
                        for (uint32_t j = 0; j <= i; j++)
                                assert_int_equal(find(&tree, texts[j]), j);
                }
                assert_int_equal(find(&tree, "a.b.c"), LINES_NONE);
                assert_int_equal(find(&tree, "a.*.c.d"), LINES_NONE);
                for (uint32_t i = 0; i < array_count(texts); i++) {
                        struct shape shape = read_pattern(texts[i], tokens);
                        assert_false(cold_remove(&tree.cold, shape, tokens, i + 1));
                        assert_true(cold_remove(&tree.cold, shape, tokens, i));
                        assert_false(cold_remove(&tree.cold, shape, tokens, i));
                        for (uint32_t j = 0; j < array_count(texts); j++)
                                assert_int_equal(find(&tree, texts[j]), j <= i ? LINES_NONE : j);
                }
                assert_int_equal(tree.cold.patterns_count, 0);
                assert_int_equal(tree.cold.edges.entries_count, 0);
                cold_give(&tree.cold, cold_take_leaving(&tree.cold));
        }
        size_t free_count = 0;
        for (uint32_t node = tree.cold.nodes_free; node != COLD_NONE; node = tree.cold.nodes[node].parent)
                free_count++;
        assert_int_equal(free_count + 1, tree.cold.nodes_fresh);
        tree_fini(&tree);
}

static void a_tree_of_many_edges_grows(void **state)
{
        (void)state;
        struct tree tree;
        struct subject_key tokens[MATCH_TOKENS_MAX];
        char text[32];
        tree_init(&tree);
        for (uint32_t i = 0; i < 4096; i++) {
                snprintf(text, sizeof text, "a.*.%u", i);
                struct shape shape = read_pattern(text, tokens);
                assert_int_equal(cold_add(&tree.cold, shape, tokens, i), 0);
        }
        for (uint32_t i = 0; i < 4096; i++) {
                snprintf(text, sizeof text, "a.*.%u", i);
                assert_int_equal(find(&tree, text), i);
        }
        tree_fini(&tree);
}

/* Each pattern brings 32 edges: the copy into larger lines has to keep up with that. */
static void a_tree_of_deep_branches_grows_as_fast_as_they_come(void **state)
{
        (void)state;
        struct tree tree;
        struct subject_key tokens[MATCH_TOKENS_MAX];
        tree_init(&tree);
        for (uint32_t round = 0; round < 2; round++) {
                for (uint32_t i = 0; i < 1000; i++) {
                        char text[512], *end = text;
                        for (uint32_t j = 0; j < MATCH_TOKENS_MAX; j++)
                                end += sprintf(end, "%s%u-%u", j == 0 ? "" : ".", i, j);
                        struct shape shape = read_pattern(text, tokens);
                        if (round == 0)
                                assert_int_equal(cold_add(&tree.cold, shape, tokens, i), 0);
                        assert_int_equal(find(&tree, text), i);
                        if (round == 1)
                                assert_true(cold_remove(&tree.cold, shape, tokens, i));
                }
        }
        assert_int_equal(tree.cold.edges.entries_count, 0);
        tree_fini(&tree);
}

/* Pattern `number` of the shape that has stars where `stars` says, of eight tokens. */
static void make_pattern(char text[64], unsigned stars, unsigned number)
{
        char *end = text;
        for (unsigned i = 0; i < 8; i++)
                end += stars >> i & 1 ? sprintf(end, "%s*", i > 0 ? "." : "")
                                      : sprintf(end, "%s%c%u", i > 0 ? "." : "", 'a' + (char)i, number);
}

static void settle(struct match_table *table)
{
        for (int i = 0; i < 10000; i++) {
                epoch_quiescent();
                match_collect(table);
        }
        assert_int_equal(table->move.step, MOVE_NONE);
}

static const struct program *program_of(const struct match_table *table, size_t depth)
{
        return atomic_load(&table->programs[depth]);
}

static void in_a_crowd_of_shapes_those_of_many_patterns_are_hot(void **state)
{
        (void)state;
        static const uint8_t table_secret[16] = "another secret";
        struct match_form form = form_portable;
        struct match_limits limits = {.patterns_max = 10000};
        struct match_table *table;
        form.shapes_hot = 64;
        assert_int_equal(form_table_new(&table, &limits, table_secret, &form), 0);
        char text[64];
        pattern_id id;
        for (unsigned stars = 1; stars <= 64; stars++) {
                make_pattern(text, stars, 0);
                assert_int_equal(match_add(table, span_of_text(text), MATCH_NATS, 0, &id), 0);
        }
        /* As many as there is room for: all are hot. */
        settle(table);
        assert_int_equal(program_of(table, 8)->hot_count, 64);
        assert_false(program_of(table, 8)->has_cold);
        for (unsigned stars = 65; stars < 256; stars++) {
                make_pattern(text, stars, 0);
                assert_int_equal(match_add(table, span_of_text(text), MATCH_NATS, 0, &id), 0);
        }
        /* The last that came has many. */
        for (unsigned number = 1; number < 200; number++) {
                make_pattern(text, 255 - 128, number);
                assert_int_equal(match_add(table, span_of_text(text), MATCH_NATS, 0, &id), 0);
                make_pattern(text, 128 + 1, number);
                assert_int_equal(match_add(table, span_of_text(text), MATCH_NATS, 0, &id), 0);
        }
        settle(table);
        assert_in_range(program_of(table, 8)->hot_count, 2, 18);
        assert_true(program_of(table, 8)->has_cold);
        struct shape shape;
        make_pattern(text, 255 - 128, 7);
        assert_int_equal(pattern_parse(&shape, span_of_text(text), MATCH_NATS), 0);
        assert_true(shapes_find(&table->shapes, shape)->is_hot);
        assert_int_not_equal(match_find(table, span_of_text(text), MATCH_NATS), PATTERN_NONE);
        make_pattern(text, 128 + 1, 7);
        assert_int_equal(pattern_parse(&shape, span_of_text(text), MATCH_NATS), 0);
        assert_true(shapes_find(&table->shapes, shape)->is_hot);
        /* Whatever is where, all that match are found, once. */
        pattern_id ids[512];
        struct match_set set;
        struct span subject = SPAN("a0.b0.c0.d0.e0.f0.g0.h0");
        assert_int_equal(match_batch(table, &subject, 1, ids, array_count(ids), &set), 1);
        assert_int_equal(set.ids_count, 255);
        match_table_free(table);
}

/* Many more patterns than the lines have room for: what comes meanwhile must find some all the same. */
static void nobody_is_refused_because_a_populous_shape_moves(void **state)
{
        (void)state;
        enum { MANY = 5000 };
        struct match_form form = form_portable;
        struct match_limits limits = {.patterns_max = 2 * MANY};
        struct match_table *table;
        pattern_id id;
        char text[64];
        form.shapes_hot = 1;
        assert_int_equal(form_table_new(&table, &limits, secret, &form), 0);
        assert_int_equal(match_add(table, SPAN("*.b"), MATCH_NATS, 0, &id), 0);
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(text, sizeof text, "a%u.*", i);
                assert_int_equal(match_add(table, span_of_text(text), MATCH_NATS, 0, &id), 0);
        }
        struct shape shape = {.stars = 2, .tokens_count = 2};
        assert_false(shapes_find(&table->shapes, shape)->is_hot);
        unsigned turns = 0;
        for (; turns < 100 && !(shapes_find(&table->shapes, shape)->is_hot && table->move.step == MOVE_NONE); turns++) {
                epoch_quiescent();
                match_collect(table);
                snprintf(text, sizeof text, "new%u", turns);
                assert_int_equal(match_add(table, span_of_text(text), MATCH_NATS, 0, &id), 0);
        }
        /* A step has 1024 patterns: two times five of them for each of two shapes, and as many again for the rest. */
        assert_in_range(turns, 1, 40);
        match_table_free(table);
}

/* Bits of who has gone stay: were the filter not made anew, it would let everything through one day. */
static void a_filter_forgets_who_has_gone(void **state)
{
        (void)state;
        struct match_limits limits = {.patterns_max = 100};
        struct match_table *table;
        pattern_id ids[50], id;
        char text[64];
        assert_int_equal(form_table_new(&table, &limits, secret, &form_portable), 0);
        for (unsigned i = 0; i < 20000; i++) {
                if (i >= array_count(ids))
                        match_remove(table, ids[i % array_count(ids)], 0);
                snprintf(text, sizeof text, "a%u.*", i);
                int error = match_add(table, span_of_text(text), MATCH_NATS, 0, &id);
                assert_int_equal(error, 0);
                ids[i % array_count(ids)] = id;
                epoch_quiescent();
                match_collect(table);
                const struct lines *lines = index_lines(&table->index);
                size_t set_count = 0;
                for (size_t j = 0; j <= lines->filter_mask; j++)
                        set_count += (size_t)__builtin_popcountll(atomic_load(&lines->filter[j]));
                /* Two of every eight bits are for keys when it is full. */
                assert_true(set_count * 10 <= (lines->filter_mask + 1) * 64 * 3);
        }
        match_table_free(table);
}

/* What a program hides of a shape on its way is nothing to those of other depths. */
static void a_move_leaves_other_depths_as_they_are(void **state)
{
        (void)state;
        struct match_form form = form_portable;
        struct match_limits limits = {.patterns_max = 5000};
        struct match_table *table;
        pattern_id id;
        char text[64];
        form.shapes_hot = 1;
        assert_int_equal(form_table_new(&table, &limits, secret, &form), 0);
        assert_int_equal(match_add(table, SPAN("*.b"), MATCH_NATS, 0, &id), 0);
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(text, sizeof text, "a%u.*", i);
                assert_int_equal(match_add(table, span_of_text(text), MATCH_NATS, 0, &id), 0);
        }
        unsigned depth = 3;
        for (int i = 0; i < 40; i++) {
                epoch_quiescent();
                match_collect(table);
                if (depth < MATCH_TOKENS_MAX && table->move.step != MOVE_NONE) {
                        char *end = text;
                        for (unsigned j = 0; j + 1 < depth; j++)
                                end += sprintf(end, "a.");
                        sprintf(end, "*");
                        assert_int_equal(match_add(table, span_of_text(text), MATCH_NATS, 0, &id), 0);
                        depth++;
                }
        }
        assert_in_range(depth, 6, MATCH_TOKENS_MAX);
        assert_int_equal(table->move.step, MOVE_NONE);
        for (unsigned i = 3; i < depth; i++)
                assert_false(program_of(table, i)->has_cold);
        match_table_free(table);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_branch_comes_and_goes_with_the_patterns_that_need_it),
                cmocka_unit_test(a_tree_of_many_edges_grows),
                cmocka_unit_test(a_tree_of_deep_branches_grows_as_fast_as_they_come),
                cmocka_unit_test(in_a_crowd_of_shapes_those_of_many_patterns_are_hot),
                cmocka_unit_test(nobody_is_refused_because_a_populous_shape_moves),
                cmocka_unit_test(a_filter_forgets_who_has_gone),
                cmocka_unit_test(a_move_leaves_other_depths_as_they_are),
        };
        epoch_register();
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        epoch_unregister();
        return failed;
}
