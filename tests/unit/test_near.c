/* near: what is a slip and what is something else, and the best of many against sorting them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/base/random.h"
#include "engine/admin/near.h"
#include "matcher/pattern.h"

static enum near compare(const char *subject, const char *pattern)
{
        struct near_subject read;
        assert_true(near_read(&read, span_of_text(subject)));
        return near_compare(&read, span_of_text(pattern));
}

static void each_slip_is_called_by_its_name(void **state)
{
        (void)state;
        static const struct {
                const char *subject, *pattern;
                enum near near;
        } rows[] = {
                {"orders.new", "Orders.NEW", NEAR_CASE},
                {"orders.new", "order.new", NEAR_EDIT},
                {"orders.new", "ordres.new", NEAR_EDIT},
                {"orders.new", "orders.now", NEAR_EDIT},
                {"orders.new", "orderss.*", NEAR_EDIT},
                {"orders.new.eu", "order.>", NEAR_EDIT},
                {"orders", "orders.>", NEAR_TAIL},
                {"a.b", "*.b.>", NEAR_TAIL},
                {"orders.eu.new", "orders.new", NEAR_LESS},
                {"orders.eu.new", "orders.*", NEAR_LESS},
                {"orders.new", "orders.eu.new", NEAR_MORE},
                {"orders.new", "orders.*.*", NEAR_MORE},
                {"orders.new", "v1.orders.new", NEAR_MORE},
                {"v1.orders.new", "orders.new", NEAR_LESS},
                {"orders.new", "orders.new", NEAR_NOT},
                {"orders.new", "orders.*", NEAR_NOT},
                {"orders.new", "parts.new", NEAR_NOT},
                {"a.b", "a.c", NEAR_NOT},
                {"orders.new", "ordrs.nww", NEAR_NOT},
                {"orders.new", "Ordrs.new", NEAR_NOT},
                {"orders.new", "orders.a.b.new", NEAR_NOT},
                {"orders.new", "*.*.*", NEAR_NOT},
                {"orders.new", "*", NEAR_NOT},
                {"orders", "*.>", NEAR_NOT},
                {"orders.new", "orders.new.a.>", NEAR_NOT},
                {"orders..new", "orders.new", NEAR_LESS},
                {"", "a", NEAR_NOT},
                {"orders.new", "other.eu.new", NEAR_NOT},
        };
        for (size_t i = 0; i < array_count(rows); i++)
                if (compare(rows[i].subject, rows[i].pattern) != rows[i].near)
                        fail_msg("%s is to %s as %s", rows[i].pattern, rows[i].subject,
                                 near_meaning(compare(rows[i].subject, rows[i].pattern)));
}

static void a_deep_subject_is_near_to_nothing(void **state)
{
        (void)state;
        char text[2 * (MATCH_TOKENS_MAX + 2)];
        struct near_subject read;
        for (size_t i = 0; i < sizeof text; i++)
                text[i] = i % 2 == 0 ? 'a' : '.';
        assert_false(near_read(&read, span_of(text, 2 * (MATCH_TOKENS_MAX + 2) - 1)));
        assert_true(near_read(&read, span_of(text, 2 * (MATCH_TOKENS_MAX + 1) - 1)));
        assert_int_equal(near_compare(&read, span_of(text, 2 * MATCH_TOKENS_MAX - 1)), NEAR_LESS);
}

/* What matches is never called near, and what is near never matches. */
static void near_is_not_a_match(void **state)
{
        (void)state;
        static const char *const words[] = {"abc", "Abc", "abd", "*", "b", ">"};
        struct random random;
        unsigned near_count = 0;
        random_init(&random, 1);
        for (int round = 0; round < 20000; round++) {
                char subject[64] = "", pattern[64] = "";
                struct shape shape;
                size_t deep = 1 + random_below(&random, 4), wide = 1 + random_below(&random, 4);
                for (size_t i = 0; i < deep; i++)
                        sprintf(subject + strlen(subject), "%s%s", i > 0 ? "." : "", words[random_below(&random, 3)]);
                for (size_t i = 0; i < wide; i++)
                        sprintf(pattern + strlen(pattern), "%s%s", i > 0 ? "." : "", words[random_below(&random, 6)]);
                if (pattern_parse(&shape, span_of_text(pattern), MATCH_NATS) != 0)
                        continue;
                enum near near = compare(subject, pattern);
                near_count += near != NEAR_NOT;
                if (near != NEAR_NOT && pattern_matches(span_of_text(pattern), shape, span_of_text(subject)))
                        fail_msg("%s matches %s", pattern, subject);
        }
        assert_true(near_count > 1000);
}

static void the_best_are_kept_whatever_order_they_come_in(void **state)
{
        (void)state;
        struct random random;
        random_init(&random, 7);
        for (int round = 0; round < 200; round++) {
                struct near_best best = {.count = 0};
                unsigned offered[40];
                for (size_t i = 0; i < array_count(offered); i++) {
                        char text[8];
                        offered[i] = (unsigned)random_below(&random, 50);
                        sprintf(text, "t%02u", offered[i]);
                        near_best_offer(&best, (enum near)(offered[i] / 10), span_of_text(text));
                }
                /* By near, then by text, is by number here; none twice. */
                unsigned last = 0;
                for (size_t i = 0; i < best.count; i++) {
                        unsigned least = UINT32_MAX;
                        for (size_t j = 0; j < array_count(offered); j++)
                                if (offered[j] < least && (i == 0 || offered[j] > last))
                                        least = offered[j];
                        char text[8];
                        sprintf(text, "t%02u", least);
                        assert_memory_equal(best.rows[i].text, text, 3);
                        last = least;
                }
                assert_int_equal(best.count, NEAR_BEST);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_slip_is_called_by_its_name),
                cmocka_unit_test(a_deep_subject_is_near_to_nothing),
                cmocka_unit_test(near_is_not_a_match),
                cmocka_unit_test(the_best_are_kept_whatever_order_they_come_in),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
