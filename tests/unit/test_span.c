/* span: borrowed bytes are compared, cut and copied, empty ones too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "engine/base/span.h"

static void equal_means_the_same_bytes(void **state)
{
        (void)state;
        assert_true(span_equal(SPAN("abc"), span_of_text("abc")));
        assert_false(span_equal(SPAN("abc"), SPAN("abd")));
        assert_false(span_equal(SPAN("abc"), SPAN("ab")));
        assert_true(span_equal(SPAN("a\0b"), span_of("a\0b", 3)));
        assert_false(span_equal(SPAN("a\0b"), SPAN("a\0c")));
        assert_int_equal(SPAN("a\0b").size, 3);
}

static void nothing_equals_nothing_wherever_it_is(void **state)
{
        (void)state;
        assert_true(span_equal(SPAN_NONE, SPAN("")));
        assert_true(span_equal(SPAN_NONE, SPAN_NONE));
        assert_true(span_starts_with(SPAN_NONE, SPAN_NONE));
        assert_true(span_starts_with(SPAN("abc"), SPAN_NONE));
        assert_false(span_starts_with(SPAN_NONE, SPAN("a")));
        uint8_t byte = 7;
        assert_ptr_equal(span_copy(&byte, SPAN_NONE), &byte);
        assert_int_equal(byte, 7);
}

static void a_start_is_a_start_at_every_length(void **state)
{
        (void)state;
        struct span text = SPAN("orders.eu.created");
        for (size_t size = 0; size <= text.size; size++) {
                assert_true(span_starts_with(text, span_of(text.bytes, size)));
                assert_true(size == text.size || !span_starts_with(span_of(text.bytes, size), text));
                assert_int_equal(span_starts_with(text, span_skip(text, size)), size == 0 || size == text.size);
        }
}

static void skipping_and_copying_rebuild_the_whole(void **state)
{
        (void)state;
        struct span text = SPAN("orders.eu.created");
        for (size_t size = 0; size <= text.size; size++) {
                uint8_t out[32];
                memset(out, '~', sizeof(out));
                uint8_t *end = span_copy(span_copy(out, span_of(text.bytes, size)), span_skip(text, size));
                assert_int_equal(end - out, text.size);
                assert_true(span_equal(span_of(out, text.size), text));
                assert_int_equal(*end, '~');
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(equal_means_the_same_bytes),
                cmocka_unit_test(nothing_equals_nothing_wherever_it_is),
                cmocka_unit_test(a_start_is_a_start_at_every_length),
                cmocka_unit_test(skipping_and_copying_rebuild_the_whole),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
