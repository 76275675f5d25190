/* best: keeps the same rows as sorting all of them would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "engine/base/best.h"
#include "engine/base/random.h"

static int falling(const void *a, const void *b)
{
        uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
        return left < right ? 1 : left > right ? -1 : 0;
}

static void the_best_are_the_first_of_all_sorted(void **state)
{
        (void)state;
        struct random random;
        random_init(&random, 7);
        for (int round = 0; round < 300; round++) {
                uint64_t scores[200];
                struct best_row rows[40];
                struct best best;
                size_t count = random_below(&random, array_count(scores)), room = 1 + random_below(&random, 40);
                best_init(&best, rows, room);
                for (size_t i = 0; i < count; i++) {
                        scores[i] = random_below(&random, round % 2 == 0 ? 20 : UINT32_MAX);
                        best_offer(&best, scores[i], &scores[i]);
                }
                best_sort(&best);
                assert_int_equal(best.count, count < room ? count : room);
                for (size_t i = 0; i < best.count; i++)
                        assert_int_equal(rows[i].score, *(const uint64_t *)rows[i].what);
                qsort(scores, count, sizeof scores[0], falling);
                for (size_t i = 0; i < best.count; i++)
                        assert_int_equal(rows[i].score, scores[i]);
        }
}

static void of_equal_scores_the_first_stays(void **state)
{
        (void)state;
        struct best_row rows[1];
        struct best best;
        int first, second;
        best_init(&best, rows, 1);
        best_offer(&best, 5, &first);
        best_offer(&best, 5, &second);
        assert_ptr_equal(rows[0].what, &first);
        best_offer(&best, 6, &second);
        assert_ptr_equal(rows[0].what, &second);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_best_are_the_first_of_all_sorted),
                cmocka_unit_test(of_equal_scores_the_first_stays),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
