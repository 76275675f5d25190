/* bits: powers of two, told by counting up to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/base/bits.h"
#include "engine/base/random.h"

static bool slow_is_power_of_two(uint64_t value)
{
        unsigned ones = 0;
        for (; value != 0; value >>= 1)
                ones += value & 1;
        return ones == 1;
}

static unsigned slow_log2_floor(uint64_t value)
{
        unsigned log = 0;
        while (value >>= 1)
                log++;
        return log;
}

static void check(uint64_t value)
{
        assert_int_equal(bits_is_power_of_two(value), slow_is_power_of_two(value));
        if (value != 0)
                assert_int_equal(bits_log2_floor(value), slow_log2_floor(value));
        unsigned ceiled = value <= 1 ? 0 : slow_log2_floor(value) + !slow_is_power_of_two(value);
        assert_int_equal(bits_log2_ceil(value), ceiled);
}

static void logarithms_agree_with_counting(void **state)
{
        (void)state;
        struct random random;
        random_init(&random, 21);
        for (uint64_t value = 0; value < 5000; value++)
                check(value);
        for (unsigned bit = 0; bit < 64; bit++) {
                check((uint64_t)1 << bit);
                check(((uint64_t)1 << bit) - 1);
                check(((uint64_t)1 << bit) + 1);
        }
        for (int i = 0; i < 10000; i++)
                check(random_next(&random) >> random_below(&random, 64));
        check(UINT64_MAX);
}

static void aligning_goes_to_the_next_multiple(void **state)
{
        (void)state;
        for (uint64_t alignment = 1; alignment <= 4096; alignment *= 2) {
                for (uint64_t value = 0; value < 9000; value++) {
                        uint64_t aligned = bits_align_up(value, alignment);
                        assert_true(aligned >= value);
                        assert_true(aligned - value < alignment);
                        assert_true(aligned % alignment == 0);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(logarithms_agree_with_counting),
                cmocka_unit_test(aligning_goes_to_the_next_multiple),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
