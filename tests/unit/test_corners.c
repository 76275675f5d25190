/* corners: where the dialects differ, each corner with whose rule it is, asked of whole tables: in every form that this
 * CPU has, with the pattern among the shapes that programs look for and in the tree, alone and in a crowd. How a single
 * text is read is tested in test_pattern. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "matcher/table.h"

#define IDS_MAX 64
#define TABLES_MAX (4 * FORMS_MAX)

struct corner {
        struct span pattern, subject;
        bool matches;
};
#define YES(pattern, subject)                                                                                          \
        {                                                                                                              \
                {(const uint8_t *)(pattern), sizeof(pattern) - 1}, {(const uint8_t *)(subject), sizeof(subject) - 1},  \
                        true                                                                                           \
        }
#define NO(pattern, subject)                                                                                           \
        {                                                                                                              \
                {(const uint8_t *)(pattern), sizeof(pattern) - 1}, {(const uint8_t *)(subject), sizeof(subject) - 1},  \
                        false                                                                                          \
        }

static struct match_table *tables[TABLES_MAX];
static struct match_form kept_forms[TABLES_MAX];
static size_t tables_count;

static pattern_id add(struct match_table *table, struct span pattern, enum match_dialect dialect)
{
        pattern_id id = PATTERN_NONE;
        assert_int_equal(match_add(table, pattern, dialect, 7, &id), 0);
        return id;
}

/* So that no program and no filter is empty; none of these begins as any corner does. */
static void crowd(struct match_table *table)
{
        static const char *const texts[] = {"_.*", "_.*.*", "_.>", "_", "_._", "_.*.>", "_._.*.*", "_.*._.>"};
        for (size_t i = 0; i < array_count(texts); i++)
                add(table, span_of_text(texts[i]), MATCH_NATS);
        add(table, SPAN("_."), MATCH_PREFIX);
        add(table, SPAN("_.a*b.#"), MATCH_SYNAP);
}

static int make_tables(void **state)
{
        (void)state;
        static const uint8_t secret[16] = "sixteen byte key";
        struct match_limits limits = {.patterns_max = 1000};
        const struct match_form *found[FORMS_MAX];
        size_t count = forms(found);
        epoch_register();
        for (size_t i = 0; i < 4 * count; i++) {
                kept_forms[i] = *found[i / 4];
                if (i % 2 == 1)
                        kept_forms[i].shapes_hot = 0;
                assert_int_equal(form_table_new(&tables[i], &limits, secret, &kept_forms[i]), 0);
                if (i / 2 % 2 == 1)
                        crowd(tables[i]);
        }
        tables_count = 4 * count;
        return 0;
}

static int free_tables(void **state)
{
        (void)state;
        for (size_t i = 0; i < tables_count; i++)
                match_table_free(tables[i]);
        epoch_unregister();
        return 0;
}

static void check(enum match_dialect dialect, const struct corner *corners, size_t corners_count)
{
        for (size_t i = 0; i < corners_count; i++) {
                const struct corner *corner = &corners[i];
                for (size_t j = 0; j < tables_count; j++) {
                        pattern_id ids[IDS_MAX], id = add(tables[j], corner->pattern, dialect);
                        struct match_set set;
                        assert_int_equal(match_batch(tables[j], &corner->subject, 1, ids, IDS_MAX, &set), 1);
                        if (set.ids_count != corner->matches || set.reactors != (uint64_t)corner->matches << 7)
                                fail_msg("%s, table %zu: '%s' and '%s'", kept_forms[j].name, j,
                                         (const char *)corner->pattern.bytes, (const char *)corner->subject.bytes);
                        if (corner->matches)
                                assert_int_equal(set.ids[0], id);
                        match_remove(tables[j], id, 7);
                        epoch_quiescent();
                        match_collect(tables[j]);
                }
        }
}
#define CHECK(dialect, corners) check(dialect, corners, array_count(corners))

static void refuse(enum match_dialect dialect, const char *const *texts, size_t texts_count)
{
        for (size_t i = 0; i < texts_count; i++) {
                pattern_id id = PATTERN_NONE;
                assert_int_equal(match_check(span_of_text(texts[i]), dialect), -EINVAL);
                for (size_t j = 0; j < tables_count; j++)
                        assert_int_equal(match_add(tables[j], span_of_text(texts[i]), dialect, 7, &id), -EINVAL);
                assert_int_equal(id, PATTERN_NONE);
        }
}

/* nats-server, server/sublist.go: a wildcard is one only as a token of its own; sublist_test.go, "wildcards as
 * literals" and "wildcards as parts". */
static void in_nats_a_wildcard_that_is_not_alone_in_its_token_is_a_literal(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("foo*", "foo*"),
                NO("foo*", "foobar"),
                NO("foo*", "foo"),
                YES("foo.*-", "foo.*-"),
                NO("foo.*-", "foo.bar"),
                NO("foo.*-", "foo.b-"),
                YES("foo.>-", "foo.>-"),
                NO("foo.>-", "foo.bar"),
                YES("**", "**"),
                NO("**", "a"),
                YES(">>.a", ">>.a"),
                YES("a.>x.b", "a.>x.b"),
                YES("foo.**", "foo.**"),
                NO("foo.**", "foo.bar"),
                YES("foo.>>", "foo.>>"),
                NO("foo.>>", "foo.bar.baz"),
                YES("*foo.bar", "*foo.bar"),
                NO("*foo.bar", "xfoo.bar"),
        };
        CHECK(MATCH_NATS, corners);
}

/* docs.nats.io, "Subject-Based Messaging": '*' is exactly one token, '>' one or more at the end. */
static void in_nats_a_star_is_one_token_and_a_tail_one_or_more(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("time.*.east", "time.us.east"),
                NO("time.*.east", "time.us.east.atlanta"),
                NO("time.*.east", "time.east"),
                YES("time.us.*", "time.us.east"),
                NO("time.us.*", "time.us.east.atlanta"),
                NO("time.us.*", "time.us"),
                YES("time.us.>", "time.us.east"),
                YES("time.us.>", "time.us.east.atlanta"),
                NO("time.us.>", "time.us"),
                YES("*.*.east.>", "time.us.east.atlanta"),
                NO("*.*.east.>", "time.us.east"),
                YES(">", "a"),
                YES(">", "a.b.c.d.e.f.g"),
                YES("*.>", "a.b"),
                NO("*.>", "a"),
                YES("*.*", "a.b"),
                NO("*.*", "a"),
                NO("*.*", "a.b.c"),
        };
        CHECK(MATCH_NATS, corners);
}

/* RabbitMQ's and Synap's '#' is none of NATS' business; MQTT's '+', '/' and '$' neither. */
static void in_nats_what_other_protocols_hold_special_is_literal(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("a.#", "a.#"),       NO("a.#", "a"),    NO("a.#", "a.b"),
                YES("#", "#"),           NO("#", "a"),      YES("a.+.c", "a.+.c"),
                NO("a.+.c", "a.b.c"),    YES("a/b", "a/b"), NO("a/*", "a/b"),
                YES("*", "a/b"),         YES("*", "$SYS"),  YES(">", "$SYS.x"),
                YES("$SYS.*", "$SYS.x"), YES("a?", "a?"),   NO("a?", "ab"),
                YES("[ab]", "[ab]"),     NO("[ab]", "a"),   YES("*.#", "a.#"),
                NO("*.#", "a"),          NO("*.#", "a.b"),
        };
        CHECK(MATCH_NATS, corners);
}

/* nats-server, HEAD: a subject with an empty token matches nothing, whatever is subscribed to; 2.9.25 did not look. */
static void in_nats_nothing_matches_a_subject_with_an_empty_token(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                NO(">", ""),       NO(">", "."),    NO(">", "a."),       NO(">", ".a"),   NO(">", "a..b"),
                NO("a.*", "a."),   NO("*.a", ".a"), NO("a.*.b", "a..b"), NO("a.>", "a."), NO("a.>", "a..b"),
                NO("a.>", "a.b."), NO("*.>", ".a"), NO("*", ""),         NO("a", "a."),   NO("a", ".a"),
        };
        static const char *const illegal[] = {"", ".", "..", "a.", ".a", "a..b", "*.", ".>", "a..>", "..>"};
        CHECK(MATCH_NATS, corners);
        refuse(MATCH_NATS, illegal, array_count(illegal));
}

/* nats-server, sublist_test.go, "invalid subjects": '>' stands last. */
static void in_nats_a_tail_that_is_not_last_is_refused(void **state)
{
        (void)state;
        static const char *const illegal[] = {">.a", "a.>.b", ">.>", "a.>.", "foo.>.*"};
        refuse(MATCH_NATS, illegal, array_count(illegal));
}

/* A subject has no wildcards: nats-server delivers a message that is published to foo.* (refused in pedantic mode only)
 * to who asked for foo.*, for foo.bar not. */
static void a_subject_that_looks_like_a_pattern_is_just_bytes(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("foo.*", "foo.*"), YES("foo.*", "foo.>"),  YES("foo.>", "foo.*"),
                YES("foo.>", "foo.>"), NO("foo.bar", "foo.*"), NO("foo.bar", "foo.>"),
                YES("*.*", "*.*"),     YES(">", ">"),          NO("foo.bar", ">"),
        };
        CHECK(MATCH_NATS, corners);
}

/* All of them: bytes are compared as they are, neither folded nor normalised nor ended by a zero. */
static void bytes_are_compared_as_they_are(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                NO("Foo", "foo"),
                NO("foo.*", "FOO.bar"),
                YES("caf\xc3\xa9", "caf\xc3\xa9"),
                NO("caf\xc3\xa9", "cafe\xcc\x81"), /* composed or not */
                NO("a", "a\0"),
                NO("a\0", "a"),
                NO("a\0b", "a\0c"),
                YES("a\0b.*", "a\0b.\0"),
                NO("\0", "\0\0"),
                NO("\0\0", "\0"),
                YES("\xff\xfe.*", "\xff\xfe.\x80"),
                NO("\x2d", "\xad"), /* the dot's neighbours, and its high bit */
                YES("\xae.b", "\xae.b"),
                NO("\xae.b", "..b"),
                NO("a\xae"
                   "b",
                   "a.b"),
        };
        CHECK(MATCH_NATS, corners);
        CHECK(MATCH_SYNAP, corners);
        CHECK(MATCH_EXACT, ((const struct corner[]){NO("Foo", "foo"), NO("a", "a\0"), YES("a\0b", "a\0b")}));
}

/* Synap's documentation of routing: '#' is zero or more segments and stands last; its source, checked by running it. */
static void in_synap_a_tail_may_stand_for_nothing(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("a.#", "a"),    YES("a.#", "a.b"), YES("a.#", "a.b.c"), NO("a.#", "ab"),  NO("a.#", "b"),
                YES("#", "a"),      YES("#", "a.b"),   YES("#", ""),        YES("#", "."),    YES("*.#", "a"),
                NO("*.#", ""),      YES("*.#", "a.b"), YES("a.*.#", "a.b"), NO("a.*.#", "a"), YES("a.#", "a."),
                YES("a.#", "a..b"), YES("a.#", "a.#"), YES(".#", ""),       YES(".#", ".a"),  NO(".#", "a"),
        };
        static const char *const illegal[] = {"", "a.#.b", "#.a", "#.#", "a.#.", "#."};
        CHECK(MATCH_SYNAP, corners);
        refuse(MATCH_SYNAP, illegal, array_count(illegal));
}

/* '>' is NATS' alone. */
static void in_synap_an_angle_bracket_is_literal(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("a.>", "a.>"), NO("a.>", "a.b"),  YES(">", ">"),    NO(">", "a"),
                YES(">.a", ">.a"), YES("*.>", "x.>"), NO("*.>", "x.y"),
        };
        CHECK(MATCH_SYNAP, corners);
}

/* Synap's documentation against its code: '*' is a segment that is there. The documentation is followed, as NATS means
 * the same; RabbitMQ's '*' would match an empty word. */
static void in_synap_tokens_may_be_empty_but_no_star_matches_one(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("a..b", "a..b"), NO("a..b", "a.b"), NO("a.*.b", "a..b"), YES("a.", "a."),
                NO("a.*", "a."),     YES(".", "."),     YES("..", ".."),     NO("..", "."),
                NO("*", ""),         NO("*.*", "."),    NO("*.*", "a."),     NO("*.*", ".a"),
                YES("*.", "a."),     NO("*.", "."),     YES(".*", ".a"),     NO("**", ""),
                YES("a..*", "a..b"), NO("a..*", "a.."), NO("a.*.*", "a.."),  NO("a.*.c.#", "a..c"),
        };
        CHECK(MATCH_SYNAP, corners);
}

/* Synap since 1.2.0: a star beside other characters is a glob inside its segment. */
static void in_synap_a_star_inside_a_token_stands_for_any_of_its_bytes(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("user:*", "user:7"),
                YES("user:*", "user:"),
                NO("user:*", "user"),
                NO("user:*", "user:7.x"),
                YES("a*b", "ab"),
                YES("a*b", "axxb"),
                NO("a*b", "a"),
                NO("a*b", "axxbc"),
                NO("a*b", "a.b"),
                NO("a*a", "a"),
                YES("a*a", "aa"),
                YES("*a*", "a"),
                YES("*a*", "xax"),
                NO("*a*", "xxx"),
                NO("*a*", ""),
                YES("*a", "a"),
                YES("*.user:*.#", "x.user:1"),
                YES("*.user:*.#", "x.user:1.y.z"),
                NO("*.user:*.#", ".user:1"),
                NO("*.user:*.#", "x.user"),
                YES("a*b*c*d", "a1b2c3d"),
                NO("a*b*c*d", "a1c2b3d"),
                YES("a**b", "ab"),
                YES("ab*ba", "abba"),
                NO("ab*ba", "aba"),
                YES("x.a*b.", "x.ab."),
                NO("x.a*b.", "x.ab"),
                YES("a*#b", "ax#b"),
                YES("*\0*", "a\0b"),
                NO("*\0*", "ab"),
                /* Filed under its first 32 bytes, and they are not all. */
                YES("abcdefghijklmnopqrstuvwxyzabcdefghij*", "abcdefghijklmnopqrstuvwxyzabcdefghij!"),
                NO("abcdefghijklmnopqrstuvwxyzabcdefghij*", "abcdefghijklmnopqrstuvwxyzabcdefgh!"),
        };
        CHECK(MATCH_SYNAP, corners);
}

/* RFC 29/PUBSUB: a subscription is a prefix of bytes; libzmq's mtrie. */
static void in_zeromq_a_prefix_is_of_any_bytes(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("", ""),
                YES("", "a"),
                YES("", "\0"),
                YES("", ".."),
                YES("a", "a"),
                YES("a", "ab"),
                NO("ab", "a"),
                YES("a.", "a.b"),
                NO("a.", "a"),
                YES("a.b", "a.bc.d"), /* in the midst of a token */
                YES("a..", "a..b"),
                YES("\0", "\0\0"),
                NO("\0\0", "\0"),
                YES("\0", "\0"),
                NO("\0", ""),
                YES("a\0b", "a\0bc"),
                NO("a\0b", "a\0c"),
                YES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
                NO("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
                YES("*", "*x"),
                NO("*", "x"),
                YES("a.>", "a.>.b"),
                NO("a.>", "a.b"),
                YES("#", "#"),
                NO("#", "a"),
        };
        CHECK(MATCH_PREFIX, corners);
}

static void an_exact_text_is_what_it_is(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                YES("", ""),    NO("", "a"),    YES("a.*", "a.*"), NO("a.*", "a.b"), YES(">", ">"), NO(">", "a"),
                YES("#", "#"),  NO("#", "a"),   YES("a..", "a.."), NO("a..", "a."),  NO("a.", "a"), YES(".", "."),
                NO("a", "a.b"), NO("a.b", "a"), YES("\0", "\0"),   NO("\0", ""),
        };
        CHECK(MATCH_EXACT, corners);
}

/* What matches the same has one id, however it was said, and each who said it is counted by reactor. */
static void texts_that_mean_the_same_in_two_dialects_share_an_id(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                enum match_dialect dialect;
                const char *other_text;
                enum match_dialect other_dialect;
                bool shared;
        } rows[] = {
                {"a.b", MATCH_EXACT, "a.b", MATCH_NATS, true},    {"a.b", MATCH_EXACT, "a.b", MATCH_SYNAP, true},
                {"a.*", MATCH_NATS, "a.*", MATCH_SYNAP, true},    {"a.*", MATCH_NATS, "a.***", MATCH_SYNAP, true},
                {"a..b", MATCH_EXACT, "a..b", MATCH_SYNAP, true}, {"a.#", MATCH_NATS, "a.#", MATCH_EXACT, true},
                {"a.>", MATCH_SYNAP, "a.>", MATCH_EXACT, true},   {"a*", MATCH_NATS, "a*", MATCH_EXACT, true},
                {"a.*", MATCH_NATS, "a.*", MATCH_EXACT, false},   {"a.>", MATCH_NATS, "a.>", MATCH_SYNAP, false},
                {"a.#", MATCH_SYNAP, "a.#", MATCH_NATS, false},   {"a.#", MATCH_SYNAP, "a.>", MATCH_NATS, false},
                {"a*", MATCH_SYNAP, "a*", MATCH_NATS, false},     {"a*", MATCH_SYNAP, "a", MATCH_PREFIX, false},
                {"a**b", MATCH_SYNAP, "a*b", MATCH_SYNAP, false}, {"a", MATCH_PREFIX, "a", MATCH_EXACT, false},
                {"", MATCH_PREFIX, ">", MATCH_NATS, false},       {"", MATCH_PREFIX, "#", MATCH_SYNAP, false},
                {"", MATCH_PREFIX, "", MATCH_EXACT, false},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                for (size_t j = 0; j < tables_count; j++) {
                        pattern_id id, other;
                        struct span text = span_of_text(rows[i].text), other_text = span_of_text(rows[i].other_text);
                        assert_int_equal(match_add(tables[j], text, rows[i].dialect, 1, &id), 0);
                        assert_int_equal(match_add(tables[j], other_text, rows[i].other_dialect, 2, &other), 0);
                        assert_int_equal(id == other, rows[i].shared);
                        assert_int_equal(match_find(tables[j], other_text, rows[i].other_dialect), other);
                        match_remove(tables[j], id, 1);
                        assert_int_equal(match_find(tables[j], text, rows[i].dialect),
                                         rows[i].shared ? id : PATTERN_NONE);
                        assert_int_equal(match_find(tables[j], other_text, rows[i].other_dialect), other);
                        match_remove(tables[j], other, 2);
                        assert_int_equal(match_find(tables[j], other_text, rows[i].other_dialect), PATTERN_NONE);
                        epoch_quiescent();
                        match_collect(tables[j]);
                }
        }
}

/* With every star another choice, were choices ever taken back: 2^500 of them. */
static void a_glob_of_many_stars_takes_no_choice_back(void **state)
{
        (void)state;
        char glob[MATCH_SUBJECT_BYTES_MAX + 1], subject[MATCH_SUBJECT_BYTES_MAX + 1];
        for (size_t i = 0; i < 1000; i++)
                glob[i] = i % 2 == 0 ? 'a' : '*';
        memcpy(glob + 1000, "b", 2);
        memset(subject, 'a', sizeof subject);
        for (size_t j = 0; j < tables_count; j++) {
                pattern_id ids[IDS_MAX], id = add(tables[j], span_of_text(glob), MATCH_SYNAP);
                for (size_t with_end = 0; with_end < 2; with_end++) {
                        struct span text = span_of((const uint8_t *)subject, MATCH_SUBJECT_BYTES_MAX);
                        struct match_set set;
                        subject[MATCH_SUBJECT_BYTES_MAX - 1] = with_end ? 'b' : 'a';
                        assert_int_equal(match_batch(tables[j], &text, 1, ids, IDS_MAX, &set), 1);
                        assert_int_equal(set.ids_count, with_end);
                }
                match_remove(tables[j], id, 7);
                epoch_quiescent();
                match_collect(tables[j]);
        }
}

static void fill(uint8_t *bytes, const char *pattern, size_t size)
{
        for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)pattern[i % strlen(pattern)];
}

/* uWebSockets #1090: forty wildcards in a row, published or subscribed to, hung it. Here they are a depth like any
 * other, or too deep. */
static void rows_of_wildcards_and_of_dots_cost_no_more_than_other_texts(void **state)
{
        (void)state;
        uint8_t bytes[MATCH_SUBJECT_BYTES_MAX];
        for (size_t j = 0; j < tables_count; j++) {
                pattern_id id, ids[IDS_MAX];
                struct match_set set;
                fill(bytes, "*.", 2 * 40 - 1);
                assert_int_equal(match_add(tables[j], span_of(bytes, 2 * 40 - 1), MATCH_NATS, 7, &id), -E2BIG);
                assert_int_equal(match_add(tables[j], span_of(bytes, 2 * 40 - 1), MATCH_SYNAP, 7, &id), -E2BIG);
                struct span deepest = span_of(bytes, 2 * MATCH_TOKENS_MAX - 1);
                assert_int_equal(match_add(tables[j], deepest, MATCH_NATS, 7, &id), 0);
                assert_int_equal(match_batch(tables[j], &deepest, 1, ids, IDS_MAX, &set), 1);
                assert_int_equal(set.ids_count, 1);
                struct span too_deep = span_of(bytes, 2 * 40 - 1);
                assert_int_equal(match_batch(tables[j], &too_deep, 1, ids, IDS_MAX, &set), 1);
                assert_int_equal(set.ids_count, 0);
                match_remove(tables[j], id, 7);

                /* Only bytes can have so many dots. */
                fill(bytes, ".", sizeof bytes);
                struct span dots = span_of(bytes, sizeof bytes);
                assert_int_equal(match_add(tables[j], dots, MATCH_EXACT, 7, &id), 0);
                assert_int_equal(match_batch(tables[j], &dots, 1, ids, IDS_MAX, &set), 1);
                assert_int_equal(set.ids_count, 1);
                dots.size--;
                assert_int_equal(match_batch(tables[j], &dots, 1, ids, IDS_MAX, &set), 1);
                assert_int_equal(set.ids_count, 0);
                match_remove(tables[j], id, 7);
                epoch_quiescent();
                match_collect(tables[j]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(in_nats_a_wildcard_that_is_not_alone_in_its_token_is_a_literal),
                cmocka_unit_test(in_nats_a_star_is_one_token_and_a_tail_one_or_more),
                cmocka_unit_test(in_nats_what_other_protocols_hold_special_is_literal),
                cmocka_unit_test(in_nats_nothing_matches_a_subject_with_an_empty_token),
                cmocka_unit_test(in_nats_a_tail_that_is_not_last_is_refused),
                cmocka_unit_test(a_subject_that_looks_like_a_pattern_is_just_bytes),
                cmocka_unit_test(bytes_are_compared_as_they_are),
                cmocka_unit_test(in_synap_a_tail_may_stand_for_nothing),
                cmocka_unit_test(in_synap_an_angle_bracket_is_literal),
                cmocka_unit_test(in_synap_tokens_may_be_empty_but_no_star_matches_one),
                cmocka_unit_test(in_synap_a_star_inside_a_token_stands_for_any_of_its_bytes),
                cmocka_unit_test(in_zeromq_a_prefix_is_of_any_bytes),
                cmocka_unit_test(an_exact_text_is_what_it_is),
                cmocka_unit_test(texts_that_mean_the_same_in_two_dialects_share_an_id),
                cmocka_unit_test(a_glob_of_many_stars_takes_no_choice_back),
                cmocka_unit_test(rows_of_wildcards_and_of_dots_cost_no_more_than_other_texts),
        };
        return cmocka_run_group_tests(tests, make_tables, free_tables);
}
