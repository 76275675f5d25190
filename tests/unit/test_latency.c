/* latency: a percentile is within one percent of the value that a sorted list would give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "bench/latency.h"

#define VALUES 20000

static struct latency latency;

static int by_size(const void *a, const void *b)
{
        uint64_t left = *(const uint64_t *)a;
        uint64_t right = *(const uint64_t *)b;
        return (left > right) - (left < right);
}

static void an_empty_table_tells_zero(void **state)
{
        (void)state;
        latency = (struct latency){0};
        assert_int_equal(latency_at(&latency, 0.99), 0);
        assert_true(latency_mean(&latency) == 0);
}

static void one_value_is_every_percentile(void **state)
{
        (void)state;
        latency = (struct latency){0};
        latency_record(&latency, 1234567);
        assert_int_equal(latency_at(&latency, 0), 1234567);
        assert_int_equal(latency_at(&latency, 0.5), 1234567);
        assert_int_equal(latency_at(&latency, 1), 1234567);
}

static void every_bucket_is_its_own_value_s_bucket(void **state)
{
        (void)state;
        unsigned last = 0;
        for (uint64_t value = 0; value < 1 << 20; value++) {
                unsigned bucket = latency_bucket(value);
                assert_true(bucket == last || bucket == last + 1);
                assert_true(bucket < LATENCY_BUCKETS);
                last = bucket;
        }
        assert_int_equal(latency_bucket((uint64_t)1 << LATENCY_VALUE_LOG2_MAX), LATENCY_BUCKETS - 1);
        assert_int_equal(latency_bucket(((uint64_t)1 << LATENCY_VALUE_LOG2_MAX) - 1), LATENCY_BUCKETS - 1);
        assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

static void percentiles_are_within_one_percent_of_a_sorted_list(void **state)
{
        (void)state;
        static uint64_t values[VALUES];
        static const double shares[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
        uint64_t seed = 7;
        latency = (struct latency){0};
        for (size_t i = 0; i < VALUES; i++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                values[i] = (seed >> 23) >> ((seed >> 7) % 40);
                latency_record(&latency, values[i]);
        }
        qsort(values, VALUES, sizeof(values[0]), by_size);
        for (size_t i = 0; i < array_count(shares); i++) {
                double exact = (double)values[(size_t)(shares[i] * VALUES) - 1];
                double told = (double)latency_at(&latency, shares[i]);
                assert_true(told >= exact * 0.99 - 1 && told <= exact * 1.01 + 1);
        }
        assert_int_equal(latency.largest, values[VALUES - 1]);
        assert_int_equal(latency.smallest, values[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_table_tells_zero),
                cmocka_unit_test(one_value_is_every_percentile),
                cmocka_unit_test(every_bucket_is_its_own_value_s_bucket),
                cmocka_unit_test(percentiles_are_within_one_percent_of_a_sorted_list),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
