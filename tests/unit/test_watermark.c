/* watermark: the steps of memory use, and that they do not flutter. What a step does is seen in tests/e2e. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/watermark.h"

#define MEMORY ((uint64_t)1 << 30)

static uint64_t percent(unsigned number)
{
        return MEMORY / 100 * number + MEMORY / 1000;
}

static void steps_begin_at_their_marks(void **state)
{
        (void)state;
        assert_int_equal(watermark_of(WATERMARK_CALM, 0, MEMORY), WATERMARK_CALM);
        assert_int_equal(watermark_of(WATERMARK_CALM, percent(74), MEMORY), WATERMARK_CALM);
        assert_int_equal(watermark_of(WATERMARK_CALM, percent(75), MEMORY), WATERMARK_IMPATIENT);
        assert_int_equal(watermark_of(WATERMARK_CALM, percent(84), MEMORY), WATERMARK_IMPATIENT);
        assert_int_equal(watermark_of(WATERMARK_CALM, percent(85), MEMORY), WATERMARK_CLOSED);
        assert_int_equal(watermark_of(WATERMARK_CALM, percent(91), MEMORY), WATERMARK_CLOSED);
        assert_int_equal(watermark_of(WATERMARK_CALM, percent(92), MEMORY), WATERMARK_CUTTING);
        assert_int_equal(watermark_of(WATERMARK_CALM, MEMORY, MEMORY), WATERMARK_CUTTING);
}

static void a_step_ends_five_percent_below_its_mark(void **state)
{
        (void)state;
        assert_int_equal(watermark_of(WATERMARK_CUTTING, percent(88), MEMORY), WATERMARK_CUTTING);
        assert_int_equal(watermark_of(WATERMARK_CUTTING, percent(86), MEMORY), WATERMARK_CLOSED);
        assert_int_equal(watermark_of(WATERMARK_CLOSED, percent(80), MEMORY), WATERMARK_CLOSED);
        assert_int_equal(watermark_of(WATERMARK_CLOSED, percent(79), MEMORY), WATERMARK_IMPATIENT);
        assert_int_equal(watermark_of(WATERMARK_IMPATIENT, percent(70), MEMORY), WATERMARK_IMPATIENT);
        assert_int_equal(watermark_of(WATERMARK_IMPATIENT, percent(69), MEMORY), WATERMARK_CALM);
        assert_int_equal(watermark_of(WATERMARK_CUTTING, 0, MEMORY), WATERMARK_CALM);
}

static void every_use_has_one_step_whatever_came_before(void **state)
{
        (void)state;
        for (unsigned before = WATERMARK_CALM; before <= WATERMARK_CUTTING; before++) {
                enum watermark last = WATERMARK_CALM;
                for (unsigned used = 0; used < 100; used++) {
                        enum watermark now = watermark_of(before, percent(used), MEMORY);
                        assert_true(now >= last); /* more use never calls for less */
                        last = now;
                }
        }
        assert_string_equal(watermark_name(WATERMARK_CLOSED), "closed");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(steps_begin_at_their_marks),
                cmocka_unit_test(a_step_ends_five_percent_below_its_mark),
                cmocka_unit_test(every_use_has_one_step_whatever_came_before),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
