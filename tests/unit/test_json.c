/* json: the grammar of RFC 8259 and nothing besides, told by tables and compared with jansson over many mutations. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/wire/json.h"
#include "tests/guard.h"
#include "tests/json_reference.h"
#include "tests/seeded.h"

static struct guard guard;

static const struct span legal[] = {
        SPAN_INIT("{}"),
        SPAN_INIT(" \t\r\n{ \t\r\n} \t\r\n"),
        SPAN_INIT("[]"),
        SPAN_INIT("[ ]"),
        SPAN_INIT("null"),
        SPAN_INIT("true"),
        SPAN_INIT("false"),
        SPAN_INIT("0"),
        SPAN_INIT("-0"),
        SPAN_INIT("-0.0e-0"),
        SPAN_INIT("12.5E+10"),
        SPAN_INIT("1e5"),
        SPAN_INIT("9223372036854775807"),
        SPAN_INIT("-9223372036854775808"),
        SPAN_INIT("9223372036854775808"),
        SPAN_INIT("1e999"),
        SPAN_INIT("\"\""),
        SPAN_INIT("\"a long enough string to be read eight bytes at a time \\\"and\\\" more\""),
        SPAN_INIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00e9\\u20AC\\ud83D\\uDe00\""),
        SPAN_INIT("\"\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""),
        SPAN_INIT("[1,[2,[3,{\"a\":[{}]}],[]],\"x\"]"),
        SPAN_INIT("{\"a\":1,\"b\":{\"c\":[true,false,null]},\"\":\"\",\"a\":2}"),
        SPAN_INIT("{\"verbose\":false,\"name\":\"caf\\u00e9\",\"protocol\":1, \"x\" : [ 1 , 2 ] }"),
};

static const struct span illegal[] = {
        SPAN_INIT(""),
        SPAN_INIT(" "),
        SPAN_INIT("{"),
        SPAN_INIT("}"),
        SPAN_INIT("["),
        SPAN_INIT("]"),
        SPAN_INIT("[1"),
        SPAN_INIT("[1,"),
        SPAN_INIT("[1,]"),
        SPAN_INIT("[,1]"),
        SPAN_INIT("[1 2]"),
        SPAN_INIT("[1}"),
        SPAN_INIT("{]"),
        SPAN_INIT("{\"a\"}"),
        SPAN_INIT("{\"a\":}"),
        SPAN_INIT("{\"a\":1,}"),
        SPAN_INIT("{,}"),
        SPAN_INIT("{1:2}"),
        SPAN_INIT("{a:1}"),
        SPAN_INIT("{\"a\" 1}"),
        SPAN_INIT("{\"a\":1 \"b\":2}"),
        SPAN_INIT("{\"a\":1}}"),
        SPAN_INIT("{}{}"),
        SPAN_INIT("{} x"),
        SPAN_INIT("[] ,"),
        SPAN_INIT("nul"),
        SPAN_INIT("nulls"),
        SPAN_INIT("True"),
        SPAN_INIT("NaN"),
        SPAN_INIT("Infinity"),
        SPAN_INIT("01"),
        SPAN_INIT("-"),
        SPAN_INIT("+1"),
        SPAN_INIT("-01"),
        SPAN_INIT("1."),
        SPAN_INIT(".5"),
        SPAN_INIT("1e"),
        SPAN_INIT("1e+"),
        SPAN_INIT("0x1"),
        SPAN_INIT("1 2"),
        SPAN_INIT("\""),
        SPAN_INIT("\"a"),
        SPAN_INIT("\"\\"),
        SPAN_INIT("\"\\\""),
        SPAN_INIT("\"\\x\""),
        SPAN_INIT("\"\\u\""),
        SPAN_INIT("\"\\u12\""),
        SPAN_INIT("\"\\u12g4\""),
        SPAN_INIT("\"\n\""),
        SPAN_INIT("\"\0\""),
        SPAN_INIT("\"\x1f\""),
        SPAN_INIT("'a'"),
        SPAN_INIT("\"\x80\""),
        SPAN_INIT("\"\xc0\x80\""),
        SPAN_INIT("\"\xed\xa0\x80\""),
        SPAN_INIT("\"\xf4\x90\x80\x80\""),
        SPAN_INIT("\"\xc3\""),
        SPAN_INIT("\"\xe2\x82\""),
        SPAN_INIT("\"\\ud800\""),
        SPAN_INIT("\"\\udc00\""),
        SPAN_INIT("\"\\ud800\\u0041\""),
        SPAN_INIT("\"\\ud800\\ud800\""),
        SPAN_INIT("\"\\ud800x\""),
        SPAN_INIT("\"\\ud800\\udc0\""),
        SPAN_INIT("\xef\xbb\xbf{}"),
        SPAN_INIT("// c\n1"),
        SPAN_INIT("[1]\0"),
        SPAN_INIT("\0"),
        SPAN_INIT("\xc2\xa0"
                  "1"),
        SPAN_INIT("\f1"),
};

static void the_grammar_is_taken(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_count(legal); i++)
                if (!json_is_valid(guard_span(&guard, legal[i])) || !reference_compare(legal[i]))
                        fail_msg("%s", (const char *)legal[i].bytes);
}

static void all_else_is_refused(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_count(illegal); i++) {
                if (json_is_valid(guard_span(&guard, illegal[i])))
                        fail_msg("row %zu: %s", i, (const char *)illegal[i].bytes);
                reference_compare(illegal[i]);
        }
}

static void a_text_cut_anywhere_is_read_to_its_end_and_no_further(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_count(legal); i++) {
                for (size_t size = 0; size < legal[i].size; size++) {
                        struct span cut = guard_span(&guard, span_of(legal[i].bytes, size));
                        bool is_container = legal[i].bytes[0] == '{' || legal[i].bytes[0] == '[';
                        assert_false(is_container && json_is_valid(cut));
                        reference_compare(span_of(legal[i].bytes, size));
                }
        }
}

static size_t nest(uint8_t *out, size_t depth, bool is_object)
{
        uint8_t *at = out;
        for (size_t i = 0; i < depth; i++)
                at = span_copy(at, is_object ? SPAN("{\"a\":") : SPAN("["));
        *at++ = '1';
        for (size_t i = 0; i < depth; i++)
                *at++ = is_object ? '}' : ']';
        return (size_t)(at - out);
}

static void nesting_is_bounded(void **state)
{
        (void)state;
        uint8_t bytes[4096];
        for (int is_object = 0; is_object < 2; is_object++) {
                assert_true(json_is_valid(span_of(bytes, nest(bytes, JSON_DEPTH_MAX, is_object))));
                assert_false(json_is_valid(span_of(bytes, nest(bytes, JSON_DEPTH_MAX + 1, is_object))));
                struct json_walk walk;
                struct json_member member;
                struct span text = span_of(bytes, nest(bytes, JSON_DEPTH_MAX, is_object));
                assert_int_equal(is_object ? json_open_object(&walk, text) : json_open_array(&walk, text), 0);
                assert_int_equal(json_next(&walk, &member), 1);
                assert_int_equal(json_next(&walk, &member), 0);
                text = span_of(bytes, nest(bytes, JSON_DEPTH_MAX + 1, is_object));
                assert_int_equal(is_object ? json_open_object(&walk, text) : json_open_array(&walk, text), 0);
                assert_int_equal(json_next(&walk, &member), -EPROTO);
        }
        memset(bytes, '[', sizeof(bytes));
        assert_false(json_is_valid(span_of(bytes, sizeof(bytes))));
}

static void assert_member(struct json_walk *walk, const char *name, enum json_kind kind, const char *value)
{
        struct json_member member;
        assert_int_equal(json_next(walk, &member), 1);
        assert_true(span_equal(member.name, span_of_text(name)));
        assert_int_equal(member.kind, kind);
        assert_true(span_equal(member.value, span_of_text(value)));
}

static void a_walk_gives_the_members_in_order_as_slices(void **state)
{
        (void)state;
        struct json_walk walk;
        struct json_member member;
        assert_int_equal(
                json_open_object(&walk, guard_span(&guard, SPAN(" { \"a\" : 1 ,\"b\\n\":\"x\\ty\",\"c\":[ 1, {} ],"
                                                                "\"d\":{\"e\":null},\"f\":true,\"g\":false,"
                                                                "\"h\":null,\"\":\"\"} "))),
                0);
        assert_member(&walk, "a", JSON_KIND_NUMBER, "1");
        assert_member(&walk, "b\\n", JSON_KIND_STRING, "x\\ty");
        assert_member(&walk, "c", JSON_KIND_ARRAY, "[ 1, {} ]");
        assert_member(&walk, "d", JSON_KIND_OBJECT, "{\"e\":null}");
        assert_member(&walk, "f", JSON_KIND_TRUE, "true");
        assert_member(&walk, "g", JSON_KIND_FALSE, "false");
        assert_member(&walk, "h", JSON_KIND_NULL, "null");
        assert_member(&walk, "", JSON_KIND_STRING, "");
        assert_int_equal(json_next(&walk, &member), 0);

        assert_int_equal(json_open_array(&walk, SPAN("[\"x\", -2.5]")), 0);
        assert_member(&walk, "", JSON_KIND_STRING, "x");
        assert_member(&walk, "", JSON_KIND_NUMBER, "-2.5");
        assert_int_equal(json_next(&walk, &member), 0);
}

static void a_walk_is_only_of_the_kind_it_was_opened_for(void **state)
{
        (void)state;
        struct json_walk walk;
        assert_int_equal(json_open_object(&walk, SPAN("[]")), -EPROTO);
        assert_int_equal(json_open_array(&walk, SPAN("{}")), -EPROTO);
        assert_int_equal(json_open_object(&walk, SPAN("")), -EPROTO);
        assert_int_equal(json_open_object(&walk, SPAN("1")), -EPROTO);
}

static void what_stands_behind_the_text_is_found_at_the_end_of_the_walk(void **state)
{
        (void)state;
        struct json_walk walk;
        struct json_member member;
        assert_int_equal(json_open_object(&walk, SPAN("{\"a\":1} x")), 0);
        assert_int_equal(json_next(&walk, &member), 1);
        assert_int_equal(json_next(&walk, &member), -EPROTO);
}

static void escapes_are_undone_also_where_they_stand(void **state)
{
        (void)state;
        struct span raw = SPAN("\\\"\\\\\\/\\b\\f\\n\\r\\tA\\u0000\\u00e9\\u20AC\\ud83D\\uDe00\xc3\xa9");
        struct span meant = SPAN("\"\\/\b\f\n\r\tA\0\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9");
        uint8_t *room = guard_room(&guard, raw.size);
        span_copy(room, raw);
        ssize_t size = json_unescape(span_of(room, raw.size), room, raw.size);
        assert_int_equal(size, meant.size);
        assert_memory_equal(room, meant.bytes, meant.size);
        for (size_t out_size = 0; out_size < meant.size; out_size++)
                assert_int_equal(json_unescape(raw, guard_room(&guard, out_size), out_size), -EMSGSIZE);
        assert_int_equal(json_unescape(raw, guard_room(&guard, meant.size), meant.size), meant.size);
        assert_true(json_says(raw, meant));
        assert_false(json_says(raw, span_of(meant.bytes, meant.size - 1)));
        assert_false(json_says(SPAN("a"), SPAN("ab")));
        assert_false(json_says(SPAN("ab"), SPAN("a")));
        assert_false(json_says(SPAN("\\u0041"), SPAN("a")));
        assert_true(json_says(SPAN(""), SPAN("")));
}

static void an_integer_is_read_when_it_is_one(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                int error;
                int64_t value;
        } rows[] = {
                {"0", 0, 0},
                {"-0", 0, 0},
                {"17", 0, 17},
                {"-17", 0, -17},
                {"9223372036854775807", 0, INT64_MAX},
                {"-9223372036854775808", 0, INT64_MIN},
                {"9223372036854775808", -EPROTO, 0},
                {"-9223372036854775809", -EPROTO, 0},
                {"99999999999999999999999999", -EPROTO, 0},
                {"1.0", -EPROTO, 0},
                {"1e2", -EPROTO, 0},
                {"-", -EPROTO, 0},
                {"", -EPROTO, 0},
        };
        for (size_t i = 0; i < array_count(rows); i++) {
                int64_t value = 0;
                assert_int_equal(json_read_integer(span_of_text(rows[i].text), &value), rows[i].error);
                assert_int_equal(value, rows[i].value);
        }
}

static void a_string_is_written_so_that_it_reads_back(void **state)
{
        (void)state;
        uint8_t out[64];
        size_t size = json_write_string(out, sizeof(out), SPAN("a\"\\/\n\0\x1f\x7f\xc3\xa9"));
        struct span expected = SPAN("\"a\\\"\\\\/\\u000a\\u0000\\u001f\x7f\xc3\xa9\"");
        assert_int_equal(size, expected.size);
        assert_memory_equal(out, expected.bytes, size);
        size = json_write_string(out, sizeof(out), SPAN("\xff\xc3x\xed\xa0\x80"));
        expected = SPAN("\"\xef\xbf\xbd\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
        assert_int_equal(size, expected.size);
        assert_memory_equal(out, expected.bytes, size);

        uint64_t seed = 4;
        for (int round = 0; round < 20000; round++) {
                uint8_t text[32];
                uint8_t back[JSON_STRING_BYTES_MAX(sizeof(text))];
                size_t text_size = seeded_below(&seed, sizeof(text));
                for (size_t i = 0; i < text_size; i++)
                        text[i] = (uint8_t)seeded_next(&seed) & 0x7F;
                size_t room = JSON_STRING_BYTES_MAX(text_size);
                size_t written = json_write_string(guard_room(&guard, room), room, span_of(text, text_size));
                assert_true(written >= 2);
                uint8_t copy[JSON_STRING_BYTES_MAX(sizeof(text))];
                memcpy(copy, guard_room(&guard, room), written);
                struct span json = guard_span(&guard, span_of(copy, written));
                assert_true(json_is_valid(json));
                ssize_t back_size = json_unescape(span_of(json.bytes + 1, json.size - 2), back, sizeof(back));
                assert_int_equal(back_size, text_size);
                assert_memory_equal(back, text, text_size);
                for (size_t less = 0; less < written; less++)
                        assert_int_equal(json_write_string(guard_room(&guard, less), less, span_of(text, text_size)),
                                         0);
        }
}

static void mutations_are_judged_and_understood_as_jansson_does(void **state)
{
        (void)state;
        static const char special[] = "{}[]\",:\\ \t\n0123456789-+.eEutfn\0\x80\xc3\xed\xf0\xff/";
        uint64_t seed = 5;
        size_t taken_count = 0;
        const int rounds = 150000;
        for (int round = 0; round < rounds; round++) {
                uint8_t bytes[256];
                struct span row = legal[seeded_below(&seed, array_count(legal))];
                span_copy(bytes, row);
                size_t size = seeded_mutate(&seed, bytes, row.size, sizeof(bytes), special, sizeof(special) - 1);
                taken_count += reference_compare(guard_span(&guard, span_of(bytes, size)));
        }
        assert_in_range(taken_count, (size_t)rounds / 50, (size_t)rounds / 2); /* both answers are well tried */
}

static int open_guard(void **state)
{
        (void)state;
        guard_init(&guard, GUARD_PAGE_BYTES);
        return 0;
}

static int close_guard(void **state)
{
        (void)state;
        guard_fini(&guard);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_grammar_is_taken),
                cmocka_unit_test(all_else_is_refused),
                cmocka_unit_test(a_text_cut_anywhere_is_read_to_its_end_and_no_further),
                cmocka_unit_test(nesting_is_bounded),
                cmocka_unit_test(a_walk_gives_the_members_in_order_as_slices),
                cmocka_unit_test(a_walk_is_only_of_the_kind_it_was_opened_for),
                cmocka_unit_test(what_stands_behind_the_text_is_found_at_the_end_of_the_walk),
                cmocka_unit_test(escapes_are_undone_also_where_they_stand),
                cmocka_unit_test(an_integer_is_read_when_it_is_one),
                cmocka_unit_test(a_string_is_written_so_that_it_reads_back),
                cmocka_unit_test(mutations_are_judged_and_understood_as_jansson_does),
        };
        return cmocka_run_group_tests(tests, open_guard, close_guard);
}
