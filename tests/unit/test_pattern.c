/* pattern: the table of corner cases in matcher/pattern.h, row by row. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "matcher/program.h"

static struct subject_secrets secrets;

static int make_secrets(void **state)
{
        (void)state;
        static const uint8_t secret[16] = "sixteen byte key";
        subject_secrets_init(&secrets, secret);
        return 0;
}

static void a_nats_pattern_has_the_shape_its_text_says(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                struct shape shape;
        } rows[] = {
                {"a", {.stars = 0, .tokens_count = 1, .tail = false}},
                {"a.b", {.stars = 0, .tokens_count = 2, .tail = false}},
                {"*", {.stars = 1, .tokens_count = 1, .tail = false}},
                {"a.*.c", {.stars = 2, .tokens_count = 3, .tail = false}},
                {"*.*", {.stars = 3, .tokens_count = 2, .tail = false}},
                {">", {.stars = 0, .tokens_count = 0, .tail = true}},
                {"a.>", {.stars = 0, .tokens_count = 1, .tail = true}},
                {"*.>", {.stars = 1, .tokens_count = 1, .tail = true}},
                {"a*", {.stars = 0, .tokens_count = 1, .tail = false}},
                {"*a.b>c.>d", {.stars = 0, .tokens_count = 3, .tail = false}},
                {"**.>>", {.stars = 0, .tokens_count = 2, .tail = false}},
                {"a.#", {.stars = 0, .tokens_count = 2, .tail = false}},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                struct shape shape;
                assert_int_equal(pattern_parse(&shape, span_of_text(rows[i].text), MATCH_NATS), 0);
                assert_true(shape_equal(shape, rows[i].shape));
        }
}

static void a_pattern_with_an_empty_token_or_a_tail_that_is_not_last_is_illegal(void **state)
{
        (void)state;
        static const char *const texts[] = {"",   ".",  "..", "a.",  ".a",  "a..b",  "*.",
                                            ".*", ".>", ">.", ">.a", ">.>", "a.>.b", "a.>.*"};
        struct shape shape;
        for (size_t i = 0; i < array_count(texts); i++)
                assert_int_equal(pattern_parse(&shape, span_of_text(texts[i]), MATCH_NATS), -EINVAL);
        assert_int_equal(pattern_parse(&shape, SPAN_NONE, MATCH_NATS), -EINVAL);
}

static void a_pattern_beyond_the_limits_is_too_big_whatever_else_is_wrong(void **state)
{
        (void)state;
        uint8_t bytes[MATCH_SUBJECT_BYTES_MAX + 1];
        struct shape shape;
        memset(bytes, 'a', sizeof bytes);
        assert_int_equal(pattern_parse(&shape, span_of(bytes, MATCH_SUBJECT_BYTES_MAX), MATCH_NATS), 0);
        assert_int_equal(pattern_parse(&shape, span_of(bytes, MATCH_SUBJECT_BYTES_MAX + 1), MATCH_NATS), -E2BIG);
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = i % 2 == 0 ? '*' : '.';
        size_t size = 2 * MATCH_TOKENS_MAX - 1;
        assert_int_equal(pattern_parse(&shape, span_of(bytes, size), MATCH_NATS), 0);
        assert_int_equal(shape.tokens_count, MATCH_TOKENS_MAX);
        assert_int_equal(shape.stars, UINT32_MAX);
        assert_int_equal(pattern_parse(&shape, span_of(bytes, size + 1), MATCH_NATS), -E2BIG);
        assert_int_equal(pattern_parse(&shape, span_of(bytes, size + 2), MATCH_NATS), -E2BIG);
        bytes[size - 1] = '>';
        assert_int_equal(pattern_parse(&shape, span_of(bytes, size), MATCH_NATS), 0);
        assert_int_equal(shape.tokens_count, MATCH_TOKENS_MAX - 1);
        memset(bytes, '.', sizeof bytes);
        assert_int_equal(pattern_parse(&shape, span_of(bytes, sizeof bytes), MATCH_NATS), -E2BIG);
}

static bool same_key(const char *pattern, const char *text)
{
        struct shape shape;
        struct subject subject;
        struct span span = span_of_text(pattern);
        assert_int_equal(pattern_parse(&shape, span, MATCH_NATS), 0);
        assert_true(subject_read(&subject, &secrets, span_of_text(text)));
        assert_true(subject.tokens_count >= shape.tokens_count);
        struct subject_key salt = subject_salt(&secrets, shape_code(shape));
        return subject_key_equal(pattern_key(&secrets, span, shape), pattern_key_of_subject(&subject, shape, salt));
}

static void a_pattern_is_filed_under_the_key_that_its_subjects_ask_for(void **state)
{
        (void)state;
        assert_true(same_key("a.b.c", "a.b.c"));
        assert_true(same_key("a.*.c", "a.x.c"));
        assert_true(same_key("*.*.c", "y.x.c"));
        assert_true(same_key("*.*.*", "y.x.c"));
        assert_true(same_key(">", "y.x.c"));
        assert_true(same_key("y.>", "y.x.c"));
        assert_true(same_key("*.x.>", "y.x.c"));
        assert_false(same_key("a.b.c", "a.b.d"));
        assert_false(same_key("a.b.c", "a.c.b"));
        assert_false(same_key("a.*.c", "c.x.a"));
        assert_false(same_key("*.x.>", "x.y.c"));
}

static void a_single_pattern_is_matched_by_text_with_the_same_corners(void **state)
{
        (void)state;
        static const struct {
                const char *pattern, *subject;
                bool matches;
        } rows[] = {
                {"a.b", "a.b", true},     {"a.b", "a.b.c", false},  {"a.b", "a", false},      {"a.b", "A.b", false},
                {"*", "a", true},         {"*", "a.b", false},      {"*", "", false},         {"a.*.c", "a.x.c", true},
                {"a.*.c", "a.c", false},  {"a.*.c", "a..c", false}, {">", "a", true},         {">", "a.b.c", true},
                {">", "", false},         {">", "a..b", false},     {">", "a.", false},       {"a.>", "a", false},
                {"a.>", "a.x", true},     {"a.>", "a.x.y", true},   {"a.>", "b.x", false},    {"*.>", "a", false},
                {"*.>", "a.b", true},     {"a.>", "a.", false},     {"a*", "a*", true},       {"a*", "ab", false},
                {"foo.*", "foo.*", true}, {"foo.>", "foo.*", true}, {"foo.>", "foo.>", true},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                struct shape shape;
                struct span pattern = span_of_text(rows[i].pattern);
                assert_int_equal(pattern_parse(&shape, pattern, MATCH_NATS), 0);
                assert_int_equal(pattern_matches(pattern, shape, span_of_text(rows[i].subject)), rows[i].matches);
        }
}

static void a_shape_is_looked_for_at_the_depths_it_can_match(void **state)
{
        (void)state;
        assert_true(shape_depths((struct shape){.tokens_count = 1}) == 1 << 1);
        assert_true(shape_depths((struct shape){.tokens_count = 32}) == (uint64_t)1 << 32);
        assert_true(shape_depths((struct shape){.tokens_count = 0, .tail = true}) == 0x1fffffffe);
        assert_true(shape_depths((struct shape){.tokens_count = 31, .tail = true}) == (uint64_t)1 << 32);
        assert_true(shape_depths((struct shape){.tokens_count = 0, .tail = TAIL_ANY}) == 0x1fffffffe);
        assert_true(shape_depths((struct shape){.tokens_count = 31, .tail = TAIL_ANY}) == (uint64_t)3 << 31);
}

struct corner {
        const char *pattern, *subject;
        bool matches;
};

static void check_corners(enum match_dialect dialect, const struct corner *corners, size_t corners_count)
{
        for (size_t i = 0; i < corners_count; i++) {
                struct shape shape;
                struct span pattern = span_of_text(corners[i].pattern);
                assert_int_equal(pattern_parse(&shape, pattern, dialect), 0);
                if (pattern_matches(pattern, shape, span_of_text(corners[i].subject)) != corners[i].matches)
                        fail_msg("'%s' and '%s'", corners[i].pattern, corners[i].subject);
        }
}

/* What Synap's own matcher was seen to do (its source compiled and run, v1.3.1), but for a star and an empty segment.
 */
static void a_synap_pattern_matches_as_synaps_matcher_does(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                {"a.#", "a", true}, /* zero or more */
                {"a.#", "a.b", true},
                {"a.#", "a.b.c", true},
                {"a.#", "ab", false},
                {"a.#", "b.a", false},
                {"#", "a", true},
                {"#", "a.b.c", true},
                {"#", "a..b", true}, /* empty segments are legal */
                {"*.#", "a", true},
                {"*.#", "a.b.c", true},
                {"*", "a", true},
                {"*", "a.b", false},
                {"a.*.c", "a.x.c", true},
                {"a.*.c", "a.x.y.c", false},
                {"**", "a", true}, /* as one star */
                {"**", "a.b", false},
                {"a.**.c", "a.x.c", true},
                {"sensor-*-temp", "sensor-7-temp", true}, /* since 1.2.0: inside a segment */
                {"sensor-*-temp", "sensor--temp", true},  /* may be nothing */
                {"sensor-*-temp", "sensor-7-tempo", false},
                {"sensor-*-temp", "sensor-7.x-temp", false},
                {"user:*", "user:7", true},
                {"user:*", "user:", true},
                {"user:*", "user:7.x", false},
                {"a.user:*.#", "a.user:7", true},
                {"a.user:*.#", "a.user:7.x.y", true},
                {"*a*b*", "xxaxxbxx", true},
                {"*a*b*", "ba", false},
                {"a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
                {"foo#bar", "foo#bar", true}, /* literal */
                {"foo#bar", "fooxbar", false},
                {"a.>", "a.>", true}, /* '>' is nothing special */
                {"a.>", "a.b", false},
                {"A", "a", false},
                {"a..b", "a..b", true},
                {"a.", "a.", true},
                {"a.", "a", false},
                /* Synap's documentation, against its code: a star matches one segment that is there. NATS means it so,
                 * too, and one subject is to match alike for all. */
                {"a.*", "a.", false},
                {"*", "", false},
                {"*.b", ".b", false},
        };
        check_corners(MATCH_SYNAP, corners, array_count(corners));
        static const char *const illegal[] = {"a.#.c", "#.#", "#.a", ""};
        struct shape shape;
        for (size_t i = 0; i < array_count(illegal); i++)
                assert_int_equal(pattern_parse(&shape, span_of_text(illegal[i]), MATCH_SYNAP), -EINVAL);
}

/* RFC 29/PUBSUB and libzmq: a subscription is a prefix of the first frame, of any bytes; the empty one is everything.
 */
static void a_prefix_matches_whatever_begins_with_its_bytes(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                {"", "", true},
                {"", "a", true},
                {"", "a..b", true},
                {"events.ord", "events.order.7", true}, /* token borders are ignored */
                {"events.order.", "events.order.7", true},
                {"events.order.", "events.order", false},
                {"a.*", "a.b", false},
                {"a.*", "a.*.c", true},
                {"A", "a", false},
        };
        check_corners(MATCH_PREFIX, corners, array_count(corners));
}

/* As Redis' SUBSCRIBE and a connection's own inbox need it. */
static void an_exact_pattern_has_no_wildcards(void **state)
{
        (void)state;
        static const struct corner corners[] = {
                {"a.b", "a.b", true}, {"a.*", "a.*", true}, {"a.*", "a.b", false}, {"#", "#", true},
                {"#", "a", false},    {">", "a", false},    {"", "", true},        {"a..b", "a..b", true},
        };
        check_corners(MATCH_EXACT, corners, array_count(corners));
        uint8_t dots[MATCH_SUBJECT_BYTES_MAX + 1];
        struct shape shape;
        memset(dots, '.', sizeof dots);
        assert_int_equal(pattern_parse(&shape, span_of(dots, sizeof dots - 1), MATCH_EXACT), 0);
        assert_true(pattern_matches(span_of(dots, sizeof dots - 1), shape, span_of(dots, sizeof dots - 1)));
        assert_false(pattern_matches(span_of(dots, sizeof dots - 1), shape, span_of(dots, sizeof dots - 2)));
        assert_int_equal(pattern_parse(&shape, span_of(dots, sizeof dots), MATCH_EXACT), -E2BIG);
        assert_int_equal(pattern_parse(&shape, span_of(dots, sizeof dots), MATCH_PREFIX), -E2BIG);
}

static void a_token_of_stars_is_written_as_one(void **state)
{
        (void)state;
        uint8_t room[MATCH_SUBJECT_BYTES_MAX];
        assert_true(span_equal(pattern_canonical(SPAN("a.**.***.b**c.*"), MATCH_SYNAP, room), SPAN("a.*.*.b**c.*")));
        assert_true(span_equal(pattern_canonical(SPAN("**.#"), MATCH_SYNAP, room), SPAN("*.#")));
        assert_true(span_equal(pattern_canonical(SPAN("a.**"), MATCH_NATS, room), SPAN("a.**")));
        assert_true(span_equal(pattern_canonical(SPAN("**"), MATCH_EXACT, room), SPAN("**")));
}

static bool covers(const char *wide, const char *narrow)
{
        struct shape shapes[2];
        assert_int_equal(pattern_parse(&shapes[0], span_of_text(wide), MATCH_NATS), 0);
        assert_int_equal(pattern_parse(&shapes[1], span_of_text(narrow), MATCH_NATS), 0);
        return pattern_covers(span_of_text(wide), shapes[0], span_of_text(narrow), shapes[1]);
}

static void a_pattern_covers_what_lies_within_it(void **state)
{
        (void)state;
        assert_true(covers("a.b", "a.b"));
        assert_true(covers("a.*", "a.b"));
        assert_true(covers("a.*", "a.*"));
        assert_true(covers("a.>", "a.*"));
        assert_true(covers("a.>", "a.>"));
        assert_true(covers("a.>", "a.*.>"));
        assert_true(covers(">", "*"));
        assert_false(covers("a.b", "a.*"));
        assert_false(covers("a.*", "a.>"));
        assert_false(covers("a.>", "a"));
        assert_false(covers("*.>", ">"));
        assert_false(covers("a.*.>", "a.>"));
        assert_false(covers("a.b", "a.c"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_nats_pattern_has_the_shape_its_text_says),
                cmocka_unit_test(a_pattern_with_an_empty_token_or_a_tail_that_is_not_last_is_illegal),
                cmocka_unit_test(a_pattern_beyond_the_limits_is_too_big_whatever_else_is_wrong),
                cmocka_unit_test(a_pattern_is_filed_under_the_key_that_its_subjects_ask_for),
                cmocka_unit_test(a_single_pattern_is_matched_by_text_with_the_same_corners),
                cmocka_unit_test(a_synap_pattern_matches_as_synaps_matcher_does),
                cmocka_unit_test(a_prefix_matches_whatever_begins_with_its_bytes),
                cmocka_unit_test(an_exact_pattern_has_no_wildcards),
                cmocka_unit_test(a_token_of_stars_is_written_as_one),
                cmocka_unit_test(a_shape_is_looked_for_at_the_depths_it_can_match),
                cmocka_unit_test(a_pattern_covers_what_lies_within_it),
        };
        return cmocka_run_group_tests(tests, make_secrets, NULL);
}
