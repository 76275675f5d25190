/* utf8: exactly what Unicode allows, compared with the plainest decoder there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/wire/utf8.h"
#include "tests/guard.h"
#include "tests/seeded.h"

static struct guard guard;

/* Decodes by the bit patterns and then asks of the number what RFC 3629 asks of it. */
static size_t reference_size(struct span text)
{
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (text.size == 0)
                return 0;
        uint8_t first = text.bytes[0];
        size_t size = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
        if (size < 2 || text.size < size)
                return size < 2 ? size : 0;
        uint32_t code = first & (0x7Fu >> size);
        for (size_t i = 1; i < size; i++) {
                if (text.bytes[i] >> 6 != 2)
                        return 0;
                code = code << 6 | (text.bytes[i] & 0x3F);
        }
        bool is_legal = code >= least[size] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        return is_legal ? size : 0;
}

static bool reference_is_valid(struct span text)
{
        while (text.size != 0) {
                size_t size = reference_size(text);
                if (size == 0)
                        return false;
                text = span_skip(text, size);
        }
        return true;
}

static void every_character_is_written_and_read_back(void **state)
{
        (void)state;
        for (uint32_t code = 0; code <= 0x10FFFF; code++) {
                if (code >= 0xD800 && code <= 0xDFFF)
                        continue;
                uint8_t bytes[UTF8_SEQUENCE_BYTES_MAX];
                size_t size = utf8_put(bytes, code);
                struct span text = guard_span(&guard, span_of(bytes, size));
                assert_int_equal(utf8_sequence_size(text), size);
                assert_int_equal(reference_size(text), size);
                assert_true(utf8_is_valid(text));
                assert_int_equal(utf8_sequence_size(guard_span(&guard, span_of(bytes, size - 1))), 0);
        }
}

static void every_start_of_three_bytes_is_judged_as_the_reference_does(void **state)
{
        (void)state;
        for (uint32_t start = 0; start < 1u << 24; start++) {
                uint8_t bytes[4] = {(uint8_t)(start >> 16), (uint8_t)(start >> 8), (uint8_t)start, 0x80};
                struct span text = span_of(bytes, sizeof(bytes));
                if (utf8_sequence_size(text) != reference_size(text))
                        fail_msg("%02x %02x %02x 80", bytes[0], bytes[1], bytes[2]);
        }
}

static void a_text_is_valid_when_all_of_it_is(void **state)
{
        (void)state;
        static const uint8_t pieces[] = {'a',  'b',  0x7F, 0,    0x80, 0xBF, 0xC2, 0xE0,
                                         0xA0, 0xED, 0x9F, 0xF0, 0x90, 0xF4, 0x8F};
        uint64_t seed = 3;
        size_t valid_count = 0;
        for (int round = 0; round < 300000; round++) {
                uint8_t bytes[40];
                size_t size = seeded_below(&seed, sizeof(bytes));
                memset(bytes, 'a', size);
                for (size_t changes = seeded_below(&seed, 4); changes > 0 && size > 0; changes--) {
                        size_t at = seeded_below(&seed, size);
                        if (size - at >= 4 && seeded_below(&seed, 2) == 0)
                                utf8_put(bytes + at, 0x80 + (uint32_t)seeded_below(&seed, 0xD000));
                        else
                                bytes[at] = pieces[seeded_below(&seed, sizeof(pieces))];
                }
                struct span text = guard_span(&guard, span_of(bytes, size));
                assert_int_equal(utf8_is_valid(text), reference_is_valid(text));
                valid_count += utf8_is_valid(text);
        }
        assert_in_range(valid_count, 30000, 270000); /* both answers are well tried */
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
                cmocka_unit_test(every_character_is_written_and_read_back),
                cmocka_unit_test(every_start_of_three_bytes_is_judged_as_the_reference_does),
                cmocka_unit_test(a_text_is_valid_when_all_of_it_is),
        };
        return cmocka_run_group_tests(tests, open_guard, close_guard);
}
