/* tally: every sequence number is accounted for, whatever order it comes in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "bench/tally.h"

#define NUMBERS 64

static struct tally_sums sums_of(const struct tally *tally, uint64_t published)
{
        struct tally_sums sums = {0};
        tally_sum(tally, published, &sums);
        return sums;
}

static void numbers_in_order_leave_no_trouble(void **state)
{
        (void)state;
        struct tally tally = {0};
        for (uint64_t i = 0; i < NUMBERS; i++)
                assert_int_equal(tally_take(&tally, i), 1);
        assert_null(tally.trouble);
        assert_int_equal(sums_of(&tally, NUMBERS).lost, 0);
        assert_int_equal(sums_of(&tally, NUMBERS + 3).lost, 3);
        tally_fini(&tally);
}

static void a_late_number_is_reordered_and_not_lost(void **state)
{
        (void)state;
        struct tally tally = {0};
        assert_int_equal(tally_take(&tally, 0), 1);
        assert_int_equal(tally_take(&tally, 4), 4);
        assert_int_equal(sums_of(&tally, 5).lost, 3);
        assert_int_equal(tally_take(&tally, 2), 0);
        assert_int_equal(sums_of(&tally, 5).lost, 2);
        assert_int_equal(sums_of(&tally, 5).reordered, 1);
        assert_int_equal(tally_take(&tally, 2), 0);
        assert_int_equal(sums_of(&tally, 5).duplicated, 1);
        tally_fini(&tally);
}

static void who_joins_late_begins_with_what_comes(void **state)
{
        (void)state;
        struct tally tally = {.next = TALLY_ANY};
        assert_int_equal(sums_of(&tally, 0).lost, 0);
        assert_int_equal(tally_take(&tally, 1000), 1);
        assert_int_equal(tally_take(&tally, 1001), 1);
        assert_int_equal(tally_take(&tally, 1003), 2);
        assert_int_equal(sums_of(&tally, 0).lost, 1);
        tally_fini(&tally);
}

/* Random numbers against an array that remembers everything. */
static void any_order_gives_what_an_array_gives(void **state)
{
        (void)state;
        uint64_t seed = 1;
        for (int turn = 0; turn < 500; turn++) {
                struct tally tally = {0};
                unsigned seen[NUMBERS] = {0};
                uint64_t next = 0;
                struct tally_sums expected = {0};
                uint64_t progress = 0;
                for (int i = 0; i < 40; i++) {
                        seed = seed * 6364136223846793005u + 1442695040888963407u;
                        uint64_t number = (seed >> 40) % NUMBERS;
                        expected.duplicated += seen[number] != 0;
                        expected.reordered += seen[number] == 0 && number < next;
                        seen[number]++;
                        if (number >= next)
                                next = number + 1;
                        progress += tally_take(&tally, number);
                }
                for (uint64_t number = 0; number < NUMBERS; number++)
                        expected.lost += seen[number] == 0;
                struct tally_sums told = sums_of(&tally, NUMBERS);
                assert_int_equal(told.lost, expected.lost);
                assert_int_equal(told.duplicated, expected.duplicated);
                assert_int_equal(told.reordered, expected.reordered);
                assert_int_equal(progress, next);
                tally_fini(&tally);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(numbers_in_order_leave_no_trouble),
                cmocka_unit_test(a_late_number_is_reordered_and_not_lost),
                cmocka_unit_test(who_joins_late_begins_with_what_comes),
                cmocka_unit_test(any_order_gives_what_an_array_gives),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
