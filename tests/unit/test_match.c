/* match: what a table promises its writer and its readers; what matches what is left to the oracle. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "matcher/form.h"
#include "tests/guard.h"

#define IDS_MAX 64

static struct match_table *new_table(size_t patterns_max)
{
        static const uint8_t secret[16] = "sixteen byte key";
        struct match_limits limits = {.patterns_max = patterns_max};
        struct match_table *table;
        assert_int_equal(match_table_new(&table, &limits, secret), 0);
        return table;
}

static pattern_id add(struct match_table *table, const char *pattern, unsigned reactor)
{
        pattern_id id = PATTERN_NONE;
        assert_int_equal(match_add(table, span_of_text(pattern), MATCH_NATS, reactor, &id), 0);
        return id;
}

static struct match_set match(const struct match_table *table, const char *subject, pattern_id ids[IDS_MAX])
{
        struct match_set set;
        struct span text = span_of_text(subject);
        assert_int_equal(match_batch(table, &text, 1, ids, IDS_MAX, &set), 1);
        return set;
}

static bool has(const struct match_set *set, pattern_id id)
{
        for (size_t i = 0; i < set->ids_count; i++)
                if (set->ids[i] == id)
                        return true;
        return false;
}

static void turn(struct match_table *table)
{
        epoch_quiescent();
        match_collect(table);
}

static void an_empty_table_matches_nothing(void **state)
{
        (void)state;
        struct match_table *table = new_table(8);
        pattern_id ids[IDS_MAX];
        struct match_set set = match(table, "a.b", ids);
        assert_int_equal(set.ids_count, 0);
        assert_true(set.reactors == 0);
        assert_int_equal(match_ids_max(table), 0);
        assert_int_equal(match_patterns_count(table), 0);
        match_table_free(table);
}

static void all_kinds_of_pattern_are_found_at_once(void **state)
{
        (void)state;
        struct match_table *table = new_table(8);
        pattern_id ids[IDS_MAX];
        pattern_id exact = add(table, "orders.7.paid", 0);
        pattern_id star = add(table, "orders.*.paid", 1);
        pattern_id tail = add(table, "orders.>", 2);
        pattern_id every = add(table, ">", 63);
        pattern_id other = add(table, "orders.7.sent", 4);
        struct match_set set = match(table, "orders.7.paid", ids);
        assert_int_equal(set.ids_count, 4);
        assert_true(has(&set, exact));
        assert_true(has(&set, star));
        assert_true(has(&set, tail));
        assert_true(has(&set, every));
        assert_false(has(&set, other));
        assert_true(set.reactors == ((uint64_t)1 << 63 | 7));
        match_table_free(table);
}

static void a_pattern_has_one_id_for_all_reactors_until_the_last_leaves(void **state)
{
        (void)state;
        struct match_table *table = new_table(8);
        pattern_id ids[IDS_MAX];
        pattern_id id = add(table, "a.*", 1);
        assert_int_equal(add(table, "a.*", 5), id);
        assert_int_equal(add(table, "a.*", 5), id);
        assert_int_equal(match_patterns_count(table), 1);
        assert_true(match(table, "a.b", ids).reactors == (1 << 1 | 1 << 5));
        match_remove(table, id, 5);
        match_remove(table, id, 5);
        assert_true(match(table, "a.b", ids).reactors == 1 << 1);
        assert_int_equal(match_find(table, SPAN("a.*"), MATCH_NATS), id);
        match_remove(table, id, 1);
        assert_int_equal(match(table, "a.b", ids).ids_count, 0);
        assert_int_equal(match_find(table, SPAN("a.*"), MATCH_NATS), PATTERN_NONE);
        assert_int_equal(match_patterns_count(table), 0);
        match_table_free(table);
}

static void a_refused_pattern_changes_nothing(void **state)
{
        (void)state;
        struct match_table *table = new_table(1);
        pattern_id id = add(table, "a.b", 0), none = 77;
        uint64_t version = match_version(table);
        static const char *const illegal[] = {"", "a..b", ">.a", "a."};
        for (size_t i = 0; i < array_count(illegal); i++)
                assert_int_equal(match_add(table, span_of_text(illegal[i]), MATCH_NATS, 0, &none), -EINVAL);
        static const char deep[] = "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.>";
        assert_int_equal(match_add(table, span_of_text(deep), MATCH_NATS, 0, &none), -E2BIG);
        assert_int_equal(match_add(table, SPAN("c.*"), MATCH_NATS, 0, &none), -ENOSPC);
        assert_int_equal(none, 77);
        assert_true(match_version(table) == version);
        assert_int_equal(match_patterns_count(table), 1);
        assert_int_equal(match_find(table, SPAN("c.*"), MATCH_NATS), PATTERN_NONE);
        assert_int_equal(match_find(table, SPAN("a..b"), MATCH_NATS), PATTERN_NONE);
        /* There is room for one more reactor of a pattern that is in. */
        assert_int_equal(add(table, "a.b", 9), id);
        match_table_free(table);
}

static void what_retires_takes_no_place_of_what_lives(void **state)
{
        (void)state;
        struct match_table *table;
        struct match_limits limits = {.patterns_max = 2, .retiring_max = 3};
        assert_int_equal(match_table_new(&table, &limits, (const uint8_t *)"sixteen byte key"), 0);
        pattern_id kept = add(table, "kept", 0), none;
        /* This thread reads too, and has not passed a turn: each withdrawn pattern keeps its id. */
        for (size_t i = 0; i < limits.retiring_max + 1; i++) {
                char text[32];
                snprintf(text, sizeof text, "gone.%zu", i);
                match_remove(table, add(table, text, 0), 0);
                match_collect(table);
        }
        assert_int_equal(match_add(table, SPAN("one.more"), MATCH_NATS, 0, &none), -ENOSPC);
        turn(table);
        add(table, "one.more", 0);
        assert_int_equal(match_add(table, SPAN("too.many"), MATCH_NATS, 0, &none), -ENOSPC);
        assert_true(span_equal(match_text(table, kept), SPAN("kept")));
        match_table_free(table);
}

static void an_id_comes_again_only_after_a_grace_period(void **state)
{
        (void)state;
        struct match_table *table = new_table(2);
        pattern_id first = add(table, "a", 0);
        pattern_id second = add(table, "b", 0), none;
        match_remove(table, first, 0);
        /* This thread reads too, and has not passed a turn. */
        match_collect(table);
        assert_int_equal(match_add(table, SPAN("c"), MATCH_NATS, 0, &none), -ENOSPC);
        assert_true(span_equal(match_text(table, first), SPAN("a")));
        turn(table);
        assert_int_equal(add(table, "c", 0), first);
        assert_true(span_equal(match_text(table, first), SPAN("c")));
        assert_true(span_equal(match_text(table, second), SPAN("b")));
        match_table_free(table);
}

static void a_full_table_looks_for_ids_whose_grace_period_is_over(void **state)
{
        (void)state;
        struct match_table *table = new_table(1);
        pattern_id first = add(table, "a", 0);
        match_remove(table, first, 0);
        match_collect(table);
        /* The writer slept; nobody has collected since. */
        epoch_quiescent();
        assert_int_equal(add(table, "b", 0), first);
        match_table_free(table);
}

static void the_version_goes_up_with_every_change_and_no_other_call(void **state)
{
        (void)state;
        struct match_table *table = new_table(8);
        pattern_id ids[IDS_MAX];
        uint64_t version = match_version(table);
        pattern_id id = add(table, "a", 0);
        assert_true(match_version(table) > version);
        version = match_version(table);
        add(table, "a", 0);
        match_find(table, SPAN("a"), MATCH_NATS);
        match(table, "a", ids);
        match_remove(table, id, 1);
        turn(table);
        assert_true(match_version(table) == version);
        add(table, "a", 1);
        assert_true(match_version(table) > version);
        version = match_version(table);
        match_remove(table, id, 0);
        assert_true(match_version(table) > version);
        version = match_version(table);
        match_remove(table, id, 1);
        assert_true(match_version(table) > version);
        match_table_free(table);
}

static void a_batch_stops_before_the_subject_whose_ids_do_not_fit(void **state)
{
        (void)state;
        struct match_table *table = new_table(8);
        add(table, "a", 0);
        add(table, "*", 1);
        add(table, ">", 2);
        assert_int_equal(match_ids_max(table), 3);
        struct span subjects[] = {SPAN("a"), SPAN("b"), SPAN(""), SPAN("a"), SPAN("a.b")};
        struct match_set sets[array_count(subjects)];
        /* It stops where there is no room for the next, so never writes behind it. */
        static const size_t done[] = {0, 0, 0, 1, 1, 3, 3, 3, 4, 5, 5};
        for (size_t room = 0; room < array_count(done); room++) {
                pattern_id ids[array_count(done)];
                for (size_t i = 0; i < array_count(ids); i++)
                        ids[i] = 99;
                assert_int_equal(match_batch(table, subjects, array_count(subjects), ids, room, sets), done[room]);
                static const uint32_t counts[] = {3, 2, 0, 3, 1};
                for (size_t i = 0; i < done[room]; i++)
                        assert_int_equal(sets[i].ids_count, counts[i]);
                for (size_t i = room; i < array_count(ids); i++)
                        assert_int_equal(ids[i], 99);
        }
        match_table_free(table);
}

/* The same where nothing but keys has to be checked, which is done in another way. */
static void a_plain_batch_stops_there_as_well(void **state)
{
        (void)state;
        struct match_table *table = new_table(8);
        add(table, "a", 0);
        add(table, "*", 1);
        add(table, ">", 2);
        struct span subjects[] = {SPAN("a"), SPAN("b"), SPAN("a"), SPAN("a.b")};
        struct match_set sets[array_count(subjects)];
        static const size_t done[] = {0, 0, 0, 1, 1, 2, 2, 2, 3, 4, 4};
        for (size_t room = 0; room < array_count(done); room++) {
                pattern_id ids[array_count(done)];
                for (size_t i = 0; i < array_count(ids); i++)
                        ids[i] = 99;
                assert_int_equal(match_batch(table, subjects, array_count(subjects), ids, room, sets), done[room]);
                static const uint32_t counts[] = {3, 2, 3, 1};
                for (size_t i = 0; i < done[room]; i++)
                        assert_int_equal(sets[i].ids_count, counts[i]);
                for (size_t i = room; i < array_count(ids); i++)
                        assert_int_equal(ids[i], 99);
        }
        match_table_free(table);
}

static pattern_id add_as(struct match_table *table, const char *pattern, enum match_dialect dialect)
{
        pattern_id id = PATTERN_NONE;
        assert_int_equal(match_add(table, span_of_text(pattern), dialect, 0, &id), 0);
        return id;
}

static void one_subject_finds_the_patterns_of_all_dialects(void **state)
{
        (void)state;
        struct match_table *table = new_table(64);
        pattern_id ids[IDS_MAX];
        pattern_id nats = add_as(table, "a.*", MATCH_NATS), tail = add_as(table, "a.>", MATCH_NATS);
        pattern_id any = add_as(table, "a.b.#", MATCH_SYNAP), glob = add_as(table, "a.b*", MATCH_SYNAP);
        pattern_id prefix = add_as(table, "a.", MATCH_PREFIX), exact = add_as(table, "a.b", MATCH_EXACT);
        add_as(table, "a.#", MATCH_NATS); /* a literal '#' */
        add_as(table, "a.*", MATCH_EXACT);
        add_as(table, "a.>", MATCH_SYNAP);
        struct match_set set = match(table, "a.b", ids);
        assert_int_equal(set.ids_count, 6);
        pattern_id expected[] = {nats, tail, any, glob, prefix, exact};
        for (size_t i = 0; i < array_count(expected); i++)
                assert_true(has(&set, expected[i]));
        /* What means the same is the same. */
        assert_int_equal(add_as(table, "a.*", MATCH_SYNAP), nats);
        assert_int_equal(add_as(table, "a.**", MATCH_SYNAP), nats);
        assert_int_equal(add_as(table, "a.b", MATCH_NATS), exact);
        assert_int_equal(add_as(table, "a.b", MATCH_SYNAP), exact);
        match_table_free(table);
}

static void an_empty_token_is_no_nats_patterns_business(void **state)
{
        (void)state;
        struct match_table *table = new_table(64);
        pattern_id ids[IDS_MAX];
        add_as(table, ">", MATCH_NATS);
        add_as(table, "a.>", MATCH_NATS);
        add_as(table, "a.*.b", MATCH_NATS);
        assert_int_equal(match(table, "a..b", ids).ids_count, 0);
        pattern_id exact = add_as(table, "a..b", MATCH_SYNAP), any = add_as(table, "a.#", MATCH_SYNAP);
        pattern_id prefix = add_as(table, "a..", MATCH_PREFIX), all = add_as(table, "", MATCH_PREFIX);
        struct match_set set = match(table, "a..b", ids);
        assert_int_equal(set.ids_count, 4);
        assert_true(has(&set, exact) && has(&set, any) && has(&set, prefix) && has(&set, all));
        assert_int_equal(match(table, "", ids).ids_count, 1);
        /* Too deep for tokens. */
        assert_int_equal(
                match(table, "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", ids).ids_count, 1);
        static const char deep[] = "a..............................................b";
        pattern_id end = add_as(table, deep, MATCH_EXACT);
        set = match(table, deep, ids);
        assert_int_equal(set.ids_count, 3);
        assert_true(has(&set, end) && has(&set, prefix) && has(&set, all));
        match_table_free(table);
}

static void globs_that_begin_alike_are_limited(void **state)
{
        (void)state;
        struct match_table *table = new_table(1000);
        pattern_id ids[IDS_MAX + 2], id;
        char text[64];
        for (unsigned i = 0; i < 64; i++) {
                snprintf(text, sizeof text, "user*%u", i);
                add_as(table, text, MATCH_SYNAP);
        }
        assert_int_equal(match_add(table, SPAN("user*x"), MATCH_SYNAP, 0, &id), -ENOSPC);
        assert_int_equal(match_add(table, SPAN("use*x"), MATCH_SYNAP, 0, &id), 0);
        struct match_set set;
        struct span subject = SPAN("user:63");
        assert_int_equal(match_batch(table, &subject, 1, ids, array_count(ids), &set), 1);
        assert_int_equal(set.ids_count, 2); /* user*3, user*63 */
        /* Any number that begin otherwise do not make room needed for more. */
        for (unsigned i = 0; i < 800; i++) {
                snprintf(text, sizeof text, "u%03u*", i);
                add_as(table, text, MATCH_SYNAP);
        }
        assert_int_equal(match_ids_max(table), 2 * 64); /* of three bytes, and of four */
        match_table_free(table);
}

/* One of each length, and each of them matches. */
static void a_subject_may_have_as_many_prefixes_as_bytes(void **state)
{
        (void)state;
        struct match_table *table = new_table(2000);
        uint8_t bytes[MATCH_SUBJECT_BYTES_MAX];
        static pattern_id ids[MATCH_SUBJECT_BYTES_MAX + 1];
        pattern_id id;
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)i;
        for (size_t size = 0; size <= sizeof bytes; size++)
                assert_int_equal(match_add(table, span_of(bytes, size), MATCH_PREFIX, 0, &id), 0);
        assert_int_equal(match_ids_max(table), sizeof bytes + 1);
        for (size_t size = 0; size <= sizeof bytes; size += 93) {
                struct match_set set;
                struct span subject = span_of(bytes, size);
                assert_int_equal(match_batch(table, &subject, 1, ids, array_count(ids), &set), 1);
                assert_int_equal(set.ids_count, size + 1);
        }
        match_table_free(table);
}

/* More shapes than a round of probes holds, in every subject of a full batch. */
static void a_subject_may_match_hundreds_of_shapes(void **state)
{
        (void)state;
        enum { DEPTH = 9, SHAPES = 1 << DEPTH };
        struct match_table *table = new_table(SHAPES + 1);
        for (unsigned stars = 0; stars < SHAPES; stars++) {
                char pattern[2 * DEPTH + 1];
                for (size_t i = 0; i < DEPTH; i++) {
                        pattern[2 * i] = stars >> i & 1 ? '*' : 'a';
                        pattern[2 * i + 1] = i + 1 < DEPTH ? '.' : '\0';
                }
                add(table, pattern, stars % 64);
        }
        assert_int_equal(match_ids_max(table), SHAPES);
        static pattern_id ids[MATCH_BATCH_MAX * SHAPES];
        struct span subjects[MATCH_BATCH_MAX];
        struct match_set sets[MATCH_BATCH_MAX];
        for (size_t i = 0; i < MATCH_BATCH_MAX; i++)
                subjects[i] = i % 2 == 0 ? SPAN("a.a.a.a.a.a.a.a.a") : SPAN("a.a.b.a.a.a.a.a.a");
        assert_int_equal(match_batch(table, subjects, MATCH_BATCH_MAX, ids, array_count(ids), sets), MATCH_BATCH_MAX);
        for (size_t i = 0; i < MATCH_BATCH_MAX; i++) {
                assert_int_equal(sets[i].ids_count, i % 2 == 0 ? SHAPES : SHAPES / 2);
                assert_true(sets[i].ids == (i == 0 ? ids : sets[i - 1].ids + sets[i - 1].ids_count));
        }
        match_table_free(table);
}

/* At the end of a page behind which nothing can be read, and at the beginning of one; around every length at which a
 * vector or a token's hash ends. */
static void no_form_reads_a_byte_that_is_not_the_subjects(void **state)
{
        (void)state;
        static const uint8_t secret[16] = "sixteen byte key";
        const struct match_form *found[FORMS_MAX];
        size_t forms_count = forms(found);
        struct guard guard;
        guard_init(&guard, 2 * GUARD_PAGE_BYTES);
        for (size_t form = 0; form < forms_count; form++) {
                for (size_t size = 1; size <= 140; size++) {
                        uint8_t bytes[140];
                        struct match_table *table;
                        struct match_limits limits = {.patterns_max = 3};
                        assert_int_equal(form_table_new(&table, &limits, secret, found[form]), 0);
                        for (size_t i = 0; i < size; i++)
                                bytes[i] = i % 7 == 5 && i + 1 < size && size % 3 != 0 ? '.' : (uint8_t)('a' + i % 26);
                        struct span text = span_of(bytes, size);
                        pattern_id id, tail, ids[4];
                        assert_int_equal(match_add(table, text, MATCH_NATS, 1, &id), 0);
                        assert_int_equal(match_add(table, SPAN(">"), MATCH_NATS, 2, &tail), 0);
                        struct span subjects[] = {guard_span(&guard, text), text};
                        struct match_set sets[2];
                        assert_int_equal(match_batch(table, subjects, 2, ids, 4, sets), 2);
                        for (size_t i = 0; i < 2; i++) {
                                assert_int_equal(sets[i].ids_count, 2);
                                assert_true(has(&sets[i], id) && has(&sets[i], tail));
                        }
                        match_table_free(table);
                }
        }
        guard_fini(&guard);
}

/* Texts with dots here and there, of every length; what is asked for is of every kind, so that every way is gone. */
static void make_dotted(uint8_t *bytes, size_t size, size_t step)
{
        for (size_t i = 0; i < size; i++)
                bytes[i] = step > 0 && i % step == step - 1 ? '.' : (uint8_t)('a' + i % 3);
}

static void no_form_reads_behind_a_pattern_or_a_subject_of_any_dialect(void **state)
{
        (void)state;
        static const uint8_t secret[16] = "sixteen byte key";
        static const size_t steps[] = {0, 1, 2, 3, 8, 16, 17, 18};
        enum { SIZE_MAX_HERE = 100 };
        const struct match_form *found[FORMS_MAX];
        size_t forms_count = forms(found);
        struct guard guard;
        guard_init(&guard, GUARD_PAGE_BYTES);
        for (size_t form = 0; form < forms_count; form++) {
                struct match_table *table;
                struct match_limits limits = {.patterns_max = 16 * SIZE_MAX_HERE * array_count(steps)};
                assert_int_equal(form_table_new(&table, &limits, secret, found[form]), 0);
                for (size_t i = 0; i < array_count(steps); i++) {
                        for (size_t size = 0; size <= SIZE_MAX_HERE; size++) {
                                uint8_t bytes[SIZE_MAX_HERE];
                                static pattern_id ids[5000];
                                pattern_id id = PATTERN_NONE;
                                make_dotted(bytes, size, steps[i]);
                                struct span behind = guard_span(&guard, span_of(bytes, size));
                                static const enum match_dialect dialects[] = {MATCH_NATS, MATCH_SYNAP, MATCH_PREFIX,
                                                                              MATCH_EXACT};
                                for (size_t j = 0; j < array_count(dialects); j++)
                                        (void)match_add(table, behind, dialects[j], 0, &id);
                                /* Wildcards at the end. */
                                static const char ends[] = "*>#*";
                                for (size_t j = 0; j < sizeof ends - 1 && size > 0; j++) {
                                        guard_room(&guard, 1)[0] = (uint8_t)ends[j];
                                        (void)match_add(table, behind, j % 2 == 0 ? MATCH_SYNAP : MATCH_NATS, 0, &id);
                                }
                                behind = guard_span(&guard, span_of(bytes, size));
                                struct span subjects[] = {behind, span_of(bytes, size)};
                                struct match_set sets[2];
                                assert_true(2 * match_ids_max(table) <= array_count(ids));
                                assert_int_equal(match_batch(table, subjects, 2, ids, array_count(ids), sets), 2);
                                assert_true(sets[0].ids_count > 0);
                                assert_int_equal(sets[0].ids_count, sets[1].ids_count);
                                for (size_t j = 0; j < sets[0].ids_count; j++)
                                        assert_true(has(&sets[1], sets[0].ids[j]));
                                epoch_quiescent();
                                match_collect(table);
                        }
                }
                match_table_free(table);
        }
        guard_fini(&guard);
}

static void growth_is_invisible_and_everything_can_go_again(void **state)
{
        (void)state;
        enum { PATTERNS = 20000 };
        struct match_table *table = new_table(PATTERNS);
        static pattern_id known[PATTERNS];
        pattern_id ids[IDS_MAX];
        char text[32];
        for (int round = 0; round < 2; round++) {
                for (unsigned i = 0; i < PATTERNS; i++) {
                        snprintf(text, sizeof text, "a.%u.%s", i, i % 10 == 0 ? "*" : "b");
                        known[i] = add(table, text, 0);
                        turn(table);
                        /* The newest, and one from any time before. */
                        for (unsigned j = i, tries = 0; tries < 2; j = i * 7919u % (i + 1), tries++) {
                                snprintf(text, sizeof text, "a.%u.b", j);
                                struct match_set set = match(table, text, ids);
                                assert_int_equal(set.ids_count, 1);
                                assert_int_equal(set.ids[0], known[j]);
                        }
                }
                assert_int_equal(match_patterns_count(table), PATTERNS);
                assert_int_equal(match_ids_max(table), 2);
                for (unsigned i = 0; i < PATTERNS; i++) {
                        match_remove(table, known[i], 0);
                        turn(table);
                        snprintf(text, sizeof text, "a.%u.b", i);
                        assert_int_equal(match(table, text, ids).ids_count, 0);
                }
                assert_int_equal(match_patterns_count(table), 0);
        }
        match_table_free(table);
}

static void a_table_is_freed_with_patterns_in_it_and_waiting_to_go(void **state)
{
        (void)state;
        struct match_table *table = new_table(1000);
        char text[32];
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(text, sizeof text, "a.%u.>", i);
                pattern_id id = add(table, text, 0);
                if (i % 3 == 0)
                        match_remove(table, id, 0);
        }
        match_table_free(table);
        match_table_free(NULL);
}

static void address_space_for_the_most_patterns_costs_no_memory(void **state)
{
        (void)state;
        struct match_table *table = new_table(((size_t)1 << 31) - 1);
        pattern_id id = add(table, "a", 0);
        assert_int_equal(match_find(table, SPAN("a"), MATCH_NATS), id);
        match_table_free(table);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_table_matches_nothing),
                cmocka_unit_test(all_kinds_of_pattern_are_found_at_once),
                cmocka_unit_test(a_pattern_has_one_id_for_all_reactors_until_the_last_leaves),
                cmocka_unit_test(a_refused_pattern_changes_nothing),
                cmocka_unit_test(what_retires_takes_no_place_of_what_lives),
                cmocka_unit_test(an_id_comes_again_only_after_a_grace_period),
                cmocka_unit_test(a_full_table_looks_for_ids_whose_grace_period_is_over),
                cmocka_unit_test(the_version_goes_up_with_every_change_and_no_other_call),
                cmocka_unit_test(a_batch_stops_before_the_subject_whose_ids_do_not_fit),
                cmocka_unit_test(a_plain_batch_stops_there_as_well),
                cmocka_unit_test(one_subject_finds_the_patterns_of_all_dialects),
                cmocka_unit_test(an_empty_token_is_no_nats_patterns_business),
                cmocka_unit_test(globs_that_begin_alike_are_limited),
                cmocka_unit_test(a_subject_may_have_as_many_prefixes_as_bytes),
                cmocka_unit_test(a_subject_may_match_hundreds_of_shapes),
                cmocka_unit_test(no_form_reads_a_byte_that_is_not_the_subjects),
                cmocka_unit_test(no_form_reads_behind_a_pattern_or_a_subject_of_any_dialect),
                cmocka_unit_test(growth_is_invisible_and_everything_can_go_again),
                cmocka_unit_test(a_table_is_freed_with_patterns_in_it_and_waiting_to_go),
                cmocka_unit_test(address_space_for_the_most_patterns_costs_no_memory),
        };
        epoch_register();
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        epoch_unregister();
        return failed;
}
