/* random: the same numbers for ever, evenly spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "engine/base/random.h"

static void a_seed_gives_the_published_numbers(void **state)
{
        (void)state;
        /* The first state words are splitmix64's for seed 0 as published; the outputs follow from xoshiro256**. */
        struct random random;
        random_init(&random, 0);
        assert_true(random.state[0] == UINT64_C(0xe220a8397b1dcdaf));
        assert_true(random.state[1] == UINT64_C(0x6e789e6aa1b965f4));
        assert_true(random.state[2] == UINT64_C(0x06c45d188009454f));
        assert_true(random.state[3] == UINT64_C(0xf88bb8a8724c81ec));
        struct random counted = {.state = {1, 2, 3, 4}};
        const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
        for (size_t i = 0; i < array_count(expected); i++)
                assert_true(random_next(&counted) == expected[i]);
}

static void equal_seeds_agree_and_others_do_not(void **state)
{
        (void)state;
        struct random a, b, c;
        random_init(&a, 7);
        random_init(&b, 7);
        random_init(&c, 8);
        int equal_count = 0;
        for (int i = 0; i < 1000; i++) {
                uint64_t value = random_next(&a);
                assert_true(value == random_next(&b));
                equal_count += value == random_next(&c);
        }
        assert_int_equal(equal_count, 0);
}

static void a_bounded_draw_is_even(void **state)
{
        (void)state;
        struct random random;
        random_init(&random, 3);
        for (uint64_t bound = 1; bound <= 12; bound++) {
                unsigned drawn[12] = {0};
                for (int i = 0; i < 12000; i++) {
                        uint64_t value = random_below(&random, bound);
                        assert_true(value < bound);
                        drawn[value]++;
                }
                for (uint64_t value = 0; value < bound; value++) {
                        assert_true(drawn[value] * bound > 10000);
                        assert_true(drawn[value] * bound < 14000);
                }
        }
}

static void a_bound_that_does_not_divide_has_no_bias(void **state)
{
        (void)state;
        /* Four raw numbers share three values here: without drawing again each third value would come twice as often.
         */
        uint64_t bound = UINT64_C(3) << 62;
        unsigned drawn[3] = {0};
        struct random random;
        random_init(&random, 4);
        for (int i = 0; i < 30000; i++) {
                uint64_t value = random_below(&random, bound);
                assert_true(value < bound);
                drawn[value % 3]++;
        }
        for (int i = 0; i < 3; i++)
                assert_in_range(drawn[i], 9600, 10400);
}

static void a_chance_holds(void **state)
{
        (void)state;
        struct random random;
        unsigned hits = 0;
        random_init(&random, 5);
        for (int i = 0; i < 40000; i++)
                hits += random_chance(&random, 1, 4);
        assert_in_range(hits, 9500, 10500);
        for (int i = 0; i < 100; i++) {
                assert_true(random_chance(&random, 1, 1));
                assert_false(random_chance(&random, 0, 1));
        }
}

static void secrets_differ(void **state)
{
        (void)state;
        uint8_t a[300] = {0}, b[300] = {0};
        random_secret(a, sizeof(a));
        random_secret(b, sizeof(b));
        assert_memory_not_equal(a, b, sizeof(a));
        assert_memory_not_equal(a + 284, b + 284, 16);
        random_secret(NULL, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_seed_gives_the_published_numbers),
                cmocka_unit_test(equal_seeds_agree_and_others_do_not),
                cmocka_unit_test(a_bounded_draw_is_even),
                cmocka_unit_test(a_bound_that_does_not_divide_has_no_bias),
                cmocka_unit_test(a_chance_holds),
                cmocka_unit_test(secrets_differ),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
