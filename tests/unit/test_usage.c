/* usage: one for each name, in as many images as have it; sums over reactors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/access/usage.h"

static void a_name_has_one_whoever_asks(void **state)
{
        (void)state;
        struct usages usages = {0};
        epoch_register();
        assert_int_equal(usages_init(&usages, 3), 0);
        struct usage *ann = usages_get(&usages, SPAN("ann")), *bob = usages_get(&usages, SPAN("bob"));
        assert_ptr_not_equal(ann, bob);
        assert_ptr_equal(usages_get(&usages, SPAN("ann")), ann);
        usage_change(ann, 0, USAGE_PATTERNS, 5);
        usage_change(ann, 2, USAGE_PATTERNS, 7);
        usage_change(ann, 2, USAGE_PATTERNS, -3);
        usage_change(ann, 1, USAGE_SHAPES, 1);
        assert_int_equal(usage_sum(ann, USAGE_PATTERNS), 9);
        assert_int_equal(usage_sum(ann, USAGE_SHAPES), 1);
        assert_int_equal(usage_sum(bob, USAGE_PATTERNS), 0);
        /* An image goes, and another has the name still: what is counted stays. */
        usage_drop(&usages, ann);
        assert_ptr_equal(usages_get(&usages, SPAN("ann")), ann);
        assert_int_equal(usage_sum(ann, USAGE_PATTERNS), 9);
        usage_drop(&usages, ann);
        usage_drop(&usages, ann);
        usage_drop(&usages, bob);
        ann = usages_get(&usages, SPAN("ann"));
        assert_int_equal(usage_sum(ann, USAGE_PATTERNS), 0);
        usage_drop(&usages, ann);
        epoch_unregister();
        usages_fini(&usages);
}

static void a_zeroed_one_may_be_ended(void **state)
{
        (void)state;
        struct usages usages = {0};
        usages_fini(&usages);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_name_has_one_whoever_asks),
                cmocka_unit_test(a_zeroed_one_may_be_ended),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
